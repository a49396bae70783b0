"""Options that several commands share, and the panels that `--help` sorts them into."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

result, of_regions, of_decision, of_folders = (
    partial(typer.Option, rich_help_panel=panel)
    for panel in ("Results", "Regions", "Detector and decision", "Folders alone")
)

Files = Annotated[
    list[Path], typer.Argument(help="Clouds or meshes: pcd, ply, xyz, csv, npy, obj, stl, ...; or one folder of them.")
]
Weights = Annotated[str, of_decision("--weights", "--model", help="'embedded', or a file that `train` or `fit` wrote.")]
CalibrationFile = Annotated[Path | None, of_decision(help="What `calibrate` wrote: p-values and verdicts.")]
Threshold = Annotated[
    float | None, of_regions(min=0.0, help="Point score of a region; the calibrated one, or 0.5, if left out.")
]
Words = Annotated[str | None, of_regions(help="Such as dented,pierced: each region gets the nearest.")]
EngineName = Annotated[
    str, of_folders(help="local, in this process; or ray, on the workers of a Ray, here or at RAY_ADDRESS.")
]
Workers = Annotated[int | None, of_folders(min=1, help="Of --engine ray: processes; as many as CPUs if left out.")]
