"""Reg2Inv's normals, informative features and pyramid: naive twins, closed forms, and 20 poses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial import KDTree
from torch import Tensor
from torch.nn.functional import normalize

from baselines.reg2inv.config import Reg2InvConfig
from baselines.reg2inv.features import RIConv, angular_keys, informative_features
from baselines.reg2inv.model import neighborhoods
from baselines.reg2inv.normals import canonical_rotation, outward_normals
from baselines.reg2inv.pairs import random_rotation
from baselines.reg2inv.pyramid import build_pyramid, grid_subsample, neighbor_limits, radius_neighbors
from baselines.reg2inv.scan import even_centre, read_scan
from pointadplus.geometry.neighbors import knn
from tests.reference.reg2inv_features import features

CONFIG = Reg2InvConfig.small()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def egg(count: int, seed: int = 0, *, opened: bool = False) -> Tensor:
    """A lopsided egg, which has one pose only; opened, the cap above a slanting plane is left of it."""
    directions = normalize(torch.randn(count, 3, generator=generator(seed)), dim=1)
    x, y, z = directions.unbind(1)
    radius = 1 + 0.2 * x + 0.15 * y * z + 0.1 * z.pow(3) + 0.03 * torch.sin(6 * y)
    points = directions * radius[:, None] * torch.tensor([1.0, 0.8, 0.6])
    return points[points @ torch.tensor([0.2, 0.3, 1.0]) > -0.1] if opened else points


@pytest.mark.parametrize("signed", [False, True])
def test_the_eight_features_are_their_naive_twin(signed: bool) -> None:
    points = torch.randn(60, 3, generator=generator())
    normals = normalize(torch.randn(60, 3, generator=generator(1)), dim=1)
    near = knn(points, points, 12)[1]
    fast = informative_features(points, normals, near, signed_angles=signed)
    slow = np.stack([features((points[i] - points[i[0]]).numpy(), normals[i].numpy(), signed) for i in near])
    np.testing.assert_allclose(fast.numpy(), slow, atol=2e-4)


def test_features_of_a_hand_made_neighbourhood() -> None:
    """A centre at the origin facing +z and four points around it in the plane, the farthest along +x."""
    points = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]])
    normals = torch.tensor([[0.0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1], [1, 0, 0]])
    keys, order = angular_keys(points[None], normals[:1])
    # w × r points down for +y, up for −y: clockwise from the centre's 0 come −y (0), the reference (−1), −x, +y (−2).
    assert order[0].tolist() == [0, 4, 1, 3, 2]
    torch.testing.assert_close(keys, torch.tensor([[0.0, 0, -1, -1, -2]]))
    found = informative_features(points, normals, torch.arange(5)[None])[0]
    distance, step, to_centre, to_own, turn, edge, edge_before, turn_before = found.T
    torch.testing.assert_close(distance, torch.tensor([0.0, 1, 2, 1, 1]))
    torch.testing.assert_close(step, torch.tensor([-1.0, 0, -1, 0, -1]))
    torch.testing.assert_close(to_centre, torch.zeros(5))
    torch.testing.assert_close(to_own, torch.zeros(5))  # −y lies across its normal, +x
    right = math.pi / 2
    torch.testing.assert_close(turn, torch.tensor([0, right, 0, 0, 0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(turn_before, torch.tensor([0, right, right, 0, 0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(edge, torch.zeros(5))
    torch.testing.assert_close(edge_before, torch.tensor([0, 0, 2 / 5**0.5, 0, 0]))


def test_the_layer_holds_4736_parameters_and_folds_its_normalisation() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = RIConv()
        inputs = torch.randn(300, 32, 8)
    assert sum(each.numel() for each in layer.parameters()) == 4736
    for _ in range(5):
        learned = layer.train()(inputs)
    slow = inputs
    for linear, norm in zip(layer.eval().linears, layer.norms, strict=True):
        slow = norm(linear(slow).transpose(1, 2)).transpose(1, 2).relu()
    torch.testing.assert_close(layer(inputs), slow.mean(1))
    assert learned.shape == (300, 32) and learned.requires_grad


@pytest.fixture(scope="module", params=[False, True], ids=["closed", "open"])
def poses(request: pytest.FixtureRequest) -> list[tuple[Tensor, Tensor, Tensor]]:
    """A cloud as it is and in 20 other poses: rotations, points, and their outward normals."""
    cloud = egg(4000 if request.param else 2000, opened=request.param)
    out = [(torch.eye(3), cloud, outward_normals(cloud, 30))]
    for seed in range(20):
        turn = random_rotation(generator(seed))
        moved = cloud @ turn.T + torch.randn(3, generator=generator(seed)) * 0.3
        out.append((turn, moved, outward_normals(moved, 30)))
    return out


@pytest.mark.slow
def test_the_sign_of_normals_turns_with_the_pose(poses: list[tuple[Tensor, Tensor, Tensor]]) -> None:
    _, cloud, still = poses[0]
    outside = ((still * cloud).sum(1) > 0).float().mean()
    assert outside > (0.85 if len(cloud) > 2000 else 0.999)  # an open scan's overhang faces its other side
    for turn, _, normals in poses[1:]:
        assert ((normals @ turn * still).sum(1) > 0.9).float().mean() > 0.999


@pytest.mark.slow
def test_features_are_the_same_in_twenty_poses(poses: list[tuple[Tensor, Tensor, Tensor]]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = RIConv()
    _, cloud, normals = poses[0]
    informative = neighborhoods(cloud, normals, CONFIG)
    layer.train()(informative)
    still = layer.eval()(informative).detach()
    for _, points, facing in poses[1:]:
        found = layer(neighborhoods(points, facing, CONFIG)).detach()
        error = (found - still).abs().amax(1) / still.std()
        assert error.median() < 2e-3
        assert (error > 0.05).float().mean() < 0.01  # ties of the order, of the k-th neighbour


@pytest.mark.slow
def test_the_frame_of_a_scan_does_not_depend_on_its_pose() -> None:
    cloud = egg(4000, opened=True)
    still = read_scan(cloud, CONFIG)
    assert still.points.norm(dim=1).max() == pytest.approx(1.0, abs=1e-5)
    torch.testing.assert_close(still.apply(cloud).norm(dim=1).max(), torch.tensor(1.0), atol=1e-5, rtol=0)
    turn = random_rotation(generator(5))
    moved = 7 * cloud @ turn.T + torch.tensor([30.0, -20, 10])
    other = read_scan(moved, CONFIG)
    torch.testing.assert_close(other.apply(moved), still.apply(cloud), atol=1e-4, rtol=0)
    assert other.radius == pytest.approx(7 * still.radius, rel=1e-4)
    shuffled = read_scan(cloud[torch.randperm(len(cloud), generator=generator())], CONFIG)
    assert torch.equal(shuffled.points, still.points) and torch.equal(shuffled.normals, still.normals)
    frame = canonical_rotation(cloud)
    torch.testing.assert_close(frame @ frame.T, torch.eye(3), atol=1e-5, rtol=0)
    assert torch.linalg.det(frame) > 0


def test_the_centre_does_not_follow_the_density() -> None:
    even = egg(8000)
    half = even[even[:, 0] > 0]
    dense = torch.cat([even, *(half + 1e-3 * torch.randn(half.shape, generator=generator(k)) for k in range(4))])
    assert (even_centre(dense, 1000) - even_centre(even, 1000)).norm() < 0.02
    assert (dense.mean(0) - even.mean(0)).norm() > 0.1
    torch.testing.assert_close(even_centre(even[:500], 1000), even[:500].double().mean(0))


def test_grid_means_are_those_of_the_cells() -> None:
    points, values = torch.randn(500, 3, generator=generator()), torch.rand(500, 2, generator=generator(1))
    means, mean_values = grid_subsample(points, 0.4, values)
    origin = np.floor(points.numpy().min(0) / np.float32(0.4)) * np.float32(0.4)
    cells: dict[tuple[int, ...], list[int]] = {}
    for row, point in enumerate(points.numpy()):
        cells.setdefault(tuple(np.floor((point - origin) / np.float32(0.4)).astype(int)), []).append(row)
    assert len(means) == len(cells)
    assert mean_values is not None
    for mean, value, cell in zip(means, mean_values, sorted(cells), strict=True):
        torch.testing.assert_close(mean, points[cells[cell]].mean(0))
        torch.testing.assert_close(value, values[cells[cell]].mean(0))


def test_radius_neighbours_are_brute_force() -> None:
    queries, support = torch.rand(40, 3, generator=generator()), torch.rand(200, 3, generator=generator(1))
    found = radius_neighbors(KDTree(support), queries, 0.3, 9)
    for row, table in zip(found, torch.cdist(queries, support), strict=True):
        near = [j for j in table.argsort().tolist() if table[j] < 0.3][:9]
        assert row.tolist() == near + [200] * (9 - len(near))


def test_a_pyramid_and_two_of_them_stacked() -> None:
    first, second = (grid_subsample(egg(3000, seed), 0.1)[0] for seed in (0, 1))
    limits = neighbor_limits([first, second], 0.1, 3)
    counts = torch.sort((torch.cdist(first, first) <= 0.25).sum(1)).values
    assert abs(limits[0] - int(counts[int(0.8 * len(counts))])) <= 1
    one, other = (build_pyramid(each, 0.1, limits) for each in (first, second))
    assert [len(each) for each in one.points] == sorted((len(each) for each in one.points), reverse=True)
    for level in range(2):
        coarse, fine = one.points[level + 1], one.points[level]
        nearest = torch.cdist(fine, coarse).argmin(1)
        found = one.upsampling[level]
        assert (found[found < len(coarse)] == nearest[found < len(coarse)]).all()
        torch.testing.assert_close(
            one.subsampling[level], radius_neighbors(KDTree(fine), coarse, 0.25 * 2**level, limits[level])
        )
    both = one.stacked(other)
    for level in range(3):
        size, total = len(one.points[level]), len(one.points[level]) + len(other.points[level])
        top, bottom = both.neighbors[level][:size], both.neighbors[level][size:]
        assert torch.equal(torch.where(top == total, size, top), one.neighbors[level])
        assert torch.equal(bottom - size, other.neighbors[level])
