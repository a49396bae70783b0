"""An endless stream of healthy and damaged objects, each from its own seed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...errors import ConfigError
from .chance import integer
from .defects import KINDS, apply_defect, draw_severity
from .scan import diagonal
from .scanner import Scanner, ScannerConfig, draw_scanner
from .shapes import FAMILIES, HELD_OUT, sample_shape

SCANS_TRIED, LABELLED = 4, 12  # scans of a damaged object, for one that shows so many points of the damage
TRAINING_FAMILIES = tuple(family for family in FAMILIES if family not in HELD_OUT)


@dataclass(frozen=True)
class CorpusConfig:
    """What the stream is made of.

    Attributes:
        families: shape families to draw from.
        defect_counts: probabilities of one, two and three defects on a damaged object.
        stretch: largest factor by which an axis is stretched or squeezed.
        fittings: share of the objects, healthy and damaged, that carry lone details by design.
        scanner: what scans them.
    """

    families: tuple[str, ...] = TRAINING_FAMILIES
    defect_counts: tuple[float, float, float] = (0.7, 0.2, 0.1)
    stretch: float = 1.4
    fittings: float = 0.5
    scanner: ScannerConfig = field(default_factory=ScannerConfig)


@dataclass(frozen=True, eq=False)
class LabelledObject:
    """A scan made in code.

    Attributes:
        points: (N, 3) float32 in a random pose, diagonal about 100 units.
        labels: (N,) bool, true on defects.
        kinds: (N,) int64, index into `KINDS` where labelled, else −1.
        family, caption: the shape's.
        kind: the first defect's kind, `good` if none.
        scan: what kind of scan it is, one of `SCANS`.
        normals: (N, 3) float32 unit vectors, of the true surface.
    """

    points: Float[Tensor, "n 3"]
    labels: Bool[Tensor, "n"]
    kinds: Int[Tensor, "n"]
    family: str
    caption: str
    kind: str
    scan: str
    normals: Float[Tensor, "n 3"]

    @property
    def damaged(self) -> bool:
        """Whether any point is labelled."""
        return bool(self.labels.any())


def sample_pair(seed: int, config: CorpusConfig | None = None) -> tuple[LabelledObject, LabelledObject]:
    """The same object, posed and scanned alike, healthy and damaged.

    Args:
        seed: decides everything; equal seeds give equal pairs.
    """
    config = config or CorpusConfig()
    scene = _Scene(seed, config)
    points, normals, kinds, kind = _damage(scene.points, scene.normals, config, scene.generator)
    for _ in range(SCANS_TRIED):
        scanner = draw_scanner(scene.generator, config.scanner, points, normals, kinds >= 0)
        damaged = scene.scanned(scanner, points, normals, kinds, kind)
        if int(damaged.labels.sum()) >= LABELLED:
            break
    return scene.healthy(scanner), damaged


def sample_healthy(seed: int, config: CorpusConfig | None = None) -> LabelledObject:
    """A healthy object, looked at from anywhere."""
    config = config or CorpusConfig()
    scene = _Scene(seed, config)
    return scene.healthy(draw_scanner(scene.generator, config.scanner, scene.points, scene.normals))


def sample_object(seed: int, config: CorpusConfig | None = None) -> LabelledObject:
    """One half of `sample_pair(seed // 2)`: even seeds are healthy, odd ones damaged."""
    return sample_pair(seed // 2, config)[seed % 2]


class _Scene:
    """A shape in a random pose, sampled densely."""

    def __init__(self, seed: int, config: CorpusConfig) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        family = config.families[integer(self.generator, len(config.families))]
        count = config.scanner.surface
        self.shape = sample_shape(self.generator, points=count, family=family, fittings=config.fittings)
        self.points, self.normals = pose(self.shape.points, self.shape.normals, config.stretch, self.generator)

    def healthy(self, scanner: Scanner) -> LabelledObject:
        return self.scanned(scanner, self.points, self.normals, torch.full((len(self.points),), -1), "good")

    def scanned(self, scanner: Scanner, points: Tensor, normals: Tensor, kinds: Tensor, kind: str) -> LabelledObject:
        """A scan of the shape, or of what damage made of it."""
        scan = scanner.scan(points, normals)
        kinds = torch.where(scan.source >= 0, kinds[scan.source.clamp_min(0)], -1)
        shape = self.shape
        return LabelledObject(
            scan.points, kinds >= 0, kinds, shape.family, shape.caption, kind, scanner.kind, scan.normals
        )


def _damage(
    points: Tensor, normals: Tensor, config: CorpusConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, str]:
    """One to three defects; a kind that finds no place on this object gives way to the next draw."""
    wanted = int(torch.multinomial(torch.tensor(config.defect_counts), 1, generator=generator)) + 1
    kinds = torch.full((len(points),), -1)
    first = ""
    for kind in torch.randint(len(KINDS), (12,), generator=generator).tolist():
        try:
            damaged = apply_defect(points, normals, KINDS[kind], generator, severity=draw_severity(generator))
        except ConfigError:
            continue
        carried = torch.where(damaged.source >= 0, kinds[damaged.source.clamp_min(0)], -1)
        kinds = torch.where(damaged.labels, kind, carried)
        points, normals = damaged.points, damaged.normals
        first = first or KINDS[kind]
        wanted -= 1
        if wanted == 0:
            break
    return points, normals, kinds, first or "good"


def pose(points: Tensor, normals: Tensor, stretch: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Stretch each axis, scale to a diagonal of 100 and turn freely."""
    factors = torch.exp((torch.rand(3, generator=generator) * 2 - 1) * math.log(stretch) / 2)
    rotation = free_turn(generator)
    points = points * factors
    points = points * (100.0 / diagonal(points))
    normals = torch.nn.functional.normalize(normals / factors, dim=1)
    return points @ rotation.T, normals @ rotation.T


def free_turn(generator: torch.Generator) -> Float[Tensor, "3 3"]:
    """A rotation, uniform over all: the QR of a Gaussian matrix with a positive diagonal (Stewart, 1980)."""
    q, r = torch.linalg.qr(torch.randn(3, 3, generator=generator))
    q = q * torch.sign(torch.diagonal(r))
    return q * torch.sign(torch.linalg.det(q))
