"""From a scan in the reference's pose to pictures, and back from maps to nodes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pointadplus.cloud import PointCloud
from pointadplus.geometry.descriptors import ATTRIBUTES, describe
from pointadplus.geometry.neighbors import knn
from pointadplus.geometry.normals import estimate_normals
from pointadplus.geometry.registration import rotation_from_axis_angle
from pointadplus.geometry.sampling import canonical_order
from pointadplus.geometry.spacing import point_spacing
from pointadplus.normalization import Normalization
from pointadplus.render import Cameras, MultiViewRenderer, RenderConfig

from .config import MVRConfig

_LACK = 2.0  # spacings from its nearest point within which a scan lacks nothing
_LEAST = 64  # points of a scan that are drawn before any that it lacks


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
    """Looks at scans with the cameras and the unit of the reference.

    Args:
        config: how to look.
        channels: what the encoder sees.
        normalization: of the reference.
        cameras: that frame the reference.
    """

    def __init__(
        self, config: MVRConfig, channels: tuple[str, ...], normalization: Normalization, cameras: Cameras
    ) -> None:
        self.config, self.channels = config, channels
        self.normalization, self.cameras = normalization, cameras
        self._renderer = _renderer(config)

    @classmethod
    def at(cls, reference: PointCloud, config: MVRConfig, channels: tuple[str, ...]) -> Looker:
        """A looker framed for a reference."""
        normalization = reference.normalization()
        points = normalization.apply(reference.points[canonical_order(reference.points, config.seed)])
        return cls(config, channels, normalization, _renderer(config).cameras(points))

    def look(
        self,
        points: Float[Tensor, "n 3"],
        *,
        sample: int = 0,
        turn: Float[Tensor, "3 3"] | None = None,
        beside: Float[Tensor, "r 3"] | None = None,
    ) -> Look:
        """Draw a scan.

        Args:
            points: (N, 3) in the reference's pose and unit.
            sample: which points are drawn and become nodes, from 0.
            turn: a rotation about the reference's centre.
            beside: drawn as well, but no node is taken from them, see `not_scanned`.
        """
        config = self.config
        every = points if beside is None else torch.cat([points, beside])
        order = canonical_order(every, config.seed).roll(-sample * config.nodes)
        own = order[order < len(points)][:_LEAST]
        order = torch.cat([own, order[~torch.isin(order, own)]])[: config.support]
        support = self.normalization.apply(every[order])
        if turn is not None:
            support = support @ turn.T
        if set(self.channels) & set(ATTRIBUTES):
            described = describe(support, min(len(support), config.nodes))
            drawn = PointCloud(support[: config.nodes], normals=described.normals)
            attributes = described.attributes
        else:
            drawn, attributes = PointCloud(support, normals=estimate_normals(support)), None
        views = self._renderer.render(drawn, cameras=self.cameras)
        nodes = (order[: len(drawn.points)] < len(points)).nonzero()[: config.nodes, 0]
        return Look(
            support[nodes], views.images(self.channels, attributes), views.pixels[:, nodes], views.visible[:, nodes],
            self.cameras.image_size,
        )  # fmt: skip


def not_scanned(
    points: Float[Tensor, "n 3"], reference: Float[Tensor, "m 3"], partial: float
) -> Float[Tensor, "r 3"] | None:
    """What a scan of one side lacks of the reference, to be drawn beside it: it was not scanned, and is no defect.

    Args:
        points: (N, 3) of the scan, in the reference's pose.
        reference: (M, 3).
        partial: share of the reference from which on this is so.

    Returns:
        The points of the reference that lie two spacings or more from the scan; None where their share is lower.
    """
    lacking = knn(points, reference, 1)[0][:, 0] > _LACK * max(point_spacing(points), point_spacing(reference))
    return reference[lacking] if float(lacking.float().mean()) > partial else None


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
