"""What `score` writes of anomalous regions: into JSON lines, a CSV table and painted clouds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError
from .output import make_folder

if TYPE_CHECKING:
    from ...results.detection import Detection
    from ...results.detector import AnomalyDetector

Records = list[dict[str, Any]]


def split_words(words: str | None) -> tuple[str, ...] | None:
    """The words between the commas of an option; None if it was not given."""
    return None if words is None else tuple(word.strip() for word in words.split(",") if word.strip())


@dataclass(frozen=True)
class RegionOptions:
    """Which regions, and where to.

    Attributes:
        listed: put them into the JSON lines.
        table: CSV file, or None.
        clouds: folder of PLY files, or None.
        threshold, words: see `Detection.regions`.
    """

    listed: bool = False
    table: Path | None = None
    clouds: Path | None = None
    threshold: float | None = None
    words: tuple[str, ...] | None = None

    @property
    def wanted(self) -> bool:
        return self.listed or self.table is not None or self.clouds is not None

    def check(self, detector: AnomalyDetector, report: Path | None) -> None:
        """Refuse words that nothing is written of, or that cannot be given, before anything is scored.

        Raises:
            ConfigError: see `words.check_words`; or nothing is written of regions.
        """
        if self.words is None:
            return
        from ...zero_shot.words import check_words

        if not self.wanted and report is None:
            outputs = "--regions, --regions-csv, --regions-ply or --report"
            raise ConfigError("words of regions that nobody asked for", where="--words", expected=f"with {outputs}")
        check_words(self.words, detector)


def region_records(
    detection: Detection, detector: AnomalyDetector, options: RegionOptions, name: str
) -> Records | None:
    """The records of a detection's regions, its painted cloud written as `name`; None if nobody asked for them."""
    if not options.wanted:
        return None
    from ...results.region_files import write_regions
    from ...zero_shot.words import named_regions

    regions = named_regions(detection, options.words, detector=detector, threshold=options.threshold)
    if options.clouds is not None:
        path = options.clouds / name
        make_folder(path.parent)
        write_regions(path, detection.cloud, regions, detection.valid_scores)
    return [region.as_record() for region in regions]


@contextmanager
def region_rows(options: RegionOptions, *, inspected: bool) -> Iterator[Callable[[str, Mapping[str, Any]], None]]:
    """A function that adds the regions of a scan's record to the table, if there is to be one; with their deviations
    where scans are `inspected`."""
    if options.table is None:
        yield lambda name, record: None
        return
    from ...results.region_files import region_table

    with region_table(options.table, inspected=inspected) as write:
        yield lambda name, record: write(name, record.get("regions", ()), record.get("unit"))


def write_reports(
    detector: AnomalyDetector, shown: Iterable[Detection], page: Path | None, pdf: Path | None, regions: RegionOptions
) -> None:
    """The report of what was scored, at least one scan, as a page or as PDF; as both only if `shown` is a list."""
    from ...report import write_pdf, write_report

    look = {"threshold": regions.threshold, "words": regions.words, "detector": detector}
    for write, path in ((write_report, page), (write_pdf, pdf)):
        if path is not None:
            write(shown, path, **look)
