"""The synthetic benchmark: clouds that `pointadplus datasets make` wrote, with their recipe beside them.

The clouds lie in Anomaly-ShapeNet's layout; `synthetic.json` says from which seed, families and counts they come, so
that anyone can make the same ones again.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import DatasetError
from . import anomaly_shapenet
from .dataset import Sample

RECIPE = "synthetic.json"
LAYOUT = "anomaly-shapenet"  # the one that opens as `synthetic`; the others are opened by their own names


@dataclass(frozen=True)
class Recipe:
    """What decides a synthetic data set, byte for byte.

    Attributes:
        version: of the package that wrote it.
        layout: of the files, one of the names that `open_dataset` knows.
        seed: that all objects come from.
        families: shape families; each is a category.
        train, normal, damaged: objects of each family.
        points: lowest and highest size of a cloud before scan artefacts.
        image_size: side of organised scans, in pixels.
        kinds: of defects.
        painted: whether objects have colours.
    """

    version: str
    layout: str
    seed: int
    families: tuple[str, ...]
    train: int
    normal: int
    damaged: int
    points: tuple[int, int]
    image_size: int
    kinds: tuple[str, ...]
    painted: bool = False

    def to_json(self) -> str:
        """A text of one key a line."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def read(cls, root: Path) -> Recipe:
        """The recipe of a folder.

        Raises:
            DatasetError: there is none, or it is not one.
        """
        path = root / RECIPE
        if not path.is_file():
            raise DatasetError(
                "not a synthetic data set",
                where=root,
                expected=RECIPE,
                found=", ".join(sorted(path.name for path in root.iterdir())[:8]) or "an empty folder",
                hint=f"make one: pointadplus datasets make {root} --seed 0 --layout synthetic",
            )
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{name: _field(name, value) for name, value in values.items()})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            names = ", ".join(field.name for field in fields(cls))
            raise DatasetError("the recipe cannot be read", where=path, expected=names, found=error) from error


def read_samples(root: Path) -> tuple[Sample, ...]:
    """List the samples of every family that the recipe names, as `anomaly_shapenet.read_samples` does.

    Raises:
        DatasetError: no recipe, a malformed one, one of another layout, or not the clouds that it names.
    """
    recipe = Recipe.read(root)
    if recipe.layout != LAYOUT:
        raise DatasetError(
            "a synthetic data set in another layout",
            where=root / RECIPE,
            expected=LAYOUT,
            found=recipe.layout,
            hint=f"open it as {recipe.layout!r}",
        )
    samples = anomaly_shapenet.read_samples(root)
    found = Counter((sample.category, sample.split, sample.label) for sample in samples)
    each = (("train", 0, recipe.train), ("test", 0, recipe.normal), ("test", 1, recipe.damaged))
    named = {(family, split, label): count for family in recipe.families for split, label, count in each if count}
    if found != named:
        raise _other_clouds(root, recipe, samples)
    return samples


def _other_clouds(root: Path, recipe: Recipe, samples: tuple[Sample, ...]) -> DatasetError:
    found = Counter(sample.category for sample in samples)
    each = f"{recipe.train} train, {recipe.normal} normal and {recipe.damaged} damaged"
    return DatasetError(
        "not the clouds of its recipe",
        where=root,
        expected=f"{each}, of each of {', '.join(recipe.families)}",
        found=", ".join(f"{name} {count}" for name, count in found.items()),
        hint=f"make it again in an empty folder, with the options that {RECIPE} names",
    )


def _field(name: str, value: Any) -> Any:
    kind = {"version": str, "layout": str, "families": list, "points": list, "kinds": list, "painted": bool}.get(
        name, int
    )
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {value!r}")
    return tuple(value) if isinstance(value, list) else value
