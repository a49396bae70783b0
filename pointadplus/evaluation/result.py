"""`BenchmarkResult`: the figures of a scored data set, as tables and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass, field

from ..errors import ConfigError

COLUMNS = (
    "O-AUROC",
    "O-AP",
    "O-F1",
    "P-AUROC",
    "P-AP",
    "AUPRO",
)  # of the tables, in the order of the fields of Figures
JOINED = "joined"  # the detection itself, beside the layers that were joined into it


@dataclass(frozen=True)
class Figures:
    """Figures in [0, 1]; None where a class is missing, so that the figure is undefined.

    Attributes:
        object_auroc, object_ap, object_f1: of the object scores; the last at the best threshold.
        point_auroc, point_ap: of the point scores.
        aupro: of the point scores up to a false positive rate of 0.3. Regions are 8-connected pixels of an
            organised scan, and otherwise connected parts of the point graph.

    The point figures are exact but where the notes of the result say otherwise.
    """

    object_auroc: float | None = None
    object_ap: float | None = None
    object_f1: float | None = None
    point_auroc: float | None = None
    point_ap: float | None = None
    aupro: float | None = None

    def values(self) -> tuple[float | None, ...]:
        """The figures in the order of `COLUMNS`."""
        return astuple(self)


@dataclass(frozen=True)
class MapFigures:
    """The figures of one score map: the joined one or one layer.

    Attributes:
        categories: object AUROC over a category's test clouds; point figures over all their points pooled.
        kinds: a kind of defect's clouds against the normal clouds of their category, and their anomalous points against
            their own other points; the mean over the categories that have the kind.
        pooled_object_auroc: over all clouds of all categories at once, which asks scores to compare between objects.
    """

    categories: Mapping[str, Figures]
    kinds: Mapping[str, Figures]
    pooled_object_auroc: float | None

    @property
    def mean(self) -> Figures:
        """Unweighted mean over the categories in which a figure is defined."""
        return mean_figures(self.categories.values())


@dataclass(frozen=True)
class CloudResult:
    """One test cloud: `scores` holds the object score of each map; `seconds` is the time of `score`."""

    stem: str
    category: str
    kind: str
    label: int
    scores: Mapping[str, float]
    seconds: float

    @property
    def object_score(self) -> float:
        """The detection's object score."""
        return self.scores[JOINED]


@dataclass(frozen=True)
class BenchmarkResult:
    """What `evaluate` returns.

    Attributes:
        detector, dataset: their names.
        maps: figures of "joined" and of each layer.
        clouds: every test cloud, in the order of scoring.
        notes: how the figures came about (command, seed, machine), printed below the tables.
    """

    detector: str
    dataset: str
    maps: Mapping[str, MapFigures]
    clouds: tuple[CloudResult, ...]
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def joined(self) -> MapFigures:
        """The figures of the detection itself."""
        return self.maps[JOINED]

    @property
    def seconds_per_cloud(self) -> float:
        """Mean time of `score`, reading the file not counted."""
        return sum(cloud.seconds for cloud in self.clouds) / len(self.clouds)

    def to_json(self) -> str:
        """Everything, as JSON text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> BenchmarkResult:
        """The result that `to_json` wrote.

        Raises:
            ConfigError: the text is something else.
        """
        try:
            raw = json.loads(text)
            maps = {
                name: MapFigures(_figures(entry["categories"]), _figures(entry["kinds"]), entry["pooled_object_auroc"])
                for name, entry in raw["maps"].items()
            }
            clouds = tuple(CloudResult(**cloud) for cloud in raw["clouds"])
            return cls(raw["detector"], raw["dataset"], maps, clouds, raw["notes"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                "not a benchmark result",
                where="text",
                expected="JSON of BenchmarkResult.to_json",
                found=f"{type(error).__name__}: {error}",
            ) from error

    def to_markdown(self) -> str:
        """Tables by map, category and kind of defect, in percent, then the notes."""
        overall = [(name, figures.mean, (figures.pooled_object_auroc,)) for name, figures in self.maps.items()]
        categories = [(name, figures, ()) for name, figures in self.joined.categories.items()]
        kinds = [(name, figures, ()) for name, figures in self.joined.kinds.items()]
        notes = {"clouds": f"{len(self.clouds)}, {self.seconds_per_cloud:.2f} s each", **self.notes}
        return (
            "\n\n".join(
                [
                    _table("map", overall, ("O pooled",)),
                    _table("category", categories),
                    _table("kind", kinds),
                    "\n".join(f"- {key}: {value}" for key, value in notes.items()),
                ]
            )
            + "\n"
        )


def mean_figures(rows: Iterable[Figures]) -> Figures:
    """Mean of each figure over the rows that define it; None where none does."""
    columns = zip(*(row.values() for row in rows), strict=True)
    defined = ([value for value in column if value is not None] for column in columns)
    return Figures(*(sum(values) / len(values) if values else None for values in defined))


def _figures(raw: Mapping[str, Mapping[str, float | None]]) -> dict[str, Figures]:
    return {name: Figures(**row) for name, row in raw.items()}


def _table(
    title: str, rows: Iterable[tuple[str, Figures, tuple[float | None, ...]]], extra: tuple[str, ...] = ()
) -> str:
    """A markdown table of figures in percent; a dash where one is undefined."""
    head = (title, *COLUMNS, *extra)
    lines = [head, ("---", *("---:" for _ in head[1:]))]
    for name, row, more in rows:
        values = (*row.values(), *more)
        lines.append((name, *("–" if value is None else f"{100 * value:.1f}" for value in values)))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
