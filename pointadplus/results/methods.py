"""Methods by name: what this package and others that are installed beside it offer as detectors.

A package offers one as an entry point of the group `pointadplus.methods`: its name is the method's, and it leads to an
`AnomalyDetector` whose `save` writes metadata under `pointadplus.` and that name, with _ for -.
"""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path

from ..errors import ConfigError, WeightsError, install_command
from ..io.tensors import read_safetensors
from .detector import AnomalyDetector

GROUP = "pointadplus.methods"
_KEY = "pointadplus."


def method_names() -> tuple[str, ...]:
    """The methods that are installed, in alphabetical order."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def method(name: str) -> type[AnomalyDetector]:
    """The detector class of a method; only its own package is imported.

    Raises:
        ConfigError: no such method is installed, or what is offered under its name is no detector.
    """
    found = [point for point in entry_points(group=GROUP) if point.name == name]
    if not found:
        raise ConfigError(
            "unknown method", where="method", expected=", ".join(method_names()) or "an installed method", found=name,
            hint=f"install the package again if it was updated; {install_command()}",
        )  # fmt: skip
    kind = found[0].load()
    if not (isinstance(kind, type) and issubclass(kind, AnomalyDetector)):
        raise ConfigError("not a detector", where=found[0].value, expected="an AnomalyDetector", found=kind)
    return kind


def few_shot_names() -> tuple[str, ...]:
    """The methods that learn from normal scans of the part."""
    return tuple(name for name in method_names() if getattr(method(name), "few_shot", False))


def load_detector(path: str | os.PathLike[str]) -> AnomalyDetector:
    """A detector from what any method's `save` wrote.

    Raises:
        WeightsError: not such a file, or of a method that is not installed.
    """
    _, metadata = read_safetensors(Path(path))
    kinds = [key.removeprefix(_KEY).replace("_", "-") for key in metadata if key.startswith(_KEY)]
    known = [kind for kind in kinds if kind in method_names()]
    if not known:
        raise WeightsError(
            "not the weights of a detector",
            where=path,
            expected=f"metadata of one of: {', '.join(method_names())}",
            found=", ".join(kinds or sorted(metadata)) or "no metadata",
        )
    return method(known[0]).load(path)
