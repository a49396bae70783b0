"""Regions of clouds whose defects are known to the millimetre."""

from __future__ import annotations

import csv
import json
import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from pointadplus.cloud import PointCloud
from pointadplus.errors import CloudError, CloudWriteError, ConfigError
from pointadplus.geometry.components import connected_parts, graph_distance
from pointadplus.geometry.surface_fit import fit_surface
from pointadplus.io import read_cloud, write_cloud
from pointadplus.report import write_report
from pointadplus.results.detection import Detection
from pointadplus.results.region_files import COLUMNS, region_table, write_regions
from pointadplus.results.regions import find_regions, point_areas, region_numbers
from pointadplus.zero_shot.words import named_regions
from tests.heights import command
from tests.reference import regions as naive
from tests.small import small_detector


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def detection(points: torch.Tensor, scores: torch.Tensor, **attributes) -> Detection:
    cloud = PointCloud.create(points, **attributes)
    return Detection(float(scores.max()), cloud.to_rows(scores.float()), cloud)


def only(detection: Detection, **options):
    (region,) = detection.regions(**options)
    return region


def sheet(count: int = 6000, seed: int = 0) -> torch.Tensor:
    """(count, 2) of a square of side 10 around the origin."""
    return torch.rand(count, 2, generator=rng(seed)) * 10 - 5


def raised(xy: torch.Tensor, height: float, radius: float = 1.0, noise: float = 0.0, seed: int = 1) -> torch.Tensor:
    """A paraboloid of that height (negative: a dent) on the plane z = 0."""
    z = height * (1 - xy.square().sum(1) / radius**2).clamp_min(0) + noise * torch.randn(len(xy), generator=rng(seed))
    return torch.cat([xy, z[:, None]], 1)


def inside(xy: torch.Tensor, radius: float = 1.0) -> torch.Tensor:
    return (xy.square().sum(1) < radius**2).float()


@pytest.mark.parametrize("chance", [0.15, 0.5])
def test_parts_are_those_of_a_flood_fill(chance: float):
    points = torch.rand(120, 3, generator=rng(3))
    chosen = torch.rand(120, generator=rng(4)) < chance
    for k in (2, 5):
        found, expected = connected_parts(points, chosen, k), naive.connected_parts(points, chosen, k)
        assert expected.max() > 1 or chance == 0.5
        assert torch.equal(found > 0, chosen)
        assert torch.equal(found[:, None] == found, expected[:, None] == expected)


def test_paths_are_the_shortest():
    points, start = torch.rand(80, 3, generator=rng(5)), torch.arange(80) < 3
    reached = []
    for limit, longest in ((0.2, math.inf), (5.0, math.inf), (5.0, 0.2)):
        found = graph_distance(points, start, limit, longest=longest, k=4)
        expected = naive.graph_distance(points, start, limit, longest, 4)
        torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=0)
        reached.append(int(torch.isfinite(found).sum()))
    assert 3 < reached[0] < reached[1] == 80 > reached[2] > 3


@pytest.mark.parametrize("layout", ["random", "square", "hexagonal"])
def test_areas_add_up_to_the_surface(layout: str):
    xy = sheet(4000)
    if layout != "random":
        step = 0.15
        rows, columns = torch.meshgrid(torch.arange(66.0), torch.arange(66.0), indexing="ij")
        shift, low = (rows % 2 / 2, math.sqrt(0.75)) if layout == "hexagonal" else (0 * rows, 1.0)
        xy = torch.stack([(columns + shift - 33) * step, (rows - 33) * low * step], -1).reshape(-1, 2)
    own = inside(xy, 3.0).nonzero()[:, 0]
    points = torch.cat([xy, torch.zeros(len(xy), 1)], 1)
    areas = point_areas(points, own)
    assert float(areas.sum()) == pytest.approx(math.pi * 9, rel=0.08)
    assert float(areas[7]) == pytest.approx(naive.point_area(points, int(own[7]), 20), rel=1e-5)


@pytest.mark.parametrize("height", [0.4, -0.4])
@pytest.mark.parametrize("turn", [0.0, 0.7])
def test_a_dent_and_a_bump_on_a_plate(height: float, turn: float):
    """A plate of thickness 1, in any pose and 1,000 units away: size, place, direction and depth come back."""
    xy = sheet()
    top, bottom = raised(xy, height, noise=0.004), torch.cat([sheet(6000, 2), torch.full((6000, 1), -1.0)], 1)
    cosine, sine = math.cos(turn), math.sin(turn)
    rotation = torch.tensor([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    points = torch.cat([top, bottom]) @ rotation.T + 1000.0
    scores = torch.cat([0.9 * inside(xy), torch.zeros(6000)])
    region = only(detection(points, scores))
    assert region.points == int(inside(xy).sum())
    assert region.area == pytest.approx(math.pi, rel=0.15)
    assert region.extent[:2] == pytest.approx((2, 2), abs=0.25) and region.extent[2] == pytest.approx(0.4, abs=0.03)
    assert region.depth == pytest.approx(height, abs=0.03)
    assert region.surface_rms == pytest.approx(0.004, abs=0.0015)
    up = rotation @ torch.tensor([0.0, 0.0, 1.0])
    assert torch.tensor(region.normal) @ up > 0.99
    middle = rotation @ torch.tensor([0.0, 0.0, height / 2]) + 1000.0
    torch.testing.assert_close(torch.tensor(region.position), middle, atol=0.08, rtol=0)
    axes = torch.tensor(region.axes)
    torch.testing.assert_close(axes @ axes.T, torch.eye(3), atol=1e-5, rtol=0)
    assert axes[2] @ up > 0.99


@pytest.mark.parametrize("height", [0.8, -0.8])
@pytest.mark.parametrize("inner", [False, True], ids=["ball", "shell seen from both sides"])
def test_depth_on_a_curved_surface(height: float, inner: bool):
    """On a ball of radius 10, a plane would be off by 0.2 under a region of radius 2; a quadric is not."""
    directions = normalize(torch.randn(12_000, 3, generator=rng(6)), dim=1)
    across = directions[:, :2].square().sum(1) * 100
    own = (across < 4) & (directions[:, 2] > 0)
    points = directions * (10 + torch.where(own, height * (1 - across / 4), 0.0))[:, None]
    scores = own.float()
    if inner:
        points = torch.cat([points, normalize(torch.randn(9000, 3, generator=rng(7)), dim=1) * 8])
        scores = torch.cat([scores, torch.zeros(9000)])
    region = only(detection(points, scores))
    assert region.depth == pytest.approx(height, abs=0.06)
    assert region.normal[2] > 0.98
    assert region.surface_rms is not None and region.surface_rms < 0.01


def test_a_dent_inside_a_cup_is_seen_from_inside():
    """A wall with two faces: out of the inner one is toward the axis."""
    generator = rng(8)
    angle = torch.rand(16_000, generator=generator) * math.tau
    height = torch.rand(16_000, generator=generator) * 20 - 10
    radius = torch.where(torch.arange(16_000) < 8000, 9.0, 10.0)
    arc = torch.remainder(angle + math.pi, math.tau) - math.pi
    far = ((arc * 9).square() + height.square()) / 4
    own = (far < 1) & (radius == 9.0)
    radius = radius + torch.where(own, 0.5 * (1 - far), 0.0)  # toward the outer face
    region = only(detection(torch.stack([radius * angle.cos(), radius * angle.sin(), height], 1), own.float()))
    assert region.normal[0] < -0.95
    assert region.depth == pytest.approx(-0.5, abs=0.06)


def test_a_thin_plate_keeps_its_faces_apart():
    """A wall of 2 spacings: the other face takes no part in the surface fit."""
    xy = sheet(10_000)
    top, bottom = raised(xy, 0.1), torch.cat([sheet(10_000, 2), torch.full((10_000, 1), -0.2)], 1)
    region = only(detection(torch.cat([top, bottom]), torch.cat([inside(xy), torch.zeros(10_000)])))
    assert region.depth == pytest.approx(0.1, abs=0.02)


def test_a_scratch_has_a_length_and_a_width():
    xy = sheet(20_000)
    along = torch.tensor([0.6, 0.8])
    u, v = xy @ along, xy @ torch.tensor([-0.8, 0.6])
    own = (u.abs() < 3) & (v.abs() < 0.2)
    z = torch.where(own, -0.05 * (1 - (v / 0.2).square()), 0.0)
    region = only(detection(torch.cat([xy, z[:, None]], 1), own.float()))
    assert region.extent == pytest.approx((6, 0.4, 0.05), abs=0.1)
    assert abs(region.axes[0][0] * 0.6 + region.axes[0][1] * 0.8) > 0.999
    assert region.area == pytest.approx(2.4, rel=0.1)
    assert region.depth == pytest.approx(0.05, abs=0.005) and not region.sided, "a flat sheet has no outside"
    for height in (100, -100):  # but where the sensor stood is outside
        told = only(detection(torch.cat([xy, z[:, None]], 1), own.float(), viewpoint=[1, 2, height]))
        assert told.depth == pytest.approx(-0.0005 * height, abs=0.005) and told.sided


def test_flanks_below_the_threshold_do_not_lift_the_surface():
    """Only the middle of a bump is over the threshold; its flanks lie in the ring."""
    xy = sheet(12_000)
    points = torch.cat([xy, 0.5 * torch.exp(-xy.square().sum(1) / 0.5)[:, None]], 1)
    region = only(detection(points, inside(xy, 0.8)))
    assert region.depth == pytest.approx(0.5, abs=0.1)


def test_a_region_at_the_edge_gets_a_plane_that_does_not_run_away():
    xy = sheet(6000)
    own = (xy[:, 0] > 4) & (xy[:, 1] > 4)
    z = torch.where(own, 0.3, 0.0) + 0.002 * torch.randn(6000, generator=rng(1))
    region = only(detection(torch.cat([xy, z[:, None]], 1), own.float()))
    assert region.depth == pytest.approx(0.3, abs=0.03)


def test_own_normals_say_which_side_is_out():
    xy = sheet()
    points, down = raised(xy, 0.4), torch.tensor([0.0, 0.0, -1.0]).expand(6000, 3)
    plain, turned = (only(detection(points, inside(xy), normals=each)) for each in (None, down))
    assert abs(plain.normal[2]) > 0.9 and plain.depth == pytest.approx(0.4, abs=0.03) and not plain.sided
    assert turned.normal[2] < -0.9 and turned.depth == pytest.approx(-0.4, abs=0.03)


@pytest.mark.parametrize("height", [0.8, -0.8])
@pytest.mark.parametrize("seed", range(3))
def test_a_bowl_scanned_from_above_is_out_towards_the_eye(height: float, seed: int):
    """Its outer wall was not seen: there is nothing on either side, and the bulk of the scan lies above the floor."""
    source = rng(10 + seed)
    along, angle = torch.rand(24_000, generator=source) * 18, torch.rand(24_000, generator=source) * math.tau
    polar, lip = along / 10, math.pi - (along - 5 * math.pi)  # a quarter of a circle up, then a round lip and down
    inner = along < 5 * math.pi
    radius = torch.where(inner, 10 * polar.sin(), 11 + lip.cos())
    kept = torch.rand(24_000, generator=source) * 12 < radius  # even by area
    x, y, z = radius * angle.cos(), radius * angle.sin(), torch.where(inner, -10 * polar.cos(), lip.sin())
    far = (x.square() + y.square()) / 9
    own = inner & (far < 1)
    points = torch.stack([x, y, z + torch.where(own, height * (1 - far), 0.0)], 1)[kept]
    turn = torch.linalg.qr(torch.randn(3, 3, generator=source))[0]
    region = only(detection(points @ (turn * turn.det()).T, own[kept].float()))
    assert region.sided and region.depth == pytest.approx(height, abs=0.15)


def test_out_of_a_scan_of_many_is_toward_its_own_eye():
    """Two sheets with the same dent, one scanned from above and one from below, in a frame far from the origin."""
    one, place = raised(sheet(), -0.5), torch.tensor([5.8e6, 0.0, 300.0]).double()
    points = torch.cat([one, one + torch.tensor([100.0, 0.0, 0.0])]).double() + place
    eyes, scan = (
        torch.tensor([[0.0, 0.0, 40.0], [100.0, 0.0, -40.0]]).double() + place,
        torch.arange(2).repeat_interleave(6000),
    )
    points[3] = float("nan")
    inside = (one[:, :2].norm(dim=1) < 1).float().repeat(2)
    found = detection(points, torch.cat([inside[:3], inside[4:]]), eyes=eyes, scan=scan)
    depths = {region.position[0] > 5_800_050: region.depth for region in found.regions()}
    assert depths[False] == pytest.approx(-0.5, abs=0.08) and depths[True] == pytest.approx(0.5, abs=0.08)
    assert found.cloud.scan is not None and len(found.cloud.scan) == 11_999
    half = found.cloud.select(found.cloud.scan == 1)
    torch.testing.assert_close(half.eyes_of(torch.arange(2)) + half.offset, eyes[[1, 1]])
    inner, norm = found.cloud.normalized()
    own = found.cloud.eyes_of(torch.tensor([0, 11_000]))
    torch.testing.assert_close(inner.eyes_of(torch.tensor([0, 11_000])), (own - norm.center) / norm.scale)
    for wrong in (None, scan[:5], scan + 1):
        with pytest.raises(CloudError):
            PointCloud.create(points, eyes=eyes, scan=wrong)


def test_out_of_an_organised_scan_is_toward_the_camera():
    ticks = torch.linspace(-5, 5, 80)
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    far = x.square() + y.square()
    depth = 30 + 0.5 * (1 - far).clamp_min(0)  # a dent: farther away
    points = torch.stack([x, y, depth], -1)
    points[0, 0] = float("nan")
    region = only(detection(points, (far < 1).float().flatten()[1:]))
    assert region.normal[2] < -0.9
    assert region.depth == pytest.approx(-0.5, abs=0.04)
    assert region.rows.tolist() == (far < 1).flatten().nonzero()[:, 0].tolist(), "rows are the source's"


def test_regions_come_by_falling_peak_and_specks_are_left_out():
    xy = sheet(8000)
    points = torch.cat([xy, torch.zeros(8000, 1)], 1)
    scores = torch.full((8000,), 0.1)
    for middle, score in (((-3, -3), 0.6), ((3, 3), 0.9), ((3, -3), 0.7)):
        scores[(xy - torch.tensor(middle)).norm(dim=1) < 0.5] = score
    scores[(xy - torch.tensor([-3.0, 3.0])).norm(dim=1).argsort()[:3]] = 1.0
    found = detection(points, scores).regions()
    assert [region.number for region in found] == [1, 2, 3]
    assert [region.peak_score for region in found] == pytest.approx([0.9, 0.7, 0.6])
    assert found[0].position[:2] == pytest.approx((3, 3), abs=0.1)
    assert len(detection(points, scores).regions(min_points=1)) == 4
    assert [region.number for region in detection(points, scores).regions(0.65)] == [1, 2]
    assert detection(points, scores).regions(1.5) == ()
    numbers = region_numbers(found, PointCloud.create(points))
    assert torch.equal(numbers > 0, (scores >= 0.5) & (scores < 1))
    assert numbers[scores == scores[found[1].rows[0]]].unique().tolist() == [2]


def test_order_of_the_points_does_not_matter():
    xy = sheet(3000)
    points, scores = raised(xy, 0.3, noise=0.01), inside(xy) * torch.rand(3000, generator=rng(9)).clamp_min(0.5)
    shuffle = torch.randperm(3000, generator=rng(10))
    one, other = only(detection(points, scores)), only(detection(points[shuffle], scores[shuffle]))
    assert sorted(shuffle[other.rows].tolist()) == one.rows.tolist()
    plain = {"area", "depth", "surface_rms", "mean_score", "peak_score", "position", "normal", "extent"}
    for name in plain:
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-4, abs=1e-5), name


@pytest.mark.parametrize(
    "points",
    [
        torch.zeros(30, 3),
        torch.arange(30.0)[:, None] * torch.tensor([1.0, 2.0, 3.0]),
        torch.rand(6, 3, generator=rng(0)) * 1e-6 + 5e5,
        torch.rand(50, 3, generator=rng(0)) * 1e12,
        torch.eye(3)[:1],
    ],
    ids=["one place", "a line", "far and fine", "huge", "one point"],
)
def test_odd_clouds_have_regions_too(points: torch.Tensor):
    for scores in (torch.ones(len(points)), (torch.arange(len(points)) < 8).float()):
        for region in detection(points, scores).regions(min_points=1):
            values = json.loads(region.to_json())
            assert values["points"] == len(region.rows)
            assert all(math.isfinite(side) for side in (region.area, *region.extent, *region.normal))


def test_an_all_anomalous_cloud_has_no_surface_around():
    directions = normalize(torch.randn(30_000, 3, generator=rng(6)), dim=1)
    region = only(detection(directions, torch.ones(30_000)))
    assert region.depth is None and region.surface_rms is None
    assert region.area == pytest.approx(4 * math.pi, rel=0.03)
    assert region.extent == pytest.approx((2, 2, 2), abs=0.02)


def test_a_surface_fit_needs_a_surface():
    origin, axes = torch.zeros(3).double(), torch.eye(3).double()
    line = torch.arange(12.0)[:, None] * torch.tensor([1.0, 0.0, 0.0])
    assert fit_surface(line, origin, axes) is None
    assert fit_surface(torch.rand(5, 3, generator=rng(0)), origin, axes) is None
    xy = sheet(400)
    bowl = torch.cat([xy, (0.1 * xy[:, :1].square() - 0.2 * xy[:, :1] * xy[:, 1:] + 3)], 1)
    fit = fit_surface(bowl, origin, axes)
    assert fit is not None and fit.rms < 1e-5
    above = torch.tensor([[0.0, 0.0, 3.5], [0.0, 0.0, 2.0]])
    torch.testing.assert_close(fit.deviation(above), torch.tensor([0.5, -1.0]).double(), atol=1e-5, rtol=0)


def test_a_record_is_plain_and_complete():
    xy = sheet(3000)
    region = only(detection(raised(xy, 0.3), inside(xy)))
    record = region.as_record()
    assert json.loads(region.to_json()) == json.loads(json.dumps(record))
    assert list(record) == [
        "number", "points", "area", "extent", "axes", "position", "normal", "peak_score", "mean_score",
        "peak_position", "depth", "surface_rms", "sided", "word", "word_share",
    ]  # fmt: skip
    assert pickle.loads(pickle.dumps(region)).area == region.area


def test_refusals():
    points = torch.rand(20, 3, generator=rng(0))
    one = detection(points, torch.ones(20))
    bad: list[dict[str, Any]] = [{"threshold": -0.1}, {"threshold": float("nan")}, {"min_points": 0}]
    for options in bad:
        with pytest.raises(ConfigError):
            one.regions(**options)
    with pytest.raises(ConfigError, match="do not fit"):
        find_regions(one.cloud, torch.ones(19), 0.5)


def test_a_table_for_a_spreadsheet(tmp_path: Path):
    xy = sheet(3000)
    regions = detection(raised(xy, 0.3), inside(xy)).regions()
    path = tmp_path / "new" / "regions.csv"
    with region_table(path) as write:
        write("=cmd|'/C calc'!A0.ply", [region.as_record() for region in regions], "mm")
        vague = replace(regions[0], depth=None, word="@dented")
        write(b"scan-\xff.ply".decode("utf-8", "surrogateescape"), [vague.as_record()], None)
        write("none.ply", (), None)
        assert len(path.read_text().splitlines()) == 3, "each scan is in the file before the next"
    header, first, second = csv.reader(path.read_text("utf-8").splitlines())
    assert header == list(COLUMNS)
    row = dict(zip(header, first, strict=True))
    assert row["path"] == "'=cmd|'/C calc'!A0.ply"
    assert float(row["area"]) == regions[0].area and float(row["depth"]) == regions[0].depth
    assert [float(row[name]) for name in ("length", "width", "height")] == list(regions[0].extent)
    assert row["word"] == row["word_share"] == "" and row["unit"] == "mm"
    told = dict(zip(header, second, strict=True))
    assert told | {"depth": "", "unit": "", "word": "'@dented", "path": "scan-?.ply"} == told
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"), region_table(tmp_path / "file" / "r.csv"):
        pass


def test_a_cloud_painted_with_its_regions(tmp_path: Path):
    xy = sheet(4000)
    points = torch.cat([xy, torch.zeros(4000, 1)], 1)
    points[5] = float("nan")
    centers = torch.tensor([[-3.0, 0.0], [3.0, 0.0]])
    near = torch.cdist(xy, centers) < 0.7
    scores = (near.float() * torch.tensor([0.7, 0.9])).sum(1)
    cloud = PointCloud.create(points)
    one = Detection(0.9, cloud.to_rows(scores[cloud.valid_rows()]), cloud)
    path = tmp_path / "regions.ply"
    write_regions(path, cloud, one.regions(), one.valid_scores)
    data = path.read_bytes()
    assert b"property int region\n" in data and b"property float score\n" in data
    start = data.index(b"end_header\n") + len(b"end_header\n")
    fields = [(name, "<f4") for name in "xyz"] + [(name, "u1") for name in ("red", "green", "blue")]
    rows = np.frombuffer(data[start:], [*fields, ("score", "<f4"), ("region", "<i4")])
    expected = torch.where(near[:, 1], 1, torch.where(near[:, 0], 2, 0))[cloud.valid_rows()]
    assert rows["region"].tolist() == expected.tolist()
    colors = {number: {tuple(row)[3:6] for row in rows[rows["region"] == number]} for number in (0, 1, 2)}
    assert colors == {0: {(184, 184, 184)}, 1: {(0xE6, 0x9F, 0x00)}, 2: {(0x56, 0xB4, 0xE9)}}
    assert torch.equal(read_cloud(path).points, cloud.points)
    with pytest.raises(CloudWriteError, match="regions do not fit"):
        write_cloud(path, cloud, regions=torch.zeros(3, dtype=torch.int64))


def test_words_come_from_the_text_tower(tmp_path: Path):
    """On a tower drawn from a seed: what is said is the nearest text of the region's features, found by hand."""
    detector = small_detector(tmp_path, precision="float32")
    generator = rng(0)
    points = normalize(torch.randn(1500, 3, generator=generator), dim=1) * 20
    found = detector.score(points)
    level = float(found.valid_scores.quantile(0.8))
    words = ("dented", "cracked", "rough")
    regions = named_regions(found, words, detector=detector, threshold=level)
    assert regions and [region.points for region in regions] == [region.points for region in found.regions(level)]
    cloud = PointCloud.create(points)
    picture = detector.observer.picture(cloud)
    features = detector.observer.observe(picture, detector.backbone).features
    nearest = torch.cdist(cloud.points, cloud.points[picture.order[: len(features)]])
    weight, index = nearest.topk(3, largest=False)
    weight = 1 / weight.clamp_min(1e-12)
    lifted = (features[index] * (weight / weight.sum(1, keepdim=True))[..., None]).sum(1)
    texts = detector.backbone.encode_text(detector.backbone.tokenize([f"a {word} object" for word in words]))
    for region in regions:
        shares = (normalize(lifted[region.rows].mean(0), dim=0) @ texts.T / 0.07).softmax(0)
        assert region.word == words[int(shares.argmax())]
        assert region.word_share == pytest.approx(float(shares.max()), abs=1e-3)
    again = named_regions(pickle.loads(pickle.dumps(found)), words, detector=detector, threshold=level)
    assert [region.as_record() for region in again] == [region.as_record() for region in regions]
    with pytest.raises(ConfigError, match="no words"):
        named_regions(found, (), detector=detector, threshold=level)
    with torch.no_grad():
        detector.backbone.model.token_embedding.weight[detector.backbone.tokenize("a cracked object")[0, 2]] = 0
    with pytest.raises(ConfigError, match=r"no embedding of a word.*found: cracked"):
        named_regions(found, words, detector=detector, threshold=level)


def test_the_report_tells_the_regions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    xy = sheet(4000)
    scores = inside(xy) * 0.8
    scores[(xy - torch.tensor([3.0, 3.0])).norm(dim=1) < 0.7] = 0.6
    one = detection(raised(xy, -0.3), scores)
    monkeypatch.setattr("pointadplus.report.scan._LISTED", 1)
    text = write_report([one], tmp_path / "report.html", threshold=0.55).read_text("utf-8")
    start = text.index(">", text.index('id="report-data"')) + 1
    (scan,) = json.loads(text[start : text.index("</script>", start)])["scans"]
    assert (scan["regionCount"], scan["regionThreshold"], scan["verdict"]) == (2, 0.55, None)
    assert scan["regions"] == [json.loads(region.to_json()) for region in one.regions(0.55)[:1]]
    assert scan["regions"][0]["depth"] == pytest.approx(0.3, abs=0.03) and scan["regions"][0]["sided"] is False


def test_the_command_line_writes_regions_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    xy = sheet(3000)
    file = tmp_path / "bump.ply"
    write_cloud(file, PointCloud.create(raised(xy, 0.8)))
    table, painted, lines = tmp_path / "regions.csv", tmp_path / "painted", tmp_path / "scores.jsonl"
    options = ("--regions-csv", table, "--regions-ply", painted, "--out", lines, "--threshold", 0.3)
    result = command(monkeypatch, "score", file, tmp_path / "missing.ply", *options)
    assert result.code == 1 and len(result.out.splitlines()) == 1
    good, bad = map(json.loads, lines.read_text().splitlines())
    (region,) = good["regions"]
    assert region["points"] == int((raised(xy, 0.8)[:, 2] >= 0.3).sum()) and "error" in bad
    header, row = csv.reader(table.read_text().splitlines())
    assert dict(zip(header, row, strict=True))["points"] == str(region["points"])
    assert b"property int region" in (painted / "bump.ply").read_bytes()
    assert command(monkeypatch, "score", file, "--out", lines, "--regions").code == 0
    (fewer,) = json.loads(lines.read_text())["regions"]
    assert fewer["points"] < region["points"], "0.5 if no threshold is given"
    result = command(monkeypatch, "score", file, "--regions", "--threshold", 1.5)
    assert result.code == 0 and "no region" in result.err
    assert command(monkeypatch, "score", file, "--regions-ply", tmp_path).code == 2, "no scan is overwritten"
    assert command(monkeypatch, "score", file, "--regions", "--threshold", -1).code == 2
    words = "--regions", "--words", "dented, rough"
    assert command(monkeypatch, "score", file, "--out", lines, *words).code == 0
    (named,) = json.loads(lines.read_text())["regions"]
    assert named["word"] in ("dented", "rough") and 0.5 <= named["word_share"] <= 1
    result = command(monkeypatch, "score", file, "--regions", "--words", ",")
    assert result.code == 1 and "no words for regions" in result.err
