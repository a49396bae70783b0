"""A benchmark that anyone can make again from a seed: labelled scans of shape families that training never saw."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from random import Random

import torch

from ...config import Config, check_range, within
from ...data.synthetic import RECIPE, Recipe
from ...errors import ConfigError, DatasetError
from .chance import seed_from
from .defects import KINDS, MIN_POINTS
from .layouts import LAYOUTS, Item, Sizes, write_bytes
from .paint import COLOR_KINDS
from .shapes import FAMILIES, HELD_OUT

ALIASES = {"synthetic": "anomaly-shapenet"}
LAYOUT_NAMES = (*ALIASES, *LAYOUTS)
_EMPTY = "an empty folder, or none"


@dataclass(frozen=True)
class SyntheticConfig(Config):
    """What a synthetic data set is made of.

    The objects of a family depend on the seed, the family, the split and their number alone: more of them, or other
    families beside it, leave the first ones as they are. No two objects share a seed, so that no damaged test object
    has a healthy twin, neither in the test nor in the training split.

    Attributes:
        seed: decides every object, at least 0.
        families: shape families, a category each; of `HELD_OUT` unless `training_families` allows others.
        train: healthy training objects of each family.
        normal: healthy test objects of each family, at least 1.
        damaged: test objects with one defect, of each family, at least 1. Their kinds go round, in an order of the
            family's own.
        points: lowest and highest size of a cloud before scan artefacts, drawn log-uniformly; at least 500. Ours: that
            of Anomaly-ShapeNet. Organised scans have as many as pixels show.
        image_size: side of organised scans in pixels, at least 64.
        kinds: of defects, of `KINDS`; if painted, of `COLOR_KINDS` too.
        painted: objects have colours, with patterns that are normal; the shapes are those of the same seed without.
        training_families: allow families that training draws from; then a result says nothing about unseen shapes.

    Raises:
        ConfigError: an option that is unknown or out of range.
    """

    seed: int = within("[0, 4611686018427387904]", 0)
    families: tuple[str, ...] = HELD_OUT
    train: int = within("[0, 999]", 4)
    normal: int = within("[1, 999]", 5)
    damaged: int = within("[1, 999]", 10)
    points: tuple[int, int] = within(f"[{MIN_POINTS}, ∞)", (8_000, 30_000))
    image_size: int = within("[64, 2048]", 256)
    kinds: tuple[str, ...] = KINDS
    painted: bool = False
    training_families: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self.points[1], f"[{self.points[0]}, ∞)", "SyntheticConfig.points")
        kinds = (*KINDS, *COLOR_KINDS) if self.painted else KINDS
        for name, known in {"families": FAMILIES, "kinds": kinds}.items():
            given = getattr(self, name)
            unknown = [value for value in given if value not in known]
            if unknown or not given or len(set(given)) < len(given):
                what = f"unknown {name}" if unknown else f"no {name}, or one twice"
                found = ", ".join(unknown or given) or "none"
                raise ConfigError(what, where=f"SyntheticConfig.{name}", expected=", ".join(known), found=found)
        seen = [family for family in self.families if family not in HELD_OUT]
        if seen and not self.training_families:
            raise ConfigError(
                "training draws from these families",
                where="SyntheticConfig.families",
                expected=f"of {', '.join(HELD_OUT)}",
                found=", ".join(seen),
                hint="training_families=True makes them all the same, but is no measure of unseen shapes",
            )

    def items(self) -> tuple[Item, ...]:
        """The objects, by family: those for training, the normal and the damaged ones."""
        return tuple(item for family in self.families for item in self._family(family))

    def _family(self, family: str) -> list[Item]:
        order = list(self.kinds)
        Random(seed_from(self.seed, family, "kinds")).shuffle(order)
        items = []
        for name, count in {"train": self.train, "normal": self.normal, "damaged": self.damaged}.items():
            for number in range(count):
                start = number % len(order)
                kinds = (*order[start:], *order[:start]) if name == "damaged" else ()
                split = "train" if name == "train" else "test"
                seed = seed_from(self.seed, family, name, number)
                items.append(Item(family, split, number, self.normal, seed, kinds, self.painted))
        return items


def write_dataset(
    root: str | os.PathLike[str],
    config: SyntheticConfig | None = None,
    layout: str = "synthetic",
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Make a data set and write it in a layout that `open_dataset` reads.

    Equal configurations give equal bytes, in any number of threads, with the same versions of this package and of the
    libraries below it. It works in one thread, and sets torch's number of threads back afterwards. Each file appears
    whole or not at all, and the recipe, `synthetic.json`, last: a folder with it is complete.

    Args:
        root: a folder that is empty or not there yet.
        config: None means the defaults.
        layout: `synthetic`, which is Anomaly-ShapeNet's, `anomaly-shapenet`, `real3d-ad`, `folder` (a folder of its own
            for each family, to be opened one by one), `mvtec-3d-ad` (which needs tifffile) or `eyecandies`.
        progress: called with the objects that are done and the number of all.

    Returns:
        The folder.

    Raises:
        ConfigError: an unknown layout, or a defect that finds no place or is not seen.
        DatasetError: the folder holds something, or cannot be written to.
    """
    config, root = config or SyntheticConfig(), Path(root)
    key = layout.lower().replace("_", "-")
    key = ALIASES.get(key, key)
    if key not in LAYOUTS:
        raise ConfigError("unknown layout", where="layout", expected=", ".join(LAYOUT_NAMES), found=layout)
    _check_empty(root)
    items, sizes = config.items(), Sizes(config.points, config.image_size)
    with _one_thread():
        for done, item in enumerate(items, start=1):
            LAYOUTS[key](root, item, sizes)
            if progress is not None:
                progress(done, len(items))
    recipe = Recipe(
        version=_version(), layout=key, seed=config.seed, families=config.families, train=config.train,
        normal=config.normal, damaged=config.damaged, points=config.points, image_size=config.image_size,
        kinds=config.kinds, painted=config.painted,
    )  # fmt: skip
    write_bytes(root / RECIPE, recipe.to_json().encode())
    return root


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums round by the number of threads that share them, and one bit more or less can change a whole object."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _check_empty(root: Path) -> None:
    try:
        held = sorted(path.name for path in root.iterdir())[:8] if root.exists() else []
    except OSError as error:
        raise DatasetError("not a folder", where=root, expected=_EMPTY, found=error.strerror) from error
    if held:
        raise DatasetError(
            "the folder is not empty",
            where=root,
            expected=_EMPTY,
            found=", ".join(held),
            hint="give another folder, or delete this one",
        )


def _version() -> str:
    try:
        return version("pointadplus")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"
