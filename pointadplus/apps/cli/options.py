"""Options that several commands share, and the panels that `--help` sorts them into."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ...errors import ConfigError

result, of_scans, of_regions, of_decision, of_folders = (
    partial(typer.Option, rich_help_panel=panel)
    for panel in ("Results", "Scans", "Regions", "Detector and decision", "Folders alone")
)

Files = Annotated[
    list[Path], typer.Argument(help="Clouds or meshes: pcd, ply, xyz, csv, npy, obj, stl, ...; or one folder of them.")
]
Columns = Annotated[
    str | None, of_scans(help="Of text tables, such as x=3,y=4,z=5: numbers from 1, or names of the header.")
]
At = Annotated[str, of_scans(help="Of a mesh: its surface, in samples; or its vertices, in the file's order.")]
Ground = Annotated[str, of_scans(help="keep; or remove, to leave out the plane under the part.")]
Parts = Annotated[str, of_scans(help="whole; or split, to score each body of a scan alone.")]
Unit = Annotated[
    str | None, of_scans(help="Of length that the scans are in, such as mm or inches; as the files say if left out.")
]
CameraNumbers = Annotated[
    str | None, of_scans("--camera", help="Of depth images: fx,fy,cx,cy in pixels; a JSON beside each if left out.")
]
DepthScale = Annotated[float | None, of_scans(help="Of depth images: what their numbers are multiplied by.")]
Weights = Annotated[str, of_decision("--weights", "--model", help="'embedded', or a file that `train` or `fit` wrote.")]
Resolution = Annotated[
    str | None,
    of_decision(help="Of the zero-shot look for fine defects: auto, over 120,000 points; full; or coarse, none."),
]
CalibrationFile = Annotated[Path | None, of_decision(help="What `calibrate` wrote: p-values and verdicts.")]
Table = Annotated[Path | None, result("--csv", help="Write a table of what was found against a nominal, a row a file.")]
Threshold = Annotated[
    float | None, of_regions(min=0.0, help="Point score of a region; the calibrated one, or 0.5, if left out.")
]
Words = Annotated[str | None, of_regions(help="Such as dented,pierced: each region gets the nearest.")]
EngineName = Annotated[
    str, of_folders(help="local, in this process; or ray, on the workers of a Ray, here or at RAY_ADDRESS.")
]
Workers = Annotated[int | None, of_folders(min=1, help="Of --engine ray: processes; as many as CPUs if left out.")]


def split_columns(text: str | None) -> dict[str, int | str] | None:
    """The columns of `--columns`, as `read_cloud` takes them, or None.

    Raises:
        ConfigError: a part that is no NAME=COLUMN, an unknown name, or a coordinate left out.
    """
    if text is None:
        return None
    from ...io.column_names import check_columns

    parts = [part.partition("=") for part in text.split(",")]
    if not all(name.strip() and column.strip() for name, _, column in parts):
        raise ConfigError("not columns", where="--columns", expected="x=3,y=4,z=5 and the like", found=text)
    told = ((name.strip(), column.strip()) for name, _, column in parts)
    return check_columns({name: int(at) if at.isascii() and at.isdigit() else at for name, at in told})


def split_camera(text: str | None) -> tuple[float, ...] | None:
    """The numbers of `--camera`, as `read_cloud` takes them, or None.

    Raises:
        ConfigError: not four numbers.
    """
    if text is None:
        return None
    try:
        fx, fy, cx, cy = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError("not a camera", where="--camera", expected="fx,fy,cx,cy in pixels", found=text) from error
    return fx, fy, cx, cy
