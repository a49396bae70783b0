"""The Numba backend: the same pictures as torch draws on a CPU, by loops that are compiled on first use.

Compiling takes some seconds once for an installation; Numba keeps the result. It needs no compiler.
"""

from __future__ import annotations

import importlib
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigError, install_command
from .drawing import MAX_REACH
from .splat_size import SplatSize
from .splatting import Codes
from .views import Views
from .visibility import Surface
from .window import Window


def draw_numba(views: Views, points: Tensor, surface: Surface, size: SplatSize) -> None:
    """`draw` with the same arguments and the same result; the views may be from several distances.

    Raises:
        ConfigError: Numba is missing, or the points are not on a CPU.
    """
    if points.device.type != "cpu":
        raise ConfigError("backend of another device", where="backend", expected="'torch'", found="'numba'")
    kernels = _kernels()
    parts = [views[view : view + 1] for view in range(len(views))]
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # a kernel releases the interpreter
        list(pool.map(lambda part: _draw(kernels, part, points, surface, replace(size, cameras=part.cameras)), parts))


def _draw(kernels: ModuleType, views: Views, points: Tensor, surface: Surface, size: SplatSize) -> None:
    """One view."""
    cameras, config = views.cameras, size.config
    side = cameras.image_size
    rotation, center, distance = (t[0].numpy() for t in (cameras.rotation, cameras.center, cameras.distance))
    constant = float(cameras.pixels_per_unit(cameras.distance)[0]) if cameras.orthographic else 0.0
    pixels, visible = views.pixels[0].numpy(), views.visible[0].numpy()
    depth, home = np.empty(len(points), np.float32), np.empty(len(points), np.int32)
    scale = np.array([0.5 * side, cameras.focal, constant], np.float32)
    left, right, top, bottom, near = kernels.project(points.numpy(), rotation, center, distance, scale, pixels, depth)

    reach = size.discs(max(near, 0.0), math.inf)[0].reach
    window = Window.between((left, right), (top, bottom), side, 2 * reach)
    place = np.array([window.left, window.top, window.width, window.height, window.margin], np.int32)
    front, nearest = np.full(window.size, -1, np.int32), np.full(window.size, np.inf, np.float32)
    kernels.find_front(pixels, depth, place, home, front, nearest)

    codes = Codes(window, reach)
    coded = np.empty(window.size, np.int64 if codes.wide else np.int32)
    kernels.encode(nearest, place, codes.bits, codes.steps, coded)
    some = nearest[front >= 0]
    discs = size.discs(float(some.min()), float(some.max())) if len(some) else []
    limits, squares = (np.array([getattr(disc, name) for disc in discs], np.float32) for name in ("limit", "squared"))
    owner, solid = np.empty(window.size, np.int32), np.zeros(window.size, np.bool_)
    kernels.draw_splats(nearest, coded, codes.bits, codes.nothing, limits, squares, place, owner, solid)

    unit = config.splat * size.spacing
    splat = [unit, config.min_radius, size.largest, config.tolerance, cameras.focal, constant]
    splat, eye = np.array(splat, np.float32), surface.eyes(cameras)[0].numpy()
    rows, parallel = surface.rows.numpy(), cameras.orthographic
    kernels.see(rows, depth, home, front, nearest, owner, eye, splat, parallel, place, side, visible)
    around = min(round(config.core * float(size.radius(cameras.distance))), MAX_REACH)
    index, shown = views.index[0].numpy(), views.depth[0].numpy()
    kernels.show(pixels, front, nearest, owner, solid, around, place, visible, index, shown)


def _kernels() -> ModuleType:
    try:
        return importlib.import_module(".numba_kernels", __package__)
    except ImportError as error:
        raise ConfigError(
            "Numba is missing or does not load",
            where="backend",
            expected="numba 0.60 or newer",
            found=str(error),
            hint=install_command("numba"),
        ) from error
