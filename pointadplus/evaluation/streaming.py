"""Point figures of clouds that come one by one: exact while they fit in memory, then from a histogram of fixed size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Integer

from ..config import check_range
from ..errors import ConfigError
from .aupro import LIMIT, aupro, check_points
from .curves import Curves
from .histogram import FEWEST_BINS, ScoreHistogram, Triple
from .metrics import auroc, average_precision

if TYPE_CHECKING:
    from typing_extensions import Self

# Both are our choice: 0.8 GB while the figures of so many points are made, and 117 MB that tell 2^−15 apart in [0, 1].
EXACT_POINTS = 1 << 23
BINS = 1 << 22


class PointAccumulator:
    """Point AUROC, AP and AUPRO over the pooled points of clouds added one by one.

    Up to `exact_points` points the scores are held as they are (by reference, not copied), and the figures are exact.
    Beyond, they are counted in a `ScoreHistogram`, and memory grows no further: the figures are then the exact ones of
    scores rounded to a relative 2^−15 or better (scores in [0, 1], 2^22 bins), and `error_bounds` says how far
    the rounding can have moved each. Where the points have no more than `bins` different scores nothing is rounded.

    Neither the order of the clouds nor how they are spread over accumulators that are merged changes a bit of a
    figure, but for the last bits of AUPRO while the scores are held. Accumulators can be pickled.

    Args:
        exact_points: the most points held as they are. Each takes 4 bytes and those of its region number; while the
            figures are made, about 90 more.
        bins: of the histogram, at least 512; 28 bytes each, and some four times that while a cloud is added.

    Raises:
        ConfigError: an argument out of range.
    """

    def __init__(self, exact_points: int = EXACT_POINTS, bins: int = BINS) -> None:
        check_range(exact_points, "[0, ∞)", "exact_points")
        check_range(bins, f"[{FEWEST_BINS}, ∞)", "bins")
        self.exact_points = exact_points
        self.points = 0
        self._held: list[tuple[np.ndarray, np.ndarray]] = []
        self._histogram = ScoreHistogram(bins)
        self._folded = False

    @property
    def exact(self) -> bool:
        """Whether the scores are held as they are."""
        return not self._folded

    @property
    def resolution(self) -> float:
        """Two scores that differ by this share of themselves are told apart; 0 where all that differ are."""
        return 2.0 ** (self._histogram.shift - 23) if self._histogram.shift else 0.0

    def add(self, regions: Integer[np.ndarray, "n"], scores: Float[np.ndarray, "n"]) -> Self:
        """Take up the points of one cloud.

        Args:
            regions: (n,) whole numbers, 0 on normal points, else the region, within this cloud.
            scores: (n,) finite, higher is more anomalous; rounded to float32. Not to be written to afterwards.

        Raises:
            ConfigError: lengths differ, a region is negative or a score is not finite.
        """
        scores = scores.astype(np.float32, copy=False)
        check_points(regions, scores)
        if (regions < 0).any():
            raise ConfigError("a region is negative", where="regions", expected="0, 1, 2, …", found=regions.min())
        self.points += len(scores)
        if self._folded:
            self._histogram.add(regions, scores)
        else:
            self._held.append((regions, scores))
            if self.points > self.exact_points:
                self.fold()
        return self

    def merge(self, other: PointAccumulator) -> Self:
        """Take up the points of another accumulator, which stays as it is."""
        self.points += other.points
        self._held = [*self._held, *other._held]
        if other._folded or self._folded or self.points > self.exact_points:
            self.fold()
        self._histogram.merge(other._histogram)
        return self

    def fold(self) -> Self:
        """Count the scores held in the histogram now, and those to come as they come."""
        self._folded = True
        self._held.reverse()
        while self._held:
            self._histogram.add(*self._held.pop())
        return self

    def figures(self, limit: float = LIMIT) -> Triple:
        """Point AUROC, AP and AUPRO up to the false positive rate `limit` in (0, 1], as `auroc`, `average_precision`
        and `aupro` define them; None where no point is normal or none anomalous.

        Raises:
            ConfigError: `limit` is out of range.
        """
        self._check(limit)
        if self._folded:
            return self._histogram.figures(limit)
        regions, scores = self._pooled()
        return auroc(regions > 0, scores), average_precision(regions > 0, scores), aupro(regions, scores, limit)

    def error_bounds(self, limit: float = LIMIT) -> Triple:
        """The most by which rounding can have moved each of the figures, 0 while they are exact. Else as `figures`.

        How it is found stands at `ScoreHistogram.error_bounds`. AUPRO's leaves out what is below 1e-10.
        """
        self._check(limit)
        if self._folded:
            return self._histogram.error_bounds(limit)
        anomalous = [regions > 0 for regions, _ in self._held]
        both = any(row.any() for row in anomalous) and not all(row.all() for row in anomalous)
        return (0.0, 0.0, 0.0) if both else (None, None, None)

    def curves(self) -> Curves | None:
        """ROC and precision-recall, thinned, of the scores that `figures` are of; None where those are."""
        if self._folded:
            return Curves.of_counts(*self._histogram.counts[:2])
        regions, scores = self._pooled()
        return Curves.of_scores(regions > 0, scores)

    def _pooled(self) -> tuple[np.ndarray, np.ndarray]:
        """Regions, numbered on over the clouds, and scores of all points held."""
        if not self._held:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        before = np.cumsum([0, *(regions.max(initial=0) for regions, _ in self._held)])
        numbered = [np.where(own > 0, own + n, 0) for (own, _), n in zip(self._held, before, strict=False)]
        return np.concatenate(numbered), np.concatenate([scores for _, scores in self._held])

    def _check(self, limit: float) -> None:
        check_range(limit, "(0, 1]", "limit")
