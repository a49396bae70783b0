"""The report on paper: a page a scan, with what an inspector signs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from pointadplus.cloud import PointCloud
from pointadplus.errors import ConfigError
from pointadplus.report import write_pdf
from pointadplus.results.calibration import Calibration
from pointadplus.results.detection import Detection
from tests.report.nominal_scans import plate

pytest.importorskip("matplotlib")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The text of each page, as it is saved."""
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.text import Text

    pages: list[str] = []
    save = PdfPages.savefig

    def note(self: PdfPages, figure: object) -> None:
        texts = figure.findobj(Text)  # type: ignore[attr-defined]
        pages.append("\n".join(text.get_text() for text in texts if text.get_text()))
        save(self, figure)  # type: ignore[arg-type]

    monkeypatch.setattr(PdfPages, "savefig", note)
    return pages


def pages_of(path: Path) -> int:
    content = path.read_bytes()
    assert content.startswith(b"%PDF")
    return len(re.findall(rb"/Type /Page\b", content))


def test_a_page_a_scan_with_verdict_facts_and_numbers(tmp_path: Path, sphere: PointCloud, written: list[str]) -> None:
    calibration = Calibration((0.3,), (0.6,), 0.5)
    scores = torch.where(sphere.points[:, 0] > 0.8, 0.95, 0.45)
    score_only = Detection(0.9, sphere.to_rows(scores), sphere, calibration=calibration)
    unmeasured = Detection(0.0, torch.zeros(1000), sphere, notes=("too few points",), measurable=False)
    path = tmp_path / "new" / "report.pdf"
    assert write_pdf([plate("$a_b$.ply"), score_only, unmeasured], path, title="Lot 7") == path
    assert pages_of(path) == 3
    assert b"Lot 7" in path.read_bytes()
    out, anomalous, unknown = written
    told = (
        "$a_b$.ply", "OUT OF TOLERANCE", "plate.step", "tolerance −0.2 … +0.3 mm", "1  +0.8", "2  −0.5",
        "Within tolerance", "Section through the worst place", "2 regions", "excess mm³", "Inspected by",
    )  # fmt: skip
    assert [text for text in told if text not in out] == []
    assert "ANOMALOUS" in anomalous and "1 region" in anomalous and "Within tolerance" not in anomalous
    assert "NOT MEASURABLE" in unknown and "Note: too few points" in unknown


def test_nothing_and_no_room_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one"):
        write_pdf([], tmp_path / "report.pdf")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        write_pdf([plate(bump=0.1, dent=0.1)], tmp_path / "file" / "report.pdf")
