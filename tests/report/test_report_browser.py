"""The report in a real browser: it opens, turns, sorts and filters, by mouse, finger and keyboard, without an error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import CHROMIUM, Browser

from pointadplus.cloud import PointCloud
from pointadplus.report import write_report
from pointadplus.results.calibration import Calibration
from pointadplus.results.detection import Detection

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found")

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">.ply"
SCORES = {"b.ply": 0.2, "a.ply": 0.9, HOSTILE: 0.5, "c.ply": 0.1}
NORMAL = Calibration(tuple(i / 200 for i in range(1, 100)), (0.5,) * 99, 0.05)


def scored(name: str, score: float, calibration: Calibration | None = NORMAL) -> Detection:
    points = torch.nn.functional.normalize(
        torch.randn(2000, 3, generator=torch.Generator().manual_seed(len(name))), dim=1
    )
    spot = 0.9 * (points[:, 0] > 0.9).float()
    cloud = PointCloud.create(points * torch.tensor([2.0, 1.0, 1.0]), source=name)
    return Detection(score, cloud.to_rows(spot), cloud, calibration=calibration)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = [scored(name, score) for name, score in SCORES.items()]
    return write_report(found, tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture
def opened(tab: Browser, page: Path) -> Iterator[Browser]:
    tab.errors.clear()
    tab.open(page)
    yield tab
    assert tab.errors == []
    assert tab.evaluate("document.title") == "Point cloud anomalies", "no name runs"


def listed(tab: Browser) -> list[str]:
    return tab.evaluate("[...document.querySelectorAll('#scans .file')].map(file => file.title)")


def shown(tab: Browser) -> str:
    return tab.evaluate("document.getElementById('name').textContent")


def put(tab: Browser, element: str, value: str) -> None:
    tab.evaluate(
        f"(() => {{ const at = document.getElementById('{element}'); at.value = {value!r};"
        " at.dispatchEvent(new Event('input', { bubbles: true })); })()"
    )


def stage(tab: Browser) -> np.ndarray:
    """The pixels of the 3D view, without the text over it."""
    box = tab.evaluate(
        "(({ x, y, width, height }) => [x, y, width, height])(document.getElementById('view').getBoundingClientRect())"
    )
    x, y, width, height = (round(value) for value in box)
    return tab.picture()[y + 60 : y + height - 40, x : x + width]


def moved(before: np.ndarray, after: np.ndarray) -> int:
    return int((np.abs(before - after).max(-1) > 40).sum())


def test_the_most_anomalous_scan_comes_first(opened: Browser) -> None:
    by_score = ["a.ply", HOSTILE, "b.ply", "c.ply"]
    assert listed(opened) == by_score
    assert shown(opened) == "a.ply"
    opened.evaluate("document.querySelector('[data-order=given]').click()")
    assert listed(opened) == list(SCORES)
    opened.evaluate("document.querySelector('[data-order=score]').click()")
    assert listed(opened) == by_score


def test_the_head_counts_verdicts_and_an_alarm_without_region_is_told(tab: Browser, page: Path, tmp_path: Path) -> None:
    tab.open(page)
    assert tab.evaluate("document.getElementById('summary').textContent") == "4 scans · 2 anomalous · 2 normal"
    plain = [scored("a.ply", 0.9, None), scored("b.ply", 0.8, None)]
    tab.open(write_report(plain, tmp_path / "plain.html"))
    assert tab.evaluate("document.getElementById('summary').textContent") == "2 scans · higher is more anomalous"
    alarm = scored("a.ply", 0.9)
    tab.open(write_report([replace(alarm, point_scores=0 * alarm.point_scores)], tmp_path / "alarm.html"))
    told = tab.evaluate("document.getElementById('region-caption').textContent")
    assert told == "No region: the object's score is above its limit, but no five points together reach 0.500"


def test_scans_are_filtered_by_score_name_and_verdict(opened: Browser) -> None:
    put(opened, "wanted-score", "20")
    assert listed(opened) == ["a.ply", HOSTILE, "b.ply"]
    put(opened, "wanted-name", "A.PLY")
    assert listed(opened) == ["a.ply"]
    put(opened, "wanted-name", "<img")
    assert listed(opened) == [HOSTILE]
    put(opened, "wanted-name", "no such scan")
    assert listed(opened) == [] and shown(opened) == "a.ply"
    put(opened, "wanted-name", "")
    put(opened, "wanted-score", "0")
    opened.evaluate("document.getElementById('wanted-alarms').click()")
    assert listed(opened) == ["a.ply", HOSTILE], "those above the threshold of the normal scans"
    assert opened.evaluate("document.getElementById('listed').textContent") == "2 of 4 listed"


def test_keys_go_through_the_listed_scans_and_turn_them(opened: Browser) -> None:
    opened.press("n")
    assert shown(opened) == HOSTILE
    opened.press("p")
    assert shown(opened) == "a.ply"
    opened.press("p")
    assert shown(opened) == "a.ply", "before the first there is none"
    before = stage(opened)
    opened.press("ArrowRight")
    turned = stage(opened)
    assert moved(before, turned) > 500
    opened.press("+")
    larger = stage(opened)
    assert moved(turned, larger) > 500
    opened.press("0")
    assert moved(before, stage(opened)) < 50, "as it was"


def test_every_control_is_reached_by_tab(opened: Browser) -> None:
    reached = []
    for _ in range(32):  # twice around the page, for it begins at the scan that is shown
        opened.press("Tab")
        reached.append(opened.evaluate("document.activeElement.id || document.activeElement.dataset.order || 'scan'"))
    reached = reached[reached.index("score") :]
    order = ["score", "given", "wanted-name", "wanted-score", "wanted-alarms", "scan", "view", "threshold", "range"]
    places = [reached.index(name) for name in order]
    assert places == sorted(places)


@pytest.mark.parametrize("touch", [False, True], ids=["mouse", "finger"])
def test_it_turns_under_a_hand(opened: Browser, page: Path, touch: bool) -> None:
    opened.open(page, 820, 1180, touch=touch)
    before = stage(opened)
    opened.drag((400, 600), (480, 640), touch=touch)
    assert moved(before, stage(opened)) > 500
    assert opened.evaluate("document.documentElement.scrollWidth") <= 820, "a tablet shows it all"


def test_the_threshold_reads_as_the_limit_until_it_is_moved(opened: Browser, tmp_path: Path) -> None:
    calibration = Calibration((0.1,) * 99, (0.641,) * 99, 0.05)  # the levels about it are 0.637 and 0.645
    opened.open(write_report([scored("a.ply", 0.9, calibration)], tmp_path / "report.html"))
    told = "document.getElementById('threshold-value').textContent"
    assert opened.evaluate(told) == "0.641"
    put(opened, "threshold", "192")
    assert opened.evaluate(told) == "0.750"


def test_a_score_stands_among_those_of_normal_scans(opened: Browser, tmp_path: Path) -> None:
    told = opened.evaluate("document.getElementById('compared').textContent")
    assert "99 normal scans" in told and f"{NORMAL.threshold:.3f}" in told
    label = opened.evaluate("document.getElementById('comparison').getAttribute('aria-label')")
    assert label == "99 normal scans score 0.005 to 0.495; this one 0.900"
    drawn = (
        "(() => { const at = document.getElementById('comparison');"
        " return [at.width, ...at.getContext('2d').getImageData(0, 0, at.width, at.height).data]; })()"
    )
    width, *values = opened.evaluate(drawn)
    alpha = np.array(values).reshape(-1, width, 4)[:30, :, 3].max(0) > 0  # above the mark of this scan
    assert alpha[: width // 2 - 4].mean() > 0.6, "bars where normal scans score, with gaps between"
    assert not alpha[width // 2 + 4 :].any(), "and none where none does"
    uncalibrated = [scored("a.ply", 0.4, None), scored("b.ply", 0.6, None)]
    opened.open(write_report(uncalibrated, tmp_path / "plain.html"))
    assert "2 scans of this page" in opened.evaluate("document.getElementById('compared').textContent")
    assert opened.evaluate("document.getElementById('alarms').hidden")


def test_lengths_have_the_unit_of_the_scan(tab: Browser, tmp_path: Path) -> None:
    found = scored("known.ply", 0.9)
    known = replace(found, cloud=replace(found.cloud, unit="mm"))
    for detection, size, area in ((known, " mm", "Area (mm²)"), (found, " (file's unit)", "Area (unit²)")):
        tab.open(write_report([detection], tmp_path / "report.html"))
        assert tab.evaluate("document.querySelector('#details dd:nth-of-type(2)').textContent").endswith(size)
        assert area in tab.evaluate("document.querySelector('#regions thead').textContent")


def test_places_far_from_the_origin_are_told_to_a_thousandth_of_the_size(tab: Browser, tmp_path: Path) -> None:
    near = scored("far.ply", 0.5)
    points = near.cloud.points.double() / 10 + torch.tensor([451234.0, 5412345.0, 312.0], dtype=torch.float64)
    cloud = PointCloud.create(points.numpy(), source="far.ply")
    page = write_report([Detection(0.5, near.point_scores, cloud)], tmp_path / "far.html")
    tab.open(page)
    peak = cloud.positions()[int(near.point_scores.argmax())].tolist()
    details = tab.evaluate("document.getElementById('details').textContent")
    region = tab.evaluate("document.querySelector('#regions td:last-child').textContent")
    told = details.rpartition(" at (")[2].partition(")")[0]
    assert list(map(float, told.split(", "))) == pytest.approx(peak, abs=2e-4)
    assert list(map(float, region.split(", "))) == pytest.approx(peak, abs=0.1), "the middle of it"
