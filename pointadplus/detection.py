"""`Detection`, what scoring returns, and `AnomalyDetector`, the API that every method implements."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from .cloud import PointCloud
from .errors import CloudError, ConfigError

if TYPE_CHECKING:
    from typing_extensions import Self

    from .calibration import Calibration
    from .regions import Region

# Called after each step of training with the steps done, all steps, the loss, and the seconds that are left.
FitProgress = Callable[[int, int, float, float], None]
# For each of some sets of the cloud's points, the nearest of some words and its share.
Naming = Callable[[Sequence[Tensor], Sequence[str]], Sequence[tuple[str, float]]]


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
        calibration: what the decision rests on, or None if the detector was not calibrated.
    """

    object_score: float
    point_scores: Float[Tensor, "m"]
    cloud: PointCloud
    layers: Mapping[str, Tensor] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    _saliency: Callable[[], Tensor] | None = field(default=None, repr=False)  # (N,), of a detector that can say
    calibration: Calibration | None = field(default=None, repr=False)
    _naming: Naming | None = field(default=None, repr=False)  # of a detector that can read words

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

    @property
    def p_value(self) -> float | None:
        """How likely a normal scan scores as high, in [1/(n + 1), 1]; None where the detector was not calibrated.

        Small is anomalous. What it promises stands at `Calibration`.
        """
        return None if self.calibration is None else self.calibration.p_value(self.object_score)

    @property
    def is_anomalous(self) -> bool | None:
        """Whether the object score is above the calibrated threshold; None where the detector was not calibrated."""
        return None if self.calibration is None else self.calibration.is_anomalous(self.object_score)

    @property
    def point_threshold(self) -> float:
        """The point score that `regions` start from: the calibrated one, or 0.5 where there is none.

        The calibrated one rests on the normal scans that `is_anomalous` rests on, and makes the same promise: a normal
        scan has any point that high with that probability at most.
        """
        from .regions import THRESHOLD

        return THRESHOLD if self.calibration is None else self.calibration.point_threshold

    def regions(
        self, threshold: float | None = None, *, words: Sequence[str] | None = None, min_points: int = 5
    ) -> tuple[Region, ...]:
        """The connected anomalous areas, the highest peak first, measured in the file's unit; see `Region`.

        Found anew on each call: in some hundredths of a second a small region, seconds for one of 200,000 points.

        Args:
            threshold: point score that belongs to a region, at least 0; None means `point_threshold`.
            words: for instance `("dented", "scratched")`: each region gets the nearest; see `naming.name_parts`.
                Costs the time of describing the cloud once more.
            min_points: smaller areas are left out; at least 1.

        Raises:
            ConfigError: an option out of range; or words where the detection is not of a detector that reads words, or
                was pickled or copied since, or where its text tower does not know them.
        """
        from .regions import find_regions, region_numbers

        level = self.point_threshold if threshold is None else threshold
        found = find_regions(self.cloud, self.valid_scores, level, min_points=min_points)
        if words is None:
            return found
        if self._naming is None or not words:
            raise ConfigError(
                "no word can be found for a region",
                where="Detection.regions",
                expected="words, and what ZeroShotDetector.score returned, in the same process",
                found="no words" if not words else "a detection of another method, or one that was pickled or copied",
                hint="leave words out, or call pointadplus.naming.named_regions",
            )
        numbers = region_numbers(found, self.cloud)
        parts = [(numbers == region.number).nonzero()[:, 0] for region in found]
        named = zip(found, self._naming(parts, words) if found else (), strict=True)
        return tuple(replace(region, word=word, word_share=share) for region, (word, share) in named)

    @property
    def reads_words(self) -> bool:
        """Whether `regions` takes words; `naming.named_regions` finds them for any detection."""
        return self._naming is not None

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
        return {**self.__dict__, "_saliency": None, "_naming": None}  # a pickle holds the scores, not the detector


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
    """One scan in, one `Detection` out; a score never depends on what else was scored.

    Attributes:
        calibration: what `calibrate` or `use_calibration` set, or None; it belongs to the detector as it was then.
    """

    calibration: Calibration | None = None

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

    def fit(self, normals: Iterable[Any], progress: FitProgress | None = None) -> Self:
        """Learn from normal scans; zero-shot methods need none and return themselves.

        Args:
            normals: normal scans of one part; anything that `score` takes.
            progress: told of each step, by methods that train.
        """
        return self

    def score(self, source: Any) -> Detection:
        """Score a path, an (N, 3) array or tensor, a `PointCloud`, or an Open3D or trimesh object.

        Raises:
            CloudError: the source cannot be read as a cloud.
        """
        return self.judged(self.score_cloud(as_cloud(source)))

    def score_many(self, sources: Iterable[Any]) -> Iterator[Detection]:
        """Score one after another, lazily, in order."""
        for source in sources:
            yield self.score(source)

    def calibrate(self, normals: Iterable[Any], false_alarm_rate: float = 0.01) -> Self:
        """Decide from normal scans when a score is an alarm: `is_anomalous` and `p_value` of the detections to come.

        Split-conformal; what is promised, and how little with few scans, stands at `Calibration`. One scan will do, 99
        are needed for a rate of 0.01. Scans that the detector was fitted on score too low to promise anything, and a
        detector that is fitted again has to be calibrated again.

        Args:
            normals: normal scans that the detector was not fitted on; anything that `score` takes.
            false_alarm_rate: in (0, 1). With too few scans for it a warning says so, and what can be promised.

        Returns:
            the detector itself; `detector.calibration.save` keeps the calibration, `use_calibration` takes it up again.

        Raises:
            ConfigError: no scan, or a rate out of range.
            CloudError: a scan cannot be read.
        """
        from .calibration import Calibration

        found = Calibration.of(self.score_many(normals), false_alarm_rate, self.fingerprint())
        if found.promise > false_alarm_rate:
            warnings.warn(found.describe(), stacklevel=2)
        self.calibration = found
        return self

    def use_calibration(self, calibration: Calibration | str | os.PathLike[str]) -> Self:
        """Take up a calibration that this very detector was given before, from memory or from a file.

        Args:
            calibration: or `"synthetic"`, which comes with the embedded zero-shot weights: their scores of healthy
                objects made in code, for want of normal scans. Real scans are no draws from those, so that its rate is
                no promise; docs/embedded-weights.md has what it was on real ones.

        Raises:
            ConfigError: it cannot be read, or was made with another detector.
        """
        from .calibration import Calibration

        found = calibration if isinstance(calibration, Calibration) else Calibration.load(calibration)
        own = self.fingerprint()
        if found.detector != own:
            raise ConfigError(
                "the calibration was made with another detector",
                where="calibration" if found is calibration else calibration,
                expected=own,
                found=found.detector,
                hint="calibrate again with this detector's weights",
            )
        self.calibration = found
        return self

    def judged(self, detection: Detection) -> Detection:
        """The detection with this detector's calibration, if it has one."""
        return detection if self.calibration is None else replace(detection, calibration=self.calibration)

    def fingerprint(self) -> str:
        """The method's name and 16 hex digits of the SHA-256 of what `save` writes; equal for equal detectors."""
        sha = hashlib.sha256()
        with tempfile.TemporaryDirectory() as folder:
            self.save(Path(folder) / "detector.safetensors")
            for file in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
                sha.update(file.relative_to(folder).as_posix().encode())
                sha.update(file.read_bytes())
        return f"{type(self).__name__} {sha.hexdigest()[:16]}"
