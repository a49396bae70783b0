"""A 3D scanner before an object: eyes that each see a part of it, with their errors, and software that joins them.

What an eye sees is found on a dense sample of the surface with a depth buffer. Everything that is random is drawn anew
for each object, and alike for its twins.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from ....config import Config, check_range, within
from ....geometry.spacing import point_spacing
from ..chance import log_uniform, seed_from, uniform
from ..scan import ScanArtifacts, add_scan_artifacts, diagonal
from .errors import Errors
from .reading import Scan, Surface, read
from .software import joined, on_table, with_strays
from .stand import place_eyes, side_up
from .view import coverage

SCANS = ("even", "around", "table", "few", "single")
"""What a scan is of: an even sample of all; eyes all round; a turntable's eyes, all above the table; two to four eyes
above it; one eye."""

LEAST = 2_500  # points of a scan, else it is taken anew
TRIES = 6
SHOWN = 0.35  # of a defect's points that the eyes should see


@dataclass(frozen=True)
class ScannerConfig(Config):
    """Which scans there are, and how dense.

    Attributes:
        shares: probabilities of `SCANS`.
        points: lowest and highest size of a joined scan, drawn log-uniformly; a lone eye gives 0.4 to 1 of it.
        surface: points of the surface that eyes look at.
        artifacts: of even samples.

    Raises:
        ConfigError: a value out of range.
    """

    shares: tuple[float, ...] = (0.3, 0.05, 0.3, 0.05, 0.3)
    points: tuple[int, int] = (14_000, 40_000)
    surface: int = within("[1000, ∞)", 60_000)
    artifacts: ScanArtifacts = field(default_factory=lambda: ScanArtifacts(one_sided=0.0))

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(len(self.shares), f"[{len(SCANS)}, {len(SCANS)}]", "len(ScannerConfig.shares)")
        check_range(self.points[1], f"[{self.points[0]}, ∞)", "ScannerConfig.points")


@dataclass(frozen=True)
class Scanner:
    """One scanner with its software, and how an object is put before it.

    Attributes:
        kind: one of `SCANS`.
        points: how many are delivered.
        eyes: (E, 3) where eyes stand; empty for even samples.
        up: (3,) unit vector away from the table.
        seed: of all errors.
        config: of the stream.
    """

    kind: str
    points: int
    eyes: Float[Tensor, "e 3"]
    up: Float[Tensor, "3"]
    seed: int
    config: ScannerConfig

    def scan(self, points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"], shot: int = 0) -> Scan:
        """Scan a surface, sampled densely and evenly.

        Args:
            points, normals: (N, 3) each; normals are unit vectors that point outwards.
            shot: which scan by this scanner: its ways stay, but for even samples', and all that is chance is another.
        """
        chance = self.seed if shot == 0 else seed_from(self.seed, shot)
        generator = torch.Generator().manual_seed(self.seed)
        if self.kind == "even":
            generator.manual_seed(chance)
            thinning = torch.Generator().manual_seed(chance)  # of its own: a twin may have another number of points
            some = torch.randperm(len(points), generator=thinning)[: self.points]
            seen, own, kept = add_scan_artifacts(points[some], normals[some], generator, self.config.artifacts)
            return Scan(seen, own, some[kept], seen + 10 * diagonal(points) * own)
        errors = Errors.draw(generator, points)
        if shot:
            generator.manual_seed(chance)
        surface = Surface(points, normals, point_spacing(points), errors.returns(points))
        parts = [
            read(surface, eye, errors, self._wanted(), generator, grid=self.kind == "single" and errors.organised)
            for eye in self.eyes
        ]
        scan = Scan(
            *(torch.cat([getattr(part, name) for part in parts]) for name in ("points", "normals", "source", "eyes"))
        )
        if self.kind in ("table", "few") or errors.on_table:
            scan = on_table(scan, points, self.up, errors, generator)
        return with_strays(joined(scan, self.points, errors, generator), errors, generator)

    def _wanted(self) -> int:
        """Readings of an eye; views overlap."""
        return self.points if self.kind == "single" else int(self.points * min(1.0, 3.5 / len(self.eyes)))


def draw_scanner(
    generator: Generator,
    config: ScannerConfig,
    points: Float[Tensor, "n 3"],
    normals: Float[Tensor, "n 3"],
    labels: Bool[Tensor, "n"] | None = None,
) -> Scanner:
    """Draw a scanner for a surface, and put the surface before it.

    Args:
        generator: on the CPU; decides everything that is random.
        config: which scans there are.
        points, normals: (N, 3) each, of the dense surface.
        labels: (N,) what should be seen, if anything of it can be; a lone eye is aimed at it.
    """
    kind = SCANS[int(torch.multinomial(torch.tensor(config.shares), 1, generator=generator))]
    wanted = int(log_uniform(generator, *config.points))
    seed = int(torch.randint(2**31, (1,), generator=generator))
    if kind == "even":
        return Scanner(kind, wanted, torch.zeros(0, 3), torch.tensor([0.0, 0.0, 1.0]), seed, config)
    if kind == "single":
        wanted = int(wanted * uniform(generator, 0.4, 1.0))
    some = torch.randperm(len(points), generator=generator)[: len(points) // 4]
    best, most = None, -1.0
    for _ in range(TRIES):
        up = side_up(points, generator)
        eyes = place_eyes(kind, points, normals, labels, up, generator)
        scanner = Scanner(kind, wanted, eyes, up, seed, config)
        seen = coverage(points[some], normals[some], eyes)
        enough = float(seen.float().mean()) * len(points) >= LEAST
        shown = (
            1.0
            if labels is None or not labels.any()
            else float(seen[labels[some]].float().sum() / labels[some].sum().clamp_min(1))
        )
        worth = enough + shown
        if worth > most:
            best, most = scanner, worth
        if enough and shown >= SHOWN:
            break
    assert best is not None
    return best
