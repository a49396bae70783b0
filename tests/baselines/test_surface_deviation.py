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
from pointadplus.zero_shot.fusion import top_mean


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
    """6,000 points of an L-shaped plate, flat at z = 0, two flanges keep it from sliding; the dent lies at (12, 4)."""
    generator = torch.Generator().manual_seed(seed)
    flat = torch.rand(8000, 2, generator=generator) * torch.tensor([20.0, 14.0])
    flat = flat[~((flat[:, 0] < 8) & (flat[:, 1] > 6))][:6000]
    near = ((flat[:, 0] - 12).square() + (flat[:, 1] - 4).square()) / 2.0
    height = 0.01 * torch.randn(len(flat), generator=generator) - dent * torch.exp(-near)
    points = torch.cat([flat, height[:, None]], 1)
    points[:600, 1:] = torch.stack([height[:600], 4 * torch.rand(600, generator=generator)], 1)
    points[600:1200, ::2] = torch.stack([20 + height[600:1200], 3 * torch.rand(600, generator=generator)], 1)
    return points


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


def test_a_hole_in_a_scan_of_one_side_is_one() -> None:
    """Where the surface faces the eyes it must be seen; where it looks away it need not."""

    def egg(seed: int) -> Tensor:
        points = torch.randn(6000, 3, generator=torch.Generator().manual_seed(seed))
        return torch.nn.functional.normalize(points, dim=1) * torch.tensor([20.0, 14.0, 10.0])

    detector = SurfaceDeviation().fit([egg(0), egg(1)])
    side = egg(2)
    side = side[side[:, 2] > 2]
    away = (side[:, :2] - torch.tensor([5.0, 3.0])).norm(dim=1)
    whole, cut = detector.score(side), detector.score(side[away > 2])
    assert cut.object_score > whole.object_score + 0.1
    rim = away[away > 2] < 3
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
    scan = plate(2, dent=0.3)
    near = (scan[:, :2] - torch.tensor([12.0, 4.0])).norm(dim=1) < 1.0
    strict, lenient = (
        SurfaceDeviation().fit([plate(0), plate(1, dent=dent)]).score(scan).point_scores[near].mean()
        for dent in (0.0, 0.3)
    )
    assert strict > 0.8
    assert lenient < 0.4 * strict


def test_what_stands_alone_is_no_defect_but_what_is_dense_is() -> None:
    """Pixels that mix two depths hang off a surface one by one; a bump of as many points is a bump."""
    detector = SurfaceDeviation().fit([plate(0), plate(1)])
    healthy, generator = plate(2), torch.Generator().manual_seed(7)
    alone, bump = healthy.clone(), healthy.clone()
    some = torch.randperm(4000, generator=generator)[:40] + 1200
    alone[some, 2] += 0.5 + 1.5 * torch.rand(40, generator=generator)
    near = (bump[:, :2] - torch.tensor([12.0, 4.0])).square().sum(1)[1200:].topk(40, largest=False).indices + 1200
    bump[near, 2] += 1.0
    calm, flying, raised = (detector.score(points).object_score for points in (healthy, alone, bump))
    assert raised > 0.8
    assert flying - calm < 0.5 * (raised - calm)


def test_beyond_what_was_ever_scanned_is_no_defect() -> None:
    """The plate was scanned up to y = 11: what lies beyond is unknown; a piece that all normal scans have is missed."""
    known = [points[points[:, 1] < 11] for points in (plate(0), plate(1))]
    detector = SurfaceDeviation(DeviationConfig(top=0.05)).fit(known)
    more, less = plate(2), plate(2)
    more, less = more[more[:, 1] < 12.5], less[less[:, 1] < 9.5]
    exact = plate(3)[plate(3)[:, 1] < 11]
    calm, beyond, lacking = (detector.score(points) for points in (exact, more, less))
    assert beyond.object_score < calm.object_score + 0.1
    assert lacking.object_score > calm.object_score + 0.1


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_unit_does_not_matter(scale: float) -> None:
    one = SurfaceDeviation().fit([plate(0), plate(1)]).score(plate(2, dent=0.5))
    other = SurfaceDeviation().fit([plate(0) * scale, plate(1) * scale]).score(plate(2, dent=0.5) * scale)
    assert other.object_score == pytest.approx(one.object_score, abs=0.02)


def test_dense_scans_are_thinned() -> None:
    config = DeviationConfig(points=1000)
    detection = SurfaceDeviation(config).fit([plate(0), plate(1)]).score(plate(2, dent=1.0))
    assert detection.point_scores.shape == (6000,)


def test_a_fine_defect_of_a_dense_scan_decides() -> None:
    """A dent on 0.1 % of the points: the mean of a tenth of a per cent shows it, that of a whole one hardly does."""

    def scan(seed: int, dent: float = 0.0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        normals = torch.nn.functional.normalize(torch.randn(50_000, 3, generator=generator), dim=1)
        size = torch.tensor([3.0, 4.0, 6.0])
        beside = ((normals * size)[:, :2].norm(dim=1) / 0.2).square() + 1e3 * (normals[:, 2] < 0)
        noise = 0.003 * torch.randn(len(normals), 1, generator=generator)
        return normals * size + normals * (noise - dent * torch.exp(-beside)[:, None])

    detector = SurfaceDeviation(DeviationConfig(surface=20_000)).fit([scan(0), scan(1)])
    healthy, damaged = detector.score(scan(2)), detector.score(scan(3, dent=0.03))
    levels = [float(top_mean(each.point_scores, 0.001)) for each in (healthy, damaged)]
    assert [healthy.object_score, damaged.object_score] == pytest.approx(levels, abs=0.01)
    assert damaged.object_score > healthy.object_score + 0.1
    coarse = [float(top_mean(each.point_scores, 0.01)) for each in (healthy, damaged)]
    assert coarse[1] - coarse[0] < 0.5 * (levels[1] - levels[0])


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
