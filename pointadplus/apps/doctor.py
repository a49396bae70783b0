"""What this installation has, what it lacks, and the command that mends it."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path

from ..errors import PointADPlusError, install_command
from ..results.methods import method, method_names

_PACKAGE = "pointadplus"
# Modules of the optional extras, by the extra that brings them.
_EXTRAS = {
    "nominal": "open3d",
    "numba": "numba",
    "onnx": "onnxscript",
    "plot": "matplotlib",
    "pytorch3d": "pytorch3d",
    "ray": "ray.data",
    "serve": "fastapi",
    "tiff": "tifffile",
    "train": "accelerate",
}
_HUB_WEIGHTS = "ViT-L-14-336"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: it is.
        found: what there is.
        state: `"good"`, `"missing"` for what some uses need, or `"bad"` for what nothing works without.
        mend: the command, or the deed, that helps; empty where nothing has to be done.
    """

    what: str
    found: str
    state: str = "good"
    mend: str = ""


def examine() -> Iterator[Finding]:
    """Look at versions, devices, weights, methods and folders, one by one; no network is used."""
    yield Finding(
        "pointadplus", f"{metadata.version(_PACKAGE)}, Python {platform.python_version()}, {platform.platform()}"
    )
    yield from _requirements()
    yield from (_extra(extra, module) for extra, module in sorted(_EXTRAS.items()))
    yield from _devices()
    yield _tried("embedded weights", _embedded, mend=install_command())
    yield _hub()
    for name in method_names():
        yield _tried(f"method {name}", lambda name=name: _method(name), mend="see the error; its package is not whole")
    yield _folder()


def _requirements() -> Iterator[Finding]:
    """Each package that the project declares and that has no extra's marker."""
    from packaging.requirements import Requirement

    for text in metadata.requires(_PACKAGE) or ():
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        mend = f"pip install '{needed.name}{needed.specifier}'"
        try:
            version = metadata.version(needed.name)
        except metadata.PackageNotFoundError:
            yield Finding(needed.name, "not installed", "bad", mend)
            continue
        fits = needed.specifier.contains(version, prereleases=True)
        yield Finding(needed.name, version if fits else f"{version}, not {needed.specifier}", *_good(fits, mend))


def _good(fits: bool, mend: str) -> tuple[str, str]:
    return ("good", "") if fits else ("bad", mend)


def _extra(extra: str, module: str) -> Finding:
    """Whether an extra is there; one that is there and cannot be imported is told as such."""
    mend = install_command(extra)
    try:
        version = getattr(import_module(module), "__version__", "there")  # a lazy one is imported by that at last
    except ModuleNotFoundError:
        return Finding(f"extra {extra}", "not installed", "missing", mend)
    except Exception as error:  # a broken binary raises anything
        return Finding(f"extra {extra}", f"cannot be imported: {error!r}"[:200], "missing", mend)
    return Finding(f"extra {extra}", str(version))


def _devices() -> Iterator[Finding]:
    import torch

    from ..clip.backbone import multiplies_bfloat16

    yield Finding("processor", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads for torch")
    found = "bfloat16 is fast here" if multiplies_bfloat16(torch.device("cpu")) else "no fast bfloat16: float32 is used"
    yield Finding("precision", found)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none; everything runs on the processor"
    yield Finding("graphics card", gpu)


def _embedded() -> str:
    from ..zero_shot.detector import ZeroShotDetector

    detector = ZeroShotDetector()
    return f"load; backbone {detector.backbone.digest}"


def _hub() -> Finding:
    """Whether OpenAI's large weights lie in the hub's cache; they are not fetched."""
    from ..clip.weights import cached_hub_file, hub_file

    cached = cached_hub_file(_HUB_WEIGHTS)
    if cached is not None:
        return Finding(f"{_HUB_WEIGHTS} weights", str(cached))
    repository, file = hub_file(_HUB_WEIGHTS)
    mend = f"with a network: pointadplus weights pull {_HUB_WEIGHTS}"
    return Finding(f"{_HUB_WEIGHTS} weights", f"not in the cache ({repository}/{file})", "missing", mend)


def _method(name: str) -> str:
    return method(name).__module__


def _folder() -> Finding:
    folder = Path(tempfile.gettempdir())
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        return Finding("temporary folder", f"{folder}: {error.strerror}", "bad", "set TMPDIR to a folder with room")
    return Finding("temporary folder", str(folder))


def _tried(what: str, look: Callable[[], str], mend: str) -> Finding:
    try:
        return Finding(what, look())
    except (PointADPlusError, ImportError, OSError) as error:
        return Finding(what, str(error), "bad", mend)


def is_well(findings: list[Finding]) -> bool:
    """Whether nothing is bad; what is missing, some uses need."""
    return all(finding.state != "bad" for finding in findings)
