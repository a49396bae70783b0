"""Soft splats: pictures through which gradients flow to points, cameras and values.

What hides what is an integer choice and has no gradient, so it is made first: the nearest few splats of each pixel.
Compositing them then takes each splat's distance from the pixel's centre anew, differentiably.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding, embedding_bag

from ..config import check_range
from ..errors import ConfigError
from .cameras import Cameras
from .keys import pack

_CHUNK = 1 << 22  # pixels under the splats in flight, some 75 bytes each; one splat larger than that goes alone


@dataclass(frozen=True, eq=False)
class Fragments:
    """The splats of each pixel, front to back.

    Attributes:
        index: (V, H, W, K) int64 into the points, −1 where there are fewer.
        depth: (V, H, W, K) of the points along the optical axis, +inf where there are fewer.
        squared_distance: (V, H, W, K) from the pixel's centre to the point, in pixels², +inf where there are fewer.
    """

    index: Int[Tensor, "v h w k"]
    depth: Float[Tensor, "v h w k"]
    squared_distance: Float[Tensor, "v h w k"]


@torch.no_grad()
def rasterize_fragments(
    pixels: Float[Tensor, "v n 2"],
    depth: Float[Tensor, "v n"],
    radius: float | Float[Tensor, "#v #n"],
    image_size: int,
    k: int = 8,
) -> Fragments:
    """The K nearest splats of each pixel, the nearest first; of equally near ones, the first.

    A point covers the pixels whose centre is within its radius; points at depth ≤ 0 leave no mark. Splats go front to
    back, equally near ones in the order of the points. Beyond the result, memory is bounded by some 300 MB: views are
    taken one by one, and of a view so many points that their splats hold no more than about 4 million pixels.

    Args:
        pixels: (V, N, 2) projected positions (x, y), see `Cameras.project`.
        depth: (V, N) distances along the optical axis, compared as float32.
        radius: of the splats in pixels: one for all, (V, 1) or (V, N).
        image_size: side of the square images.
        k: how many splats a pixel keeps, ≥ 1.

    Raises:
        ConfigError: k below 1.
    """
    check_range(k, "[1, ∞)", "k")
    radii = torch.as_tensor(radius, dtype=depth.dtype, device=depth.device).expand(depth.shape)
    reach = math.floor(float(radii.max()) + 0.5)
    squared = torch.where(depth > 0, radii.square(), -1.0)
    order = pack(depth).argsort(1)
    index = torch.full((len(depth), image_size**2 * k), -1, device=depth.device)
    for view, found in enumerate(index):
        taken = torch.zeros(image_size**2, dtype=torch.int64, device=depth.device)
        for part in order[view].split(max(1, _CHUNK // (2 * reach + 1) ** 2)):
            home, number = _covered(pixels[view, part], squared[view, part], reach, image_size)
            home, sorting = home.sort(stable=True)  # and so still front to back in each pixel
            count = home.bincount(minlength=image_size**2)
            place = torch.arange(len(home), device=home.device) + (taken - count.cumsum(0) + count)[home]
            kept = place < k
            found[(home * k + place)[kept]] = part[number[sorting[kept]]]
            taken += count
    index = index.view(-1, image_size, image_size, k)
    empty = index < 0
    offset = _centres(pixels, image_size) - _take(pixels, index)
    return Fragments(
        index,
        _take(depth[..., None], index)[..., 0].masked_fill_(empty, torch.inf),
        offset.square().sum(-1).masked_fill_(empty, torch.inf),
    )


def soft_composite(
    fragments: Fragments,
    pixels: Float[Tensor, "v n 2"],
    radius: float | Float[Tensor, "#v #n"],
    values: Float[Tensor, "n c"] | Float[Tensor, "v n c"],
    *,
    sharpness: float = 1.0,
    background: float | Float[Tensor, "c"] = 0.0,
) -> tuple[Float[Tensor, "v c h w"], Float[Tensor, "v h w"]]:
    """Blend each pixel's splats front to back: Σ_i α_i Π_{j<i} (1 − α_j) value_i, the background behind them.

    A splat's opacity at d pixels from its centre is α = 1 − (d² / r²)^sharpness: 1 at its centre, 0 at its edge, so
    that images change without a jump as long as no two splats change places in depth and k is not exceeded. Sharpness 1
    is the opacity of PyTorch3D's points renderer with its alpha compositor (Ravi et al., 2020). A growing sharpness
    tends to the hard picture: a pixel differs from its front point's value by at most (d² / r²)^sharpness, d being the
    distance of that point, times the range that values and background span. Differentiable, once, in pixels, radius,
    values and background, and every gradient is finite.

    Args:
        fragments: of `rasterize_fragments` for the same pixels and radius.
        pixels: (V, N, 2) projected positions (x, y).
        radius: of the splats in pixels: one for all, (V, 1) or (V, N).
        values: of the points, finite, the same in every view or one table a view; the depth makes a soft depth map.
        sharpness: at least 1; the gradient at a splat's centre would be infinite below.
        background: what lies behind, one number or (C,).

    Returns:
        images (V, C, H, W); mask (V, H, W) in [0, 1], the share of each pixel that splats cover.

    Raises:
        ConfigError: a sharpness below 1.
    """
    if not sharpness >= 1:
        raise ConfigError("splats cannot be as soft", where="sharpness", expected="≥ 1", found=sharpness)
    index = fragments.index
    radii = torch.as_tensor(radius, dtype=pixels.dtype, device=pixels.device).expand(pixels.shape[:2])
    splats = _take(torch.cat([pixels, radii[..., None]], -1), index)
    solid = index >= 0
    offset = torch.where(solid[..., None], _centres(pixels, index.shape[2]) - splats[..., :2], 0.0)
    extent = torch.where(solid & (splats[..., 2] > 0), splats[..., 2], 1.0)
    share = (offset / extent[..., None]).square().sum(-1).clamp_max(1.0)
    alpha = torch.where(solid, 1.0 - share**sharpness, 0.0)
    weights, light = [], torch.ones_like(alpha[..., 0])
    for layer in alpha.unbind(-1):  # no division by 1 − α, as a cumulative product's gradient has
        weights.append(light * layer)
        light = light * (1.0 - layer)
    table, rows = values.flatten(0, -2), _rows(index, pixels.shape[1] if values.ndim == 3 else 0)
    blend = torch.stack(weights, -1).to(table.dtype)
    images = embedding_bag(rows.flatten(0, 2), table, mode="sum", per_sample_weights=blend.flatten(0, 2))
    images = images.view(*index.shape[:3], -1) + light[..., None] * background
    return images.permute(0, 3, 1, 2), 1.0 - light


def soft_images(
    cameras: Cameras,
    points: Float[Tensor, "n 3"],
    values: Float[Tensor, "n c"] | Float[Tensor, "v n c"],
    radius: float | Float[Tensor, "#v #n"],
    k: int = 8,
    sharpness: float = 1.0,
) -> tuple[Float[Tensor, "v c h w"], Float[Tensor, "v h w"]]:
    """Project and blend, over a background of 0: `soft_composite` of `rasterize_fragments`, whose arguments these are.

    Differentiable in points, values, radius and the cameras' rotation, center and distance. To move a pose, give the
    cameras another rotation: `replace(cameras, rotation=rotation_from_axis_angle(turn) @ cameras.rotation)`.

    Returns:
        images (V, C, H, W); mask (V, H, W) in [0, 1].
    """
    pixels, depth = cameras.project(points)
    fragments = rasterize_fragments(pixels, depth, radius, cameras.image_size, k)
    return soft_composite(fragments, pixels, radius, values, sharpness=sharpness)


def _covered(
    pixels: Float[Tensor, "n 2"], squared: Float[Tensor, "n"], reach: int, size: int
) -> tuple[Int[Tensor, "m"], Int[Tensor, "m"]]:
    """Numbers y·W + x of the pixels that the splats cover, one splat after the other, and the splat of each.

    A splat is a run of pixels in each row.
    """
    x, y = pixels[..., None].unbind(1)
    row = y.floor() + torch.arange(-reach, reach + 1, device=pixels.device)
    half = (squared[:, None] - (row + 0.5 - y).square()).sqrt()  # NaN where the splat does not reach the row,
    first = (x - half).sub(0.5).ceil().clamp_min(0.0)
    last = (x + half).sub(0.5).floor().clamp_max(size - 1.0)
    covered = (first <= last) & (row >= 0) & (row < size)  # and NaN compares as false
    row, first, length = (torch.where(covered, each, 0.0).long() for each in (row, first, last - first + 1.0))
    start, length = (row * size + first).flatten(), length.flatten()
    run = torch.repeat_interleave(length)
    step = torch.arange(len(run), device=run.device) - (length.cumsum(0) - length)[run]
    return start[run] + step, run // (2 * reach + 1)


def _centres(pixels: Tensor, size: int) -> Float[Tensor, "h w 1 2"]:
    """Pixel centres (x, y) of an image, with an axis for K."""
    steps = torch.arange(size, dtype=pixels.dtype, device=pixels.device) + 0.5
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x, y], -1)[:, :, None]


def _take(table: Float[Tensor, "v n c"], index: Int[Tensor, "v h w k"]) -> Float[Tensor, "v h w k c"]:
    """Each view's rows by number, the first where it is −1; unlike plain indexing, the gradient keeps its bits."""
    return embedding(_rows(index, table.shape[1]), table.flatten(0, 1))


def _rows(index: Int[Tensor, "v h w k"], count: int) -> Int[Tensor, "v h w k"]:
    """Rows of a table of all views, of `count` points each; or, with a count of 0, of a table that views share."""
    return index.clamp_min(0) + count * torch.arange(len(index), device=index.device)[:, None, None, None]
