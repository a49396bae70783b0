"""Regions in files: rows of a spreadsheet, and clouds with the regions painted on."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..cloud import PointCloud
from ..errors import ConfigError
from ..io import write_cloud
from .regions import Region, region_numbers

COLUMNS = (
    "path", "region", "points", "area", "length", "width", "height", "x", "y", "z", "normal_x", "normal_y", "normal_z",
    "peak_score", "mean_score", "depth", "sided", "surface_rms", "word", "word_share", "unit",
)  # fmt: skip

#: Behind them, of scans that were compared with a nominal; see `RegionDeviation`.
_OFF = "largest", "mean", "excess", "lack"
DEVIATIONS = (
    "largest_deviation", "mean_deviation", "excess_volume", "lack_volume", "nominal_x", "nominal_y", "nominal_z",
)  # fmt: skip

# Okabe and Ito, Color Universal Design (2008), without black and grey: told apart with any colour vision.
COLORS = ("E69F00", "56B4E9", "009E73", "F0E442", "0072B2", "D55E00", "CC79A7")
PLAIN = 0.72  # grey, where there is no region


@contextmanager
def open_table(path: Path, columns: Sequence[str]) -> Iterator[tuple[Any, Callable[[], None]]]:
    """A CSV writer that has written its header, and what puts its rows on disk.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w", encoding="utf-8", errors="replace", newline="")
    except OSError as error:
        raise ConfigError("the file cannot be written", where=path, found=error.strerror or error) from error
    with file:
        table = csv.writer(file)
        table.writerow(columns)
        yield table, file.flush


@contextmanager
def region_table(
    path: Path, *, inspected: bool = False
) -> Iterator[Callable[[str, Iterable[Mapping[str, Any]], str | None], None]]:
    """A function that writes a scan's regions (`Region.as_record`) as rows of a CSV table, at once; see `COLUMNS`.

    Lengths are in the scan's unit, the last column, areas in its square; what is not known is empty. A name that a
    spreadsheet would take for a formula gets an apostrophe in front.

    Args:
        path: the file.
        inspected: with the columns of `DEVIATIONS`.

    Raises:
        ConfigError: the file cannot be written.
    """
    with open_table(path, (*COLUMNS, *DEVIATIONS) if inspected else COLUMNS) as (table, flush):

        def write(name: str, regions: Iterable[Mapping[str, Any]], unit: str | None = None) -> None:
            for region in regions:
                vectors = (*region["extent"], *region["position"], *region["normal"])
                scores = (region[name] for name in ("peak_score", "mean_score", "depth", "sided", "surface_rms"))
                word = None if region["word"] is None else inert(region["word"])
                first = (inert(name), region["number"], region["points"], region["area"])
                off = region.get("deviation") or {}
                told = (
                    (*(off.get(name) for name in _OFF), *off.get("position", (None, None, None))) if inspected else ()
                )
                table.writerow((*first, *vectors, *scores, word, region["word_share"], unit, *told))
            flush()

        yield write


def write_regions(
    path: str | os.PathLike[str], cloud: PointCloud, regions: Sequence[Region], scores: torch.Tensor | None = None
) -> None:
    """Write a cloud with its regions: the integer field `region` (0 for none) and a colour a region, grey elsewhere.

    Args:
        path: the file; PLY keeps `region` an int, see `write_cloud`.
        cloud: N points.
        regions: of this cloud.
        scores: (N,) one a point, written as the field `score`, or None.

    Raises:
        CloudWriteError: see `write_cloud`.
    """
    numbers = region_numbers(regions, cloud)
    palette = torch.tensor([list(bytes.fromhex(color)) for color in COLORS]) / 255
    painted = palette[(numbers - 1) % len(palette)]
    colors = torch.where((numbers > 0)[:, None], painted, PLAIN)
    write_cloud(path, cloud, colors=colors, scores=scores, regions=numbers)


def inert(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
