"""`Inspection`: what a scan against its nominal amounts to, in numbers that a report, a table and a database carry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..text import rounded

#: The verdict of an inspection, as lists and tables have it.
IN, OUT = "in tolerance", "out of tolerance"


@dataclass(frozen=True)
class Inspection:
    """A scan against its nominal. Lengths are in `unit`; deviations are signed, + where there is too much material.

    Statistics are of the measured points as they are, unsmoothed; shares are of 1.

    Attributes:
        nominal: the reference's name.
        unit: of length, that of the scan; None where nothing told it.
        alignment: `"best fit"`, `"none"` or `"reference points"`.
        pose: where the scan's positions, in its file's frame and unit, lie in the nominal's: the rows of (3, 4), a
            rotation times a change of unit, and a shift; see `on_nominal`.
        residual: RMS distance of the points that the alignment rests on; of reference points that of the pairs; None
            where nothing was aligned.
        rests_on: share of the scan's points that the alignment rests on.
        coverage: share of the nominal's surface that the scan shows.
        tolerance: lowest and highest deviation that is good, or None.
        measured: how many points have a deviation.
        mean, rms: of the deviations.
        low, high: their 5 % and 95 % quantiles.
        largest, smallest: the highest and the lowest deviation that five neighbouring points reach together, so that no
            stray reading makes it.
        within, over, under: shares of the measured points inside the tolerance, above and below; None without one.
        not_measured: share of the scan's points without a deviation.
        significant: share of the measured points whose deviation exceeds its `lod`; by noise alone 0.05 at most.
        lod: median level of detection, the half-width of 95 % of what noise and alignment make of no deviation at all.
        missing: area of the nominal that the scan should show and does not, in squared units.
        thinnest, thinnest_nominal: least thickness of a wall that five neighbouring points tell together, and the
            nominal's there; None unless walls were measured.
        thinnest_at: where that is, in the nominal's frame and unit, or None.
        in_tolerance: False where five neighbouring points lie outside by more than their level of detection (ISO
            14253-1: out only if that is beyond the uncertainty); None without a tolerance, or where `Detection.notes`
            say why nothing can be said.
    """

    nominal: str
    unit: str | None
    alignment: Literal["best fit", "none", "reference points"]
    pose: tuple[float, ...]
    residual: float | None
    rests_on: float
    coverage: float
    tolerance: tuple[float, float] | None
    measured: int
    mean: float
    rms: float
    low: float
    high: float
    largest: float
    smallest: float
    within: float | None
    over: float | None
    under: float | None
    not_measured: float
    significant: float
    lod: float
    missing: float
    in_tolerance: bool | None
    thinnest: float | None = None
    thinnest_nominal: float | None = None
    thinnest_at: tuple[float, float, float] | None = None

    @property
    def verdict(self) -> Literal["in tolerance", "out of tolerance"] | None:
        """The decision in words; None as for `in_tolerance`."""
        return None if self.in_tolerance is None else IN if self.in_tolerance else OUT

    @property
    def scale(self) -> float:
        """A unit of the scan's in units of the nominal's."""
        return math.hypot(*self.pose[:3])

    def on_nominal(self, position: Sequence[float]) -> tuple[float, float, float]:
        """A position of the scan's file in the frame and unit of the nominal."""
        rows = (self.pose[start : start + 4] for start in (0, 4, 8))
        x, y, z = (sum(a * b for a, b in zip(row, (*position, 1.0), strict=True)) for row in rows)
        return x, y, z

    def as_record(self) -> dict[str, Any]:
        """Plain values under the names above, in their order, after the verdict."""
        values = asdict(self)
        limits = None if self.tolerance is None else list(self.tolerance)
        return {"verdict": self.verdict, **values, "pose": list(self.pose), "tolerance": limits}


def in_words(found: Mapping[str, Any]) -> str:
    """`Inspection.as_record` as people read it, but for the verdict: largest deviations, shares, alignment.

    For instance "largest +0.412 mm, −0.102 mm; 97.1 % within ±0.2 mm; aligned by best fit, residual 0.018 mm".
    """
    unit = "" if found["unit"] is None else f" {found['unit']}"
    told = [f"largest {signed(found['largest'])}{unit}, {signed(found['smallest'])}{unit}"]
    if found["tolerance"] is not None:
        told.append(f"{100 * found['within']:.1f} % within {limits(found['tolerance'])}{unit}")
    else:
        told.append(f"{100 * found['significant']:.1f} % off by more than noise")
    how = {"none": "not aligned"}.get(found["alignment"], f"aligned by {found['alignment']}")
    rest = "" if found["residual"] is None else f", residual {rounded(round(found['residual'], 9))}{unit}"
    missing = f"; {rounded(found['missing'])}{unit and unit + '²'} missing" if found["missing"] else ""
    thin = ""
    if found["thinnest"] is not None:
        thin = f"; thinnest wall {rounded(found['thinnest'])}{unit}, nominal {rounded(found['thinnest_nominal'])}{unit}"
    return f"{'; '.join(told)}; {how}{rest}{missing}{thin}"


def limits(tolerance: Sequence[float]) -> str:
    """A tolerance for people to read: "±0.2", or "−0.1 … +0.2"."""
    low, high = tolerance
    return f"±{rounded(high)}" if low == -high else f"{signed(low)} … {signed(high)}"


def signed(value: float) -> str:
    """A deviation for people to read, with its sign."""
    return rounded(value) if value < 0 else f"+{rounded(value)}"
