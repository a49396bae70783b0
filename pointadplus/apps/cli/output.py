"""What the command line writes and says: files, records, errors of one line, and bars."""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ...errors import ConfigError, PointADPlusError
from ...results.inspection import in_words
from ...text import rounded
from .verbosity import quiet, trace

if TYPE_CHECKING:
    from rich.progress import Progress

    from ...results.detection import Detection


UNDECIDED = (
    "scores without a limit rank scans and decide nothing; `pointadplus calibrate` on normal scans of the part finds a "
    "limit that holds a false-alarm rate, and `--calibration synthetic` has a rough one for the embedded weights"
)


def score_line(file: Path, record: Mapping[str, Any]) -> str:
    """Path and object score, a tab between; where there is a verdict that comes first, and what it rests on last.

    Of a scan that was compared with a nominal the verdict, the path and what was found, tabs between; with a
    calibration that is the last part.
    Of an anomalous scan the record's regions, if it has them, are summed up: their number, area and largest depth, in
    the scan's unit where that is known.
    """
    name, score, verdict = printable(file), f"{record['object_score']:.4f}", record.get("verdict")
    if verdict != "not measurable" and "inspection" in record and "limit" not in record:
        return f"{(verdict or 'compared').upper()}\t{name}\t{in_words(record['inspection'])}"
    if verdict is None:
        return f"{name}\t{score}"
    if verdict == "not measurable":
        return f"NOT MEASURABLE {score}\t{name}\t{'; '.join(record['notes'])}"
    line = f"{verdict.upper()} {score} (limit {record['limit']:.4f})\t{name}\tp={record['p_value']:.4f}"
    regions = record.get("regions") if verdict == "anomalous" else None
    if "inspection" in record:
        return f"{line}\t{record['inspection']['verdict'] or 'compared'}, {in_words(record['inspection'])}"
    if not regions:
        return line
    unit = f" {record['unit']}" if "unit" in record else ""
    depths = [region["depth"] for region in regions if region["depth"] is not None]
    deepest = [f"depth {rounded(max(depths, key=abs))}{unit}"] if depths else []
    area = f"area {rounded(sum(region['area'] for region in regions))}{unit and unit + '²'}"
    return f"{line}\t{', '.join([f'{len(regions)} region' + 's' * (len(regions) > 1), area, *deepest])}"


def write_scores(detection: Detection, path: Path) -> None:
    """Write the cloud with its scores, and against a nominal its deviations; a mesh at its vertices is painted."""
    from ...io import VertexCloud, write_cloud

    make_folder(path.parent)
    cloud = detection.colored() if isinstance(detection.cloud, VertexCloud) else detection.cloud
    fields = None if detection.inspection is None else detection.layers
    write_cloud(path, cloud, scores=detection.valid_scores, fields=fields)


def check_outputs(files: Iterable[Path | None] = (), folders: Iterable[Path | None] = ()) -> None:
    """See to it, before any work, that files and folders can be written; none is made yet, and None is passed over.

    Raises:
        ConfigError: one cannot.
    """
    for file in files:
        if file is not None and file.is_dir():
            raise ConfigError("a folder stands where a file is to be written", where=file, hint="choose another name")
    wanted = [file.parent for file in files if file is not None]
    for folder in [*wanted, *(each for each in folders if each is not None)]:
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            raise ConfigError("the folder cannot be written to", where=folder, found=error.strerror or error) from error


def check_pdf(path: Path | None) -> None:
    """See to it that a PDF can be made, before any work, if there is to be one.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    if path is not None:
        from ...results.plot import need_matplotlib

        need_matplotlib()


def make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError("the folder cannot be made", where=path, found=error.strerror or error) from error


def write_text(path: Path, text: str) -> None:
    make_folder(path.parent)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError("the file cannot be written", where=path, found=error.strerror or error) from error


def refuse_overwriting(files: list[Path], folders: Mapping[str, Path | None]) -> None:
    """End where a PLY of each file, in the folder of an option, would be written twice or over a scan."""
    for option, folder in folders.items():
        if folder is None:
            continue
        targets = [(folder / f"{file.stem}.ply").resolve() for file in files]
        target, count = Counter(targets).most_common(1)[0]
        if count > 1:
            message = f"{option} would write {target.name} {count} times; score these files one folder at a time"
        elif not {file.resolve() for file in files}.isdisjoint(targets):
            message = f"{option} would overwrite a scan that is read; choose another folder"
        else:
            continue
        typer.echo(f"error: {message}", err=True)
        raise typer.Exit(2)


def print_profile(spent: Mapping[str, float]) -> None:
    total = sum(spent.values())
    for name, seconds in spent.items():
        typer.echo(f"{name:>12}  {seconds:7.2f} s  {seconds / max(total, 1e-9):4.0%}", err=True)
    typer.echo(f"{'total':>12}  {total:7.2f} s", err=True)


def printable(path: Path) -> str:
    return str(path).encode("utf-8", "replace").decode("utf-8")  # a file name need not be text


def one_line(error: Exception, file: Path) -> str:
    name = "" if isinstance(error, PointADPlusError) else f"{type(error).__name__}: "
    message = name + " ".join(str(error).split())
    return message if str(file) in message else f"{printable(file)}: {message}"


@contextmanager
def inspection_rows(path: Path | None) -> Iterator[Callable[[str, Mapping[str, Any]], None]]:
    """A function that adds a scan's record to the table of inspections, if there is to be one."""
    if path is None:
        yield lambda name, record: None
        return
    from ...results.inspection_files import inspection_table

    with inspection_table(path) as write:
        yield write


@contextmanager
def json_lines(path: Path | None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that writes a record as one line, at once: an interrupted run keeps what it has."""
    if path is None:
        yield lambda record: None
        return
    make_folder(path.parent)
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise ConfigError("the file cannot be written", where=path, found=error.strerror or error) from error
    with file:
        yield lambda record: print(json.dumps(record), file=file, flush=True)


def named_folder(text: str) -> tuple[str, str]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise ConfigError("not a data set's root", where="--root", expected="DATASET=FOLDER", found=text)
    return name.lower().replace("_", "-"), folder


def whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigError("not a number", where="--seeds", expected="0,1,2 and the like", found=text) from None


@contextmanager
def stage_bar() -> Iterator[Callable[..., None]]:
    """A bar for whichever stage reports: its steps done, all of them, and the loss where there is one."""
    with progress_bar() as progress:
        task = progress.add_task("", total=None)

        def report(stage: str, done: int, total: int, loss: float | None = None) -> None:
            told = stage if loss is None else f"{stage}, loss {loss:.4f}"
            progress.update(task, description=told, completed=done, total=total)

        yield report


@contextmanager
def reported_errors() -> Iterator[None]:
    """One line for what the package refuses, and exit code 1."""
    try:
        yield
    except PointADPlusError as error:
        trace()
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


def progress_bar() -> Progress:
    """A bar on stderr when a person watches, nothing when it is piped; what is printed stands above it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    # With stdout a file or a pipe, redirecting it would send the scores to the terminal instead.
    unseen = quiet() or not sys.stderr.isatty()
    return Progress(*columns, console=console, transient=True, disable=unseen, redirect_stdout=sys.stdout.isatty())
