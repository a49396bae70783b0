"""The command line: scoring, calibrating, fitting, training and evaluating, and what is around them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .against import NOMINAL, Against, Align, Normals, On, Thickness, Tolerance
from .calibrate import calibrate_on
from .compare import comparing
from .datasets import datasets
from .demo import write_pair
from .detectors import detector_of as _detector
from .evaluate import EvaluateOptions, evaluate_on
from .fit import few_shot_detector, fitting
from .folders import FolderOptions, score_folder
from .learn import learning
from .options import (
    At,
    CalibrationFile,
    CameraNumbers,
    Columns,
    DepthScale,
    EngineName,
    Files,
    Ground,
    Parts,
    Resolution,
    Table,
    Threshold,
    Unit,
    Weights,
    Words,
    Workers,
    of_folders,
    of_regions,
    result,
    split_camera,
    split_columns,
)
from .output import check_outputs, check_pdf, refuse_overwriting, reported_errors
from .regions import RegionOptions, split_words
from .render import drawing
from .score import FileOptions, end_with, score_files
from .serve import Host, MaxBytes, MaxPoints, Port, Queue, ServeConfig, Timeout, serve_with
from .verbosity import command
from .weights import weights as weights_commands

# Rooms that pull in torch are imported inside the commands, so that --help answers at once.
if TYPE_CHECKING:
    from ...results.detector import AnomalyDetector

HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    no_args_is_help=True, context_settings=HELP, help="Find and locate anomalies in point clouds and meshes."
)
app.add_typer(learning)
app.add_typer(fitting)
app.add_typer(comparing)
app.add_typer(drawing)
app.add_typer(datasets, name="datasets")
app.add_typer(weights_commands, name="weights")


def _print_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(installed("pointadplus"))
        raise typer.Exit
    return wanted


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Find and locate anomalies in point clouds and meshes."""


@command(app)
def score(
    files: Files,
    out: Annotated[
        Path | None, result(help="Write one JSON line a file, as it is scored; of a folder: the folder for them.")
    ] = None,
    points: Annotated[Path | None, result(help="Write each cloud with its scores as PLY here.")] = None,
    table: Table = None,
    report: Annotated[Path | None, result(help="Write an HTML report; of a folder, of its 20 highest.")] = None,
    pdf: Annotated[Path | None, result(help="Write the report as PDF, a page a scan; needs the extra `plot`.")] = None,
    profile: Annotated[bool, result("--profile", help="Print each stage's share of the time.")] = False,
    exit_code: Annotated[
        bool, result("--exit-code", help="Exit with 3 if a file is bad, else with 4 if one is not measurable.")
    ] = False,
    at: At = "surface",
    ground: Ground = "keep",
    parts: Parts = "whole",
    unit: Unit = None,
    columns: Columns = None,
    camera: CameraNumbers = None,
    depth_scale: DepthScale = None,
    regions: Annotated[bool, of_regions("--regions", help="Measure regions, into the JSON lines.")] = False,
    regions_csv: Annotated[Path | None, of_regions(help="Write a table of the regions, a row each.")] = None,
    regions_ply: Annotated[Path | None, of_regions(help="Write each cloud, painted by region, as PLY here.")] = None,
    threshold: Threshold = None,
    words: Words = None,
    weights: Weights = "embedded",
    resolution: Resolution = None,
    calibration: CalibrationFile = None,
    watch: Annotated[bool, of_folders("--watch", help="Go on with what comes into the folder.")] = False,
    settle: Annotated[float, of_folders(help="Seconds that a file must stay as it is, to be watched.")] = 2.0,
    verify: Annotated[bool, of_folders("--verify", help="Compare contents, not times.")] = False,
    retry: Annotated[bool, of_folders("--retry", help="Score again what failed before.")] = False,
    engine: EngineName = "local",
    workers: Workers = None,
) -> None:
    """Score files, one line each: path, tab, object score; with a calibration the verdict comes first.

    With a model of a nominal lines are those of `compare`.

    Exit code 1 if any failed; the others are scored still.

    Of a folder, what has a record in OUT/journal.jsonl already is not scored again: a run that was killed goes on.
    """
    wanted = RegionOptions(regions or table is not None, regions_csv, regions_ply, threshold, split_words(words))
    options = FolderOptions(watch, settle, verify, retry, engine, workers, report, table, pdf)
    prepared = {"at": at, "ground": ground, "parts": parts, "unit": unit}
    load = partial(_calibrated, weights, calibration, prepared, resolution)
    with reported_errors():
        options.check(files, out)
        check_pdf(pdf)
    if watch or any(file.is_dir() for file in files):
        of_files = points or profile or columns or camera or depth_scale is not None or exit_code
        if len(files) != 1 or out is None or of_files:
            others = "--points, --profile, --columns, --camera, --depth-scale and --exit-code"
            message = f"a folder is scored alone, into --out, without {others}"
            typer.echo(f"error: {message}", err=True)
            raise typer.Exit(2)
        with reported_errors():
            good = score_folder(load, files[0], out, wanted, options)
        raise typer.Exit(0 if good else 1)
    refuse_overwriting(files, {"--points": points, "--regions-ply": regions_ply})
    with reported_errors():
        told = {"columns": split_columns(columns), "camera": split_camera(camera), "depth_scale": depth_scale}
        check_outputs(files=[out, table, report, pdf, regions_csv], folders=[points, regions_ply])
        outcomes = score_files(load(), files, wanted, FileOptions(out, points, report, profile, told, table, pdf))
    end_with(outcomes, decided=exit_code)


@command(app)
def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    weights: Weights = "embedded",
    resolution: Resolution = None,
    calibration: CalibrationFile = None,
    threshold: Threshold = None,
    max_bytes: MaxBytes = ServeConfig.max_bytes,
    max_points: MaxPoints = ServeConfig.max_points,
    queue: Queue = ServeConfig.queue,
    timeout: Timeout = ServeConfig.timeout,
    words: Words = None,
    at: At = "surface",
    ground: Ground = "keep",
    parts: Parts = "whole",
    unit: Unit = None,
    nominal: Annotated[Path | None, NOMINAL] = None,
    tolerance: Tolerance = None,
    align: Align = "best-fit",
    on: On = None,
    normals: Normals = None,
    thickness: Thickness = False,
) -> None:
    """Score over HTTP: POST /score, /report and, with a nominal, /compare; GET /health and /metrics. No one is asked
    who they are."""
    with reported_errors():
        config = ServeConfig(max_bytes, max_points, queue, timeout, threshold, split_words(words))
        prepared = {"at": at, "ground": ground, "parts": parts, "unit": unit}
        detector = _calibrated(weights, calibration, prepared, resolution)
        against = None
        if nominal is not None:
            scans, same = tuple(normals or ()), {"ground": ground, "unit": unit}
            against = Against(nominal, tolerance, align, on, scans, same, thickness)()
        serve_with(detector, config, host, port, against)


@command(app)
def calibrate(
    normals: Annotated[Path, typer.Option(help="Folder of normal scans that the detector was not fitted on.")],
    out: Annotated[Path, typer.Option(help="The JSON file to write.")] = Path("calibration.json"),
    false_alarm_rate: Annotated[float, typer.Option(help="Of normal scans; 0.01 takes 99 of them.")] = 0.01,
    weights: Weights = "embedded",
    resolution: Resolution = None,
    ground: Ground = "keep",
    parts: Parts = "whole",
    unit: Unit = None,
) -> None:
    """Find from normal scans when a score is an alarm, and say what can be promised."""
    with reported_errors():
        load = partial(_calibrated, weights, None, {"ground": ground, "parts": parts, "unit": unit}, resolution)
        good = calibrate_on(load, normals, out, false_alarm_rate)
    raise typer.Exit(0 if good else 1)


@command(app)
def evaluate(
    dataset: Annotated[str, typer.Option(help="Layout of the data, see `datasets list`.")],
    root: Annotated[Path, typer.Option(help="Folder of the data set.")],
    method: Annotated[
        str, typer.Option(help="zero-shot, or a few-shot method as `fit` has them, fitted to each category.")
    ] = "zero-shot",
    config: Annotated[Path | None, typer.Option(help="TOML of a few-shot method's config.")] = None,
    categories: Annotated[str | None, typer.Option(help="Comma-separated; all if left out.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the result as JSON.")] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Folder for ROC and precision-recall curves as SVG; needs the extra `plot`.")
    ] = None,
    weights: Weights = "embedded",
    rgb: Annotated[bool, typer.Option("--rgb", help="Read colours, too; the backbone must see them.")] = False,
) -> None:
    """Measure a method: object AUROC, point AUROC and point AP, a category and a kind of defect each, as markdown."""
    wanted = None if categories is None else [name.strip() for name in categories.split(",")]
    load = partial(_detector, weights) if method == "zero-shot" else partial(few_shot_detector, method, config)
    with reported_errors():
        evaluate_on(load, dataset, root, EvaluateOptions(wanted, rgb, out, plots))


@command(app)
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the scans and the report.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Which objects; 108 is a clear case.")] = 108,
    part: Annotated[
        bool, typer.Option("--part", help="Make a part to inspect: nominal, normal scans and defects. None is scored.")
    ] = False,
) -> None:
    """Make a healthy and a damaged object in code, score both with the embedded weights and write the report."""
    with reported_errors():
        if part:
            from .demo_part import write_part

            write_part(out, seed)
            return
        files = write_pair(out, seed)
    report = out / "report.html"
    limit = Path("synthetic")
    score(files, out=out / "scores.jsonl", points=out / "points", report=report, calibration=limit)
    typer.echo(f"report: {report}")


@command(app)
def doctor() -> None:
    """Look at versions, devices, weights and extras, and say what is missing and the command that mends it.

    Exit code 1 if something is bad that nothing works without. No network is used.
    """
    from ..doctor import examine, is_well

    findings = []
    for finding in examine():
        findings.append(finding)
        mend = f"\n        {finding.mend}" if finding.mend else ""
        typer.echo(f"{finding.state:8s}{finding.what}: {finding.found}{mend}")
    if not is_well(findings):
        raise typer.Exit(1)


def _calibrated(
    weights: str, calibration: Path | None, prepared: Mapping[str, Any], resolution: str | None = None
) -> AnomalyDetector:
    detector = _detector(weights, resolution).prepare_scans(**prepared)
    return detector if calibration is None else detector.use_calibration(calibration)
