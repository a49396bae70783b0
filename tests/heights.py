"""A detector that scores height, which can be saved, and the command line with it in place of the real one."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from pointadplus.apps import cli
from pointadplus.cloud import PointCloud
from pointadplus.io import write_cloud
from pointadplus.results.detection import Detection
from pointadplus.results.detector import AnomalyDetector


class MeanHeight(AnomalyDetector):
    """Scores points by z and the object by their mean; `gain` is all that it could learn. What lies below 0 it cannot
    judge."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def score_cloud(self, cloud: PointCloud) -> Detection:
        scores = (self.gain * cloud.points[:, 2]).clamp(0, 1)
        below = bool((cloud.points[:, 2] < 0).any())
        notes = ("below the ground",) if below else ()
        return Detection(float(scores.mean()), cloud.to_rows(scores), cloud, notes=notes, measurable=not below)

    def save(self, path: str | os.PathLike[str]) -> None:
        Path(path).write_text(str(self.gain))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MeanHeight:
        return cls(float(Path(path).read_text()))


def scan(*heights: float) -> torch.Tensor:
    """(n, 3): a row of points of these heights."""
    return torch.tensor([[float(row), 0.0, height] for row, height in enumerate(heights)])


def write_scan(file: Path, *heights: float) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_cloud(file, PointCloud.create(scan(*heights)))
    return file


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object, gain: float = 1.0) -> SimpleNamespace:
    """Run the command line with `MeanHeight(gain)`: code, out and err."""
    monkeypatch.setattr(cli, "_detector", lambda *_: MeanHeight(gain))
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr)
