"""Depth of the surface between the points: each point carries a piece of its tangent plane."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .cameras import Cameras

_STEEPEST = math.tan(math.radians(75.0))  # slope away from the eye that is still believed


def tangent_depth(
    index: Int[Tensor, "v h w"],
    depth: Float[Tensor, "v h w"],
    pixels: Float[Tensor, "v n 2"],
    cameras: Cameras,
    normals: Float[Tensor, "n 3"],
) -> Float[Tensor, "v h w"]:
    """Where the ray of each pixel meets the tangent plane of the front point, in depth along the optical axis.

    A splat has one depth, its point's, and so a slanted surface is drawn in steps as high as the points are apart. The
    planes take the steps out (surfels: Pfister et al., Surfels: Surface Elements as Rendering Primitives, 2000). What
    stands more steeply than 75° away from the eye counts as standing so.

    Args:
        index: front point of each pixel, −1 for the background.
        depth: of that point, +inf for the background.
        pixels: where each point falls.
        cameras: of the views.
        normals: unit vectors in object axes; their sign does not matter.

    Returns:
        (V, H, W), +inf for the background.
    """
    size = cameras.image_size
    middle = torch.arange(size, dtype=depth.dtype, device=depth.device) + 0.5
    x, y = middle.expand(size, size), middle[:, None].expand(size, size)
    found = []
    for view, (front, at, own) in enumerate(zip(index, depth, pixels, strict=True)):
        camera, place = cameras[view : view + 1], front.clamp_min(0).flatten()
        right, up, back = (part[0, place].view_as(at) for part in camera.turn(*(row[None] for row in normals.T)))
        across, down = (middle - own[place, axis].view_as(at) for axis, middle in enumerate((x, y)))
        per_unit = camera.pixels_per_unit(at[None])[0]
        lean = right * across - up * down  # of the plane, towards this pixel, in pixels
        if camera.orthographic:
            toward, step = back, lean / per_unit
        else:
            toward = back - (right * (x - 0.5 * size) - up * (y - 0.5 * size)) / camera.focal  # along the pixel's ray
            step = at * lean / camera.focal
        limit = _STEEPEST * torch.hypot(across, down) / per_unit
        flat = torch.where(toward.abs() > 1e-6, toward, 1e-6)
        moved = torch.minimum(torch.maximum(step / flat, -limit), limit)
        found.append(torch.where(at.isfinite(), at + moved, at))
    return torch.stack(found)
