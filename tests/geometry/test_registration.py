"""Rigid motions from correspondences, and scans brought into the pose of a reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pointadplus.errors import CloudError
from pointadplus.geometry.alignment import Reference, register
from pointadplus.geometry.icp import CoarseSurface, Surface
from pointadplus.geometry.neighbors import knn
from pointadplus.geometry.registration import Transform, even_rotations, kabsch, ransac, rotation_angles
from pointadplus.learning.synthesis import parts
from pointadplus.learning.synthesis.corpus import free_turn
from pointadplus.learning.synthesis.parts import Part, PartConfig


def motion(seed: int, shift: float = 1.0) -> Transform:
    generator = torch.Generator().manual_seed(seed)
    return Transform(free_turn(generator).double(), shift * torch.randn(3, generator=generator, dtype=torch.float64))


def cloud(seed: int, count: int = 200) -> Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))


def test_transforms_compose_and_invert() -> None:
    first, then, points = motion(0), motion(1), cloud(2)
    torch.testing.assert_close(then.compose(first).apply(points), then.apply(first.apply(points)), atol=1e-5, rtol=0)
    torch.testing.assert_close(first.inverse().apply(first.apply(points)), points, atol=1e-5, rtol=0)
    assert Transform.identity().angle == 0.0
    quarter = Transform(torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]).double(), torch.zeros(3).double())
    assert quarter.angle == pytest.approx(90.0)


def test_small_angles_are_exact() -> None:
    turn = 1e-6
    rotation = torch.tensor([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
    assert float(rotation_angles(rotation.double())) == pytest.approx(math.degrees(turn), rel=1e-3)


def test_kabsch_finds_motions_in_batches() -> None:
    motions = [motion(seed) for seed in range(5)]
    points = torch.stack([cloud(seed, 4) for seed in range(5)])
    moved = torch.stack([each.apply(part) for each, part in zip(motions, points, strict=True)])
    rotations, translations = kabsch(points, moved)
    for each, rotation, translation in zip(motions, rotations, translations, strict=True):
        torch.testing.assert_close(rotation, each.rotation, atol=1e-5, rtol=0)
        torch.testing.assert_close(translation, each.translation, atol=1e-5, rtol=0)


def test_kabsch_never_mirrors() -> None:
    points = cloud(0)
    rotation, _ = kabsch(points, points * torch.tensor([1.0, 1.0, -1.0]))
    assert float(torch.linalg.det(rotation)) == pytest.approx(1.0)


def test_kabsch_heeds_weights() -> None:
    points, truth = cloud(0), motion(3)
    moved = truth.apply(points)
    moved[:50] += 10.0
    weights = torch.ones(200)
    weights[:50] = 0.0
    torch.testing.assert_close(kabsch(points, moved, weights)[0], truth.rotation, atol=1e-5, rtol=0)


def wrong_pairs(share: float, seed: int = 0) -> tuple[Tensor, Tensor, Transform]:
    source, truth = cloud(seed, 1000), motion(seed + 10)
    generator = torch.Generator().manual_seed(seed)
    target = truth.apply(source) + 0.002 * torch.randn(1000, 3, generator=generator)
    wrong = int(1000 * share)
    target[:wrong] = truth.apply(torch.randn(wrong, 3, generator=generator))
    return source, target, truth


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_ransac_sees_through_wrong_pairs(share: float) -> None:
    source, target, truth = wrong_pairs(share)
    state = torch.get_rng_state()
    found = ransac(source, target, 0.02, seed=1)
    assert torch.equal(state, torch.get_rng_state())
    assert Transform(found.rotation @ truth.rotation.T, torch.zeros(3).double()).angle < 0.2
    assert float((found.translation - truth.translation).norm()) < 0.01
    again = ransac(source, target, 0.02, seed=1)
    assert torch.equal(found.rotation, again.rotation) and torch.equal(found.translation, again.translation)


def test_ransac_agrees_with_open3d() -> None:
    """At least as many pairs agree with our motion as with the one that Open3D finds."""
    open3d = pytest.importorskip("open3d")
    source, target, _ = wrong_pairs(0.8, seed=4)
    found = ransac(source, target, 0.02)
    registration = open3d.pipelines.registration
    clouds = [
        open3d.geometry.PointCloud(open3d.utility.Vector3dVector(part.double().numpy())) for part in (source, target)
    ]
    pairs = open3d.utility.Vector2iVector(np.repeat(np.arange(1000, dtype=np.int32)[:, None], 2, 1))
    open3d.utility.random.seed(0)
    theirs = registration.registration_ransac_based_on_correspondence(
        *clouds, pairs, 0.02, registration.TransformationEstimationPointToPoint(False), 3, [],
        registration.RANSACConvergenceCriteria(4000, 0.999),
    )  # fmt: skip
    agree = int(((found.apply(source) - target).norm(dim=1) < 0.02).sum())
    assert agree >= len(theirs.correspondence_set) > 150


def test_ransac_asks_for_three_pairs() -> None:
    with pytest.raises(CloudError, match="at least 3"):
        ransac(cloud(0, 2), cloud(1, 2), 0.1)


@pytest.fixture(scope="module")
def part() -> Part:
    return Part(5, PartConfig(family="wing_nut", points=6000))


def test_scans_find_their_place(part: Part) -> None:
    reference = Reference(part.scan(0).points)
    for number, kind in ((1, "good"), (2, "bulge"), (3, "broken")):
        scan = part.scan(number, kind).points
        off = reference.distances(reference.align(scan).apply(scan))
        assert float(off.quantile(0.8)) < 0.3  # of a diagonal of 100, with noise of up to 0.08


def test_one_side_finds_its_place(part: Part) -> None:
    reference = Reference(part.scan(0).points)
    scan = part.scan(1, one_sided=True).points
    assert len(scan) < 0.8 * 6000
    assert float(reference.distances(reference.align(scan).apply(scan)).quantile(0.8)) < 0.3


def test_one_shot_of_a_round_body_finds_its_place() -> None:
    """Where one proposal of a place may fail: of a pitcher, all but spout and handle can be turned."""
    pitcher = Part(900, PartConfig(family="pitcher", points=12_000))
    reference = Reference(pitcher.scan(0, scan="around").points)
    for number in (11, 13):
        scan = pitcher.scan(number, scan="single").points
        off = reference.distances(reference.align(scan).apply(scan))
        assert float((off > 1.0).float().mean()) < 0.05, number  # of a diagonal of 100


@pytest.mark.parametrize("family", ["brick", "printed_holder"])
def test_one_shot_of_a_body_that_repeats_finds_its_place(family: str) -> None:
    """Studs and slots let it lie beside its place nearly as well."""
    thing = Part(900, PartConfig(family=family, points=12_000))
    reference = Reference(thing.scan(0, scan="around").points)
    for number in range(11, 14):
        scan = thing.scan(number, scan="single").points
        off = reference.distances(reference.align(scan).apply(scan))
        assert float((off > 1.0).float().mean()) < 0.05, number  # of a diagonal of 100


def test_the_front_of_a_sheet_does_not_find_its_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shift by the thickness is as near a surface, but of the other face."""
    monkeypatch.setattr(parts, "free_turn", lambda _: torch.eye(3))
    sheet, pose = Part(210, PartConfig(family="sheet_metal")), motion(5, 30.0)
    reference = Reference(sheet.scan(0).points)
    for kind in ("bulge", "hole"):
        scan = sheet.scan(20, kind, scan="single").points
        found = reference.align(pose.apply(scan)).apply(pose.apply(scan))
        assert float((found - scan).norm(dim=1).quantile(0.95)) < 0.5, kind  # of a diagonal of 100


def test_even_rotations_leave_no_gap() -> None:
    rotations = even_rotations(4608)
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3).double().expand(4608, 3, 3))
    drawn = torch.stack([motion(seed).rotation for seed in range(200)])
    nearest = (rotations.flatten(1) @ drawn.flatten(1).T).amax(0)  # 1 + 2 cos of the angle
    assert float(torch.rad2deg(torch.acos((nearest.amin() - 1) / 2))) < 16.0


def test_a_look_at_cells_is_no_farther_off_than_they_are_wide() -> None:
    points = cloud(0, 4000) / 6
    surface = Surface(points, torch.nn.functional.normalize(cloud(1, 4000), dim=1))
    coarse = CoarseSurface(surface, 64, 0.2)
    asked = cloud(2, 500).double() / 6
    exact = knn(surface.points, asked, 1)[0][:, 0]
    cell = float((surface.points.amax(0) - surface.points.amin(0)).max() + 0.4) / 63
    here = torch.eye(3).double()[None], torch.zeros(1, 3).double()
    off = torch.stack([coarse.glances(each[None], *here, 1.0)[0] for each in asked]) - exact
    assert float(off.abs().max()) < 2 * cell and float(off.abs().mean()) < 0.5 * cell


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_unit_does_not_matter(part: Part, scale: float) -> None:
    target, source = part.scan(0).points, part.scan(1).points
    away = torch.tensor([100.0, -50.0, 20.0])
    moved = register((source + away) * scale, target * scale).apply((source + away) * scale)
    off = Reference(target * scale).distances(moved)
    assert float(off.quantile(0.8)) < 0.3 * scale


def test_a_symmetric_object_needs_only_its_surface() -> None:
    generator = torch.Generator().manual_seed(0)
    angle, height = 2 * math.pi * torch.rand(4000, generator=generator), torch.rand(4000, generator=generator)
    turned = torch.stack([angle.cos() * (1 + 0.5 * height), angle.sin() * (1 + 0.5 * height), 3 * height], 1)
    pose = motion(2)
    reference = Reference(turned[:2000])
    scan = pose.apply(turned[2000:])
    assert float(reference.distances(reference.align(scan).apply(scan)).quantile(0.9)) < 0.02


def test_alignment_is_repeatable_and_leaves_the_random_state(part: Part) -> None:
    reference, scan = Reference(part.scan(0).points), part.scan(1).points
    state = torch.get_rng_state()
    first, second = reference.align(scan), reference.align(scan)
    assert torch.equal(first.rotation, second.rotation) and torch.equal(first.translation, second.translation)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    "points",
    [torch.zeros(1, 3), torch.zeros(50, 3), torch.arange(30.0)[:, None] * torch.ones(3), torch.eye(3)],
    ids=["one point", "all in one place", "a line", "three points"],
)
def test_clouds_without_a_shape_are_taken(points: Tensor) -> None:
    found = register(points, points)
    assert torch.isfinite(found.rotation).all() and torch.isfinite(found.translation).all()
    assert float(torch.linalg.det(found.rotation)) == pytest.approx(1.0, abs=1e-6)
    assert torch.isfinite(Reference(points).distances(points)).all()
