"""What is written of one scored file, whichever engine scored it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

from .folder import look

ATTEMPTS = 3  # at a file that changes while it is scored
_CHUNK = 1 << 20

Scorer = Callable[[Path], Mapping[str, Any]]
# Records of files below a folder, one a file, in any order; files may be taken one by one as there is room for them.
Engine = Callable[[Path, Iterable[Path]], Generator[dict[str, Any], None, None]]


def make_record(score: Scorer, root: Path, file: Path) -> dict[str, Any]:
    """What the scorer gives, or `error`; before it `path`, `size` in bytes, `mtime_ns` and `sha256` of what was scored.

    A file that cannot be looked at, or does not come to rest, has None for the last three. Nothing is raised for a
    file: whatever is wrong with it is its `error`.

    Args:
        score: gives plain values, or raises whatever is wrong with the file.
        root: the folder that `path` is relative to.
        file: below it.
    """
    unknown: dict[str, Any] = {"path": relative_name(root, file), "size": None, "mtime_ns": None, "sha256": None}
    for _ in range(ATTEMPTS):
        try:
            before = look(file)
            sha256 = content(file)
            try:
                found = dict(score(file))
                json.dumps(found, allow_nan=False)
            except Exception as error:  # whatever is wrong with one file, the others are scored
                found = {"error": _in_a_line(error)}
            if look(file) == before:
                return {**unknown, "size": before[0], "mtime_ns": before[1], "sha256": sha256, **_without(found)}
        except OSError as error:  # gone, or not readable: without size and time it is tried again the next time
            return unknown | {"error": _in_a_line(error)}
    return unknown | {"error": f"the file changed {ATTEMPTS} times while it was scored"}


def relative_name(root: Path, file: Path) -> str:
    """How the journal calls a file: relative, with slashes."""
    return file.relative_to(root).as_posix()


def content(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    sha = hashlib.sha256()
    with open(file, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            sha.update(chunk)
    return sha.hexdigest()


def _in_a_line(error: Exception) -> str:
    name = "" if hasattr(error, "hint") else f"{type(error).__name__}: "  # the package's own errors tell all
    return name + " ".join(str(error).split())


def _without(found: dict[str, Any]) -> dict[str, Any]:
    """The scorer's values but for a path of its own."""
    return {name: value for name, value in found.items() if name != "path"}
