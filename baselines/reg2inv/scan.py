"""A scan as the method sees it: normalised, with outward normals, and thinned to the grid of the network."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from pointadplus.geometry.neighbors import knn
from pointadplus.geometry.sampling import canonical_order

from .config import Reg2InvConfig
from .normals import canonical_rotation, fitted_normals, outward_normals, signed_like
from .pyramid import grid_subsample

BISECTIONS = 100
ACCEPTED = 1.01  # of the points asked for, as released
STEPS = 4096  # of a coordinate in a normalised unit, which rounding in another pose seldom crosses


@dataclass(frozen=True, eq=False)
class Scan:
    """A normalised scan.

    Attributes:
        points: (N, 3) float32, about the unit ball, in the frame and the order of the scan's own.
        normals: (N, 3) unit, outward.
        radius: what one normalised unit is, in the file's.
        center: (3,) float64, in the file's unit and frame, see `PointCloud.positions`.
        rotation: (3, 3); points = ((file's − center) / radius) @ rotation.T.
    """

    points: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"]
    radius: float
    center: Float[Tensor, "3"]
    rotation: Float[Tensor, "3 3"]

    def apply(self, points: Float[Tensor, "m 3"]) -> Float[Tensor, "m 3"]:
        """Points of the file's frame, float64 if it is far, in the scan's; (M, 3) float32."""
        return ((points.double() - self.center) / self.radius).float() @ self.rotation.T


def even_centre(points: Float[Tensor, "n 3"], count: int) -> Float[Tensor, "3"]:
    """The mean of the cloud thinned to about `count` grid cells, which does not move with the density of points.

    The side of the cells is bisected until there are `count` to 1.01·count of them; a cloud of fewer points is taken
    whole. (3,) float64, in the unit of the points.
    """
    points = points.double()
    mean = points.mean(0)
    extent = float((points - mean).abs().amax())
    if len(points) <= count or extent == 0:
        return mean
    low, high = extent * 1e-4, 2 * extent
    thinned = points
    for _ in range(BISECTIONS):
        side = (low + high) / 2
        thinned = grid_subsample(points, side)[0]
        if count <= len(thinned) <= ACCEPTED * count or high - low < 1e-6 * extent:
            break
        low, high = (side, high) if len(thinned) > count else (low, side)
    return thinned.mean(0)


def read_scan(
    points: Float[Tensor, "n 3"],
    config: Reg2InvConfig,
    radius: float | None = None,
    offset: Float[Tensor, "3"] | float = 0.0,
) -> Scan:
    """Normalise a scan and turn its normals outward.

    Args:
        points: (N, 3) of the file's unit, in any order and pose, which the result does not depend on but for rounding.
        config: of the method.
        radius: of the unit ball, in the file's unit: that of the first prototype; None: the scan's own.
        offset: (3,) that the points are about.
    """
    points = points[canonical_order(points, config.seed)[: config.max_points]]
    # The frame comes first, for the grid that finds the centre shall turn with the object.
    rotation, middle = canonical_rotation(points), points.double().mean(0)
    turned = (points.double() - middle) @ rotation.double().T
    shift = even_centre(turned, config.centring_points)
    turned = turned - shift
    if radius is None:
        radius = max(float(turned.square().sum(1).max().sqrt()), 1e-30)
    normalised = (turned / radius).float()
    # Ordered again where the pose does not matter, so that the same points find the sign of the normals in every pose.
    normalised = normalised[canonical_order((normalised * STEPS).round(), config.seed)]
    return Scan(
        normalised, scan_normals(normalised, config), radius, middle + shift @ rotation.double() + offset, rotation
    )


def scan_normals(points: Float[Tensor, "n 3"], config: Reg2InvConfig) -> Float[Tensor, "n 3"]:
    """Unit outward normals; beyond the first `config.oriented_points` points they are those of the nearest of these."""
    some = points[: config.oriented_points]
    normals = outward_normals(some, config.network.normal_neighbors)
    return normals if len(some) == len(points) else normals[knn(some, points, 1)[1][:, 0]]


def thinned(
    points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"], voxel: float
) -> tuple[Float[Tensor, "m 3"], Float[Tensor, "m 3"]]:
    """The mean points of the grid's cells, and the mean normals there, which tell the side and are not unit."""
    means, sides = grid_subsample(points, voxel, normals)
    assert sides is not None
    return means, sides


def surface_normals(points: Float[Tensor, "m 3"], sides: Float[Tensor, "m 3"], k: int) -> Float[Tensor, "m 3"]:
    """Normals fitted to the thinned points, as the network is given them, on the side that `sides` tell."""
    return signed_like(fitted_normals(points, k), sides)
