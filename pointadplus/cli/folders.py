"""The commands over whole folders: `score DIR` and `calibrate`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import ConfigError
from ..record import json_record
from .output import one_line, printable, progress_bar, score_line
from .regions import RegionOptions, region_records, region_rows

if TYPE_CHECKING:
    from ..batch import Batch, Summary
    from ..detection import AnomalyDetector


@dataclass(frozen=True)
class FolderOptions:
    """How a folder is scored.

    Attributes:
        watch: go on with what comes, until interrupted.
        settle: seconds that a new file has to stay as it is.
        verify, retry: see `Batch`.
    """

    watch: bool = False
    settle: float = 2.0
    verify: bool = False
    retry: bool = False


def score_folder(
    detector: AnomalyDetector, root: Path, out: Path, regions: RegionOptions, options: FolderOptions
) -> bool:
    """Score what has no record yet, a line each; says at the end what the journal holds. True if nothing failed.

    Raises:
        ConfigError: see `Batch`; or no folder, or a file in place of one.
    """
    from ..batch import JOURNAL, Batch
    from ..batch.folder import find_files, watch_files
    from ..io import READABLE

    if not root.is_dir():
        raise ConfigError("not a folder", where=root, expected="one folder of scans, and nothing else")

    def score(file: Path) -> dict[str, Any]:
        detection = detector.score(file)
        return json_record(file, detection, region_records(detection, regions, f"{file.relative_to(root)}.ply"))

    def files() -> Iterator[Path]:
        return find_files(root, READABLE, but=out)

    now = 0
    with Batch(root, out, score, _settings(detector, regions), verify=options.verify, retry=options.retry) as batch:
        with _ended_by_signals(options.watch):
            if options.watch:
                for record in batch.run(watch_files(files, settle=options.settle)):
                    now += 1
                    _say(root, record)
            else:
                found = list(files())
                with progress_bar() as progress:
                    task = progress.add_task("scoring", total=len(found))
                    for record in batch.run(found):
                        now += 1
                        _say(root, record)
                        progress.update(task, completed=now + batch.kept)
        summary = batch.finish()
        if regions.table is not None:
            _tabulate(batch, out / JOURNAL, regions)
        typer.echo(
            f"{_in_words(summary)}; {now} scored now, {batch.kept} as before: {printable(out / JOURNAL)}", err=True
        )
    return summary.failed == 0


def calibrate_on(detector: AnomalyDetector, normals: Path, out: Path, rate: float) -> bool:
    """Calibrate on a folder's scans and write the calibration; True if every scan could be read.

    Raises:
        ConfigError: no scan could be scored, a rate out of range, or nothing can be written.
    """
    from ..batch.folder import find_files
    from ..calibration import Calibration
    from ..detection import Detection
    from ..io import READABLE

    failed = 0

    def scored(files: Iterable[Path]) -> Iterator[Detection]:
        nonlocal failed
        for file in files:
            try:
                yield detector.score(file)
            except Exception as error:  # whatever is wrong with one file, the others are scored
                failed += 1
                print(f"error: {one_line(error, file)}", file=sys.stderr)

    files = list(find_files(normals, READABLE))
    with progress_bar() as progress:
        tracked = progress.track(files, description="calibrating")
        calibration = Calibration.of(scored(tracked), rate, detector.fingerprint())
    calibration.save(out)
    typer.echo(f"{calibration.describe()}: {printable(out)}")
    return failed == 0


def _settings(detector: AnomalyDetector, regions: RegionOptions) -> dict[str, Any]:
    """What tells one set of scores from another."""
    calibration = detector.calibration
    return {
        "detector": detector.fingerprint(),
        "calibration": None if calibration is None else calibration.digest,
        "regions": regions.wanted and {"threshold": regions.threshold, "words": regions.choices},
    }


@contextmanager
def _ended_by_signals(watching: bool) -> Iterator[None]:
    """Watching ends well by Ctrl-C or SIGTERM: the file at hand is given up, the journal is whole."""
    if not watching:
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(root: Path, record: dict[str, Any]) -> None:
    file = root / record["path"]
    if "error" in record:
        message = record["error"]
        named = message if str(file) in message else f"{printable(file)}: {message}"
        print(f"error: {named}", file=sys.stderr, flush=True)
    else:
        print(score_line(file, record), flush=True)


def _in_words(summary: Summary) -> str:
    alarms = "" if summary.anomalous is None else f", {summary.anomalous} anomalous"
    return f"{summary.files} files: {summary.scored} scored, {summary.failed} failed{alarms}"


def _tabulate(batch: Batch, journal: Path, regions: RegionOptions) -> None:
    """Rows of all scans in the journal, those of earlier runs included; the last record of a path counts."""
    from ..batch.journal import Entry, read_records

    with region_rows(regions) as write:
        for record in read_records(journal):
            if Entry.of(record) == batch.journal.entries.get(record["path"]):
                write(record["path"], record.get("regions"))
