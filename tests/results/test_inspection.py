"""Inspections in words, in tables and in files; deviations of regions."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pointadplus.cloud import PointCloud
from pointadplus.errors import CloudWriteError, ConfigError
from pointadplus.io import read_cloud, write_cloud
from pointadplus.results.detection import Detection
from pointadplus.results.inspection import Inspection, in_words
from pointadplus.results.inspection_files import COLUMNS, inspection_table
from pointadplus.results.kept import keep_detection, kept_detection
from pointadplus.results.record import json_record
from pointadplus.results.region_files import DEVIATIONS, region_table
from pointadplus.results.section import Section

FOUND = Inspection(
    nominal="part.step", unit="mm", alignment="best fit",
    pose=(0.0, -1.0, 0.0, 5.0, 1.0, 0.0, 0.0, 6.0, 0.0, 0.0, 1.0, 7.0),
    residual=0.018, rests_on=0.99, coverage=0.97,
    tolerance=(-0.2, 0.2), measured=1000, mean=0.01, rms=0.05, low=-0.04, high=0.06, largest=0.412, smallest=-0.102,
    within=0.971, over=0.029, under=0.0, not_measured=0.0, significant=0.08, lod=0.04, missing=0.0, in_tolerance=False,
)  # fmt: skip


def plate(inspection: Inspection | None = FOUND) -> Detection:
    """A square of 40 × 40 in mm, a point to each; a disc of radius 6 is 0.4 too high, half of it 0.5; one is grey."""
    x, y = torch.meshgrid(torch.arange(40.0), torch.arange(40.0), indexing="ij")
    points = torch.stack([x.flatten(), y.flatten(), torch.zeros(1600)], 1)
    disc = (points[:, :2] - torch.tensor([20.5, 20.5])).norm(dim=1) < 6
    deviation = torch.where(disc, torch.where(points[:, 0] < 20.5, 0.4, 0.5), 0.0)
    deviation[0] = float("nan")
    cloud = PointCloud.create(points, unit="mm", source="scan.ply")
    layers = {"deviation": deviation, "lod": torch.full((1600,), 0.04)}
    return Detection(0.7, torch.where(disc, 0.7, 0.1), cloud, layers, inspection=inspection)


def test_the_verdict_is_that_of_the_tolerance() -> None:
    assert FOUND.verdict == "out of tolerance"
    assert replace(FOUND, in_tolerance=True).verdict == "in tolerance"
    assert replace(FOUND, in_tolerance=None).verdict is None
    record = json_record("scan.ply", plate())
    assert record["verdict"] == "out of tolerance"
    assert record["inspection"]["tolerance"] == [-0.2, 0.2]
    assert list(record["inspection"]) == ["verdict", *Inspection.__dataclass_fields__]
    json.dumps(record, allow_nan=False)
    assert "inspection" not in json_record("scan.ply", plate(None))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "largest +0.412 mm, −0.102 mm; 97.1 % within ±0.2 mm; aligned by best fit, residual 0.018 mm"),
        (
            {"tolerance": (-0.1, 0.2), "unit": None, "alignment": "none", "residual": None},
            "largest +0.412, −0.102; 97.1 % within −0.1 … +0.2; not aligned",
        ),
        (
            {"tolerance": None, "alignment": "reference points", "missing": 12.34},
            "largest +0.412 mm, −0.102 mm; 8.0 % off by more than noise; "
            "aligned by reference points, residual 0.018 mm; 12.3 mm² missing",
        ),
    ],
)
def test_an_inspection_in_words(changed: dict[str, object], words: str) -> None:
    assert in_words(replace(FOUND, **changed).as_record()) == words  # type: ignore[arg-type]


def test_regions_tell_how_far_they_are_off_and_the_volume_of_it() -> None:
    (region,) = plate().regions()
    off = region.deviation
    assert off is not None
    assert off.largest == pytest.approx(0.5)
    assert off.mean == pytest.approx(0.45, abs=0.005)
    assert off.excess == pytest.approx(0.45 * math.pi * 36, rel=0.06)
    assert off.lack == 0.0
    assert region.as_record()["deviation"] == {
        "largest": off.largest, "mean": off.mean, "excess": off.excess, "lack": off.lack, "position": off.position,
    }  # fmt: skip
    x, y, z = region.position
    assert off.position == pytest.approx((5 - y, 6 + x, 7 + z)), "in the nominal's frame"
    (without,) = plate(None).regions()
    assert without.deviation is None
    assert "deviation" not in without.as_record()


def test_a_kept_detection_has_its_section(tmp_path: Path) -> None:
    cut = Section((1.0, 2.0, 3.0), 4.0, torch.rand(3, 4), torch.rand(7, 5))
    keep_detection(tmp_path / "kept", replace(plate(), section=cut))
    again = kept_detection(tmp_path / "kept").section
    assert again is not None
    assert (again.place, again.window) == (cut.place, cut.window)
    assert torch.equal(again.nominal, cut.nominal) and torch.equal(again.points, cut.points)
    keep_detection(tmp_path / "kept", plate())
    assert kept_detection(tmp_path / "kept").section is None


def test_a_table_has_a_row_a_scan(tmp_path: Path) -> None:
    found = plate()
    records = [region.as_record() for region in found.regions()]
    with inspection_table(tmp_path / "found.csv") as write:
        write("=scan.ply", json_record("=scan.ply", found, records))
        write("wrong.ply", json_record("wrong.ply", replace(plate(None), measurable=False, notes=("no unit fits",))))
        write("bad.ply", {"path": "bad.ply", "error": "not a cloud"})
    header, one, wrong, bad = csv.reader((tmp_path / "found.csv").read_text(encoding="utf-8").splitlines())
    row = dict(zip(header, one, strict=True))
    assert tuple(header) == COLUMNS
    assert (row["path"], row["verdict"], row["nominal"]) == ("'=scan.ply", "out of tolerance", "part.step")
    assert [float(row[name]) for name in ("largest", "tolerance_low", "tolerance_high")] == [0.412, -0.2, 0.2]
    assert float(row["excess_volume"]) == pytest.approx(records[0]["deviation"]["excess"])
    assert (wrong[1], wrong[-1], bad[1], bad[-1]) == ("not measurable", "no unit fits", "failed", "not a cloud")
    with pytest.raises(ConfigError, match="cannot be written"), inspection_table(tmp_path / "found.csv" / "x.csv"):
        pass


def test_a_table_of_regions_has_their_deviations(tmp_path: Path) -> None:
    (region,) = plate().regions()
    with region_table(tmp_path / "regions.csv", inspected=True) as write:
        write("scan.ply", [region.as_record()], "mm")
    header, row = csv.reader((tmp_path / "regions.csv").read_text(encoding="utf-8").splitlines())
    assert tuple(header[-7:]) == DEVIATIONS
    off = region.as_record()["deviation"]
    told = [*(off[name] for name in ("largest", "mean", "excess", "lack")), *off["position"]]
    assert [float(value) for value in row[-7:]] == pytest.approx(told)


def test_what_is_kept_is_whole(tmp_path: Path) -> None:
    found = plate()
    keep_detection(tmp_path / "kept.npz", found)
    again = kept_detection(tmp_path / "kept.npz")
    assert again.inspection == FOUND
    for name, layer in found.layers.items():
        torch.testing.assert_close(again.layers[name], layer, rtol=0, atol=0, equal_nan=True)
    assert [region.deviation for region in again.regions()] == [region.deviation for region in found.regions()]


@pytest.mark.parametrize("suffix", [".ply", ".csv", ".npy", ".pcd"])
def test_deviations_are_written_beside_the_points(tmp_path: Path, suffix: str) -> None:
    found, path = plate(), tmp_path / f"scan{suffix}"
    write_cloud(path, found.cloud, scores=found.valid_scores, fields=found.layers)
    assert len(read_cloud(path)) == 1600
    if suffix == ".csv":
        header, first, second = path.read_text().splitlines()[:3]
        assert header == "x,y,z,score,deviation,lod"
        assert first.split(",")[4] == "nan"
        assert float(second.split(",")[4]) == 0.0
    with pytest.raises(CloudWriteError, match="lod does not fit the cloud"):
        write_cloud(path, found.cloud, fields={"lod": torch.zeros(7)})
