"""AUPRO against brute force, in closed form, and under maps of the scores; regions of images and of clouds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointadplus.errors import ConfigError
from pointadplus.evaluation import aupro, aupro_200_thresholds, cloud_regions, image_regions
from tests.reference.metrics import naive_aupro


@given(st.integers(0, 2**32), st.integers(2, 60), st.integers(1, 5), st.sampled_from([0.05, 0.3, 1.0]), st.booleans())
@settings(deadline=None, max_examples=100)
def test_equals_brute_force_with_and_without_ties(seed: int, count: int, most: int, limit: float, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    regions = rng.integers(0, most + 1, count)
    scores = rng.integers(0, 6, count).astype(float) if ties else rng.random(count)
    found, expected = aupro(regions, scores, limit), naive_aupro(regions, scores, limit)
    assert (found is None) == (expected is None)
    assert found is None or found == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 2**32))
@settings(deadline=None, max_examples=25)
def test_does_not_change_under_increasing_maps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    regions, scores = np.append(rng.integers(0, 3, 50), [0, 1]), rng.integers(-20, 20, 52) / 8
    assert aupro(regions, scores) == aupro(regions, np.exp(3 * scores)) == aupro(regions, scores**3)


def test_perfect_and_worst_and_even_scores() -> None:
    regions = np.array([0] * 70 + [1] * 20 + [2] * 10)
    assert aupro(regions, (regions > 0).astype(float)) == 1.0
    assert aupro(regions, (regions == 0).astype(float)) == 0.0
    assert aupro(regions, np.zeros(100)) == pytest.approx(0.15)  # one tie: the diagonal, up to 0.3
    assert aupro(regions, np.zeros(100), limit=1.0) == pytest.approx(0.5)


def test_small_regions_weigh_as_much_as_large_ones() -> None:
    regions = np.array([0] * 100 + [1] * 98 + [2] * 2)
    assert aupro(regions, (regions == 1).astype(float), 1.0) == pytest.approx(
        0.75
    )  # half at once, half by the diagonal
    assert aupro(regions, (regions == 2).astype(float), 1.0) == pytest.approx(0.75)


def test_undefined_without_regions_or_normal_points() -> None:
    assert aupro(np.zeros(4, int), np.arange(4.0)) is None
    assert aupro(np.ones(4, int), np.arange(4.0)) is None
    assert aupro_200_thresholds(np.zeros(4, int), np.arange(4.0)) is None
    assert aupro_200_thresholds(np.array([0, 1]), np.zeros(2)) is None


def test_200_thresholds_come_near_on_even_scores_and_change_under_maps() -> None:
    rng = np.random.default_rng(0)
    regions = np.repeat([0, 1, 2], [8000, 400, 200])
    scores = np.clip(rng.normal(0.4, 0.1, 8600) + 0.15 * (regions > 0), 0, 1)
    exact = aupro(regions, scores)
    assert exact is not None
    assert aupro_200_thresholds(regions, scores) == pytest.approx(exact, abs=0.02)
    assert abs((aupro_200_thresholds(regions, scores**20) or 0) - exact) > 0.02


@pytest.mark.parametrize(
    ("regions", "scores", "limit", "message"),
    [
        (np.zeros(3, int), np.zeros(4), 0.3, "do not match"),
        (np.zeros(3), np.zeros(3), 0.3, "whole numbers"),
        (np.zeros(2, int), np.array([0, np.nan]), 0.3, "not finite"),
        (np.zeros(2, int), np.zeros(2), 0.0, "out of range"),
    ],
)
def test_bad_arguments_are_refused(regions, scores, limit, message) -> None:
    with pytest.raises(ConfigError, match=message):
        aupro(regions, scores, limit)


def test_regions_of_images_join_at_corners() -> None:
    mask = np.array([[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1]], bool)
    assert image_regions(mask).tolist() == [[1, 0, 0, 0], [0, 1, 0, 2], [0, 0, 0, 2]]


def test_regions_of_clouds_are_connected_over_the_surface() -> None:
    side = torch.arange(30.0)
    points = torch.stack([*torch.meshgrid(side, side, indexing="ij"), torch.zeros(30, 30)], -1).flatten(0, 1)
    x, y = points[:, 0], points[:, 1]
    left, right = (x < 6) & (y < 6), (x > 20) & (y > 9) & (y < 15)
    order = torch.randperm(900, generator=torch.Generator().manual_seed(0))
    found = cloud_regions(points[order], (left | right)[order])
    assert (found[~(left | right)[order]] == 0).all()
    assert {int(found[left[order]].unique()), int(found[right[order]].unique())} == {1, 2}
    assert not cloud_regions(points, torch.zeros(900, dtype=torch.bool)).any()
    assert cloud_regions(points[:1], torch.ones(1, dtype=torch.bool)).tolist() == [1]
