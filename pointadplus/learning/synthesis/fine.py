"""Dense scans with fine defects, some hundredths of a per cent of the points each."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...errors import ConfigError
from .chance import integer, log_uniform, uniform
from .corpus import TRAINING_FAMILIES, pose
from .defects import KINDS, apply_defect, draw_severity
from .scan import ScanArtifacts, add_scan_artifacts
from .shapes import sample_shape

# All ours.
FINE_KINDS = tuple(kind for kind in KINDS if kind not in ("bending", "broken"))
POINTS, SCALES, MOST = (60_000, 250_000), (0.2, 0.45), 6  # of a scan; of the defects; defects of one
HEALTHY, SPARE = 0.3, 1.25  # share of the scans; points of a surface for each of a scan
ARTIFACTS = ScanArtifacts(noise=(5e-5, 6e-4), uneven=0.3, thinnest=0.5, one_sided=0.2)


@dataclass(frozen=True, eq=False)
class FineScan:
    """A dense scan made in code.

    Attributes:
        points: (N, 3) float32 in a random pose, diagonal about 100 units.
        kinds: (N,) int64, index into `KINDS` on defects, else −1.
        family: of the shape.
    """

    points: Float[Tensor, "n 3"]
    kinds: Int[Tensor, "n"]
    family: str


def sample_fine(
    seed: int,
    families: tuple[str, ...] = TRAINING_FAMILIES,
    defects: int | None = None,
    scales: tuple[float, float] = SCALES,
) -> FineScan:
    """A dense scan with some fine defects.

    Args:
        seed: decides everything.
        families: of shapes to draw from.
        defects: how many are tried; None draws none for `HEALTHY` of the scans, else one to `MOST`.
        scales: of the defects, see `Severity`.
    """
    generator = torch.Generator().manual_seed(seed)
    count = int(log_uniform(generator, *POINTS))
    family = families[integer(generator, len(families))]
    shape = sample_shape(generator, points=int(SPARE * count), family=family, fittings=0.5)
    points, normals = pose(shape.points, shape.normals, 1.4, generator)
    kinds = torch.full((len(points),), -1)
    drawn = 0 if uniform(generator) < HEALTHY else 1 + integer(generator, MOST)
    for _ in range(drawn if defects is None else defects):
        number = integer(generator, len(FINE_KINDS))
        severity = draw_severity(generator, uniform(generator, *scales))
        try:
            damaged = apply_defect(points, normals, FINE_KINDS[number], generator, severity=severity)
        except ConfigError:
            continue
        carried = torch.where(damaged.source >= 0, kinds[damaged.source.clamp_min(0)], -1)
        kinds = torch.where(damaged.labels, KINDS.index(FINE_KINDS[number]), carried)
        points, normals = damaged.points, damaged.normals
    some = torch.randperm(len(points), generator=generator)[:count]
    seen, _, kept = add_scan_artifacts(points[some], normals[some], generator, ARTIFACTS)
    return FineScan(seen, kinds[some][kept], family)
