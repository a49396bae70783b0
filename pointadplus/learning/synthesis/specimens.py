"""One object for a benchmark, healthy or with one defect of a known kind, and clouds of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation
from torch import Tensor

from ...cloud import PointCloud
from ...errors import ConfigError
from .chance import log_uniform
from .defects import apply_defect, draw_severity
from .paint import COLOR_KINDS, Paint, spoil
from .scan import ScanArtifacts, add_scan_artifacts, diagonal
from .shapes import sample_shape

GOOD = "good"
SHOWN = 0.5  # share of a defect's points that a cloud should show: ours
SCANS = 32  # looked at for one that does


@dataclass(frozen=True, eq=False)
class Specimen:
    """The surface of an object, before anything scans it.

    Attributes:
        points: (N, 3) float32 as the family builds it, z up; the healthy object's bounding box has a diagonal of 1.
        normals: (N, 3) float32 unit vectors, outward.
        labels: (N,) bool, true on the defect.
        kind: the defect's, one of `KINDS` or `COLOR_KINDS`; `good` if there is none.
        colors: (N, 3) float32 RGB in [0, 1], or None if it is not painted.
    """

    points: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"]
    labels: Bool[Tensor, "n"]
    kind: str
    colors: Float[Tensor, "n 3"] | None = None

    @property
    def damaged(self) -> bool:
        """Whether it has a defect."""
        return self.kind != GOOD


def make_specimen(
    seed: int, family: str, points: tuple[int, int], kinds: Sequence[str] = (), painted: bool = False
) -> Specimen:
    """Draw an object of a family.

    Args:
        seed: decides everything that is random, in [0, 2⁶³).
        family: one of `FAMILIES`.
        points: lowest and highest N of the healthy object, drawn log-uniformly.
        kinds: of defects, in the order in which they are tried; the first that finds a place is made. None: healthy.
        painted: whether it has colours, which change nothing else; a defect of colour needs them.

    Raises:
        ConfigError: an unknown family or kind, or no kind finds a place.
    """
    generator = torch.Generator().manual_seed(seed)
    count = round(log_uniform(generator, *points))
    shape = sample_shape(generator, points=count, family=family)
    healthy = shape.points / diagonal(shape.points)
    rng = np.random.default_rng(seed)
    paint = Paint.draw(rng) if painted else None
    sound = torch.zeros(count, dtype=torch.bool)
    if not kinds:
        return Specimen(healthy, shape.normals, sound, GOOD, _coat(paint, healthy, rng))
    severity = draw_severity(generator)
    for kind in kinds:
        if kind in COLOR_KINDS:
            if paint is None:
                raise ConfigError("a defect of colour on an object without colours", where="kinds", found=kind)
            colors, labels = spoil(paint, kind, healthy.double().numpy(), rng)
            colors = torch.from_numpy(paint.with_grain(colors, rng)).float()
            return Specimen(healthy, shape.normals, torch.from_numpy(labels), kind, colors)
        try:
            made = apply_defect(healthy, shape.normals, kind, generator, severity=severity)
        except ConfigError:
            if kind == kinds[-1]:
                raise
            continue
        return Specimen(made.points, made.normals, made.labels, kind, _coat(paint, made.points, rng))
    raise AssertionError("the last kind was made or raised")


def _coat(paint: Paint | None, points: Tensor, rng: np.random.Generator) -> Tensor | None:
    if paint is None:
        return None
    return torch.from_numpy(paint.with_grain(paint.pattern(points.double().numpy()), rng)).float()


def scan_cloud(
    specimen: Specimen, seed: int, artifacts: ScanArtifacts | None = None
) -> tuple[PointCloud, Bool[Tensor, " m"]]:
    """A scan in a random pose, with artefacts; of a damaged object one that shows at least half of the defect.

    If none of `SCANS` scans does, it is the one that shows most.

    Args:
        specimen: what is scanned.
        seed: of the pose and the artefacts, in [0, 2⁶³).
        artifacts: None means the defaults.

    Returns:
        M points, in the specimen's unit and about its centre, with its colours, and (M,) bool labels.

    Raises:
        ConfigError: no scan shows any of the defect.
    """
    generator = torch.Generator().manual_seed(seed)
    rotation = random_rotation(generator)
    points, normals = specimen.points @ rotation.T, specimen.normals @ rotation.T
    best, most = None, 0
    for _ in range(SCANS):
        scan, _, kept = add_scan_artifacts(points, normals, generator, artifacts)
        labels = specimen.labels[kept]
        shown = int(labels.sum())
        if best is None or shown > most:
            colors = None if specimen.colors is None else specimen.colors[kept]
            best, most = (PointCloud(scan, colors=colors), labels), shown
        if shown >= SHOWN * int(specimen.labels.sum()):
            break
    if best is None or (specimen.damaged and most == 0):
        raise ConfigError(
            "no scan shows the defect", where="scan_cloud", found=specimen.kind, hint="use more points, or another seed"
        )
    return best


def random_rotation(generator: torch.Generator) -> Float[Tensor, "3 3"]:
    """Uniform over all rotations: a quaternion of normal components (Shoemake, 1992)."""
    quaternion = torch.randn(4, generator=generator, dtype=torch.float64).numpy()
    return torch.from_numpy(Rotation.from_quat(quaternion).as_matrix()).float()
