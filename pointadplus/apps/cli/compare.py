"""The command `compare`: scans against a nominal; how they are scored and written is `score`'s."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .against import NOMINAL, Against, Align, Normals, On, Thickness, Tolerance
from .folders import FolderOptions, score_folder
from .options import EngineName, Files, Ground, Table, Threshold, Unit, Workers, of_folders, of_regions, result
from .output import check_outputs, check_pdf, refuse_overwriting, reported_errors
from .regions import RegionOptions
from .score import FileOptions, end_with, score_files
from .verbosity import command

comparing = typer.Typer()


@command(comparing)
def compare(
    files: Files,
    nominal: Annotated[Path, NOMINAL],
    tolerance: Tolerance = None,
    align: Align = "best-fit",
    on: On = None,
    normals: Normals = None,
    thickness: Thickness = False,
    out: Annotated[
        Path | None, result(help="Write one JSON line a file, as it is compared; of a folder: the folder for them.")
    ] = None,
    table: Table = None,
    points: Annotated[Path | None, result(help="Write each cloud with its deviations as PLY here.")] = None,
    report: Annotated[Path | None, result(help="Write an HTML report; of a folder, of its 20 highest.")] = None,
    pdf: Annotated[Path | None, result(help="Write the report as PDF, a page a scan; needs the extra `plot`.")] = None,
    exit_code: Annotated[
        bool, result("--exit-code", help="Exit with 3 if a file is out of tolerance, else with 4 if not measurable.")
    ] = False,
    ground: Ground = "keep",
    unit: Unit = None,
    regions_csv: Annotated[Path | None, of_regions(help="Write a table of the regions, a row each.")] = None,
    regions_ply: Annotated[Path | None, of_regions(help="Write each cloud, painted by region, as PLY here.")] = None,
    threshold: Threshold = None,
    watch: Annotated[bool, of_folders("--watch", help="Go on with what comes into the folder.")] = False,
    settle: Annotated[float, of_folders(help="Seconds that a file must stay as it is, to be watched.")] = 2.0,
    verify: Annotated[bool, of_folders("--verify", help="Compare contents, not times.")] = False,
    retry: Annotated[bool, of_folders("--retry", help="Compare again what failed before.")] = False,
    engine: EngineName = "local",
    workers: Workers = None,
) -> None:
    """Compare scans with a nominal, one line each: verdict, file, largest deviations, shares and alignment.

    Exit code 1 if any failed; the others are compared still. A region starts where the tolerance ends or, without one,
    at two and a half levels of detection.

    Of a folder, what has a record in OUT/journal.jsonl already is not compared again: a run that was killed goes on.
    """
    load = Against(nominal, tolerance, align, on, tuple(normals or ()), {"ground": ground, "unit": unit}, thickness)
    wanted = RegionOptions(True, regions_csv, regions_ply, threshold)
    options = FolderOptions(watch, settle, verify, retry, engine, workers, report, table, pdf)
    with reported_errors():
        options.check(files, out)
        check_pdf(pdf)
    if watch or any(file.is_dir() for file in files):
        if len(files) != 1 or out is None or points or exit_code:
            typer.echo("error: a folder is compared alone, into --out, without --points and --exit-code", err=True)
            raise typer.Exit(2)
        with reported_errors():
            good = score_folder(load, files[0], out, wanted, options)
        raise typer.Exit(0 if good else 1)
    refuse_overwriting(files, {"--points": points, "--regions-ply": regions_ply})
    with reported_errors():
        check_outputs(files=[out, table, report, pdf, regions_csv], folders=[points, regions_ply])
        outcomes = score_files(load(), files, wanted, FileOptions(out, points, report, table=table, pdf=pdf))
    end_with(outcomes, decided=exit_code)
