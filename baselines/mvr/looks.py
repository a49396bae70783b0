"""From a scan in the reference's pose to pictures, and back from maps to nodes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pointadplus.cloud import Normalization, PointCloud
from pointadplus.geometry.descriptors import ATTRIBUTES, describe, outward_normals
from pointadplus.geometry.registration import rotation_from_axis_angle
from pointadplus.geometry.sampling import canonical_order
from pointadplus.geometry.spacing import point_spacing
from pointadplus.render import Cameras, MultiViewRenderer, RenderConfig

from .config import MVRConfig


@dataclass(frozen=True, eq=False)
class Look:
    """Pictures of one scan, and where its nodes fall in them.

    Attributes:
        nodes: (M, 3) in the reference's normalised frame.
        images: (V, C, H, W) of the encoder's channels.
        pixels: (V, M, 2) and visible: (V, M), the point↔pixel map, for images of side `image_size`.
    """

    nodes: Float[Tensor, "m 3"]
    images: Float[Tensor, "v c h w"]
    pixels: Float[Tensor, "v m 2"]
    visible: Bool[Tensor, "v m"]
    image_size: int


class Looker:
    """Looks at scans with the cameras, the unit and the density of the reference.

    Args:
        config: how to look.
        channels: what the encoder sees.
        normalization: of the reference.
        spacing: between the points of a support as dense as the reference's, in the normalised frame.
        cameras: that frame the reference.
    """

    def __init__(
        self,
        config: MVRConfig,
        channels: tuple[str, ...],
        normalization: Normalization,
        spacing: float,
        cameras: Cameras,
    ) -> None:
        self.config, self.channels = config, channels
        self.normalization, self.spacing, self.cameras = normalization, spacing, cameras
        self._renderer = _renderer(config)

    @classmethod
    def at(cls, reference: PointCloud, config: MVRConfig, channels: tuple[str, ...]) -> Looker:
        """A looker framed for a reference."""
        normalization = reference.normalization()
        points = normalization.apply(reference.points[canonical_order(reference.points, config.seed)])
        spacing = point_spacing(points[: config.support])
        return cls(config, channels, normalization, spacing, _renderer(config).cameras(points))

    def look(self, points: Float[Tensor, "n 3"], *, sample: int = 0, turn: Float[Tensor, "3 3"] | None = None) -> Look:
        """Draw a scan.

        Args:
            points: (N, 3) in the reference's pose and unit.
            sample: which points become nodes, from 0.
            turn: a rotation about the reference's centre.
        """
        config = self.config
        local = self.normalization.apply(points[canonical_order(points, config.seed)])
        if turn is not None:
            local = local @ turn.T
        # A scan of a part of the object gets a part of the nodes, for a neighbourhood is a number of neighbours.
        area = len(local) * (point_spacing(local) / self.spacing) ** 2 / config.support
        support_size = int(min(len(local), max(64, round(config.support * area))))
        count = int(min(support_size, max(64, round(config.nodes * area))))
        support = local.roll(-sample * count, 0)[:support_size]
        if set(self.channels) & set(ATTRIBUTES):
            described = describe(support, count)
            drawn, attributes = PointCloud(support[:count], normals=described.normals), described.attributes
        else:
            drawn, attributes = PointCloud(support, normals=outward_normals(support, len(support))), None
        views = self._renderer.render(drawn, cameras=self.cameras)
        return Look(
            support[:count], views.images(self.channels, attributes), views.pixels[:, :count], views.visible[:, :count],
            self.cameras.image_size,
        )  # fmt: skip


def small_turn(degrees: float, generator: torch.Generator) -> Float[Tensor, "3 3"]:
    """A rotation about a random axis by up to so many degrees."""
    axis = torch.nn.functional.normalize(torch.randn(3, generator=generator, dtype=torch.float64), dim=0)
    angle = torch.deg2rad(torch.tensor(degrees)) * torch.rand((), generator=generator)
    return rotation_from_axis_angle(angle * axis).float()


def camera_tensors(cameras: Cameras) -> dict[str, Tensor]:
    """The tensors of cameras, to be stored."""
    return {
        f"cameras.{name}": getattr(cameras, name).contiguous() for name in ("rotation", "center", "distance", "radius")
    }


def cameras_from(state: dict[str, Tensor], config: MVRConfig) -> Cameras:
    """What `camera_tensors` gave."""
    parts = {name: state[f"cameras.{name}"] for name in ("rotation", "center", "distance", "radius")}
    return Cameras(**parts, image_size=config.image_size * config.supersample, orthographic=config.orthographic)


def _renderer(config: MVRConfig) -> MultiViewRenderer:
    options = RenderConfig(
        views=config.views, image_size=config.image_size, supersample=config.supersample,
        orthographic=config.orthographic,
    )  # fmt: skip
    return MultiViewRenderer(options)
