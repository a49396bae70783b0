"""Lone details that healthy objects carry."""

from __future__ import annotations

from random import Random

import pytest
import torch
from scipy.spatial import cKDTree

from pointadplus.learning.synthesis.corpus import CorpusConfig, sample_pair
from pointadplus.learning.synthesis.fittings import KINDS, with_fittings
from pointadplus.learning.synthesis.scan import ScanArtifacts
from pointadplus.learning.synthesis.scanner import ScannerConfig
from pointadplus.learning.synthesis.shapes import CATALOGUE, FAMILIES, sample_shape
from pointadplus.learning.synthesis.solids import box, sphere
from pointadplus.learning.synthesis.surface import sample_surface
from tests.reference import naive_shapes


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_joined_stands_out_and_what_is_cut_goes_in(kind) -> None:
    fitting = kind(Random(1), 0.1, 0.03)
    x, y, z = torch.rand(3, 200_000, generator=_generator(0)) * 2 - 1
    inside = fitting.tool(x, y, z) < 0
    above, below = inside & (z > 0), inside & (z < 0)
    assert (above if fitting.added else below).any()
    assert (x[inside].abs().max() <= fitting.reach + 1e-4) and (z[inside].max() <= max(fitting.height, 4.0))
    if fitting.added:  # as high as it says, to the density of the points
        assert 0.6 * fitting.height < z[inside].max() <= fitting.height + 1e-4


@pytest.mark.parametrize("family", FAMILIES[::6])
def test_no_detail_is_left_out(family: str) -> None:
    """Every surface point found by brute force has sampled points near it: details keep the slope of fields."""
    field = with_fittings(CATALOGUE[family].build(Random(family)).field, Random(3), _generator(3))
    points, _ = sample_surface(field, 4000, _generator(0))
    brute = naive_shapes.surface_points(field, 25_000, _generator(1))
    gaps, _ = cKDTree(points.numpy()).query(brute.T.numpy())
    assert gaps.max() < 0.16


def test_details_lie_on_the_surface_and_leave_the_rest_alone() -> None:
    body = box(0.8, 0.6, 0.4)
    for seed in range(12):
        points, _ = sample_surface(with_fittings(body, Random(seed), _generator(seed)), 8000, _generator(0))
        off = body(*points.T).abs()
        assert (off > 0.005).float().mean() > 0.002  # something was added or cut
        assert (off < 1e-3).float().mean() > 0.5  # and most of the box is the box
        assert points.abs().max() < 1.1


def test_where_nothing_is_flat_nothing_is_fitted() -> None:
    body = sphere(0.02)
    fitted = with_fittings(body, Random(0), _generator(0))
    xyz = torch.rand(3, 5000, generator=_generator(1)) * 0.2 - 0.1
    assert torch.equal(fitted(*xyz), body(*xyz))


def test_share_of_objects_that_carry_details() -> None:
    plain, without, fitted, again = (
        sample_shape(_generator(4), points=4000, family="machined_block", **options)
        for options in ({}, {"fittings": 0.0}, {"fittings": 1.0}, {"fittings": 1.0})
    )
    assert torch.equal(plain.points, without.points) and torch.equal(fitted.points, again.points)
    gaps, _ = cKDTree(plain.points.numpy()).query(fitted.points.numpy())
    assert gaps.max() > 0.02


def test_twins_carry_the_same_details() -> None:
    every = ScanArtifacts(noise=(1e-6, 1e-6), uneven=0.0, one_sided=0.0)  # every point of the surface, as it is
    scanner = ScannerConfig(shares=(1.0, 0.0, 0.0, 0.0, 0.0), points=(6000, 6001), surface=4000, artifacts=every)
    config = CorpusConfig(families=("machined_block",), scanner=scanner, fittings=1.0)
    for seed in range(4):
        healthy, damaged = sample_pair(seed, config)
        sound = damaged.points[~damaged.labels]
        gaps, _ = cKDTree(healthy.points.numpy()).query(sound.numpy())
        assert (gaps < 0.5).mean() > 0.9
        assert (gaps < 0.01).mean() > 0.7  # of a diagonal of 100: the same points, but where a defect bends them
