"""Colours of synthetic objects: patterns, defects, what they look like to the tower's second stem, and data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pointadplus.data import open_dataset
from pointadplus.errors import ConfigError
from pointadplus.geometry.color_descriptors import COLOR_CHANNELS, describe_colors
from pointadplus.learning.synthesis.corpus import CorpusConfig
from pointadplus.learning.synthesis.dataset import SyntheticConfig, write_dataset
from pointadplus.learning.synthesis.paint import COLOR_KINDS, PATTERNS, SEEN, Paint, spoil
from pointadplus.learning.synthesis.painted import sample_painted
from pointadplus.learning.synthesis.scanner import ScannerConfig
from pointadplus.learning.synthesis.specimens import make_specimen
from tests.reference import colors as naive

SMALL = CorpusConfig(scanner=ScannerConfig(points=(2000, 3000), surface=4000))


def ball(count: int, seed: int) -> np.ndarray:
    """Points on a sphere whose bounding box has a diagonal of 1."""
    points = np.random.default_rng(seed).standard_normal((count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True) / 12**0.5


@pytest.mark.parametrize("seed", range(40))
def test_a_spoilt_coat_differs_where_it_is_labelled(seed: int) -> None:
    points, kind = ball(5000, seed), COLOR_KINDS[seed % 3]
    paint = Paint.draw(np.random.default_rng(seed))
    healthy = paint.pattern(points)
    colors, labels = spoil(paint, kind, points, np.random.default_rng(seed + 1))
    again, _ = spoil(paint, kind, points, np.random.default_rng(seed + 1))
    assert paint.name in PATTERNS and np.array_equal(colors, again)
    for value in (healthy, colors, paint.with_grain(colors, np.random.default_rng(0))):
        assert value.shape == (5000, 3) and value.min() >= 0 and value.max() <= 1
    off = np.linalg.norm(colors - healthy, axis=1)
    assert (off[labels] > SEEN).all() and (off[~labels] <= SEEN).all()
    assert 12 <= labels.sum() <= 0.25 * len(points)
    where = points[labels]
    assert np.linalg.norm(where - where.mean(0), axis=1).max() < 0.45  # in one place


def test_every_pattern_is_drawn_and_all_but_the_plain_one_have_two_colours() -> None:
    points, found = ball(4000, 0), {}
    for seed in range(80):
        paint = Paint.draw(np.random.default_rng(seed))
        found.setdefault(paint.name, []).append(paint.pattern(points).std(0).max())
    assert found.keys() == PATTERNS.keys()
    assert max(found.pop("plain")) < 0.03
    assert all(np.median(spreads) > 0.05 for spreads in found.values())


def test_a_painted_pair_differs_in_the_labelled_colours_alone() -> None:
    whole, spoilt = sample_painted(3, SMALL)
    assert torch.equal(whole.points, spoilt.points) and not whole.labels.any() and whole.kind == "good"
    assert spoilt.labels.any() and spoilt.kind in COLOR_KINDS and spoilt.family == whole.family
    off = (whole.colors - spoilt.colors).norm(dim=1)
    assert off[spoilt.labels].mean() > 5 * off[~spoilt.labels].mean()
    again, _ = sample_painted(3, SMALL)
    assert torch.equal(again.colors, whole.colors)


# What colours say around a point


@given(st.integers(1, 150), st.integers(0, 2**32 - 1), st.floats(0.0, 1.0))
@settings(max_examples=25, deadline=None)
def test_descriptors_are_those_of_the_naive_twin(count: int, seed: int, share: float) -> None:
    source = torch.Generator().manual_seed(seed)
    points, colors = torch.randn(count, 3, generator=source) / 4, torch.rand(count, 3, generator=source)
    described = max(1, round(share * count))
    found, expected = describe_colors(points, colors, described), naive.describe_colors(points, colors, described)
    assert found.keys() == COLOR_CHANNELS.keys()
    for name, value in found.items():
        # A distance by a matrix product is off by the root of a rounding where two are alike.
        slack = 0.02 if name.startswith("color_reference") else 2e-4
        torch.testing.assert_close(value.double(), expected[name], atol=slack, rtol=0, msg=name)


def test_a_blot_stands_out_and_a_repeated_pattern_does_not() -> None:
    points = torch.from_numpy(ball(6000, 0)).float()
    stripes = ((points[:, 2] * 20).floor() % 2)[:, None].expand(-1, 3) * 0.6 + 0.2
    blot = (points - points[0]).norm(dim=1) < 0.05
    colors = torch.where(blot[:, None], torch.tensor([0.9, 0.1, 0.1]), stripes)
    maps = describe_colors(points, colors, 4000)
    for name in ("color_reference_fine", "color_reference_middle", "color_rarity"):
        assert maps[name][blot[:4000]].min() > maps[name][~blot[:4000]].median() + 0.2, name
    assert maps["color_reference_middle"][~blot[:4000]].median() < 0.3
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    for name, value in describe_colors(points @ turn, colors, 4000).items():
        assert (value - maps[name]).abs().median() < 1e-4, name


def test_one_colour_says_nothing() -> None:
    maps = describe_colors(torch.randn(500, 3), torch.full((500, 3), 0.5), 300)
    assert max(float(value.abs().max()) for value in maps.values()) < 1e-3


# Data sets


def config(**options: object) -> SyntheticConfig:
    base = {"seed": 4, "families": ("brick",), "train": 1, "normal": 1, "damaged": 3, "points": (3000, 4000)}
    return SyntheticConfig(**(base | {"image_size": 96} | options))  # type: ignore[arg-type]


def test_paint_changes_no_shape() -> None:
    plain = make_specimen(7, "brick", (3000, 3000), ("dent",))
    painted = make_specimen(7, "brick", (3000, 3000), ("dent",), painted=True)
    assert torch.equal(plain.points, painted.points) and torch.equal(plain.labels, painted.labels)
    assert plain.colors is None and painted.colors is not None and painted.colors.shape == painted.points.shape
    with pytest.raises(ConfigError, match="without colours"):
        make_specimen(7, "brick", (3000, 3000), ("stain",))
    with pytest.raises(ConfigError, match="unknown kinds"):
        config(kinds=("stain",))


@pytest.mark.parametrize("layout", ["synthetic", "real3d-ad", "mvtec-3d-ad", "eyecandies"])
def test_painted_data_sets_keep_colours_and_masks(layout: str, tmp_path: Path) -> None:
    if layout == "mvtec-3d-ad":
        pytest.importorskip("tifffile")
    root = write_dataset(tmp_path / "set", config(painted=True, kinds=COLOR_KINDS), layout)
    samples = [sample for sample in open_dataset(layout, root).samples if sample.split == "test"]
    assert sorted(sample.label for sample in samples) == [0, 1, 1, 1]
    kinds = {sample.kind for sample in samples if sample.label}
    assert kinds == ({"colors"} if layout == "eyecandies" else set(COLOR_KINDS))
    for sample in samples:
        cloud, labels = sample.load()
        assert cloud.colors is not None and len(cloud.colors) == len(cloud) and cloud.colors.std() > 0.005
        if sample.label:
            assert labels is not None and 0 < labels[cloud.valid_rows()].sum() < 0.4 * len(cloud)


def test_painted_pictures_show_the_paint(tmp_path: Path) -> None:
    plain = write_dataset(tmp_path / "plain", config(kinds=("dent",)), "eyecandies")
    painted = write_dataset(tmp_path / "painted", config(kinds=("dent",), painted=True), "eyecandies")
    depths = [next(root.rglob("*_depth.png")) for root in (plain, painted)]
    assert depths[0].read_bytes() == depths[1].read_bytes()
    pictures = [np.asarray(Image.open(next(root.rglob("*_image_4.png")))) for root in (plain, painted)]
    assert not np.array_equal(*pictures)
