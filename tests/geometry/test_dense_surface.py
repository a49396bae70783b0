"""The shape around single points of a dense scan, against what is usual around them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pointadplus.geometry.dense_surface import FINE_FEATURES, SCALES, USUAL, DenseSurface
from pointadplus.geometry.local_shape import FRAME_COLUMNS, QUADRIC_COLUMNS, fit_quadrics, quadric_columns
from pointadplus.geometry.normals import local_frames
from pointadplus.learning.synthesis.corpus import free_turn

SHAPES = SCALES * (len(FRAME_COLUMNS) + len(QUADRIC_COLUMNS) + 3)
HEIGHTS = slice(SCALES * (len(FRAME_COLUMNS) + len(QUADRIC_COLUMNS)), SHAPES - 2 * SCALES)  # squashed, a scale each


def ball(count: int = 60_000, bump: float = 0.0) -> tuple[Tensor, Tensor]:
    """A ball with a diagonal of 1 in random order, whether a point is on its bump at the pole, 1.5 % across."""
    generator = torch.Generator().manual_seed(0)
    normals = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    points = normals * 0.5 / 3**0.5
    beside = (points[:, :2].norm(dim=1) / 0.0075).square() + 1e3 * (points[:, 2] < 0)
    return points + bump * torch.exp(-beside)[:, None] * normals, beside < 0.5


def test_a_fine_bump_stands_out_and_has_a_sign() -> None:
    points, on = ball(bump=0.001)
    found = {}
    for sign in (1.0, -1.0):
        points = ball(bump=0.001 * sign)[0]
        features = DenseSurface(points).describe(torch.cat([points[on], points[:500][~on[:500]]]))
        assert features.shape[1] == FINE_FEATURES and features.isfinite().all()
        found[sign] = features[:, HEIGHTS][:, -1]
        inside, outside = found[sign][: int(on.sum())], found[sign][int(on.sum()) :]
        assert float((inside * sign).median()) > 3 * float(outside.abs().quantile(0.9))
    assert float(torch.corrcoef(torch.stack([found[1.0], found[-1.0]]))[0, 1]) < -0.9


def test_pose_does_not_matter() -> None:
    points = ball(30_000, bump=0.002)[0]
    turn = free_turn(torch.Generator().manual_seed(3))
    one, other = (DenseSurface(each).describe(each[:300]) for each in (points, points @ turn.T))
    assert (one - other).abs().quantile(0.99) < 0.02


def test_a_place_is_judged_alone() -> None:
    points = ball(30_000)[0]
    surface = DenseSurface(points)
    assert torch.allclose(surface.describe(points[:5000])[4990:], surface.describe(points[4990:5000]), atol=1e-4)


def test_relative_columns_are_zero_in_the_middle() -> None:
    points = ball(30_000)[0]
    features = DenseSurface(points).describe(points[:USUAL])
    assert float(features[:, 2 * SHAPES : 3 * SHAPES].median(0).values.abs().max()) < 1e-3


@pytest.mark.parametrize("curvature", [-0.4, 0.0, 0.5])
def test_a_quadric_is_found_with_its_sign(curvature: float) -> None:
    """Points on h = c (x² + y²) around the origin, up being outward: no residual, curvature 2 c r in radii r."""
    flat = torch.rand(1, 48, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
    offsets = torch.cat([flat, curvature * flat.square().sum(2, keepdim=True)], 2)
    frame = local_frames(offsets)
    columns = quadric_columns(fit_quadrics(offsets, frame), frame, torch.tensor([[0.0, 0.0, 1.0]]))
    told = dict(zip(QUADRIC_COLUMNS, columns[0].tolist(), strict=True))
    radius = float(frame.variances[0, :2].sum().sqrt())
    assert told["residual"] == pytest.approx(0.0, abs=0.02) and told["roughness"] < 0.02
    assert told["curvature"] == pytest.approx(2 * curvature * radius, rel=0.15, abs=0.01)
