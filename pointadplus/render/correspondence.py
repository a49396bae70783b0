"""The point↔pixel map at work: values from maps to points, over views, and back."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import grid_sample

from ..config import check_range
from ..errors import ConfigError
from ..geometry.neighbors import knn
from .cameras import Cameras


def gather_at_points(
    maps: Float[Tensor, "v c h w"], pixels: Float[Tensor, "v n 2"], image_size: int
) -> Float[Tensor, "v n c"]:
    """Bilinear values of each view's map at each point's pixel.

    The map, of any resolution, covers the whole image; beyond the centres of its outermost cells their values hold.
    """
    grid = (2.0 / image_size) * pixels - 1.0
    sampled = grid_sample(maps, grid[:, None].to(maps.dtype), padding_mode="border", align_corners=False)
    return sampled[:, :, 0].transpose(1, 2)


def facing_weights(
    cameras: Cameras, points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]
) -> Float[Tensor, "v n"]:
    """How squarely each view faces the surface: |cos| of the angle between normal and direction to the eye, in [0, 1].

    Args:
        cameras: of V views.
        points: (N, 3) in object coordinates.
        normals: (N, 3) unit vectors; their sign does not matter.
    """
    return (cameras.toward_eye(points) * normals).sum(-1).abs().clamp_max(1.0)


def visible_mean(
    values: Float[Tensor, "v n c"], visible: Bool[Tensor, "v n"], weights: Float[Tensor, "v n"] | None = None
) -> tuple[Float[Tensor, "n c"], Bool[Tensor, "n"]]:
    """Mean over the views that see a point, and whether any does; zeros where none.

    Args:
        values: (V, N, C) of each view.
        visible: (V, N), whether a view sees a point.
        weights: (V, N) finite, ≥ 0, of any unit, see `facing_weights`; a view of weight 0 does not see the point. What
            stands where a point is not visible does not matter. None weighs all alike.

    Raises:
        ConfigError: a weight of a visible point is negative or not finite.
    """
    shares = _shares(visible, weights, values.dtype)
    return _divide(torch.einsum("vnc,vn->nc", values, shares.to(values.dtype)), shares)


def lift_to_points(
    maps: Float[Tensor, "v c h w"],
    pixels: Float[Tensor, "v n 2"],
    visible: Bool[Tensor, "v n"],
    image_size: int,
    weights: Float[Tensor, "v n"] | None = None,
) -> tuple[Float[Tensor, "n c"], Bool[Tensor, "n"]]:
    """`visible_mean` of `gather_at_points`, one view at a time and for its visible points only.

    The (V, N, C) table in between, gigabytes for a dense scan and wide features, never exists.
    """
    total = maps.new_zeros(visible.shape[1], maps.shape[1])
    shares = _shares(visible, weights, maps.dtype)
    for view_map, view_pixels, mask, share in zip(maps, pixels, visible, shares, strict=True):
        seen_here = mask.nonzero()[:, 0]
        values = gather_at_points(view_map[None], view_pixels[None, seen_here], image_size)[0]
        total[seen_here] += values if weights is None else share[seen_here, None] * values
    return _divide(total, shares)


def _shares(visible: Tensor, weights: Tensor | None, dtype: torch.dtype) -> Tensor:
    """(V, N): what each view counts for at each point; booleans, which add up exactly, where all count alike."""
    if weights is None:
        return visible
    shares = torch.where(visible, weights.to(dtype), 0.0)
    wrong = ~((shares >= 0) & (shares < torch.inf))
    if wrong.any():
        found = f"{int(wrong.sum())} others, such as {shares[wrong][0].item():g}"
        raise ConfigError("not weights", where="weights", expected="finite numbers ≥ 0", found=found)
    return shares


def _divide(total: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    whole = shares.sum(0)
    seen = whole > 0
    return total / torch.where(seen, whole, 1)[:, None], seen


def lift_labels(
    label_maps: Int[Tensor, "v h w"],
    pixels: Float[Tensor, "v n 2"],
    visible: Bool[Tensor, "v n"],
    image_size: int,
    classes: int,
) -> Int[Tensor, "n"]:
    """The label that most views show at a point, (N,) int64: of equally frequent ones the lowest, −1 where unseen.

    Args:
        label_maps: (V, H, W) integers in [0, classes) where a point is looked up, anything elsewhere. A map of any
            resolution covers the whole image; the pixel that holds the point votes, beyond the rim the nearest one.
        pixels: (V, N, 2) of `Cameras.project`.
        visible: (V, N), whether a view sees a point.
        image_size: side of the square images that `pixels` refers to.
        classes: number of labels, ≥ 1.

    Raises:
        ConfigError: no class, or a point's label outside [0, classes).
    """
    check_range(classes, "[1, ∞)", "classes")
    rows, columns = label_maps.shape[1:]
    votes = torch.zeros(visible.shape[1], classes, dtype=torch.int32, device=label_maps.device)
    for labels, view_pixels, mask in zip(label_maps, pixels, visible, strict=True):
        seen_here = mask.nonzero()[:, 0]
        x, y = view_pixels[seen_here].double().unbind(-1)  # float64 rounds no point into the next pixel
        column = (x * columns / image_size).floor().clamp(0, columns - 1).long()
        row = (y * rows / image_size).floor().clamp(0, rows - 1).long()
        label = labels[row, column].long()
        wrong = (label < 0) | (label >= classes)
        if wrong.any():
            expected, found = f"0 to {classes - 1}", int(label[wrong][0])
            raise ConfigError("no such label", where="label_maps", expected=expected, found=found)
        votes[seen_here, label] += 1  # each point once, so that no two votes meet
    return torch.where(visible.any(0), votes.argmax(1), -1)


def fill_unseen(
    values: Float[Tensor, "n c"], seen: Bool[Tensor, "n"], points: Float[Tensor, "n 3"], k: int = 3
) -> Float[Tensor, "n c"]:
    """Give each point that no view sees the mean of its k nearest seen points; all stay as they are if none is seen."""
    if seen.all() or not seen.any():
        return values
    k = min(k, int(seen.sum()))
    _, index = knn(points[seen], points[~seen], k)
    filled = values.clone()
    filled[~seen] = values[seen][index].mean(1)
    return filled


def rasterize_labels(
    labels: Float[Tensor, "n"] | Bool[Tensor, "n"] | Int[Tensor, "n"], index: Int[Tensor, "v h w"]
) -> Float[Tensor, "v h w"]:
    """The label of each pixel's front point as float32, 0 on the background."""
    return torch.where(index >= 0, labels.float()[index.clamp_min(0)], 0.0)
