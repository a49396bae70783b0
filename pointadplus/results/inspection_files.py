"""Inspections in a table: a row a scan, for the spreadsheet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .region_files import inert, open_table

_FOUND = (
    "nominal", "unit", "alignment", "residual", "rests_on", "coverage", "measured", "mean", "rms", "low", "high",
    "largest", "smallest", "within", "over", "under", "not_measured", "significant", "lod", "missing", "thinnest",
    "thinnest_nominal",
)  # fmt: skip
COLUMNS = (
    "path", "verdict", "object_score", *_FOUND, "tolerance_low", "tolerance_high", "regions", "excess_volume",
    "lack_volume", "notes",
)  # fmt: skip


@contextmanager
def inspection_table(path: Path) -> Iterator[Callable[[str, Mapping[str, Any]], None]]:
    """A function that writes a scan's record (`record.json_record`) as a row of a CSV table, at once; see `COLUMNS`.

    Lengths are in the scan's unit, volumes, which are those of its regions, in its cube; what is not known is empty. A
    name that a spreadsheet would take for a formula gets an apostrophe in front.

    Raises:
        ConfigError: the file cannot be written.
    """
    with open_table(path, COLUMNS) as (table, flush):

        def write(name: str, record: Mapping[str, Any]) -> None:
            found = record.get("inspection") or {}
            low, high = found.get("tolerance") or (None, None)
            off = [region["deviation"] for region in record.get("regions", ()) if region.get("deviation")]
            volumes = (sum(each[side] for each in off) if found else None for side in ("excess", "lack"))
            notes = record["error"] if "error" in record else "; ".join(record["notes"])
            verdict = "failed" if "error" in record else record.get("verdict")
            numbers = (inert(value) if isinstance(value, str) else value for value in map(found.get, _FOUND))
            first = (inert(name), verdict, record.get("object_score"), *numbers, low, high)
            table.writerow((*first, len(record.get("regions", ())), *volumes, inert(notes)))
            flush()

        yield write
