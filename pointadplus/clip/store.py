"""Backbones that a user gave a name: files in one folder, found by that name wherever a backbone is asked for."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..errors import ConfigError

HOME = "POINTADPLUS_HOME"  # environment variable: where the folder lies
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def store_folder() -> Path:
    """`weights/` below `$POINTADPLUS_HOME`, or below the user's cache folder; it need not be there."""
    home = os.environ.get(HOME)
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return (Path(home) if home else Path(cache).expanduser() / "pointadplus") / "weights"


def named_file(name: str) -> Path:
    """Where the weights of a name lie, or would.

    Raises:
        ConfigError: no such name can be given: letters, digits, `.`, `_` and `-`, 64 at most, and not `embedded`.
    """
    if not _NAME.fullmatch(name) or name == "embedded":
        raise ConfigError(
            "not a name for weights", where="name", expected="letters, digits, . _ - (not 'embedded')", found=name
        )
    return store_folder() / f"{name}.safetensors"


def stored_weights(name: str) -> Path | None:
    """The file of a name, or None where there is none. A path is no name."""
    if not _NAME.fullmatch(name) or name == "embedded":
        return None
    path = named_file(name)
    return path if path.is_file() else None


def stored_names() -> tuple[str, ...]:
    """The names that were given, in alphabetical order."""
    folder = store_folder()
    return tuple(sorted(path.stem for path in folder.glob("*.safetensors"))) if folder.is_dir() else ()
