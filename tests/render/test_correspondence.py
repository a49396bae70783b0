"""Maps lifted to points: weighted means and votes against their naive twins, and what a view's weight means."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from pointadplus.errors import ConfigError
from pointadplus.render.cameras import frame_cameras, view_rotations
from pointadplus.render.correspondence import (
    facing_weights,
    fill_unseen,
    gather_at_points,
    lift_labels,
    lift_to_points,
    visible_mean,
)
from tests.reference import correspondence as naive

sizes = st.tuples(
    st.integers(1, 4),  # views
    st.integers(1, 12),  # points
    st.integers(1, 3),  # channels
    st.integers(1, 6),  # rows of a map
    st.integers(1, 6),  # its columns
    st.integers(1, 40),  # image size
)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scene(views: int, count: int, image_size: int, source: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels, some on the borders of cells and some beyond the rim; visibility; weights, of which some are 0."""
    pixels = (torch.rand(views, count, 2, generator=source) * 1.2 - 0.1) * image_size
    pixels = torch.where(torch.rand(views, count, 1, generator=source) < 0.3, pixels.round(), pixels)
    visible = torch.rand(views, count, generator=source) < 0.6
    weights = torch.rand(views, count, generator=source)
    return pixels, visible, torch.where(weights < 0.2, 0.0, weights)


def same_bits_in_any_number_of_threads(work: Callable[[], Tensor]) -> bool:
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(work())
    finally:
        torch.set_num_threads(threads)
    return all(torch.equal(result, results[0]) for result in results)


# Means


@given(sizes, st.booleans(), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_lifting_equals_its_naive_twin(size: tuple[int, ...], weighted: bool, seed: int) -> None:
    views, count, channels, rows, columns, image_size = size
    source = generator(seed)
    maps = torch.randn(views, channels, rows, columns, generator=source)
    pixels, visible, weights = scene(views, count, image_size, source)
    chosen = weights if weighted else None
    twin, twin_seen = naive.lift(
        maps.numpy(), pixels.numpy(), visible.numpy(), image_size, weights.numpy() if weighted else None
    )
    gathered = gather_at_points(maps, pixels, image_size)
    for lifted, seen in (
        lift_to_points(maps, pixels, visible, image_size, chosen),
        visible_mean(gathered, visible, chosen),
    ):
        torch.testing.assert_close(lifted.double(), torch.from_numpy(twin), atol=2e-5, rtol=1e-5)
        assert seen.tolist() == twin_seen.tolist()


def test_weights_of_one_change_no_bit_and_their_unit_does_not_matter() -> None:
    source = generator(0)
    maps = torch.randn(5, 7, 6, 6, generator=source)
    pixels, visible, weights = scene(5, 200, 32, source)
    gathered = gather_at_points(maps, pixels, 32)
    for mean in (
        lambda weights: lift_to_points(maps, pixels, visible, 32, weights)[0],
        lambda weights: visible_mean(gathered, visible, weights)[0],
    ):
        assert torch.equal(mean(torch.ones(5, 200)), mean(None))
        assert torch.equal(mean(1024.0 * weights), mean(weights)) and not torch.equal(mean(weights), mean(None))


def test_a_view_of_weight_zero_does_not_see() -> None:
    values = torch.tensor([[[1.0], [5.0], [9.0]], [[3.0], [7.0], [9.0]]])
    visible = torch.tensor([[True, True, True], [True, True, False]])
    weights = torch.tensor([[3.0, 0.0, 0.0], [1.0, 2.0, math.nan]])  # of what is not visible, nothing matters
    mean, seen = visible_mean(values, visible, weights)
    assert mean[:, 0].tolist() == [1.5, 7.0, 0.0] and seen.tolist() == [True, True, False]
    filled = fill_unseen(mean, seen, torch.tensor([[0.0, 0, 0], [5.0, 0, 0], [4.0, 0, 0]]), k=1)
    assert filled[:, 0].tolist() == [1.5, 7.0, 7.0]


@pytest.mark.parametrize("bad", [-1e-6, math.nan, math.inf])
def test_what_is_no_weight_is_refused(bad: float) -> None:
    weights = torch.tensor([[1.0, bad]])
    for call in (
        lambda: lift_to_points(torch.ones(1, 1, 2, 2), torch.ones(1, 2, 2), torch.ones(1, 2).bool(), 4, weights),
        lambda: visible_mean(torch.ones(1, 2, 1), torch.ones(1, 2).bool(), weights),
    ):
        with pytest.raises(ConfigError, match=r"weights: .*found: 1 others"):
            call()


def test_gradients_of_a_weighted_mean_reach_maps_and_weights_and_stay_finite_where_unseen() -> None:
    source = generator(1)
    maps = torch.randn(3, 2, 4, 4, generator=source, dtype=torch.float64, requires_grad=True)
    pixels, visible, _ = scene(3, 6, 16, source)
    visible[:, 0] = False
    weights = (torch.rand(3, 6, generator=source, dtype=torch.float64) + 0.1).requires_grad_()
    lift = lambda maps, weights: lift_to_points(maps, pixels, visible, 16, weights)[0]  # noqa: E731
    mean = lambda maps, weights: visible_mean(gather_at_points(maps, pixels, 16), visible, weights)[0]  # noqa: E731
    assert torch.autograd.gradcheck(lift, (maps, weights)) and torch.autograd.gradcheck(mean, (maps, weights))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_means_keep_the_dtype_of_the_maps(dtype: torch.dtype) -> None:
    maps, (pixels, visible, weights) = torch.ones(3, 2, 4, 4, dtype=dtype), scene(3, 50, 16, generator(2))
    lifted, seen = lift_to_points(maps, pixels, visible, 16, weights)
    assert lifted.dtype == dtype
    torch.testing.assert_close(lifted[seen], torch.ones_like(lifted[seen]))


# Weights


@pytest.mark.parametrize("orthographic", [False, True])
def test_facing_is_the_cosine_between_normal_and_eye(orthographic: bool) -> None:
    points = torch.randn(20, 3, generator=generator(3))
    normals = normalize(torch.randn(20, 3, generator=generator(4)), dim=1)
    cameras = frame_cameras(points, view_rotations("cpmf27"), 64, orthographic=orthographic)
    weights = facing_weights(cameras, points, normals)
    for v, eye in enumerate(cameras.eyes()):
        for n in range(len(points)):
            sight = cameras.rotation[v, 2] if orthographic else eye - points[n]
            cosine = abs(float(sight @ normals[n])) / math.hypot(*sight.tolist())
            assert weights[v, n].item() == pytest.approx(cosine, abs=1e-5)
    assert torch.equal(facing_weights(cameras, points, -normals), weights)


def test_facing_stays_within_zero_and_one() -> None:
    normals = normalize(torch.randn(5000, 3, generator=generator(5)), dim=1)
    cameras = frame_cameras(normals, view_rotations("faces6"), 64)
    weights = facing_weights(cameras, cameras.eyes()[:1] + normals, normals)  # the first eye sees all of them head on
    assert weights.min() >= 0 and weights.max() == 1 and (weights[0] > 1 - 1e-6).all()


# Votes


@given(sizes, st.integers(1, 4), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_votes_equal_their_naive_twin(size: tuple[int, ...], classes: int, seed: int) -> None:
    views, count, _, rows, columns, image_size = size
    source = generator(seed)
    maps = torch.randint(classes, (views, rows, columns), generator=source)
    pixels, visible, _ = scene(views, count, image_size, source)
    labels = lift_labels(maps, pixels, visible, image_size, classes)
    assert labels.dtype == torch.int64
    assert labels.tolist() == naive.vote(maps.numpy(), pixels.numpy(), visible.numpy(), image_size)


def test_the_majority_wins_and_ties_go_to_the_lowest() -> None:
    maps = torch.tensor([2, 1, 1, 2, 0]).view(5, 1, 1)
    visible = torch.tensor([[1, 1, 1, 0], [1, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0]]).bool()
    assert lift_labels(maps, torch.ones(5, 4, 2), visible, 2, 3).tolist() == [1, 2, 1, -1]


@pytest.mark.parametrize("image_size", [49, 336])
def test_a_point_on_a_border_belongs_to_the_pixel_that_begins_there(image_size: int) -> None:
    edges = torch.arange(49.0) * image_size / 49  # 29 / 49 · 49 < 29 in float64: the order of operations matters
    x = torch.cat([edges, torch.nextafter(edges[1:], torch.tensor(0.0))])  # float32 would round some into the next
    maps = torch.arange(49, dtype=torch.int32).expand(1, 49, 49)
    labels = lift_labels(maps, torch.stack([x, 0 * x], 1)[None], torch.ones(1, 97, dtype=torch.bool), image_size, 49)
    assert labels.tolist() == [math.floor(Fraction(each) * 49 / image_size) for each in x.tolist()]


def test_labels_out_of_range_are_refused_only_where_a_point_stands() -> None:
    maps, pixels = torch.tensor([[[0, -1], [2, 1]]]), torch.tensor([[[0.5, 0.5], [1.5, 0.5], [0.5, 1.5]]])
    call = lambda visible: lift_labels(maps, pixels, torch.tensor([visible]), 2, 2).tolist()  # noqa: E731
    assert call([True, False, False]) == [0, -1, -1]
    with pytest.raises(ConfigError, match=r"label_maps: .*expected: 0 to 1; found: -1"):
        call([True, True, False])
    with pytest.raises(ConfigError, match="found: 2"):
        call([True, False, True])
    with pytest.raises(ConfigError, match="classes"):
        lift_labels(maps, pixels, torch.zeros(1, 3, dtype=torch.bool), 2, 0)


# Threads


def test_lifting_gives_the_same_bits_in_any_number_of_threads() -> None:
    source = generator(6)
    count = 40_001  # above the size at which torch shares work out, and no multiple of a vector's width
    maps = torch.randn(6, 2, 8, 8, generator=source)
    pixels, visible, weights = scene(6, count, 32, source)
    gathered = gather_at_points(maps, pixels, 32)
    points = torch.randn(count, 3, generator=source)
    cameras = frame_cameras(points, view_rotations("faces6"), 32)
    labels = torch.randint(4, (6, 32, 32), generator=source)
    for work in (
        lambda: lift_to_points(maps, pixels, visible, 32, weights)[0],
        lambda: visible_mean(gathered, visible, weights)[0],
        lambda: facing_weights(cameras, points, normalize(points, dim=1)),
        lambda: lift_labels(labels, pixels, visible, 32, 4),
    ):
        assert same_bits_in_any_number_of_threads(work)
