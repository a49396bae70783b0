"""The section through the worst place: the nominal's own outline, and the scan's points on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

pytest.importorskip("open3d")

from baselines import SurfaceDeviation
from baselines.nominal import NominalMesh
from baselines.nominal.section import Plane, outline
from pointadplus.report.inspected import section
from pointadplus.results.detection import Detection
from pointadplus.results.section import Section
from tests.baselines.nominal_parts import bracket, mesh_of, scan
from tests.report import nominal_scans


def compared(points: object, mesh: object, **how: object) -> Detection:
    return SurfaceDeviation().fit(nominal=mesh, **{"align": "none", **how}).score(points)  # type: ignore[arg-type]


def cut(detection: Detection) -> Section:
    assert detection.section is not None
    return detection.section


@pytest.mark.parametrize("bump", [0.8, 0.1])
def test_the_section_leads_back_to_the_nominal(bump: float) -> None:
    """With a region, and without one, where the largest extreme is cut through."""
    points = nominal_scans.plate(bump=bump, dent=0.05).cloud
    block = trimesh.creation.box((40, 30, 5), trimesh.transformations.translation_matrix((20, 15, -2.5)))
    found = compared(points, mesh_of(block), tolerance=nominal_scans.LIMITS)
    assert len(found.regions()) == (bump > 0.3)
    told = section(found)
    assert told is not None
    assert np.hypot(told["place"][0] - 10, told["place"][1] - 10) < (0.1 if bump > 0.3 else 3)
    along, up, _, normal, off = np.array(told["points"]).T
    assert set(np.round(off, 3)) <= {0.0, -0.05, bump}
    assert along.min() < -0.5 and along.max() > 0.5
    flat = np.abs(normal) > 0.999
    assert flat.mean() > 0.6
    assert np.abs(up[flat] * told["window"] + bump).max() < 0.01, "the plate at z = 0, under the worst place"
    assert 0.1 < bump * told["factor"] / told["window"] <= 0.36
    top = np.array([piece for piece in told["nominal"] if min(piece[1], piece[3]) > -2.5 / told["window"]])
    assert np.abs(top[:, [1, 3]] * told["window"] + bump).max() < 0.01
    assert np.abs(top[:, [0, 2]]).max() == pytest.approx(np.sqrt(1 - (bump / told["window"]) ** 2), abs=1e-3)


def test_the_outline_is_that_of_the_mesh_inside_a_circle() -> None:
    """A ball of radius 5 in a window of 4 about its top: an arc up to where the two circles meet."""
    ball = trimesh.creation.icosphere(5, 5.0)
    plane = Plane(np.array([0.01, 0.0, 5.0]), np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), 4.0)
    pieces = outline(NominalMesh(ball.vertices, ball.faces), plane).reshape(-1, 2, 2)
    ends = pieces.reshape(-1, 2) * 4
    assert np.abs(np.hypot(ends[:, 0] + 0.01, ends[:, 1] + 5) - 5).max() < 0.01
    assert np.hypot(*ends.T).max() == pytest.approx(4, abs=1e-6)
    length = np.linalg.norm(pieces[:, 0] - pieces[:, 1], axis=1).sum() * 4
    assert length == pytest.approx(2 * 5 * 2 * np.arcsin(2 / 5), rel=2e-3), "whole, and no piece twice"


def test_both_faces_of_a_wall_are_cut() -> None:
    """The bump is under the foot of an L, 10 thick, that is 60 long: the window shows its upper face, too."""
    mesh = bracket()
    points = scan(mesh, 20_000)
    points[np.linalg.norm(points - [35, 0, 12], axis=1) < 5, 1] -= 0.4
    found = cut(compared(points, mesh, tolerance=0.3))
    assert np.linalg.norm(np.array(found.place) - [35, -0.4, 12]) < 1.5
    assert 11 < found.window <= 12, "1.2 times its length, as far as points show it"
    heights = found.nominal[:, [1, 3]].numpy() * found.window
    assert np.abs(heights[heights > -5] + 0.4).max() < 0.1, "down is into the wall"
    assert np.abs(heights[heights < -5] + 10.4).max() < 0.1
    assert found.points[:, 4].max() == pytest.approx(0.4, abs=0.1)


def test_a_turned_scan_in_another_unit_has_the_same_section() -> None:
    mesh = bracket()
    points = scan(mesh, 20_000)
    points[np.linalg.norm(points - [35, 0, 12], axis=1) < 5, 1] -= 0.4
    turn = trimesh.transformations.rotation_matrix(1.0, (1, 2, 3))[:3, :3]
    one = cut(compared(points, mesh, tolerance=0.3, align="best-fit"))
    away = compared(points @ turn.T * 0.1 + 500, mesh, tolerance=0.3, align="best-fit")
    other = cut(away)
    off = away.regions()[0].deviation
    assert off is not None and np.linalg.norm(np.array(off.position) - [35, -0.4, 12]) < 1.0, "where the drawing has it"
    assert other.window == pytest.approx(one.window / 10, rel=0.02)
    assert np.linalg.norm((np.array(other.place) - 500) * 10 - turn @ one.place) < 1.0
    assert other.points[:, 4].max() == pytest.approx(float(one.points[:, 4].max()) / 10, abs=2e-3)


def test_the_order_of_the_points_changes_no_section() -> None:
    points = torch.from_numpy(scan(bracket())).float()
    shuffle = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))
    one, other = cut(compared(points, bracket())), cut(compared(points[shuffle], bracket()))
    assert one.place == other.place
    assert torch.equal(one.nominal, other.nominal) and torch.equal(one.points, other.points)
