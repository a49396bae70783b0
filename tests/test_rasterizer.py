"""The z-buffer's parts against their naive twins, and the bits that chunks and threads must not change."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pointadplus.render import rasterizer
from pointadplus.render.rasterizer import (
    EMPTY,
    front_keys,
    home_pixels,
    nearest_in_window,
    pack,
    rasterize,
    spread,
    unpack,
    within,
)
from tests.reference import splats as naive

seeds = st.integers(0, 2**32 - 1)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scene(views: int, count: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pixels on a grid of 1/8, so that distances are exact and often equal; depths with ties, some behind the eye."""
    source = generator(seed)
    pixels = torch.randint(-24, 8 * size + 24, (views, count, 2), generator=source) / 8.0
    return pixels, torch.randint(-2, 6, (views, count), generator=source) / 2.0


def radii(shape: tuple[int, ...], seed: int) -> Tensor:
    """Squares of three radii of splats, of which one stays in its own pixel."""
    return torch.tensor([0.5, 2.5, 12.5])[torch.randint(3, shape, generator=generator(seed))]


# Keys


@given(st.lists(st.floats(0.0, width=32), min_size=1, max_size=30), st.integers(0, 2**30))
@settings(max_examples=60, deadline=None)
def test_keys_order_as_depths_and_then_as_points(depths: list[float], first: int) -> None:
    values = torch.tensor([depths], dtype=torch.float32).abs()  # of −0.0 the bits are negative
    keys = pack(values, first)[0]
    assert keys.argsort().tolist() == sorted(range(len(depths)), key=lambda n: (depths[n], n))
    assert (keys < EMPTY).all() and len(keys.unique()) == len(depths)
    numbers, back = unpack(keys)
    assert numbers.tolist() == list(range(first, first + len(depths))) and torch.equal(back, values[0])


def test_an_empty_key_is_no_point_at_no_depth() -> None:
    index, depth = unpack(torch.tensor([[EMPTY, 0], [EMPTY - 1, 3]]))
    assert index.tolist() == [[-1, 0], [2**32 - 2, 3]]
    assert depth[0].tolist() == [math.inf, 0.0]


@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 8), seeds)
@settings(max_examples=60, deadline=None)
def test_a_pixel_keeps_the_nearest_point_that_falls_into_it(views: int, count: int, size: int, seed: int) -> None:
    pixels, depth = scene(views, count, size, seed)
    index, nearest = unpack(front_keys(pixels, depth, size))
    assert index.tolist() == naive.front(pixels.numpy(), depth.numpy(), size).tolist()
    expected = torch.where(index < 0, math.inf, depth.gather(1, index.clamp_min(0).flatten(1)).view_as(nearest))
    assert torch.equal(nearest, expected)


def test_where_a_pixel_begins_and_ends() -> None:
    below = math.nextafter(4.0, 0.0) - 1e-6  # the last float32 but a few
    places = [[0.0, 0.0], [0.999, 1.0], [below, below], [4.0, 1.0], [1.0, 4.0], [-1e-6, 1.0], [1.0, -1e-6]]
    nowhere = [[math.nan, 1.0], [1.0, math.nan], [math.inf, 1.0], [1.0, -math.inf], [1e30, 1.0], [1.0, 1.0], [1.0, 1.0]]
    depth = torch.tensor([[1.0] * 12 + [0.0, math.nan]])
    pixels = torch.tensor([places + nowhere])
    home, inside = home_pixels(pixels, depth, 4)
    assert home.tolist() == [[0, 4, 15] + [0] * 11] and inside.tolist() == [[True] * 3 + [False] * 11]
    index, _ = unpack(front_keys(pixels, depth, 4))
    assert (index >= 0).sum() == 3 and index[0, 0, 0] == 0 and index[0, 1, 0] == 1 and index[0, 3, 3] == 2


def test_of_equally_near_points_the_first_is_in_front() -> None:
    pixels, depth = torch.full((1, 5, 2), 0.5), torch.tensor([[3.0, 2.0, 2.0, -1.0, 2.0]])
    assert unpack(front_keys(pixels, depth, 1))[0].item() == 1


# Splats


@given(st.integers(1, 2), st.integers(1, 20), st.integers(1, 7), seeds)
@settings(max_examples=40, deadline=None)
def test_spread_equals_its_naive_twin_and_rasterize(views: int, count: int, size: int, seed: int) -> None:
    pixels, depth = scene(views, count, size, seed)
    keys, squared = front_keys(pixels, depth, size), radii((views, size, size), seed)
    splats, nearest = unpack(spread(keys, squared))
    front, _ = unpack(keys)
    assert splats.tolist() == naive.spread(front.numpy(), depth.numpy(), squared.numpy()).tolist()

    home, inside = home_pixels(pixels, depth, size)
    shown = inside & (front.flatten(1).gather(1, home) == torch.arange(count))
    centres = torch.stack([home % size, home // size], -1) + 0.5
    radius = squared.flatten(1).gather(1, home).sqrt()
    index, twin = rasterize(centres, torch.where(shown, depth, -1.0), radius, size)
    assert torch.equal(splats, index) and torch.equal(nearest, twin)


@pytest.mark.parametrize("squared", [0.0, 0.99, 1.0, 2.0, 4.0, 4.99, 5.0, 25.0, 24.99, 1e4])
def test_the_disc_of_one_key_holds_its_rim(squared: float) -> None:
    keys = torch.full((1, 15, 15), EMPTY)
    keys[0, 7, 6] = 0
    steps = torch.arange(15)
    expected = (steps - 6).square() + (steps[:, None] - 7).square() <= squared
    assert torch.equal(unpack(spread(keys, torch.full((1, 15, 15), squared)))[0][0] == 0, expected)


def test_radii_of_pixels_without_a_key_do_not_matter() -> None:
    keys = front_keys(*scene(2, 20, 9, 1), 9)
    squared = radii((2, 9, 9), 1)
    strange = torch.where(keys == EMPTY, math.nan, squared)
    assert torch.equal(spread(keys, strange), spread(keys, squared))
    assert (spread(torch.full_like(keys, EMPTY), squared) == EMPTY).all()


@pytest.mark.parametrize("radius", [0.0, 0.9, 1.0, 1.3, 1.42, 2.0, 2.23, 2.24, 3.0, 3.7, 5.0, 7.1, 10.5, 30.0])
def test_within_is_the_erosion_by_a_disc(radius: float) -> None:
    for seed, holes in enumerate((0.006, 0.05)):
        mask = torch.rand(1, 13, 13, generator=generator(seed)) > holes
        assert within(mask, radius).tolist() == naive.within(mask.numpy(), radius).tolist()


@pytest.mark.parametrize("radius", [0.0, 1.0, 6.5, 40.0])
def test_the_edge_of_the_image_does_not_erode(radius: float) -> None:
    assert within(torch.ones(1, 9, 9, dtype=torch.bool), radius).all()
    assert not within(torch.zeros(1, 9, 9, dtype=torch.bool), radius).any()


# The nearest point around


@pytest.mark.parametrize("reach", [0, 1, 2, 5])
@given(st.integers(1, 2), st.integers(1, 40), st.integers(1, 7), seeds)
@settings(max_examples=15, deadline=None)
def test_the_nearest_in_a_window_equals_its_naive_twin(
    reach: int, views: int, count: int, size: int, seed: int
) -> None:
    pixels, depth = scene(views, count, size, seed)
    index, _ = unpack(front_keys(pixels, depth, size))
    found = nearest_in_window(index, pixels, reach)
    assert found.tolist() == naive.nearest_in_window(index.numpy(), pixels.numpy(), reach).tolist()
    by_pixels = rasterizer._window_by_pixels(index[0], pixels[0], reach)
    assert torch.equal(rasterizer._window_by_points(index[0], pixels[0], reach), by_pixels)


@pytest.mark.parametrize("reach", [0, 1, 4, 9])
def test_both_searches_of_a_window_agree_to_the_bit_on_any_floats(reach: int) -> None:
    pixels = torch.rand(1, 900, 2, generator=generator(reach)) * 40
    index, _ = unpack(front_keys(pixels, torch.ones(1, 900), 40))
    by_pixels = rasterizer._window_by_pixels(index[0], pixels[0], reach)
    assert torch.equal(rasterizer._window_by_points(index[0], pixels[0], reach), by_pixels)
    assert reach == 0 or (by_pixels >= 0).float().mean() > 0.9


# Bits


def stages(pixels: Tensor, depth: Tensor, size: int) -> list[Tensor]:
    """All that is made of points."""
    keys = front_keys(pixels, depth, size)
    index, _ = unpack(keys)
    splats = spread(keys, radii(index.shape, 0))
    windows = [nearest_in_window(index, pixels, reach) for reach in (1, 3)]
    return [keys, splats, within(index >= 0, 1.5), *windows, *rasterize(pixels, depth, 2.5, size)]


def all_equal(results: list[Tensor], expected: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(results, expected, strict=True))


@pytest.mark.parametrize("chunk", [1, 7, 64, 65, 130])
def test_chunks_of_points_and_views_change_no_bit(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    pixels, depth = scene(3, 65, 8, 5)
    whole = stages(pixels, depth, 8)
    monkeypatch.setattr(rasterizer, "_CHUNK", chunk)
    assert len(list(rasterizer._chunks(3, 65))) > 1
    assert all_equal(stages(pixels, depth, 8), whole)


def test_threads_change_no_bit() -> None:
    pixels = torch.rand(2, 17_001, 2, generator=generator(0)) * 64  # more pairs than torch gives to one thread
    depth = torch.randint(1, 9, (2, 17_001), generator=generator(1)).float()
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append(stages(pixels, depth, 64))
    finally:
        torch.set_num_threads(threads)
    assert all_equal(results[1], results[0])
