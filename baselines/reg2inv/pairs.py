"""Training pairs: a scan, and itself turned, sampled anew and cropped."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .config import Reg2InvConfig
from .scan import Scan, surface_normals, thinned


@dataclass(frozen=True, eq=False)
class SourceView:
    """The turned copy of a scan.

    Attributes:
        points, normals: (M, 3) of the copy, at the resolution of the voxel.
        rotation, translation: (3, 3) and (3,), of the motion onto the scan: x ↦ R x + t.
    """

    points: Float[Tensor, "m 3"]
    normals: Float[Tensor, "m 3"]
    rotation: Float[Tensor, "3 3"]
    translation: Float[Tensor, "3"]

    def moved(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Points of the copy where they lie on the scan."""
        return points @ self.rotation.T + self.translation


def random_rotation(generator: torch.Generator, euler_angles: bool = False) -> Float[Tensor, "3 3"]:
    """A random rotation, (3, 3) float32: uniform over all (Shoemake, 1992), or of three uniform Euler angles.

    Args:
        generator: on the CPU.
        euler_angles: turn about z, y and x, fixed axes, in that order, by angles uniform in [0, 2π), as released.
    """
    if euler_angles:
        (a, b, c), turn = (torch.rand(3, generator=generator) * 2 * math.pi).tolist(), torch.eye(3, dtype=torch.float64)
        for axis, angle in ((2, a), (1, b), (0, c)):
            i, j = (axis + 1) % 3, (axis + 2) % 3
            step = torch.eye(3, dtype=torch.float64)
            step[i, i] = step[j, j] = math.cos(angle)
            step[j, i] = math.sin(angle)
            step[i, j] = -math.sin(angle)
            turn = step @ turn
        return turn.float()
    quaternion = torch.randn(4, generator=generator, dtype=torch.float64)
    w, x, y, z = (quaternion / quaternion.norm()).tolist()
    return torch.tensor(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def crop(points: Float[Tensor, "n 3"], count: int, generator: torch.Generator) -> Float[Tensor, "k"]:
    """Indices, ascending, of the `count` points that lie farthest along a random direction; (min(count, N),) int64.

    The direction has uniform spherical angles, as released, so the poles of z are a little favoured.
    """
    phi, theta = (torch.rand(2, generator=generator) * torch.tensor([2 * math.pi, math.pi])).tolist()
    direction = torch.tensor(
        [math.sin(theta) * math.cos(phi), math.sin(theta) * math.sin(phi), math.cos(theta)], dtype=points.dtype
    )
    height = (points * direction).sum(1)
    return height.argsort(descending=True, stable=True)[:count].sort().values


def draw_source(scan: Scan, kept: int, config: Reg2InvConfig, generator: torch.Generator) -> SourceView:
    """Turn and shift the whole scan, thin it to the grid, which now samples it differently, and crop it.

    Args:
        scan: normalised.
        kept: points of the uncropped reference, whose share `config.training.keep` the crop keeps.
        config: of the method.
        generator: on the CPU, of everything random.
    """
    training = config.training
    rotation = random_rotation(generator, training.euler_angles)
    translation = (2 * torch.rand(3, generator=generator) - 1) * training.translation
    # x_source = Rᵀ (x − t), in rows: (x − t) R.
    points, sides = thinned((scan.points - translation) @ rotation, scan.normals @ rotation, config.voxel)
    low, high = (round(share * kept) for share in training.keep)
    count = int(torch.randint(low, max(low, high) + 1, (), generator=generator))
    inside = crop(points, max(count, 1), generator)
    points, sides = points[inside], sides[inside]
    return SourceView(points, surface_normals(points, sides, config.network.normal_neighbors), rotation, translation)
