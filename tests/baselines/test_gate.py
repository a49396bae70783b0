"""What a few-shot method says of a scan that shows little of the part, and that it does not judge it then."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from baselines import FPFHMemoryBank, SurfaceDeviation
from baselines.gate import coverage, judge
from pointadplus.cloud import PointCloud


def ball(count: int, seed: int = 0) -> Tensor:
    """An egg with a bump, so that its pose can be told."""
    points = normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(seed)), dim=1)
    bump = torch.exp(-8 * (points - normalize(torch.tensor([1.0, 2.0, 0.5]), dim=0)).square().sum(1))
    return points * (torch.tensor([1.0, 1.3, 1.8]) + 0.4 * bump[:, None])


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 1.0])
def test_coverage_is_the_share_of_the_surface(share: float) -> None:
    points = normalize(torch.randn(20_000, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    part = normalize(torch.randn(20_000, 3, generator=torch.Generator().manual_seed(2)), dim=1)
    assert coverage(points[points[:, 2] > 1 - 2 * share], part) == pytest.approx(share, abs=0.04)


def test_little_is_told_and_too_little_is_not_judged() -> None:
    cloud = PointCloud.create(ball(1000))
    assert judge(cloud, 0.95) == judge(cloud) == ((), True)
    assert judge(cloud, 0.4) == (("the scan shows 40% of the part's surface: nothing is said of the rest",), True)
    (told,), measurable = judge(cloud, 0.1)
    assert not measurable and told.startswith("the scan shows 10% of the part's surface, too little to judge it by")
    (told,), measurable = judge(PointCloud.create(ball(300)))
    assert not measurable and told == "300 points are too few to judge a part by; 500 are the least"


def test_a_piece_of_a_part_is_not_measurable_and_one_side_is() -> None:
    detector = SurfaceDeviation().fit([ball(8000, 1), ball(8000, 2)])
    whole, points = detector.score(ball(8000, 3)), ball(60_000, 4)
    assert whole.measurable and whole.notes == ()
    side = detector.score(points[points[:, 1] > 0.0])
    assert side.measurable and side.notes[0].startswith("the scan shows ")
    piece = detector.score(points[(points[:, 2] > 1.2) & (points[:, 1] > 0.1)])
    assert not piece.measurable and piece.verdict == "not measurable" and "too little to judge it by" in piece.notes[-1]


def test_few_points_are_not_measurable_with_a_memory_bank() -> None:
    found = FPFHMemoryBank().fit([ball(3000)]).score(ball(200, 1))
    assert found.verdict == "not measurable" and found.notes[-1].startswith("200 points are too few")
