"""Ranking metrics, and the benchmark that scores a labelled data set."""

from __future__ import annotations

from .benchmark import evaluate
from .metrics import auroc, average_precision, f1_max
from .result import BenchmarkResult, CloudResult, Figures, MapFigures

__all__ = [
    "BenchmarkResult",
    "CloudResult",
    "Figures",
    "MapFigures",
    "auroc",
    "average_precision",
    "evaluate",
    "f1_max",
]
