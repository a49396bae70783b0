"""What `numba_backend` compiles: one view of a cloud, pixel by pixel and point by point.

Every rounding is that of the torch backend, so that both give the same bits: float32 throughout, no contraction, a
quotient of a constant as the product with a reciprocal. Images in a window are rows of numbers, see `window`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .nearest import FINE
from .splat_size import RADIUS_STEP
from .visibility import CORNER

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]
Image = NDArray[np.integer]

_ZERO, _ONE, _HALF, _INF = np.float32(0.0), np.float32(1.0), np.float32(0.5), np.float32(np.inf)
_HALF_DIAGONAL = np.float32(math.sqrt(0.5))
_FINE = np.float32(FINE)
_PLACE = 27  # bits for the number of a pixel
_PLACES, _NOWHERE = (1 << _PLACE) - 1, 1 << 62
_TWO, _CORNER, _RADIUS_STEP = np.float32(2.0), np.float32(CORNER), np.float32(RADIUS_STEP)


def compiled(function: Callable[..., Any]) -> Any:
    """What a checker of types may have wrapped around it is taken off first."""
    return njit(inspect.unwrap(function), nogil=True, cache=True, error_model="numpy")


@compiled
def project(
    points: Floats, rotation: Floats, center: Floats, distance: np.float32, scale: Floats, pixels: Floats, depth: Floats
) -> tuple[Any, ...]:
    """Fill in pixels (N, 2) and depths (N,), as `Cameras.project` does.

    Args:
        points, rotation, center, distance: (N, 3), (3, 3), (3,) and a number.
        scale: (3,) half the image's side; the focal length; and the pixels per unit at all depths, or 0 in perspective.
        pixels, depth: to fill in.

    Returns:
        The least and the largest x and y, and the least depth.
    """
    half, focal, constant = scale
    left, right, top, bottom, near = _INF, -_INF, _INF, -_INF, _INF
    for n in range(len(points)):
        x, y, z = points[n, 0] - center[0], points[n, 1] - center[1], points[n, 2] - center[2]
        across = rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z
        up = rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z
        ahead = distance - (rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z)
        unit = _pixels_per_unit(ahead, focal, constant)
        column, row = half + unit * across, half - unit * up
        pixels[n, 0], pixels[n, 1], depth[n] = column, row, ahead
        left, right, top, bottom = min(left, column), max(right, column), min(top, row), max(bottom, row)
        near = min(near, ahead)
    return left, right, top, bottom, near


@compiled
def find_front(pixels: Floats, depth: Floats, window: Ints, home: Ints, front: Ints, nearest: Floats) -> None:
    """Fill in the pixels that points fall into, and the nearest point of each pixel with its depth.

    Args:
        pixels, depth: (N, 2) and (N,).
        window: left, top, width, height, margin.
        home: (N,) to fill in; 0 for what falls outside.
        front, nearest: (H·W,), −1 and +inf all over.
    """
    left, top, width, height, margin = window
    for n in range(len(depth)):
        column = min(max(np.floor(pixels[n, 0]) - np.float32(left), np.float32(margin - 1)), np.float32(width - margin))
        row = min(max(np.floor(pixels[n, 1]) - np.float32(top), np.float32(margin - 1)), np.float32(height - margin))
        inside = depth[n] > 0 and margin <= column < width - margin and margin <= row < height - margin
        home[n] = np.int32(row) * width + np.int32(column) if inside else 0
        if inside and depth[n] < nearest[home[n]]:
            front[home[n]], nearest[home[n]] = n, depth[n]


@compiled
def encode(nearest: Floats, window: Ints, bits: int, steps: int, codes: Image) -> None:
    """Fill in the codes (H·W,) of depths, see `Codes.encode`."""
    width = window[2]
    low, high = _INF, _ZERO
    for depth in nearest:
        low = min(low, depth)
        if depth < _INF:
            high = max(high, depth)
    scale = _ONE / max(high - low, np.float32(1e-30)) * np.float32(steps - 4)
    mask = (1 << bits) - 1
    for row in range(len(nearest) // width):
        for column in range(width):
            depth = nearest[row * width + column]
            step = np.int64(min(max((depth - low) * scale, _ZERO), np.float32(steps))) if depth < _INF else steps
            codes[row * width + column] = step << 2 * bits | (row & mask) << bits | (column & mask)


@compiled
def draw_splats(
    nearest: Floats,
    codes: Image,
    bits: int,
    nothing: int,
    limits: Floats,
    squares: Floats,
    window: Ints,
    owner: Ints,
    solid: Bools,
) -> None:
    """Fill in the pixels whose splats are in front, and the closing: `drawing.splats_and_closing`.

    Args:
        nearest, codes: (H·W,) depths and codes of the front points.
        bits, nothing: of the codes.
        limits, squares: (D,) of the discs, by rising depth.
        window: left, top, width, height, margin.
        owner: (H·W,) to fill in, 0 for none.
        solid: (H·W,) to fill in.
    """
    width, count = window[2], len(codes)
    best, image, wide, drawn = codes.copy(), np.empty_like(codes), np.empty_like(codes), np.empty_like(codes)
    cover, long, whole = np.empty(count, np.uint8), np.empty(count, np.uint8), np.empty(count, np.uint8)
    for disc in range(len(limits)):
        limit, before = limits[disc], limits[disc - 1] if disc else _ZERO
        needed = False
        for at in range(count):
            needed |= (before <= nearest[at]) & (nearest[at] < limit) & (not solid[at])
            image[at] = codes[at] if nearest[at] < limit else nothing
        if needed:
            rows = range(int(math.sqrt(squares[disc])) + 1)
            half = np.array([int(math.sqrt(squares[disc] - down * down)) for down in rows])
            _least_of_disc(image, half, width, wide, drawn)
            for at in range(count):
                best[at] = min(best[at], drawn[at])
                cover[at] = drawn[at] < nothing
            _least_of_disc(cover, half, width, long, whole)
            for at in range(count):
                solid[at] |= whole[at] > 0
    reach, mask = (1 << bits) >> 1, (1 << bits) - 1
    for row in range(-reach, count // width - reach):
        for column in range(-reach, width - reach):
            at = (row + reach) * width + column + reach
            down, right = ((best[at] >> bits) - row & mask) + row, (best[at] - column & mask) + column
            owner[at] = down * width + right if best[at] < nothing else 0
            solid[at] |= codes[at] < nothing


@compiled
def _least_of_disc(image: Image, half: NDArray[np.int64], width: int, wide: Image, least: Image) -> None:
    """Fill in the least value of the disc around each pixel, see `Disc.join`; `half` has the half width of its rows."""
    wide[:] = image
    least[:] = image
    joined = 0
    for down in range(len(half) - 1, -1, -1):
        for step in range(joined + 1, half[down] + 1):
            _least(wide, image, step)
        joined = half[down]
        _least(least, wide, down * width)


@compiled
def _least(into: Image, image: Image, step: int) -> None:
    """Lower each value to those of the image at `step` before it and behind it."""
    before, inner, behind = image[: len(image) - 2 * step], into[step : len(into) - step], image[2 * step :]
    for at in range(len(inner)):
        inner[at] = min(inner[at], min(before[at], behind[at]))


@compiled
def see(
    rows: Floats,
    depth: Floats,
    home: Ints,
    front: Ints,
    nearest: Floats,
    owner: Ints,
    eye: Floats,
    splat: Floats,
    parallel: bool,
    window: Ints,
    side: int,
    visible: Bools,
) -> None:
    """Fill in which points a view sees, (N,): `drawing.see`.

    Args:
        rows: (N, 6) of the `Surface`.
        depth, home: (N,) of the points.
        front, nearest, owner: (H·W,) of the window.
        eye: (3,) of the `Surface`.
        splat: (6,) radius at a scale of one pixel per unit; its least and its largest value; the tolerance; the focal
            length; and the pixels per unit at all depths, or 0.
        parallel: whether `eye` is a direction.
        window: left, top, width, height, margin.
        side: of the picture.
        visible: to fill in.
    """
    left, top, width = window[:3]
    size, least, largest, tolerance, focal, constant = splat
    zbuffer = np.full(len(owner), -_INF)  # so that nothing is seen beside the picture
    for row in range(max(0, -top), min(len(owner) // width, side - top)):
        for at in range(row * width + max(0, -left), row * width + min(width, side - left)):
            zbuffer[at] = nearest[owner[at]]
    zbuffer[0] = -_INF  # what falls outside falls into this pixel
    unsure, some = np.empty(len(depth), np.int32), 0
    for n in range(len(depth)):
        unit = _pixels_per_unit(depth[n], focal, constant)
        reach = (min(max(size * unit, least), largest) + _HALF_DIAGONAL) / unit
        behind = depth[n] - zbuffer[home[n]]
        visible[n] = behind <= reach * tolerance
        facing, aside = abs(_facing(rows, n, eye, parallel)), reach * _RADIUS_STEP
        bound = _TWO * (aside + reach * tolerance)
        hopeless = facing * behind > bound if parallel else (facing * _CORNER - aside) * behind > bound * depth[n]
        unsure[some] = n
        some += (not visible[n]) & (behind < _INF) & (not hopeless)
    for n in unsure[:some]:
        unit = _pixels_per_unit(depth[n], focal, constant)
        slack = (min(max(size * unit, least), largest) + _HALF_DIAGONAL) / unit * tolerance
        visible[n] = _on_one_piece(rows, n, front[owner[home[n]]], eye, slack, parallel)


@compiled
def _on_one_piece(rows: Floats, own: int, other: int, eye: Floats, slack: np.float32, parallel: bool) -> bool:
    """As `Surface.on_one_piece`."""
    near, far = _side(rows, own, eye, parallel), _side(rows, other, eye, parallel)
    step, squared = _ZERO, _ZERO
    for axis in range(3):
        mean = near * rows[own, 3 + axis] + far * rows[other, 3 + axis]
        step += (rows[own, axis] - rows[other, axis]) * mean
        squared += mean * mean
    length = np.sqrt(squared)
    return abs(step) <= length * slack and length > _ZERO


@compiled
def _side(rows: Floats, point: int, eye: Floats, parallel: bool) -> np.float32:
    cosine = _facing(rows, point, eye, parallel)
    return _ONE if cosine > _ZERO else (-_ONE if cosine < _ZERO else _ZERO)


@compiled
def _facing(rows: Floats, point: int, eye: Floats, parallel: bool) -> np.float32:
    """Product of a point's normal with the way from the point to the eye, or with the direction of it."""
    product = _ZERO
    for axis in range(3):
        product += (eye[axis] if parallel else eye[axis] - rows[point, axis]) * rows[point, 3 + axis]
    return product


@compiled
def show(
    pixels: Floats,
    front: Ints,
    nearest: Floats,
    owner: Ints,
    solid: Bools,
    reach: int,
    window: Ints,
    visible: Bools,
    index: NDArray[np.int64],
    depth: Floats,
) -> None:
    """Fill in what the picture shows, and that what fills a hole is seen.

    Args:
        pixels: (N, 2) where points fall.
        front, nearest, owner, solid: (H·W,) of the window.
        reach: of the search for the point that falls nearest to a pixel's centre.
        window: left, top, width, height, margin.
        visible: (N,).
        index, depth: (S, S), −1 and +inf all over.
    """
    left, top, width = window[:3]
    height, side = len(front) // width, len(index)
    rows, columns = range(max(0, -top), min(height, side - top)), range(max(0, -left), min(width, side - left))
    best, chosen = np.full(len(front), _NOWHERE), np.zeros(len(front), np.int32)
    for at in range(len(front)):
        if front[at] < 0 or not visible[front[at]]:
            continue
        right = _offset(np.float32(at % width), np.float32(left), pixels[front[at], 0])
        below = _offset(np.float32(at // width), np.float32(top), pixels[front[at], 1])
        for down in range(-reach, reach + 1):
            vertical = (below - FINE * down) * (below - FINE * down)
            line = best[at - down * width - reach : at - down * width + reach + 1]
            for step in range(len(line)):
                offset = right - FINE * (reach - step)
                line[step] = min(line[step], (offset * offset + vertical) << _PLACE | at)
    for row in rows:
        for column in columns:
            at = row * width + column
            if not solid[at]:
                continue
            if best[at] < _NOWHERE:
                chosen[at] = best[at] & _PLACES
            else:  # a hole
                cover = owner[at]
                chosen[at] = cover if cover // width in rows and cover % width in columns else at
                if front[chosen[at]] >= 0:
                    visible[front[chosen[at]]] = True
            if front[chosen[at]] >= 0:
                index[top + row, left + column] = front[chosen[at]]
                depth[top + row, left + column] = nearest[chosen[at]]


@compiled
def _offset(pixel: np.float32, first: np.float32, place: np.float32) -> np.int64:
    """From a point to its pixel's centre, in steps of which a pixel has `FINE`."""
    return np.int64(min(max(np.rint((pixel + (first + _HALF) - place) * _FINE), -_FINE), _FINE))


@compiled
def _pixels_per_unit(depth: np.float32, focal: np.float32, constant: np.float32) -> np.float32:
    if constant > _ZERO:
        return constant
    return _ONE / (depth if depth > _ZERO else _ONE) * focal
