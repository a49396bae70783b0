"""A scan against a nominal: triangles of CAD, where scans lie on them, signed deviations and what these amount to."""

from __future__ import annotations

from typing import Any

from pointadplus.config import check_range
from pointadplus.errors import ConfigError
from pointadplus.io import as_mesh

from .align import read_align, read_on
from .compare import NominalComparison, Usual
from .mesh import NominalMesh
from .stored import NEEDED, restored, stored

__all__ = ["NEEDED", "NominalComparison", "NominalMesh", "Usual", "comparison", "restored", "stored"]


def comparison(
    nominal: Any, align: Any = "best-fit", on: Any = None, tolerance: Any = None, *, thickness: bool = False
) -> NominalComparison:
    """What scans are compared with, from what `SurfaceDeviation.fit` takes.

    Raises:
        ConfigError: an alignment, a part of the nominal or a tolerance that is none.
        CloudError: the nominal cannot be read as triangles.
    """
    laid, part, limits = read_align(align), read_on(on), read_tolerance(tolerance)
    return NominalComparison(NominalMesh.of(as_mesh(nominal)), laid, part, limits, thickness=thickness)


def read_tolerance(tolerance: Any) -> tuple[float, float] | None:
    """Lowest and highest good deviation; of one number ±.

    Raises:
        ConfigError: neither a number above 0 nor two, the lower one first.
    """
    if tolerance is None:
        return None
    if isinstance(tolerance, int | float):
        check_range(tolerance, "(0, ∞)", "tolerance")
        return (-float(tolerance), float(tolerance))
    found = tuple(tolerance)
    check_range(found, "(-inf, ∞)", "tolerance")
    if len(found) != 2 or not found[0] < found[1]:
        raise ConfigError("not a tolerance", where="tolerance", expected="a number, or (lowest, highest)", found=found)
    return (float(found[0]), float(found[1]))
