"""One contract over every method: what the scoring API promises, whoever implements it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from baselines import MVR, FPFHMemoryBank, MVRConfig, Reg2Inv, Reg2InvConfig, SurfaceDeviation
from baselines.memory_bank import MemoryBankConfig
from pointadplus.cloud import PointCloud
from pointadplus.errors import CloudError, ConfigError, WeightsError
from pointadplus.results.detection import Detection
from pointadplus.results.detector import AnomalyDetector
from pointadplus.zero_shot.detector import ZeroShotDetector
from tests.small import small_detector


def bumpy(seed: int, dent: float = 0.0) -> torch.Tensor:
    """A ribbed ball of 1,200 points; a dent of the given depth at +z."""
    rng = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(1200, 3, generator=rng), dim=1)
    angle = torch.atan2(directions[:, 1], directions[:, 0])
    radius = 10 + 0.3 * torch.sin(8 * angle) * (1 - directions[:, 2] ** 2)
    radius = radius - dent * torch.exp(
        -((directions[:, 2] - 1) ** 2 + directions[:, 0] ** 2 + directions[:, 1] ** 2) / 0.05
    )
    return directions * radius[:, None]


MVR_CONFIG = MVRConfig(views="faces6", image_size=64, supersample=1, nodes=400, support=1000, looks=1, steps=5, batch=4)


@pytest.fixture(scope="module", params=["zero-shot", "memory-bank", "surface-deviation", "mvr", "reg2inv"])
def method(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AnomalyDetector:
    if request.param == "zero-shot":
        return small_detector(tmp_path_factory.mktemp("weights"))
    few_shot: dict[str, Callable[[], AnomalyDetector]] = {
        "memory-bank": lambda: FPFHMemoryBank(MemoryBankConfig(nodes=400, support=1000, bank=1000)),
        "surface-deviation": SurfaceDeviation,
        "mvr": lambda: MVR(MVR_CONFIG),
        "reg2inv": lambda: Reg2Inv(Reg2InvConfig.small().with_steps(2)),
    }
    return few_shot[request.param]().fit([bumpy(1), bumpy(2).numpy()])


def test_scores_have_the_promised_form(method: AnomalyDetector):
    detection = method.score(bumpy(3))
    assert isinstance(detection, Detection)
    assert detection.point_scores.shape == (1200,)
    assert detection.point_scores.dtype == torch.float32
    assert 0 <= float(detection.point_scores.min()) <= float(detection.point_scores.max()) <= 1
    assert 0 <= detection.object_score <= 1


def test_permutation_and_company_change_nothing(method: AnomalyDetector):
    points = bumpy(3)
    shuffle = torch.randperm(1200, generator=torch.Generator().manual_seed(0))
    straight = method.score(points)
    shuffled, again = method.score_many([points[shuffle], points])
    assert torch.equal(shuffled.point_scores, straight.point_scores[shuffle])
    assert torch.equal(again.point_scores, straight.point_scores)
    assert shuffled.object_score == again.object_score == straight.object_score


def test_dropped_rows_hold_nan(method: AnomalyDetector):
    points = bumpy(3)
    points[17] = float("nan")
    scores = method.score(points).point_scores
    assert scores.isnan().nonzero().flatten().tolist() == [17]


def test_bad_input_raises_a_typed_error(method: AnomalyDetector, tmp_path: Path):
    for source in (torch.zeros(0, 3), torch.zeros(4, 5), tmp_path / "missing.ply", tmp_path):
        with pytest.raises(CloudError):
            method.score(source)


PLANT = torch.tensor([5_800_000.0, -4_100_000.0, 300.0], dtype=torch.float64)


def test_coordinates_far_from_the_origin_lose_nothing(method: AnomalyDetector):
    points = bumpy(3, dent=3.0).double().round(decimals=4)  # as a file has it
    near, far = method.score(points), method.score(points + PLANT)
    assert abs(far.object_score - near.object_score) < 1e-6
    torch.testing.assert_close(far.point_scores, near.point_scores, atol=1e-6, rtol=0)
    threshold = float(near.point_scores.quantile(0.95))
    regions = zip(near.regions(threshold), far.regions(threshold), strict=True)
    moved = [(torch.tensor(b.position, dtype=torch.float64) - torch.tensor(a.position), b) for a, b in regions]
    assert moved
    for way, region in moved:
        torch.testing.assert_close(way, PLANT, rtol=0, atol=1e-6, msg=str(region))


def test_a_scan_in_another_unit_is_no_defect(method: AnomalyDetector):
    """Zero-shot and the memory bank know no size, and score it as before."""
    sized = not isinstance(method, ZeroShotDetector | FPFHMemoryBank)
    mixed_up = ((0.001, "a scan in m and a part in mm"), (25.4, "a scan in mm and a part in in"), (6.0, "another part"))
    for factor, names in mixed_up:
        if sized:
            with pytest.raises(CloudError, match=f"cannot be of the part.*hint: {names}"):
                method.score(bumpy(3) * factor)
            with pytest.raises(CloudError, match=f"cannot be of the part.*hint: {names}"):
                type(method)(method.config).fit([bumpy(1), bumpy(2) * factor])
        else:
            assert abs(method.score(bumpy(3) * factor).object_score - method.score(bumpy(3)).object_score) < 0.05
    side = bumpy(3)
    assert method.score(side[side[:, 0] > 5]).object_score >= 0, "a quarter is of the part"


def test_units_that_are_known_are_brought_together(method: AnomalyDetector, tmp_path: Path):
    """A part learnt in millimetres, a scan in metres; what is told of the scan is in metres."""
    normals = [PointCloud.create(bumpy(1), unit="mm"), PointCloud.create(bumpy(2) / 10, unit="cm")]
    scan = bumpy(3, dent=3.0)
    wanted = method.score(scan)
    if isinstance(method, ZeroShotDetector):
        return
    fitted = type(method)(method.config).fit(normals)
    fitted.save(tmp_path / "part.safetensors")
    for detector in (fitted, type(method).load(tmp_path / "part.safetensors")):
        found = detector.score(PointCloud.create(scan.double() / 1000, unit="m"))
        assert abs(found.object_score - wanted.object_score) < 1e-2
        torch.testing.assert_close(found.point_scores, wanted.point_scores, atol=0.05, rtol=0)
        assert found.cloud.unit == "m"
        torch.testing.assert_close(found.cloud.points, scan / 1000)
        if "deviation" in wanted.layers:
            torch.testing.assert_close(found.layers["deviation"] * 1000, wanted.layers["deviation"], atol=0.02, rtol=0)
    if not isinstance(method, FPFHMemoryBank):
        with pytest.raises(CloudError, match="both are said to be in mm"):
            fitted.score(PointCloud.create(scan * 25.4, unit="mm"))


@pytest.mark.parametrize(
    "make",
    [
        SurfaceDeviation,
        lambda: MVR(replace(MVR_CONFIG, align=False)),
        lambda: Reg2Inv(replace(Reg2InvConfig.small().with_steps(2), registration="none")),
    ],
    ids=["surface-deviation", "mvr", "reg2inv"],
)
def test_a_part_may_be_learnt_far_from_the_origin(make: Callable[[], AnomalyDetector], tmp_path: Path):
    """Each scan is read about an offset of its own; they are one frame's all the same."""
    normals, scan = [bumpy(1), bumpy(2)[:1100]], bumpy(3)[:1000] + torch.tensor([0.0, 0.0, 70.0])
    near, far = (make().fit([points.double() + at for points in normals]) for at in (0 * PLANT, PLANT))
    far.save(tmp_path / "far.safetensors")
    wanted = near.score(scan).object_score
    for detector in (far, type(far).load(tmp_path / "far.safetensors")):
        assert abs(detector.score(scan.double() + PLANT).object_score - wanted) < 1e-3


def test_save_and_load(method: AnomalyDetector, tmp_path: Path):
    path = tmp_path / "method.safetensors"
    method.save(path)
    loaded = type(method).load(path)
    assert loaded.fingerprint() == method.fingerprint() or isinstance(
        method, ZeroShotDetector | MVR
    )  # stored as halves
    # Half precision on disk may move a score in the third digit, no more.
    torch.testing.assert_close(
        loaded.score(bumpy(4)).point_scores, method.score(bumpy(4)).point_scores, atol=0.02, rtol=0
    )


def test_the_memory_bank_finds_a_dent_and_says_what_it_lacks(tmp_path: Path):
    bank = FPFHMemoryBank(MemoryBankConfig(nodes=1000, support=1200, bank=4000)).fit(
        bumpy(seed) for seed in range(1, 5)
    )
    healthy, dented = bank.score(bumpy(7)), bank.score(bumpy(7, dent=3.0))
    assert dented.object_score > healthy.object_score
    top = dented.cloud.points[dented.point_scores.topk(60).indices]
    assert (top[:, 2] > 5).float().mean() > 0.6
    with pytest.raises(ConfigError, match="nothing to learn from"):
        FPFHMemoryBank().fit([])
    for call in (lambda: FPFHMemoryBank().score(bumpy(1)), lambda: FPFHMemoryBank().save(tmp_path / "a.safetensors")):
        with pytest.raises(ConfigError, match="memory bank is empty"):
            call()
    (tmp_path / "b.safetensors").write_bytes(b"no")
    with pytest.raises(WeightsError):
        FPFHMemoryBank.load(tmp_path / "b.safetensors")
    small_detector(tmp_path).save(tmp_path / "c.safetensors")
    with pytest.raises(WeightsError, match="not a memory bank"):
        FPFHMemoryBank.load(tmp_path / "c.safetensors")
