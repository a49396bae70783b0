"""The report is one inert, self-contained page whose points and scores decode back."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pointadplus.cloud import PointCloud
from pointadplus.errors import CloudWriteError, ConfigError
from pointadplus.render import best_view
from pointadplus.report import write_report
from pointadplus.results.calibration import Calibration
from pointadplus.results.detection import Detection
from pointadplus.results.palette import VIRIDIS

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">.ply"


def detection(cloud: PointCloud, scores: torch.Tensor | None = None, object_score: float = 0.75) -> Detection:
    if scores is None:
        scores = torch.linspace(0, 1, len(cloud))
    return Detection(object_score, cloud.to_rows(scores), cloud, seconds={"render": 0.25, "encode": 0.5})


class Page(HTMLParser):
    """Elements with their attributes, and the text of each script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.lasttag in ("script", "style") and data.strip():
            self.inline.append((self.lasttag, data))


def page_of(path: Path) -> tuple[Page, list[dict]]:
    page = Page(path.read_text("utf-8"))
    return page, json.loads(page.inline[1][1])["scans"]


def decode(scan: dict) -> tuple[np.ndarray, np.ndarray]:
    """Points relative to the box's lower corner, in the file's unit, and the score levels."""
    positions = np.frombuffer(base64.b64decode(scan["positions"]), "<u2").reshape(-1, 3)
    return positions / 65535 * max(scan["extents"]), np.frombuffer(base64.b64decode(scan["scores"]), np.uint8)


def test_points_and_scores_decode_back(tmp_path: Path, box: PointCloud) -> None:
    scores = torch.rand(len(box), generator=torch.Generator().manual_seed(3))
    _, (scan,) = page_of(write_report([detection(box, scores)], tmp_path / "new" / "report.html"))
    points, levels = decode(scan)
    expected = (box.points - box.points.amin(0)).numpy()
    assert np.abs(points - expected).max() <= 0.5 / 65535 * 2.0 + 1e-6
    assert scan["extents"] == pytest.approx([2.0, 1.0, 0.5])
    for level in (0, 1, 100, 255):  # a threshold on levels is the same threshold on scores
        assert np.array_equal(levels >= level, scores.numpy() >= level / 256)
    assert scan["objectScore"] == 0.75
    assert scan["seconds"] == {"render": 0.25, "encode": 0.5}


def test_counts_are_of_all_points(tmp_path: Path, sphere: PointCloud) -> None:
    _, (scan,) = page_of(write_report([detection(sphere)], tmp_path / "report.html", max_points=100))
    scores = torch.linspace(0, 1, 1000)
    assert (scan["points"], scan["shown"], len(decode(scan)[1])) == (1000, 100, 100)
    assert sum(scan["histogram"]) == 1000
    assert sum(scan["histogram"][128:]) == int((scores >= 0.5).sum())
    assert scan["peak"]["score"] == 1.0
    assert scan["peak"]["position"] == sphere.points[-1].tolist()


def test_dropped_rows_are_counted_and_named_by_source_row(tmp_path: Path) -> None:
    points = torch.eye(3).repeat(4, 1)
    points[:5] = float("nan")
    cloud = PointCloud.create(points)
    _, (scan,) = page_of(write_report([detection(cloud)], tmp_path / "report.html"))
    assert (scan["points"], scan["dropped"], scan["peak"]["row"]) == (7, 5, 11)


def test_a_far_away_cloud_keeps_its_shape(tmp_path: Path) -> None:
    points = torch.tensor([[5e5, 0, 0], [5e5 + 1, 0.5, 0], [5e5 + 2, 1, 0]])
    _, (scan,) = page_of(write_report([detection(PointCloud.create(points))], tmp_path / "report.html"))
    assert decode(scan)[0] == pytest.approx(np.array([[0, 0, 0], [1, 0.5, 0], [2, 1, 0]]), abs=1e-4)


def test_a_single_point_is_fine(tmp_path: Path) -> None:
    cloud = PointCloud.create(torch.ones(1, 3))
    _, (scan,) = page_of(write_report([detection(cloud)], tmp_path / "report.html"))
    assert (scan["shown"], scan["extents"], scan["name"]) == (1, [0, 0, 0], "cloud 1")
    assert scan["unit"] is None


def picture_of(scan: dict) -> np.ndarray:
    """(H, W, 4) of the still picture."""
    head, _, data = scan["picture"].partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"), dtype=int)


def test_a_still_picture_shows_the_best_side(tmp_path: Path, sphere: PointCloud) -> None:
    """Of a sphere with a bright spot: the spot in the middle, in viridis, and the rest in its first colour."""
    spot = torch.nn.functional.normalize(torch.tensor([1.0, 0.3, -2.0]), dim=0)
    scores = 0.999 * (sphere.points @ spot > 0.9).float()
    path = write_report([detection(sphere, scores)], tmp_path / "report.html")
    _, (scan,) = page_of(path)
    rotation = torch.tensor(scan["rotation"]).view(3, 3)
    torch.testing.assert_close(rotation, best_view(sphere.points, scores).rotation[0], atol=0.05, rtol=0)
    assert (rotation @ spot)[2] > 0.95, "the eye is on the spot's side"
    image = picture_of(scan)
    height, width = image.shape[:2]
    assert 250 < height <= 320 and 250 < width <= 320
    assert image[0, 0, 3] == 0 and image[height // 2, width // 2, 3] == 255
    stops = [np.array(list(bytes.fromhex(color))) for color in (VIRIDIS[-1], VIRIDIS[0])]
    assert np.abs(image[height // 2, width // 2, :3] - stops[0]).max() < 20
    assert np.abs(image[height // 2, width // 20, :3] / 0.7 - stops[1]).max() < 20  # a facet beside the rim
    warm = (image[..., 0] > image[..., 2] + 20) & (image[..., 3] > 0)
    # The sphere's outline has a radius of 144 pixels, and tan 27.5° there; the eye is 2.17 sphere's radii away.
    assert warm.sum() == pytest.approx(math.pi * (144 / 0.52 * 0.436 / (2.17 - 0.9)) ** 2, rel=0.15)
    assert path.stat().st_size < 60_000


@pytest.mark.parametrize(
    ("points", "scores"),
    [
        (torch.full((1, 3), 5e5), torch.tensor([0.3])),
        (torch.cat([torch.rand(400, 2, generator=torch.Generator().manual_seed(0)), torch.zeros(400, 1)], 1), None),
        (torch.rand(400, 3, generator=torch.Generator().manual_seed(0)), torch.full((400,), 0.3)),
        (torch.tensor([[0.0, 0, 0], [1, 1, 1]]).repeat(3, 1), None),
    ],
    ids=["one point", "plane", "equal scores", "line"],
)
def test_every_cloud_has_a_best_side(tmp_path: Path, points: torch.Tensor, scores: torch.Tensor | None) -> None:
    _, (scan,) = page_of(write_report([detection(PointCloud.create(points), scores)], tmp_path / "report.html"))
    rotation = torch.tensor(scan["rotation"]).view(3, 3)
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3), atol=1e-5, rtol=0)
    image = picture_of(scan)
    assert (image[..., 3] == 255).any()
    if len(points) == 400:
        assert (image[..., 3] == 255).sum() > 5_000
    if points[:, 2].eq(0).all():
        assert abs(rotation[2, 2]) > 0.5, "a plane is not seen edge on"


def test_a_large_scan_makes_a_small_page(tmp_path: Path) -> None:
    points = torch.rand(200_000, 3, generator=torch.Generator().manual_seed(0))
    path = write_report([detection(PointCloud.create(points))], tmp_path / "report.html")
    assert path.stat().st_size < 3e6 / 4
    _, (scan,) = page_of(path)
    assert (scan["points"], scan["shown"]) == (200_000, 60_000)


def test_scans_share_the_scores_of_their_calibration(tmp_path: Path, sphere: PointCloud) -> None:
    calibration = Calibration((0.1, 0.2, 0.123456), (0.5, 0.5, 0.5), 0.3)
    found = [replace(detection(sphere, object_score=score), calibration=calibration) for score in (0.15, 0.75)]
    page, scans = page_of(write_report([*found, detection(sphere)], tmp_path / "report.html"))
    told = json.loads(page.inline[1][1])["calibrations"]
    assert told == {calibration.digest: {"scores": [0.1, 0.1235, 0.2], "threshold": 0.2}}
    assert [scan["verdict"] and scan["verdict"]["anomalous"] for scan in scans] == [False, True, None]
    assert scans[0]["verdict"]["calibration"] == scans[1]["verdict"]["calibration"] == calibration.digest


def test_nothing_is_fetched(tmp_path: Path, sphere: PointCloud) -> None:
    path = write_report([detection(sphere)], tmp_path / "report.html")
    page, _ = page_of(path)
    text = path.read_text("utf-8")
    links = [value for _, attributes in page.elements for key, value in attributes.items() if key in ("src", "href")]
    assert links == ["data:,"]
    assert not re.search(r"https?://|@import|url\(|\bfetch\(|XMLHttpRequest|\bimport\(", text)


def test_only_our_script_and_style_may_run(tmp_path: Path, sphere: PointCloud) -> None:
    page, _ = page_of(write_report([detection(sphere)], tmp_path / "report.html"))
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy and policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    (style, _, script) = (text for _, text in page.inline)
    for kind, text in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_hostile_names_are_inert(tmp_path: Path, sphere: PointCloud) -> None:
    cloud = PointCloud.create(sphere.points, source=HOSTILE)
    hostile = write_report([detection(cloud)], tmp_path / "hostile.html", title=HOSTILE)
    plain = write_report([detection(sphere)], tmp_path / "plain.html")
    (page, scans), (expected, _) = page_of(hostile), page_of(plain)
    assert scans[0]["name"] == HOSTILE
    assert not set("<>&") & set(page.inline[1][1])  # nothing that a parser of HTML could take for markup
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in expected.elements]


def test_a_name_that_is_no_text_is_written(tmp_path: Path, sphere: PointCloud) -> None:
    name = b"scan-\xff.ply".decode("utf-8", "surrogateescape")
    cloud = PointCloud.create(sphere.points, source=name)
    _, (scan,) = page_of(write_report([detection(cloud)], tmp_path / "report.html", title=name))
    assert scan["name"] == name


def test_refusals(tmp_path: Path, sphere: PointCloud) -> None:
    with pytest.raises(ConfigError, match="at least one"):
        write_report([], tmp_path / "report.html")
    with pytest.raises(ConfigError, match="max_points"):
        write_report([detection(sphere)], tmp_path / "report.html", max_points=0)
    (tmp_path / "file").touch()
    with pytest.raises(CloudWriteError, match="cannot be written"):
        write_report([detection(sphere)], tmp_path / "file" / "report.html")


def test_a_failed_write_leaves_the_old_report(
    tmp_path: Path, sphere: PointCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_report([detection(sphere)], tmp_path / "report.html")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(CloudWriteError, match="No space left"):
        write_report([detection(sphere, object_score=0.1)], path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found")
@pytest.mark.parametrize("renderer", ["--enable-unsafe-swiftshader", "--disable-3d-apis"])
def test_a_browser_draws_it(tmp_path: Path, sphere: PointCloud, renderer: str) -> None:
    """With WebGL and without: the page fills in, the hostile name does not run and the console holds no error."""
    cloud = PointCloud.create(sphere.points, source=HOSTILE)
    page = write_report([detection(cloud)], tmp_path / "report.html")
    flags = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--virtual-time-budget=3000",
        "--window-size=900,700", f"--screenshot={tmp_path / 'page.png'}", "--dump-dom", renderer,
    ]  # fmt: skip
    command = [str(CHROMIUM), *flags, page.as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert "all 1,000 points shown" in run.stdout
    assert "<title>Point cloud anomalies</title>" in run.stdout
    console = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    assert not [line for line in console if re.search(r"Uncaught|Error|Refused", line)]
    assert re.search(r'<img src="data:image/png;base64,[^"]+" alt="[^"]+">', run.stdout)
    red, green, blue = np.asarray(Image.open(tmp_path / "page.png").convert("RGB"), dtype=int)[:450].transpose(2, 0, 1)
    yellow = (red > 160) & (green > 160) & (blue < 120)
    yellow[:, :120] = False  # the still picture
    assert abs(yellow.nonzero()[1].mean() - 450) < 20, "it opens turned to the best view"
    assert ((green - blue > 60) & (red < green + 20)).sum() > 200  # the high scores' yellow and green
    assert ((blue - red > 40) & (green < 110)).sum() > 200  # the low scores' blue
