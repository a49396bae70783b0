"""The command over single files: `score FILE…`."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ...results.inspection import OUT
from ...results.record import json_record
from .output import (
    UNDECIDED,
    inspection_rows,
    json_lines,
    one_line,
    print_profile,
    printable,
    progress_bar,
    score_line,
    write_scores,
)
from .regions import RegionOptions, region_records, region_rows, write_reports
from .verbosity import detail, note, trace

if TYPE_CHECKING:
    from ...results.detection import Detection
    from ...results.detector import AnomalyDetector


@dataclass(frozen=True)
class FileOptions:
    """What is written of scored files: JSON lines, a folder of clouds, a report as a page and as PDF, a table of
    inspections; and whether times are printed.

    `told` is what `read_cloud` is told of the files besides: `columns`, `camera`, `depth_scale`.
    """

    out: Path | None = None
    points: Path | None = None
    report: Path | None = None
    profile: bool = False
    told: Mapping[str, Any] = field(default_factory=dict)
    table: Path | None = None
    pdf: Path | None = None


def score_files(
    detector: AnomalyDetector, files: list[Path], regions: RegionOptions, options: FileOptions
) -> Counter[str]:
    """Score files, a line each; how many of them `failed`, and how many had each verdict.

    Raises:
        ConfigError: an output cannot be written, or words for regions cannot be given.
    """
    regions.check(detector, options.report or options.pdf)
    read = None
    if any(value is not None for value in options.told.values()):
        from ...io import read_cloud

        prepared = detector.preparation
        read = partial(read_cloud, at=prepared.at, unit=prepared.unit, **options.told)
    shown: list[Detection] = []
    spent: dict[str, float] = defaultdict(float)
    found, outcomes = 0, Counter[str]()
    with (
        json_lines(options.out) as write_record,
        region_rows(regions, inspected=detector.inspects) as write_rows,
        inspection_rows(options.table) as write_inspection,
        progress_bar() as progress,
    ):
        for file in progress.track(files, description="scoring"):
            try:
                detection = detector.score(file if read is None else read(file))
                if options.points is not None:
                    write_scores(detection, options.points / f"{file.stem}.ply")
                record = json_record(file, detection, region_records(detection, detector, regions, f"{file.stem}.ply"))
            except Exception as error:  # whatever is wrong with one file, the others are scored
                outcomes["failed"] += 1
                trace()
                print(f"error: {one_line(error, file)}", file=sys.stderr)
                failed = {"path": str(file), "error": one_line(error, file)}
                write_record(failed)
                write_inspection(str(file), failed)
                continue
            outcomes[record.get("verdict") or ("scored" if detection.inspection is None else "compared")] += 1
            print(score_line(file, record | _summed_up(detection, record, regions)), flush=True)
            taken, size = sum(detection.seconds.values()), len(detection.cloud)
            for text in detection.notes:
                note(f"{printable(file)}: {text}")
            detail(f"{printable(file)}: {size:,} points, {detection.dropped:,} dropped, {taken:.2f} s")
            write_record(record)
            write_rows(str(file), record)
            write_inspection(str(file), record)
            found += len(record.get("regions", ()))
            for stage, seconds in detection.seconds.items():
                spent[stage] += seconds
            if options.report is not None or options.pdf is not None:
                shown.append(detection)
    if regions.wanted and not detector.inspects and found == 0 and outcomes["failed"] < len(files):
        note("no region: no five points together reach the threshold; --threshold lowers it")
    if outcomes["scored"]:
        note(UNDECIDED)
    if shown:
        write_reports(detector, shown, options.report, options.pdf, regions)
    if options.profile:
        print_profile(spent)
    return outcomes


def end_with(outcomes: Counter[str], *, decided: bool) -> None:
    """End with exit code 1 if a file failed; else, if what was `decided` counts, with 3 if one is anomalous or out of
    tolerance, or with 4 if one is not measurable."""
    if outcomes["failed"]:
        raise typer.Exit(1)
    bad = outcomes["anomalous"] + outcomes[OUT]
    if decided and (bad or outcomes["not measurable"]):
        raise typer.Exit(3 if bad else 4)


def _summed_up(detection: Detection, record: dict[str, Any], regions: RegionOptions) -> dict[str, Any]:
    """The regions of an anomalous scan, for its line, where its record has none."""
    if detection.verdict != "anomalous" or "regions" in record:
        return {}
    return {"regions": [region.as_record() for region in detection.regions(regions.threshold)]}
