"""`PointCloud`: what it refuses, what it drops, and the frames it moves between."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointadplus.cloud import PointCloud
from pointadplus.errors import CloudError, ConfigError
from pointadplus.normalization import Normalization
from pointadplus.text import placed, rounded
from pointadplus.units import unit_named


@pytest.mark.parametrize("given_as", [np.float64, np.float32, np.int16, torch.float64, torch.float32, list])
def test_create_takes_anything_array_like(given_as: object) -> None:
    rows = [[0, 0, 0], [1, 2, 3]]
    if isinstance(given_as, torch.dtype):
        points: object = torch.tensor(rows, dtype=given_as)
    else:
        points = rows if given_as is list else np.array(rows, dtype=given_as)
    cloud = PointCloud.create(points)
    assert cloud.points.dtype == torch.float32
    assert cloud.points.tolist() == rows
    assert (len(cloud), cloud.source_size, cloud.dropped, cloud.rows, cloud.grid) == (2, 2, 0, None, None)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_rows_that_are_not_finite_are_dropped_and_counted(bad: float) -> None:
    points = np.arange(12.0).reshape(4, 3)
    normals, colors = points + 1, np.arange(12, dtype=np.uint8).reshape(4, 3)
    points[1, 2] = bad
    cloud = PointCloud.create(points, normals=normals, colors=colors)
    assert cloud.valid_rows().tolist() == [0, 2, 3]
    assert (cloud.source_size, cloud.dropped) == (4, 1)
    assert cloud.normals is not None
    assert cloud.colors is not None
    assert torch.equal(cloud.normals, torch.from_numpy(normals[[0, 2, 3]]).float())
    assert torch.allclose(cloud.colors, torch.from_numpy(colors[[0, 2, 3]] / 255).float())


def test_organised_scans_keep_their_grid() -> None:
    scan = np.arange(24.0).reshape(2, 4, 3)
    scan[0, 1] = np.nan
    cloud = PointCloud.create(scan, colors=np.full((2, 4, 3), 0.5))
    assert cloud.grid == (2, 4)
    assert cloud.valid_rows().tolist() == [0, 2, 3, 4, 5, 6, 7]


def test_the_eye_is_where_the_file_says_or_where_an_organised_scan_begins() -> None:
    scan = np.random.default_rng(0).uniform(1, 2, (4, 5, 3))
    assert PointCloud.create(scan.reshape(-1, 3)).eye is None
    organised = PointCloud.create(scan)
    assert organised.eye is not None and organised.eye.tolist() == [0, 0, 0]
    assert PointCloud.create(scan - 1.5).eye is None, "a frame's origin within the scan is no camera's place"
    told = PointCloud.create(scan, viewpoint=[1, 2, 30])
    assert told.eye is not None and told.eye.tolist() == [1, 2, 30]
    assert torch.equal(told.select(torch.arange(3)).eye, told.eye)
    for cloud in (organised, told):
        normal, norm = cloud.normalized()
        assert cloud.eye is not None and normal.eye is not None
        torch.testing.assert_close(normal.eye * norm.scale + norm.center, cloud.eye)
    assert PointCloud.create(scan, viewpoint=[1, 2, np.nan]).viewpoint is None
    with pytest.raises(CloudError, match="viewpoint has the wrong shape"):
        PointCloud.create(scan, viewpoint=[1, 2])


def test_to_rows_puts_each_value_back_in_its_row() -> None:
    points = np.zeros((5, 3))
    points[[0, 3]] = np.nan
    cloud = PointCloud.create(points)
    values = torch.tensor([1.0, 2.0, 3.0])
    assert cloud.to_rows(values, fill=-1.0).tolist() == [-1, 1, 2, -1, 3]
    assert torch.isnan(cloud.to_rows(values)).tolist() == [True, False, False, True, False]
    assert torch.equal(cloud.to_rows(values)[cloud.valid_rows()], values)
    whole = PointCloud.create(np.zeros((3, 3)))
    assert torch.equal(whole.to_rows(values), values)


@pytest.mark.parametrize("index", [torch.tensor([2, 0]), torch.tensor([True, False, True])])
def test_select_goes_on_naming_rows_of_the_source(index: torch.Tensor) -> None:
    points = np.array([[np.nan] * 3, [1, 0, 0], [2, 0, 0], [3, 0, 0]])
    cloud = PointCloud.create(points, normals=points, source="a.ply")
    part = cloud.select(index)
    assert torch.equal(part.points, cloud.points[index])
    assert torch.equal(part.normals, part.points)
    assert torch.equal(torch.from_numpy(points[part.valid_rows().numpy()]).float(), part.points)
    assert (part.source_size, part.source) == (4, "a.ply")
    again = part.select(torch.tensor([0]))
    assert torch.equal(torch.from_numpy(points[again.valid_rows().numpy()]).float(), again.points)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(2, 200),
    scale=st.floats(1e-6, 1e6),
    offset=st.floats(-1e6, 1e6),
)
def test_normalization_inverts_to_float32_rounding(seed: int, size: int, scale: float, offset: float) -> None:
    rng = np.random.default_rng(seed)
    cloud = PointCloud.create(rng.normal(size=(size, 3)) * scale + offset)
    normal, norm = cloud.normalized()
    # Two roundings to float32: one of the normalised point, one of the result.
    reach = cloud.points.abs().max() + norm.scale * normal.points.abs().max()
    error = (norm.invert(normal.points) - cloud.points).abs().max()
    assert error <= torch.finfo(torch.float32).eps * reach
    if norm.scale > 1e-3 * abs(offset):
        assert normal.points.double().square().sum(1).mean().sqrt().item() == pytest.approx(12**-0.5, rel=1e-4)
        assert normal.points.double().mean(0).abs().max() < 1e-5


def test_normalization_does_not_depend_on_the_pose(box: PointCloud) -> None:
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))
    turned = PointCloud.create(box.points @ turn.T + 5)
    assert turned.normalization().scale == pytest.approx(box.normalization().scale, rel=1e-6)


def test_normalization_of_coinciding_points_keeps_scale_one() -> None:
    cloud, norm = PointCloud.create(np.full((5, 3), 7.0)).normalized()
    assert norm.scale == 1.0
    assert (cloud.points == 0).all()
    assert isinstance(norm, Normalization)


def test_normalization_keeps_what_stands_beside_the_points(sphere: PointCloud) -> None:
    normal, _ = sphere.normalized()
    assert normal.normals is sphere.normals
    assert (normal.source, normal.source_size) == (sphere.source, sphere.source_size)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((4, 2)), "wrong shape"),
        (np.zeros(3), "wrong shape"),
        (np.zeros((0, 3)), "no finite point"),
        (np.full((4, 3), np.nan), "no finite point"),
        ([["a", "b", "c"]], "not an array of numbers"),
        ([[1, 2, 3], [4, 5]], "not an array of numbers"),
        (np.zeros((2, 3), complex), "not an array of numbers"),
        (None, "not an array of numbers"),
    ],
)
def test_create_refuses(points: object, message: str) -> None:
    with pytest.raises(CloudError, match=message):
        PointCloud.create(points, source="a.ply")


@pytest.mark.parametrize("name", ["normals", "colors"])
def test_create_refuses_attributes_that_do_not_fit(name: str) -> None:
    with pytest.raises(CloudError, match=f"{name} do not fit"):
        PointCloud.create(np.zeros((4, 3)), **{name: np.zeros((3, 3))})


def test_create_refuses_a_grid_that_does_not_fit() -> None:
    with pytest.raises(CloudError, match="grid does not fit"):
        PointCloud.create(np.zeros((4, 3)), grid=(2, 3))


POINTS = torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"points": torch.zeros(0, 3)}, "no point"),
        ({"points": torch.full((2, 3), torch.nan)}, "not finite"),
        ({"points": POINTS.double()}, "wrong form"),
        ({"points": POINTS, "rows": torch.tensor([0]), "source_size": 2}, "rows do not fit"),
        ({"points": POINTS, "rows": torch.tensor([0, 2]), "source_size": 2}, "rows do not fit"),
        ({"points": POINTS, "grid": (2, 2)}, "grid does not fit"),
        ({"points": POINTS, "normals": torch.zeros(3, 3)}, "normals do not fit"),
        ({"points": POINTS, "colors": torch.zeros(3, 3)}, "colors do not fit"),
    ],
)
def test_the_constructor_refuses(fields: dict[str, object], message: str) -> None:
    # Without the shape checks of the tests, which would refuse some of these before the class can.
    cloud = object.__new__(PointCloud)
    defaults = {"normals": None, "colors": None, "grid": None, "rows": None, "source_size": 0, "source": None}
    for name, value in (defaults | fields).items():
        object.__setattr__(cloud, name, value)
    with pytest.raises(CloudError, match=message):
        cloud.__post_init__()


def test_a_cloud_in_one_line() -> None:
    points = torch.tensor([[0.0, 0, 0], [12.34, 4.5, 1234.6]]).repeat(2, 1)
    assert repr(PointCloud.create(points)) == "PointCloud(4 points, 12.3 × 4.5 × 1,235)"
    scan = torch.full((2, 3, 3), float("nan"))
    scan[0, :2] = points[:2] + 1e6  # to sixteenths
    whole = PointCloud.create(scan, normals=torch.ones(6, 3), colors=torch.ones(6, 3), source="a/b/scan.ply")
    assert repr(whole).startswith("PointCloud(2 points, 4 dropped, 12.3 × 4.5 × 1,235, normals, colors, grid 2 × 3, ")
    assert repr(whole).endswith("'scan.ply')")
    assert repr(PointCloud.create(torch.ones(1, 3))) == "PointCloud(1 point, 0 × 0 × 0)"


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_a_repr_is_of_any_cloud(dtype: torch.dtype) -> None:
    points = torch.tensor([[-3e4, 0, 0], [3e4, 1e-5, 2]], dtype=dtype)
    hostile = PointCloud.create(points, source="\n\udcff" + "x" * 500)
    assert repr(hostile).isprintable() and len(repr(hostile)) < 150
    largest = PointCloud.create(torch.tensor([[-3e38, 0, 0], [3e38, 0, 0]]))
    assert "6e+38 × 0 × 0" in repr(largest)


def test_a_cloud_as_a_table() -> None:
    cloud = PointCloud.create(torch.eye(3), colors=torch.eye(3), source="<b>a & b\x00\udcff.ply")
    text = cloud._repr_html_()
    assert re.findall("<t[hd] [^>]*>([^<]*)<", text) == [
        "file", "&lt;b&gt;a &amp; b\ufffd\ufffd.ply", "points", "3", "extents", "1 × 1 × 1", "normals", "no",
        "colors", "yes",
    ]  # fmt: skip
    assert set(re.findall("</?([a-z]+)", text)) == {"table", "tr", "th", "td"}
    assert "color:" not in text
    points = torch.cat([torch.full((1199, 3), float("nan")), torch.ones(1, 3)]).view(30, 40, 3)
    assert ">1,199 rows<" in PointCloud.create(points)._repr_html_()
    assert ">30 × 40<" in PointCloud.create(points)._repr_html_()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (-0.0, "0"), (99.96, "100"), (999.6, "1,000"), (-1.4834, "−1.48"), (0.00012345, "0.000123"),
     (1234567.8, "1,234,568"), (2e12, "2e+12"), (float("nan"), "nan"), (float("-inf"), "−inf"),
     (np.float16(0.5), "0.5")],
)  # fmt: skip
def test_numbers_for_people(value: float, text: str) -> None:
    assert rounded(value) == text


@pytest.mark.parametrize(
    ("position", "size", "text"),
    [((65.987, 15.254, -0.0007), 80, "65.99, 15.25, 0"), ((0.066, -0.01525, 0.04), 0.08, "0.066, −0.01525, 0.04"),
     ((5_800_000.126, -4_100_000.0, 300.5), 80, "5800000.13, −4100000, 300.5"),
     ((1234.4, -0.4, 100), 5000, "1234, 0, 100"), ((0.0, 0.0, 0.0), 0, "0, 0, 0")],
)  # fmt: skip
def test_positions_for_people(position: tuple[float, ...], size: float, text: str) -> None:
    assert placed(position, size) == text


FAR = [5_800_000.0, -4_100_000.0, 300.0]


def test_a_part_far_from_the_origin_keeps_its_digits() -> None:
    part = np.random.default_rng(0).uniform(-0.05, 0.05, (1000, 3)).round(6)
    near, far = PointCloud.create(part), PointCloud.create(part + FAR)
    assert near.offset.tolist() == [0, 0, 0] and far.offset.tolist() == FAR
    assert torch.equal(far.points, near.points)
    assert float((far.positions() - torch.from_numpy(part + FAR)).abs().max()) < 3e-9
    strays = PointCloud.create(np.concatenate([part + FAR, np.zeros((3, 3))]))
    assert torch.equal(strays.points[:1000], near.points), "three rows that are no part of it do not move it"
    odd = PointCloud.create(part + np.array([5_800_000.0123, 0, 0]))
    assert odd.offset.tolist() == [5_800_000.0, 0, 0], "rounded to the part's size"
    seen = PointCloud.create(part + FAR, viewpoint=np.add(FAR, [0, 0, 2]))
    assert seen.eye is not None and seen.eye.tolist() == [0, 0, 2], "where the points are"
    inner, norm = far.normalized()
    assert inner.offset.tolist() == [0, 0, 0] and torch.equal(norm.apply(far.points), inner.points)
    assert torch.equal(far.about(torch.tensor(FAR).double()), near.points)
    moved = PointCloud.create(part + FAR + [0, 0.2, 0])
    assert float((moved.about(far.offset) - near.points - torch.tensor([0, 0.2, 0])).abs().max()) < 1e-7
    assert torch.equal(far.about(near.offset), far.points), "float32 would not hold it there"


def test_a_grid_that_was_moved_tells_no_eye() -> None:
    """A ball of radius 1 seen from 4 away, as an image of depths; some pixels see nothing, and some noise."""
    rng = np.random.default_rng(0)
    v, u = np.meshgrid(np.linspace(-0.3, 0.3, 90), np.linspace(-0.3, 0.3, 110), indexing="ij")
    rays = np.stack([u, v, np.ones_like(u)], 2) / np.sqrt(1 + u**2 + v**2)[..., None]
    along = 4 * rays[..., 2]
    root = along**2 - 15
    scan = (along - np.sqrt(np.where(root > 0, root, np.nan)) + 5e-4 * rng.standard_normal(u.shape))[..., None] * rays
    scan[rng.random(u.shape) < 0.1] = np.nan
    assert PointCloud.create(scan).eye is not None
    cloud = PointCloud.create(scan)
    assert cloud.select(torch.randperm(len(cloud))).eye is not None, "whatever the order of its points"
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    for moved in (scan - [2.5, 0, 4], (scan - [0, 0, 4]) @ turn + [1.5, 0, 0]):
        assert PointCloud.create(moved).eye is None
    told = PointCloud.create(scan - [0, 0, 9], viewpoint=(0, 0, -9))
    assert told.eye is not None and told.eye.tolist() == [0, 0, -9], "what a file says is not asked"


def test_a_cloud_in_another_unit() -> None:
    """Far from the origin, with an eye for each of two scans."""
    rng = np.random.default_rng(0)
    points, eyes = rng.random((50, 3)) + 1e5, np.array([[1e5, 1e5, 1e5 + 3], [1e5, 1e5 + 3, 1e5]])
    cloud = PointCloud.create(points, unit="Metres", eyes=eyes, scan=np.arange(50) % 2)
    assert cloud.unit == "m" and "0.994 m" in repr(cloud)
    inches = cloud.in_unit("in")
    assert inches.unit == "in"
    np.testing.assert_allclose(inches.positions().numpy(), points / 0.0254, rtol=1e-12)
    assert inches.eyes is not None
    np.testing.assert_allclose(inches.eyes.numpy(), eyes / 0.0254, rtol=1e-12)
    torch.testing.assert_close(inches.in_unit("m").positions(), cloud.positions(), rtol=1e-12, atol=0)
    assert cloud.in_unit("m") is cloud
    unknown = PointCloud.create(points)
    assert unknown.unit is None and unknown.in_unit("mm") is unknown
    assert cloud.normalized()[0].unit is None
    with pytest.raises(ConfigError, match="unknown unit of length"):
        PointCloud.create(points, unit="furlong")


@pytest.mark.parametrize(
    ("name", "unit"),
    [("mm", "mm"), ("Millimetres", "mm"), (" INCH ", "in"), ("µm", "um"), ("μm", "um"), ("feet", "ft")],
)
def test_units_have_many_names(name: str, unit: str) -> None:
    assert unit_named(name) == unit
