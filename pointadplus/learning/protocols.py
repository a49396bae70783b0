"""Learn on some classes, score others: the protocols of the papers, in which no class is on both sides."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path

from ..data import Sample, open_dataset
from ..errors import ConfigError
from ..evaluation import BenchmarkResult, Figures, evaluate
from ..evaluation.result import COLUMNS, JOINED, mean_figures
from ..zero_shot.detector import ZeroShotDetector
from .training.config import TrainConfig
from .training.run import train

Report = Callable[[str, int, int], None]  # stage, done, total


@dataclass(frozen=True)
class Source:
    """Classes of a data set; no categories means all."""

    dataset: str
    categories: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Source:
        """From `mvtec-3d-ad:cookie,dowel` or `real3d-ad`.

        Raises:
            ConfigError: no name before the colon, or an empty class after it.
        """
        name, colon, rest = text.strip().partition(":")
        categories = tuple(part.strip() for part in rest.split(",")) if colon else ()
        if not name or not all(categories):
            expected = "DATASET or DATASET:CLASS,CLASS"
            raise ConfigError("not classes of a data set", where="source", expected=expected, found=repr(text))
        return cls(name.lower().replace("_", "-"), categories)

    def __str__(self) -> str:
        return self.dataset + (":" + ",".join(self.categories) if self.categories else "")


@dataclass(frozen=True)
class ProtocolRow:
    """What one model does.

    Attributes:
        trained_on: the classes that it learnt on.
        seed: of the training.
        tested_on: the classes that it was scored on.
        excluded: classes that were asked for and left out, because it learnt on them.
        layers: mean figures over the classes, of each layer.
    """

    trained_on: str
    seed: int
    tested_on: str
    excluded: tuple[str, ...]
    layers: Mapping[str, Figures]


@dataclass(frozen=True)
class ProtocolResult:
    """All models of a protocol."""

    rows: tuple[ProtocolRow, ...]

    def mean(self, layer: str = JOINED) -> tuple[Figures, Figures]:
        """Figures averaged over the auxiliary classes, as the paper does: mean over the seeds, and its spread.

        The spread is the sample standard deviation over the seeds, None for a single one.
        """
        seeds = dict.fromkeys(row.seed for row in self.rows)
        means = [mean_figures(row.layers[layer] for row in self.rows if row.seed == seed) for seed in seeds]
        spreads = []
        for column in zip(*map(astuple, means), strict=True):
            values = [value for value in column if value is not None]
            spreads.append(statistics.stdev(values) if len(values) > 1 else None)
        return mean_figures(means), Figures(*spreads)

    def to_json(self) -> str:
        """Everything, as JSON text."""
        return json.dumps(asdict(self), indent=1)

    def to_markdown(self) -> str:
        """A row a model and layer, and the mean over auxiliary classes and seeds, in percent."""
        head = ("trained on", "seed", "tested on", "left out", "map", *COLUMNS)
        lines = [head, tuple("---:" if name in COLUMNS else "---" for name in head)]
        for row in self.rows:
            for layer, figures in row.layers.items():
                known = (row.trained_on, str(row.seed), row.tested_on, ", ".join(row.excluded) or "–", layer)
                lines.append((*known, *map(_percent, figures.values())))
        for layer in self.rows[0].layers:
            mean, spread = self.mean(layer)
            cells = [
                _percent(value) + ("" if sd is None else f" ± {_percent(sd)}")
                for value, sd in zip(mean.values(), spread.values(), strict=True)
            ]
            lines.append(("**mean**", "all", "", "", layer, *cells))
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def run_protocol(
    config: TrainConfig,
    train_on: Sequence[Source],
    test_on: Sequence[Source],
    roots: Mapping[str, str | Path],
    folder: Path,
    *,
    seeds: Sequence[int] = (0,),
    rgb: bool = False,
    report: Report | None = None,
) -> ProtocolResult:
    """Train one model for each source and seed, and score it on all that is asked for but what it learnt on.

    A class is the same on both sides if data set and class have the same name, wherever the files lie. One-vs-rest is
    `train_on` one class of a data set and `test_on` all of it. Models and figures are kept in `folder` and not made
    again; lessons are shared between the seeds.

    Args:
        config: of the training; `data` and `seed` are replaced.
        train_on: one model for each.
        test_on: each model is scored on all of them; a figure is the mean over their classes.
        roots: folder of each data set, by its name.
        folder: for the runs.
        seeds: of the trainings.
        rgb: whether colours are read at test time, see `evaluate`; nothing is trained on them.
        report: called as report(stage, done, total).

    Raises:
        ConfigError: a data set without a root, or nothing left to score.
        DatasetError: no such data set or class.
    """
    rows = []
    for seed in seeds:
        for source in train_on:
            data = replace(config.data, dataset=source.dataset, root=str(_root(roots, source)))
            learnt = replace(config, seed=seed, data=replace(data, categories=source.categories))
            tests, excluded = keep_apart(source, test_on, roots)
            run = folder / str(source).replace(":", "-").replace(",", "+") / f"seed{seed}"
            weights = train(learnt, run, cache=folder / "lessons", report=report)
            detector = ZeroShotDetector(weights, precision=config.precision)
            figures: dict[str, list[Figures]] = {}
            for test in tests:
                result = _evaluated(detector, test, roots, run, rgb, report)
                for layer, table in result.maps.items():
                    figures.setdefault(layer, []).extend(table.categories.values())
            layers = {layer: mean_figures(values) for layer, values in figures.items()}
            rows.append(ProtocolRow(str(source), seed, ", ".join(map(str, tests)), excluded, layers))
    return ProtocolResult(tuple(rows))


def keep_apart(
    learnt: Source, asked: Sequence[Source], roots: Mapping[str, str | Path]
) -> tuple[list[Source], tuple[str, ...]]:
    """What may be scored, class by class, and what was left out because a model learnt on it.

    Raises:
        ConfigError: a data set without a root, or nothing is left.
        DatasetError: no such data set.
    """
    known = learnt.categories or open_dataset(learnt.dataset, _root(roots, learnt)).categories()
    left, excluded = [], []
    for source in asked:
        names = source.categories or open_dataset(source.dataset, _root(roots, source)).categories()
        shared = [name for name in names if source.dataset == learnt.dataset and name in known]
        excluded += [f"{source.dataset}:{name}" for name in shared]
        rest = tuple(name for name in names if name not in shared)
        if rest:
            left.append(Source(source.dataset, rest))
    if not left:
        raise ConfigError(
            "nothing is left to score",
            where="test_on",
            expected=f"a class that {learnt} does not hold",
            found=", ".join(map(str, asked)),
        )
    return left, tuple(excluded)


def _evaluated(
    detector: ZeroShotDetector,
    test: Source,
    roots: Mapping[str, str | Path],
    run: Path,
    rgb: bool,
    report: Report | None,
) -> BenchmarkResult:
    def tell(done: int, total: int, _: Sample) -> None:
        if report is not None:
            report("scoring", done, total)

    dataset = open_dataset(test.dataset, _root(roots, test))
    result = evaluate(detector, dataset, categories=test.categories, rgb=rgb, progress=tell)
    (run / f"{test.dataset}{'-rgb' if rgb else ''}.json").write_text(result.to_json() + "\n")
    return result


def _root(roots: Mapping[str, str | Path], source: Source) -> str | Path:
    if source.dataset not in roots:
        raise ConfigError(
            "the data set has no root", where="roots", expected=f"the folder of {source.dataset}", found=sorted(roots)
        )
    return roots[source.dataset]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
