"""The Numba backend gives the bits of the torch backend, whatever it is given."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pointadplus.cloud import PointCloud
from pointadplus.errors import ConfigError, install_command
from pointadplus.render import Cameras, MultiViewRenderer, Views, view_rotations

pytest.importorskip("numba")
VIEWS = view_rotations("sphere7")[[1, 4, 6]]
SHAPES = ("ball", "blob", "line", "plane", "point", "shell")


def cloud(shape: str, count: int, seed: int, estimated: bool) -> PointCloud:
    """Clouds with ties, copies, thin walls and points that look away; normals are random or estimated."""
    source = torch.Generator().manual_seed(seed)
    points = torch.randn(count, 3, generator=source)
    flat = torch.tensor([1.0, 1.0, 0.0])
    points = {
        "ball": torch.nn.functional.normalize(points, dim=1),
        "blob": points.mul(4).round(),
        "line": points[:, :1] * torch.tensor([0.3, 0.5, 0.8]),
        "plane": points * flat,
        "point": torch.ones(count, 3),
        "shell": points * flat + 0.05 * (torch.arange(count)[:, None] % 2) * (1.0 - flat),
    }[shape]
    normals = torch.nn.functional.normalize(torch.randn(count, 3, generator=source), dim=1)
    normals[::7] = 0.0
    return PointCloud.create(points, normals=None if estimated else normals)


def both(scene: PointCloud, cameras: Cameras | None = None, **options: Any) -> tuple[Views, Views]:
    torch_one, numba_one = (
        MultiViewRenderer(**options, backend=backend).render(scene, cameras=cameras) for backend in ("torch", "numba")
    )
    return torch_one, numba_one


def assert_same(one: Views, other: Views) -> None:
    for name in ("index", "depth", "pixels", "visible"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


@given(
    st.sampled_from(SHAPES),
    st.integers(1, 300),
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.booleans(),
    st.sampled_from([16, 31, 96]),
    st.sampled_from(["sphere", "box"]),
    st.sampled_from([(1.8, 0.5, 0.1), (0.1, 0.0, 0.0), (6.0, 1.0, 0.5)]),
)
@settings(max_examples=80, deadline=None)
def test_clouds_of_every_kind(
    shape: str,
    count: int,
    seed: int,
    estimated: bool,
    orthographic: bool,
    size: int,
    framing: str,
    splats: tuple[float, float, float],
) -> None:
    splat, core, largest = splats
    options = {"splat": splat, "core": core, "max_radius": largest, "orthographic": orthographic, "framing": framing}
    assert_same(*both(cloud(shape, count, seed, estimated), views=VIEWS, image_size=size, **options))


@pytest.mark.parametrize("orthographic", [False, True])
@pytest.mark.parametrize(("count", "size", "supersample"), [(2000, 336, 1), (60_000, 112, 2), (60_000, 336, 1)])
def test_clouds_of_every_density(count: int, size: int, supersample: int, orthographic: bool) -> None:
    scene = cloud("ball", count, 0, estimated=False)
    scene = replace(scene, normals=scene.points)
    one, other = both(scene, views=VIEWS, image_size=size, supersample=supersample, orthographic=orthographic)
    assert_same(one, other)
    assert torch.equal(one.images(("headlight", "depth")), other.images(("headlight", "depth")))
    assert 0.25 < float(other.visible.float().mean()) < 0.7


def test_splats_beyond_the_reach_of_32_bits() -> None:
    one, other = both(cloud("ball", 40, 1, True), views=VIEWS, image_size=1400, splat=3.0, max_radius=0.2)
    assert_same(one, other)


@pytest.mark.parametrize("place", [[0.0, 0.0, 0.0], [0.0, 0.0, 1.9], [0.7, 0.0, 0.7], [30.0, 0.0, 0.0]])
@pytest.mark.parametrize("orthographic", [False, True])
def test_points_behind_the_eye_in_it_and_beside_the_picture(place: list[float], orthographic: bool) -> None:
    scene = cloud("ball", 500, 2, estimated=False)
    cameras = MultiViewRenderer(views=VIEWS, image_size=48, orthographic=orthographic).cameras(scene.points)
    eye: Tensor = torch.tensor([place])
    for distance in (1.0, 0.1, 0.0):
        moved = replace(cameras, center=cameras.center + eye, distance=cameras.distance * distance + 1e-3)
        one, other = both(scene, moved, views=VIEWS, image_size=48, orthographic=orthographic)
        assert_same(one, other)
        assert not one.visible[moved.project(scene.points)[1] <= 0].any()


def test_one_thread_gives_the_bits_of_two() -> None:
    scene, threads = cloud("ball", 5000, 3, estimated=True), torch.get_num_threads()
    renderer = MultiViewRenderer(views=VIEWS, image_size=96, backend="numba")
    try:
        torch.set_num_threads(1)
        one = renderer.render(scene)
        torch.set_num_threads(2)
        assert_same(one, renderer.render(scene))
    finally:
        torch.set_num_threads(threads)


def test_a_numba_that_is_missing_is_named(sphere: PointCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pointadplus.render.numba_kernels", None)
    with pytest.raises(ConfigError, match=r"Numba is missing(.|\n)*" + re.escape(install_command("numba"))):
        MultiViewRenderer(views="sphere1", image_size=16, backend="numba").render(sphere)


def test_it_draws_on_a_cpu_only(sphere: PointCloud) -> None:
    with pytest.raises(ConfigError, match="device"):
        MultiViewRenderer(views="sphere1", image_size=16, backend="numba").render(sphere, device="meta")
