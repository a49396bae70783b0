"""The command `fit`: from a few normal scans of a part to a detector of that part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ...errors import ConfigError
from .against import normal_files
from .output import check_outputs, printable, stage_bar

if TYPE_CHECKING:
    from ...results.detector import AnomalyDetector


def few_shot_detector(name: str, config: Path | None) -> AnomalyDetector:
    """A few-shot detector that has not learnt yet, with its method's own config from TOML.

    Raises:
        ConfigError: an unknown method, one that learns nothing from normal scans, or a config that does not fit.
    """
    from ...config import read_toml
    from ...results.methods import few_shot_names, method

    kind: Any = method(name)
    if not getattr(kind, "few_shot", False):
        raise ConfigError(
            "this method learns nothing from normal scans", where="--method", expected=", ".join(few_shot_names()),
            found=name,
        )  # fmt: skip
    return kind() if config is None else kind(read_toml(kind.Config, config))


def fit_on(detector: AnomalyDetector, normals: list[Path], out: Path) -> None:
    """Learn from normal scans and write the detector.

    Raises:
        ConfigError: no scan, or the file cannot be written.
        CloudError: a scan cannot be read; what is normal is not to be guessed from the others.
    """
    from ...io import read_cloud

    check_outputs(files=[out])
    files = normal_files(normals)
    with stage_bar() as progress:
        clouds = []
        for number, file in enumerate(files, 1):
            clouds.append(read_cloud(file))
            progress("reading", number, len(files), None)
        detector.fit(clouds, progress)
    detector.save(out)
    typer.echo(f"{type(detector).__name__} of {len(files)} normal scans: {printable(out)}")
