"""The camera that shows what is anomalous: it looks at patches, into openings, and never worse than where it began."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pointadplus.errors import ConfigError
from pointadplus.render import Cameras, frame_cameras, view_rotations
from pointadplus.render.best_view import best_view, evidence_seen
from tests.reference.rasterizer import rasterize, visible_points


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_sphere(count: int, seed: int = 0) -> Tensor:
    return normalize(torch.randn(count, 3, generator=generator(seed)), dim=1)


def degrees_from(camera: Cameras, direction: Tensor) -> float:
    """Between the direction in which the camera stands and another."""
    return math.degrees(math.acos(float((camera.rotation[0, 2] @ direction).clamp(-1.0, 1.0))))


def patch_scores(points: Tensor, direction: Tensor, seed: int = 0) -> Tensor:
    """0.8 within 15° of a direction, on top of noise in [0, 0.1]."""
    return 0.8 * (points @ direction > math.cos(math.radians(15.0))) + 0.1 * torch.rand(
        len(points), generator=generator(seed)
    )


def cup(count: int, height: float = 1.5, wall: float = 0.1) -> tuple[Tensor, Tensor]:
    """A cup of radius 1 that opens towards +y, and which of its points are in the middle of its floor, inside."""
    inner = 1.0 - wall
    share = torch.tensor([height, inner * (height - wall), 0.5, 0.5 * inner**2, 0.5 * (1.0 - inner**2)])
    part = torch.multinomial(share, count, replacement=True, generator=generator(1))
    along, angle = torch.rand(2, count, generator=generator(2))
    root = along.sqrt()
    radius = torch.stack(
        [root * 0 + 1, root * 0 + inner, root, inner * root, (inner**2 + (1 - inner**2) * along).sqrt()]
    )
    low = torch.tensor([0.0, wall, 0.0, wall, height])[part]
    radius, y = radius.gather(0, part[None])[0], low + along * (height - low) * (part < 2)
    angle = 2.0 * math.pi * angle
    return torch.stack([radius * angle.cos(), y, radius * angle.sin()], 1), (part == 3) & (radius < 0.4)


@pytest.mark.parametrize("direction", [None, (0.0, 1.0, 0.0), (0.02, -1.0, 0.0)], ids=["random", "top", "near-bottom"])
def test_it_looks_at_a_patch_and_no_start_shows_more(direction: tuple[float, ...] | None) -> None:
    aim = normalize(torch.randn(3, generator=generator(6)) if direction is None else torch.tensor(direction), dim=0)
    points = random_sphere(1500)
    scores = patch_scores(points, aim)
    camera = best_view(points, scores, points, image_size=200)
    assert degrees_from(camera, aim) < 15.0
    starts = frame_cameras(points, view_rotations("sphere(24)"), 200)
    seen = evidence_seen(starts, points, scores, points)
    assert evidence_seen(camera, points, scores, points) >= seen.max() - 1e-6
    best_start = replace(camera, rotation=starts.rotation[seen.argmax(), None])
    assert degrees_from(best_start, aim) > degrees_from(camera, aim)
    # It frames the whole object as any other camera does, upright.
    framed = frame_cameras(points, camera.rotation, 200)
    for mine, other in zip(vars(camera).values(), vars(framed).values(), strict=True):
        torch.testing.assert_close(mine, other)
    torch.testing.assert_close(camera.rotation @ camera.rotation.mT, torch.eye(3)[None])
    assert camera.rotation[0, 0, 1].abs() < 1e-5 and camera.rotation[0, 1, 1] >= 0


@pytest.mark.parametrize("face", range(6))
def test_a_face_is_seen_the_way_up_that_faces6_has(face: int) -> None:
    points, rotation = random_sphere(500), view_rotations("faces6")[face]
    camera = best_view(points, (points @ rotation[2] > 0.9).float(), points, start_views="faces6", steps=0)
    assert torch.equal(camera.rotation[0], rotation)


def test_it_looks_into_a_cup_through_its_opening() -> None:
    points, inside = cup(4000)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator(3))).Q
    turn = turn * torch.linalg.det(turn)
    points = points @ turn.T + 5.0
    camera = best_view(points, inside.float(), image_size=64)
    assert degrees_from(camera, turn[:, 1]) < 25.0  # beyond 33° a side of the cup hides the middle of its floor
    pixels, depth = camera.project(points)
    seen = visible_points(pixels, depth, rasterize(pixels, depth, 2.0, 64)[1], 0.2)[0]
    assert seen[inside].float().mean() > 0.95
    behind = torch.diag(torch.tensor([-1.0, 1.0, -1.0])) @ camera.rotation
    from_below = evidence_seen(replace(camera, rotation=behind), points, inside.float())
    assert from_below < 0.05 * evidence_seen(camera, points, inside.float())


def test_evidence_in_closed_form() -> None:
    """In parallel rays the mean of the cosine over a sphere's disc is ⅔ of its area; a patch at the back is none."""
    points = random_sphere(8000)
    cameras = frame_cameras(points, view_rotations("faces6"), 64, fill=0.9, orthographic=True)
    disc = math.pi * 0.45**2
    whole = evidence_seen(cameras, points, torch.full((8000,), 0.3), points)
    torch.testing.assert_close(whole, torch.full((6,), 2 / 3 * disc), rtol=0.12, atol=0.0)  # splats grow the discs
    cap = evidence_seen(cameras, points, (points[:, 0] > 0.9).float(), -points)  # from +x, −x and four sides
    assert cap[0].item() == pytest.approx(2 / 3 * (1.0 - 0.9**3) * disc, rel=0.18)
    assert cap[1] < 0.01 * cap[0] and (cap[2:] < 0.05 * cap[0]).all()


def test_signs_of_normals_and_offsets_of_scores_do_not_matter() -> None:
    points = random_sphere(600, seed=4)
    scores = (points[:, 0] > 0.9).float()
    found = [
        best_view(points, each, normals, start_views="sphere(8)", steps=3).rotation
        for each, normals in ((scores, points), (scores, -points), (0.25 + 0.5 * scores, points))
    ]
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


@pytest.mark.parametrize(
    "points", [torch.zeros(1, 3), torch.ones(5, 3), torch.rand(40, 3) * torch.tensor([1.0, 1.0, 0.0])]
)
def test_degenerate_clouds_have_a_best_view(points: Tensor) -> None:
    camera = best_view(points, torch.zeros(len(points)), start_views="sphere4", steps=2)
    assert camera.rotation.shape == (1, 3, 3) and camera.image_size == 336
    assert all(each.isfinite().all() for each in (camera.rotation, camera.center, camera.distance))


def test_the_same_bits_in_any_number_of_threads() -> None:
    points = random_sphere(1500)
    scores = patch_scores(points, normalize(torch.ones(3), dim=0))
    threads, rotations = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            rotations.append(best_view(points, scores, points, start_views="sphere(8)", steps=4).rotation)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*rotations)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_also_climbs_where_gradients_are_switched_off(mode: Callable[[], AbstractContextManager[None]]) -> None:
    expected = best_view(random_sphere(300), random_sphere(300)[:, 0], start_views="sphere4", steps=2)
    with mode():
        found = best_view(random_sphere(300), random_sphere(300)[:, 0], start_views="sphere4", steps=2)
    assert torch.equal(found.rotation, expected.rotation) and not found.rotation.requires_grad


@pytest.mark.parametrize(("option", "value"), [("steps", -1), ("start_views", "front")])
def test_bad_options_are_refused(option: str, value: object) -> None:
    with pytest.raises(ConfigError, match="views" if option == "start_views" else option):
        best_view(torch.eye(3), torch.ones(3), **{option: value})
