"""What a run keeps of its highest scores, so that a report of them scores nothing again."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


class Highest:
    """Which of a run's files are among its `most` highest scores so far, and where what is kept of each lies.

    Each process has one of its own, and so may keep some that are not among those of all: `prune` removes them.

    Args:
        folder: for the files; it need not be there.
        most: scores.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        self.first: list[tuple[float, str]] = []

    def place(self, name: str) -> Path:
        """The file for what is kept of a scan; names may be long, nested, or no text."""
        return self.folder / f"{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.npz"

    def takes(self, name: str, score: float) -> bool:
        """Whether a scan that was just scored is among the highest; it is counted in."""
        self.first = [one for one in self.first if one[1] != name]
        bisect.insort(self.first, (-score, name))
        del self.first[self.most :]
        return (-score, name) in self.first

    def prune(self, names: Iterable[str]) -> None:
        """Remove what is kept of other scans than these."""
        kept = {self.place(name).name for name in names}
        for file in self.folder.glob("*.npz") if self.folder.is_dir() else ():
            if file.name not in kept:
                with suppress(OSError):
                    file.unlink()
