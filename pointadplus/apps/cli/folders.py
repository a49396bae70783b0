"""The command over whole folders: `score DIR`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config import check_known
from ...errors import ConfigError, PointADPlusError
from ...results.record import json_record
from .output import UNDECIDED, check_outputs, inspection_rows, one_line, printable, progress_bar, score_line
from .regions import RegionOptions, region_records, region_rows, write_reports
from .verbosity import note, trace

if TYPE_CHECKING:
    from ...results.detection import Detection
    from ...results.detector import AnomalyDetector
    from ..batch import Batch, Summary
    from ..batch.highest import Highest
    from ..batch.scoring import Scorer

SHOWN = 20  # scans of a folder on its report
KEPT = "highest"  # the folder beside the journal with what is kept of them
_ANEW = "another --out scores it anew"


@dataclass(frozen=True)
class FolderOptions:
    """How a folder is scored.

    Attributes:
        watch: go on with what comes, until interrupted.
        settle: seconds that a new file has to stay as it is.
        verify, retry: see `Batch`.
        engine: `"local"` or `"ray"`, see `RayEngine`.
        workers: of `"ray"`, or None for one a CPU.
        report: an HTML page of the `SHOWN` highest scores in the journal, or None.
        table: a CSV of the inspections in the journal, or None.
        pdf: the report as PDF, or None.
    """

    watch: bool = False
    settle: float = 2.0
    verify: bool = False
    retry: bool = False
    engine: str = "local"
    workers: int | None = None
    report: Path | None = None
    table: Path | None = None
    pdf: Path | None = None

    def check(self, files: list[Path], out: Path | None) -> None:
        """Refuse what does not go together.

        Raises:
            ConfigError: an engine that is unknown, or for other than one folder into another, once; or workers of none.
        """
        check_known(self.engine, ("local", "ray"), "--engine")
        if self.engine == "local":
            if self.workers is not None:
                raise ConfigError("only Ray has workers", where="--workers", hint="add --engine ray, or leave it out")
        elif self.watch:
            raise ConfigError(
                "Ray does not watch a folder",
                where="--watch",
                expected="--engine local",
                found="--engine ray",
                hint="give the command again when more scans have come: what has a record is not scored again",
            )
        elif out is None or len(files) != 1 or not files[0].is_dir():
            raise ConfigError(
                "Ray scores one folder, with a journal",
                where="--engine ray",
                expected="one folder of scans, and --out with the folder for the journal",
                found="no --out" if out is None else "files" if len(files) == 1 else f"{len(files)} files or folders",
                hint="pointadplus score DIR --out RUN --engine ray",
            )


@dataclass(frozen=True)
class _ScorerInWorker:
    """Makes the scorer in another process, of a detector that has to be the one of this process."""

    load: Callable[[], AnomalyDetector]
    root: Path
    regions: RegionOptions
    settings: dict[str, Any]
    kept: Path

    def __call__(self) -> Scorer:
        detector = self.load()
        found = _settings(detector, self.regions)
        if found != self.settings:
            raise ConfigError(
                "a worker has another detector",
                expected=self.settings,
                found=found,
                hint="all machines need the same version of the package and the same weights",
            )
        from ..batch.highest import Highest

        return partial(_scored, detector, self.root, self.regions, Highest(self.kept, SHOWN))


def score_folder(
    load: Callable[[], AnomalyDetector], root: Path, out: Path, regions: RegionOptions, options: FolderOptions
) -> bool:
    """Score what has no record yet, a line each; says at the end what the journal holds. True if nothing failed.

    Args:
        load: the detector; with `engine="ray"` it is pickled, and called in each worker too.
        root: the folder of scans.
        out: the folder for the journal.
        regions: what is measured and written of regions.
        options: how the folder is scored.

    Raises:
        ConfigError: see `Batch`, `RayEngine` and `RegionOptions.check`; or no folder, or a file in place of one.
    """
    from ...io import READABLE
    from ..batch import JOURNAL, Batch
    from ..batch.folder import check_folder, find_files, in_words, scans_below, watch_files
    from ..batch.highest import Highest

    check_folder(root)
    check_outputs(files=[options.report, options.pdf, options.table, regions.table], folders=[out, regions.clouds])
    detector = load()
    regions.check(detector, options.report or options.pdf)
    settings = _settings(detector, regions)
    highest = Highest(out / KEPT, SHOWN)
    score = partial(_scored, detector, root, regions, highest)
    engine = None
    if options.engine == "ray":
        from ..batch.ray_engine import RayEngine

        engine = RayEngine(_ScorerInWorker(load, root, regions, settings, (out / KEPT).absolute()), options.workers)

    def files() -> Iterator[Path]:
        return find_files(root, READABLE, but=out)

    now, noted = 0, 0
    with Batch(root, out, score, settings, verify=options.verify, retry=options.retry) as batch:
        with _ended_by_signals(options.watch):
            if options.watch:
                for record in batch.run(watch_files(files, settle=options.settle)):
                    now += 1
                    _say(root, record)
            else:
                found, others = scans_below(root, READABLE, but=out)
                with progress_bar() as progress:
                    task = progress.add_task("scoring", total=len(found))
                    for record in batch.run(found, engine):
                        now += 1
                        noted += bool(record.get("notes"))
                        _say(root, record)
                        progress.update(task, completed=now + batch.kept)
                if others:
                    note(f"left out, since they are no scans: {in_words(others)}")
        shown = [path for path, _ in batch.summary(SHOWN).highest]
        highest.prune(shown)
        summary = batch.finish()
        if regions.table is not None or options.table is not None:
            _tabulate(batch, out / JOURNAL, regions, options.table, inspected=detector.inspects)
        if options.report is not None or options.pdf is not None:
            _report(detector, root, [(name, highest.place(name)) for name in shown], options, regions)
        if noted:
            scans = "1 scan" if noted == 1 else f"{noted:,} scans"
            note(f"notes on {scans}, such as what is not seen of it, stand in {printable(out / JOURNAL)}")
        if summary.scored and detector.calibration is None and not detector.inspects:
            note(UNDECIDED)
        note(f"{_in_words(summary)}; {now} scored now, {batch.kept} as before: {printable(out / JOURNAL)}")
    return summary.failed == 0


def _scored(
    detector: AnomalyDetector, root: Path, regions: RegionOptions, highest: Highest, file: Path
) -> dict[str, Any]:
    from ...results.kept import keep_detection

    detection = detector.score(file)
    name = file.relative_to(root).as_posix()
    if highest.takes(name, detection.object_score):
        with suppress(ConfigError):  # no room, say: the score counts; a report tells that nothing was kept
            keep_detection(highest.place(name), detection)
    return json_record(file, detection, region_records(detection, detector, regions, f"{file.relative_to(root)}.ply"))


def _settings(detector: AnomalyDetector, regions: RegionOptions) -> dict[str, Any]:
    """What tells one set of scores from another."""
    from ...results.preparation import Preparation

    calibration, prepared = detector.calibration, detector.preparation
    return {
        "detector": detector.fingerprint(),
        "calibration": None if calibration is None else calibration.digest,
        "regions": regions.wanted and {"threshold": regions.threshold, "words": regions.words},
        **({} if prepared == Preparation() else {"preparation": asdict(prepared)}),  # older journals have none
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
    alarms += "" if summary.out_of_tolerance is None else f", {summary.out_of_tolerance} out of tolerance"
    lost = f", {summary.not_measurable} not measurable" if summary.not_measurable else ""
    return f"{summary.files} files: {summary.scored} scored, {summary.failed} failed{alarms}{lost}"


def _tabulate(batch: Batch, journal: Path, regions: RegionOptions, table: Path | None, *, inspected: bool) -> None:
    """Rows of all scans in the journal, those of earlier runs included; the last record of a path counts."""
    from ..batch.journal import Entry, read_records

    with region_rows(regions, inspected=inspected) as write, inspection_rows(table) as write_inspection:
        for record in read_records(journal):
            if Entry.of(record) == batch.journal.entries.get(record["path"]):
                write(record["path"], record)
                write_inspection(record["path"], record)


def _report(
    detector: AnomalyDetector, root: Path, kept: list[tuple[str, Path]], options: FolderOptions, regions: RegionOptions
) -> None:
    """Show what the run kept of scans, scored by it or by one before; of what nothing was kept is said."""
    from ...results.kept import kept_detection

    def known() -> Iterator[Detection]:
        for name, place in kept:
            try:
                yield kept_detection(place, detector.calibration)
            except PointADPlusError as error:
                trace()
                print(f"error: not on the report: {one_line(error, root / name)}; {_ANEW}", file=sys.stderr)

    for page, pdf in ((options.report, None), (None, options.pdf)):  # read anew for each: they need not fit the memory
        first = next(shown := known(), None) if page is not None or pdf is not None else None
        if first is not None:
            write_reports(detector, chain([first], shown), page, pdf, regions)
