"""Point figures from counts: the scores of any number of points, kept to as many leading bits as a histogram holds."""

from __future__ import annotations

import numpy as np

from .aupro import LIMIT, area_up_to

# All float32 numbers have 512 different leading 9 bits (sign and exponent): so many bins always hold them.
FEWEST_BINS = 512
# A region's share in whole units, so that sums do not depend on their order. int64 holds 2^27 regions of such.
UNIT = 1 << 36
_SIGN = np.uint32(1 << 31)

Triple = tuple[float | None, float | None, float | None]


class ScoreHistogram:
    """Counts of normal and anomalous points by score, and the share of their regions that they make up.

    Float32 numbers sort like their bit patterns (the negative ones' inverted), so a bin is all the scores that share
    their leading 32 − `shift` bits. `shift` is the smallest at which no more than `bins` bins are occupied; it begins
    at 0 and grows by need. It depends on the set of all scores alone, as a subset occupies no more bins than the set:
    so do all counts, whatever the order and the cuts in which points came. Bins are kept where they are occupied, at
    28 bytes each.

    Attributes:
        bins: the most occupied bins, at least 512.
        shift: bits left out, 0 to 23. Two scores in a bin differ by less than 2^(shift − 23) of either (below 2^−126,
            of 2^−126). Scores in [0, 1] have 127·2^(23 − shift) + 1 bins: 2^22 bins never need a shift above 8.
        keys: (b,) uint32 ascending, the leading bits of each occupied bin.
        counts: (3, b) int64: normal points, anomalous points, and the latter's shares of their regions in units
            of 2^−36.
    """

    def __init__(self, bins: int) -> None:
        self.bins, self.shift = bins, 0
        self.keys, self.counts = np.zeros(0, np.uint32), np.zeros((3, 0), np.int64)

    def add(self, regions: np.ndarray, scores: np.ndarray) -> None:
        """Count a cloud: (n,) regions, 0 on normal points, each region whole; (n,) finite float32 scores."""
        keys, anomalous = score_keys(scores), regions > 0
        normal = np.sort(keys[~anomalous] >> np.uint32(self.shift))
        first = _starts(normal)
        own, shares = _region_shares(keys[anomalous], regions[anomalous])
        counts = np.zeros((3, len(first) + len(own)), np.int64)
        counts[0, : len(first)] = np.diff(np.append(first, len(normal)))
        counts[1, len(first) :] = 1
        counts[2, len(first) :] = shares
        self._sum(np.concatenate([normal[first], own >> np.uint32(self.shift)]), counts)

    def merge(self, other: ScoreHistogram) -> None:
        """Count what another histogram has counted."""
        shift = max(self.shift, other.shift)
        self.keys, self.shift = self.keys >> np.uint32(shift - self.shift), shift
        self._sum(other.keys >> np.uint32(shift - other.shift), other.counts)

    def figures(self, limit: float = LIMIT) -> Triple:
        """AUROC, AP and AUPRO of the scores rounded to their bins; None where no point is normal or none anomalous.

        The first two are exact for fewer than 2^32 points; AUPRO's overlap is within 2^−36.
        """
        normal, anomalous, _ = self.counts
        if not normal.any() or not anomalous.any():
            return None, None, None
        pairs = 2 * int(normal.sum()) * int(anomalous.sum())
        won = (anomalous * (2 * (np.cumsum(normal) - normal) + normal)).sum()
        hits, false_alarms, gained, _ = self._at_anomalies()
        average = (gained * (hits / (hits + false_alarms))).sum() / anomalous.sum()
        return float(int(won) / pairs), float(average), area_up_to(*self._curve(), limit)

    def error_bounds(self, limit: float = LIMIT) -> Triple:
        """The most by which each figure can differ from that of the scores as they were, in any order within a bin.

        AUROC: half the share of the (anomalous, normal) pairs within a bin. AP: the anomalies of a bin before or after
        all its normal points; as precision is concave in hits, those after lose at most half of what the first loses.
        AUPRO: the true curve rises anyhow within the rectangle whose diagonal stands for it; where the limit cuts one,
        the rectangle's whole part. All are 0 at shift 0, where a bin is one score. None as in `figures`.
        """
        normal, anomalous, _ = self.counts
        if not normal.any() or not anomalous.any():
            return None, None, None
        if self.shift == 0:
            return 0.0, 0.0, 0.0
        auroc = 0.5 * ((normal / normal.sum()) * (anomalous / anomalous.sum())).sum()
        hits, false_alarms, gained, beside = self._at_anomalies()
        precision, first = hits / (hits + false_alarms), hits - gained + 1
        above = gained * (hits / (hits + false_alarms - beside) - precision)
        below = gained * (precision - first / (first + false_alarms)) / 2
        rate, overlap = self._curve()
        width = np.diff(rate)
        inside = np.clip(limit - rate[:-1], 0, width)
        aupro = (inside * np.diff(overlap) * np.where(inside < width, 1.0, 0.5)).sum() / limit
        return float(auroc), float(max(above.sum(), below.sum()) / anomalous.sum()), float(aupro)

    def _at_anomalies(self) -> tuple[np.ndarray, ...]:
        """True and false positives at each bin that holds anomalies, ascending; the bin's own of either kind."""
        normal, anomalous, _ = self.counts
        held = anomalous > 0
        above = [np.cumsum(counts[::-1])[::-1][held] for counts in (anomalous, normal)]
        return *above, anomalous[held], normal[held]

    def _curve(self) -> tuple[np.ndarray, np.ndarray]:
        """False positive rate and mean overlap of the regions, from (0, 0) at the highest score to (1, 1)."""
        sums = [np.append(0, np.cumsum(counts[::-1])) for counts in (self.counts[0], self.counts[2])]
        return sums[0] / sums[0][-1], sums[1] / sums[1][-1]

    def _sum(self, keys: np.ndarray, counts: np.ndarray) -> None:
        """Take up rows at the present shift, then leave out as many bits more as it takes to keep to `bins`."""
        keys, counts = np.concatenate([self.keys, keys]), np.concatenate([self.counts, counts], axis=1)
        order = np.argsort(keys, kind="stable")  # joins sorted runs in linear time
        keys = keys[order]
        more = 0
        while len(first := _starts(keys >> np.uint32(more))) > self.bins:
            more += 1
        self.shift += more
        self.keys = keys[first] >> np.uint32(more)
        self.counts = np.stack([np.add.reduceat(row[order], first) if len(first) else row for row in counts])


def score_keys(scores: np.ndarray) -> np.ndarray:
    """(n,) uint32 that sort and tie as the finite float32 scores do; −0 ties with 0."""
    bits = (scores + np.float32(0)).view(np.uint32)
    return np.where(bits < _SIGN, bits | _SIGN, ~bits)


def _region_shares(keys: np.ndarray, regions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The keys of anomalous points, ascending, and each one's share of its region in units.

    Rounded are the sums from a region's lowest score upwards, not the terms: each such sum is within one unit.
    """
    order = np.lexsort((keys, regions))
    first = _starts(regions[order])
    sizes = np.diff(np.append(first, len(order)))
    rank, size = np.arange(len(order)) - np.repeat(first, sizes), np.repeat(sizes, sizes)
    shares = (rank + 1) * UNIT // size - rank * UNIT // size
    ascending = np.argsort(keys[order], kind="stable")
    return keys[order][ascending], shares[ascending]


def _starts(values: np.ndarray) -> np.ndarray:
    """Where the runs of equal values begin."""
    change = np.ones(len(values), bool)
    change[1:] = values[1:] != values[:-1]
    return np.flatnonzero(change)
