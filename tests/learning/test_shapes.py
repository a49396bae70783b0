"""Shapes: exact numbers of evenly spread points, outward normals, and no part of a surface left out."""

from __future__ import annotations

import math
from random import Random

import pytest
import torch
from scipy.spatial import cKDTree

from pointadplus.errors import ConfigError
from pointadplus.geometry.symmetry import find_symmetries
from pointadplus.learning.synthesis import reliefs
from pointadplus.learning.synthesis.outlines import polygon
from pointadplus.learning.synthesis.shapes import (
    CATALOGUE,
    FAMILIES,
    HELD_OUT,
    grown,
    implements,
    life,
    printed,
    sample_shape,
    tools,
)
from pointadplus.learning.synthesis.shapes.family import Family
from pointadplus.learning.synthesis.solids import Field, box, sphere, torus, union
from pointadplus.learning.synthesis.surface import sample_surface
from tests.reference import naive_shapes

UNEQUAL = [
    part.name
    for module in (tools, implements, printed, grown)
    for part in vars(module).values()
    if isinstance(part, Family)
]


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("family", FAMILIES)
def test_family(family: str) -> None:
    state = torch.get_rng_state()
    shape = sample_shape(_generator(3), points=3000, family=family)
    assert torch.equal(torch.get_rng_state(), state)
    assert shape.family == family
    assert shape.caption
    assert shape.points.shape == shape.normals.shape == (3000, 3)
    assert shape.points.dtype == shape.normals.dtype == torch.float32
    assert torch.isfinite(shape.points).all()
    torch.testing.assert_close(shape.normals.norm(dim=1), torch.ones(3000), atol=1e-5, rtol=0)
    low, high = shape.points.amin(0), shape.points.amax(0)
    torch.testing.assert_close((high - low).amax(), torch.tensor(1.0))
    torch.testing.assert_close(low + high, torch.zeros(3), atol=1e-5, rtol=0)
    # Over a closed, evenly sampled surface the normals cancel (standard error 0.011 an axis), and ⅓∮ x·n dA is the
    # volume, so its sign says which way they look.
    assert shape.normals.mean(0).norm() < 0.06
    assert (shape.points * shape.normals).sum(1).mean() > 0
    # The eighth neighbour of uniform points on a plane: 90 % over 10 % quantile 1.58. Edges and thin walls add some.
    gaps = torch.from_numpy(cKDTree(shape.points.numpy()).query(shape.points.numpy(), k=9)[0][:, -1])
    assert gaps.quantile(0.9) / gaps.quantile(0.1) < 2.0


@pytest.mark.parametrize("family", FAMILIES)
def test_no_part_is_left_out(family: str) -> None:
    """Every surface point found by brute force has sampled points near it: the octree dropped nothing."""
    field = CATALOGUE[family].build(Random(f"part of {family}")).field
    points, _ = sample_surface(field, 4000, _generator(0))
    brute = naive_shapes.surface_points(field, 25_000, _generator(1))
    assert brute.shape[1] > 10
    gaps, _ = cKDTree(points.numpy()).query(brute.T.numpy())
    assert gaps.max() < 0.16


def test_families_are_many_and_some_are_held_out() -> None:
    assert len(FAMILIES) >= 24
    assert len(set(FAMILIES)) == len(FAMILIES)
    assert len(set(HELD_OUT)) == 10
    assert set(HELD_OUT) < set(FAMILIES)


def test_seed_decides() -> None:
    one, two, other = (sample_shape(_generator(seed), points=500) for seed in (5, 5, 6))
    assert torch.equal(one.points, two.points)
    assert torch.equal(one.normals, two.normals)
    assert one.caption == two.caption
    assert not torch.equal(one.points, other.points)
    generator = _generator(5)
    first, second = (sample_shape(generator, points=500, family="vase") for _ in range(2))
    assert not torch.equal(first.points, second.points)


@pytest.mark.parametrize("options", [{"family": "unicorn"}, {"points": 0}])
def test_bad_options(options: dict) -> None:
    with pytest.raises(ConfigError, match="sample_shape"):
        sample_shape(_generator(0), **options)


def test_one_point() -> None:
    assert sample_shape(_generator(0), points=1, family="gear").points.shape == (1, 3)


def test_empty_field() -> None:
    with pytest.raises(ConfigError, match="no surface"):
        sample_surface(sphere(0.2) & Field(lambda x, y, z: 0.5 - x), 10, _generator(0))


def test_sphere_is_even() -> None:
    points, normals = sample_surface(sphere(0.7), 20_000, _generator(0))
    torch.testing.assert_close(points.norm(dim=1), torch.full((20_000,), 0.7), atol=1e-5, rtol=0)
    torch.testing.assert_close(points, 0.7 * normals, atol=1.5e-3, rtol=0)  # 0.1°
    # Archimedes: heights on a sphere are uniform. Kolmogorov's bound at one in a million is 2.7/√N.
    heights = (points[:, 2] / 0.7 + 1).sort().values / 2
    assert (heights - torch.linspace(0, 1, 20_000)).abs().max() < 2.7 / math.sqrt(20_000)


def test_torus_is_even() -> None:
    """The outer half of a torus, ring 0.6 and tube 0.2, holds ½ + 0.2/(0.6π) of its area."""
    points, _ = sample_surface(torus(0.6, 0.2), 20_000, _generator(0))
    share = (points[:, :2].norm(dim=1) > 0.6).float().mean().item()
    assert share == pytest.approx(0.5 + 0.2 / (0.6 * math.pi), abs=0.018)


def test_faces_get_their_area() -> None:
    """A box with a cut: sharp edges, faces by area, and the walls of the pocket look into it."""
    field = box(0.8, 0.6, 0.4) - box(0.3, 0.2, 2.0)
    points, normals = sample_surface(field, 20_000, _generator(0))
    areas = {"top": 4 * (0.48 - 0.06), "pocket": 4 * 0.8 * (0.3 + 0.2) / 2 * 2}
    total = 2 * areas["top"] + areas["pocket"] + 8 * 0.4 * (0.8 + 0.6)
    assert (points[:, 2] > 0.399).float().mean().item() == pytest.approx(areas["top"] / total, abs=0.018)
    pocket = (points[:, 0].abs() < 0.31) & (points[:, 1].abs() < 0.21) & (points[:, 2].abs() < 0.39)
    assert pocket.float().mean().item() == pytest.approx(areas["pocket"] / total * 0.975, abs=0.018)
    assert ((points * normals)[pocket, :2].sum(1) < 0).float().mean() > 0.99


def test_polygon_agrees_with_twin() -> None:
    rng = Random(0)
    corners = [
        (0.9 * math.cos(a) * r, 0.9 * math.sin(a) * r)
        for a, r in ((k * math.tau / 9, rng.uniform(0.3, 1)) for k in range(9))
    ]
    u, v = (torch.rand(2, 400, generator=_generator(0)) - 0.5) * 2.0
    exact = torch.tensor(
        [naive_shapes.polygon_distance(corners, *pair) for pair in zip(u.tolist(), v.tolist(), strict=True)]
    )
    error = polygon(corners)(u, v) - exact
    near = exact < 0.19  # inside the table; beyond it the value may only be too large, and by less than double
    assert error[near].abs().max() < 0.008
    assert (error[near].abs() < 1e-4).float().mean() > 0.6
    assert (error[~near] > -0.008).all()
    assert (error[~near] < 2 * exact[~near]).all()


def test_blend_fills_the_crease_only() -> None:
    sharp, smooth = (union(sphere(0.4), torus(0.5, 0.2), blend=blend) for blend in (0.0, 0.1))
    x, y, z = 2 * torch.rand(3, 5000, generator=_generator(0)) - 1
    gap = sharp(x, y, z) - smooth(x, y, z)
    assert gap.min() >= -1e-6
    assert gap.max() == pytest.approx(0.025, abs=0.003)
    apart = (sphere(0.4)(x, y, z) - torus(0.5, 0.2)(x, y, z)).abs() > 0.1
    assert gap[apart].abs().max() < 1e-6


@pytest.mark.parametrize("make", [*dict.fromkeys(reliefs.WRAPPED + reliefs.FLAT + reliefs.FREE), reliefs.grain])
def test_relief_is_small_and_keeps_normals(make) -> None:
    """Heights stay below the thinnest wall, and the normals are those of the moved surface."""
    points, normals = sample_surface(box(0.7, 0.7, 0.7), 3000, _generator(0))
    moved, bent, growth = reliefs.emboss(points, normals, make(Random(4)))
    height = ((moved - points) * normals).sum(1)
    assert 1e-5 < height.abs().max() < 0.03
    assert (growth >= 1).all()
    torch.testing.assert_close(bent.norm(dim=1), torch.ones(3000), atol=1e-5, rtol=0)
    assert ((bent * normals).sum(1) * growth - 1).abs().max() < 1e-3


@pytest.mark.parametrize("family", UNEQUAL)
def test_unequal_families_are_no_mirror_images(family: str) -> None:
    """The best motion onto itself misses by more than twice that of a bottle, in the middle of three draws."""
    assert torch.tensor([_misfit(family, seed) for seed in range(3)]).median() > 2 * _misfit("bottle", 0)


def _misfit(family: str, seed: int) -> float:
    """Of the best symmetry, as a share of the half diagonal."""
    field = CATALOGUE[family].build(Random(seed)).field
    points, _ = sample_surface(field, 3000, _generator(seed))
    points = points - points.mean(0)
    misfits = find_symmetries(points / points.norm(dim=1).max()).misfits
    return float(misfits.min()) if len(misfits) else 1.0


@pytest.mark.parametrize("make", [life.bend, life.lumps])
def test_warp_keeps_thickness_normals_and_area(make) -> None:
    """The faces of a wall 0.03 thick stay apart; normals and areas are those of the moved surface."""
    for seed in range(20):
        warp = make(Random(seed))
        u, v = 1.6 * torch.rand(2, 2000, generator=_generator(seed), dtype=torch.float64) - 0.8
        middle = torch.stack([u, v, torch.zeros_like(u)], 1)
        up = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64).expand(2000, 3)
        moved, normals, growth = warp(middle, up)
        top, bottom = (warp(middle + sign * 0.015 * up, up)[0] for sign in (1, -1))
        thickness = ((top - bottom) * normals).sum(1) / 0.03
        assert thickness.min() > 0.5 and thickness.max() < 1.6
        assert 1e-4 < (moved - middle).norm(dim=1).max() < 0.2
        step = 1e-5
        along, across = (
            (warp(middle + step * torch.eye(3, dtype=torch.float64)[axis], up)[0] - moved) / step for axis in (0, 1)
        )
        area = torch.cross(along, across, dim=1)
        torch.testing.assert_close(area, growth[:, None] * normals, atol=2e-3, rtol=0)


def test_life_is_seeded_and_rarer_and_lower_where_things_are_exact() -> None:
    free, exact = ([life.draw_life(Random(seed), kind) for seed in range(300)] for kind in (False, True))
    assert sum(map(len, free)) > 1.8 * sum(map(len, exact)) > 0
    heights = [torch.stack([warp.moves.norm() for warps in some for warp in warps]).mean() for some in (free, exact)]
    assert heights[0] > 2 * heights[1]
    points, normals = sample_surface(sphere(0.7), 100, _generator(0))
    for one, two in zip(free[0], life.draw_life(Random(0), False), strict=True):
        assert torch.equal(one(points, normals)[0], two(points, normals)[0])


def test_life_is_no_lone_bump() -> None:
    """Lumps are spread over the surface: much of it moves by at least a fifth of what moves most."""
    points, normals = sample_surface(sphere(0.8), 4000, _generator(0))
    for seed in range(20):
        moved, _, _ = life.lumps(Random(seed))(points, normals)
        height = ((moved - points) * normals).sum(1).abs()
        assert (height > 0.2 * height.max()).float().mean() > 0.25
