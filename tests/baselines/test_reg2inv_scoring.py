"""Reg2Inv's coreset, memory bank and pooling: naive twins and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from baselines.reg2inv.config import ScoringConfig
from baselines.reg2inv.coreset import greedy_coreset, projection_matrix
from baselines.reg2inv.memory import Memory, Observation
from baselines.reg2inv.scoring import bank_items, inside_boundary, largest_norm, neighbor_means, squared_distances
from tests.reference.reg2inv_network import inside, k_centre


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("projection", [None, 3, 64])
def test_the_coreset_picks_what_its_naive_twin_picks(projection: int | None) -> None:
    items = torch.randn(80, 6, generator=generator())
    picks = greedy_coreset(items, 25, projection=projection, starts=4, seed=3)
    points = items if projection is None else items @ projection_matrix(6, projection, 3)
    starts = torch.randperm(80, generator=generator(3))[:4].tolist()
    assert picks.tolist() == k_centre(points.double().numpy(), starts, 25)


def test_the_coreset_spreads_and_never_picks_twice() -> None:
    items = torch.cat([torch.zeros(300, 3), torch.rand(50, 3, generator=generator())])
    picks = greedy_coreset(items, 200, projection=None)
    assert len(picks.unique()) == 200
    assert (picks < 300).sum() >= 150 and set(range(300, 350)) <= set(picks[:52].tolist())
    assert torch.equal(picks, greedy_coreset(items, 200, projection=None))
    assert greedy_coreset(items, 350).tolist() == list(range(350))
    assert greedy_coreset(items[:5], 9).tolist() == list(range(5))
    assert len(greedy_coreset(items, 0)) == 0


def test_a_wide_projection_measures_the_same_in_fewer_dimensions() -> None:
    matrix = projection_matrix(35, 128).double()
    assert matrix.shape == (35, 128) and matrix.abs().max() <= 35**-0.5
    rows = torch.randn(20, 35, generator=generator(), dtype=torch.float64)
    narrow = rows @ torch.linalg.qr(matrix.T).R.T
    torch.testing.assert_close(torch.cdist(narrow, narrow), torch.cdist(rows @ matrix, rows @ matrix))


def test_items_are_scaled_blocks() -> None:
    positions, features = torch.tensor([[3.0, 4, 0], [0, 0, 1]]), torch.tensor([[0.0, 2], [1, 0]])
    assert largest_norm(positions) == 5 and largest_norm(torch.zeros(2, 3)) == 1
    items = bank_items(positions, features, 5.0, 2.0)
    torch.testing.assert_close(items, torch.tensor([[0.6, 0.8, 0, 0, 1], [0, 0, 0.2, 0.5, 0]]))


def test_distances_are_squared_exact_and_of_the_nearest() -> None:
    bank, queries = torch.randn(300, 35, generator=generator()), torch.randn(1500, 35, generator=generator(1))
    table = torch.cdist(queries.double(), bank.double()).square().sort(1).values
    torch.testing.assert_close(squared_distances(queries, bank).double(), table[:, 0], atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(squared_distances(queries, bank, 3).double(), table[:, :3].mean(1), atol=1e-4, rtol=1e-5)
    near = bank + 1e-4  # where the expanded square alone would be all rounding
    torch.testing.assert_close(squared_distances(near, bank), torch.full((300,), 35e-8), atol=2e-9, rtol=0)
    assert squared_distances(bank, bank).max() == 0


def test_the_boundary_filter_is_its_naive_twin_and_takes_the_rim() -> None:
    rng = generator()
    points = torch.rand(200, 3, generator=rng)
    assert inside_boundary(points, 16).tolist() == inside(points.double().numpy(), 16)
    ticks = torch.linspace(-1, 1, 21)
    plate = torch.stack([*torch.meshgrid(ticks, ticks, indexing="ij"), torch.zeros(21, 21)], 2).view(-1, 3)
    jittered = plate + 0.002 * torch.randn(plate.shape, generator=rng)
    kept = inside_boundary(jittered, 25)
    rim = plate[:, :2].abs().amax(1)
    assert not kept[rim > 0.99].any()
    assert kept[rim < 0.75].float().mean() > 0.95
    ball = normalize(torch.randn(4000, 3, generator=rng), dim=1)
    assert inside_boundary(ball, 64).float().mean() > 0.35
    assert inside_boundary(points[:10], 16).all()


def test_means_are_plain_and_of_the_nearest() -> None:
    sources, targets = torch.rand(90, 3, generator=generator()), torch.rand(40, 3, generator=generator(1))
    values = torch.rand(90, generator=generator(2))
    near = torch.cdist(targets, sources).argsort(1)[:, :16]
    torch.testing.assert_close(neighbor_means(values, sources, targets, 16), values[near].mean(1))
    few = neighbor_means(values[:5], sources[:5], targets, 16)
    np.testing.assert_allclose(few.numpy(), np.full(40, values[:5].mean()), atol=1e-6)


def observed(positions: Tensor, features: Tensor) -> Observation:
    return Observation(positions, positions, features)


def line(count: int, features: Tensor) -> Observation:
    """Places on a line, one unit apart."""
    return observed(torch.arange(count)[:, None] * torch.tensor([[1.0, 0, 0]]), features.repeat(count, 1))


def test_residuals_are_relative_to_what_normal_scans_leave_each_other() -> None:
    count, step = 100, torch.tensor([[3.0, 4.0]])
    scans = [line(count, step), line(count, 0.8 * step)]  # features differ by 1 everywhere; the largest is 5 long
    config = ScoringConfig(relative=True)
    memory = Memory.of(scans, None, config, 0)
    assert (len(memory.items), memory.position_norm, memory.feature_norm) == (200, 99, 5)
    torch.testing.assert_close(memory.usual, torch.full((200,), 0.2 * 1.1))  # a tenth of the mean is the floor
    assert memory.scale == pytest.approx(1 / 1.1, rel=1e-5)
    test = line(count, step)
    test.features[:10] = torch.tensor([[3.0, 9.0]])
    residuals = memory.residuals(test, config)
    torch.testing.assert_close(residuals[:10], torch.full((10,), 1 / 0.22))
    assert residuals[10:].max() < 1e-3
    squared = Memory.of(scans, None, ScoringConfig(), 0)
    assert len(squared.usual) == 0 and squared.scale == 0.01
    torch.testing.assert_close(squared.residuals(test, config)[:10], torch.ones(10))


def test_residuals_can_be_relative_to_the_scans_own_level() -> None:
    scans = [line(100, torch.tensor([[3.0, 4.0]])), line(100, torch.tensor([[2.4, 3.2]]))]
    config = ScoringConfig(relative=True, level=0.5)
    memory = Memory.of(scans, None, config, 0)
    assert memory.scale == pytest.approx(1)
    noisy = line(100, torch.tensor([[3.0, 14.0]]))
    torch.testing.assert_close(memory.residuals(noisy, config), torch.ones(100))


def test_a_lone_scan_is_compared_with_itself_sampled_anew() -> None:
    scan, again = line(60, torch.tensor([[3.0, 4.0]])), line(60, torch.tensor([[3.0, 4.5]]))
    memory = Memory.of([scan], again, ScoringConfig(relative=True), 0)
    torch.testing.assert_close(memory.usual, torch.full((60,), 0.1 * 1.1))
    assert memory.lacking(scan.positions, 0.5) == 0
    assert memory.lacking(scan.positions[:45], 0.5) == 0.25
