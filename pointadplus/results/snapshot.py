"""One picture of a cloud, seen from the side that shows best what is anomalous."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from ..cloud import PointCloud
from ..geometry.sampling import select_points
from ..normalization import Normalization
from ..render import Cameras, MultiViewRenderer, frame_cameras
from ..render import best_view as best_view_of_points
from ..render.shading import ALBEDO, AMBIENT
from .palette import score_colors

SIDE = 320  # pixels of the side of a still picture, before its empty margins are cut off
SEARCHED = 8192  # points that the best view is searched with
SHOWN = 60_000  # points that are drawn at most
_COLORS, _LIGHTS = 31, 8  # of a picture with a palette; with the background they fit a PNG's 256 entries
Ramp = Callable[[Tensor], Tensor]
_DARKEST = 0.5  # light, where the surface is seen edge on


@runtime_checkable
class ScoredCloud(Protocol):
    """A cloud of N points with (N,) scores: a `Detection`, which shows itself by means of this file."""

    @property
    def cloud(self) -> PointCloud: ...
    @property
    def valid_scores(self) -> Tensor: ...


def best_view(detection: ScoredCloud, *, image_size: int = 336) -> Cameras:
    """The one camera that shows best what is anomalous, found by gradient: see `render.best_view`.

    Made for `MultiViewRenderer().render(detection.cloud, cameras=best_view(detection))`. A cloud of more than 8,192
    points is thinned for the search.

    Args:
        detection: of any method.
        image_size: side of the camera's image in pixels.
    """
    cloud, scores = detection.cloud, detection.valid_scores.detach().cpu()
    return _best_camera(cloud, scores, image_size)


def _best_camera(cloud: PointCloud, scores: Float[Tensor, "n"], image_size: int) -> Cameras:
    kept = select_points(scores, SEARCHED)
    near = cloud.normalization().apply(cloud.points)[kept]  # the same axes; far-away clouds keep their digits
    found = best_view_of_points(near, scores[kept])
    return replace(frame_cameras(cloud.points, found.rotation, image_size), offset=cloud.offset)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A cloud of N points seen from one side, H×W pixels without its empty margins.

    Attributes:
        cloud: what is seen.
        front: (H, W) int64, the row of `cloud.points` that each pixel shows, −1 for background.
        light: (H, W) float32 in [0, 1]: 1 where the surface faces the eye, 0 where it is seen edge on.
        camera: the one camera, in the frame of `frame`, with the margins.
        corner: pixels that were cut off at the left and at the top.
        frame: from the frame of the cloud's points to the camera's.
    """

    cloud: PointCloud
    front: Int[Tensor, "h w"]
    light: Float[Tensor, "h w"]
    camera: Cameras
    corner: tuple[int, int]
    frame: Normalization

    @classmethod
    def of(cls, cloud: PointCloud, scores: Float[Tensor, "n"] | None = None, *, size: int = SIDE) -> Snapshot:
        """From the side that shows the high scores best.

        Args:
            cloud: N points; more than 60,000 are thinned, see `select_points`.
            scores: (N,) of the points; None means that all count alike.
            size: side of the picture in pixels, margins included.
        """
        scores = torch.zeros(len(cloud)) if scores is None else scores.detach().cpu()
        return cls.seen_from(_best_camera(cloud, scores, size).rotation, cloud, select_points(scores, SHOWN), size)

    @classmethod
    def seen_from(
        cls, rotation: Float[Tensor, "1 3 3"], cloud: PointCloud, shown: Int[Tensor, "k"], size: int = SIDE
    ) -> Snapshot:
        """From the side that a rotation (object to view axes) turns to the eye; `shown` rows of the points alone."""
        frame = cloud.normalization()  # the same axes; far-away clouds keep their digits
        points = frame.apply(cloud.points)
        views = MultiViewRenderer(views=rotation, image_size=size).render(PointCloud(points[shown]))
        front, light = views.index[0], views.images(["headlight"])[0, 0]
        (top, bottom), (left, right) = ((front >= 0).any(1 - axis).nonzero().aminmax() for axis in (0, 1))
        cut = (slice(int(top), int(bottom) + 1), slice(int(left), int(right) + 1))
        front = torch.where(front >= 0, shown[front.clamp_min(0)], -1)[cut]
        bright = (light / ALBEDO - AMBIENT) / (1.0 - AMBIENT)
        return cls(cloud, front, bright[cut].clamp(0.0, 1.0), views.cameras, (int(left), int(top)), frame)

    def image(self, colors: Float[Tensor, "n 3"] | None = None) -> UInt8[Tensor, "h w 4"]:
        """(H, W, 4) red, green, blue and alpha, 0 on the background.

        Args:
            colors: (N, 3) in [0, 1] of the points; None means the cloud's own, and grey where it has none.
        """
        if colors is None:
            colors = torch.full((len(self.cloud), 3), ALBEDO) if self.cloud.colors is None else self.cloud.colors
        lit = colors[self.front.clamp_min(0)] * (_DARKEST + (1.0 - _DARKEST) * self.light)[..., None]
        seen = (self.front >= 0)[..., None]
        return (255 * torch.cat([lit, torch.ones_like(lit[..., :1])], -1) * seen).round().to(torch.uint8)

    def png(self, shares: Float[Tensor, "n"], ramp: Ramp = score_colors) -> bytes:
        """A small PNG with a palette: the points in the colours of their shares of a ramp, no background.

        Args:
            shares: (N,) in [0, 1], the scores by default.
            ramp: from (K,) shares to (K, 3) colours in [0, 1]; 31 of them are drawn.
        """
        seen = self.front.clamp_min(0)
        color = (shares.detach().cpu()[seen] * _COLORS).long().clamp(max=_COLORS - 1)
        bright = (self.light * _LIGHTS).long().clamp(max=_LIGHTS - 1)
        entry = torch.where(self.front >= 0, 1 + color * _LIGHTS + bright, 0)
        still = Image.fromarray(entry.to(torch.uint8).numpy())
        still.putpalette(_palette(ramp).flatten().tolist())
        out = io.BytesIO()
        still.save(out, "PNG", optimize=True, transparency=0)
        return out.getvalue()

    def places(self, positions: Float[Tensor, "k 3"]) -> Float[Tensor, "k 2"]:
        """(K, 2) where positions of the file's frame fall in the picture: pixels, x to the right and y down."""
        local = self.frame.apply(positions.double() - self.cloud.offset)
        return self.camera.project(local)[0][0] - torch.tensor(self.corner)

    def shows(self, rows: Int[Tensor, "k"]) -> bool:
        """Whether any pixel shows one of these rows of the source."""
        return bool(torch.isin(self.cloud.valid_rows()[self.front[self.front >= 0]], rows).any())


def _palette(ramp: Ramp) -> UInt8[Tensor, "entries 3"]:
    """RGB of the background, and of every colour in every light, from the darkest."""
    colors = 255 * ramp((torch.arange(_COLORS) + 0.5) / _COLORS)
    lights = _DARKEST + (1.0 - _DARKEST) * torch.arange(_LIGHTS) / (_LIGHTS - 1)
    table = (colors[:, None] * lights[:, None]).flatten(0, 1)
    return torch.cat([torch.zeros(1, 3), table]).round().to(torch.uint8)
