"""Life: what tells things from their drawings. They are bent a little, lumpy, and unevenly worn.

Space itself is moved, by transverse waves (their displacement is at right angles to their direction). The two faces of
a thin wall so move alike and never meet, and there is nothing lone that could be taken for a defect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import torch
from jaxtyping import Float
from torch import Tensor

# All ours; lengths in a solid two wide.
BEND_LENGTHS, BEND_WAVES = (0.5, 2.0), 6
BEND_HEIGHT = 0.004, 0.025  # root mean square
BEND_SLOPE = 0.1  # of the displacement, at most
LUMP_LENGTHS, LUMP_WAVES = (0.08, 1.5), 20
LUMP_HEIGHT = 0.001, 0.006
LUMP_SLOPE = 0.12
FALL = 0.8, 1.3  # exponents with which the amplitude grows with the wavelength
WEAR_LENGTHS, WEAR_WAVES = (1.0, 2.5), 4  # of the change between smooth and rough regions
UNEVEN = 0.6  # probability that lumps are worn away in places
LEAST = 0.4  # share of the lumps that is left where they are worn most
FREE, EXACT = (0.4, 0.5, 1.0), (0.15, 0.2, 0.4)  # probabilities of bending and of lumps, and a factor on the heights


@dataclass(frozen=True, eq=False)
class Warp:
    """A displacement of space, ∑ₖ aₖ·sin(wₖ·p + φₖ), weakened in places.

    Attributes:
        vectors: (K, 3), w, radians a unit.
        phases: (K, 1), φ.
        moves: (K, 3), a, each at right angles to its w.
        wear: how much of it is left: drawn alike, each a number, and brought into (0, 1); None leaves all.
    """

    vectors: Tensor
    phases: Tensor
    moves: Tensor
    wear: tuple[Tensor, Tensor] | None = None

    def __call__(
        self, points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]
    ) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"], Float[Tensor, " n"]]:
        """Move points; returns the moved points, their unit normals, and the factor by which area grew around them."""
        vectors, phases, moves = (part.to(points) for part in (self.vectors, self.phases, self.moves))
        angles = torch.addmm(phases, vectors, points.T)
        shift = torch.sin(angles).T @ moves
        products = (moves[:, :, None] * vectors[:, None]).flatten(1)
        jacobian = (torch.cos(angles).T @ products).view(-1, 3, 3)
        if self.wear is not None:
            vectors, phases = (part.to(points) for part in self.wear)
            angles = torch.addmm(phases, vectors, points.T)
            share = torch.sigmoid(0.8 * torch.sin(angles).sum(0))
            left = LEAST + (1 - LEAST) * share
            slope = (0.8 * (1 - LEAST) * share * (1 - share))[:, None] * (torch.cos(angles).T @ vectors)
            jacobian = left[:, None, None] * jacobian + shift[:, :, None] * slope[:, None]
            shift = left[:, None] * shift
        a, b, c = (jacobian + torch.eye(3).to(points)).unbind(2)
        # The cofactors of the Jacobian turn area vectors, those of the surface too.
        area = torch.cross(b, c, dim=1) * normals[:, :1]
        area = area + torch.cross(c, a, dim=1) * normals[:, 1:2] + torch.cross(a, b, dim=1) * normals[:, 2:]
        growth = area.norm(dim=1).clamp(min=1e-6)
        return points + shift, area / growth[:, None], growth


def bend(rng: Random, factor: float = 1.0) -> Warp:
    """A smooth bending of the whole; `factor` multiplies its height."""
    return _warp(rng, BEND_LENGTHS, BEND_WAVES, factor * _log_uniform(rng, *BEND_HEIGHT), factor * BEND_SLOPE)


def lumps(rng: Random, factor: float = 1.0) -> Warp:
    """Unevenness of all wavelengths from fine to coarse, higher where it is longer, perhaps worn away in places."""
    warp = _warp(rng, LUMP_LENGTHS, LUMP_WAVES, factor * _log_uniform(rng, *LUMP_HEIGHT), factor * LUMP_SLOPE)
    if rng.random() > UNEVEN:
        return warp
    return Warp(warp.vectors, warp.phases, warp.moves, _waves(rng, WEAR_LENGTHS, WEAR_WAVES)[:2])


def draw_life(rng: Random, exact: bool) -> list[Warp]:
    """What happens to one object; `exact` ones, such as machine parts, are bent and worn less, and less often."""
    bending, lumping, factor = EXACT if exact else FREE
    warps = [bend(rng, factor)] if rng.random() < bending else []
    return [*warps, lumps(rng, factor)] if rng.random() < lumping else warps


def _warp(rng: Random, lengths: tuple[float, float], count: int, height: float, steepest: float) -> Warp:
    """Waves of root mean square displacement `height`, or less if their slope would come above `steepest`."""
    vectors, phases, directions = _waves(rng, lengths, count)
    sizes = (math.tau / vectors.norm(dim=1, keepdim=True)).pow(rng.uniform(*FALL))
    slopes = sizes * vectors.norm(dim=1, keepdim=True)
    rms = [float((part.square().sum() / 2).sqrt()) for part in (sizes, slopes)]
    return Warp(vectors, phases, directions * sizes * min(height / rms[0], steepest / rms[1]))


def _waves(rng: Random, lengths: tuple[float, float], count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Wave vectors, (K, 3), of lengths spread over a range, phases, (K, 1), and unit vectors across, (K, 3)."""
    low, high = lengths
    spread = [low * (high / low) ** ((index + rng.random()) / count) for index in range(count)]
    normal = torch.tensor([[rng.gauss(0, 1) for _ in range(6)] for _ in range(count)])
    along = torch.nn.functional.normalize(normal[:, :3], dim=1)
    across = torch.nn.functional.normalize(torch.cross(along, normal[:, 3:], dim=1), dim=1)
    phases = torch.tensor([[rng.uniform(0, math.tau)] for _ in range(count)])
    return along * (math.tau / torch.tensor(spread))[:, None], phases, across


def _log_uniform(rng: Random, low: float, high: float) -> float:
    return low * (high / low) ** rng.random()
