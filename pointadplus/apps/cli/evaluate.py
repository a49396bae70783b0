"""The command `evaluate`: a method's figures on a labelled data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .output import check_outputs, printable, progress_bar, write_text
from .verbosity import note

if TYPE_CHECKING:
    from ...data import Dataset
    from ...evaluation import BenchmarkResult, Curves
    from ...results.detector import AnomalyDetector


@dataclass(frozen=True)
class EvaluateOptions:
    """What is measured and written: categories, or all of them; colours; JSON; a folder of curves."""

    categories: Sequence[str] | None = None
    rgb: bool = False
    out: Path | None = None
    plots: Path | None = None


def evaluate_on(load: Callable[[], AnomalyDetector], dataset: str, root: Path, options: EvaluateOptions) -> None:
    """Measure a detector and print the tables as markdown.

    Raises:
        ConfigError: an output cannot be written, or curves are wanted and matplotlib is not there.
        DatasetError: see `open_dataset` and `evaluate`.
    """
    from ...data import open_dataset
    from ...results.plot import need_matplotlib

    check_outputs(files=[options.out], folders=[options.plots])
    curves: dict[str, Curves] = {}
    if options.plots is not None:
        need_matplotlib()
    result = _measured(open_dataset(dataset, root), load(), options, curves)
    if options.plots is not None:
        from ...evaluation import write_curves

        for path in write_curves(result, options.plots, curves):
            note(f"curves: {printable(path)}")
    if options.out is not None:
        write_text(options.out, result.to_json() + "\n")
    typer.echo(result.to_markdown())


def _measured(
    data: Dataset, detector: AnomalyDetector, options: EvaluateOptions, curves: dict[str, Curves]
) -> BenchmarkResult:
    from ...evaluation import evaluate

    with progress_bar() as progress:
        task = progress.add_task("evaluating", total=None)
        return evaluate(
            detector,
            data,
            categories=options.categories,
            rgb=options.rgb,
            progress=lambda done, total, _: progress.update(task, completed=done, total=total),
            point_curves=None if options.plots is None else curves,
        )
