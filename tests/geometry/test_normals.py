"""Normals at edges and on thin walls, and their sign."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from pointadplus.geometry.neighbors import knn
from pointadplus.geometry.normals import estimate_normals, local_frames, offsets_to
from pointadplus.render.orientation import orient_normals
from tests.geometry.test_geometry import generator, rotation

COUNT = 4000
Surface = tuple[torch.Tensor, torch.Tensor]


def ball(noise: float = 0.0) -> Surface:
    normals = normalize(torch.randn(COUNT, 3, generator=generator()), dim=1)
    return 0.5 * normals + noise * math.sqrt(3) * torch.randn(COUNT, 3, generator=generator(1)), normals


def torus() -> Surface:
    around, across = (2 * math.pi * torch.rand(2, COUNT, generator=generator())).unbind()
    radial = torch.stack([around.cos(), around.sin(), torch.zeros(COUNT)], 1)
    normals = across.cos()[:, None] * radial + across.sin()[:, None] * torch.tensor([0.0, 0.0, 1.0])
    return 0.35 * radial + 0.15 * normals, normals


def block(*extents: float) -> Surface:
    size, rng = torch.tensor(extents), generator()
    axis = torch.multinomial(size.prod() / size, COUNT, True, generator=rng)
    normals = torch.eye(3)[axis] * (2.0 * torch.randint(0, 2, (COUNT, 1), generator=rng) - 1)
    points = (torch.rand(COUNT, 3, generator=rng) - 0.5) * size
    return torch.where(normals != 0, normals * size / 2, points), normals


def plate(wall: float) -> Surface:
    return block(1.0, 1.0, wall * math.sqrt(2 / COUNT))


def cup(wall: float, radius: float = 0.3, height: float = 0.7) -> Surface:
    rng, area = generator(), 2 * math.pi * radius * (2 * height + radius)
    hollow = radius - (thickness := wall * math.sqrt(area / COUNT))
    areas = (2 * radius * height, 2 * hollow * (height - thickness), radius**2, hollow**2, radius**2 - hollow**2)
    part = torch.multinomial(torch.tensor(areas), COUNT, True, generator=rng)[:, None]
    u, turn = torch.rand(COUNT, generator=rng), 2 * math.pi * torch.rand(COUNT, generator=rng)
    one, root = torch.ones(COUNT), u.sqrt()
    rim = (hollow**2 + u * (radius**2 - hollow**2)).sqrt()
    reach = torch.stack([radius * one, hollow * one, radius * root, hollow * root, rim], 1).gather(1, part)
    inner = thickness + u * (height - thickness)
    up = torch.stack([height * u, inner, 0 * one, thickness * one, height * one], 1).gather(1, part)
    radial = torch.stack([turn.cos(), turn.sin()], 1)
    sideways, upward = torch.tensor([1.0, -1, 0, 0, 0])[part], torch.tensor([0.0, 0, -1, 1, 1])[part]
    return torch.cat([radial * reach, up], 1), torch.cat([radial * sideways, upward], 1)


def wave() -> Surface:
    x, y = (1.0 * torch.rand(COUNT, 2, generator=generator())).unbind(1)
    slopes = torch.stack([0.5 * (9 * x).cos(), -0.4 * (7 * y).sin(), -torch.ones(COUNT)], 1)
    return torch.stack([x - 0.5, y - 0.5, (9 * x).sin() / 18 + 0.4 / 7 * (7 * y).cos()], 1), normalize(
        slopes, dim=1
    )  # the middle is lowest


def shell() -> Surface:
    normals = normalize(torch.randn(2 * COUNT, 3, generator=generator()), dim=1)
    normals = normals[normals[:, 2] < 0]
    return 0.5 * normals, normals


def principal(points: torch.Tensor) -> torch.Tensor:
    return local_frames(offsets_to(points, points, knn(points, points, 16)[1])).normals


def mean_angle(found: torch.Tensor, normals: torch.Tensor) -> float:
    return torch.rad2deg(torch.acos((found * normals).sum(1).abs().clamp_max(1.0))).mean().item()


def either_sign(normals: torch.Tensor) -> torch.Tensor:
    return normals * (2.0 * torch.randint(0, 2, (len(normals), 1), generator=generator(4)) - 1)


def share_right(found: torch.Tensor, normals: torch.Tensor) -> float:
    return ((found * normals).sum(1) > 0).float().mean().item()


@pytest.mark.parametrize(
    ("surface", "part"),
    [
        (ball(0.0), 1.05),
        (ball(0.002), 1.05),
        (ball(0.005), 1.1),
        (block(1, 1, 1), 0.25),
        (plate(0.5), 0.6),
        (plate(1), 0.25),
        (plate(2), 0.15),
        (cup(0.5), 0.85),
        (cup(1), 0.35),
        (cup(2), 0.3),
    ],
)
def test_normals_keep_edges_and_walls_and_bear_noise(surface: Surface, part: float):
    points, normals = surface
    assert mean_angle(estimate_normals(points), normals) <= part * mean_angle(principal(points), normals)


def test_normals_of_any_unit_and_of_degenerate_clouds():
    points, normals = block(1, 1, 1)
    for unit in (1e-6, 1e6):
        assert mean_angle(estimate_normals(unit * points), normals) < 2.0
    line = torch.arange(50.0)[:, None] * torch.tensor([[1.0, 2.0, 3.0]])
    for points in (line, torch.ones(40, 3), line[:1], line[:2], line[:5]):
        for k in (1, 2, 3, 16):
            torch.testing.assert_close(estimate_normals(points, k).norm(dim=1), torch.ones(len(points)))


@pytest.mark.parametrize(
    ("surface", "least"),
    [
        (ball(), 1.0),
        (ball(0.005), 1.0),
        (torus(), 1.0),
        (block(1, 1, 1), 1.0),
        (plate(1), 0.995),
        (cup(2), 0.995),
    ],
)
def test_normals_of_closed_surfaces_point_outward_in_any_pose(surface: Surface, least: float):
    points, normals = surface
    found = orient_normals(points, either_sign(normals))
    assert share_right(found, normals) >= least
    turn = rotation(2)
    turned = orient_normals(points @ turn.T, either_sign(normals) @ turn.T)
    assert share_right(turned, found @ turn.T) >= 0.995


def test_a_sensor_at_the_origin_sees_the_front():
    points, normals = shell()
    seen = normals[:, 2] < -0.25  # the sensor's rays touch the sphere at cos = radius / distance
    points, normals = points[seen] + torch.tensor([0.0, 0.0, 2.0]), normals[seen]
    assert share_right(orient_normals(points, either_sign(normals)), normals) == 1.0
    inside = points - torch.tensor([0.0, 0.0, 2.0])
    assert share_right(orient_normals(inside, normals, origin_is_sensor=True), -normals) == 1.0


@pytest.mark.parametrize("surface", [shell(), wave()])
def test_sheets_face_the_side_on_which_they_bulge_in_any_pose(surface: Surface):
    points, normals = surface
    for seed in range(2):
        turn = rotation(seed)
        found = orient_normals(points @ turn.T, either_sign(normals) @ turn.T, origin_is_sensor=False)
        assert share_right(found, normals @ turn.T) >= 0.995


def test_bits_do_not_depend_on_threads():
    points, _ = cup(2)
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            normals = estimate_normals(points)
            results.append((normals, orient_normals(points, normals), orient_normals(points[:9], normals[:9])))
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)
