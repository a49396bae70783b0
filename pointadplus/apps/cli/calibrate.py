"""The command over normal scans: `calibrate`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .output import check_outputs, one_line, printable, progress_bar
from .verbosity import note, trace

if TYPE_CHECKING:
    from ...results.detector import AnomalyDetector


def calibrate_on(load: Callable[[], AnomalyDetector], normals: Path, out: Path, rate: float) -> bool:
    """Calibrate a detector on a folder's scans and write the calibration; True if every scan could be read.

    Raises:
        ConfigError: no scan could be scored, a rate out of range, or nothing can be written.
    """
    from ...io import READABLE
    from ...results.calibration import Calibration
    from ..batch.folder import in_words, scans_below

    check_outputs(files=[out])
    failed = 0

    def scored(files: Iterable[Path]) -> Iterator[tuple[float, float]]:
        nonlocal failed
        for file in files:
            try:
                detection = detector.score(file)
                if detection.measurable:
                    yield detection.object_score, detection.peak_score
                else:
                    note(f"{printable(file)}: left out, it cannot be judged: {'; '.join(detection.notes)}")
            except Exception as error:  # whatever is wrong with one file, the others are scored
                failed += 1
                trace()
                print(f"error: {one_line(error, file)}", file=sys.stderr)

    files, others = scans_below(normals, READABLE)
    if others:
        note(f"left out, since they are no scans: {in_words(others)}")
    detector = load()
    with progress_bar() as progress:
        tracked = progress.track(files, description="calibrating")
        calibration = Calibration.of(scored(tracked), rate, detector.fingerprint())
    calibration.save(out)
    typer.echo(f"{calibration.describe()}: {printable(out)}")
    return failed == 0
