"""A table is found under a part, and no face of a part is taken for one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pointadplus.geometry.ground import find_ground

SEED = torch.Generator().manual_seed


def box(size: tuple[float, float, float], count: int, seed: int = 0) -> Tensor:
    """Points spread evenly over a box that stands on z = 0, all six faces."""
    rng = SEED(seed)
    x, y, z = size
    area = torch.tensor([y * z, y * z, x * z, x * z, x * y, x * y]).float()
    face = torch.multinomial(area, count, replacement=True, generator=rng)
    points = torch.rand(count, 3, generator=rng)
    for number in range(6):
        points[face == number, number // 2] = float(number % 2)
    return points * torch.tensor(size) - torch.tensor([x / 2, y / 2, 0.0])


def table(side: float, count: int, hole: float = 0.0, seed: int = 1) -> Tensor:
    points = torch.cat([side * (torch.rand(count, 2, generator=SEED(seed)) - 0.5), torch.zeros(count, 1)], 1)
    return points[points.norm(dim=1) > hole]


def posed(points: Tensor, scale: float = 1.0) -> Tensor:
    """Tilted, far from where it was, in another unit, and with noise."""
    turn = torch.linalg.qr(torch.randn(3, 3, generator=SEED(5)))[0]
    noise = 0.001 * torch.randn(points.shape, generator=SEED(6))
    return scale * ((points + noise) @ turn.T + torch.tensor([3.0, -2.0, 1.0]))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_table_is_found_in_any_pose_and_unit(scale: float) -> None:
    ball = 0.5 * normalize(torch.randn(4000, 3, generator=SEED(2)), dim=1) + torch.tensor([0.0, 0.0, 0.5])
    points = posed(torch.cat([ball, table(4.0, 12_000, 0.1)]), scale)
    plane = find_ground(points)
    assert plane is not None
    heights = plane.heights(points) / scale
    assert heights[:4000].max() == pytest.approx(1.0, abs=0.01)  # the ball stands on the side that is up
    assert heights[4000:].abs().max() < 0.01 and plane.reach / scale < 0.05


def test_the_order_of_the_points_does_not_matter() -> None:
    points = posed(torch.cat([box((1, 1, 1), 5000), table(4.0, 12_000)]))
    one, other = (find_ground(points[order]) for order in (torch.arange(17_000), torch.randperm(17_000)))
    assert one is not None and other is not None
    assert torch.equal(one.normal, other.normal) and torch.equal(one.center, other.center)


FLAT = {
    "a box on its side": box((1, 0.4, 0.3), 16_000),
    "a box from above": box((1, 0.4, 0.3), 24_000),
    "a plate": box((1, 1, 0.05), 16_000),
    "sheet metal": box((1, 1, 0.004), 16_000),
    "a flange with its collar": torch.cat(
        [box((1, 1, 0.08), 12_000), box((0.3, 0.3, 0.25), 4000) + torch.tensor([0, 0, 0.08])]
    ),
    "a bracket": torch.cat([box((1, 0.5, 0.05), 9000), box((0.05, 0.5, 0.8), 7000) + torch.tensor([0.5, 0, 0])]),
    "a plate from above": table(1.0, 16_000),
    "a sphere": normalize(torch.randn(16_000, 3, generator=SEED(3)), dim=1),
}


@pytest.mark.parametrize("name", FLAT)
def test_no_face_of_a_part_is_a_table(name: str) -> None:
    points = FLAT[name]
    points = points[points[:, 2] > 0.01] if name.endswith("box from above") else points
    assert find_ground(posed(points)) is None


def test_a_flat_part_is_found_on_its_table_where_somebody_says_that_there_is_one() -> None:
    coin = box((1.5, 1.5, 0.06), 8000)
    coin = coin[coin[:, 2] > 0.03]
    points = posed(torch.cat([coin, table(2.0, 6000)]))
    assert find_ground(points) is None
    plane = find_ground(points, asked=True)
    assert plane is not None
    standing = plane.heights(points) > plane.reach
    assert standing[: len(coin)].float().mean() > 0.99 and standing[len(coin) :].float().mean() < 0.01


def test_few_points_or_one_are_no_table() -> None:
    assert find_ground(torch.zeros(1, 3)) is None
    assert find_ground(torch.zeros(500, 3)) is None
    assert find_ground(torch.rand(50, 3)) is None
