"""`MultiViewRenderer` as behaviour: what a view sees, where its picture is solid, and what must not change it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from pointadplus.cloud import PointCloud
from pointadplus.io import TriangleMesh
from pointadplus.render import MultiViewRenderer, Views, rasterize_labels, view_rotations

ONE_VIEW = torch.eye(3)[None]
TWO_VIEWS = view_rotations("sphere7")[[1, 4]]
both_projections = pytest.mark.parametrize("orthographic", [False, True])


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ball(count: int, seed: int = 0) -> PointCloud:
    """Points all over the unit sphere with exact normals; in opposite pairs, so that it stands in the middle."""
    half = normalize(torch.randn(count // 2, 3, generator=generator(seed)), dim=1)
    points = torch.cat([half, -half])
    return PointCloud.create(points, normals=points)


def plate(count: int, gap: float, seed: int = 0) -> PointCloud:
    """Two squares of side 2, the first half of the points at the front, and nothing between their rims."""
    height = torch.where(torch.arange(count) < count // 2, 0.5 * gap, -0.5 * gap)[:, None]
    side = 2.0 * torch.rand(count, 2, generator=generator(seed)) - 1.0
    axis = torch.tensor([[0.0, 0.0, 1.0]])
    return PointCloud.create(torch.cat([side, height], 1), normals=axis * height.sign())


def cube(count: int, seed: int = 0) -> PointCloud:
    """The six faces of a cube of side 2, in turns."""
    sides = 2.0 * torch.rand(count, 2, generator=generator(seed)) - 1.0
    points, normals = torch.zeros(count, 3), torch.zeros(count, 3)
    for face in range(6):
        axis, sign = face // 2, 1.0 - 2.0 * (face % 2)
        mine = torch.arange(count) % 6 == face
        points[mine] = torch.cat([torch.full((int(mine.sum()), 1), sign), sides[mine]], 1).roll(axis, 1)
        normals[mine, axis] = sign
    return PointCloud.create(points, normals=normals)


def turned(degrees: float) -> Tensor:
    """One view of what is turned about the x axis."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]]])


def facing(views: Views, cloud: PointCloud) -> Tensor:
    """(V, N) cosine between normals and the direction of the eye."""
    assert cloud.normals is not None
    return (views.cameras.toward_eye(cloud.points) * cloud.normals).sum(-1)


def from_middle(size: int) -> Tensor:
    """(H, W) how many pixels a centre is from the middle of the image."""
    steps = torch.arange(size) + 0.5 - 0.5 * size
    return (steps.square() + steps[:, None].square()).sqrt()


def outline(views: Views) -> float:
    """Radius in pixels of the silhouette of the unit sphere in the middle."""
    cameras, distance = views.cameras, views.cameras.distance[0].item()
    return cameras.focal / (distance if cameras.orthographic else math.sqrt(distance**2 - 1.0))


def same_bits(one: Views, other: Views) -> bool:
    names = ("index", "depth", "pixels", "visible")
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)


# What a view sees


@both_projections
@pytest.mark.parametrize(("count", "size"), [(2000, 96), (2000, 336), (20_000, 96), (20_000, 336), (100_000, 96)])
def test_a_sphere_shows_all_its_front_and_hides_its_back(count: int, size: int, orthographic: bool) -> None:
    cloud = ball(count)
    views = MultiViewRenderer(views=TWO_VIEWS[:1], image_size=size, orthographic=orthographic).render(cloud)
    cosine = facing(views, cloud)
    assert views.visible[cosine > 0].all()
    assert views.visible[cosine < 0].float().mean() < 0.002 and not views.visible[cosine < -0.1].any()


@both_projections
@pytest.mark.parametrize("degrees", [0.0, 30.0, 60.0])
def test_a_thin_plate_hides_its_back_but_for_what_looks_out(degrees: float, orthographic: bool) -> None:
    count, gap = 20_000, 0.1
    cloud = plate(count, gap)
    views = MultiViewRenderer(views=turned(degrees), image_size=200, orthographic=orthographic).render(cloud)
    front, back = views.visible[0].chunk(2)
    assert front.float().mean() > 0.99
    start, toward = cloud.points[count // 2 :], views.cameras.toward_eye(cloud.points)[0, count // 2 :]
    crossing = start + toward * (gap / toward[:, 2:])  # of the ray to the eye with the plane of the front
    reach = crossing[:, :2].abs().amax(1)
    assert back[reach < 1.0].float().mean() < 0.01
    clear = reach > 1.09  # beyond the splats at the rim, which are as wide again when seen at 60°
    assert back[clear].all() and (degrees < 60.0 or clear.sum() > 20)


@both_projections
def test_a_cube_shows_its_faces_up_to_their_sharp_edges(orthographic: bool) -> None:
    cloud = cube(20_000)
    views = MultiViewRenderer(views="sphere4", image_size=160, orthographic=orthographic).render(cloud)
    cosine = facing(views, cloud)
    assert views.visible[cosine > 0.45].float().mean() > 0.98
    assert views.visible[(cosine > 0.2) & (cosine <= 0.45)].float().mean() > 0.92  # steep: their far rim may be missed
    assert views.visible[cosine < -0.05].float().mean() < 0.01


def test_points_without_a_normal_are_hidden_by_what_lies_before_them() -> None:
    sphere = ball(4000)
    unknown = PointCloud.create(sphere.points, normals=torch.zeros(4000, 3))
    views = MultiViewRenderer(views=ONE_VIEW, image_size=96).render(unknown)
    assert views.visible[facing(views, sphere) < -0.1].float().mean() < 0.01


# Where a picture is solid


@both_projections
@pytest.mark.parametrize("count", [20_000, 100_000])
def test_silhouettes_do_not_grow(count: int, orthographic: bool) -> None:
    views = MultiViewRenderer(views=ONE_VIEW, image_size=336, orthographic=orthographic).render(ball(count))
    radius, solid = outline(views), views.index[0] >= 0
    assert (from_middle(336)[solid] < radius + 1.0).all()
    assert solid.sum().item() == pytest.approx(math.pi * radius**2, rel=0.02)


def test_coarse_silhouettes_do_not_grow_into_the_rim_of_the_image() -> None:
    views = MultiViewRenderer(views=ONE_VIEW, image_size=96).render(ball(2000))
    assert from_middle(96)[views.index[0] >= 0].max().item() < outline(views) + 2.0


@both_projections
@pytest.mark.parametrize(("count", "size"), [(8000, 96), (20_000, 336)])
def test_there_are_no_pinholes(count: int, size: int, orthographic: bool) -> None:
    views = MultiViewRenderer(views=TWO_VIEWS, image_size=size, orthographic=orthographic).render(ball(count, seed=3))
    inside = from_middle(size) < 0.96 * outline(views)
    assert (views.index[:, inside] >= 0).all()
    assert (views.depth[:, inside] < views.cameras.distance[:, None]).all()  # and none looks through to the back


clouds = st.tuples(st.sampled_from(["blob", "line", "grid", "twins"]), st.integers(1, 60), st.integers(0, 2**32 - 1))


def small_cloud(shape: str, count: int, seed: int, estimated: bool) -> PointCloud:
    points = torch.randn(count, 3, generator=generator(seed))
    if shape == "line":
        points[:, 1:] = 0.0
    if shape == "grid":
        points = (2.0 * points).round()
    if shape == "twins":
        points = points[torch.arange(count) // 3]
    normals = normalize(torch.randn(count, 3, generator=generator(seed + 1)), dim=1)
    return PointCloud.create(points, normals=None if estimated else normals)


@given(clouds, st.booleans(), st.booleans(), st.sampled_from([16, 31]), st.sampled_from(["sphere", "box"]))
@settings(max_examples=40, deadline=None)
def test_pictures_points_and_depths_belong_together(
    shape: tuple[str, int, int], estimated: bool, orthographic: bool, size: int, framing: str
) -> None:
    cloud = small_cloud(*shape, estimated)
    render = MultiViewRenderer(views=TWO_VIEWS, image_size=size, framing=framing, orthographic=orthographic)
    views = render.render(cloud)
    pixels, depth = views.cameras.project(cloud.points)
    assert torch.equal(views.pixels, pixels)
    view, row, column = (views.index >= 0).nonzero(as_tuple=True)
    shown = views.index[view, row, column]
    assert views.visible[view, shown].all()
    assert torch.equal(views.depth[view, row, column], depth[view, shown])
    assert views.depth[views.index < 0].isposinf().all()
    centres = torch.stack([column, row], 1) + 0.5
    largest = max(math.sqrt(1.5), 1.35 * render.config.max_radius * size) + math.sqrt(0.5)
    assert ((centres - pixels[view, shown]).norm(dim=1) <= largest).all()

    inside = (depth > 0) & (pixels >= 0).all(-1) & (pixels < size).all(-1)
    assert not views.visible[~inside].any()
    at, point = inside.nonzero(as_tuple=True)
    x, y = pixels[at, point].long().unbind(1)
    assert (views.index[at, y, x] >= 0).all()  # what points fall into is solid
    front = views.index.new_full(views.index.shape, 0).float().fill_(math.inf)
    front.view(-1).scatter_reduce_(0, (at * size + y) * size + x, depth[at, point], "amin")
    nearest = depth[at, point] == front.flatten().amin().expand(len(at))
    assert views.visible[at, point][nearest].all()  # nothing can hide the nearest point of all


# What changes no bit


@pytest.mark.parametrize("framing", ["sphere", "box"])
def test_a_view_does_not_depend_on_those_beside_it(framing: str) -> None:
    points = ball(3000).points * torch.tensor([1.0, 2.0, 0.3]) + torch.tensor([0.1, 0.2, 0.3])
    cloud = PointCloud.create(points, normals=ball(3000).normals)
    render = MultiViewRenderer(views="sphere5", image_size=64, framing=framing)
    whole = render.render(cloud)
    for view, rotation in enumerate(render.rotations):
        alone = MultiViewRenderer(views=[rotation], image_size=64, framing=framing)
        some = whole[view : view + 1]
        assert same_bits(alone.render(cloud, cameras=some.cameras), some)


def test_pictures_are_means_of_larger_ones(sphere: PointCloud) -> None:
    fine = MultiViewRenderer(views=TWO_VIEWS, image_size=72).render(sphere)
    views = MultiViewRenderer(views=TWO_VIEWS, image_size=24, supersample=3).render(sphere)
    assert same_bits(views, fine) and views.index.shape == (2, 72, 72)
    channels = ("headlight", "depth", "normal_x", "mask", "height")
    attributes = {"height": sphere.points[:, 2]}
    blocks = fine.images(channels, attributes).view(2, 5, 24, 3, 24, 3)
    images = views.images(channels, attributes)
    assert images.shape == (2, 5, 24, 24)
    torch.testing.assert_close(images, blocks.mean((3, 5)))
    assert 0 < ((images[:, 3] > 0) & (images[:, 3] < 1)).float().mean() < 0.3  # only outlines are between


def test_rotations_may_come_as_a_list(sphere: PointCloud) -> None:
    whole = MultiViewRenderer(views="sphere7", image_size=32)
    some = MultiViewRenderer(views=[whole.rotations[1], whole.rotations[4]], image_size=32)
    assert len(some) == 2
    views, expected = some.render(sphere), whole.render(sphere)
    assert torch.equal(views.index, expected.index[[1, 4]]) and torch.equal(views.depth, expected.depth[[1, 4]])


def test_the_cameras_of_another_rendering_hold(sphere: PointCloud) -> None:
    reference = MultiViewRenderer(views=TWO_VIEWS, image_size=48, orthographic=True).render(sphere)
    render = MultiViewRenderer(views="pointad9", image_size=32)
    assert same_bits(render.render(sphere, cameras=reference.cameras), reference)
    half = sphere.select(sphere.points[:, 0] > 0)
    views = render.render(half, cameras=reference.cameras)
    assert views.cameras is reference.cameras and views.index.shape == (2, 48, 48)
    assert torch.equal(views.pixels, reference.pixels[:, sphere.points[:, 0] > 0])  # and is not framed anew


# Clouds that are hardly any


def test_one_point_is_a_dot_in_the_middle() -> None:
    views = MultiViewRenderer(views="faces6", image_size=33).render(PointCloud.create([[3.0, -2.0, 7.0]]))
    assert views.visible.all() and (views.index[:, 16, 16] == 0).all()
    assert ((views.index >= 0).sum((1, 2)) <= 9).all()


def test_of_copies_of_a_point_the_first_is_shown_and_all_are_seen() -> None:
    views = MultiViewRenderer(views="faces6", image_size=32).render(PointCloud.create(torch.full((500, 3), 0.3)))
    assert views.visible.all() and set(views.index.unique().tolist()) == {-1, 0}


@both_projections
def test_a_line_is_thin_and_seen_from_its_side(orthographic: bool) -> None:
    line = torch.linspace(-1.0, 1.0, 400)[:, None] * torch.tensor([[1.0, 0.0, 0.0]])
    views = MultiViewRenderer(views=ONE_VIEW, image_size=64, orthographic=orthographic).render(PointCloud.create(line))
    solid = views.index[0] >= 0
    first, last = views.pixels[0, [0, -1], 0].floor().int().tolist()
    assert views.visible.all() and solid.any(0).nonzero()[:, 0].tolist() == list(range(first, last + 1))
    assert last - first > 48 and solid.sum(0).max() == 1


def test_a_plane_is_seen_from_both_sides_and_has_no_hole() -> None:
    steps = torch.linspace(-1.0, 1.0, 60)
    cloud = PointCloud.create(torch.cartesian_prod(steps, steps, torch.zeros(1)))
    views = MultiViewRenderer(views=torch.cat([turned(0.0), turned(50.0), turned(180.0)]), image_size=96).render(cloud)
    assert views.visible.float().mean() > 0.999
    assert (views.index[:, 34:62, 34:62] >= 0).all()


@both_projections
@pytest.mark.parametrize("place", [[100.0, 0.0, 0.0], [0.0, 0.0, 50.0], [0.0, -40.0, 3.0], [0.0, 1e30, 0.0]])
def test_what_is_out_of_view_is_nowhere(sphere: PointCloud, place: list[float], orthographic: bool) -> None:
    render = MultiViewRenderer(views=ONE_VIEW, image_size=32, orthographic=orthographic)
    cloud = PointCloud.create(sphere.points + torch.tensor(place), normals=sphere.normals)
    views = render.render(cloud, cameras=render.cameras(sphere.points))
    assert (views.index == -1).all() and views.depth.isposinf().all() and not views.visible.any()
    light, depth, mask = views.images(("headlight", "depth", "mask")).unbind(1)
    assert (light == 1).all() and (depth == 0).all() and (mask == 0).all()


def test_what_is_behind_the_eye_is_not_seen_through_it(sphere: PointCloud) -> None:
    render = MultiViewRenderer(views=ONE_VIEW, image_size=32)
    cameras = render.cameras(sphere.points)
    eye = cameras.distance[0].item()
    behind = sphere.points + torch.tensor([0.0, 0.0, eye])  # the eye is in its middle
    views = render.render(PointCloud.create(behind, normals=sphere.normals), cameras=cameras)
    _, depth = cameras.project(behind)
    assert not views.visible[depth <= 0].any() and (views.depth > 0).all() and (depth > 0).float().mean() > 0.4
    inside = (depth > 0) & (views.pixels >= 0).all(-1) & (views.pixels < 32).all(-1)
    assert views.visible[inside].all() and inside.sum() > 40  # all around, at one distance


# Scale and place


@given(st.integers(-10, 10), st.floats(1e-3, 1e3), st.booleans())
@settings(max_examples=10, deadline=None)
def test_scale_does_not_matter(power: int, factor: float, orthographic: bool) -> None:
    cloud = ball(600)
    render = MultiViewRenderer(views=TWO_VIEWS, image_size=32, orthographic=orthographic)
    scaled = lambda scale: render.render(PointCloud.create(cloud.points * scale, normals=cloud.normals))  # noqa: E731
    views, doubled, other = scaled(1.0), scaled(2.0**power), scaled(factor)
    assert torch.equal(doubled.index, views.index) and torch.equal(doubled.visible, views.visible)
    assert torch.equal(doubled.depth, views.depth * 2.0**power)
    assert (other.index == views.index).float().mean() > 0.98
    assert (other.visible == views.visible).float().mean() > 0.99
    torch.testing.assert_close(other.pixels, views.pixels, atol=2e-3, rtol=0.0)


def test_a_far_cloud_that_float32_holds_renders_as_a_near_one_once_normalized() -> None:
    sphere = ball(2000)
    points = (sphere.points.double() * 320.0).round() / 8.0  # float32 holds them at 10⁶, too
    pictures = []
    for offset in (0.0, 1e6):
        cloud, _ = PointCloud.create(points.numpy() + offset, normals=sphere.normals).normalized()
        pictures.append(MultiViewRenderer(views=TWO_VIEWS, image_size=64).render(cloud))
    near, far = pictures
    assert (far.index == near.index).float().mean() > 0.99
    assert (far.visible == near.visible).float().mean() > 0.995


# Meshes


def round_mesh(levels: int = 4) -> TriangleMesh:
    """An octahedron whose faces are cut into four, `levels` times, and blown up to the unit sphere."""
    corners = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, -1, 0], [0, 0, -1]]).double()
    faces = [[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [1, 0, 5], [3, 1, 5], [4, 3, 5], [0, 4, 5]]
    triangles = corners[torch.tensor(faces)]
    for _ in range(levels):
        a, b, c = triangles.unbind(1)
        ab, bc, ca = (normalize(p + q, dim=1) for p, q in ((a, b), (b, c), (c, a)))
        parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        triangles = torch.cat([torch.stack(part, 1) for part in parts])
    places, corner = triangles.flatten(0, 1).mul(2**20).round().unique(dim=0, return_inverse=True)
    vertices = normalize(places, dim=1).float()
    return TriangleMesh.create(vertices, corner.view(-1, 3), normals=vertices)


@pytest.fixture(scope="module", params=[False, True], ids=["perspective", "orthographic"])
def pair(request: Any) -> tuple[TriangleMesh, PointCloud, Views, Views]:
    """A mesh, points of it, and both through the same cameras."""
    mesh = round_mesh()
    cloud = mesh.sample(20_000)
    render = MultiViewRenderer(views=TWO_VIEWS, image_size=80, orthographic=request.param)
    solid = render.render(mesh)
    return mesh, cloud, solid, render.render(cloud, cameras=solid.cameras)


def test_a_mesh_and_its_points_are_at_one_depth(pair: tuple[TriangleMesh, PointCloud, Views, Views]) -> None:
    mesh, cloud, solid, dots = pair
    inside = from_middle(80) < 0.8 * outline(solid)
    view, row, column = inside.expand(2, 80, 80).nonzero(as_tuple=True)
    vertex, point = solid.index[view, row, column], dots.index[view, row, column]
    assert (vertex >= 0).all() and (point >= 0).all()
    gap = (torch.stack([column, row], 1) + 0.5 - dots.pixels[view, point]).norm(dim=1)
    size = 1.0 / solid.cameras.pixels_per_unit(dots.depth)[view, row, column]  # of a pixel, in space
    slope = 0.8 / math.sqrt(1.0 - 0.8**2) + 0.6  # of the sphere; rays in perspective lean by up to 0.5 more
    off = (solid.depth - dots.depth)[view, row, column].abs()
    assert (off <= slope * gap * size + 0.01).all() and off.mean() < 0.02 and gap.mean() < 0.8
    length = (mesh.vertices[mesh.faces] - mesh.vertices[mesh.faces.roll(1, 1)]).norm(dim=-1).max()
    steps = (mesh.vertices[vertex] - cloud.points[point]).norm(dim=1)
    assert (steps <= length + math.hypot(1.0, slope) * gap * size).all()


def test_a_mesh_and_its_points_look_alike(pair: tuple[TriangleMesh, PointCloud, Views, Views]) -> None:
    _, _, solid, dots = pair
    inside = from_middle(80) < 0.9 * outline(solid)
    one, other = (views.images(("headlight", "normal_x", "normal_y"))[..., inside] for views in (solid, dots))
    assert (one - other).abs().mean() < 0.02 and (one - other).abs().max() < 0.12
    assert one.std() > 0.1


def test_values_on_a_mesh_are_interpolated(pair: tuple[TriangleMesh, PointCloud, Views, Views]) -> None:
    """Coordinates, interpolated, are those of the point of the surface that falls onto the pixel's centre."""
    mesh, _, solid, _ = pair
    places, marks = solid.at_pixels(mesh.vertices), solid.at_pixels(2.0 * mesh.vertices[:, 0] + 1.0)
    for view in range(2):
        row, column = (solid.index[view] >= 0).nonzero(as_tuple=True)
        pixels, depth = solid.cameras.project(places[view, row, column])
        centres = torch.stack([column, row], 1) + 0.5
        torch.testing.assert_close(pixels[view], centres, atol=2e-3, rtol=0.0)
        torch.testing.assert_close(depth[view], solid.depth[view, row, column], atol=1e-4, rtol=0.0)
        torch.testing.assert_close(marks[view, row, column], 2.0 * places[view, row, column, 0] + 1.0)
    assert (places[solid.index < 0] == 0).all() and (marks[solid.index < 0] == 0).all()


def test_labels_fall_on_the_same_pixels(pair: tuple[TriangleMesh, PointCloud, Views, Views]) -> None:
    mesh, cloud, solid, dots = pair
    tilted = torch.tensor([0.6, 0.0, 0.8])
    on_mesh = rasterize_labels((mesh.vertices * tilted).sum(1) > 0.3, solid.index)
    on_cloud = rasterize_labels((cloud.points * tilted).sum(1) > 0.3, dots.index)
    both = (solid.index >= 0) & (dots.index >= 0)
    assert both.float().mean() > 0.5 and 0.05 < on_mesh[both].mean() < 0.95
    assert (on_mesh == on_cloud)[both].float().mean() > 0.97
