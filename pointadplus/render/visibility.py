"""Which points of a cloud does a view see, given the splats that say what hides what?

A point is seen if it is hardly deeper than the splat before it, or on the same piece of surface as the point that draws
the splat: if the step between the two is across the mean of their normals, both turned towards the eye. On a plane and
on a circle it is so exactly. So a surface that runs away from the eye or bends at an edge does not hide its own points,
and a thin wall hides its back however it is inclined.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .cameras import Cameras, centroid

CORNER = 0.75  # cosine between the optical axis and the ray through a picture's corner, at least


@dataclass(frozen=True, eq=False)
class Surface:
    """Points and normals in two layouts: rows for a gather of some, coordinates for arithmetic on all.

    Attributes:
        rows: (N, 6) points from their mean, and normals of length 1, or 0 where there is none.
        mean: (3,) of the points.
    """

    rows: Float[Tensor, "n 6"]
    mean: Float[Tensor, "3"]

    @classmethod
    def of(cls, points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Surface:
        mean = centroid(points)
        rows = points.new_empty(len(points), 6)
        torch.sub(points, mean, out=rows[:, :3])
        rows[:, 3:] = normals
        return cls(rows, mean)

    @cached_property
    def normals(self) -> Float[Tensor, "3 n"]:
        """Those of the rows."""
        return self.rows[:, 3:].T.contiguous()

    @cached_property
    def offset(self) -> Float[Tensor, "n"]:
        """(N,) product of point and normal."""
        return (self.rows[:, :3] * self.rows[:, 3:]).sum(1)

    def eyes(self, cameras: Cameras) -> Float[Tensor, "v 3"]:
        """From the mean; the directions to them if rays are parallel."""
        return cameras.rotation[:, 2] if cameras.orthographic else cameras.eyes() - self.mean

    def hopeless(
        self,
        cameras: Cameras,
        part: slice,
        depth: Float[Tensor, "v m"],
        behind: Float[Tensor, "v m"],
        aside: Float[Tensor, "v m"],
        slack: Float[Tensor, "v m"],
    ) -> Bool[Tensor, "v m"]:
        """Points so far behind a splat that whatever its normal, they are not on one piece with it.

        The mean of two unit normals that are turned towards the eye stands at least half as far towards it as one of
        them does, but for the angle between the two lines of sight. So the step rises at least that share of `behind`
        along the mean, less what it goes `aside`. It asks for little: most hidden points of closed objects are such.

        Args:
            cameras: of V views.
            part: the M points that are asked for.
            depth: (V, M) of them.
            behind: (V, M) how much deeper they are than the splats before them, in the unit of the points.
            aside: (V, M) how far the two may be apart across the line of sight, in the same unit.
            slack: (V, M) of `on_one_piece`.
        """
        eyes = self.eyes(cameras)
        cosine = eyes[:, 0, None] * self.normals[0, part]
        for axis in (1, 2):
            cosine.add_(eyes[:, axis, None] * self.normals[axis, part])
        if not cameras.orthographic:
            cosine.sub_(self.offset[part]).mul_(CORNER).div_(depth)
        cosine.abs_()
        if not cameras.orthographic:
            cosine.sub_(aside / depth)
        return cosine.mul_(behind) > 2.0 * (aside + slack)

    def on_one_piece(
        self,
        points: Int[Tensor, "m"],
        front: Int[Tensor, "m"],
        eyes: Float[Tensor, "#m 3"],
        slack: Float[Tensor, "m"],
        parallel: bool,
    ) -> Bool[Tensor, "m"]:
        """Whether points lie on the same piece of surface as those before them; never without a normal.

        Args:
            points, front: their numbers.
            eyes: (M, 3), or (1, 3) for all, of `eyes`.
            slack: (M,) how far the step may rise along the mean normal, in the unit of the points.
            parallel: whether `eyes` are directions.
        """
        own, other = (self.rows.index_select(0, at).unbind(1) for at in (points, front))
        step, squared = torch.zeros_like(slack), torch.zeros_like(slack)
        sides = [_side(row, eyes.unbind(1), parallel) for row in (own, other)]
        for axis in range(3):
            mean = (sides[0] * own[3 + axis]).add_(sides[1] * other[3 + axis])
            step.add_((own[axis] - other[axis]).mul_(mean))
            squared.add_(mean.mul_(mean))
        length = squared.sqrt_()
        return (step.abs_() <= length * slack) & (length > 0)


def _side(row: tuple[Tensor, ...], eye: tuple[Tensor, ...], parallel: bool) -> Tensor:
    """1 where a normal is turned to the eye, −1 where away from it."""
    cosine = torch.zeros_like(row[0])
    for axis in range(3):
        cosine.add_((eye[axis] if parallel else eye[axis] - row[axis]) * row[3 + axis])
    return cosine.sign_()
