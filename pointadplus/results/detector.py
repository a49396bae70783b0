"""`AnomalyDetector`: the API that every method implements."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..cloud import PointCloud
from ..errors import ConfigError
from .calibration import Calibration
from .detection import Detection
from .preparation import Preparation, score_prepared

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")

# Called with a stage of fitting, its steps done, all its steps, and the loss where the stage has one.
FitProgress = Callable[[str, int, int, float | None], None]


def tracked(items: Sequence[T], stage: str, progress: FitProgress | None) -> Iterator[T]:
    """The items one by one, each told of as a step of the stage when it is done."""
    for number, item in enumerate(items, 1):
        yield item
        if progress is not None:
            progress(stage, number, len(items), None)


def normal_clouds(normals: Iterable[Any], method: str, preparation: Preparation | None = None) -> list[PointCloud]:
    """What a few-shot method learns from, read, and prepared as its scans are.

    Raises:
        ConfigError: no scan given.
        CloudError: a scan cannot be read.
    """
    prepared = preparation or Preparation()
    clouds = [cloud for scan in normals for cloud in prepared.normals(scan)]
    if not clouds:
        raise ConfigError(
            "nothing to learn from", where=f"{method}.fit", expected="at least one normal scan", found="none"
        )
    return clouds


class AnomalyDetector(ABC):
    """One scan in, one `Detection` out; a score never depends on what else was scored.

    Attributes:
        calibration: what `calibrate` or `use_calibration` set, or None; it belongs to the detector as it was then.
        preparation: what `prepare_scans` set; it is no part of what `save` writes, nor of the `fingerprint`.
    """

    calibration: Calibration | None = None
    preparation: Preparation = Preparation()

    @property
    def inspects(self) -> bool:
        """Whether scans are compared with a nominal, so that detections have an `inspection`."""
        return False

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
            progress: told of each step, see `FitProgress`.
        """
        return self

    def score(self, source: Any) -> Detection:
        """Score a path, an (N, 3) array or tensor, a `PointCloud`, or an Open3D or trimesh object.

        Raises:
            CloudError: the source cannot be read as a cloud.
        """
        return self.judged(score_prepared(self.preparation.read(source), self.preparation, self.score_cloud))

    def prepare_scans(
        self, *, at: str = "surface", ground: str = "keep", parts: str = "whole", unit: str | None = None
    ) -> Self:
        """Say what is done to each scan from now on, in `fit`, `calibrate` and `score` alike, before it is looked at.

        Args:
            at: `"vertices"` gives the vertices of a mesh the scores of its surface, in the file's order.
            ground: `"remove"` leaves out the plane under the part.
            parts: `"split"` scores each body of a scan alone; the highest score is the object's.
            unit: of length that scans are in, such as `"mm"`, where the files do not say or say it wrongly. A few-shot
                method brings a scan to the unit of the part that it learnt, if it knows both.

        Returns:
            the detector itself: `detector.prepare_scans(ground="remove").score("scan.ply")`.

        Raises:
            ConfigError: an unknown value, or `"split"` with a nominal, which is of one part.
        """
        prepared = Preparation(at, ground, parts, unit)
        if self.inspects:
            prepared.check_nominal()
        self.preparation = prepared
        return self

    def score_many(self, sources: Iterable[Any]) -> Iterator[Detection]:
        """Score one after another, lazily, in order."""
        for source in sources:
            yield self.score(source)

    def calibrate(self, normals: Iterable[Any], false_alarm_rate: float = 0.01) -> Self:
        """Decide from normal scans when a score is an alarm: `is_anomalous` and `p_value` of the detections to come.

        Split-conformal; what is promised, and how little with few scans, stands at `Calibration`. One scan will do, 99
        are needed for a rate of 0.01. Scans that the detector was fitted on score too low to promise anything, and a
        detector that is fitted again has to be calibrated again. Scans that cannot be judged (`Detection.measurable`)
        would have no verdict, and count for nothing here; a warning tells how many there were.

        Args:
            normals: normal scans that the detector was not fitted on; anything that `score` takes.
            false_alarm_rate: in (0, 1). With too few scans for it a warning says so, and what can be promised.

        Returns:
            the detector itself; `detector.calibration.save` keeps the calibration, `use_calibration` takes it up again.

        Raises:
            ConfigError: no scan that can be judged, or a rate out of range.
            CloudError: a scan cannot be read.
        """
        scored = [(scan.measurable, scan.object_score, scan.peak_score) for scan in self.score_many(normals)]
        judged = [(total, peak) for measurable, total, peak in scored if measurable]
        if lost := len(scored) - len(judged):
            warnings.warn(f"{lost} of {len(scored)} scans cannot be judged, left out", stacklevel=2)
        found = Calibration.of(judged, false_alarm_rate, self.fingerprint())
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
