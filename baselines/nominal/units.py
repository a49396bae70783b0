"""A scan and its nominal in one unit: by what both say, else by their extents."""

from __future__ import annotations

import math
from typing import NamedTuple

from pointadplus.text import rounded
from pointadplus.units import UNITS

from ..gate import LARGEST, NEAR

_COMMON = ("mm", "cm", "in", "m", "um")  # that get mixed up


class Scale(NamedTuple):
    """How long a scan's unit is in the nominal's, the scan's unit if it is known or told by extents, and what is to be
    told; `fits` is False where no unit makes the two alike."""

    factor: float
    unit: str | None
    notes: tuple[str, ...]
    fits: bool = True


def reconcile(size: float, unit: str | None, nominal: float, nominal_unit: str | None) -> Scale:
    """The scan's unit in the nominal's.

    Sizes of a scan of one side and of a whole part are taken to be alike where they are so within a factor of five.

    Args:
        size: of the scan, in its unit, see `PointCloud.normalization`.
        unit: what the scan says, or None.
        nominal, nominal_unit: the same of the nominal.
    """
    if unit is not None and nominal_unit is not None:
        factor = UNITS[unit] / UNITS[nominal_unit]
        ratio = size * factor / nominal
        if 1 / LARGEST < ratio < LARGEST:
            told = (f"the scan is in {unit}, the nominal in {nominal_unit}",) if unit != nominal_unit else ()
            return Scale(factor, unit, told)
        said = f"both say {unit}" if unit == nominal_unit else f"it says {unit}, the nominal {nominal_unit}"
        return Scale(factor, unit, (_apart(ratio, said),), False)
    ratio = size / nominal
    known = unit or nominal_unit
    if 1 / LARGEST < ratio < LARGEST:
        told = "" if known is None else f": both are taken to be in {known}"
        notes = (
            ()
            if known is None
            else (f"the {'nominal' if unit else 'scan'} does not say its unit{told}, by its extents",)
        )
        return Scale(1.0, known, notes)
    scans, nominals = (unit,) if unit else _COMMON, (nominal_unit,) if nominal_unit else _COMMON
    pairs = [(UNITS[scan] / UNITS[part], scan, part) for scan in scans for part in nominals if scan != part]
    factor, scan, part = min(pairs, key=lambda pair: abs(math.log(ratio * pair[0])))
    if not 1 / NEAR < ratio * factor < NEAR:
        return Scale(1.0, unit, (_apart(ratio, "no mix of units explains it"),), False)
    note = f"by their extents the scan is taken to be in {scan}, the nominal in {part}"
    return Scale(factor, scan if known else None, (note,))


def _apart(ratio: float, why: str) -> str:
    how = f"{rounded(max(ratio, 1 / ratio))} times as {'large' if ratio > 1 else 'small'}"
    return f"the scan is {how} as the nominal: {why}; another part, or a wrong unit"
