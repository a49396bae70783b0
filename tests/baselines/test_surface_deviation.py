"""A scan against normal scans of the same part, place by place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from baselines import DeviationConfig, SurfaceDeviation
from pointadplus.errors import ConfigError, WeightsError
from pointadplus.evaluation import auroc
from pointadplus.geometry.neighbors import knn
from pointadplus.learning.synthesis.corpus import free_turn
from pointadplus.learning.synthesis.parts import Part, PartConfig


@pytest.fixture(scope="module")
def part() -> Part:
    return Part(5, PartConfig(family="wing_nut", points=6000))


@pytest.fixture(scope="module")
def fitted(part: Part) -> SurfaceDeviation:
    state = torch.get_rng_state()
    detector = SurfaceDeviation().fit([part.scan(number).points for number in range(3)])
    assert torch.equal(state, torch.get_rng_state())
    return detector


def plate(seed: int, dent: float = 0.0) -> Tensor:
    """6,000 points of an L-shaped plate, flat at z = 0; the dent lies at (12, 4)."""
    generator = torch.Generator().manual_seed(seed)
    flat = torch.rand(8000, 2, generator=generator) * torch.tensor([20.0, 14.0])
    flat = flat[~((flat[:, 0] < 8) & (flat[:, 1] > 6))][:6000]
    near = ((flat[:, 0] - 12).square() + (flat[:, 1] - 4).square()) / 2.0
    height = 0.01 * torch.randn(len(flat), generator=generator) - dent * torch.exp(-near)
    return torch.cat([flat, height[:, None]], 1)


def test_defects_stand_out_in_any_pose(part: Part, fitted: SurfaceDeviation) -> None:
    healthy = [fitted.score(part.scan(number).points).object_score for number in (10, 11)]
    scans = [part.scan(12, "bulge"), part.scan(13, "broken"), part.scan(14, "dent")]
    found = [fitted.score(scan.points) for scan in scans]
    assert min(each.object_score for each in found) > max(healthy)
    scores, labels = torch.cat([each.point_scores for each in found]), torch.cat([scan.labels for scan in scans])
    assert auroc(labels.numpy(), scores.numpy()) > 0.9


def test_a_side_that_was_not_scanned_is_no_defect(part: Part, fitted: SurfaceDeviation) -> None:
    """Nor is its rim; a piece of the same scan that was cut out is one."""
    side = part.scan(20, one_sided=True).points
    whole = fitted.score(side)
    assert float(whole.layers["deviation"].quantile(0.99)) < 1.0  # of a diagonal of 100
    scan = part.scan(10).points
    hole = (scan - scan[0]).norm(dim=1) < 6.0
    assert 20 < int(hole.sum()) < 600
    left = scan[~hole]
    cut = fitted.score(left)
    assert cut.object_score > fitted.score(scan).object_score
    rim = knn(scan[hole], left, 1)[0][:, 0] < 3.0  # of the sheet that was cut, not of another that is as near
    assert auroc(rim.numpy(), cut.point_scores.numpy()) > 0.8


def test_the_deviation_is_a_length_of_the_scan() -> None:
    """A dent of 1 deviates by 1 in its middle, in the unit of the file, and the plate around by its noise."""
    detector = SurfaceDeviation().fit([plate(0), plate(1)])
    turn = free_turn(torch.Generator().manual_seed(1))
    dented = plate(2, dent=1.0)
    detection = detector.score(dented @ turn.T)
    deviation = detection.layers["deviation"]
    middle = (dented[:, :2] - torch.tensor([12.0, 4.0])).norm(dim=1) < 0.2
    assert float(deviation[middle].mean()) == pytest.approx(0.95, abs=0.1)  # averaged over neighbours
    assert float(deviation.median()) < 0.05


def test_one_normal_scan_will_do() -> None:
    detector = SurfaceDeviation().fit([plate(0)])
    near = (plate(2)[:, :2] - torch.tensor([12.0, 4.0])).norm(dim=1) < 1.0
    assert auroc(near.numpy(), detector.score(plate(2, dent=0.3)).point_scores.numpy()) > 0.95


def test_what_varies_between_normal_scans_is_given_room() -> None:
    """The same dent counts less where normal scans differ by as much."""
    strict, lenient = (
        SurfaceDeviation().fit([plate(0), plate(1)]),
        SurfaceDeviation().fit([plate(0), plate(1, dent=0.3)]),
    )
    scan = plate(2, dent=0.3)
    assert lenient.score(scan).object_score < 0.6 * strict.score(scan).object_score


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_unit_does_not_matter(scale: float) -> None:
    one = SurfaceDeviation().fit([plate(0), plate(1)]).score(plate(2, dent=0.5))
    other = SurfaceDeviation().fit([plate(0) * scale, plate(1) * scale]).score(plate(2, dent=0.5) * scale)
    assert other.object_score == pytest.approx(one.object_score, abs=0.02)


def test_dense_scans_are_thinned() -> None:
    config = DeviationConfig(points=1000)
    detection = SurfaceDeviation(config).fit([plate(0), plate(1)]).score(plate(2, dent=1.0))
    assert detection.point_scores.shape == (6000,)


def test_save_and_load_exactly(part: Part, fitted: SurfaceDeviation, tmp_path: Path) -> None:
    fitted.save(tmp_path / "part.safetensors")
    loaded = SurfaceDeviation.load(tmp_path / "part.safetensors")
    scan = part.scan(12, "bulge").points
    assert torch.equal(loaded.score(scan).point_scores, fitted.score(scan).point_scores)


def test_what_it_lacks_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one normal scan"):
        SurfaceDeviation().fit([])
    for call in (lambda: SurfaceDeviation().score(plate(0)), lambda: SurfaceDeviation().save(tmp_path / "x")):
        with pytest.raises(ConfigError, match="call fit"):
            call()
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="not a surface to compare with"):
        SurfaceDeviation.load(tmp_path / "other.safetensors")


@pytest.mark.parametrize("options", [{"points": 10}, {"planes": 0}, {"top": 0.0}], ids=str)
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"DeviationConfig.{next(iter(options))}"):
        DeviationConfig(**options)
