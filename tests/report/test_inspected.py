"""What the report says of deviations: levels and colours, verdict and facts, worst places, section."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pointadplus.cloud import PointCloud
from pointadplus.render import RenderConfig
from pointadplus.report import save_detection_sheet, write_report
from pointadplus.report.facts import facts, statistics, verdict
from pointadplus.report.inspected import Scale, extremes, section
from pointadplus.report.sheet import paint_of
from pointadplus.results.calibration import Calibration
from pointadplus.results.detection import Detection
from pointadplus.results.palette import BEYOND, COLD, GOOD, NEUTRAL, WARM, deviation_colors, limit_colors
from tests.report.nominal_scans import LIMITS, plate
from tests.report.test_report import page_of


def rgb(color: str) -> list[int]:
    return list(bytes.fromhex(color))


def scan_of(detection: Detection, path: Path) -> dict:
    return page_of(write_report([detection], path / "report.html"))[1][0]


def pixels(scan: dict) -> np.ndarray:
    """(K, 3) of the still picture, without its background."""
    image = Image.open(io.BytesIO(base64.b64decode(scan["picture"].partition(",")[2]))).convert("RGBA")
    shown = np.asarray(image, dtype=int).reshape(-1, 4)
    return shown[shown[:, 3] > 0, :3]


def test_colours_of_deviations_say_on_which_side_of_which_limit() -> None:
    off = torch.tensor([float("nan"), 0.0, 0.3, 0.31, 0.8, 2.0, -0.2, -0.21, -0.8])
    found = (255 * deviation_colors(off, LIMITS, 0.8, good=True)).round().tolist()
    assert found[0] == rgb(NEUTRAL)
    assert found[1] == found[2] == found[6] == rgb(GOOD)
    assert found[4] == found[5] == rgb(WARM[-1]) and found[8] == rgb(COLD[-1])
    assert found[3][0] > 250 and found[3][2] < 80, "yellow"
    assert found[7][2] > 235 and found[7][0] < 160, "light blue"


def test_scores_are_neutral_below_the_limit() -> None:
    found = (255 * limit_colors(torch.tensor([0.0, 0.699, 0.7, 1.0]), 0.7)).round().tolist()
    assert found == [rgb(NEUTRAL), rgb(NEUTRAL), rgb(BEYOND[0]), rgb(BEYOND[-1])]


def test_levels_and_counts_are_of_the_deviations(tmp_path: Path) -> None:
    told = scan_of(plate(), tmp_path)["deviation"]
    levels = np.frombuffer(base64.b64decode(told["levels"]), np.uint8)
    colors = np.frombuffer(base64.b64decode(told["colors"]), np.uint8).reshape(256, 3)
    assert (told["span"], told["band"], told["limits"]) == (0.8, list(LIMITS), "−0.2 … +0.3")
    by_level = np.bincount(levels, minlength=256)
    assert told["histogram"] == by_level.tolist()
    assert (by_level[0], by_level[128], by_level[255]) == (91, 11011 - 91 - 2 * 249, 249)
    assert sum(told["histogram"]) == 11011
    assert colors[0].tolist() == rgb(NEUTRAL) and colors[128].tolist() == rgb(GOOD)
    assert np.abs(colors[255].astype(int) - rgb(WARM[-1])).max() <= 2
    assert told["largest"] == 0.8


@pytest.mark.parametrize(
    ("largest", "tolerance", "span"),
    [(0.1, LIMITS, 0.45), (0.8, LIMITS, 0.8), (9.0, LIMITS, 1.2), (0.4321, None, 0.44), (0.01, None, 0.12)],
)
def test_the_colours_span_what_there_is_but_not_too_far_from_the_limits(
    largest: float, tolerance: tuple[float, float] | None, span: float
) -> None:
    found = plate(bump=largest, dent=0.0, tolerance=tolerance).inspection
    assert found is not None
    assert Scale.of(found).span == pytest.approx(span)


def test_the_verdict_and_what_it_rests_on() -> None:
    told = dict(facts(plate(), None, datetime(2026, 11, 30, 9, 5)))
    assert verdict(plate()) == "out of tolerance" and verdict(plate(bump=0.1, dent=0.1)) == "in tolerance"
    assert told["Reference"] == "plate.step"
    assert told["Alignment"] == "best fit, residual 0.018 mm, on 97 % of the scan"
    assert told["Limit"] == "tolerance −0.2 … +0.3 mm"
    assert (told["Date"], told["Scan"]) == ("2026-11-30 09:05", "11,011 points")
    found = plate().inspection
    assert found is not None
    rows = dict(statistics(found))
    assert (rows["Largest"], rows["Smallest"], rows["Not measured"]) == ("+0.8 mm", "−0.5 mm", "0.83 %")
    assert {"Within tolerance", "Over", "Under"} <= set(rows)
    alone = plate(tolerance=None)
    assert verdict(alone) is None and dict(facts(alone, None, datetime.now()))["Limit"] == "none: nothing is decided"


def test_the_extremes_are_no_stray_points() -> None:
    calm = plate(bump=0.1, dent=0.15)
    assert calm.inspection is not None
    off = calm.layers["deviation"].clone()
    off[5000] = 3.0
    high, low = extremes(calm.cloud, off, calm.inspection)
    assert (high.value, low.value) == pytest.approx((0.1, -0.15))
    assert np.hypot(high.position[0] - 10, high.position[1] - 10) < 3
    assert np.hypot(low.position[0] - 30, low.position[1] - 20) < 3


def test_deviations_of_a_section_are_drawn_larger() -> None:
    told = section(plate(bump=0.8))
    assert told is not None
    assert (told["window"], told["factor"], told["nominal"]) == (7.0, 3.0, [[-1.0, -0.1143, 1.0, -0.1143]])
    assert len(told["points"]) == 43 and told["points"][21] == [0.0, -0.1143, 0.0, 1.0, 0.8]
    assert section(replace(plate(), section=None)) is None


def test_a_healthy_calibrated_scan_looks_neutral(tmp_path: Path, sphere: PointCloud) -> None:
    calibration = Calibration((0.3,), (0.6,), 0.5)
    healthy = Detection(0.2, torch.full((1000,), 0.45), sphere, calibration=calibration)
    scan = scan_of(healthy, tmp_path)
    assert scan["limit"] == pytest.approx(0.6) and scan["badge"] == "normal"
    shown = pixels(scan)
    assert (shown.max(1) - shown.min(1)).max() < 20, "grey"
    spot = torch.where(sphere.points[:, 0] > 0.8, 0.95, 0.45)
    red, _, blue = pixels(scan_of(replace(healthy, point_scores=spot), tmp_path)).T
    assert ((red - blue) > 80).mean() > 0.05


def test_scans_that_nothing_is_known_of_keep_their_colours(tmp_path: Path, sphere: PointCloud) -> None:
    plain = Detection(0.2, torch.full((1000,), 0.45), sphere)
    scan = scan_of(plain, tmp_path)
    assert (scan["limit"], scan["badge"], scan["deviation"]) == (None, None, None)
    unmeasured = scan_of(replace(plain, measurable=False, notes=("too few points",)), tmp_path)
    assert (unmeasured["limit"], unmeasured["badge"]) == (0.5, "not measurable")


def test_a_sheet_paints_what_the_report_does(tmp_path: Path) -> None:
    detection = plate()
    paint = paint_of(detection)
    assert paint.name == "deviation, mm" and paint.marks[1:4] == (-0.2, 0.0, 0.3)
    assert paint.marks[0] == -paint.marks[-1] <= -0.5
    save_detection_sheet(detection, tmp_path / "sheet.png", RenderConfig(views="faces6", image_size=64))
    with Image.open(tmp_path / "sheet.png") as picture:
        seen = {color for _, color in picture.convert("RGB").getcolors(1 << 24) or ()}
    assert any(red > 1.5 * max(green, blue) for red, green, blue in seen)  # the bump
    assert any(blue > 1.5 * max(red, green) for red, green, blue in seen)  # the dent
