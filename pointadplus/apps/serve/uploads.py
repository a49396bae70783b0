"""Scans as they are sent: into a private folder, under a name of ours, and gone as soon as they are read."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ...cloud import PointCloud
from ...io import READABLE, read_cloud
from .refusals import UNKNOWN_TYPE, Refusal, too_large

if TYPE_CHECKING:
    from typing_extensions import Self


def scan_suffix(name: str) -> str:
    """One of `READABLE`; all that a client's file name is used for, but for being told back.

    Raises:
        Refusal: 415, another one or none.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in READABLE:
        raise Refusal(415, f"unknown extension in `name`; expected: {', '.join(READABLE)}", UNKNOWN_TYPE)
    return suffix


class Upload:
    """One scan in a folder of its own, so that no file beside it can be read through it; a context that removes it.

    Args:
        parent: the folder for the folder.
        name: what the client calls the scan; never a path here.
    """

    def __init__(self, parent: Path, name: str) -> None:
        suffix = scan_suffix(name)
        self.name = name
        self._folder = Path(tempfile.mkdtemp(dir=parent)).resolve()
        self._path = self._folder / f"scan{suffix}"

    async def receive(self, chunks: AsyncIterator[bytes], limit: int) -> None:
        """Write the scan.

        Raises:
            Refusal: 413, more than `limit` bytes.
        """
        size = 0
        with open(self._path, "xb") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    raise too_large(limit)
                file.write(chunk)

    def read(self, max_points: int, at: str = "surface", unit: str | None = None) -> PointCloud:
        """The cloud, under the client's name; the file is removed.

        Args:
            max_points, at, unit: see `read_cloud`.

        Raises:
            CloudReadError: see `read_cloud`.
        """
        try:
            cloud = read_cloud(self._path, max_points=max_points, at=at, unit=unit)
        finally:
            self.remove()
        return replace(cloud, source=self.name)

    def named(self, text: str) -> str:
        """A message about the file, with the client's name in place of ours."""
        return text.replace(str(self._path), self.name).replace(str(self._folder), "")

    def remove(self) -> None:
        """Remove the folder; twice does no harm."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
