"""How a scan was seen: from where, where it ends, and what lies before and behind; on surfaces where all is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pointadplus.geometry.descriptors import COLUMNS, Descriptors, describe, seen_from
from pointadplus.geometry.exposure import border_nodes, in_front, oriented
from pointadplus.geometry.neighbors import knn
from pointadplus.geometry.sampling import even_order
from pointadplus.learning.synthesis.specimens import random_rotation

UP = torch.tensor([0.0, 0.0, 1.0])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sphere(count: int, seed: int = 0) -> Tensor:
    """Of radius 0.29, so that the diagonal of its box is about 1."""
    return 0.29 * normalize(torch.randn(count, 3, generator=generator(seed)), dim=1)


def cap(count: int, seed: int = 0) -> Tensor:
    """What one eye far up the z axis sees of the sphere."""
    points = sphere(4 * count, seed)
    return points[points[:, 2] > 0][:count]


def column(found: Descriptors, name: str) -> Tensor:
    return found.features[:, COLUMNS.index(name)]


def test_normals_tell_from_where_a_scan_was_taken() -> None:
    turn = random_rotation(generator(3))
    view, length = seen_from(50 * cap(9000) @ turn.T + 1000)
    assert float(view @ (turn @ UP)) > 0.99
    assert length == pytest.approx(0.5, abs=0.03)  # of a hemisphere: ½
    assert seen_from(sphere(9000))[1] < 0.05


def test_the_place_of_the_sensor_settles_from_which_side_a_scan_was_taken() -> None:
    """Half a sphere from inside, as a sensor in a bowl sees it, and from outside; of a whole one it tells nothing."""
    points = cap(9000)
    inside, outside = torch.tensor([0.0, 0.0, -0.1]), torch.tensor([0.0, 0.0, 3.0])
    for eye, side in ((inside, -1.0), (outside, 1.0)):
        assert float(seen_from(points, eye.double())[0] @ UP) * side > 0.99
        found = describe(points, 3000, eye)
        assert ((found.normals * normalize(points[:3000], dim=1)).sum(1) * side > 0).float().mean() > 0.99
        assert float(found.view @ UP) * side > 0.99
    whole = sphere(9000)
    assert torch.equal(describe(whole, 3000, outside).normals, describe(whole, 3000).normals)


def test_a_bowl_seen_from_above_is_seen_from_above() -> None:
    """Its inside alone: away from the middle of what is around a point would be away from the eye."""
    bowl = cap(9000) * torch.tensor([1.0, 1.0, -1.0])
    rim = normalize(torch.randn(3000, 3, generator=generator(1)) * torch.tensor([1.0, 1.0, 0.0]), dim=1)
    rim = rim * (0.29 + 0.06 * torch.rand(3000, 1, generator=generator(2)))  # a flat brim
    nodes = torch.cat([bowl, rim])[torch.randperm(12000, generator=generator(4))][:4000]
    truth = torch.where(nodes[:, 2:] < 0, -normalize(nodes, dim=1), UP)
    near = knn(nodes, nodes, 17)[1]
    start = torch.where(torch.rand(4000, 1, generator=generator(5)) < 0.3, -truth, truth)
    assert ((oriented(nodes, start, near) * truth).sum(1) > 0).float().mean() > 0.99


def test_the_border_is_where_the_scan_ends_and_nowhere_else() -> None:
    nodes = cap(4000)
    border = border_nodes(nodes, normalize(nodes, dim=1), knn(nodes, nodes, 21)[1])
    spacing = (2 * torch.pi * 0.29**2 / 4000) ** 0.5
    assert (nodes[border, 2] < 4 * spacing).all()
    rim = nodes[:, 2] < 0.5 * spacing
    assert border[rim].float().mean() > 0.6
    whole = sphere(4000)
    assert int(border_nodes(whole, normalize(whole, dim=1), knn(whole, whole, 21)[1]).sum()) <= 4


def test_even_order_spreads_points_evenly_over_an_uneven_scan() -> None:
    """The upper half scanned eight times as densely: a short prefix has as many of each, and areas add up."""
    dense, thin = sphere(30_000), sphere(30_000, 1)
    points = torch.cat([dense[dense[:, 2] > 0][:12_000], thin[thin[:, 2] <= 0][:1_500]])
    order, area = even_order(points)
    assert order.sort().values.equal(torch.arange(13_500))
    share = (points[order[:800], 2] > 0).float().mean()
    assert 0.4 < share < 0.6
    assert float(area.sum()) == pytest.approx(4 * torch.pi * 0.29**2, rel=0.15)
    shuffle = torch.randperm(len(points), generator=generator(2))
    assert torch.equal(points[shuffle][even_order(points[shuffle])[0]], points[order])


def test_scales_are_lengths_whatever_was_scanned() -> None:
    """Of the whole sphere and of its upper half with as many points, the surroundings are about as large.

    Counts of neighbours would differ by log √2 = 0.35.
    """
    whole, half = describe(sphere(20_000), 4000), describe(cap(20_000), 4000)
    for scale, apart in enumerate((0.08, 0.12, 0.05, 0.05, 0.06)):
        inner = column(half, "border") > 0.15
        sizes = column(whole, f"log_size_{scale}").median(), column(half, f"log_size_{scale}")[inner].median()
        assert float((sizes[0] - sizes[1]).abs()) < apart, scale


def test_columns_tell_how_a_node_was_seen() -> None:
    """Half a sphere over the shadow that it throws on a plate behind it."""
    ball = cap(12_000)
    flat = torch.rand(24_000, 3, generator=generator(7)) * torch.tensor([1.0, 1.0, 0.0]) - torch.tensor([0.5, 0.5, 0.2])
    flat = flat[flat[:, :2].norm(dim=1) > 0.29]
    scan = torch.cat([ball, flat])
    found = describe(scan[torch.randperm(len(scan), generator=generator(8))][:20_000], 6000)
    order = torch.randperm(len(scan), generator=generator(8))[:6000]
    nodes, on_ball = scan[order], order < len(ball)
    assert float(found.view @ UP) > 0.99 and float(column(found, "one_sided")[0]) > 0.95
    assert float(column(found, "closure")[0]) > 0.6
    truth = torch.where(on_ball[:, None], normalize(nodes, dim=1), UP)
    inner = column(found, "border") > 0.05
    torch.testing.assert_close(column(found, "facing")[inner], truth[inner, 2], atol=0.1, rtol=0)
    shadow = ~on_ball & (nodes[:, :2].norm(dim=1) < 0.31)
    outer = ~on_ball & (nodes[:, :2].norm(dim=1) > 0.52) & (nodes[:, :2].abs().amax(1) < 0.45)
    assert column(found, "before")[shadow].median() > 0.15 and column(found, "before")[outer].max() < 0.02
    edge = on_ball & (nodes[:, 2] < 0.03)
    assert column(found, "behind")[edge].median() > 0.15
    assert column(found, "border_facing")[edge].median() < 0.3 < 0.9 < column(found, "border_facing")[shadow].median()
    assert column(found, "border_before")[shadow].median() > 0.15


def test_noise_is_told_and_what_leaves_the_surface_counts_in_it() -> None:
    smooth = sphere(20_000)
    for noise, times in ((0.0005, 3.0), (0.002, 1.5)):
        scan = smooth + noise * torch.randn(20_000, 3, generator=generator(9))
        bumped = torch.where((smooth[:, 2:] > 0.285), scan + torch.tensor([0.0, 0.0, 0.02]), scan)
        found = describe(bumped, 6000)
        told = float(column(found, "noise")[0].exp())
        assert 0.5 * noise < told < 2 * noise
        inside = bumped[:6000, 2] > 0.3
        rise = column(found, "rise_wide").abs()
        assert rise[inside].median() > times * rise[~inside].median()


def test_what_stands_before_hides_what_is_behind() -> None:
    """A disc over a plate hides its shadow, from above and, turned with the eye, from anywhere."""
    flat = torch.rand(20_000, 2, generator=generator()) * 2 - 1
    over = flat[:5000][flat[:5000].norm(dim=1) < 0.4]
    points = torch.cat([torch.cat([flat, torch.zeros(20_000, 1)], 1), torch.cat([over, torch.ones(len(over), 1)], 1)])
    hidden = (points[:, 2] == 0) & (points[:, :2].norm(dim=1) < 0.3)
    open_ = (points[:, 2] == 0) & (points[:, :2].norm(dim=1) > 0.52)
    for turn in (torch.eye(3), random_rotation(generator(1))):
        seen = in_front(points @ turn.T, turn @ UP, 0.08, 0.1)
        assert seen[20_000:].all() and seen[open_].all()
        assert float(seen[hidden].float().mean()) < 0.02
