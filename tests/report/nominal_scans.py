"""Scans with known deviations, without the detector that would measure them."""

from __future__ import annotations

import torch

from pointadplus.cloud import PointCloud
from pointadplus.results.detection import Detection
from pointadplus.results.inspection import Inspection
from pointadplus.results.section import Section

LIMITS = (-0.2, 0.3)


POSE = (1.0, 0.0, 0.0, 100.0, 0.0, 1.0, 0.0, 200.0, 0.0, 0.0, 1.0, 300.0)  # the scan's frame is shifted


def plate(
    name: str = "plate.ply", bump: float = 0.8, dent: float = 0.5, tolerance: tuple[float, float] | None = LIMITS
) -> Detection:
    """A plate of 40 × 30 mm at z = 0, 11,011 points a third of a mm apart: too high by `bump` around (10, 10), too low
    by `dent` around (30, 20), each in a circle of 3 mm; 0 elsewhere, and not measured where x is 0."""
    x, y = (axis.flatten() for axis in torch.meshgrid(torch.arange(121) / 3, torch.arange(91) / 3, indexing="ij"))
    off = torch.zeros(len(x))
    off[(x - 10).hypot(y - 10) < 3] = bump
    off[(x - 30).hypot(y - 20) < 3] = -dent
    cloud = PointCloud.create(torch.stack([x, y, off], 1), source=name, unit="mm")
    deviation = torch.where(x == 0, torch.nan, off)
    middle, half = (0.05, 0.25) if tolerance else (0.0, 0.1)
    ratio = ((deviation - middle).abs() / half).nan_to_num(0.0)
    scores = ratio / (1 + ratio)
    known = deviation[~deviation.isnan()]
    over, under = float((known > 0.3).float().mean()), float((known < -0.2).float().mean())
    shares = (1 - over - under, over, under) if tolerance else (None, None, None)
    good = None if tolerance is None else over + under == 0
    found = Inspection(
        nominal="plate.step", unit="mm", alignment="best fit", pose=POSE, residual=0.018, rests_on=0.97, coverage=1.0,
        tolerance=tolerance, measured=len(known), mean=float(known.mean()), rms=float(known.square().mean().sqrt()),
        low=0.0, high=0.0, largest=bump, smallest=-dent, within=shares[0], over=shares[1], under=shares[2],
        not_measured=91 / len(x), significant=0.04, lod=0.04, missing=0.0, in_tolerance=good,
    )  # fmt: skip
    layers = {"deviation": deviation, "lod": torch.full_like(deviation, 0.04)}
    return Detection(float(scores.max()), scores, cloud, layers, inspection=found, section=cut(cloud, deviation, bump))


def cut(cloud: PointCloud, deviation: torch.Tensor, bump: float, window: float = 7.0) -> Section:
    """Along x through the middle of the bump; the nominal is z = 0."""
    row = (cloud.points[:, 1] == 10) & ((cloud.points[:, 0] - 10).abs() <= window)
    along, low = (cloud.points[row, 0] - 10) / window, -bump / window
    level = torch.full_like(along, low)
    points = torch.stack([along, level, torch.zeros_like(along), torch.ones_like(along), deviation[row]], 1)
    return Section((10.0, 10.0, bump), window, torch.tensor([[-1.0, low, 1.0, low]]), points)
