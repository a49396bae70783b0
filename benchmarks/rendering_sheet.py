"""Draw the pictures of docs/rendering.md: hard cases for visibility and surfaces, one a row.

python benchmarks/rendering_sheet.py --out docs/rendering.png
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
import trimesh
from torch import Tensor
from torch.nn.functional import normalize

from pointadplus import PointCloud, TriangleMesh
from pointadplus.learning.synthesis.shapes import sample_shape
from pointadplus.render import MultiViewRenderer, contact_sheet

CHANNELS = ("headlight", "depth", "normal_x", "normal_y", "normal_z", "mask")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sphere(count: int) -> Tensor:
    return normalize(torch.randn(count, 3, generator=generator()), dim=1)


def plate(count: int, thickness: float) -> Tensor:
    flat = torch.rand(count, 2, generator=generator()) * 2 - 1
    sign = torch.randint(2, (count, 1), generator=generator(1)) - 0.5
    return torch.cat([flat, thickness * sign], 1)


def rippled_torus(count: int) -> Tensor:
    """A torus with eighteen ripples around its tube, which need resolution to show."""
    u, v = (torch.rand(count, generator=generator(seed)) * 2 * math.pi for seed in (0, 1))
    tube = 0.35 + 0.02 * (18 * v).cos()
    ring = 1 + tube * v.cos()
    return torch.stack([ring * u.cos(), tube * v.sin(), ring * u.sin()], 1)


def scenes() -> dict[str, PointCloud | TriangleMesh]:
    """By name, in the order of the rows."""
    mug = sample_shape(generator(3), points=60_000, family="mug")
    gear = sample_shape(generator(5), points=60_000, family="gear")
    seen = mug.normals @ normalize(torch.tensor([0.5, 0.3, 0.8]), dim=0) > 0
    torus = trimesh.creation.torus(1.0, 0.35)
    return {
        "sphere, 20k points": PointCloud.create(sphere(20_000)),
        "plate of 2 % thickness, 40k": PointCloud.create(plate(40_000, 0.04)),
        "mug, 60k": PointCloud.create(mug.points),
        "gear, 60k": PointCloud.create(gear.points),
        "single-sided scan of the mug": PointCloud.create(mug.points[seen]),
        "rippled torus, 2k": PointCloud.create(rippled_torus(2_000)),
        "rippled torus, 2M": PointCloud.create(rippled_torus(2_000_000)),
        "triangle mesh of a torus": TriangleMesh.create(torus.vertices, torus.faces),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=192)
    arguments = parser.parse_args()
    rows = []
    for name, scene in scenes().items():
        images = MultiViewRenderer(views="sphere5", image_size=arguments.size).render(scene).images(CHANNELS)
        gray, depth, normals, mask = images.split([1, 1, 3, 1], 1)
        coloured = torch.where(mask > 0, 0.5 + 0.5 * normals, 1.0)
        rows += [gray[1:4].expand(-1, 3, -1, -1), depth[2:3].expand(-1, 3, -1, -1), coloured[1:3]]
        print(f"row {len(rows) // 3}: {name}", flush=True)
    contact_sheet(torch.cat(rows), columns=6).save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
