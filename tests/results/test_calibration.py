"""What calibration promises, by simulation, and that every detector keeps it."""

from __future__ import annotations

import copy
import json
import math
import pickle
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines import FPFHMemoryBank
from baselines.memory_bank import MemoryBankConfig
from pointadplus.cloud import PointCloud
from pointadplus.errors import ConfigError
from pointadplus.results.calibration import Calibration
from pointadplus.results.detection import Detection
from pointadplus.results.detector import AnomalyDetector
from tests.heights import MeanHeight, command, scan, write_scan
from tests.small import small_detector

DRAWS = 10_000


def naive_p_value(scores: list[float], score: float) -> float:
    return (1 + sum(other >= score for other in scores)) / (len(scores) + 1)


def test_p_values_are_the_formula():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 8, 30) / 8
    calibration = Calibration(tuple(scores.tolist()), tuple(scores.tolist()), 0.1)
    for score in (0.0, *np.unique(scores).tolist(), 0.3, 0.99, 1.0):
        assert calibration.p_value(score) == naive_p_value(scores.tolist(), score)
        assert calibration.is_anomalous(score) == (calibration.p_value(score) <= calibration.promise)


@pytest.mark.parametrize(
    ("count", "rate", "allowed"),
    [(1, 0.01, 1), (5, 0.01, 1), (5, 0.2, 1), (9, 0.2, 2), (98, 0.01, 1), (99, 0.01, 1), (199, 0.01, 2),
     (99, 0.29, 29), (99, 0.07, 7), (150, 0.01, 1)],
)  # fmt: skip
def test_the_rank_of_the_alarm(count: int, rate: float, allowed: int):
    """0.29 · 100 and 0.07 · 100 are not whole in binary."""
    values = tuple(np.linspace(0.1, 0.9, count).tolist())
    calibration = Calibration(values, values, rate)
    assert calibration.allowed == allowed
    assert calibration.promise == allowed / (count + 1)
    assert calibration.threshold == values[-allowed]
    assert (calibration.promise <= rate) == (count + 1 >= round(1 / rate, 9))


@pytest.mark.parametrize("ties", [False, True], ids=["continuous", "ties"])
@pytest.mark.parametrize(("count", "rate"), [(5, 0.01), (5, 0.2), (30, 0.1), (99, 0.01)])
def test_the_false_alarm_rate_keeps_the_promise(count: int, rate: float, ties: bool):
    """10,000 calibrations with one more normal scan each: alarms are at most as many as promised, and not far fewer."""
    rng = np.random.default_rng(count)
    draws = rng.beta(2, 20, (DRAWS, count + 1))
    if ties:
        draws = np.ceil(draws * 12) / 12
    alarms, p_values = 0, np.empty(DRAWS)
    for row, (*known, new) in enumerate(draws.tolist()):
        calibration = Calibration(tuple(known), tuple(known), rate)
        alarms += calibration.is_anomalous(new)
        p_values[row] = calibration.p_value(new)
    promise = calibration.promise
    error = 3.5 * math.sqrt(promise * (1 - promise) / DRAWS)
    assert alarms / DRAWS <= promise + error
    if not ties:
        assert alarms / DRAWS >= promise - error, "a promise that is kept by never alarming is worth nothing"
    for level in (0.02, 0.1, 0.3, 0.5, 0.9):
        assert (p_values <= level).mean() <= level + 3.5 * math.sqrt(level * (1 - level) / DRAWS)


def test_the_bound_of_one_calibration_holds_as_often_as_it_says():
    """Uniform scores: the long-run rate of a calibration is 1 − its threshold."""
    rng = np.random.default_rng(1)
    rates, bound = [], 0.0
    for known in rng.random((2000, 39)).tolist():
        calibration = Calibration(tuple(known), tuple(known), 0.05)
        rates.append(1 - calibration.threshold)
        bound = calibration.rate_bound(0.9)
    assert np.mean(np.array(rates) <= bound) == pytest.approx(0.9, abs=0.025)
    assert np.mean(rates) == pytest.approx(0.05, abs=0.005)


def test_five_scans_say_what_they_can_promise():
    detector = MeanHeight()
    with pytest.warns(UserWarning, match=r"5 normal scans cannot promise less, 1\.00% takes 99"):
        assert detector.calibrate([scan(0.1 * k) for k in range(1, 6)]) is detector
    calibration = detector.calibration
    assert calibration is not None and calibration.promise == 1 / 6
    assert "at most 16.67% false alarms" in calibration.describe()
    high, tie, low = detector.score_many([scan(0.9), scan(0.5), scan(0.05)])
    assert (high.p_value, high.is_anomalous) == (1 / 6, True)
    assert (tie.p_value, tie.is_anomalous) == (2 / 6, False), "a tie counts against the alarm"
    assert (low.p_value, low.is_anomalous) == (1.0, False)


def test_enough_scans_warn_of_nothing():
    detector = MeanHeight().calibrate((scan(k / 100) for k in range(1, 100)), 0.01)
    assert detector.calibration is not None
    assert detector.calibration.describe() == "99 normal scans: anomalous above 0.9900, at most 1.00% false alarms"


def test_scans_that_cannot_be_judged_count_for_nothing():
    scans = [scan(0.2), scan(-0.1, 0.9), scan(0.4)]
    with pytest.warns(UserWarning, match="1 of 3 scans cannot be judged, left out"):
        detector = MeanHeight().calibrate(scans, 0.4)
    assert detector.calibration is not None
    assert detector.calibration.scores == pytest.approx((0.2, 0.4))
    assert detector.score(scan(-0.1, 0.9)).verdict == "not measurable"
    with pytest.warns(UserWarning, match="1 of 1"), pytest.raises(ConfigError, match="at least one normal scan"):
        MeanHeight().calibrate(scans[1:2], 0.4)


def test_uncalibrated_detections_decide_nothing():
    detection = MeanHeight().score(scan(0.2))
    assert detection.p_value is None and detection.is_anomalous is None
    assert detection.point_threshold == 0.5


def test_regions_rest_on_the_same_scans():
    """The 2nd of 19 normal scans' peaks at a rate of 0.1: no region at that peak, one above it."""
    detector = MeanHeight().calibrate([scan(k / 20, k / 40) for k in range(1, 20)], 0.1)
    level = detector.score(scan(0.0)).point_threshold
    assert float(np.float32(18 / 20)) < level < 0.9001
    at, above = ([0.9] * 10, [0.901] * 10)
    assert detector.score(scan(*at)).regions() == ()
    assert [region.points for region in detector.score(scan(*above)).regions()] == [10]
    assert len(detector.score(scan(*at)).regions(0.9)) == 1
    full = MeanHeight().calibrate([scan(1.0) for _ in range(9)], 0.1)
    assert full.score(scan(*[1.0] * 10)).regions() == (), "what normal scans reach is no region"


def test_a_file_keeps_it_bit_for_bit(tmp_path: Path):
    detector = MeanHeight().calibrate([scan(1 / 3), scan(0.1), scan(2 / 7)], 0.3)
    path = tmp_path / "new" / "weights.calibration.json"
    assert detector.calibration is not None
    detector.calibration.save(path)
    assert Calibration.load(path) == detector.calibration
    other = MeanHeight().use_calibration(path)
    assert other.score(scan(0.3)).p_value == detector.score(scan(0.3)).p_value
    assert other.use_calibration(detector.calibration).calibration == detector.calibration


def test_another_detector_is_refused(tmp_path: Path):
    MeanHeight().calibrate([scan(0.1)], 0.5).calibration.save(tmp_path / "c.json")  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match=r"c\.json: the calibration was made with another detector"):
        MeanHeight(gain=2.0).use_calibration(tmp_path / "c.json")


def test_detections_keep_their_calibration_in_copies():
    detection = MeanHeight().calibrate([scan(0.1)], 0.5).score(scan(0.7))
    for twin in (copy.copy(detection), pickle.loads(pickle.dumps(detection))):
        assert (twin.p_value, twin.is_anomalous) == (0.5, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[1]", "not a calibration"),
        ('{"format": "other"}', "not a calibration"),
        ('{"scores": [0.1], "peaks": [0.1], "rate": 1}', "unknown option"),
        ('{"scores": [0.1]}', "missing"),
        ('{"scores": [NaN], "peaks": [0.1]}', "out of range"),
        ('{"scores": ["a"], "peaks": [0.1]}', "scores"),
        ('{"scores": [0.1, 0.2], "peaks": [0.1]}', "a peak each"),
        ('{"scores": [], "peaks": []}', "at least one normal scan"),
        ('{"scores": [0.1], "peaks": [1.5]}', "out of range"),
        ('{"scores": [0.1], "peaks": [0.2], "false_alarm_rate": 0}', "out of range"),
    ],
)
def test_files_that_are_no_calibration(tmp_path: Path, text: str, message: str):
    path = tmp_path / "c.json"
    if text.startswith('{"s'):
        text = json.dumps({"format": "pointadplus.calibration", **json.loads(text)})
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        Calibration.load(path)


def test_refusals(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        Calibration.load(tmp_path / "none.json")
    with pytest.raises(ConfigError, match="at least one normal scan"):
        MeanHeight().calibrate([])
    for rate in (0.0, 1.0, float("nan")):
        with pytest.raises(ConfigError, match="false_alarm_rate"):
            MeanHeight().calibrate([scan(0.1)], rate)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        Calibration((0.1,), (0.1,)).save(tmp_path / "file" / "c.json")


def ball(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    points = torch.nn.functional.normalize(torch.randn(900, 3, generator=generator), dim=1)
    return points * (10 + 0.3 * torch.sin(6 * points[:, :1]))


@pytest.mark.parametrize("kind", ["zero-shot", "memory-bank"])
def test_every_method_can_be_calibrated(kind: str, tmp_path: Path):
    if kind == "zero-shot":
        method: AnomalyDetector = small_detector(tmp_path)
    else:
        method = FPFHMemoryBank(MemoryBankConfig(nodes=300, support=900, bank=600)).fit([ball(1)])
    method.calibrate([ball(2), ball(3), ball(4)], 0.25)
    assert method.calibration is not None
    detections = list(method.score_many([ball(seed) for seed in (2, 3, 4)]))
    assert sorted(detection.p_value or 0 for detection in detections) == [0.5, 0.75, 1.0]
    assert not any(detection.is_anomalous for detection in detections)
    path = tmp_path / "method.safetensors"
    method.save(path)
    method.calibration.save(tmp_path / "c.json")
    again = type(method).load(path).use_calibration(tmp_path / "c.json")
    assert again.calibration == method.calibration


def test_the_command_line_calibrates_and_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    normals, out = tmp_path / "normals", tmp_path / "new" / "calibration.json"
    for number in range(1, 20):
        write_scan(normals / f"{number:02}.ply", number / 40)
    arguments = ("calibrate", "--normals", normals, "--out", out, "--false-alarm-rate", 0.05)
    result = command(monkeypatch, *arguments)
    assert (result.code, result.err) == (0, "")
    assert result.out == f"19 normal scans: anomalous above 0.4750, at most 5.00% false alarms: {out}\n"
    low, high = write_scan(tmp_path / "low.ply", 0.3), write_scan(tmp_path / "high.ply", 0.5)
    lines = tmp_path / "scores.jsonl"
    result = command(monkeypatch, "score", low, high, "--calibration", out, "--out", lines)
    assert result.code == 0
    assert result.out == (
        f"NORMAL 0.3000 (limit 0.4750)\t{low}\tp=0.4500\nANOMALOUS 0.5000 (limit 0.4750)\t{high}\tp=0.0500\n"
    )
    first, second = map(json.loads, lines.read_text().splitlines())
    assert (first["p_value"], first["is_anomalous"]) == (0.45, False)
    assert (second["p_value"], second["is_anomalous"]) == (0.05, True)
    write_scan(normals / "low.ply", -0.5, 0.9)
    result = command(monkeypatch, *arguments)
    assert result.code == 0 and "19 normal scans" in result.out
    assert f"{normals / 'low.ply'}: left out, it cannot be judged: below the ground" in result.err
    (normals / "bad.ply").write_text("no")
    result = command(monkeypatch, *arguments)
    assert result.code == 1 and result.err.startswith(f"error: {normals / 'bad.ply'}")
    assert "19 normal scans" in result.out, "the others are scored still"
    result = command(monkeypatch, "score", low, "--calibration", out, gain=2.0)
    assert (result.code, result.out) == (1, "") and "another detector" in result.err
    (tmp_path / "empty").mkdir()
    result = command(monkeypatch, "calibrate", "--normals", tmp_path / "empty", "--out", out)
    assert result.code == 1 and "no scan in the folder" in result.err


def test_the_verdict_comes_first_and_the_exit_code_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    low, high = write_scan(tmp_path / "low.ply", *[0.1] * 8), write_scan(tmp_path / "high.ply", *[0.1] * 3, *[0.9] * 9)
    detector = MeanHeight()
    limits = Calibration((0.2, 0.3, 0.4), (0.5, 0.5, 0.5), 0.25, detector.fingerprint())
    limits.save(tmp_path / "limits.json")
    judge = partial(command, monkeypatch, "score", "--calibration", tmp_path / "limits.json", "--exit-code")
    normal = judge(low)
    assert (normal.code, normal.out) == (0, f"NORMAL 0.1000 (limit 0.4000)\t{low}\tp=1.0000\n")
    found = judge(low, high, "--out", tmp_path / "lines.jsonl")
    assert found.code == 3 and found.out.startswith(normal.out)
    told = found.out.splitlines()[1].split("\t")
    assert told[:3] == ["ANOMALOUS 0.7000 (limit 0.4000)", str(high), "p=0.2500"]
    assert re.fullmatch(r"1 region, area [\d.]+(, depth -?[\d.]+)?", told[3])
    records = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    assert [(each["verdict"], each["limit"]) for each in records] == [("normal", 0.4), ("anomalous", 0.4)]
    assert "regions" not in records[1], "nobody asked for them"
    scored = MeanHeight.score_cloud

    def unseen(self: MeanHeight, cloud: PointCloud) -> Detection:
        return replace(scored(self, cloud), measurable=False, notes=("too few points",))

    monkeypatch.setattr(MeanHeight, "score_cloud", unseen)
    assert judge(high).out == f"NOT MEASURABLE 0.7000\t{high}\ttoo few points\n"
    assert judge(high).code == 4
    assert judge(high, tmp_path / "missing.ply").code == 1
    assert command(monkeypatch, "score", tmp_path, "--out", tmp_path / "run", "--exit-code").code == 2


def test_the_report_tells_the_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    detector = MeanHeight().calibrate([scan(0.1)], 0.5)
    assert detector.calibration is not None
    detector.calibration.save(tmp_path / "c.json")
    file = write_scan(tmp_path / "high.ply", 0.4, 0.6)
    report = tmp_path / "report.html"
    assert command(monkeypatch, "score", file, "--calibration", tmp_path / "c.json", "--report", report).code == 0
    expected = {
        "anomalous": True, "pValue": 0.5, "promise": 0.5, "scans": 1, "calibration": detector.calibration.digest,
    }  # fmt: skip
    assert f'"verdict":{json.dumps(expected, separators=(",", ":"))}' in report.read_text("utf-8")
