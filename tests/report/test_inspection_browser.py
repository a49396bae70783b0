"""The report of an inspection in a real browser: verdict, colours, callouts and paper, at every width."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, Browser

from pointadplus.report import write_report
from tests.report.nominal_scans import plate

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scans = [plate("good.ply", 0.1, 0.1), plate("bad.ply")]
    return write_report(scans, tmp_path_factory.mktemp("report") / "report.html", title="Lot 7")


@pytest.fixture
def opened(tab: Browser, page: Path) -> Iterator[Browser]:
    tab.errors.clear()
    tab.open(page)
    yield tab
    assert tab.errors == []


def text(tab: Browser, selector: str) -> str:
    return tab.evaluate(f"document.querySelector({selector!r}).textContent")


def view(tab: Browser) -> np.ndarray:
    """(H, W, 3) of the view's middle, where nothing lies over it."""
    box = tab.evaluate(
        "(({ x, y, width, height }) => [x, y, width, height])(document.getElementById('view').getBoundingClientRect())"
    )
    x, y, width, height = (round(value) for value in box)
    return tab.picture()[y + 40 : y + height - 40, x : x + width]


def green(picture: np.ndarray) -> int:
    red, middle, blue = picture.transpose(2, 0, 1)
    return int(((middle > red + 50) & (middle > blue + 15)).sum())


@pytest.mark.parametrize("width", [1440, 1024, 768, 390])
def test_the_verdict_is_seen_at_every_width(opened: Browser, page: Path, width: int) -> None:
    opened.open(page, width, 900)
    boxes = opened.evaluate(
        "[...document.querySelectorAll('.badge')].map(badge => [badge.textContent,"
        " ...(({ left, right, height }) => [left, right, height])(badge.getBoundingClientRect())])"
    )
    assert [box[0] for box in boxes] == ["✗ out of tolerance", "✓ in tolerance", "✗ out of tolerance"]
    for _, left, right, height in boxes:
        assert 0 <= left < right <= width and height > 10
    assert opened.evaluate("document.documentElement.scrollWidth") <= width


def test_deviations_and_scores_take_turns(opened: Browser) -> None:
    assert text(opened, "#callouts button") == "1 +0.8"
    assert green(view(opened)) > 2000
    facts = text(opened, "#facts")
    assert "plate.step" in facts and "tolerance −0.2 … +0.3 mm" in facts
    assert "% within −0.2 … +0.3 mm; grey: 91 of 11,011 points not measured" in text(opened, "#shares")
    assert not opened.evaluate("document.getElementById('threshold').checkVisibility()")
    opened.evaluate("document.querySelector('[data-layer=score]').click()")
    opened.settle()
    assert green(view(opened)) == 0
    assert opened.evaluate("document.getElementById('threshold').value") == "128", "it begins at the limit"
    red, _, blue = view(opened).transpose(2, 0, 1)
    assert (red - blue > 80).sum() > 200, "beyond the limit"
    assert re.match(r"1 0\.\d{3}$", text(opened, "#callouts button"))
    opened.evaluate("document.querySelector('[data-layer=deviation]').click()")


@pytest.mark.parametrize("by", ["click", "Enter"])
def test_a_row_flies_to_its_region(opened: Browser, by: str) -> None:
    before = view(opened)
    row = "document.querySelectorAll('#regions tbody tr')[1]"
    assert "−0.5" in opened.evaluate(f"{row}.textContent")
    if by == "click":
        opened.evaluate(f"{row}.click()")
    else:
        opened.evaluate(f"{row}.focus()")
        opened.press("Enter")
    opened.evaluate("new Promise(done => setTimeout(() => done(1), 900))")
    opened.settle()
    after = view(opened)
    middle = after[after.shape[0] // 2 - 4 :, after.shape[1] // 2 - 4 :][:8, :8].reshape(-1, 3).mean(0)
    assert middle[2] > middle[0] + 40, "the dent, in blue, is in the middle"
    assert (np.abs(before - after).max(-1) > 40).sum() > 500


def test_a_good_part_is_told_of_its_extremes(opened: Browser) -> None:
    opened.press("n")
    labels = opened.evaluate("[...document.querySelectorAll('#callouts button')].map(one => one.textContent)")
    assert labels == ["▲ +0.1", "▼ −0.1"]
    assert text(opened, "#region-caption") == "0 regions out of tolerance"


def test_paper_has_a_page_a_scan(opened: Browser) -> None:
    opened.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    sheets = opened.evaluate("[...document.querySelectorAll('.sheet')].map(sheet => sheet.textContent)")
    assert len(sheets) == 2
    parts = (
        "bad.ply",
        "✗ out of tolerance",
        "Lot 7",
        "plate.step",
        "Within tolerance",
        "Section through",
        "Inspected by",
    )
    assert [part for part in parts if part not in sheets[0]] == []
    drawn = opened.evaluate(
        "[...document.querySelectorAll('.sheet:first-child canvas.view')].map(one => new Set(new Uint32Array("
        "one.getContext('2d').getImageData(0, 0, one.width, one.height).data.buffer)).size)"
    )
    assert len(drawn) >= 2 and min(drawn) > 20, "each view has colours"
    printed = base64.b64decode(opened._send("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert len(re.findall(rb"/Type /Page\b", printed)) == 2
