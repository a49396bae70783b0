"""The parts of a drawing against their naive twins, and the bits that chunks and threads must not change."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pointadplus.cloud import PointCloud
from pointadplus.render import MultiViewRenderer, RenderConfig, drawing, point_spacing
from pointadplus.render import nearest as nearest_module
from pointadplus.render.cameras import Cameras, frame_cameras, view_rotations
from pointadplus.render.keys import EMPTY, pack, unpack
from pointadplus.render.nearest import flat_nonzero, nearest_in_window
from pointadplus.render.splat_size import RADIUS_STEP, SplatSize
from pointadplus.render.splatting import Codes, Disc, eroded, splat
from pointadplus.render.visibility import Surface
from pointadplus.render.window import Window
from tests.reference import splats as naive
from tests.reference.rasterizer import rasterize

seeds = st.integers(0, 2**32 - 1)
RADII = [0.5, 1.5, 2.5, 6.5, 12.5]  # squared


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scene(views: int, count: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pixels on a grid of 1/8, so that distances are exact and often equal; depths with ties, some behind the eye."""
    source = generator(seed)
    pixels = torch.randint(-24, 8 * size + 24, (views, count, 2), generator=source) / 8.0
    return pixels, torch.randint(-2, 6, (views, count), generator=source) / 2.0


def front_of(pixels: Tensor, depth: Tensor, size: int, reach: int) -> tuple[Window, Tensor, Tensor]:
    """The window, and the points and depths in front in it."""
    window = Window.around(pixels, size, reach)
    keys = torch.full((len(depth), window.size), EMPTY)
    keys.scatter_reduce_(1, window.home(pixels, depth).long(), pack(depth), "amin")
    window.clear_margin(keys, EMPTY)
    return window, *unpack(keys)


def grid(image: Tensor, window: Window) -> Tensor:
    return image.view(-1, window.height, window.width)


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
    index, depth = unpack(torch.tensor([[EMPTY, 0], [(1 << 30 << 32) | 7, 3]]))
    assert index.tolist() == [[-1, 0], [7, 3]] and depth.tolist() == [[math.inf, 0.0], [2.0, depth[1, 1]]]


# Windows


@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 8), st.integers(0, 3), seeds)
@settings(max_examples=60, deadline=None)
def test_a_pixel_keeps_the_nearest_point_that_falls_into_it(
    views: int, count: int, size: int, reach: int, seed: int
) -> None:
    pixels, depth = scene(views, count, size, seed)
    window, front, nearest = front_of(pixels, depth, size, reach)
    picture, depths = torch.full((views, size, size), -1), torch.full((views, size, size), math.inf)
    window.paste(front, picture)
    window.paste(nearest, depths)
    assert picture.tolist() == naive.front(pixels.numpy(), depth.numpy(), size).tolist()
    expected = torch.where(picture < 0, math.inf, depth.gather(1, picture.clamp_min(0).flatten(1)).view_as(depths))
    assert torch.equal(depths, expected)
    # Beside the picture, too, as far as the reach goes, and nothing is in the margin.
    shifted = naive.front(pixels.numpy() + reach, depth.numpy(), size + 2 * reach)
    assert sorted(front[front >= 0].tolist()) == sorted(shifted[shifted >= 0].tolist())
    inner = slice(window.margin, -window.margin)
    assert (grid(front, window)[:, inner, inner] >= 0).sum() == (front >= 0).sum()


def test_where_a_pixel_begins_and_ends() -> None:
    below = math.nextafter(4.0, 0.0) - 1e-6  # the last float32 but a few
    places = [[0.0, 0.0], [0.999, 1.0], [below, below], [4.0, 1.0], [1.0, 4.0], [-1e-6, 1.0], [1.0, -1e-6]]
    nowhere = [[math.nan, 1.0], [1.0, math.nan], [math.inf, 1.0], [1.0, -math.inf], [1e30, 1.0], [1.0, 1.0], [1.0, 1.0]]
    depth = torch.tensor([[1.0] * 12 + [0.0, math.nan]])
    window, front, _ = front_of(torch.tensor([places + nowhere]), depth, 4, 0)
    picture = torch.full((1, 4, 4), -1)
    window.paste(front, picture)
    assert (picture >= 0).sum() == 3 and picture[0, 0, 0] == 0 and picture[0, 1, 0] == 1 and picture[0, 3, 3] == 2


def test_a_window_holds_no_more_than_it_must() -> None:
    pixels = torch.tensor([[[10.2, 30.0], [14.9, 31.5]]])
    assert Window.around(pixels, 64, 2) == Window(left=7, top=27, width=11, height=8, margin=3)
    assert Window.around(pixels - 1000.0, 64, 2).size < 100 and Window.around(pixels + 1000.0, 64, 2).size < 100


def test_of_equally_near_points_the_first_is_in_front() -> None:
    pixels, depth = torch.full((1, 5, 2), 0.5), torch.tensor([[3.0, 2.0, 2.0, -1.0, 2.0]])
    _, front, _ = front_of(pixels, depth, 1, 0)
    assert front.amax() == 1


# Splats


@pytest.mark.parametrize("reach", [1, 2, 5, 7, 8, 40, 127, 600])
def test_codes_order_as_depths_and_name_their_pixels(reach: int) -> None:
    window = Window(left=-3, top=5, width=37, height=23, margin=0)
    codes, source = Codes(window, reach), generator(reach)
    depth = 1.0 + torch.rand(3, window.size, generator=source) * torch.tensor([[1.0], [1e-6], [0.0]])
    depth[torch.rand(depth.shape, generator=source) < 0.3] = math.inf
    code = codes.encode(depth)
    assert torch.equal(code < codes.nothing, depth < math.inf) and (code >= 0).all()
    order = code.argsort(1)
    step = (depth[:1].nan_to_num(posinf=0.0).amax() - depth[:1].amin()) / codes.steps
    ordered = depth[:1].gather(1, order[:1])
    assert (ordered[:, 1:] >= ordered[:, :-1] - 2.0 * step).all()
    # Whoever carries a code to a pixel up to `reach` away, it names the pixel where it comes from.
    down, right = (torch.randint(-min(reach, n - 1), min(reach, n - 1) + 1, (3,), generator=source) for n in (23, 37))
    for dy, dx in zip(down.tolist(), right.tolist(), strict=True):
        carried = grid(code, window).roll((dy, dx), (1, 2)).flatten(1)
        at = torch.arange(window.size).view(23, 37).roll((dy, dx), (0, 1)).flatten()
        row, column = torch.meshgrid(torch.arange(23), torch.arange(37), indexing="ij")
        near = ((row - at.view(23, 37) // 37).abs() <= reach) & ((column - at.view(23, 37) % 37).abs() <= reach)
        expected = torch.where(carried < codes.nothing, at, 0)
        assert torch.equal(codes.decode(carried)[:, near.flatten()], expected.int()[:, near.flatten()])


@given(st.integers(1, 2), st.integers(1, 20), st.integers(1, 7), st.sampled_from(RADII), seeds)
@settings(max_examples=40, deadline=None)
def test_splats_equal_their_naive_twin(views: int, count: int, size: int, squared: float, seed: int) -> None:
    pixels, depth = scene(views, count, size, seed)
    depth += torch.arange(count) / 64.0  # no ties, which codes break by place
    disc = Disc(math.inf, squared)
    window, front, nearest = front_of(pixels, depth, size, 2 * disc.reach)
    codes = Codes(window, max(disc.reach, 1))
    owner = codes.decode(splat(codes.encode(nearest), disc, codes))
    index = grid(front.gather(1, owner.long()), window)
    radii = torch.full(index.shape, squared)
    assert index.tolist() == naive.spread(grid(front, window).numpy(), depth.numpy(), radii.numpy()).tolist()

    # The same as what `rasterize` draws of points at the centres of their pixels.
    view, at = (front >= 0).nonzero(as_tuple=True)
    centres = torch.zeros(views, count, 2)
    centres[view, front[view, at].long()] = torch.stack([at % window.width, at // window.width], 1) + 0.5
    shown = torch.full_like(depth, -1.0)
    shown[view, front[view, at].long()] = nearest[view, at]
    side = max(window.width, window.height)
    twin, _ = rasterize(centres, shown, math.sqrt(squared), side)
    assert torch.equal(twin[:, : window.height, : window.width], index.long())


@pytest.mark.parametrize("squared", [0.0, 0.99, 1.0, 2.0, 4.0, 4.99, 5.0, 25.0, 24.99])
def test_a_disc_holds_its_rim(squared: float) -> None:
    image = torch.ones(1, 225, dtype=torch.int32)
    image[0, 7 * 15 + 6] = 0
    steps = torch.arange(15)
    expected = (steps - 6).square() + (steps[:, None] - 7).square() <= squared
    window = Window(left=0, top=0, width=15, height=15, margin=6)
    assert torch.equal(splat(image, Disc(math.inf, squared), Codes(window, 5)).view(15, 15) == 0, expected)


@pytest.mark.parametrize("squared", [0.5, 1.5, 2.5, 4.5, 5.5, 9.5, 13.5, 25.5, 50.5])
def test_erosion_by_a_disc_equals_its_naive_twin(squared: float) -> None:
    disc = Disc(math.inf, squared)
    side = 13 + 2 * disc.reach
    for seed, holes in enumerate((0.006, 0.05, 0.5)):
        mask = torch.zeros(1, side, side, dtype=torch.bool)
        inner = slice(disc.reach, side - disc.reach)
        mask[:, inner, inner] = torch.rand(1, 13, 13, generator=generator(seed)) > holes
        found = eroded(mask.flatten(1), disc, Window(0, 0, side, side, disc.reach))
        assert found.view_as(mask).tolist() == naive.within(mask.numpy(), math.sqrt(squared)).tolist()


def sizes(cameras: Cameras, spacing: float = 0.1, config: RenderConfig | None = None) -> SplatSize:
    return SplatSize(config or RenderConfig(), cameras, spacing)


@pytest.mark.parametrize("orthographic", [False, True])
def test_discs_are_radii_rounded_up(orthographic: bool) -> None:
    cameras = frame_cameras(torch.randn(50, 3, generator=generator(0)), view_rotations("sphere1"), 200)
    cameras = Cameras(cameras.rotation, cameras.center, cameras.distance, cameras.radius, 200, orthographic)
    for spacing in (1e-4, 0.01, 0.1, 0.3, 10.0):
        size = sizes(cameras, spacing)
        discs = size.discs(0.5, 60.0)
        assert [disc.limit for disc in discs] == sorted(disc.limit for disc in discs) and discs[-1].limit == math.inf
        assert [disc.squared for disc in discs] == sorted({disc.squared for disc in discs}, reverse=True)
        for depth in torch.linspace(0.5, 60.0, 200).tolist():
            disc = next(disc for disc in discs if depth < disc.limit * (1 - 1e-6))
            radius = float(size.radius(torch.tensor([depth])))
            assert (
                radius**2 * (1 - 1e-5) <= disc.squared + 0.5 and disc.squared < (1.02 * RADIUS_STEP * radius) ** 2 + 1.5
            )


@given(st.integers(1, 3), st.integers(1, 60), st.sampled_from([0.05, 0.15, 0.4]), seeds)
@settings(max_examples=40, deadline=None)
def test_splats_of_many_sizes_equal_their_naive_twin(views: int, count: int, spacing: float, seed: int) -> None:
    """Also where smaller ones are drawn again, and those that can change nothing are not drawn."""
    points = torch.randn(count, 3, generator=generator(seed))
    cameras = frame_cameras(points, view_rotations("sphere3")[:views], 24)
    pixels, depth = cameras.project(points)
    size = sizes(cameras, spacing, RenderConfig(image_size=24, max_radius=0.3))
    reach = size.discs(0.0, math.inf)[0].reach
    window, front, nearest = front_of(pixels, depth, 24, 2 * reach)
    owner, solid = drawing.splats_and_closing(nearest, size, Codes(window, reach))
    index = grid(front.gather(1, owner.long()), window)
    discs = size.discs(float(depth.amin()), float(depth.amax()))
    squared = torch.zeros_like(nearest)
    for disc in reversed(discs):
        squared[nearest < disc.limit] = disc.squared
    twin = naive.spread(grid(front, window).numpy(), depth.numpy(), grid(squared, window).numpy())
    assert index.tolist() == twin.tolist()
    # What points fall into is solid, no more than splats cover is, and a splat's disc round a lone point is not.
    assert solid[front >= 0].all() and (index >= 0).flatten(1)[solid].all()
    if count == 1:
        assert torch.equal(solid, front >= 0)


def test_closing_fills_a_hole_and_does_not_grow() -> None:
    window = Window(left=0, top=0, width=60, height=60, margin=20)
    row, column = torch.meshgrid(torch.arange(60), torch.arange(60), indexing="ij")
    square = (row >= 20) & (row < 40) & (column >= 20) & (column < 40)
    full = torch.where(square, 2.0, math.inf)
    holes = full.clone()
    holes[26:29, 30:32] = math.inf
    cameras = frame_cameras(torch.randn(50, 3, generator=generator(0)), view_rotations("sphere1"), 200)
    size = sizes(cameras, 4.0 / float(1.8 * cameras.focal / 2.0))  # a radius of 4 pixels at depth 2
    for picture in (full, holes):
        _, solid = drawing.splats_and_closing(picture.flatten()[None], size, Codes(window, 6))
        assert torch.equal(solid.view(60, 60), square)


# The nearest point around


def nearest(window: Window, front: Tensor, pixels: Tensor, reach: int) -> Tensor:
    places = pixels.gather(1, front.clamp_min(0).long()[..., None].expand(-1, -1, 2))
    return nearest_in_window(front >= 0, places, reach, window)


@pytest.mark.parametrize("reach", [0, 1, 2, 3, 5])
@given(st.integers(1, 2), st.integers(1, 40), st.integers(1, 7), seeds)
@settings(max_examples=15, deadline=None)
def test_the_nearest_in_a_window_equals_its_naive_twin(
    reach: int, views: int, count: int, size: int, seed: int
) -> None:
    pixels, depth = scene(views, count, size, seed)
    window, front, _ = front_of(pixels, depth, size, 2 * max(reach, 1))
    found = front.gather(1, nearest(window, front, pixels, reach).long())
    shifted = pixels - torch.tensor([window.left, window.top])
    twin = naive.nearest_in_window(grid(front, window).numpy(), shifted.numpy(), reach)
    assert grid(found, window).tolist() == twin.tolist()


@pytest.mark.parametrize("reach", [0, 1, 2, 3])
def test_both_searches_of_a_window_agree_to_the_bit_on_any_floats(monkeypatch: pytest.MonkeyPatch, reach: int) -> None:
    pixels = torch.rand(2, 900, 2, generator=generator(reach)) * 40
    window, front, _ = front_of(pixels, torch.ones(2, 900), 40, 8)
    found = []
    for search in (nearest_module._by_pixels, nearest_module._by_points):
        monkeypatch.setattr(nearest_module, "_by_pixels", search)
        monkeypatch.setattr(nearest_module, "_by_points", search)
        found.append(nearest(window, front, pixels, reach))
    assert torch.equal(*found)
    assert reach == 0 or (found[0] > 0).float().mean() > 0.5


def test_true_places_are_counted_through() -> None:
    mask = torch.rand(3, 50, generator=generator(0)) > 0.5
    assert torch.equal(flat_nonzero(mask), mask.flatten().nonzero()[:, 0])


# Visibility


@given(st.sampled_from(["blob", "sphere", "plane"]), st.booleans(), seeds)
@settings(max_examples=25, deadline=None)
def test_hopeless_points_are_not_on_one_piece(shape: str, orthographic: bool, seed: int) -> None:
    """The short cut leaves out only what the full test would refuse."""
    points = torch.randn(3000, 3, generator=generator(seed))
    normals = torch.nn.functional.normalize(points, dim=1)
    if shape == "sphere":
        points = normals
    if shape == "plane":
        points, normals = points * torch.tensor([1.0, 1.0, 0.02]), torch.tensor([0.0, 0.0, 1.0]).expand(3000, 3)
    cloud = PointCloud.create(points, normals=normals)
    render = MultiViewRenderer(views="sphere3", image_size=64, orthographic=orthographic)
    views = render.render(cloud)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Surface, "hopeless", lambda self, cameras, part, depth, behind, aside, slack: behind > torch.inf)
        assert torch.equal(render.render(cloud).visible, views.visible)


# Bits


def rendered(count: int = 20_001) -> list[Tensor]:
    """All that is made of points."""
    points = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator(0)), dim=1)
    views = MultiViewRenderer(views="sphere3", image_size=200).render(PointCloud.create(points, normals=points))
    return [views.index, views.depth, views.pixels, views.visible]


def all_equal(results: list[Tensor], expected: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(results, expected, strict=True))


@pytest.mark.parametrize("chunk", [1000, 7001, 20_000])
def test_chunks_change_no_bit(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    whole = rendered()
    monkeypatch.setattr(drawing, "_PART", chunk)
    assert all_equal(rendered(), whole)


def test_views_in_flight_together_change_no_bit() -> None:
    """As they are on a GPU."""
    points = torch.randn(4000, 3, generator=generator(1)) * torch.tensor([1.0, 0.5, 0.2])
    normals = torch.nn.functional.normalize(torch.randn(4000, 3, generator=generator(2)), dim=1)
    render = MultiViewRenderer(views="sphere5", image_size=96)
    cloud = PointCloud.create(points, normals=normals)
    views = render.render(cloud)
    together = render._blank(views.cameras, points, normals)
    size = SplatSize(render.config, views.cameras, point_spacing(points))
    drawing.draw(together, points, Surface.of(points, normals), size)
    names = ("index", "depth", "pixels", "visible")
    assert all_equal([getattr(together, name) for name in names], [getattr(views, name) for name in names])


def test_threads_change_no_bit() -> None:
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append(rendered(70_001))  # more than torch gives to one thread
    finally:
        torch.set_num_threads(threads)
    assert all_equal(results[1], results[0])
