"""Labelled defects made on any cloud: the data from which a zero-shot detector learns what damage looks like.

All sizes are relative to the diagonal of the cloud's bounding box. Neighbourhoods follow the surface, so that the far
side of a thin wall is neither moved nor labelled. The recipes are our own; the ideas of patches pushed along normals
come from R3D-AD, PO3AD, GLFM and Synthesis4AD, and the kinds from Real3D-AD, Anomaly-ShapeNet and MVTec 3D-AD.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...errors import CloudError, ConfigError
from .chance import integer, uniform
from .defects_base import Change, Draw, Severity, Surface
from .defects_curve import crack, scratch
from .defects_cut import broken, hole
from .defects_surface import bending, bulge, dent, roughness

_RECIPES: dict[str, Callable[[Surface, Draw], Change | None]] = {
    recipe.__name__: recipe for recipe in (bulge, dent, hole, crack, scratch, broken, bending, roughness)
}
KINDS = tuple(_RECIPES)
LABEL_SHARES = (0.001, 0.15)
MIN_POINTS = 500
MIN_KEPT = 0.6
MIN_CHANGE = 0.001  # of the diagonal: twice the noise of a good scanner
ATTEMPTS = 40


@dataclass(frozen=True, eq=False)
class Damaged:
    """A cloud with a defect.

    Attributes:
        points: (M, 3) float32, in the healthy cloud's unit.
        normals: (M, 3) float32 unit vectors; approximate where the surface moved.
        labels: (M,) bool, true for anomalous points.
        source: (M,) int64, the healthy point that each came from; −1 for new material.
        kind: one of `KINDS`, or several joined by "+".
    """

    points: Float[Tensor, "m 3"]
    normals: Float[Tensor, "m 3"]
    labels: Bool[Tensor, " m"]
    source: Int[Tensor, " m"]
    kind: str


def draw_severity(generator: torch.Generator, scale: float = 1.0) -> Severity:
    """A random one, for defects as large as real ones.

    Those cover 1–5 % of the points, more than sizes drawn evenly in the logarithm give: hence the square root.
    """
    return Severity(size=uniform(generator) ** 0.5, depth=uniform(generator), scale=scale)


def apply_defect(
    points: Float[Tensor, "n 3"],
    normals: Float[Tensor, "n 3"],
    kind: str,
    generator: torch.Generator,
    *,
    severity: Severity | None = None,
) -> Damaged:
    """Make one defect at a random place.

    Args:
        points: (N, 3), N ≥ 500, of any unit and pose.
        normals: (N, 3) unit vectors that point out of the material.
        kind: one of `KINDS`.
        generator: decides everything that is random; advanced by one draw.
        severity: extent and depth within the kind's range; None draws both, log-uniformly.

    Returns:
        The damaged cloud: 0.1–15 % of its points are labelled (less by the square of the severity's scale), at least
        60 % of the healthy points are left, and every point that the defect did not touch is bit for bit the healthy
        one.

    Raises:
        ConfigError: unknown kind, or no place on this cloud can carry such a defect.
        CloudError: too few points, not finite, or without extent.
    """
    if kind not in _RECIPES:
        raise ConfigError("unknown kind of defect", where="apply_defect", expected=", ".join(KINDS), found=kind)
    surface = _surface(points, normals)
    rng = np.random.default_rng(integer(generator, 2**62))
    draw = Draw(rng, severity)
    least, most = LABEL_SHARES[0] * draw.finer**2, LABEL_SHARES[1]
    for _ in range(ATTEMPTS):
        change = _RECIPES[kind](surface, draw)
        if change is None:
            continue
        share = _label_share(change)
        if least <= share <= most and _counts(change, surface, MIN_CHANGE * draw.finer):
            return _damaged(change, points, normals, kind)
        # A stick offers less surface than a ball of the same diagonal, so a size may have to give way.
        factor = 0.8 if share > most else 1.15 if share < least else 1.0
        draw = replace(draw, scale=float(np.clip(draw.scale * factor, 0.2, 2.0)))
    raise ConfigError(
        f"no place found for a defect of kind {kind}",
        where="apply_defect",
        expected=f"labels on {least:.2%} to {most:.0%} of the points",
        found=f"{ATTEMPTS} attempts without",
        hint="use more points or another kind",
    )


def apply_defects(
    points: Float[Tensor, "n 3"],
    normals: Float[Tensor, "n 3"],
    generator: torch.Generator,
    *,
    count: int | None = None,
) -> Damaged:
    """Make one to three defects of random kinds, one after the other; kinds that do not fit the cloud are passed over.

    Args:
        points, normals, generator: as for `apply_defect`.
        count: number of defects, at least 1; None draws 1, 2 or 3 with shares 0.6, 0.3 and 0.1. Fewer are made where
            more would label over 15 % of the points or leave under 60 % of them.

    Raises:
        ConfigError: a count below 1, or no kind fits the cloud.
        CloudError: as for `apply_defect`.
    """
    if count is not None and count < 1:
        raise ConfigError("count out of range", where="apply_defects", expected="at least 1", found=count)
    rng = np.random.default_rng(integer(generator, 2**62))
    wanted = int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1])) if count is None else count
    result: Damaged | None = None
    done: list[str] = []
    for kind in rng.choice(KINDS, wanted + len(KINDS)):
        if len(done) == wanted:
            break
        base = (points, normals) if result is None else (result.points, result.normals)
        try:
            step = apply_defect(*base, str(kind), generator)
        except ConfigError:
            continue
        merged = step if result is None else _chained(result, step)
        if merged.labels.float().mean() > LABEL_SHARES[1] or (merged.source >= 0).sum() < MIN_KEPT * len(points):
            continue
        result = merged
        done.append(str(kind))
    if result is None:
        raise ConfigError("no kind of defect fits this cloud", where="apply_defects", hint="use more points")
    return replace(result, kind="+".join(done))


def _surface(points: Tensor, normals: Tensor) -> Surface:
    if points.ndim != 2 or points.shape[1] != 3 or points.shape != normals.shape or len(points) < MIN_POINTS:
        raise CloudError(
            "a cloud that cannot carry a defect",
            where="apply_defect",
            expected=f"(N, 3) points and normals, N ≥ {MIN_POINTS}",
            found=f"{tuple(points.shape)} and {tuple(normals.shape)}",
        )
    if not (torch.isfinite(points).all() and torch.isfinite(normals).all()):
        raise CloudError("points or normals are not finite", where="apply_defect", expected="finite values")
    array = points.detach().cpu().double().numpy()
    diagonal = float(np.linalg.norm(np.ptp(array, axis=0)))
    if diagonal == 0.0:
        raise CloudError("the points coincide", where="apply_defect", expected="a diagonal above 0", found=0.0)
    return Surface(array, normals.detach().cpu().double().numpy(), diagonal)


def _label_share(change: Change) -> float:
    labelled = int((change.labels & change.kept).sum()) + len(change.added)
    return labelled / max(int(change.kept.sum()) + len(change.added), 1)


def _counts(change: Change, surface: Surface, least: float) -> bool:
    """Whether the change, `least` of the diagonal at least, can be measured, and leaves enough of the object."""
    total, left = len(change.kept), int(change.kept.sum())
    if left < MIN_KEPT * total or not np.isfinite(change.points).all() or not np.isfinite(change.added).all():
        return False
    moves = np.linalg.norm(change.points - surface.points, axis=1)[change.labels & change.kept]
    return total - left >= 8 or len(change.added) >= 8 or int((moves >= least * surface.diagonal).sum()) >= 5


def _damaged(change: Change, points: Tensor, normals: Tensor, kind: str) -> Damaged:
    kept, new = np.flatnonzero(change.kept), len(change.added)
    join = lambda *parts: torch.from_numpy(np.concatenate(parts)).to(points)  # noqa: E731
    return Damaged(
        points=join(change.points[kept], change.added),
        normals=join(change.normals[kept], change.added_normals),
        labels=torch.from_numpy(np.append(change.labels[kept], np.ones(new, dtype=bool))).to(points.device),
        source=torch.from_numpy(np.append(kept, np.full(new, -1))).to(points.device),
        kind=kind,
    )


def _chained(first: Damaged, second: Damaged) -> Damaged:
    """`second` was made on `first`: labels add up, sources go back to the healthy cloud."""
    old = second.source.clamp(min=0)
    new = second.source < 0
    return replace(
        second,
        labels=second.labels | (first.labels[old] & ~new),
        source=torch.where(new, second.source, first.source[old]),
    )
