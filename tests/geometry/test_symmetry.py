"""Symmetries of objects, and what they say of points."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from pointadplus.geometry.descriptors import describe
from pointadplus.geometry.icp import Surface
from pointadplus.geometry.registration import distinct_motions, rotation_from_axis_angle
from pointadplus.geometry.symmetry import MISFIT, MOST, MOVED, find_symmetries
from pointadplus.geometry.symmetry_descriptors import COMPARED, NEAR, SYMMETRY_COLUMNS, describe_symmetry
from pointadplus.learning.synthesis.corpus import free_turn


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def box(sides: tuple[float, float, float], count: int = 6000, seed: int = 0) -> Tensor:
    """Random points on a box, as dense on every face."""
    draw, size = generator(seed), torch.tensor(sides)
    areas = torch.stack([size[1] * size[2], size[0] * size[2], size[0] * size[1]])
    axis = torch.multinomial(areas, count, replacement=True, generator=draw)
    points = (torch.rand(count, 3, generator=draw) - 0.5) * size
    side = (torch.randint(2, (count,), generator=draw) - 0.5) * size[axis]
    return points.scatter(1, axis[:, None], side[:, None])


def dented(points: Tensor, place: Tensor, radius: float = 0.12, depth: float = 0.03) -> tuple[Tensor, Tensor]:
    """Points pushed towards the middle around a place, and which were pushed."""
    distance = (points - place).norm(dim=1)
    labels = distance < radius
    push = depth * (1 + torch.cos(math.pi * distance / radius)) / 2 * labels
    return points - push[:, None] * torch.nn.functional.normalize(place, dim=0), labels


SIDES = (0.8, 0.45, 0.3)


def test_a_box_mirrors_and_turns_onto_itself() -> None:
    turn = free_turn(generator(1))
    found = find_symmetries(box(SIDES) @ turn.T)
    assert len(found) == MOST
    # In the box's own frame: all signs of the axes, one change of sign for a mirror, two for half a turn.
    local = turn.double().T @ found.rotations @ turn.double()
    signs = torch.diagonal(local, dim1=1, dim2=2).round()
    assert float((local - torch.diag_embed(signs)).abs().max()) < 0.03
    assert len({tuple(row) for row in signs.tolist()}) == MOST
    assert float(found.misfits.max()) < 0.2 * MISFIT
    assert torch.equal(found.misfits, found.misfits.sort().values)


def test_the_teeth_of_a_star_turn_into_each_other() -> None:
    draw = generator(2)
    angle, height = 2 * math.pi * torch.rand(8000, generator=draw), torch.rand(8000, generator=draw) - 0.5
    # Leaning teeth: no mirror plane holds the axis.
    radius = 0.3 + 0.06 * torch.sin(5 * angle) + 0.04 * torch.cos(10 * angle)
    found = find_symmetries(torch.stack([radius * angle.cos(), radius * angle.sin(), 0.4 * height], 1))
    turns = found.rotations[torch.linalg.det(found.rotations) > 0]
    about_axis = turns[turns[:, 2, 2] > 0.99]
    degrees = torch.rad2deg(torch.atan2(about_axis[:, 1, 0], about_axis[:, 0, 0]))
    assert len(degrees)
    assert float((degrees / 72 - (degrees / 72).round()).abs().max()) < 0.03


def test_no_symmetry_is_the_identity() -> None:
    points = box(SIDES)
    found = find_symmetries(points)
    way = (found.move(points) - points).norm(dim=2).median(1).values
    assert float(way.min()) >= MOVED


def test_inverse_motions_undo_motions() -> None:
    points = box(SIDES)
    found = find_symmetries(points)
    torch.testing.assert_close(found.move_back(found.move(points)[1].float())[1].float(), points, atol=1e-5, rtol=0)


def test_a_dent_differs_from_its_counterparts() -> None:
    points, labels = dented(box(SIDES, 12000), torch.tensor([0.25, 0.1, 0.15]))
    nodes, described = points[:4000], describe(points, 4000)
    columns = dict(zip(SYMMETRY_COLUMNS, describe_symmetry(find_symmetries(points), nodes, described).T, strict=True))
    truth = labels[:4000].numpy()
    assert roc_auc_score(truth, columns["height_near_median"].numpy()) > 0.9
    # A dent lies inside of where its counterpart's side is, and only the ghost of it outside.
    assert float(columns["signed_near"][:4000][labels[:4000]].mean()) < -0.3


def test_a_hole_is_missed_at_its_rim() -> None:
    whole = box(SIDES, 16000)
    place = torch.tensor([0.2, 0.1, 0.15])
    points = whole[(whole - place).norm(dim=1) > 0.08]
    nodes, described = points[:6000], describe(points, 6000)
    columns = dict(zip(SYMMETRY_COLUMNS, describe_symmetry(find_symmetries(points), nodes, described).T, strict=True))
    rim = ((nodes - place).norm(dim=1) < 0.1).numpy()
    assert roc_auc_score(rim, columns["missing_median"].numpy()) > 0.95
    far = (nodes - place).norm(dim=1) > 0.2
    assert float(columns["missing_median"][far].mean()) < 0.1 * float(columns["missing_median"][rim].mean())


def test_descriptors_do_not_depend_on_the_pose() -> None:
    points, _ = dented(box(SIDES, 8000), torch.tensor([0.25, 0.1, 0.15]))
    rows = []
    for pose in (torch.eye(3), free_turn(generator(3))):
        turned = points @ pose.T
        rows.append(describe_symmetry(find_symmetries(turned), turned[:2000], describe(turned, 2000)))
    column = SYMMETRY_COLUMNS.index("height_wide_median")
    one, other = (row[:, column] for row in rows)
    assert float(torch.corrcoef(torch.stack([one, other]))[0, 1]) > 0.9


def test_columns_against_a_plain_reading() -> None:
    """Heights, gaps and counterparts of a few nodes, one by one."""
    points = box(SIDES, 3000)
    nodes, described = points[:500], describe(points, 500)
    found = find_symmetries(points)
    columns = dict(zip(SYMMETRY_COLUMNS, describe_symmetry(found, nodes, described).T, strict=True))
    valid = (found.move(nodes) - nodes).norm(dim=2) > 0.06
    near = torch.cdist(nodes, nodes).topk(NEAR, largest=False).indices
    heights = torch.zeros(len(found), 500)
    for motion in range(len(found)):
        moved = found.move(nodes)[motion]
        distance = torch.cdist(moved, points.double())
        for node in range(500):
            close = distance[node].topk(3, largest=False).indices
            plane = ((moved[node] - points[close].double()) * found.surface.normals[close]).sum(1)
            gap = float(distance[node].min()) - 2 * found.surface.spacing
            heights[motion, node] = float(plane.abs().min()) * (valid[motion, node] & (gap < 0.01)) * 100
    sizes = heights[:, near].mean(2)
    for node in range(0, 500, 7):
        kept = sizes[valid[:, node], node]
        expected = float(kept.min()) if len(kept) else 0.0
        assert float(columns["height_near_least"][node]) == pytest.approx(expected, abs=1e-4)
    assert torch.equal(columns["counterparts"], valid.sum(0).float())
    assert len(SYMMETRY_COLUMNS) == len(set(SYMMETRY_COLUMNS)) == 2 * 18 + 2 + len(COMPARED) + 5


@pytest.mark.parametrize(
    "points",
    [torch.zeros(100, 3), torch.rand(10, 3), torch.rand(200, 1) * torch.ones(1, 3), torch.rand(300, 3)],
    ids=["in one place", "ten", "on a line", "in a cube"],
)
def test_odd_clouds_are_survived(points: Tensor) -> None:
    rows = describe_symmetry(find_symmetries(points), points, describe(points, len(points)))
    assert rows.shape == (len(points), len(SYMMETRY_COLUMNS))
    assert bool(rows.isfinite().all())


def test_distinct_motions_against_a_plain_reading() -> None:
    draw = generator(4)
    rotations = rotation_from_axis_angle(0.2 * torch.randn(60, 3, generator=draw, dtype=torch.float64))
    rotations = rotations * torch.where(torch.rand(60, generator=draw) < 0.5, 1.0, -1.0)[:, None, None]
    translations = 0.02 * torch.randn(60, 3, generator=draw, dtype=torch.float64)
    kept: list[int] = []
    for candidate in range(60):
        for other in kept:
            between = rotations[candidate] @ rotations[other].T
            angle = math.degrees(math.acos(max(-1.0, min(1.0, (float(torch.trace(between)) - 1) / 2))))
            same_side = float(torch.linalg.det(between)) > 0
            if same_side and angle < 10 and float((translations[candidate] - translations[other]).norm()) < 0.03:
                break
        else:
            kept.append(candidate)
    assert 10 < len(kept) < 60
    assert distinct_motions(rotations, translations, 10.0, 0.03, 100).tolist() == kept
    assert distinct_motions(rotations, translations, 10.0, 0.03, 7).tolist() == kept[:7]


def test_offsets_beside_an_edge_take_the_nearer_face() -> None:
    grid = torch.cartesian_prod(torch.arange(0, 1.01, 0.05), torch.arange(0, 1.01, 0.05))
    flat = torch.cat([grid, torch.zeros(len(grid), 1)], 1)
    wall = torch.cat([torch.zeros(len(grid), 1), grid + 0.02], 1)
    points = torch.cat([flat, wall])
    normals = torch.tensor([[0.0, 0, 1], [1.0, 0, 0]]).repeat_interleave(len(grid), 0)
    places = torch.tensor([[0.5, 0.5, -0.1], [0.012, 0.5, 0.001]], dtype=torch.float64)
    heights, planes, gaps = Surface(points, normals).offsets(places)
    assert heights[0] == pytest.approx(-0.1)
    assert abs(float(heights[1])) < 0.0011
    assert planes[1].tolist() == [0.0, 0.0, 1.0]
    assert float(gaps[1]) == 0.0
