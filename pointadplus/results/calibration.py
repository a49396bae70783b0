"""A decision with a promise: split-conformal p-values and thresholds from the scores of normal scans."""

from __future__ import annotations

import hashlib
import json
import math
import os
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import torch
from scipy.special import betaincinv  # Beta's quantiles, without the third of a second that scipy.stats takes

from ..config import Config, from_table, within
from ..errors import ConfigError
from ..io.atomic import write_whole

FORMAT = "pointadplus.calibration"
SYNTHETIC = "assets/zero_shot.calibration.json"


@dataclass(frozen=True)
class Calibration(Config):
    """What normal scans score, and the decision that rests on it.

    The promise. Let n normal scans and one more be exchangeable (taken alike, from the same production, none of them
    among the scans that the detector was fitted on). Then p = (1 + #{calibration scores ≥ s}) / (n + 1) of the one
    more's score s holds P(p ≤ a) ≤ a for each a, whatever the scores' distribution, and with ties, too: a tie counts
    against the alarm. (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005; for outliers, Bates et
    al., Testing for Outliers with Conformal p-Values, 2023.) An alarm is p ≤ `promise` = k/(n + 1), with k the whole
    part of rate·(n + 1), so that normal scans are alarmed of with probability `promise` at most, and no more than the
    rate that was asked for. Where that leaves k = 0, because n < 1/rate − 1, no promise as small can be made: k is 1,
    an alarm is a score above all n, and `promise` is 1/(n + 1), *more* than was asked for.

    The probability is over the calibration scans and the one more together. After one calibration, the rate in the long
    run is what that calibration happened to draw: see `rate_bound`.

    Attributes:
        scores: object scores of the n ≥ 1 normal scans, in [0, 1]; kept ascending.
        peaks: the highest point score of each, in [0, 1]; kept ascending.
        false_alarm_rate: what was asked for, in (0, 1).
        detector: `AnomalyDetector.fingerprint` of the detector that gave the scores.

    Raises:
        ConfigError: no score, another number of peaks, or a value out of range.
    """

    scores: tuple[float, ...] = within("[0, 1]")
    peaks: tuple[float, ...] = within("[0, 1]")
    false_alarm_rate: float = within("(0, 1)", 0.01)
    detector: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.scores or len(self.peaks) != len(self.scores):
            raise ConfigError(
                "nothing to calibrate on",
                where="Calibration",
                expected="at least one normal scan, with a score and a peak each",
                found=f"{len(self.scores)} scores, {len(self.peaks)} peaks",
            )
        for name in ("scores", "peaks"):
            object.__setattr__(self, name, tuple(sorted(getattr(self, name))))

    @classmethod
    def of(cls, scored: Iterable[tuple[float, float]], false_alarm_rate: float, detector: str) -> Calibration:
        """From the object score and the highest point score of each normal scan."""
        pairs = list(scored)
        return cls(tuple(score for score, _ in pairs), tuple(peak for _, peak in pairs), false_alarm_rate, detector)

    @property
    def allowed(self) -> int:
        """k: the alarm's rank among n + 1 scores, at least 1."""
        # Of the decimal that was written: in binary, 0.29 · 100 falls short of 29.
        return max(1, math.floor(Fraction(repr(self.false_alarm_rate)) * (len(self.scores) + 1)))

    @property
    def promise(self) -> float:
        """k/(n + 1): an upper bound of the false-alarm rate; above `false_alarm_rate` where n < 1/rate − 1."""
        return self.allowed / (len(self.scores) + 1)

    @property
    def threshold(self) -> float:
        """The k-th highest of the object scores; an object is anomalous that scores more."""
        return self.scores[-self.allowed]

    @property
    def point_threshold(self) -> float:
        """What the points of a region score at least: more than the k-th highest peak, in float32.

        A normal scan has any such point with probability `promise` at most: the promise, made of peaks. Above 1 where
        that peak is 1.
        """
        peak = torch.tensor(self.peaks[-self.allowed], dtype=torch.float32)
        return float(torch.nextafter(peak, torch.tensor(2.0)))

    @property
    def digest(self) -> str:
        """16 hex digits of the SHA-256 of all of it."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:16]

    def p_value(self, score: float) -> float:
        """(1 + #{calibration scores ≥ score}) / (n + 1), in [1/(n + 1), 1]."""
        return (1 + len(self.scores) - bisect_left(self.scores, score)) / (len(self.scores) + 1)

    def is_anomalous(self, score: float) -> bool:
        """Whether an object's score is above `threshold`, which is to say that its p-value is `promise` at most."""
        return score > self.threshold

    def rate_bound(self, confidence: float = 0.95) -> float:
        """What the long-run false-alarm rate of this one calibration stays below, with this confidence in [0, 1].

        The rate is at most a draw from Beta(k, n + 1 − k), exactly one where scores never tie (Vovk, Conditional
        Validity of Inductive Conformal Predictors, 2012): its mean is `promise`.
        """
        return float(betaincinv(self.allowed, len(self.scores) + 1 - self.allowed, confidence))

    def describe(self) -> str:
        """What is promised, in words."""
        count = len(self.scores)
        scans = f"{count} normal {'scan' if count == 1 else 'scans'}"
        text = f"{scans}: anomalous above {self.threshold:.4f}, at most {self.promise:.2%} false alarms"
        if self.promise <= self.false_alarm_rate:
            return text
        needed = math.ceil(1 / Fraction(repr(self.false_alarm_rate))) - 1
        return f"{text}; {scans} cannot promise less, {self.false_alarm_rate:.2%} takes {needed}"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a small JSON file, whole or not at all. Keep it beside the weights, `weights.calibration.json` say.

        Raises:
            ConfigError: the file cannot be written.
        """
        write_whole(Path(path), json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Calibration:
        """Read what `save` wrote, or `"synthetic"`, the calibration that comes with the embedded zero-shot weights.

        Raises:
            ConfigError: the file cannot be read, or is no calibration.
        """
        if os.fspath(path) == "synthetic":
            path = Path(str(files("pointadplus"))) / SYNTHETIC
        try:
            table = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(
                "the calibration cannot be read", where=path, expected="what Calibration.save wrote", found=error
            ) from error
        if not isinstance(table, dict) or table.pop("format", None) != FORMAT:
            raise ConfigError("not a calibration", where=path, expected=f'"format": "{FORMAT}"', found="another file")
        return from_table(cls, table, str(path))
