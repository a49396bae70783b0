"""The one picture that shows what is anomalous: where to stand, found by gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from ..config import check_range
from ..geometry.normals import estimate_normals
from ..geometry.registration import rotation_from_axis_angle
from ..geometry.spacing import point_spacing
from .cameras import Cameras, frame_cameras, view_rotations
from .correspondence import facing_weights
from .soft import soft_images

# All ours.
SIZE = 64  # pixels of the side of the images that are searched
SPLAT = 1.8  # radius of a splat in spacings, as the renderer's
MIN_RADIUS = 0.75  # of a splat, in pixels
SHARPNESS = 2.0  # of splats: a thin wall lets less through than at 1
DECAY = 0.85  # of the turns, from one step to the next


@torch.inference_mode(False)  # a caller that needs no gradient may have switched them off
@torch.enable_grad()
def best_view(
    points: Float[Tensor, "n 3"],
    scores: Float[Tensor, "n"],
    normals: Float[Tensor, "n 3"] | None = None,
    *,
    start_views: str | Tensor | Sequence[Tensor] = "sphere(24)",
    steps: int = 20,
    image_size: int = 336,
    fill: float = 0.9,
) -> Cameras:
    """The camera around an object that shows its anomalous points best: the largest `evidence_seen` that is found.

    The best of the directions of `start_views` comes first, then gradient ascent on the rotation through the soft
    renderer, in turns of a length that shrinks from the directions' mean distance. The best camera on the way wins,
    so that none of the start directions is better. Deterministic.

    Args:
        points: (N, 3) of the object.
        scores: (N,) finite, higher is more anomalous. What counts is by how much a score exceeds the median; where none
            does, all points count alike.
        normals: (N, 3) unit vectors, their sign does not matter; estimated if None.
        start_views: see `view_rotations`; of rotations, only the directions that they look from count.
        steps: of the ascent; 0 gives the best start direction.
        image_size: side in pixels of the image that the camera is for; what is found does not depend on it.
        fill: share of the image's side that the object's sphere spans, see `frame_cameras`.

    Returns:
        One camera that frames the whole object, with +y up; seen along ±y, as in the views `"faces6"`.

    Raises:
        ConfigError: start views that are none, or a negative number of steps.
    """
    check_range(steps, "[0, ∞)", "steps")
    starts = _upright(view_rotations(start_views)[:, 2].to(points))
    cameras = frame_cameras(points, starts, SIZE, fill=fill)
    surface = points, scores, estimate_normals(points) if normals is None else normals, point_spacing(points)
    with torch.no_grad():
        most, first = _evidence_seen(cameras, *surface).max(0)
    center, distance, radius = (each[first, None] for each in (cameras.center, cameras.distance, cameras.radius))
    camera = best = Cameras(starts[first, None], center, distance, radius, SIZE)
    length = (1.0 - DECAY) * math.sqrt(4.0 * math.pi / len(starts))  # all turns together: from one start to the next
    for step in range(steps + 1):
        turn = torch.zeros_like(camera.center, requires_grad=True)
        turned = replace(camera, rotation=rotation_from_axis_angle(turn) @ camera.rotation)
        seen = _evidence_seen(turned, *surface)[0]
        if seen > most:
            most, best = seen.detach(), camera
        (ascent,) = torch.autograd.grad(seen, turn)
        ascent[:, 2] = 0.0  # about the optical axis
        toward = rotation_from_axis_angle(length * DECAY**step * normalize(ascent)) @ camera.rotation
        camera = replace(camera, rotation=_upright(toward[:, 2]))
    return replace(best, image_size=image_size)


def evidence_seen(
    cameras: Cameras,
    points: Float[Tensor, "n 3"],
    scores: Float[Tensor, "n"],
    normals: Float[Tensor, "n 3"] | None = None,
) -> Float[Tensor, "v"]:
    """How much of what is anomalous each camera shows: (V,) in [0, 1].

    The mean over a small soft image of the points' evidence, score above the median over the largest such, times the
    cosine at which they are seen: hidden points do not count, others by the area of the image that they fill and by
    how squarely it faces them. Differentiable in the cameras. The arguments are those of `best_view`.
    """
    normals = estimate_normals(points) if normals is None else normals
    return _evidence_seen(replace(cameras, image_size=SIZE), points, scores, normals, point_spacing(points))


def _evidence_seen(
    cameras: Cameras, points: Tensor, scores: Tensor, normals: Tensor, spacing: float
) -> Float[Tensor, "v"]:
    above = (scores - scores.median()).clamp_min(0.0).to(points)
    evidence = above / above.max() if above.max() > 0 else torch.ones_like(above)
    _, depth = cameras.project(points)
    radius = (SPLAT * spacing * cameras.pixels_per_unit(depth)).clamp_min(MIN_RADIUS)
    values = (evidence * facing_weights(cameras, points, normals.to(points)))[..., None]
    return soft_images(cameras, points, values, radius, sharpness=SHARPNESS)[0].mean((1, 2, 3))


def _upright(directions: Float[Tensor, "v 3"]) -> Float[Tensor, "v 3 3"]:
    """Rotations of cameras that stand in the given directions with +y up; seen from ±y, ∓z."""
    polar = (directions[:, 1:2].abs() > 1.0 - 1e-6).to(directions)
    y, z = torch.eye(3).to(directions)[1:]
    up = (1.0 - polar) * y - polar * directions[:, 1:2].sign() * z
    right = normalize(torch.linalg.cross(up, directions))
    return torch.stack([right, torch.linalg.cross(directions, right), directions], 1)
