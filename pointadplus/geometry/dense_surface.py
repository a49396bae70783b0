"""Dense scans at their own density: the shape around any point of a surface, against what is usual around it."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from .descriptors import AROUND, outward_normals
from .exposure import oriented
from .local_shape import FRAME_COLUMNS, QUADRIC_COLUMNS, fit_quadrics, frame_columns, mean_radius, quadric_columns
from .neighbors import Neighbors
from .normals import local_frames, offsets_to
from .spacing import point_spacing

# All ours. Lengths are shares of the object's diagonal, or spacings of the scan.
SCALES, NEIGHBORS = 4, 48  # radii from the finest to the widest, evenly on a logarithmic scale; points within each
FINEST, LEAST, WIDEST = 2.5, 0.002, 0.04  # the finest radius in spacings, but no less; and the widest
NODES, SUPPORT = 8192, 20_000  # points whose normals tell which way is out, and points that these come from
USUAL, AROUND_IT = 4096, 32  # points that tell what is usual, and so many of the nearest of them for each place
OWN = 0.3  # of the whole surface's spread, added to that around a place
HEIGHT, OFFSET, ROUGH = 2e-4, 3e-4, 1e-6  # about the noise of a good scan, by which lengths are squashed
CHUNK = 4096
_SCALE_COLUMNS = len(FRAME_COLUMNS) + len(QUADRIC_COLUMNS) + 3
FINE_FEATURES = 3 * SCALES * _SCALE_COLUMNS + 2
"""Length of what `DenseSurface.describe` tells of a point."""


class DenseSurface:
    """A dense scan, and what is usual on it.

    Args:
        points: (N, 3) in the normalised frame, where the diagonal is about 1; in random order, the first ones spread
            evenly (`sampling.even_order`), N ≥ 20,000.
    """

    def __init__(self, points: Float[Tensor, "n 3"]) -> None:
        self.points, self.spacing = points, point_spacing(points)
        nodes = points[:NODES]
        self._nodes = Neighbors(nodes)
        outward = outward_normals(points[:SUPPORT], len(nodes))
        self._normals = oriented(nodes, outward, self._nodes.nearest(nodes, AROUND + 1)[1])
        finest = max(FINEST * self.spacing, LEAST)
        growth = max(WIDEST / finest, 2.0) ** (1 / (SCALES - 1))
        within = [math.pi * (finest * growth**scale / self.spacing) ** 2 for scale in range(SCALES)]
        levels = [points[: max(NEIGHBORS, int(len(points) * min(1.0, NEIGHBORS / each)))] for each in within]
        self._levels = [(level, Neighbors(level)) for level in levels]
        references = points[:USUAL]
        self._references = Neighbors(references)
        shapes = self._shapes(references)
        self._median, self._spread = _middle(shapes, 0)
        around = self._references.nearest(references, AROUND_IT)[1]
        parts = [_middle(shapes[part], 1) for part in around.split(CHUNK // 8)]
        self._medians, self._spreads = (torch.cat(each) for each in zip(*parts, strict=True))

    def describe(self, places: Float[Tensor, "q 3"]) -> Float[Tensor, "q f"]:
        """The shape around points of the surface: (Q, `FINE_FEATURES`) float32, invariant under rotation.

        At each of four scales principal axes and a quadric, then the same against what is usual around the place, and
        on the whole surface, in median absolute deviations.
        """
        return torch.cat([self._described(part) for part in places.split(CHUNK)])

    def _described(self, places: Tensor) -> Tensor:
        shapes = self._shapes(places)
        near = self._references.nearest(places, 1)[1][:, 0]
        there = torch.asinh((shapes - self._medians[near]) / (self._spreads[near] + OWN * self._spread))
        all_over = torch.asinh((shapes - self._median) / self._spread)
        whole = torch.tensor([math.log(self.spacing), float(self._median[-2 * SCALES])])  # and the usual roughness
        return torch.cat([shapes, there, all_over, whole.expand(len(shapes), 2)], 1)

    def _shapes(self, places: Tensor) -> Float[Tensor, "q c"]:
        outward = self._normals[self._nodes.nearest(places, 1)[1][:, 0]]
        frames, quadrics = [], []
        for level, index in self._levels:
            offsets = offsets_to(level, places, index.nearest(places, NEIGHBORS)[1])
            frames.append(local_frames(offsets))
            quadrics.append(quadric_columns(fit_quadrics(offsets, frames[-1]), frames[-1], outward))
        sizes = torch.stack([mean_radius(frame) for frame in frames], 1)
        heights = torch.stack([quadric[:, 0] for quadric in quadrics], 1) * sizes
        rough = torch.stack([quadric[:, 2] for quadric in quadrics], 1) * sizes
        offset = torch.stack([(frame.mean * outward).sum(1) for frame in frames], 1)
        lengths = torch.asinh(heights / HEIGHT), (rough + ROUGH).log(), torch.asinh(offset / OFFSET)
        return torch.cat([*(frame_columns(frame, outward) for frame in frames), *quadrics, *lengths], 1)


def _middle(values: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Median and median absolute deviation along an axis."""
    median = values.median(dim, keepdim=True).values
    spread = (values - median).abs().median(dim).values.clamp_min(1e-4)
    return median.squeeze(dim), spread
