"""The detector that `--weights` or `--model` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ConfigError

if TYPE_CHECKING:
    from ...results.detector import AnomalyDetector


def detector_of(weights: str, resolution: str | None = None) -> AnomalyDetector:
    """The detector of weights or of a model.

    Raises:
        ConfigError: no such file, or a resolution for a detector that has none.
        WeightsError: the file cannot be loaded.
    """
    from ...results.methods import load_detector
    from ...zero_shot.detector import ZeroShotDetector

    detector = None if weights == "embedded" else load_detector(weights)
    if detector is None or (resolution and isinstance(detector, ZeroShotDetector)):
        return ZeroShotDetector(weights, resolution=resolution)
    if resolution:
        found = type(detector).__name__
        raise ConfigError("not a zero-shot detector", where="--resolution", expected="zero-shot weights", found=found)
    return detector
