"""What an eye sees of a surface: where points come to lie in its picture, and which are hidden."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn.functional import max_pool2d, normalize

from ....geometry.spacing import point_spacing

CELL = 2.0  # of a depth buffer, in spacings of the surface: so wide that the sample is opaque


@dataclass(frozen=True, eq=False)
class View:
    """A picture from an eye.

    Attributes:
        eye: (3,), and axis: (3,) unit vector, where it looks.
        rays: (N, 3) unit vectors from the eye to the points.
        depth: (N,) along the optical axis.
        places: (N, 2) in the picture, in the surface's unit at its middle.
    """

    eye: Tensor
    axis: Tensor
    rays: Tensor
    depth: Tensor
    places: Tensor

    @classmethod
    def of(cls, points: Tensor, eye: Tensor) -> View:
        middle = (points.amin(0) + points.amax(0)) / 2
        axis = normalize(middle - eye, dim=0)
        one, two = across(axis)
        offsets = points - eye
        depth = offsets @ axis
        places = torch.stack([offsets @ one, offsets @ two], 1) * (float((middle - eye).norm()) / depth)[:, None]
        return cls(eye, axis, normalize(offsets, dim=1), depth, places)

    def sees(self, points: Tensor, normals: Tensor, cell: float) -> tuple[Tensor, Tensor, Tensor, tuple[int, int]]:
        """(N,) which points it sees, (N,) their cosines to the ray, the cells (N,) of a depth buffer, and its size."""
        cosine = -(self.rays * normals).sum(1)
        low = self.places.amin(0) - 2 * cell
        column, row = ((self.places - low) / cell).long().unbind(1)
        width, height = int(column.max()) + 3, int(row.max()) + 3
        place = row * width + column
        buffer = torch.full((width * height,), torch.inf).scatter_reduce(0, place, self.depth, "amin")
        nearest = -max_pool2d(-buffer.view(1, height, width), 3, 1, 1).view(-1)
        slope = (1 - cosine.square()).clamp_min(0).sqrt() / cosine.clamp_min(0.1)
        seen = (cosine > 0) & (self.depth <= nearest[place] + cell * (1.5 + 2 * slope))
        return seen, cosine, place, (height, width)


def coverage(points: Tensor, normals: Tensor, eyes: Tensor) -> Bool[Tensor, "n"]:
    """Which points any of the eyes sees; roughly, without errors."""
    spacing, seen = point_spacing(points), torch.zeros(len(points), dtype=torch.bool)
    for eye in eyes:
        seen |= View.of(points, eye).sees(points, normals, CELL * spacing)[0]
    return seen


def across(axis: Tensor) -> tuple[Tensor, Tensor]:
    one = normalize(torch.linalg.cross(axis, torch.eye(3)[int(axis.abs().argmin())]), dim=0)
    return one, torch.linalg.cross(axis, one)
