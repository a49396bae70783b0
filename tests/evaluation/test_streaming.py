"""Figures of clouds that come one by one: exact while held, then within their bound, in any order, in fixed memory."""

from __future__ import annotations

import pickle
import tracemalloc
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointadplus.cloud import PointCloud
from pointadplus.data import Dataset, Sample
from pointadplus.errors import ConfigError
from pointadplus.evaluation import PointAccumulator, aupro, auroc, average_precision, benchmark, evaluate
from pointadplus.evaluation.histogram import ScoreHistogram, score_keys
from pointadplus.results.detection import Detection
from tests.reference import metrics as naive

Clouds = list[tuple[np.ndarray, np.ndarray]]
LIMITS = (0.05, 0.3, 1.0)


def pooled(clouds: Clouds) -> tuple[np.ndarray, np.ndarray]:
    """All regions, numbered on, and all scores."""
    before = np.cumsum([0, *(regions.max(initial=0) for regions, _ in clouds)])
    regions = [np.where(own > 0, own + n, 0) for (own, _), n in zip(clouds, before, strict=False)]
    return np.concatenate(regions), np.concatenate([scores for _, scores in clouds])


def numbers(figures: tuple[float | None, ...]) -> np.ndarray:
    """(3,) of figures that are defined."""
    return np.array(figures, float)


def exact(clouds: Clouds, limit: float = 0.3) -> tuple[float | None, ...]:
    regions, scores = pooled(clouds)
    return auroc(regions > 0, scores), average_precision(regions > 0, scores), aupro(regions, scores, limit)


def accumulated(clouds: Clouds, **options: int) -> PointAccumulator:
    accumulator = PointAccumulator(**options)
    for regions, scores in clouds:
        accumulator.add(regions, scores)
    return accumulator


def histogram(accumulator: PointAccumulator) -> ScoreHistogram:
    return accumulator._histogram


def scores_of(shape: str, rng: np.random.Generator, regions: np.ndarray) -> np.ndarray:
    """(n,) float32 in [0, 1], somewhat higher on regions."""
    n, lift = len(regions), 0.1 * (regions > 0)
    made = {
        "even": lambda: rng.random(n) * 0.9 + lift,
        "ties": lambda: rng.integers(0, 7, n) / 8 + lift,
        "near 0": lambda: 10.0 ** rng.uniform(-44, -30, n) * (1 + 10 * lift),  # subnormal numbers too
        "near 1": lambda: 1 - (rng.random(n) * (1 - lift)) * 1e-4,
        "wide": lambda: 10.0 ** (rng.uniform(-12, 0, n) * (1 - lift)),
        "constant": lambda: np.full(n, 0.37),
        "zeros and one score": lambda: np.where(rng.random(n) < 0.9 - lift, 0, 1 / 3),
        "one dense bin": lambda: 0.5 + rng.integers(0, 5000, n) * 2.0**-24 * (1 + lift),
    }
    return np.clip(made[shape](), 0, 1).astype(np.float32)


SHAPES = ("even", "ties", "near 0", "near 1", "wide", "constant", "zeros and one score", "one dense bin")


def clouds_of(shape: str, seed: int = 0, count: int = 6, points: int = 4000) -> Clouds:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        regions = np.maximum(rng.integers(-60, 4, points), 0).astype(np.int32)
        found.append((regions, scores_of(shape, rng, regions)))
    return found


# Scores that tie often, within a cloud and between them; −0 and 0 are one score.
score = st.sampled_from([0.0, -0.0, 1e-45, 1e-38, 0.1, 0.5, float(np.float32(0.5) + np.float32(2**-24)), 1.0])
cloud_rows = st.lists(st.tuples(st.integers(0, 3), score), min_size=0, max_size=12)
many_clouds = st.lists(cloud_rows, min_size=1, max_size=5)


def arrays(rows: list[list[tuple[int, float]]]) -> Clouds:
    return [
        (np.array([region for region, _ in own], np.int32), np.array([value for _, value in own], np.float32))
        for own in rows
    ]


@settings(deadline=None, max_examples=150)
@given(rows=many_clouds, limit=st.sampled_from(LIMITS), exact_points=st.sampled_from([0, 1000]))
def test_equals_brute_force_held_and_counted(rows, limit, exact_points) -> None:
    clouds = arrays(rows)
    found = accumulated(clouds, exact_points=exact_points).figures(limit)
    regions, scores = pooled(clouds)
    if not (regions > 0).any() or not (regions == 0).any():
        assert found == (None, None, None)
        return
    labels = [int(region > 0) for region in regions]
    expected = (
        naive.auroc(labels, scores.tolist()),
        naive.average_precision(labels, scores.tolist()),
        naive.naive_aupro(regions, scores, limit),
    )
    assert found == pytest.approx(expected, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(rows=many_clouds, exact_points=st.sampled_from([0, 10, 1000]), cut=st.integers(0, 5), data=st.data())
def test_neither_order_nor_merging_changes_anything(rows, exact_points, cut, data) -> None:
    clouds = arrays(rows)
    shuffled = data.draw(st.permutations(clouds))
    once = accumulated(clouds, exact_points=exact_points)
    left, right = (accumulated(part, exact_points=exact_points) for part in (shuffled[:cut], shuffled[cut:]))
    merged = left.merge(pickle.loads(pickle.dumps(right)))
    assert merged.exact == once.exact and merged.points == once.points
    if once.exact:
        assert merged.figures()[:2] == once.figures()[:2]
        assert merged.figures() == pytest.approx(once.figures(), abs=1e-12)
    else:
        assert (histogram(merged).counts == histogram(once).counts).all()
        assert merged.figures() == once.figures()


def test_held_figures_are_those_of_the_exact_functions_to_the_last_bit() -> None:
    for shape in SHAPES:
        clouds = clouds_of(shape)
        accumulator = accumulated(clouds)
        assert accumulator.exact and accumulator.resolution == 0
        assert accumulator.figures() == exact(clouds)
        assert accumulator.error_bounds() == (0, 0, 0)


def test_the_first_point_too_many_makes_it_count() -> None:
    clouds = clouds_of("even", count=2, points=500)
    assert accumulated(clouds, exact_points=1000).exact
    counted = accumulated(clouds, exact_points=999)
    assert not counted.exact and counted.points == 1000
    assert counted.figures() == pytest.approx(exact(clouds), abs=1e-10)  # 1,000 bins hold every score


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bins", [512, 4096, 1 << 16])
def test_counted_figures_are_those_of_rounded_scores_and_within_their_bound(shape: str, bins: int) -> None:
    clouds = clouds_of(shape)
    accumulator = accumulated(clouds, exact_points=0, bins=bins)
    shift = histogram(accumulator).shift
    assert len(histogram(accumulator).keys) <= bins
    rounded = [(regions, ((score_keys(scores) >> shift) << shift).astype(float)) for regions, scores in clouds]
    for limit in LIMITS:
        found = accumulator.figures(limit)
        assert found == pytest.approx(exact(rounded, limit), abs=1e-9)
        off = np.abs(numbers(found) - numbers(exact(clouds, limit)))
        assert (off <= numbers(accumulator.error_bounds(limit)) + 1e-9).all()
    if shape in ("ties", "constant", "zeros and one score"):
        assert shift == 0 and accumulator.error_bounds() == (0, 0, 0)


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 2**32), few=st.integers(1, 40), step=st.integers(1, 3000), limit=st.sampled_from(LIMITS))
def test_the_bound_holds_where_whole_sets_fall_into_few_bins(seed, few, step, limit) -> None:
    """Some hundreds of scores beside each other, few of them anomalous, next to others that use up the bins."""
    rng = np.random.default_rng(seed)
    filler = np.zeros(600, np.int32), rng.random(600, dtype=np.float32) * np.float32(0.4)
    regions = rng.permutation(np.r_[np.arange(few), np.zeros(300)]).astype(np.int32)
    near = (0.5 + rng.integers(0, step, len(regions)) * 2.0**-24).astype(np.float32)
    clouds = [filler, (regions, near)] if few > 1 else [filler, (np.append(regions, 1), np.append(near, near[0]))]
    clouds = [(own.astype(np.int32), values.astype(np.float32)) for own, values in clouds]
    accumulator = accumulated(clouds, exact_points=0, bins=512)
    off = np.abs(numbers(accumulator.figures(limit)) - numbers(exact(clouds, limit)))
    assert (off <= numbers(accumulator.error_bounds(limit)) + 1e-9).all()


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32), shape=st.sampled_from(SHAPES), cut=st.integers(1, 5))
def test_counts_do_not_depend_on_order_when_bits_are_left_out(seed: int, shape: str, cut: int) -> None:
    clouds = clouds_of(shape, seed % 1000, points=700)
    order = np.random.default_rng(seed).permutation(len(clouds))
    once = accumulated(clouds, exact_points=0, bins=512)
    shuffled = [clouds[i] for i in order]
    merged = accumulated(shuffled[:cut], exact_points=0, bins=512).merge(
        accumulated(shuffled[cut:], exact_points=10**6, bins=512)
    )
    for other in (accumulated(shuffled, exact_points=1500, bins=512), merged):
        assert histogram(other).shift == histogram(once).shift
        assert (histogram(other).keys == histogram(once).keys).all()
        assert (histogram(other).counts == histogram(once).counts).all()
        assert other.figures() == once.figures()
        assert other.error_bounds() == once.error_bounds()


def test_anomalies_that_share_a_bin_gain_precision_from_each_other() -> None:
    """No normal point is among them, so only counting 100 thresholds as one moves AP: upwards, within its bound."""
    spread, step = np.linspace(0, 0.4, 600, dtype=np.float32), np.arange(100) * 2.0**-24
    scores = np.concatenate([spread, np.full(50, 0.9), 0.5 + step]).astype(np.float32)
    clouds = [(np.repeat([0, 1], [650, 100]).astype(np.int32), scores)]
    accumulator = accumulated(clouds, exact_points=0, bins=512)
    above = numbers(accumulator.figures()) - numbers(exact(clouds))
    assert above[1] > 0.1
    assert (np.abs(above) <= numbers(accumulator.error_bounds()) + 1e-9).all()


def test_merging_leaves_the_other_as_it_is() -> None:
    clouds = clouds_of("even", points=500)
    other = accumulated(clouds[:2])
    before = other.figures()
    accumulated(clouds[2:], exact_points=0, bins=512).merge(other)
    assert other.exact and other.points == 1000 and other.figures() == before


def test_resolution_is_what_it_says() -> None:
    """Scores over all exponents of [0, 1]: 4,096 bins leave 5 leading bits of the fraction, 127·2^5 + 1 bins."""
    clouds = clouds_of("wide", points=20_000)
    values = 2.0 ** np.random.default_rng(1).uniform(-126, 0, 100_000)
    accumulator = accumulated(
        [*clouds, (np.zeros(100_000, np.int32), values.astype(np.float32))], exact_points=0, bins=4096
    )
    assert accumulator.resolution == 2.0**-5
    ordered = np.sort(values.astype(np.float32))
    for low, high in pairwise(ordered[:: len(ordered) // 200]):
        if high - low >= accumulator.resolution * high:
            shift = histogram(accumulator).shift
            assert score_keys(np.array([low]))[0] >> shift != score_keys(np.array([high]))[0] >> shift


def test_keys_sort_and_tie_as_the_scores_do() -> None:
    values = np.array([-3e38, -1.0, -1e-45, -0.0, 0.0, 1e-45, 1e-38, 0.5, np.nextafter(np.float32(0.5), 1), 1, 3e38])
    keys = score_keys(values.astype(np.float32)).astype(np.int64)
    assert np.sign(np.diff(keys)).tolist() == np.sign(np.diff(values.astype(np.float32))).tolist()


def test_large_regions_keep_their_share() -> None:
    """A region of 300,001 points among small ones: shares are whole units, and sum to one unit-sum a region."""
    rng = np.random.default_rng(0)
    regions = np.r_[np.ones(300_001), np.arange(2, 12), np.zeros(50_000)].astype(np.int32)
    clouds = [(regions, rng.random(len(regions), dtype=np.float32))]
    accumulator = accumulated(clouds, exact_points=0)
    assert histogram(accumulator).counts[2].sum() == 11 * 2**36
    assert accumulator.figures() == pytest.approx(exact(clouds), abs=1e-10)


def test_bad_arguments_are_refused() -> None:
    zeros = np.zeros(2, np.int32)
    with pytest.raises(ConfigError, match="not finite"):
        PointAccumulator().add(zeros, np.array([0, np.nan], np.float32))
    with pytest.raises(ConfigError, match="region is negative"):
        PointAccumulator().add(zeros - 1, np.zeros(2, np.float32))
    with pytest.raises(ConfigError, match="exact_points: option out of range"):
        PointAccumulator(exact_points=-1)
    with pytest.raises(ConfigError, match="bins: option out of range"):
        PointAccumulator(bins=511)
    for method in ("figures", "error_bounds"):
        with pytest.raises(ConfigError, match="limit: option out of range"):
            getattr(PointAccumulator(), method)(0.0)


def test_nothing_and_one_class_only_are_undefined() -> None:
    for exact_points in (0, 1000):
        for regions in (np.zeros(0, np.int32), np.zeros(3, np.int32), np.ones(3, np.int32)):
            accumulator = accumulated([(regions, np.zeros(len(regions), np.float32))], exact_points=exact_points)
            assert accumulator.figures() == accumulator.error_bounds() == (None, None, None)


def test_memory_does_not_grow_with_the_points() -> None:
    """20 million points, 160 MB if they were held, under 40 MB at the peak, the figures' own memory counted."""
    rng = np.random.default_rng(0)
    regions = np.zeros(100_000, np.int32)
    regions[:2000] = np.arange(2000) // 500 + 1
    accumulator = PointAccumulator(exact_points=1 << 18, bins=1 << 16)
    peaks = []
    tracemalloc.start()
    try:
        for number in range(200):
            accumulator.add(regions, rng.random(100_000, dtype=np.float32) * np.float32(0.9) + regions.clip(0, 1) / 10)
            if number in (19, 199):
                accumulator.figures()
                peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert accumulator.points == 20_000_000
    assert peaks[-1] < 40e6
    assert peaks[-1] < 1.1 * peaks[0]  # nothing grows after the first clouds


POINTS = torch.rand(400, 3, generator=torch.Generator().manual_seed(0))


class MemorySample(Sample):
    """400 random points, 24 of them anomalous in an anomalous cloud."""

    def load(self):
        labels = (torch.arange(400) < 24) & bool(self.label)
        return PointCloud.create(POINTS, source=str(self.path)), labels


class Noisy:
    """Scores that differ from cloud to cloud, higher on the first 24 points."""

    def score(self, source: PointCloud) -> Detection:
        seed = torch.Generator().manual_seed(int(str(source.source).rsplit("_")[-1]))
        lift = 0.2 * (torch.arange(400) < 24)
        layer = torch.rand(400, generator=seed) * 0.5 + lift
        return Detection(0.5, layer.square(), source, {"layer": layer, "wide": 1e4 * layer - 3e3})


def dataset() -> Dataset:
    kinds = ("good", "hole", "dent", "hole")
    samples = [
        MemorySample(path := Path(f"{name}_{number}"), name, "test", int(kind != "good"), kind, path)
        for name, count in (("a", 40), ("b", 4))
        for number, kind in zip(range(count), kinds * 10, strict=False)
    ]
    return Dataset("memory", Path("root"), tuple(samples))


def test_evaluate_counts_to_the_same_figures(monkeypatch) -> None:
    held = evaluate(Noisy(), dataset())
    counted = evaluate(Noisy(), dataset(), exact_points=2000)  # `a` has 16,000 points and `b` 1,600
    assert held.notes == {}
    for bins, error in ((1 << 24, 1e-9), (1 << 14, 5e-3), (1, 3e-2)):
        monkeypatch.setattr(benchmark, "CATEGORY_BINS", bins)
        counted = evaluate(Noisy(), dataset(), exact_points=2000)
        assert ("point figures" in counted.notes) == (bins < 1 << 24)
        for key, table in held.maps.items():
            own = counted.maps[key]
            assert own.categories["b"] == table.categories["b"]
            assert own.categories["a"].values() == pytest.approx(table.categories["a"].values(), abs=error)
            for kind, figures in table.kinds.items():
                assert own.kinds[kind].values() == pytest.approx(figures.values(), abs=error)
    assert counted.notes["point figures"].startswith("of rounded scores, within ")
    assert counted.notes["point figures"].endswith(" percent points, in a")
    assert "- point figures: of rounded scores" in counted.to_markdown()


def test_evaluate_lets_go_of_scored_clouds() -> None:
    """No cloud's scores are held once they are counted, those of rare kinds included."""
    points = benchmark._Points(exact_points=1000, bins=512)
    result = evaluate(Noisy(), dataset()).clouds[1]
    for number in range(8):
        regions = np.arange(400, dtype=np.int32) < 24
        kind = replace(result, kind=f"kind {number}")
        scored = benchmark._Scored(kind, regions.astype(np.int32), {"layer": np.random.default_rng(0).random(400)})
        points.add(scored, "layer")
        held = [len(own._held) for own in (points.pooled, *points.kinds.values())]
        assert sum(held) == (2 * (number + 1) if number < 2 else 0)
