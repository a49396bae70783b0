"""Bodies of a scan: two are two, and one that is seen with gaps is one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pointadplus.geometry.bodies import find_bodies
from pointadplus.geometry.sampling import fixed_sample


def ball(count: int, x: float = 0.0, radius: float = 1.0, seed: int = 0) -> Tensor:
    points = normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(seed)), dim=1)
    return radius * points + torch.tensor([x, 0.0, 0.0])


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_two_balls_are_two_bodies_each_point_of_its_own(scale: float) -> None:
    points = scale * torch.cat([ball(6000), ball(4000, 2.6, 0.8, 1)])  # 0.8 apart
    bodies = find_bodies(points)
    number = bodies.assign(points)
    assert bodies.apart == 2
    assert (number[:6000] == 1).all() and (number[6000:] == 2).all()


def test_one_ball_is_one_body_and_specks_and_strays_are_none() -> None:
    speck = 0.01 * torch.randn(60, 3) + torch.tensor([2.5, 0.0, 0.0])
    strays = 6 * torch.rand(20, 3, generator=torch.Generator().manual_seed(2)) - 3
    strays = strays[strays.norm(dim=1) > 1.5]
    bodies = find_bodies(points := torch.cat([ball(8000), speck, strays]))
    number = bodies.assign(points)
    assert bodies.apart == 1 and int(number.max()) == 1
    assert (number[:8000] == 1).all() and (number[8000:] == 0).all()


def test_a_band_that_was_not_seen_does_not_cut_a_part_in_two() -> None:
    points = ball(9000)
    points = points[(points[:, 2] - 0.2).abs() > 0.05]
    assert int(find_bodies(points).number.max()) == 1


@pytest.mark.parametrize("eye", [None, (0.0, 0.0, 30.0)])
def test_what_stands_before_it_does_not_cut_a_part_in_two(eye: tuple[float, float, float] | None) -> None:
    """A wall, and half a ball before it that hides some: seen from z alone, they lie apart in depth."""
    wall = torch.cat([4 * torch.rand(9000, 2, generator=torch.Generator().manual_seed(1)) - 2, torch.zeros(9000, 1)], 1)
    cap = ball(6000)
    cap = cap[cap[:, 2] > 0.1] + torch.tensor([0.0, 0.0, 2.0])
    points = torch.cat([wall[wall[:, :2].norm(dim=1) > 1.0], cap])
    bodies = find_bodies(points, None if eye is None else torch.tensor(eye).double())
    assert bodies.apart == 1 and int(bodies.number.max()) == 1
    beside = torch.cat([wall, cap + torch.tensor([4.0, 0.0, 0.0])])
    assert find_bodies(beside, None if eye is None else torch.tensor(eye).double()).apart == 2


def test_the_order_of_the_points_does_not_matter() -> None:
    points = torch.cat([ball(6000), ball(4000, 2.6, 0.8, 1)])
    order = torch.randperm(len(points))
    assert torch.equal(find_bodies(points).assign(points)[order], find_bodies(points[order]).assign(points[order]))
    assert torch.equal(points[fixed_sample(points, 500)], points[order][fixed_sample(points[order], 500)])


def test_a_fixed_sample_is_even_and_of_its_size() -> None:
    points = torch.rand(50_000, 3, generator=torch.Generator().manual_seed(0))
    some = fixed_sample(points, 5000)
    assert len(some) == len(some.unique()) == 5000
    assert points[some].mean(0).tolist() == pytest.approx([0.5] * 3, abs=0.015)
    assert sorted(fixed_sample(points[:7], 10).tolist()) == list(range(7))


def test_points_that_coincide_are_one_body() -> None:
    assert find_bodies(torch.ones(50, 3)).assign(torch.ones(50, 3)).tolist() == [1] * 50
    assert find_bodies(torch.ones(1, 3)).apart == 1
