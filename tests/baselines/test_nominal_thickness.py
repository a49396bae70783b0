"""Walls: their thickness under each point, right within the noise; unknown where only one side was scanned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh

from baselines import SurfaceDeviation
from pointadplus import PointCloud
from pointadplus.results.detection import Detection

NOISE = 0.01


def plate() -> trimesh.Trimesh:
    """60 × 40 × 4, about the origin."""
    return trimesh.creation.box((60, 40, 4))


def scan(mesh: trimesh.Trimesh, count: int = 40_000) -> np.ndarray:
    """Points with noise; the upper face is 0.8 too low within 5 of (12, 6)."""
    rng = np.random.default_rng(0)
    points = np.asarray(trimesh.sample.sample_surface(mesh, count, seed=0)[0]) + rng.normal(0, NOISE, (count, 3))
    points[(np.hypot(points[:, 0] - 12, points[:, 1] - 6) < 5) & (points[:, 2] > 1), 2] -= 0.8
    return points


def compared(points: np.ndarray, mesh: trimesh.Trimesh, **how: Any) -> Detection:
    part = SurfaceDeviation().fit(nominal=mesh, thickness=True, **{"align": "none", **how})
    return part.score(PointCloud.create(torch.from_numpy(points)))


def test_a_thinned_wall_is_as_thin_as_it_was_made() -> None:
    points = scan(plate())
    found = compared(points, plate(), tolerance=0.2)
    thick = found.layers["thickness"].numpy()
    inside = (np.abs(points[:, 0]) < 29) & (np.abs(points[:, 1]) < 19)
    away = np.hypot(points[:, 0] - 12, points[:, 1] - 6)
    thin, full = inside & (away < 4), inside & (away > 6.5)
    assert not np.isnan(thick[inside]).any()
    assert np.median(thick[thin]) == pytest.approx(3.2, abs=0.005)
    assert np.median(thick[full]) == pytest.approx(4.0, abs=0.005)
    assert thick[full].std() < 1.5 * NOISE, "one reading, and the mean of some on the other side"
    inspection = found.inspection
    assert inspection is not None and inspection.thinnest is not None and inspection.thinnest_at is not None
    assert inspection.thinnest == pytest.approx(3.2, abs=4 * NOISE) and inspection.thinnest_nominal == pytest.approx(4)
    assert np.hypot(inspection.thinnest_at[0] - 12, inspection.thinnest_at[1] - 6) < 5


def test_nothing_is_told_of_a_wall_with_one_side_scanned() -> None:
    points = scan(plate())
    found = compared(points[points[:, 2] > 1], plate())
    inside = (np.abs(points[points[:, 2] > 1, :2]) < [28, 18]).all(1)
    assert found.layers["thickness"].isnan().numpy()[inside].all()


def test_nothing_is_told_of_an_open_mesh_and_nothing_unasked() -> None:
    mesh, points = plate(), scan(plate(), 20_000)
    mesh.update_faces(np.arange(len(mesh.faces)) > 1)
    open_mesh = compared(points, mesh)
    assert open_mesh.layers["thickness"].isnan().all()
    assert open_mesh.inspection is not None and open_mesh.inspection.thinnest is None
    unasked = SurfaceDeviation().fit(nominal=plate(), align="none").score(PointCloud.create(torch.from_numpy(points)))
    assert "thickness" not in unasked.layers


def test_units_turns_and_files_keep_thickness(tmp_path: Path) -> None:
    """A scan in another unit and pose has walls in its own unit; a saved part still measures them."""
    turn = trimesh.transformations.rotation_matrix(1.0, (1, 2, 3))[:3, :3]
    part = SurfaceDeviation().fit(nominal=plate(), thickness=True)
    part.save(tmp_path / "part.safetensors")
    points = scan(plate())
    again = SurfaceDeviation.load(tmp_path / "part.safetensors")
    found = again.score(PointCloud.create(torch.from_numpy(points @ turn.T * 0.1 + 50)))
    inside = (np.abs(points[:, 0]) < 29) & (np.abs(points[:, 1]) < 19)
    inside &= np.hypot(points[:, 0] - 12, points[:, 1] - 6) > 6.5
    assert np.nanmedian(found.layers["thickness"].numpy()[inside]) == pytest.approx(0.4, abs=0.001)
    inspection = found.inspection
    assert inspection is not None and inspection.thinnest == pytest.approx(0.32, abs=0.005)
