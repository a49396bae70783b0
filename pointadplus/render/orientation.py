"""The sign of normals: outward on a closed surface, towards the camera on a single-sided scan."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..cloud import PointCloud
from ..geometry.neighbors import knn
from ..geometry.normals import offsets_to
from ..geometry.spacing import point_spacing
from .cameras import view_rotations
from .renderer import MultiViewRenderer

# All ours.
VIEWS = "sphere(80)"
SIZE = 128  # pixels of the side of the images that vote
TOLERANCE = 0.1  # of the renderer: a strict one, so that few points are seen through a thin wall
NEIGHBORS = 32  # whose votes a point hears
THIN = 0.03  # spacings across the surface that halve, about, what a neighbour's vote counts
CLOSED = 0.6  # |for − against| / (for + against) of the median point: 1 on closed surfaces, 0.1 on half a sphere
EYE = 3.0  # distance of the eye that a sheet is turned to, in its radii


@torch.no_grad()
def orient_normals(
    points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"], *, origin_is_sensor: bool | None = None
) -> Float[Tensor, "n 3"]:
    """Give normals a consistent sign, without propagation from point to point.

    A closed surface is seen from outside only: 80 views from all around vote for the side that they see, by the cosine
    at which they see it, and a point hears the votes on its own piece of surface; cavities face their opening. On an
    open sheet, seen from both sides, the votes contradict each other. It is turned to the origin if that lies outside
    the object, in what must be a sensor's frame; else, by convention, to the side on which it bulges.

    Args:
        points: (N, 3) of the object, of any unit.
        normals: (N, 3) unit vectors of any sign.
        origin_is_sensor: True turns all normals to the origin, for what a sensor sees faces it; False never does;
            None does on open sheets, if the origin is farther from the mean point than any point is.

    Returns:
        (N, 3) the normals, each with its sign kept or changed.
    """
    if origin_is_sensor:
        return _facing(normals, -points)
    mean = torch.from_numpy(points.double().cpu().numpy().mean(0)).to(points.device)  # NumPy adds up in one order
    centred = points.double() - mean
    votes, agreement = _votes(centred.float(), normals.float())
    if agreement >= CLOSED:
        return torch.where(votes[:, None] < 0, -normals, normals)
    radius = centred.square().sum(1).max().sqrt()
    if origin_is_sensor is None and mean.square().sum().sqrt() > radius:
        return _facing(normals, -points)
    return _facing(normals, (centred - _hollow_eye(centred)).to(points))


def _facing(normals: Tensor, toward: Tensor) -> Float[Tensor, "n 3"]:
    return torch.where((normals * toward).sum(1, keepdim=True) < 0, -normals, normals)


def _votes(points: Tensor, normals: Tensor) -> tuple[Float[Tensor, "n"], float]:
    """The sum of each point's votes, above 0 for the sign that its normal has, and how far the median point's agree."""
    cloud = PointCloud.create(points, normals=normals)
    own, heard = torch.zeros_like(points[:, 0]), torch.zeros_like(points[:, 0])
    for some in view_rotations(VIEWS).split(16):  # what is kept of a view takes some 10 bytes a point
        views = MultiViewRenderer(views=some, image_size=SIZE, tolerance=TOLERANCE).render(cloud, points.device)
        for view, visible in enumerate(views.visible):
            cosine = (views.cameras[view : view + 1].toward_eye(points)[0] * normals).sum(1) * visible
            own += cosine
            heard += cosine.abs()
    seen = heard > 0
    if not seen.any():
        return own, 1.0
    agreement = float((own[seen].abs() / heard[seen]).median())
    distances, index = knn(points[seen], points, NEIGHBORS)
    unit = max(point_spacing(points), 1e-30)
    parts = (each.split(65_536) for each in (points, normals, distances, index))
    told = []
    for here, normal, distance, near in zip(*parts, strict=True):
        # Squared distances, those across the surface counted more, since the other side of a thin wall is near.
        across = (offsets_to(points[seen], here, near) * normal[:, None]).sum(2)
        weight = 1.0 / (1.0 + (distance / unit).square() + (across / (THIN * unit)).square())
        alike = (normals[seen][near] * normal[:, None]).sum(2)
        told.append((weight * alike * own[seen][near]).sum(1))
    return torch.cat(told), agreement


def _hollow_eye(centred: Float[Tensor, "n 3"]) -> Float[Tensor, "3"]:
    """An eye on the hollow side of an open sheet, on its thinnest principal axis; points relative to their mean."""
    offsets = centred.cpu().numpy()
    axis = np.linalg.eigh(np.einsum("ni,nj->ij", offsets, offsets))[1][:, 0]
    height = (offsets * axis).sum(1)
    squared = (offsets**2).sum(1)
    # Where the rim is higher than the middle, the hollow is up.
    hollow = axis if (height * (squared - height**2)).sum() > 0 else -axis
    return torch.from_numpy(EYE * np.sqrt(squared.max()) * hollow).to(centred)
