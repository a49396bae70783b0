"""A surface known by points with normals: how far others lie from it, and moving them onto it by many ICPs at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from .neighbors import Neighbors
from .registration import rotation_from_axis_angle
from .spacing import point_spacing

_AT_ONCE = 256  # motions that are glanced at together
_FLAT = 2.0  # spacings within which the tangent plane of the nearest point stands for the surface


class Surface:
    """Points with normals, and a tree over them.

    Args:
        points: (S, 3) float32, of any unit; `refine` takes lengths about 1 for granted.
        normals: (S, 3) unit; their signs do not matter to `distances` and `refine`.

    Attributes:
        spacing: of the points, see `point_spacing`.
    """

    def __init__(self, points: Float[Tensor, "s 3"], normals: Float[Tensor, "s 3"]) -> None:
        self.points, self.normals = points.double(), normals.double()
        self._tree = Neighbors(self.points)
        self.spacing = point_spacing(points)

    def distances(self, points: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b"]:
        """How far points lie from the nearest tangent plane, but no nearer than two spacings less than from its point.
        float64."""
        near, index = self._nearest(points)
        plane = ((points - self.points[index]) * self.normals[index]).sum(-1).abs()
        return torch.maximum(plane, (near - _FLAT * self.spacing).clamp_min(0))

    def offsets(
        self, points: Float[Tensor, "*b 3"], k: int = 3
    ) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b 3"], Float[Tensor, "*b"]]:
        """Where points lie over the surface, and how far beside all of it.

        Returns:
            heights over the nearest of the k nearest tangent planes (beside an edge the nearest point may lie on the
            other face), positive on the side of the plane's normal; that normal; and the distance to the nearest point
            less two spacings, not below 0. float64.
        """
        near, index = self._nearest(points, k)
        normals = self.normals[index]
        heights = ((points[..., None, :] - self.points[index]) * normals).sum(-1)
        nearest = heights.abs().argmin(-1, keepdim=True)
        normal = normals.gather(-2, nearest[..., None].expand(*nearest.shape, 3))[..., 0, :]
        return heights.gather(-1, nearest)[..., 0], normal, (near[..., 0] - _FLAT * self.spacing).clamp_min(0)

    def refine(
        self,
        points: Float[Tensor, "n 3"],
        rotations: Float[Tensor, "h 3 3"],
        translations: Float[Tensor, "h 3"],
        steps: int,
        start: float,
        end: float,
        damping: float = 1e-4,
    ) -> tuple[Tensor, Tensor]:
        """Some steps of ICP from each of several motions at once, point to plane (Chen and Medioni, 1992).

        The residual that halves a point's weight (Geman and McClure, 1987) goes from `start` down to `end`. Motions
        that mirror stay mirroring. All float64.
        """
        eye = torch.eye(6, dtype=torch.float64)
        for step in range(steps):
            scale = start * (end / start) ** (step / max(1, steps - 1))
            moved = self._moved(points, rotations, translations)
            near, index = self._nearest(moved)
            normals, offset = self.normals[index], moved - self.points[index]
            weight = (1 + (near / scale).square()).square().reciprocal()
            residual = (offset * normals).sum(-1)
            jacobian = torch.cat([torch.linalg.cross(moved, normals), normals], -1)
            weighted = jacobian * weight[..., None]
            square = (weighted.mT @ jacobian).double()
            # A direction that the surface says nothing about (a turn about its axis) stays where it is.
            damped = square + damping * square.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * eye + 1e-12 * eye
            twist = torch.linalg.solve(damped, -(weighted.mT @ residual[..., None]).double())[..., 0]
            turn = rotation_from_axis_angle(twist[:, :3])
            rotations = turn @ rotations
            translations = (turn @ translations[..., None])[..., 0] + twist[:, 3:]
        return rotations, translations

    def misfits(
        self,
        points: Float[Tensor, "n 3"],
        rotations: Float[Tensor, "h 3 3"],
        translations: Float[Tensor, "h 3"],
        most: float,
    ) -> Float[Tensor, "h"]:
        """Mean distance of moved points from the surface, each counted up to `most`."""
        return self.distances(self._moved(points, rotations, translations)).clamp_max(most).mean(1)

    def _moved(self, points: Tensor, rotations: Tensor, translations: Tensor) -> Float[Tensor, "h n 3"]:
        kind = self.points.dtype
        turned = rotations.to(kind).flatten(0, 1) @ points.to(kind).T  # one product: batched ones take 7 times as long
        return turned.view(-1, 3, len(points)).mT + translations[:, None].to(kind)

    def _nearest(self, points: Tensor, k: int = 1) -> tuple[Float[Tensor, "*b"], Int[Tensor, "*b"]]:
        near, index = self._tree.nearest(points, k)
        return (near[..., 0], index[..., 0]) if k == 1 else (near, index)


class CoarseSurface(Surface):
    """The same for a first look, in float32, on a grid: the nearest point is that of the nearest cell which holds any.

    Args:
        surface: what it is of.
        cells: along the longest side of the grid, at most 256.
        margin: around the surface that the grid covers; what is farther out finds what its border does.
    """

    def __init__(self, surface: Surface, cells: int, margin: float) -> None:
        self.points, self.normals, self.spacing = surface.points.float(), surface.normals.float(), surface.spacing
        low, high = surface.points.amin(0) - margin, surface.points.amax(0) + margin
        cell = float((high - low).max()) / (cells - 1)
        self._low, self._per_length, self._cells = low.float(), 1 / cell, cells
        self._strides = torch.tensor([cells**2, cells, 1], dtype=torch.float32)
        first = np.full(cells**3, -1)
        at = self._places(self.points).numpy()
        first[at[::-1]] = np.arange(len(at))[::-1]  # of the points in a cell, the first
        found: Any = distance_transform_edt(first.reshape((cells,) * 3) < 0, sampling=cell, return_indices=True)
        self._map = torch.from_numpy(found[0].ravel()).float()
        self._index = torch.from_numpy(first[np.ravel_multi_index(tuple(found[1]), (cells,) * 3).ravel()])

    def glances(
        self,
        points: Float[Tensor, "n 3"],
        rotations: Float[Tensor, "h 3 3"],
        translations: Float[Tensor, "h 3"],
        most: float,
    ) -> Float[Tensor, "h"]:
        """As `misfits`, to about a cell: mean distance from moved points' cells to the nearest that holds any."""
        parts = zip(rotations.split(_AT_ONCE), translations.split(_AT_ONCE), strict=True)
        nearness = self._map.clamp_max(most)
        return torch.cat([nearness[self._places(self._moved(points, *part))].mean(1) for part in parts])

    def _places(self, points: Tensor) -> Int[Tensor, "*b"]:
        cells = ((points - self._low) * self._per_length).round_().clamp_(0, self._cells - 1)
        return (cells @ self._strides).long()  # whole numbers below 2²⁴, exact

    def _nearest(self, points: Tensor, k: int = 1) -> tuple[Float[Tensor, "*b"], Int[Tensor, "*b"]]:
        assert k == 1
        index = self._index[self._places(points)]
        return (points - self.points[index]).square().sum(-1).sqrt(), index
