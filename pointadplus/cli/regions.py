"""What `score` writes of anomalous regions: into JSON lines, a CSV table and painted clouds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .output import make_folder

if TYPE_CHECKING:
    from ..detection import Detection

Records = list[dict[str, Any]]


@dataclass(frozen=True)
class RegionOptions:
    """Which regions, and where to.

    Attributes:
        listed: put them into the JSON lines.
        table: CSV file, or None.
        clouds: folder of PLY files, or None.
        threshold, words: see `Detection.regions`; words with commas between.
    """

    listed: bool = False
    table: Path | None = None
    clouds: Path | None = None
    threshold: float | None = None
    words: str | None = None

    @property
    def wanted(self) -> bool:
        return self.listed or self.table is not None or self.clouds is not None

    @property
    def choices(self) -> tuple[str, ...] | None:
        words = tuple(word.strip() for word in (self.words or "").split(",") if word.strip())
        return words if self.words is not None else None


def region_records(detection: Detection, options: RegionOptions, name: str) -> Records | None:
    """The records of a detection's regions, its painted cloud written as `name`; None if nobody asked for them."""
    if not options.wanted:
        return None
    from ..naming import named_regions
    from ..regions.files import write_regions

    regions = named_regions(detection, options.choices, threshold=options.threshold)
    if options.clouds is not None:
        path = options.clouds / name
        make_folder(path.parent)
        write_regions(path, detection.cloud, regions, detection.valid_scores)
    return [region.as_record() for region in regions]


@contextmanager
def region_rows(options: RegionOptions) -> Iterator[Callable[[str, Records | None], None]]:
    """A function that adds a scan's regions to the table, if there is to be one."""
    if options.table is None:
        yield lambda name, regions: None
        return
    from ..regions.files import region_table

    with region_table(options.table) as write:
        yield lambda name, regions: write(name, regions or ())
