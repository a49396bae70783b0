"""What is remembered of normal scans: items to be near to, and how near normal scans are themselves at each place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from pointadplus.geometry.neighbors import knn

from .config import ScoringConfig
from .coreset import greedy_coreset
from .scoring import bank_items, inside_boundary, largest_norm, squared_distances

_PLACES = 32  # normal points over which usual distances are averaged
_FLOOR = 0.1  # of the mean usual distance, added to that of each place
_CALM = 0.98  # quantile of normal scans' residuals that scores 0.5


class Observation(NamedTuple):
    """A scan at the resolution of the network: N points as they came, where the prototype has them, and features."""

    points: Float[Tensor, "n 3"]
    positions: Float[Tensor, "n 3"]
    features: Float[Tensor, "n c"]

    def inside(self, k: int) -> Observation:
        """Without the rim of the scan (`scoring.inside_boundary`); all of it, where nothing else is left."""
        kept = inside_boundary(self.points, k)
        return Observation(*(each[kept] for each in self)) if bool(kept.any()) else self


@dataclass(frozen=True, eq=False)
class Memory:
    """The memory bank.

    Attributes:
        items: (B, 3 + C) positions and features of the coreset, each over its norm.
        usual: (B,) the distance that normal scans have from each other around each item; empty where scores are squared
            distances as they are.
        position_norm, feature_norm: the largest of all prototypes.
        scale: the residual that scores 0.5.
    """

    items: Float[Tensor, "b d"]
    usual: Float[Tensor, "b"]
    position_norm: float
    feature_norm: float
    scale: float

    @classmethod
    def of(
        cls, prototypes: Sequence[Observation], again: Observation | None, config: ScoringConfig, seed: int
    ) -> Memory:
        """Remember normal scans.

        Args:
            prototypes: at least one.
            again: the first, sampled anew, which tells what is usual where there is no second; else not used.
            config: of the bank and of the scores.
            seed: of the coreset.
        """
        position_norm = largest_norm(torch.cat([each.positions for each in prototypes]))
        feature_norm = largest_norm(torch.cat([each.features for each in prototypes]))

        def items(observed: Observation) -> Tensor:
            return bank_items(observed.positions, observed.features, position_norm, feature_norm)

        parts = [items(each) for each in prototypes]
        kept = greedy_coreset(
            torch.cat(parts), config.bank, projection=config.projection, starts=config.starts, seed=seed
        )
        bank = torch.cat(parts)[kept]
        memory = cls(bank, bank.new_empty(0), position_norm, feature_norm, config.scale)
        if not config.relative:
            return memory
        if len(parts) == 1:
            assert again is not None
            compared = [(items(again), bank)]
        else:
            owner = torch.cat([torch.full((len(part),), number) for number, part in enumerate(parts)])[kept]
            compared = [(part, bank[owner != number]) for number, part in enumerate(parts)]
        found = [(part, squared_distances(part, rest, config.nearest).sqrt()) for part, rest in compared]
        parts, distances = (torch.cat(each) for each in zip(*found, strict=True))
        usual = distances[knn(parts[:, :3], bank[:, :3], _PLACES)[1]].mean(1)
        memory = replace(memory, usual=(usual + _FLOOR * usual.mean()).clamp_min(1e-12))
        residuals = torch.cat([memory.relative(*each, config.level) for each in found])
        calm = residuals.kthvalue(math.ceil(_CALM * len(residuals))).values
        return replace(memory, scale=max(float(calm), 1e-12))

    def lacking(self, positions: Float[Tensor, "n 3"], reach: float) -> float:
        """The share of the bank that lies farther than `reach` from all points of a scan, in [0, 1].

        Args:
            positions, reach: in normalised units.
        """
        distance, _ = knn(positions, self.items[:, :3] * self.position_norm, 1)
        return float((distance > reach).float().mean())

    def residuals(self, observed: Observation, config: ScoringConfig) -> Float[Tensor, "n"]:
        """How far each point is from what is normal, ≥ 0: the squared distance to the nearest items, or their distance
        relative to what is usual there and to the scan's own level."""
        items = bank_items(observed.positions, observed.features, self.position_norm, self.feature_norm)
        squared = squared_distances(items, self.items, config.nearest)
        return self.relative(items, squared.sqrt(), config.level) if len(self.usual) else squared

    def relative(self, items: Float[Tensor, "n d"], distances: Float[Tensor, "n"], level: float) -> Float[Tensor, "n"]:
        """Distances over what is usual at the place, and over the `level` quantile of all that; 0: not over that."""
        relative = distances / self.usual[knn(self.items[:, :3], items[:, :3], 1)[1][:, 0]]
        return relative / relative.quantile(level).clamp_min(1e-12) if level else relative
