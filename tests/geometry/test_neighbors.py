"""Neighbours: exact, of any shape of queries, in the type of the points; and what takes an index in place of points."""

from __future__ import annotations

import pytest
import torch

from pointadplus.geometry.icp import CoarseSurface, Surface
from pointadplus.geometry.neighbors import Neighbors, interpolate
from pointadplus.geometry.registration import even_rotations
from pointadplus.geometry.spacing import point_spacing


def cloud(seed: int, count: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_neighbors_are_those_of_all_distances(dtype: torch.dtype) -> None:
    points, queries = cloud(0, 700, dtype), cloud(1, 60, dtype).view(4, 15, 3)
    distances, indices = Neighbors(points).nearest(queries, 9)
    everything = torch.cdist(queries.double().view(-1, 3), points.double())
    nearest, which = everything.sort(dim=1)
    assert distances.dtype == dtype and indices.dtype == torch.int64
    assert torch.equal(indices, which[:, :9].view(4, 15, 9))
    torch.testing.assert_close(distances, nearest[:, :9].view(4, 15, 9).to(dtype), rtol=1e-5, atol=1e-6)


def test_with_too_few_points_the_last_is_repeated() -> None:
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0]])
    distances, indices = Neighbors(points).nearest(torch.tensor([[0.1, 0.0, 0.0]]), 4)
    assert indices.tolist() == [[0, 1, 1, 1]]
    torch.testing.assert_close(distances, torch.tensor([[0.1, 0.9, 0.9, 0.9]]))


def test_coinciding_points_are_all_found() -> None:
    points = torch.zeros(500, 3)
    distances, indices = Neighbors(points).nearest(points[:3], 500)
    assert not distances.any() and all(sorted(row) == list(range(500)) for row in indices.tolist())


def test_an_index_takes_the_place_of_its_points() -> None:
    points, targets = cloud(2, 40_000), cloud(3, 100)
    index, values = Neighbors(points), cloud(4, 40_000)
    assert torch.equal(interpolate(values, index, targets), interpolate(values, points, targets))
    assert point_spacing(index) == point_spacing(points)


def test_glances_tell_what_misfits_do_to_a_cell() -> None:
    points = cloud(5, 3000)
    coarse = CoarseSurface(Surface(points, torch.nn.functional.normalize(cloud(6, 3000) - 0.5, dim=1)), 64, 0.3)
    rotations, shifts = even_rotations(600), 0.2 * cloud(7, 600, torch.float64)
    some = points[:200].double() - 0.5
    moved = some @ rotations.mT + shifts[:, None]
    exact = torch.cdist(moved.flatten(0, 1), points.double()).amin(1).view(600, 200)
    glances = coarse.glances(some, rotations, shifts, 0.3)
    cell = 1.6 / 63
    assert float((glances - exact.clamp_max(0.3).mean(1)).abs().max()) < cell
