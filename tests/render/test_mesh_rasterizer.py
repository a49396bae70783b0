"""Meshes on pixels: the rasteriser against its naive twin, its edge rule, values from vertices to pixels and back."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from pointadplus.render import (
    Cameras,
    MeshFragments,
    frame_cameras,
    front_vertices,
    interpolate_on_mesh,
    mean_at_vertices,
    rasterize_labels,
    rasterize_mesh,
    view_rotations,
    visible_vertices,
)
from tests.reference import mesh_raster as naive

MODULE = "pointadplus.render.mesh_rasterizer"


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_mesh(seed: int, views: int, faces: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels on the grid of 2⁻¹⁰ in and around the image, depths, and faces; one face in ten has no area."""
    source, vertices = generator(seed), 2 + faces
    pixels = torch.randint(-4 * 1024, (size + 4) * 1024, (views, vertices, 2), generator=source) / 1024
    depth = 0.5 + 4 * torch.rand(views, vertices, generator=source)
    corners = torch.randint(0, vertices, (faces, 3), generator=source)
    corners[::10, 1] = corners[::10, 0]
    return pixels, depth, corners


def sphere_mesh(rings: int) -> tuple[Tensor, Tensor]:
    """The unit sphere in 2·rings meridians; the faces at the poles have no area on one side."""
    polar = torch.linspace(0, math.pi, rings + 1, dtype=torch.float64)[:, None]
    turn = (torch.arange(2 * rings) * math.pi / rings).expand(rings + 1, -1)
    vertices = torch.stack([polar.sin() * turn.cos(), polar.sin() * turn.sin(), polar.cos().expand_as(turn)], -1)
    ring, step = torch.meshgrid(torch.arange(rings), torch.arange(2 * rings), indexing="ij")
    a, b = 2 * rings * ring + step, 2 * rings * ring + (step + 1) % (2 * rings)
    quads = torch.stack([a, a + 2 * rings, b, b, a + 2 * rings, b + 2 * rings], -1)
    return vertices.reshape(-1, 3).float(), quads.reshape(-1, 3)


def grid_mesh(lines: int) -> tuple[Tensor, Tensor]:
    """Vertices (x, y) of [0, 1]² and the faces between lines × lines of them."""
    ticks = torch.linspace(0, 1, lines)
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    corner = (torch.arange(lines - 1)[:, None] * lines + torch.arange(lines - 1)).reshape(-1, 1)
    quads = corner + torch.tensor([0, 1, lines, lines, 1, lines + 1])
    return torch.stack([x, y], -1).reshape(-1, 2), quads.reshape(-1, 3)


def flat(pixels: Tensor) -> Tensor:
    """A depth of 1 for each vertex of one view."""
    return torch.ones(1, pixels.shape[-2])


def draw(corners: list[list[float]], depth: list[float], faces: list[list[int]], size: int = 8) -> MeshFragments:
    return rasterize_mesh(torch.tensor([corners]), torch.tensor([depth]), torch.tensor(faces), size)


def equal(a: MeshFragments, b: MeshFragments) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("face", "barycentric", "depth"))


# Against the naive twin


@pytest.mark.parametrize("seed", range(40))
def test_rasteriser_equals_its_naive_twin(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if seed % 3:
        monkeypatch.setattr(f"{MODULE}._SIDES", (1, 2, 3))  # tiles, as in large images
    views, faces, size, perspective = 1 + seed % 2, 1 + seed % 7, 7 + seed % 6, seed % 4 > 0
    pixels, depth, corners = random_mesh(seed, views, faces, size)
    depth[:, 0] = -1.0 if seed % 5 == 0 else 1.0
    found = rasterize_mesh(pixels, depth, corners, size, perspective=perspective)
    twin = naive.rasterize_mesh(pixels.numpy(), depth.numpy(), corners.numpy(), size, perspective)
    face, weights, nearest, doubt = (torch.from_numpy(array) for array in twin)
    assert doubt.float().mean() <= 0.05
    assert torch.equal(found.face[~doubt], face[~doubt])
    torch.testing.assert_close(found.depth[~doubt].double(), nearest[~doubt], atol=0, rtol=1e-6)
    torch.testing.assert_close(found.barycentric[~doubt].double(), weights[~doubt], atol=1e-6, rtol=0)


@pytest.mark.parametrize("sides", [(32,), (1,)], ids=str)
def test_one_triangle_in_closed_form(sides: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{MODULE}._SIDES", sides)
    corners = torch.tensor([[[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]]])
    depth, faces = torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[0, 1, 2]])
    steep, straight = (rasterize_mesh(corners, depth, faces, 8, perspective=kind) for kind in (True, False))
    share = torch.tensor([5 / 8, 3 / 16, 3 / 16])  # of the corners at the centre (1.5, 1.5), in the image
    assert straight.depth[0, 1, 1] == 0.625 + 0.375 + 0.75
    torch.testing.assert_close(straight.barycentric[0, 1, 1], share, atol=1e-7, rtol=0)
    inverse = 5 / 8 + 3 / 32 + 3 / 64
    assert steep.depth[0, 1, 1].item() == pytest.approx(1 / inverse, rel=1e-7)
    torch.testing.assert_close(steep.barycentric[0, 1, 1], share / depth[0] / inverse, atol=1e-7, rtol=0)
    covered = torch.arange(8)[:, None] + torch.arange(8) < 8  # the last centres lie on the long edge
    for found in (steep, straight):
        assert torch.equal(found.face[0], torch.where(covered, 0, -1))
        assert torch.equal(found.depth[0].isposinf(), ~covered)
        torch.testing.assert_close(found.barycentric[0].sum(-1), covered.float())
        assert found.barycentric.min() >= 0 and found.barycentric.max() <= 1


def test_points_on_the_surface_project_back_to_the_pixels_that_show_them() -> None:
    vertices = torch.tensor([[-1.0, -0.7, 0.9], [0.9, -0.8, -0.9], [0.1, 1.0, 0.2]])
    cameras = frame_cameras(vertices, view_rotations("sphere5"), 40)
    pixels, depth = cameras.project(vertices)
    faces = torch.tensor([[0, 1, 2]])
    found = rasterize_mesh(pixels, depth, faces, 40)
    for v, row, column in (found.face >= 0).nonzero()[::7].tolist():
        surface = interpolate_on_mesh(vertices, found, faces)[v, row, column]
        at, z = cameras.project(surface[None])
        torch.testing.assert_close(at[v, 0], torch.tensor([column + 0.5, row + 0.5]), atol=1e-3, rtol=0)
        torch.testing.assert_close(z[v, 0], found.depth[v, row, column], atol=1e-5, rtol=0)


# The edge rule


def coverage(pixels: Tensor, faces: Tensor, size: int) -> Tensor:
    """How many faces cover each pixel, (H, W): each is drawn alone."""
    return sum(
        ((rasterize_mesh(pixels, flat(pixels), face[None], size).face[0] >= 0).long() for face in faces),
        0 * faces[0, 0],
    )


def test_faces_of_a_plane_share_what_lies_on_their_edges_and_nothing_else() -> None:
    vertices, faces = grid_mesh(3)
    aligned = (0.5 + 4 * vertices)[None]  # vertices on the centres of pixels 0, 2 and 4
    assert coverage(aligned, faces, 6).tolist() == [
        [1, 1, 3, 1, 2, 0],
        [1, 2, 2, 2, 1, 0],
        [3, 2, 6, 2, 3, 0],
        [1, 2, 2, 2, 1, 0],
        [2, 1, 3, 1, 1, 0],
        [0, 0, 0, 0, 0, 0],
    ]
    assert (coverage(aligned + 0.11, faces, 6)[1:5, 1:5] == 1).all()


@pytest.mark.parametrize("soup", [False, True], ids=["shared", "copied"])
def test_a_crumpled_plane_has_no_pinhole(soup: bool) -> None:
    vertices, faces = grid_mesh(40)
    inner = ((vertices > 0) & (vertices < 1)).all(1, keepdim=True)
    shift = (torch.rand(vertices.shape, generator=generator(0)) - 0.5) * 0.3 / 39 * inner
    pixels = (3.3 + 90.1 * (vertices + shift))[None]
    if soup:
        pixels, faces = pixels[:, faces.flatten()], torch.arange(faces.numel()).view(-1, 3)
    shown = rasterize_mesh(pixels, flat(pixels), faces, 97).face[0] >= 0
    centre = torch.arange(97) + 0.5
    inside = (centre > 3.3) & (centre < 93.4)
    assert torch.equal(shown, inside & inside[:, None])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    offset=st.sampled_from([0.0, 2**-17, -(2**-16), 1e-5, -1e-7, 1e-12, 0.3]),
    reach=st.sampled_from([20.0, 700.0, 1e5, 1e8]),
)
def test_a_fan_covers_its_hub_from_any_direction(seed: int, offset: float, reach: float) -> None:
    source = generator(seed)
    turn = (torch.arange(7) + 0.8 * torch.rand(7, generator=source)) * (2 * math.pi / 7)
    hub = 4.5 + offset * torch.tensor([1.0, -2.0])
    pixels = torch.cat([hub[None], hub + reach * torch.stack([turn.cos(), turn.sin()], 1)])[None]
    order = torch.randperm(7, generator=source)
    faces = torch.stack([torch.zeros(7, dtype=torch.int64), 1 + order, 1 + (order + 1) % 7], 1)
    assert (rasterize_mesh(pixels, flat(pixels), faces, 9).face >= 0).all()


@pytest.mark.parametrize("soup", [False, True], ids=["shared", "copied"])
def test_a_sphere_has_no_pinhole(soup: bool) -> None:
    vertices, faces = sphere_mesh(40)
    cameras = frame_cameras(vertices, view_rotations("sphere4"), 160)
    pixels, depth = cameras.project(vertices)
    if soup:
        pixels, depth = pixels[:, faces.flatten()], depth[:, faces.flatten()]
        faces = torch.arange(faces.numel()).view(-1, 3)
    found = rasterize_mesh(pixels, depth, faces, 160)
    offset = torch.arange(160) + 0.5 - 80.0
    reach = (offset.square() + offset[:, None].square()).sqrt()
    assert (found.face[:, reach < 71.0] >= 0).all() and (found.face[:, reach > 72.01] == -1).all()
    assert (found.depth[:, reach < 71.0] < cameras.distance[:, None]).all()  # no back shows through


def test_moving_a_mesh_by_whole_pixels_moves_the_picture() -> None:
    pixels, depth, faces = random_mesh(5, 2, 12, 20)
    wide = rasterize_mesh(pixels + 20, depth, faces, 60)
    narrow = rasterize_mesh(pixels, depth, faces, 20)
    for name in ("face", "barycentric", "depth"):
        assert torch.equal(getattr(wide, name)[:, 20:40, 20:40], getattr(narrow, name))


# Order


SQUARE = [[1.0, 1.0], [7.0, 1.0], [1.0, 7.0], [7.0, 7.0]]


def test_the_nearest_face_shows_and_of_equally_near_ones_the_first() -> None:
    twice = [*SQUARE, *SQUARE]
    below, above = [[0, 1, 2], [3, 2, 1]], [[4, 5, 6], [7, 6, 5]]
    near_first = draw(twice, [1.0] * 4 + [1.0001] * 4, below + above).face
    near_last = draw(twice, [1.0] * 4 + [1.0001] * 4, above + below).face
    tied = draw(twice, [1.3] * 8, below + above).face
    assert near_first.unique().tolist() == [-1, 0, 1] and near_last.unique().tolist() == [-1, 2, 3]
    assert torch.equal(tied, near_first)
    diagonal = torch.arange(1, 7)
    assert (tied[0, diagonal, 7 - diagonal] == 0).all()  # centres on the edge between faces 0 and 1


def test_faces_cross_where_their_depths_do() -> None:
    # Along x, one goes from depth 1 to 3 and the other from 3 to 1; both from x = 0 to x = 8.
    strip = [[0.0, -9.0], [8.0, -9.0], [0.0, 99.0], [8.0, -9.0], [0.0, -9.0], [8.0, 99.0]]
    face = draw(strip, [1.0, 3.0, 1.0, 1.0, 3.0, 1.0], [[0, 1, 2], [3, 4, 5]]).face[0, 0]
    assert face.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_both_sides_are_drawn() -> None:
    pixels, depth, faces = random_mesh(3, 2, 9, 16)
    turned = rasterize_mesh(pixels, depth, faces.flip(1), 16)
    found = rasterize_mesh(pixels, depth, faces, 16)
    assert torch.equal(turned.face, found.face) and (found.face >= 0).any()
    torch.testing.assert_close(turned.barycentric.flip(-1), found.barycentric)


@pytest.mark.parametrize(
    ("corners", "depth"),
    [
        ([[1.0, 1.0], [1.0, 1.0], [7.0, 7.0]], [1.0, 1.0, 1.0]),
        ([[0.5, 0.5], [3.5, 3.5], [6.5, 6.5]], [1.0, 1.0, 1.0]),
        ([[0.5, 2.5], [0.5, 2.5], [0.5, 2.5]], [1.0, 1.0, 1.0]),
        ([[1.5, 1.5], [3.5, 1.500002], [6.5, 1.5]], [1.0, 1.0, 1.0]),  # within the rounding of vertices
        ([[1.0, 1.0], [7.0, 1.0], [1.0, 7.0]], [1.0, 1.0, 0.0]),
        ([[1.0, 1.0], [7.0, 1.0], [1.0, 7.0]], [1.0, -1.0, 1.0]),
        ([[1.0, 1.0], [7.0, 1.0], [1.0, 7.0]], [math.nan, 1.0, 1.0]),
        ([[1.0, 1.0], [7.0, 1.0], [1.0, 7.0]], [math.inf, 1.0, 1.0]),
        ([[1.0, 1.0], [7.0, 1.0], [1.0, math.nan]], [1.0, 1.0, 1.0]),
        ([[1.0, 1.0], [7.0, 1.0], [1.0, math.inf]], [1.0, 1.0, 1.0]),
        ([[1.0, 1.0], [7.0, 1.0], [1.0, 1e30]], [1.0, 1.0, 1.0]),
        ([[-9.0, 1.0], [-1.0, 1.0], [-1.0, 7.0]], [1.0, 1.0, 1.0]),
        ([[9.0, 1.0], [99.0, 1.0], [9.0, 7.0]], [1.0, 1.0, 1.0]),
        ([[1.6, 1.6], [2.4, 1.6], [2.0, 2.4]], [1.0, 1.0, 1.0]),
    ],
)
def test_faces_that_leave_no_mark(corners: list[list[float]], depth: list[float]) -> None:
    behind = [*SQUARE, *corners], [2.0] * 4 + depth
    assert equal(draw(*behind, [[0, 1, 2], [3, 2, 1], [4, 5, 6]]), draw(*behind, [[0, 1, 2], [3, 2, 1]]))
    alone = draw(corners, depth, [[0, 1, 2]])
    assert (alone.face == -1).all() and (alone.barycentric == 0).all() and alone.depth.isposinf().all()


def test_a_mesh_without_faces_is_background() -> None:
    found = rasterize_mesh(torch.zeros(2, 3, 2), torch.ones(2, 3), torch.zeros(0, 3, dtype=torch.int64), 4)
    assert (found.face == -1).all() and found.depth.isposinf().all() and found.barycentric.shape == (2, 4, 4, 3)


# The same bits


def scene() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A sphere within a few faces as large as the image; pixels, depth, faces and vertices."""
    vertices, faces = sphere_mesh(24)
    far = torch.tensor([[-2.0, -2.0, -1.2], [2.0, -2.0, -1.2], [0.0, 3.0, -1.2], [0.0, 0.0, 1.4]])
    hull = torch.tensor([[0, 1, 2], [0, 1, 3]]) + len(vertices)
    pixels, depth = Cameras(
        view_rotations("sphere3"), torch.zeros(3, 3), torch.full((3,), 3.0), torch.ones(3), 96
    ).project(torch.cat([vertices, far]))
    return pixels, depth, torch.cat([hull, faces]), torch.cat([vertices, far])


def results(count: int) -> list[Tensor]:
    pixels, depth, faces, vertices = scene()
    torch.set_num_threads(count)
    found = rasterize_mesh(pixels, depth, faces, 96)
    values = vertices.clone().requires_grad_()
    maps = interpolate_on_mesh(values, found, faces)
    (gradient,) = torch.autograd.grad(maps.sin().sum(), values)
    means, weight = mean_at_vertices(maps.detach(), found, faces, len(vertices))
    seen = visible_vertices(pixels, depth, found, faces)
    return [found.face, found.barycentric, found.depth, maps.detach(), gradient, means, weight, seen]


def test_the_same_bits_every_time_and_in_any_number_of_threads() -> None:
    threads = torch.get_num_threads()
    try:
        runs = [results(count) for count in (1, 2, 2)]
    finally:
        torch.set_num_threads(threads)
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, runs[0], strict=True))


@pytest.mark.parametrize(
    "patch", [{"_FACES": 1}, {"_TILES": 3, "_CENTRES": 500}, {"_SIDES": (96,)}, {"_SIDES": (5, 7)}], ids=str
)
def test_chunks_and_tiles_change_nothing(patch: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, depth, faces, _ = scene()
    whole = rasterize_mesh(pixels, depth, faces[:60], 96)
    assert (whole.face >= 0).float().mean() > 0.3 and len(whole.face.unique()) > 20
    for name, value in patch.items():
        monkeypatch.setattr(f"{MODULE}.{name}", value)
    assert equal(rasterize_mesh(pixels, depth, faces[:60], 96), whole)


# Values between vertices and pixels


@pytest.mark.parametrize("shape", [(), (4,)], ids=["one", "many"])
def test_linear_functions_of_space_are_interpolated_exactly(shape: tuple[int, ...]) -> None:
    pixels, depth, faces, vertices = scene()
    found = rasterize_mesh(pixels, depth, faces, 96)
    slope = torch.randn(3, *shape, generator=generator(0))
    maps = interpolate_on_mesh(vertices @ slope, found, faces)
    points = interpolate_on_mesh(vertices, found, faces)
    solid = found.face >= 0
    assert maps.shape == (3, 96, 96, *shape)
    torch.testing.assert_close(maps, points @ slope, atol=1e-5, rtol=0)
    torch.testing.assert_close(interpolate_on_mesh(torch.ones(len(vertices)), found, faces), solid.float())
    assert (maps[~solid] == 0).all() and not solid.all()


def test_interpolation_is_differentiable_in_the_values() -> None:
    pixels, depth, faces = random_mesh(1, 2, 5, 6)
    found = rasterize_mesh(pixels, depth, faces, 6)
    assert (found.face >= 0).any() and (found.face < 0).any()
    source = generator(2)
    for shape in ((7,), (7, 2)):
        values = torch.randn(shape, generator=source, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda v: interpolate_on_mesh(v, found, faces), values)


def test_vertices_that_no_pixel_shows_do_not_matter() -> None:
    pixels, depth, faces, vertices = scene()
    found = rasterize_mesh(pixels, depth, faces, 96)
    values = vertices[:, 0].clone()
    shown = faces[found.face[found.face >= 0]].unique()
    hidden = torch.ones(len(values), dtype=torch.bool).index_fill(0, shown, False)
    assert hidden.sum() > 100
    expected = interpolate_on_mesh(values, found, faces)
    assert torch.equal(interpolate_on_mesh(values.masked_fill(hidden, math.nan), found, faces), expected)


@pytest.mark.parametrize("seed", range(5))
def test_means_at_vertices_equal_their_naive_twin(seed: int) -> None:
    pixels, depth, faces = random_mesh(seed, 2, 9, 8)
    found = rasterize_mesh(pixels, depth, faces, 8)
    maps = torch.randn(2, 8, 8, 3, generator=generator(seed))
    means, weight = mean_at_vertices(maps, found, faces, 13)
    twin = naive.mean_at_vertices(maps.numpy(), found.face.numpy(), found.barycentric.numpy(), faces.numpy(), 13)
    expected, expected_weight = (torch.from_numpy(array).float() for array in twin)
    torch.testing.assert_close(means, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(weight, expected_weight, atol=1e-5, rtol=1e-5)
    assert weight[-2:].tolist() == [0, 0] and weight.sum().item() == pytest.approx((found.face >= 0).sum().item())
    single, _ = mean_at_vertices(maps[..., 0], found, faces, 13)
    torch.testing.assert_close(single, means[:, 0])


def test_scores_survive_the_way_to_pixels_and_back() -> None:
    pixels, depth, faces, vertices = scene()
    found = rasterize_mesh(pixels, depth, faces, 96)
    back, weight = mean_at_vertices(interpolate_on_mesh(vertices, found, faces), found, faces, len(vertices))
    error = (back - vertices).norm(dim=1)[:-4][weight[:-4] > 0.5]
    assert len(error) > 500 and error.max() < 0.2  # an edge is 0.13 long


def test_labels_are_those_of_the_nearest_corner() -> None:
    faces = torch.tensor([[2, 0, 1]])
    found = draw([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]], [1.0, 1.0, 1.0], faces.tolist())
    index = front_vertices(found, faces)
    for row, column in (found.face[0] >= 0).nonzero().tolist():
        x, y = (column + 0.5) / 8, (row + 0.5) / 8
        share = [1 - x - y, x, y]
        assert share[int(index[0, row, column])] == max(share)
    assert torch.equal(index == -1, found.face == -1) and set(index.unique().tolist()) == {-1, 0, 1, 2}
    labels = rasterize_labels(torch.tensor([False, True, False]), index)
    assert labels[0, 0, 7] == 1 and labels[0, 7, 0] == 0


# Visibility


@pytest.mark.parametrize(("rings", "size"), [(12, 128), (60, 128), (60, 48)], ids=["coarse", "fine", "below a pixel"])
def test_a_sphere_shows_its_front_and_hides_its_back(rings: int, size: int) -> None:
    vertices, faces = sphere_mesh(rings)
    cameras = frame_cameras(vertices, view_rotations("sphere6"), size)
    pixels, depth = cameras.project(vertices)
    seen = visible_vertices(pixels, depth, rasterize_mesh(pixels, depth, faces, size), faces)
    cosine = (normalize(cameras.eyes()[:, None] - vertices, dim=-1) * vertices).sum(-1)
    assert seen[cosine > 0.4].all()
    assert not seen[cosine < -0.3].any()


@pytest.mark.parametrize("lines", [9, 150])
def test_a_plane_shows_all_its_vertices_however_steep_and_hides_what_is_behind(lines: int) -> None:
    corners, faces = grid_mesh(lines)
    at = 60 * corners - 6
    inverse = 0.01 + 0.15 * (at[:, 0] + 6) + 0.1 * (at[:, 1] + 6)  # of depth; 0.01 to 15
    beyond = inverse - 2 * 0.15 - 2 * 0.1  # the depth of the plane two pixels away
    pixels, depth = at.repeat(3, 1)[None], torch.cat([inverse, inverse, beyond]).reciprocal()[None]
    found = rasterize_mesh(pixels, depth, faces, 48)
    corner, lone, hidden = visible_vertices(pixels, depth, found, faces)[0].chunk(3)  # of a face, on a face, beyond
    inner = ((at >= 0.5) & (at <= 47.5)).all(1)
    assert inner.any() and corner[inner].all() and lone[inner].all()
    assert not hidden[inner].any()


def test_rounding_hides_no_vertex() -> None:
    corners = [*SQUARE, [4.2, 3.9], [4.2, 3.9], [4.2, 3.9]]
    faces, depth = torch.tensor([[0, 1, 2], [3, 2, 1]]), [1.3] * 4 + [1.3, 1.3 * (1 + 2e-6), 1.3 * (1 + 1e-4)]
    found = draw(corners, depth, faces.tolist())
    seen = visible_vertices(torch.tensor([corners]), torch.tensor([depth]), found, faces)[0]
    assert seen[4:].tolist() == [True, True, False]


def test_what_lies_outside_or_behind_is_not_seen() -> None:
    corners = [
        *SQUARE,
        [4.1, 4.1],
        [4.1, 4.1],
        [-0.1, 4.0],
        [8.0, 4.0],
        [4.0, 4.0],
        [math.nan, 4.0],
        [1.1, 5.0],
        [0.1, 0.1],
    ]
    depth = [1.0] * 4 + [1.1, 0.9, 0.9, 0.9, -1.0, 0.9, 2.0, 5.0]
    faces = torch.tensor([[0, 1, 2], [3, 2, 1]])
    pixels, found = torch.tensor([corners]), draw(corners, depth, faces.tolist())
    seen = visible_vertices(pixels, torch.tensor([depth]), found, faces)[0]
    assert seen.tolist() == [True] * 4 + [False, True, False, False, False, False, False, True]
    tolerant = visible_vertices(pixels, torch.tensor([depth]), found, faces, tolerance=0.2)[0]
    assert (tolerant != seen).nonzero().tolist() == [[4]]


def test_a_corner_beside_which_its_own_face_shows_is_seen() -> None:
    # The tip of a pit, deeper than all that the pixels around it show.
    pixels = torch.tensor([[[4.0, 4.0], [-9.0, -9.0], [20.0, -9.0], [20.0, 20.0], [-9.0, 20.0]]])
    depth = torch.tensor([[9.0, 1.0, 1.0, 1.0, 1.0]])
    pit, lid = torch.tensor([[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 1]]), torch.tensor([[1, 2, 3], [1, 3, 4]])
    found = rasterize_mesh(pixels, depth, pit, 8)
    assert found.depth.max() < 8.0 and visible_vertices(pixels, depth, found, pit)[0, 0]
    covered = torch.cat([pit, lid])
    assert not visible_vertices(pixels, depth, rasterize_mesh(pixels, depth, covered, 8), covered)[0, 0]
