"""Defects: what they change, what they must leave alone, and how they are labelled."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pointadplus.errors import CloudError, ConfigError
from pointadplus.learning.synthesis.defects import KINDS, Damaged, Severity, apply_defect, apply_defects
from pointadplus.learning.synthesis.defects_base import Surface
from pointadplus.learning.synthesis.defects_patch import NEIGHBOURS, carried_normals, geodesic_patch
from pointadplus.learning.synthesis.scan import ScanArtifacts, add_scan_artifacts
from tests.reference.geodesic import connected_points

Cloud = tuple[torch.Tensor, torch.Tensor]
COUNT = 6000


def sphere(count: int = COUNT) -> Cloud:
    normals = torch.randn(count, 3, generator=seeded(1))
    normals = normals / normals.norm(dim=1, keepdim=True)
    return normals.clone(), normals


def box(count: int = COUNT, size: tuple[float, float, float] = (1.0, 0.7, 0.4)) -> Cloud:
    rng, sides = np.random.default_rng(2), np.array(size)
    areas = sides.prod() / sides
    axis, sign = rng.choice(3, count, p=areas / areas.sum()), rng.choice([-1.0, 1.0], count)
    points, normals = (rng.random((count, 3)) - 0.5) * sides, np.zeros((count, 3))
    normals[np.arange(count), axis] = sign
    points[np.arange(count), axis] = sign * sides[axis] / 2
    return torch.from_numpy(points).float(), torch.from_numpy(normals).float()


def plate(count: int = COUNT) -> Cloud:
    return box(count, (1.0, 1.0, 0.02))


def torus(count: int = COUNT) -> Cloud:
    rng = np.random.default_rng(3)
    u, v = rng.uniform(0, 2 * np.pi, (2, 4 * count))
    u, v = (angle[rng.random(4 * count) < (1 + 0.35 * np.cos(v)) / 1.35][:count] for angle in (u, v))
    return _ring(u, v)


def _ring(u: np.ndarray, v: np.ndarray) -> Cloud:
    count = min(len(u), len(v))
    u, v = u[:count], v[:count]
    normals = np.stack([np.cos(u) * np.cos(v), np.sin(u) * np.cos(v), np.sin(v)], 1)
    points = np.stack([np.cos(u), np.sin(u), np.zeros_like(u)], 1) + 0.35 * normals
    return torch.from_numpy(points).float(), torch.from_numpy(normals).float()


SURFACES = {"sphere": sphere, "box": box, "plate": plate, "torus": torus}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def diagonal(points: torch.Tensor) -> float:
    return float((points.amax(0) - points.amin(0)).norm())


def moves(damaged: Damaged, points: torch.Tensor) -> torch.Tensor:
    """(M, 3) how far each point went; zero for new material."""
    went = damaged.points - points[damaged.source.clamp(min=0)]
    return went * (damaged.source >= 0)[:, None]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SURFACES)
def test_every_defect_keeps_its_contract(name: str, kind: str) -> None:
    points, normals = SURFACES[name]()
    for seed in range(4):
        damaged = apply_defect(points, normals, kind, seeded(seed))
        count = len(damaged.points)
        assert damaged.kind == kind
        assert damaged.points.shape == damaged.normals.shape == (count, 3)
        assert damaged.points.dtype == damaged.normals.dtype == torch.float32
        assert damaged.labels.shape == damaged.source.shape == (count,)
        assert (damaged.labels.dtype, damaged.source.dtype) == (torch.bool, torch.int64)
        assert torch.isfinite(damaged.points).all()
        torch.testing.assert_close(damaged.normals.norm(dim=1), torch.ones(count), atol=1e-4, rtol=0)
        assert 0.001 <= damaged.labels.float().mean() <= 0.15
        healthy = damaged.source[damaged.source >= 0]
        assert len(healthy) >= 0.6 * len(points)
        assert len(healthy.unique()) == len(healthy)
        assert damaged.labels[damaged.source < 0].all()
        went = moves(damaged, points).norm(dim=1)
        removed = len(points) - len(healthy)
        assert removed >= 8 or (damaged.source < 0).any() or (went > 0.001 * diagonal(points)).sum() >= 5


@pytest.mark.parametrize("kind", KINDS)
def test_points_that_did_not_move_keep_their_normals_bit_for_bit(kind: str) -> None:
    points, normals = torus()
    damaged = apply_defect(points, normals, kind, seeded(5))
    old = damaged.source >= 0
    still = old & (damaged.points == points[damaged.source.clamp(min=0)]).all(1)
    assert still.float().mean() > 0.5
    assert torch.equal(damaged.normals[still], normals[damaged.source[still]])
    assert (moves(damaged, points)[old & ~damaged.labels].norm(dim=1) < 0.03 * diagonal(points)).all()


@pytest.mark.parametrize(("kind", "sign"), [("bulge", 1.0), ("dent", -1.0)])
def test_bulges_rise_and_dents_sink(kind: str, sign: float) -> None:
    points, normals = sphere()
    for seed in range(8):
        damaged = apply_defect(points, normals, kind, seeded(seed))
        along = sign * (moves(damaged, points) * normals[damaged.source]).sum(1)
        assert along.max() > 0.003 * diagonal(points)
        assert along.max() > 2.0 * -along.min()  # a crater's lip may go the other way, but not as far
        assert along[damaged.labels].sum() > 0


def test_depth_of_a_labelled_bulge_is_the_one_asked_for() -> None:
    points, normals = sphere()
    heights = []
    for depth in (0.0, 0.25, 0.5, 0.75, 1.0):
        damaged = apply_defect(points, normals, "bulge", seeded(11), severity=Severity(size=0.9, depth=depth))
        heights.append(float(moves(damaged, points).norm(dim=1).max()) / diagonal(points))
    assert heights == pytest.approx([0.004 * 10 ** (0.25 * i) for i in range(5)], rel=0.01)


@pytest.mark.parametrize("kind", ["dent", "scratch", "roughness", "bending"])
def test_more_depth_moves_further(kind: str) -> None:
    points, normals = box()
    largest = [
        float(moves(apply_defect(points, normals, kind, seeded(3), severity=Severity(0.8, depth)), points).abs().max())
        for depth in (0.1, 0.5, 0.9)
    ]
    assert largest[0] < largest[1] < largest[2]


@pytest.mark.parametrize("kind", ["bulge", "dent"])
def test_a_finer_scale_shrinks_the_patch_and_less_its_depth(kind: str) -> None:
    points, normals = sphere(40_000)
    whole, fine = (
        apply_defect(points, normals, kind, seeded(6), severity=Severity(0.5, 0.5, scale)) for scale in (1.0, 0.25)
    )
    areas = [float(each.labels.sum()) for each in (whole, fine)]
    assert areas[1] / areas[0] == pytest.approx(0.25**2, rel=0.3)
    heights = [float(moves(each, points).norm(dim=1).max()) for each in (whole, fine)]
    assert heights[1] / heights[0] == pytest.approx(0.5, rel=0.3)


@pytest.mark.parametrize("kind", ["bulge", "roughness", "hole"])
def test_more_size_labels_more(kind: str) -> None:
    points, normals = sphere()
    shares = [
        float(apply_defect(points, normals, kind, seeded(4), severity=Severity(size, 0.5)).labels.float().mean())
        for size in (0.3, 0.6, 1.0)
    ]
    assert shares[0] < shares[1] < shares[2]


def test_holes_remove_points_or_sink_their_floor() -> None:
    points, normals = sphere()
    forms = set()
    for seed in range(12):
        damaged = apply_defect(points, normals, "hole", seeded(seed))
        gone = set(range(len(points))) - set(damaged.source.tolist())
        if gone:
            assert not (damaged.source < 0).any()
            middle = points[sorted(gone)].mean(0)
            far = (damaged.points[damaged.labels] - middle).norm(dim=1).max()
            assert far < 0.25 * diagonal(points)  # the rim lies about the hole
        else:
            went = (moves(damaged, points) * normals[damaged.source]).sum(1)
            assert went.min() < -0.003 * diagonal(points)
        forms.add(bool(gone))
    assert forms == {True, False}


def test_filled_breaks_lie_inside_the_healthy_object() -> None:
    points, normals = sphere()
    filled = 0
    for seed in range(12):
        damaged = apply_defect(points, normals, "broken", seeded(seed))
        new = damaged.source < 0
        assert (damaged.source >= 0).sum() < len(points)
        if new.any():
            filled += 1
            assert damaged.points[new].norm(dim=1).max() < 1.01
            assert (damaged.points[new].norm(dim=1) < 0.99).float().mean() > 0.5
    assert filled >= 3


@pytest.mark.parametrize("kind", ["bulge", "dent", "hole", "scratch", "crack", "roughness"])
def test_the_far_side_of_a_thin_plate_is_left_alone(kind: str) -> None:
    points, normals = plate()
    tried = 0
    for seed in range(40):
        damaged = apply_defect(points, normals, kind, seeded(seed))
        old = damaged.source >= 0
        side = normals[damaged.source.clamp(min=0), 2]
        # A centre on the narrow rim may reach both faces: the patch that counts lies in the middle of one.
        inner = (points[damaged.source.clamp(min=0), :2].abs() < 0.5).all(1) & old
        hit = damaged.labels & inner
        if hit.any() and (damaged.points[damaged.labels][:, :2].abs() < 0.45).all():
            tried += 1
            front = side[hit].mean().sign()
            assert (side[hit] == front).all()
            gone = np.setdiff1d(np.arange(len(points)), damaged.source[old].numpy())
            assert (normals[gone, 2] == front).all()
            assert not (moves(damaged, points)[old & (side == -front)] != 0).any()
    assert tried >= 8


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_and_the_global_generators_do_not_move(kind: str) -> None:
    points, normals = box()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (apply_defect(points, normals, kind, seeded(7)) for _ in range(2))
    other = apply_defect(points, normals, kind, seeded(8))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
    for name in ("points", "normals", "labels", "source"):
        assert torch.equal(getattr(first, name), getattr(second, name))
    assert first.points.shape != other.points.shape or not torch.equal(first.points, other.points)


def test_a_defect_does_not_depend_on_unit_or_place() -> None:
    points, normals = torus()
    here = apply_defect(points, normals, "dent", seeded(2))
    there = apply_defect(points * 128.0, normals, "dent", seeded(2))
    assert torch.equal(here.labels, there.labels)
    torch.testing.assert_close(there.points / 128.0, here.points)


def test_several_defects_chain_their_sources_and_labels() -> None:
    points, normals = sphere()
    for seed in range(6):
        damaged = apply_defects(points, normals, seeded(seed), count=3)
        kinds = damaged.kind.split("+")
        assert 1 <= len(kinds) <= 3
        assert set(kinds) <= set(KINDS)
        assert 0.001 <= damaged.labels.float().mean() <= 0.15
        healthy = damaged.source >= 0
        assert damaged.source.max() < len(points)
        assert len(damaged.source[healthy].unique()) == healthy.sum()
        untouched = healthy & (moves(damaged, points) == 0).all(1)
        assert untouched.float().mean() > 0.5


def test_wrong_requests_are_named() -> None:
    points, normals = sphere()
    with pytest.raises(ConfigError, match="bulge, dent"):
        apply_defect(points, normals, "rust", seeded(0))
    with pytest.raises(ConfigError, match="size"):
        Severity(size=1.5)
    with pytest.raises(ConfigError, match="count"):
        apply_defects(points, normals, seeded(0), count=0)
    with pytest.raises(CloudError, match="500"):
        apply_defect(points[:10], normals[:10], "dent", seeded(0))
    with pytest.raises(CloudError, match="finite"):
        apply_defect(points * float("nan"), normals, "dent", seeded(0))
    with pytest.raises(CloudError, match="coincide"):
        apply_defect(points * 0, normals, "dent", seeded(0))


@pytest.mark.parametrize("name", ["plate", "torus"])
def test_geodesic_patch_equals_its_plain_twin(name: str) -> None:
    points, normals = (value.double() for value in SURFACES[name](1500))
    surface = Surface(points.numpy(), normals.numpy(), diagonal(points))
    for centre in (0, 700, 1499):
        radius = 0.12 * surface.diagonal
        patch = geodesic_patch(surface, centre, radius)
        assert patch is not None
        twin = connected_points(points.tolist(), normals.tolist(), centre, radius, NEIGHBOURS)
        assert set(patch.index.tolist()) == twin


def test_carried_normals_follow_a_rotation_and_ignore_a_translation() -> None:
    points, normals = (value.double().numpy() for value in torus())
    near = geodesic_patch(Surface(points, normals, 2.7), 0, 0.4)
    assert near is not None
    own, facing = points[near.index], normals[near.index]
    moved = carried_normals(own, facing, np.full_like(own, 0.3), near.neighbours)
    np.testing.assert_allclose(moved, facing, atol=1e-9)
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    turned = carried_normals(own, facing, own @ turn.T - own, near.neighbours)
    assert np.median((turned * (facing @ turn.T)).sum(1)) > 0.999


def test_scan_artifacts_jitter_thin_and_hide() -> None:
    points, normals = sphere()
    always = ScanArtifacts(noise=(0.0005, 0.0005), uneven=0.0, one_sided=0.0)
    noisy, same, kept = add_scan_artifacts(points, normals, seeded(0), always)
    assert torch.equal(kept, torch.arange(len(points)))
    assert torch.equal(same, normals)
    error = (noisy - points).square().sum(1).mean().sqrt() / diagonal(points)
    assert error == pytest.approx(0.0005, rel=0.05)
    half = add_scan_artifacts(points, normals, seeded(0), ScanArtifacts(uneven=0.0, one_sided=1.0))
    assert 0.4 < len(half[0]) / len(points) < 0.7
    assert half[1].mean(0).norm() > 0.3
    thin = add_scan_artifacts(points, normals, seeded(0), ScanArtifacts(uneven=1.0, one_sided=0.0))[2]
    assert 0.4 < len(thin) / len(points) < 0.95
    assert (thin.diff() > 0).all()
    with pytest.raises(ConfigError, match="one_sided"):
        ScanArtifacts(one_sided=2.0)
