"""Curves have the areas that the metrics have, thinned and not, and so has their mean."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import precision_recall_curve, roc_curve

from pointadplus.evaluation import Curve, Curves, PointAccumulator, auroc, average_precision
from pointadplus.evaluation.curves import STEPS, mean_curve


def scores_of(seed: int, n: int, levels: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.1
    labels[:2] = True, False
    scores = rng.random(n) + 0.3 * labels * rng.random(n)
    if levels:
        scores = np.round(scores * levels) / levels
    return labels, (scores / scores.max()).astype(np.float32)


@pytest.mark.parametrize("levels", [None, 5, 50])
@pytest.mark.parametrize("n", [2, 7, 60, 500])
def test_whole_curves_are_those_of_scikit_learn(n: int, levels: int | None) -> None:
    labels, scores = scores_of(n, n, levels)
    found = Curves.of_scores(labels, scores, steps=None)
    assert found is not None
    rate, hits, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert_allclose(found.roc.x, rate)
    assert_allclose(found.roc.y, hits)
    precision, recall, _ = precision_recall_curve(labels, scores)
    for middle in (recall[1:] + recall[:-1])[recall[1:] != recall[:-1]] / 2:
        # In a step from one recall to the next the precision is that of the next.
        at = precision[:-1][recall[:-1] > middle][-1]
        assert np.interp(middle, found.precision_recall.x, found.precision_recall.y) == pytest.approx(at)
    assert found.roc.area == pytest.approx(auroc(labels, scores))
    assert found.precision_recall.area == pytest.approx(average_precision(labels, scores))


@pytest.mark.parametrize(("n", "levels"), [(100_000, None), (100_000, 700), (20_000, None), (100_000, 3)])
@pytest.mark.parametrize("inverted", [False, True])
def test_thinned_curves_are_short_and_keep_their_areas(n: int, levels: int | None, inverted: bool) -> None:
    labels, scores = scores_of(1, n, levels)
    scores = 1 - scores if inverted else scores
    found = Curves.of_scores(labels, scores)
    assert found is not None
    assert found.roc.area == pytest.approx(auroc(labels, scores), abs=1e-3)
    assert found.precision_recall.area == pytest.approx(average_precision(labels, scores), abs=1e-12)
    for curve in (found.roc, found.precision_recall):
        assert len(curve.x) <= 4 * STEPS + 4
        assert (np.diff(curve.x) >= 0).all() and curve.x[0] == 0 and curve.x[-1] == 1
        assert curve.y.min() >= 0 and curve.y.max() <= 1
    whole = Curves.of_scores(labels, scores, steps=None)
    assert whole is not None
    places = np.linspace(0, 1, 999)[1:-1]
    assert np.abs(np.interp(places, *pair(found.roc)) - np.interp(places, *pair(whole.roc))).max() < 4 / STEPS


def pair(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    return curve.x, curve.y


@pytest.mark.parametrize("kind", ["roc", "precision_recall"])
def test_the_mean_of_curves_has_the_mean_of_their_areas(kind: str) -> None:
    curves = []
    for seed, n in enumerate((2, 9, 40, 3000)):
        found = Curves.of_scores(*scores_of(seed, n))
        assert found is not None
        curves.append(getattr(found, kind))
    mean = mean_curve(curves)
    assert mean.area == pytest.approx(np.mean([curve.area for curve in curves]))
    assert mean_curve(curves[:1]).area == pytest.approx(curves[0].area)
    assert (np.diff(mean.x) >= 0).all()
    middles = (mean.x[1:] + mean.x[:-1])[np.diff(mean.x) > 0] / 2
    expected = np.mean([np.interp(middles, *pair(curve)) for curve in curves], 0)
    assert_allclose(np.interp(middles, *pair(mean)), expected)


def test_curves_need_both_kinds() -> None:
    for labels in ([True, True], [False], []):
        assert Curves.of_scores(np.array(labels, bool), np.ones(len(labels))) is None
    assert PointAccumulator().curves() is None


def test_an_accumulator_has_the_curves_of_its_figures() -> None:
    """Held as they are, folded without rounding, and rounded to few bins."""
    labels, scores = scores_of(3, 5000)
    regions = labels.astype(np.int32)
    parts = [slice(0, 2000), slice(2000, 5000)]
    exact = PointAccumulator()
    folded, rounded = PointAccumulator(exact_points=0), PointAccumulator(exact_points=0, bins=512)
    for accumulator in (exact, folded, rounded):
        for part in parts:
            accumulator.add(regions[part], scores[part])
        curves, (area, precision, _) = accumulator.curves(), accumulator.figures()
        assert curves is not None
        assert curves.roc.area == pytest.approx(area, abs=1e-3)
        assert curves.precision_recall.area == pytest.approx(precision, abs=1e-12)
    assert rounded.resolution > 0
    held, counted = exact.curves(), folded.curves()
    assert held is not None and counted is not None
    assert np.array_equal(held.roc.y, counted.roc.y)
