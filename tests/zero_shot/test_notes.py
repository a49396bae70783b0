"""What is said beside a score of what a scan does not show, and that a scan that cannot be judged gets no verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pointadplus.apps.cli.output import score_line
from pointadplus.cloud import PointCloud
from pointadplus.results.calibration import Calibration
from pointadplus.results.detection import Detection
from pointadplus.results.record import json_record
from pointadplus.zero_shot.notes import scan_notes
from pointadplus.zero_shot.observation import ObservationConfig, Observer

OBSERVER = Observer(("headlight", "depth"), 32, ObservationConfig(views="faces6"))


def sphere(count: int) -> Tensor:
    return 20 * normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(0)), dim=1)


def notes(points: Tensor) -> tuple[tuple[str, ...], bool]:
    cloud = PointCloud.create(points)
    return scan_notes(OBSERVER.picture(cloud), len(cloud))


def test_nothing_is_said_of_a_whole_clean_scan() -> None:
    assert notes(sphere(8000)) == ((), True)


def test_one_side_and_its_open_border_are_told() -> None:
    points = sphere(16_000)
    told, measurable = notes(points[points[:, 1] > 0])
    assert measurable and len(told) == 2
    share = told[0].removeprefix("scanned from one side: nothing is said of what faces away, ")
    assert share == "33% of the surface at least", "a disc would close half a sphere, with half of its area"
    assert told[1].startswith("open border: ")


def test_noise_is_told_in_the_files_unit_and_may_be_too_high() -> None:
    points, size = sphere(8000), 40 * 3**0.5
    rough = points + 0.004 * size * torch.randn(8000, 3, generator=torch.Generator().manual_seed(1))
    (told,), measurable = notes(rough)
    assert measurable and told.startswith("noise of 0.2") and "are lost in it" in told
    hopeless = points + 0.02 * size * torch.randn(8000, 3, generator=torch.Generator().manual_seed(1))
    told, measurable = notes(hopeless)
    assert not measurable and "too high to judge it" in told[0]


def test_few_points_are_told_and_very_few_are_no_scan() -> None:
    told, measurable = notes(sphere(1500))
    assert measurable and told[0].startswith("1,500 points, ")
    told, measurable = notes(sphere(300))
    assert not measurable and told[0] == "300 points are too few to judge an object by; 500 are the least"


@pytest.mark.parametrize("calibration", [None, Calibration((0.1, 0.2), (0.3, 0.4), 0.3)])
def test_what_cannot_be_judged_gets_no_verdict(calibration: Calibration | None) -> None:
    cloud = PointCloud.create(sphere(300))
    found = Detection(0.9, torch.rand(300), cloud, calibration=calibration, notes=("too few",), measurable=False)
    assert found.is_anomalous is None and found.p_value is None
    assert "not measurable" in repr(found) and "too few" in found._repr_html_()
    record = json_record("scan.ply", found)
    assert found.verdict == record["verdict"] == "not measurable"
    assert record["measurable"] is False and record["notes"] == ["too few"]
    assert score_line(Path("scan.ply"), record) == "NOT MEASURABLE 0.9000\tscan.ply\ttoo few"
