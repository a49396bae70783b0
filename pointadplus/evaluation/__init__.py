"""Ranking metrics, and the benchmark that scores a labelled data set."""

from __future__ import annotations

from .aupro import aupro, aupro_200_thresholds, cloud_regions, image_regions
from .benchmark import evaluate
from .curves import Curve, Curves
from .metrics import auroc, average_precision, f1_max
from .plots import write_curves
from .result import BenchmarkResult, CloudResult, Figures, MapFigures
from .streaming import PointAccumulator

__all__ = [
    "BenchmarkResult",
    "CloudResult",
    "Curve",
    "Curves",
    "Figures",
    "MapFigures",
    "PointAccumulator",
    "aupro",
    "aupro_200_thresholds",
    "auroc",
    "average_precision",
    "cloud_regions",
    "evaluate",
    "f1_max",
    "image_regions",
    "write_curves",
]
