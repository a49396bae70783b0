"""Array shapes are checked in every test; tiny clouds that every room may use."""

from __future__ import annotations

from jaxtyping import install_import_hook

# Before the first import of the package: modules imported earlier would go unchecked.
install_import_hook("pointadplus", "beartype.beartype")

import pytest  # noqa: E402
import torch  # noqa: E402

from pointadplus.cloud import PointCloud  # noqa: E402


@pytest.fixture(scope="session")
def sphere() -> PointCloud:
    """1,000 points spread evenly (Fibonacci lattice) over the unit sphere, with outward normals."""
    index = torch.arange(1000, dtype=torch.float64) + 0.5
    z = 1 - 2 * index / 1000
    angle = index * torch.pi * (1 + 5**0.5)
    radius = (1 - z.square()).sqrt()
    points = torch.stack([radius * angle.cos(), radius * angle.sin(), z], dim=1).float()
    return PointCloud.create(points, normals=points, source="sphere.ply")


@pytest.fixture(scope="session")
def box() -> PointCloud:
    """A 2 × 1 × 0.5 box: a regular grid of 1,536 points (16 × 16 a face), with outward normals."""
    ticks = torch.linspace(-0.5, 0.5, 16)
    u, v = (grid.reshape(-1) for grid in torch.meshgrid(ticks, ticks, indexing="ij"))
    points, normals = [], []
    for axis in range(3):
        for side in (-0.5, 0.5):
            points.append(torch.stack([torch.full_like(u, side), u, v], dim=1).roll(axis, dims=1))
            normals.append(torch.eye(3)[axis].mul(2 * side).expand(len(u), 3))
    extents = torch.tensor([2.0, 1.0, 0.5])
    return PointCloud.create(torch.cat(points) * extents, normals=torch.cat(normals), source="box.ply")
