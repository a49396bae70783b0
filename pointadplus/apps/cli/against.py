"""What scans are compared with, as options of the command line say it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ConfigError

if TYPE_CHECKING:
    from ...results.detector import AnomalyDetector

METHOD = "surface-deviation"  # the one that compares with a nominal
NOMINAL = typer.Option(help="STEP, IGES, STL, OBJ, PLY, 3MF, GLB, ...", rich_help_panel="Nominal")
Tolerance = Annotated[
    str | None,
    typer.Option(help="Good deviations: 0.2, or -0.1,0.2; in the nominal's unit.", rich_help_panel="Nominal"),
]
Align = Annotated[
    str,
    typer.Option(
        help="best-fit; none; or a CSV of reference points, a row each: x,y,z of the nominal, x,y,z of the scan.",
        rich_help_panel="Nominal",
    ),
]
On = Annotated[
    str | None,
    typer.Option(
        help="Box of the nominal that the best fit is of: x,y,z,x,y,z of two opposite corners.",
        rich_help_panel="Nominal",
    ),
]
Thickness = Annotated[bool, typer.Option(help="Measure walls, too.", rich_help_panel="Nominal")]
Normals = Annotated[
    list[Path] | None,
    typer.Option(
        help="Normal scans, or a folder of them, that tell what the process usually leaves; repeatable.",
        rich_help_panel="Nominal",
    ),
]


@dataclass(frozen=True)
class Against:
    """What scans are compared with, as the command line has it; see `baselines.SurfaceDeviation.fit`.

    Attributes:
        nominal: a file of triangles, STEP or IGES.
        tolerance, align, on: text of the options.
        normals: files and folders.
        prepared: of `AnomalyDetector.prepare_scans`.
        thickness: whether walls are measured.
    """

    nominal: Path
    tolerance: str | None
    align: str
    on: str | None
    normals: tuple[Path, ...]
    prepared: Mapping[str, Any]
    thickness: bool = False

    def __call__(self) -> AnomalyDetector:
        """The detector; pickled, it is made anew in each worker.

        Raises:
            ConfigError: an option that does not fit, or no such file.
            CloudError: the nominal or a normal scan cannot be read.
        """
        from ...results.methods import method

        detector: Any = method(METHOD)()
        return detector.prepare_scans(**self.prepared).fit(normal_files(list(self.normals)), **self.told())

    def told(self) -> dict[str, Any]:
        """What the method's `fit` is told besides the normal scans.

        Raises:
            ConfigError: an option that does not fit, or no such file.
        """
        tolerance = None if self.tolerance is None else split_numbers(self.tolerance, (1, 2), "--tolerance")
        box = None if self.on is None else split_numbers(self.on, (6,), "--on")
        return {
            "nominal": self.nominal,
            "align": self.align if self.align in ("best-fit", "none") else read_pairs(Path(self.align)),
            "on": None if box is None else (box[:3], box[3:]),
            "thickness": self.thickness,
            "tolerance": tolerance[0] if tolerance is not None and len(tolerance) == 1 else tolerance,
        }


def normal_files(normals: list[Path]) -> list[Path]:
    """The scans of files and folders.

    Raises:
        ConfigError: one of them is not there.
    """
    from ...io import READABLE
    from ..batch.folder import scans_below

    missing = [path for path in normals if not path.exists()]
    if missing:
        raise ConfigError("no such file or folder", where=missing[0], expected="normal scans, or a folder of them")
    return [file for path in normals for file in (scans_below(path, READABLE)[0] if path.is_dir() else [path])]


def split_numbers(text: str, counts: tuple[int, ...], option: str) -> tuple[float, ...]:
    """The numbers between the commas of an option.

    Raises:
        ConfigError: another count of them, or no numbers.
    """
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) not in counts:
        expected = f"{' or '.join(map(str, counts))} numbers, with commas between"
        raise ConfigError("not numbers", where=option, expected=expected, found=text)
    return found


def read_pairs(path: Path) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    """Reference points of a CSV, a row of six numbers each; a header is passed over.

    Raises:
        ConfigError: no such file, or a row of something else.
    """
    try:
        rows = [row for row in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()) if row]
    except (OSError, UnicodeDecodeError) as error:
        expected = "best-fit, none or a CSV of reference points"
        raise ConfigError("no alignment", where="--align", expected=expected, found=path) from error
    if rows and not _is_number(rows[0][0]):
        rows = rows[1:]
    if not all(len(row) == 6 and all(map(_is_number, row)) for row in rows):
        expected = "x,y,z of the nominal and x,y,z of the scan in each row"
        raise ConfigError("not reference points", where=path, expected=expected, found="another row")
    numbers = [tuple(float(part) for part in row) for row in rows]
    return [(row[:3], row[3:]) for row in numbers]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
