"""What a person sees of a detection, a region and their cloud: reprs of a line, a card in Jupyter, a figure."""

from __future__ import annotations

import base64
import io
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from pointadplus.cloud import PointCloud
from pointadplus.errors import ConfigError
from pointadplus.results.calibration import Calibration
from pointadplus.results.detection import Detection
from pointadplus.results.palette import score_colors
from pointadplus.results.regions import Region
from pointadplus.results.snapshot import Snapshot

HOSTILE = "folder/</td><script>alert(1)</script>\x00\x1b[31m\udcff\"'$x$&.ply"
CALIBRATION = Calibration(tuple(i / 200 for i in range(99)), tuple(i / 200 for i in range(99)), 0.01, "x")
NEAR, FAR = torch.tensor([0.0, 0.6, 0.8]), torch.tensor([0.0, 0.0, -1.0])
SPOTS = torch.nn.functional.normalize(
    torch.tensor([[0.0, 0.6, 0.8], [0, -0.7, 0.7], [0.6, 0, 0.8], [-0.6, 0, 0.8], [0, 0, 1], [0, -1, 0.2]]), dim=1
)


def spotted(sphere: PointCloud, *spots: torch.Tensor, **changes: object) -> Detection:
    """A large sphere that scores high at spots, the first ones highest."""
    scores = torch.full((len(sphere),), 0.1)
    for place, spot in enumerate(spots):
        scores[sphere.points @ spot > 0.98] = 0.95 - 0.05 * place
    cloud = replace(sphere, points=50 * sphere.points + torch.tensor([1000.0, 0, 0]))
    detection = Detection(0.731, scores, cloud, seconds={"render": 0.25, "encode": 0.5})
    return replace(detection, **changes)  # type: ignore[arg-type]


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def test_a_detection_in_one_line(sphere: PointCloud) -> None:
    plain = spotted(sphere, NEAR)
    assert repr(plain) == "Detection(0.73, 1,000 points, 'sphere.ply')"
    assert repr(replace(plain, calibration=CALIBRATION)) == (
        "Detection(0.73, 1,000 points, anomalous p=0.01, 'sphere.ply')"
    )
    low = replace(plain, calibration=CALIBRATION, object_score=0.25)
    assert "normal p=0.5" in repr(low)
    points = torch.cat([torch.full((3, 3), float("nan")), torch.ones(1, 3)])
    one = PointCloud.create(points)
    assert repr(Detection(0.0, one.to_rows(torch.zeros(1)), one)) == "Detection(0.00, 1 point, 3 dropped)"


def test_a_region_in_one_line(sphere: PointCloud) -> None:
    (region,) = spotted(sphere, NEAR).regions()
    assert repr(region).startswith(f"Region(1: {region.points} points, area ")
    assert repr(region).endswith(", peak 0.95)")
    told = replace(region, rows=torch.arange(210), area=165.2, depth=-1.483, peak_score=0.913)
    assert repr(told) == "Region(1: 210 points, area 165, depth −1.48, peak 0.91)"
    assert repr(replace(told, depth=None, word="dent")) == "Region(1: 210 points, area 165, peak 0.91, dent)"


@pytest.mark.parametrize("value", [np.float16(0.9), np.float32(1e30), float("nan"), float("inf"), 1e-12, 0])
def test_a_region_of_any_numbers_has_a_repr(sphere: PointCloud, value: float) -> None:
    (region,) = spotted(sphere, NEAR).regions()
    odd: Region = replace(region)
    for name in ("area", "depth", "peak_score"):
        object.__setattr__(odd, name, value)
    assert repr(odd).startswith("Region(1: ") and "\n" not in repr(odd)


def test_no_repr_shows_a_tensor_or_breaks_a_line(sphere: PointCloud) -> None:
    detection = spotted(sphere, NEAR)
    detection = replace(detection, cloud=replace(detection.cloud, source=HOSTILE + "\n" + "x" * 500))
    for shown in (detection, detection.cloud, detection.regions()[0]):
        text = repr(shown)
        assert "tensor" not in text and len(text) < 200
        assert text.isprintable()
        text.encode()


def test_a_card_shows_the_picture_and_the_numbers(sphere: PointCloud) -> None:
    detection = spotted(sphere, *SPOTS, calibration=CALIBRATION)
    page = Tags(detection._repr_html_())
    text = "|".join(page.texts)
    for told in (
        "file|sphere.ply", "object score|0.7310", "verdict|anomalous p=0.01", "highest point score|0.9500",
        "points|1,000", "seconds|0.75 (render 0.25, encode 0.5)", "regions|6 from a point score of 0.49", "and 1 more",
    ):  # fmt: skip
        assert told in text
    assert "dropped" not in text
    regions = detection.regions()
    assert len(regions) == 6
    for region in regions[:5]:
        assert f"|{region.number}|{region.points}|" in text and f"|{region.peak_score:.2f}" in text
    assert f"{regions[5].peak_score:.2f}" not in text
    (source,) = [value for key, value in page.attributes if key == "src"]
    assert source is not None and source.startswith("data:image/png;base64,")
    png = base64.b64decode(source.partition(",")[2])
    assert png == Snapshot.of(detection.cloud, detection.valid_scores).png(detection.valid_scores)
    assert Image.open(io.BytesIO(png)).size[0] > 250


def test_a_card_without_calibration_source_seconds_or_regions(sphere: PointCloud) -> None:
    points = torch.cat([torch.full((3, 3), float("nan")), sphere.points])
    cloud = PointCloud.create(points)
    page = Tags(Detection(0.2, cloud.to_rows(torch.full((1000,), 0.3)), cloud)._repr_html_())
    text = "|".join(page.texts)
    assert "dropped|3 rows|regions|none from a point score of 0.5" in text
    assert not {"verdict", "file", "seconds", "region"} & set(page.texts)


def test_cards_are_inert(sphere: PointCloud) -> None:
    detection = spotted(sphere, *SPOTS)
    hostile = replace(detection, cloud=replace(detection.cloud, source=HOSTILE))
    for shown, plain in ((hostile, detection), (hostile.cloud, detection.cloud)):
        text = shown._repr_html_()
        text.encode()
        page, expected = Tags(text), Tags(plain._repr_html_())
        assert page.tags == expected.tags
        assert set(page.tags) <= {"div", "img", "table", "tr", "th", "td"}
        assert {key for key, _ in page.attributes} <= {"style", "src", "alt", "title"}
        assert not {"\0", "\x1b"} & set(text)
        assert "://" not in text and "url(" not in text
        assert "color:" not in text, "readable on any background"
        assert "folder/</td><script>alert(1)</script>��[31m�\"'$x$&.ply" in page.texts


def texts_of(axes) -> dict[str, tuple[float, float]]:
    return {text.get_text(): text.xy for text in axes.texts}


def test_a_figure_shows_the_view_and_numbers_the_regions(sphere: PointCloud) -> None:
    detection = spotted(sphere, NEAR, FAR, calibration=CALIBRATION)
    figure = detection.plot(size=300)
    view, bar = figure.axes
    shot = Snapshot.of(detection.cloud, detection.valid_scores, size=300)
    image = np.asarray(view.images[0].get_array())
    assert np.array_equal(image, shot.image(score_colors(detection.valid_scores)).numpy())
    assert max(image.shape[:2]) <= 300
    seen, hidden = detection.regions()
    if not shot.shows(seen.rows):
        seen, hidden = hidden, seen
    places = texts_of(view)
    assert set(places) == {str(seen.number), f"({hidden.number})"}
    expected = shot.places(torch.tensor([seen.position], dtype=torch.float64))[0]
    assert places[str(seen.number)] == pytest.approx(expected.tolist())
    x, y = map(int, places[str(seen.number)])
    assert int(shot.front[y, x]) in seen.rows.tolist()
    assert bar.get_ylabel() == "point score"
    level = detection.point_threshold
    assert [list(line.get_ydata()) for line in bar.lines] == [[level, level]]
    (title,) = [text.get_text() for text in figure.texts]
    assert title == "sphere.ply\nobject score 0.7310, anomalous p=0.01"


def test_a_figure_is_as_large_as_its_pixels(sphere: PointCloud) -> None:
    """The view is drawn pixel for pixel, so that nothing is blurred."""
    detection = spotted(sphere, NEAR)
    figure = detection.plot(size=200)
    out = io.BytesIO()
    figure.savefig(out)
    drawn = np.asarray(Image.open(out).convert("RGB"), dtype=int)
    image = np.asarray(figure.axes[0].images[0].get_array(), dtype=int)
    left, low, _, _ = (round(each) for each in figure.axes[0].get_window_extent().bounds)
    top = len(drawn) - low - image.shape[0]
    there = drawn[top : top + image.shape[0], left : left + image.shape[1]]
    solid = image[..., 3] == 255
    assert (np.abs(there - image[..., :3])[solid].max(1) <= 2).mean() > 0.97  # but for the number and its line


def test_a_figure_of_another_threshold(sphere: PointCloud) -> None:
    detection = spotted(sphere, NEAR, FAR)
    figure = detection.plot(size=100, threshold=0.92)
    assert len(figure.axes[0].texts) == 1
    assert list(figure.axes[1].lines[0].get_ydata()) == [0.92, 0.92]
    figure = detection.plot(size=100, threshold=1.5)
    assert not figure.axes[0].texts and not figure.axes[1].lines


def test_a_figure_is_shown_by_jupyter_and_can_be_pickled(sphere: PointCloud) -> None:
    from IPython.core.formatters import DisplayFormatter

    figure = spotted(sphere, NEAR).plot(size=100)
    shown, _ = DisplayFormatter().format(figure)
    assert shown["image/png"].startswith(b"\x89PNG")
    assert len(pickle.loads(pickle.dumps(figure)).axes) == 2


@pytest.mark.parametrize("points", [torch.full((1, 3), 5e5), torch.linspace(0, 1, 50)[:, None].expand(50, 3)])
def test_every_detection_is_shown(points: torch.Tensor) -> None:
    cloud = PointCloud.create(points, source=HOSTILE)
    detection = Detection(0.5, torch.linspace(1, 0, len(points)), cloud)
    assert repr(detection) and "<img" in detection._repr_html_()
    detection.plot(size=64).savefig(io.BytesIO(), format="png")


FRESH = """
import sys, torch
from pointadplus import Detection, PointCloud
points = torch.rand(200, 3)
detection = Detection(0.5, torch.rand(200), PointCloud.create(points))
assert "pointadplus.render" not in sys.modules, "the picture's parts are loaded before a picture is asked for"
import matplotlib
before = matplotlib.rcParams.copy()  # to look at rcParams["backend"] would choose one
detection.plot(size=64).savefig(sys.argv[1])
assert "matplotlib.pyplot" not in sys.modules
assert dict.__eq__(before, matplotlib.rcParams)
"""


def test_a_figure_needs_no_display_and_touches_no_global_state(tmp_path) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "-c", FRESH, str(tmp_path / "figure.png")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_refusals(sphere: PointCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    detection = spotted(sphere, NEAR)
    for size in (63, 4097):
        with pytest.raises(ConfigError, match="size"):
            detection.plot(size=size)
    with pytest.raises(ConfigError, match="threshold"):
        detection.plot(threshold=-0.1)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr("pointadplus.results.snapshot.best_view_of_points", None)  # refused before any work
    with pytest.raises(ConfigError, match=r"matplotlib.*pip install .*\[plot\]"):
        detection.plot()
