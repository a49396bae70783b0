"""`Detection`, what scoring returns, and `AnomalyDetector`, the API that every method implements."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from .cloud import PointCloud
from .errors import CloudError, ConfigError

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, eq=False)
class Detection:
    """The scores of one cloud.

    Attributes:
        object_score: float in [0, 1]; higher is more anomalous.
        point_scores: (M,) float32 in [0, 1], one for each row of the caller's source, in the caller's order
            (M = `cloud.source_size`). Rows without a finite point hold NaN.
        cloud: the cloud that was scored (N ≤ M points).
        layers: named (N,) maps of the parts that were joined, for instance `rendering` and `geometry`.
        seconds: time spent in each stage.
    """

    object_score: float
    point_scores: Float[Tensor, "m"]
    cloud: PointCloud
    layers: Mapping[str, Tensor] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    _saliency: Callable[[], Tensor] | None = field(default=None, repr=False)  # (N,), of a detector that can say

    def __post_init__(self) -> None:
        valid = self.valid_scores
        if len(self.point_scores) != self.cloud.source_size or not (
            torch.isfinite(valid).all() and valid.ge(0).all() and valid.le(1).all()
        ):
            raise CloudError(
                "point scores do not fit the cloud",
                where="Detection.point_scores",
                expected=f"({self.cloud.source_size},) in [0, 1]",
                found=tuple(self.point_scores.shape),
            )
        if not 0.0 <= self.object_score <= 1.0:
            raise CloudError(
                "object score out of range", where="Detection.object_score", expected="[0, 1]", found=self.object_score
            )

    @property
    def valid_scores(self) -> Float[Tensor, "n"]:
        """(N,) scores of the finite points, in the order of `cloud.points`."""
        return self.point_scores if self.cloud.rows is None else self.point_scores[self.cloud.rows]

    @property
    def dropped(self) -> int:
        """Rows of the source that held no finite point and so have no score."""
        return self.cloud.dropped

    def saliency(self) -> Float[Tensor, "m"]:
        """Which points moved the object score, up or down: (M,) float32 in [0, 1], the largest 1.

        One value for each row of the caller's source; rows without a finite point hold NaN. How it is found stands at
        `explanation.saliency`. Computed anew on each call, in about twice the seconds that scoring took.

        Raises:
            ConfigError: the detection is not of a `ZeroShotDetector`, or was pickled or copied since.
        """
        if self._saliency is None:
            raise ConfigError(
                "this detection cannot say what moved its score",
                where="Detection.saliency",
                expected="what ZeroShotDetector.score returned, in the same process",
                found="a detection of another method, or one that was pickled or copied",
                hint="score the cloud with a ZeroShotDetector",
            )
        return self.cloud.to_rows(self._saliency())

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_saliency": None}  # a pickle holds the scores, not the detector


def as_cloud(source: Any) -> PointCloud:
    """A `PointCloud` from a path, an array or tensor, a `PointCloud`, or an Open3D or trimesh object.

    Meshes are sampled, with a fixed seed (see `io.from_object`).

    Raises:
        CloudError: nothing that can be read as points.
    """
    from . import io  # Open3D takes a second to import; a PointCloud or an array does not need it

    if isinstance(source, PointCloud):
        return source
    if isinstance(source, str | os.PathLike):
        return io.read_cloud(source)
    module = type(source).__module__.split(".")[0]
    if module in ("open3d", "trimesh"):
        return io.from_object(source)
    return PointCloud.create(source)


class AnomalyDetector(ABC):
    """One scan in, one `Detection` out; a score never depends on what else was scored."""

    @abstractmethod
    def score_cloud(self, cloud: PointCloud) -> Detection:
        """Score one cloud; methods implement this."""

    @abstractmethod
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the detector as safetensors with a JSON card."""

    @classmethod
    @abstractmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote."""

    def fit(self, normals: Iterable[Any]) -> Self:
        """Learn from normal scans; zero-shot methods need none and return themselves."""
        return self

    def score(self, source: Any) -> Detection:
        """Score a path, an (N, 3) array or tensor, a `PointCloud`, or an Open3D or trimesh object.

        Raises:
            CloudError: the source cannot be read as a cloud.
        """
        return self.score_cloud(as_cloud(source))

    def score_many(self, sources: Iterable[Any]) -> Iterator[Detection]:
        """Score one after another, lazily, in order."""
        for source in sources:
            yield self.score(source)
