"""Curves as SVG: what is drawn has the areas that the tables tell, and the same result writes the same bytes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
import torch
from scipy.integrate import trapezoid

from pointadplus.cloud import PointCloud
from pointadplus.data import Dataset, Sample
from pointadplus.errors import ConfigError
from pointadplus.evaluation import BenchmarkResult, Curves, evaluate, write_curves
from pointadplus.results.detection import Detection

SIZE = 1500
POINTS = torch.rand(SIZE, 3, generator=torch.Generator().manual_seed(0))
MASK = torch.arange(SIZE) < 60
NAMES = ("bottle", "_<b>a & $x$", "kühn\x01\udcff")
FILES = ["objects_roc.svg", "objects_precision_recall.svg", "points_roc.svg", "points_precision_recall.svg"]


class MemorySample(Sample):
    def load(self):
        labels = None if self.label and self.gt_path is None else MASK & bool(self.label)
        return PointCloud.create(POINTS, source=f"{self.path} {self.label}"), labels


class Noisy:
    """Scores higher where there is an anomaly, mostly."""

    def __init__(self) -> None:
        self.rng = torch.Generator().manual_seed(1)

    def score(self, source: PointCloud) -> Detection:
        bad = int((source.source or "").split()[-1])
        scores = (0.7 * torch.rand(SIZE, generator=self.rng) + 0.25 * bad * MASK).clamp(0, 1)
        return Detection(0.6 * float(torch.rand(1, generator=self.rng)) + 0.3 * bad, scores, source)


def dataset(names: tuple[str, ...] = NAMES, masked: bool = True, bad: int = 7, clouds: int = 12) -> Dataset:
    samples = []
    for name in names:
        for place in range(clouds):
            label = int(place < bad)
            path = Path("bench") / f"{place}"
            kind = "hole" if label else "good"
            samples.append(MemorySample(path, name, "test", label, kind, path if label and masked else None))
    return Dataset("memory", Path("root"), tuple(samples))


@pytest.fixture(scope="module")
def scored() -> tuple[BenchmarkResult, dict[str, Curves]]:
    curves: dict[str, Curves] = {}
    return evaluate(Noisy(), dataset(), point_curves=curves), curves


def lines_of(path: Path) -> list[np.ndarray]:
    """(k, 2) of each curve in an SVG file, in the axes' units."""
    root = ElementTree.parse(path).getroot()
    space = "{http://www.w3.org/2000/svg}"

    def places(group: ElementTree.Element) -> np.ndarray:
        element = group.find(f"{space}path")
        assert element is not None
        return np.array([float(each) for each in re.findall(r"-?[\d.]+", element.get("d", ""))]).reshape(-1, 2)

    groups = {group.get("id", ""): group for group in root.iter(f"{space}g")}
    frame = places(groups["patch_2"])  # the axes' background, from −0.01 to 1.01
    low, high = frame.min(0), frame.max(0)
    unit = (high - low) / 1.02
    found = [places(group) for name, group in groups.items() if name.startswith("curve-")]
    return [np.stack([(p[:, 0] - low[0]) / unit[0], (high[1] - p[:, 1]) / unit[1]], 1) - 0.01 for p in found]


def texts_of(path: Path) -> list[str]:
    root = ElementTree.parse(path).getroot()
    return ["".join(text.itertext()).strip() for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_what_is_drawn_has_the_areas_of_the_table(tmp_path: Path, scored) -> None:
    result, curves = scored
    assert set(curves) == set(NAMES)
    written = write_curves(result, tmp_path / "new" / "plots", curves)
    assert [path.name for path in written] == FILES == [each for each in FILES if (written[0].parent / each).exists()]
    assert len(list(written[0].parent.iterdir())) == 4
    fields = ("object_auroc", "object_ap", "point_auroc", "point_ap")
    for path, field in zip(written, fields, strict=True):
        rows = [*result.joined.categories.values(), result.joined.mean]
        figures = [getattr(row, field) for row in rows]
        drawn = lines_of(path)
        assert len(drawn) == 4
        for line, figure in zip(drawn, figures, strict=True):
            assert trapezoid(line[:, 1], line[:, 0]) == pytest.approx(figure, abs=2e-3)
        texts = texts_of(path)
        labels = ["bottle", "_<b>a & $x$", "kühn��", "mean of 3"]
        for label, figure in zip(labels, figures, strict=True):
            assert f"{100 * figure:.1f} {label}" in [re.sub(" +", " ", text) for text in texts]
        assert f"Noisy on memory: {field.split('_')[0]} scores" in texts
        assert ("AUROC in %" if "auroc" in field else "AP in %") in texts
        assert {"false positive rate", "true positive rate"} <= set(texts) or {"recall", "precision"} <= set(texts)


def test_the_axes_are_of_equal_length(tmp_path: Path, scored) -> None:
    for path in write_curves(*scored[:1], tmp_path, scored[1]):
        frame = re.search(r'id="patch_2">\s*<path d="([^"]*)"', path.read_text("utf-8"))
        assert frame is not None
        places = np.array([float(each) for each in re.findall(r"[\d.]+", frame[1])]).reshape(-1, 2)
        width, height = np.ptp(places, 0)
        assert width == pytest.approx(height, rel=1e-6) and width > 300


def test_the_same_result_writes_the_same_bytes(tmp_path: Path, scored, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another day, whatever the user's style, and from a result that was read back."""
    result, curves = scored
    first = write_curves(result, tmp_path / "a", curves)
    before = matplotlib.rcParams.copy()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "text.color": "red", "svg.hashsalt": "other"}):
        again = write_curves(BenchmarkResult.from_json(result.to_json()), tmp_path / "b", curves)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert dict.__eq__(before, matplotlib.rcParams)
    text = first[0].read_text("utf-8")
    assert "<text" in text and "dc:date" not in text
    assert max(path.stat().st_size for path in first) < 200_000


def test_gathering_curves_changes_no_figure(scored) -> None:
    result, _ = scored
    assert evaluate(Noisy(), dataset()).joined == result.joined


def test_rounded_points_have_curves_too(tmp_path: Path) -> None:
    curves: dict[str, Curves] = {}
    result = evaluate(Noisy(), dataset(), exact_points=100, point_curves=curves)
    for name, figures in result.joined.categories.items():
        assert curves[name].roc.area == pytest.approx(figures.point_auroc, abs=1e-3)
        assert curves[name].precision_recall.area == pytest.approx(figures.point_ap, abs=1e-9)


def test_what_is_not_defined_is_not_drawn(tmp_path: Path, scored) -> None:
    result, _ = scored
    assert [path.name for path in write_curves(result, tmp_path / "objects")] == FILES[:2]
    curves: dict[str, Curves] = {}
    unmasked = evaluate(Noisy(), dataset(masked=False), point_curves=curves)
    assert curves == {}
    assert [path.name for path in write_curves(unmasked, tmp_path / "unmasked", curves)] == FILES[:2]
    normal = evaluate(Noisy(), dataset(bad=0), point_curves=curves)
    assert write_curves(normal, tmp_path / "normal", curves) == []
    assert not (tmp_path / "normal").exists()
    one = evaluate(Noisy(), dataset(NAMES[:1]))
    (roc, _) = write_curves(one, tmp_path / "one")
    assert len(lines_of(roc)) == 1, "no mean of one"
    assert not [text for text in texts_of(roc) if "mean" in text]


def test_many_categories_have_a_legend_each(tmp_path: Path) -> None:
    names = tuple(f"category {number}" for number in range(45))
    result = evaluate(Noisy(), dataset(names, bad=1, clouds=2))
    roc, _ = write_curves(result, tmp_path)
    assert len(lines_of(roc)) == 46
    assert sum("category" in text for text in texts_of(roc)) == 45


def test_the_legend_may_hold_names_without_a_glyph(tmp_path: Path) -> None:
    result = evaluate(Noisy(), dataset(("瓶子", "杯子")))
    roc, _ = write_curves(result, tmp_path)
    assert any("瓶子" in text for text in texts_of(roc))


def test_refusals(tmp_path: Path, scored, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        write_curves(scored[0], tmp_path / "file")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"matplotlib.*pip install .*\[plot\]"):
        write_curves(scored[0], tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_evaluation_does_without_matplotlib() -> None:
    code = "import sys; sys.modules['matplotlib'] = None; import pointadplus.evaluation"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ.copy(), check=False).returncode == 0
