"""`Detection`: the scores of one cloud, and what they amount to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..cloud import PointCloud
from ..errors import CloudError
from ..text import counted, file_name, named, rounded
from .calibration import Calibration
from .inspection import Inspection
from .palette import score_colors
from .regions import MIN_POINTS, THRESHOLD, Region, find_regions
from .section import Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Detection:
    """The scores of one cloud.

    Attributes:
        object_score: float in [0, 1]; higher is more anomalous.
        point_scores: (M,) float32 in [0, 1], one for each row of the caller's source, in the caller's order
            (M = `cloud.source_size`). Rows without a finite point, or left out as `notes` say, hold NaN.
        cloud: the cloud that was scored (N ≤ M points).
        layers: named (N,) maps of the parts that were joined, for instance `rendering` and `geometry`.
        seconds: time spent in each stage.
        calibration: what the decision rests on, or None if the detector was not calibrated.
        notes: what the scan does not show, in plain words, after what its reading told (`PointCloud.notes`); empty
            where there is nothing to say.
        measurable: False where the scan cannot be judged, and `notes` say why: there is no verdict then.
        inspection: what it amounts to against a nominal, or None where it was compared with none; `layers` then hold
            `deviation` and `lod`, in the scan's unit, NaN where nothing was measured.
        section: of an inspection, the cut through its worst place, or None.
    """

    object_score: float
    point_scores: Float[Tensor, "m"]
    cloud: PointCloud
    layers: Mapping[str, Tensor] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    calibration: Calibration | None = None
    notes: tuple[str, ...] = ()
    measurable: bool = True
    inspection: Inspection | None = None
    section: Section | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "notes", tuple(dict.fromkeys((*self.cloud.notes, *self.notes))))
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
    def peak_score(self) -> float:
        """The highest point score, in [0, 1]."""
        return float(self.valid_scores.max())

    @property
    def dropped(self) -> int:
        """Rows of the source without a score: they held no finite point, or were left out."""
        return self.cloud.dropped

    @property
    def p_value(self) -> float | None:
        """How likely a normal scan scores as high, in [1/(n + 1), 1].

        Small is anomalous. What it promises stands at `Calibration`. None where the detector was not calibrated, or the
        scan cannot be judged.
        """
        if self.calibration is None or not self.measurable:
            return None
        return self.calibration.p_value(self.object_score)

    @property
    def is_anomalous(self) -> bool | None:
        """Whether the object score is above the calibrated threshold; None as for `p_value`."""
        if self.calibration is None or not self.measurable:
            return None
        return self.calibration.is_anomalous(self.object_score)

    @property
    def verdict(self) -> Literal["normal", "anomalous", "not measurable"] | None:
        """The decision in words; of a scan that cannot be judged, `notes` say why. None where the detector was not
        calibrated, and the scan could be judged."""
        if not self.measurable:
            return "not measurable"
        if self.is_anomalous is None:
            return None
        return "anomalous" if self.is_anomalous else "normal"

    @property
    def point_threshold(self) -> float:
        """The point score that `regions` start from: the calibrated one, or 0.5 where there is none.

        The calibrated one rests on the normal scans that `is_anomalous` rests on, and makes the same promise: a normal
        scan has any point that high with that probability at most.
        """
        return THRESHOLD if self.calibration is None else self.calibration.point_threshold

    def regions(self, threshold: float | None = None, *, min_points: int = MIN_POINTS) -> tuple[Region, ...]:
        """The connected anomalous areas, the highest peak first, measured in the file's unit; see `Region`.

        Found anew on each call: in some hundredths of a second a small region, seconds for one of 200,000 points.
        `zero_shot.words.named_regions` gives each a word besides.

        Args:
            threshold: point score that belongs to a region, at least 0; None means `point_threshold`.
            min_points: smaller areas are left out; at least 1.

        Raises:
            ConfigError: an option out of range.
        """
        level = self.point_threshold if threshold is None else threshold
        if self.inspection is None:
            return find_regions(self.cloud, self.valid_scores, level, min_points=min_points)
        off, on_nominal = self.layers["deviation"].detach().cpu(), self.inspection.on_nominal
        return find_regions(
            self.cloud, self.valid_scores, level, min_points=min_points, deviation=off, on_nominal=on_nominal
        )

    def colored(self) -> PointCloud:
        """The cloud in the colours of its scores, from dark blue, normal, to yellow, anomalous; see `palette`."""
        return replace(self.cloud, colors=score_colors(self.valid_scores.detach().cpu()))

    def plot(self, *, size: int = 640, threshold: float | None = None) -> Figure:
        """A matplotlib figure of the side that shows best what is anomalous, in the colours of the point scores.

        Beside it stands a colour bar with the threshold, above it the object score and the verdict. The regions from
        that threshold on are numbered at their places, the first 20 of them; those that are hidden from this side in
        brackets. Made without pyplot: no display is needed, and no figure stays open. `figure.savefig(path)` writes it.

        Args:
            size: of the view in pixels, its longer side at most; in [64, 4096].
            threshold: point score that belongs to a region, at least 0; None means `point_threshold`.

        Raises:
            ConfigError: matplotlib is not installed (extra `plot`), or an option out of range.
        """
        from . import plot  # pictures wait until one is asked for

        plot.check(size)
        level = self.point_threshold if threshold is None else threshold
        told = ", ".join([f"object score {self.object_score:.4f}", *self._verdict()])
        title = (*([] if self.cloud.source is None else [file_name(self.cloud.source)]), told)
        return plot.figure(self.cloud, self.valid_scores, self.regions(level), level, title, size)

    def __repr__(self) -> str:
        """One line: object score, points, verdict and the file's name; no tensors."""
        parts = [
            f"{float(self.object_score):.2f}",
            *counted(len(self.cloud), self.dropped),
            *self._verdict(),
            *named(self.cloud.source),
        ]
        return f"Detection({', '.join(parts)})"

    def _repr_html_(self) -> str:
        """What Jupyter shows: a picture of the best view beside the numbers and the first regions."""
        from . import card

        facts = {"object score": f"{self.object_score:.4f}", "verdict": ", ".join(self._verdict())}
        facts |= {"note": "; ".join(self.notes)} if self.notes else {}
        return card.card(self.cloud, self.valid_scores, facts, self.seconds, self.regions(), self.point_threshold)

    def _verdict(self) -> list[str]:
        """The decision, as the part of a line; none where the detector was not calibrated."""
        if self.verdict is None:
            return []
        return [self.verdict if self.p_value is None else f"{self.verdict} p={rounded(self.p_value)}"]
