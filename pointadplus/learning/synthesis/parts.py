"""One part, scanned again and again: what few-shot methods learn from and are judged on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ...errors import ConfigError
from .chance import seed_from
from .corpus import LabelledObject, free_turn
from .defects import KINDS, apply_defect, draw_severity
from .scan import ScanArtifacts, add_scan_artifacts, diagonal
from .scanner import SCANS, ScannerConfig, draw_scanner
from .shapes import HELD_OUT, sample_shape

_DENSE = 3  # points of the part for each point of a scan, so that scans share few of them


@dataclass(frozen=True)
class PartConfig:
    """How a part is scanned.

    Attributes:
        family: of its shape.
        points: of a scan before artefacts.
        defects: scale of the defects, see `Severity`.
        artifacts: what the scanner does; unlike `CorpusConfig`, sides are not missing unless asked for.
    """

    family: str = HELD_OUT[0]
    points: int = 20_000
    defects: float = 1.0
    artifacts: ScanArtifacts = field(default_factory=lambda: ScanArtifacts(one_sided=0.0))


class Part:
    """A part made in code; `scan` gives any number of scans of it, healthy or damaged, each in a pose of its own.

    Args:
        seed: decides its shape.
        config: how it is scanned.
    """

    def __init__(self, seed: int, config: PartConfig | None = None) -> None:
        self.seed, self.config = seed, config or PartConfig()
        generator = torch.Generator().manual_seed(seed)
        count = _DENSE * self.config.points
        shape = sample_shape(generator, points=count, family=self.config.family)
        self.caption = shape.caption
        self._points = shape.points * (100.0 / diagonal(shape.points))
        self._normals = shape.normals

    def scan(self, number: int, kind: str = "good", *, scan: str = "even", one_sided: bool = False) -> LabelledObject:
        """A scan of the part.

        Args:
            number: which; with the part's seed and the kinds it decides everything.
            kind: of the defect, one of `KINDS`, or `good`.
            scan: what kind of scan, one of `SCANS`. All but even samples are taken by one scanner, its eyes in the same
                places, but for a lone eye, which looks from anywhere, at the defect if there is one.
            one_sided: of an even sample only the points that face a direction are there.

        Raises:
            ConfigError: no such kind or scan, or the defect finds no place on this part.
        """
        if kind not in (*KINDS, "good"):
            raise ConfigError("no such kind", where="Part.scan", expected=f"good, {', '.join(KINDS)}", found=kind)
        if scan not in SCANS:
            raise ConfigError("no such scan", where="Part.scan", expected=", ".join(SCANS), found=scan)
        if scan != "even":
            return self._scanned(number, kind, scan)
        generator = torch.Generator().manual_seed(seed_from(self.seed, number, kind))
        chosen = torch.randperm(len(self._points), generator=generator)[: self.config.points]
        points, normals = self._points[chosen], self._normals[chosen]
        labels = torch.zeros(len(points), dtype=torch.bool)
        if kind != "good":
            damaged = apply_defect(
                points, normals, kind, generator, severity=draw_severity(generator, self.config.defects)
            )
            points, normals, labels = damaged.points, damaged.normals, damaged.labels
        artifacts = replace(self.config.artifacts, one_sided=1.0) if one_sided else self.config.artifacts
        points, normals, kept = add_scan_artifacts(points, normals, generator, artifacts)
        turn = free_turn(generator)
        return self._labelled(points @ turn.T, normals @ turn.T, labels[kept], kind, "single" if one_sided else "even")

    def _scanned(self, number: int, kind: str, scan: str) -> LabelledObject:
        """A scan by eyes."""
        generator = torch.Generator().manual_seed(seed_from(self.seed, number, kind, scan))
        points, normals = self._points, self._normals
        labels = torch.zeros(len(points), dtype=torch.bool)
        if kind != "good":
            damaged = apply_defect(
                points, normals, kind, generator, severity=draw_severity(generator, self.config.defects)
            )
            points, normals, labels = damaged.points, damaged.normals, damaged.labels
        size = self.config.points
        config = ScannerConfig(tuple(float(name == scan) for name in SCANS), (size, size), len(points))
        if scan == "single":
            scanner = draw_scanner(generator, config, points, normals, labels)
        else:
            scanner = draw_scanner(
                torch.Generator().manual_seed(seed_from(self.seed, scan)), config, self._points, self._normals
            )
        scanner = replace(scanner, seed=seed_from(self.seed, "scanner"))
        found = scanner.scan(points, normals, seed_from(number, kind, scan))
        labels = (found.source >= 0) & labels[found.source.clamp_min(0)]
        turn = free_turn(generator)
        return self._labelled(found.points @ turn.T, found.normals @ turn.T, labels, kind, scan)

    def _labelled(self, points: Tensor, normals: Tensor, labels: Tensor, kind: str, scan: str) -> LabelledObject:
        kinds = torch.where(labels, KINDS.index(kind) if kind in KINDS else -1, -1)
        family, caption = self.config.family, self.caption
        return LabelledObject(points, labels, kinds, family, caption, kind, scan, normals)
