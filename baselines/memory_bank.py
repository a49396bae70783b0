"""A memory bank of point feature histograms: the plain few-shot method that others have to beat."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pointadplus.cloud import PointCloud
from pointadplus.config import Config, within
from pointadplus.errors import ConfigError, WeightsError
from pointadplus.geometry.descriptors import outward_normals, point_histograms
from pointadplus.geometry.neighbors import interpolate, knn, smooth
from pointadplus.geometry.sampling import canonical_order
from pointadplus.io.tensors import read_safetensors, write_tensors
from pointadplus.results.detection import Detection
from pointadplus.results.detector import AnomalyDetector, FitProgress, normal_clouds, tracked
from pointadplus.zero_shot.fusion import top_mean

from .gate import judge

if TYPE_CHECKING:
    from typing_extensions import Self

_FORMAT = "pointadplus.fpfh_memory_bank"


@dataclass(frozen=True)
class MemoryBankConfig(Config):
    """How scans are read and remembered.

    Attributes:
        nodes: points of a scan that features are computed at.
        support: points that give them their surroundings.
        bank: features kept of all normal scans together.
        sigma: smoothing of the map over the point graph, in mean neighbour distances.
        top: share of the points whose mean is the object score.
        scale: feature distance that scores 0.5; scores are d / (d + scale).
        seed: of the sub-sampling.
    """

    nodes: int = within("[1, ∞)", 8192)
    support: int = within("[1, ∞)", 20_000)
    bank: int = within("[1, ∞)", 20_000)
    sigma: float = within("[0, ∞)", 1.0)
    top: float = within("(0, 1]", 0.01)
    scale: float = within("(0, ∞)", 0.5)
    seed: int = 0


class FPFHMemoryBank(AnomalyDetector):
    """Distance of each point's FPFH to the nearest feature of a few normal scans of the same part.

    The histograms are those of the geometry layer (`geometry.histograms`), at two scales.

    Example:
        >>> FPFHMemoryBank().fit(["good1.ply", "good2.ply"]).score("scan.ply")  # doctest: +SKIP
    """

    few_shot = True
    Config = MemoryBankConfig

    def __init__(self, config: MemoryBankConfig | None = None) -> None:
        self.config = config or MemoryBankConfig()
        self.bank: Tensor | None = None

    def fit(self, normals: Iterable[Any], progress: FitProgress | None = None) -> Self:
        """Remember normal scans (anything that `score` takes).

        Raises:
            ConfigError: no scan given.
        """
        clouds = normal_clouds(normals, "FPFHMemoryBank", self.preparation)
        features = [self._features(cloud)[1] for cloud in tracked(clouds, "describing", progress)]
        joined = torch.cat(features)
        kept = torch.randperm(len(joined), generator=torch.Generator().manual_seed(self.config.seed))[
            : self.config.bank
        ]
        self.bank = joined[kept]
        return self

    def score_cloud(self, cloud: PointCloud) -> Detection:
        """Score one cloud.

        Raises:
            ConfigError: not fitted yet.
        """
        if self.bank is None:
            raise ConfigError(
                "the memory bank is empty", where="FPFHMemoryBank.score", hint="call fit with normal scans first"
            )
        nodes, features = self._features(cloud)
        distance = torch.cat([torch.cdist(rows, self.bank).amin(1) for rows in features.split(1024)])
        near, index = knn(nodes, nodes, 13)
        scores = smooth(distance, index, near, self.config.sigma)
        scores = scores / (scores + self.config.scale)
        points = cloud.normalization().apply(cloud.points)
        spread = interpolate(scores[:, None], nodes, points)[:, 0].clamp(0, 1)
        notes, measurable = judge(cloud)
        total = float(top_mean(scores, self.config.top))
        return Detection(total, cloud.to_rows(spread), cloud, notes=notes, measurable=measurable)

    def _features(self, cloud: PointCloud) -> tuple[Tensor, Tensor]:
        order = canonical_order(cloud.points, self.config.seed)
        support = cloud.normalization().apply(cloud.points[order[: self.config.support]])
        nodes = support[: self.config.nodes]
        normals = outward_normals(support, len(nodes))
        return nodes, torch.cat(point_histograms(nodes, normals), 1)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bank as safetensors, its config in the metadata.

        Raises:
            ConfigError: not fitted yet.
        """
        if self.bank is None:
            raise ConfigError(
                "the memory bank is empty", where="FPFHMemoryBank.save", hint="call fit with normal scans first"
            )
        write_tensors(Path(path), {"bank": self.bank}, {_FORMAT: json.dumps(asdict(self.config))})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises:
            WeightsError: not such a file.
        """
        state, metadata = read_safetensors(Path(path))
        if _FORMAT not in metadata or "bank" not in state:
            raise WeightsError(
                "not a memory bank", where=path, expected=f"metadata {_FORMAT!r}", found=sorted(metadata)
            )
        bank = cls(MemoryBankConfig(**json.loads(metadata[_FORMAT])))
        bank.bank = state["bank"]
        return bank
