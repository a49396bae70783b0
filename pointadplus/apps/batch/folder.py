"""Finding scans in a folder, once or as they come."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from ...errors import ConfigError
from ...io.depth import is_depth_image
from ...io.unknown import conversion_hint

_NAMED = 8  # kinds of other files that are named


def check_folder(root: Path) -> None:
    """Raise `ConfigError` where there is no such folder, or something else."""
    if not root.exists():
        raise ConfigError("no such folder", where=root, expected="a folder of scans")
    if not root.is_dir():
        raise ConfigError("not a folder", where=root, expected="one folder of scans, and nothing else", found="a file")


def find_files(
    root: Path, suffixes: Collection[str], *, but: Path | None = None, others: Counter[str] | None = None
) -> Iterator[Path]:
    """Files below a folder with one of these suffixes (lower case), and depth images, in the order of their paths.

    Hidden files and folders are left out, and the folder `but`. Links to files are followed, links to folders are not.
    A folder that cannot be listed is given itself: scoring it says so. Files of other kinds are counted in `others`, by
    suffix.

    Raises:
        ConfigError: `root` is no folder.
    """
    check_folder(root)
    avoided = None if but is None else but.resolve()

    def below(folder: Path) -> Iterator[Path]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            yield folder
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = folder / entry.name
            if entry.is_dir(follow_symlinks=False):
                if path.resolve() != avoided:
                    yield from below(path)
            elif entry.is_dir():
                continue
            elif path.suffix.lower() in suffixes or is_depth_image(path):
                yield path
            elif others is not None:
                others[path.suffix.lower()] += 1

    yield from below(root)


def in_words(others: Counter[str]) -> str:
    """Files of other kinds by suffix, the most frequent first: `3 .doc, 1 without extension`."""
    ranked = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    told = [f"{count:,} {suffix or 'without extension'}" for suffix, count in ranked[:_NAMED]]
    rest = sum(count for _, count in ranked[_NAMED:])
    return ", ".join([*told, *([f"{rest:,} of other kinds"] if rest else [])])


def scans_below(root: Path, suffixes: Collection[str], *, but: Path | None = None) -> tuple[list[Path], Counter[str]]:
    """`find_files`, and how many files there are of other kinds.

    Raises:
        ConfigError: `root` is no folder, or holds no file with one of the suffixes.
    """
    others = Counter[str]()
    found = list(find_files(root, suffixes, but=but, others=others))
    if not found:
        raise ConfigError(
            "no scan in the folder",
            where=root,
            expected=", ".join(sorted(suffixes)),
            found=in_words(others) or "no file",
            hint=conversion_hint(*others),
        )
    return found, others


def watch_files(
    found: Callable[[], Iterable[Path]],
    *,
    settle: float = 2.0,
    interval: float = 0.5,
    stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Path]:
    """Files as they become complete, again and again, until `stop` says so; a file that changes later comes again.

    Complete is a file that is not empty and whose size and time of change have stayed as they are for `settle` seconds,
    of this computer's clock: a file server's may be another. A scanner that writes under another suffix and renames is
    never met halfway. One that pauses longer within a file is; the file comes again when it has changed.

    Args:
        found: lists what is there now.
        settle: seconds.
        interval: seconds between two looks.
        stop, clock, sleep: to end it, and for tests.
    """
    waiting: dict[Path, tuple[tuple[int, int], float]] = {}
    given: dict[Path, tuple[int, int]] = {}
    while not stop():
        there = set()
        for file in found():
            try:
                state = look(file)
            except OSError:
                continue
            there.add(file)
            if given.get(file) == state or state[0] == 0:
                continue
            last, since = waiting.get(file, (None, 0.0))
            if last != state:
                waiting[file] = state, clock()
            elif clock() - since >= settle:
                del waiting[file]
                given[file] = state
                yield file
        for known in (waiting, given):
            for file in known.keys() - there:
                del known[file]
        if not stop():
            sleep(interval)


def look(file: Path) -> tuple[int, int]:
    """Size in bytes and time of change in nanoseconds.

    Raises:
        OSError: there is no such file, or it is a folder, a pipe or a device.
    """
    found = os.stat(file)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a file", str(file))
    return found.st_size, found.st_mtime_ns
