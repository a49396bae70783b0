"""Healthy objects made in code, of many families, with points spread evenly over them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from random import Random

import torch
from jaxtyping import Float
from torch import Tensor

from ....errors import ConfigError
from .. import reliefs
from ..chance import integer
from ..fittings import with_fittings
from ..surface import sample_surface
from . import blocks, fasteners, grown, household, implements, living, machines, printed, tools, vessels
from .family import Family
from .life import draw_life

CATALOGUE: dict[str, Family] = {
    recipe.name: recipe
    for module in (vessels, fasteners, machines, blocks, living, household, tools, implements, printed, grown)
    for recipe in vars(module).values()
    if isinstance(recipe, Family)
}
"""Recipes by name; a seed's draw of a family goes by their order."""

FAMILIES: tuple[str, ...] = tuple(CATALOGUE)
HELD_OUT: tuple[str, ...] = (
    "pitcher", "wing_nut", "bird", "headphones", "brick",
    "pipe_wrench", "printed_holder", "watering_can", "root", "sheet_metal",
)  # fmt: skip
"""Families that nothing is trained on: regular ones, a hand tool, a printed part, a pot, a grown and a thin thing."""

_EXACT = {id(recipe) for module in (fasteners, machines) for recipe in vars(module).values()}  # made to measure
_RELIEFS = {"wrapped": reliefs.WRAPPED, "flat": reliefs.FLAT, "free": reliefs.FREE, "plain": ()}
_SPARE = 1.3  # points drawn for each one kept, so that relief, which adds area, can be given its share
_SPARE_OF_LIFE = 1.1  # the same where nothing but life moves the surface


@dataclass(frozen=True, eq=False)
class Shape:
    """A healthy object.

    Attributes:
        points: (N, 3) float32, uniform by area; the bounding box is centred on 0 and its longest side is 1.
        normals: (N, 3) float32, unit, outward.
        family: one of `FAMILIES`.
        caption: what it is, as a noun phrase.
    """

    points: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"]
    family: str
    caption: str


def sample_shape(
    generator: torch.Generator, *, points: int = 20_000, family: str | None = None, fittings: float = 0.0
) -> Shape:
    """Draw one object and sample its surface.

    Args:
        generator: source of all randomness; its device is where the points are made and returned.
        points: N, at least 1.
        family: one of `FAMILIES`; None draws one of them, all equally likely.
        fittings: probability that it carries lone details, see `fittings.with_fittings`.

    Raises:
        ConfigError: an unknown family, or no points asked for.
    """
    if points < 1:
        raise ConfigError("too few points", where="sample_shape", expected="points ≥ 1", found=points)
    rng = Random(integer(generator, 2**62))
    name = family if family is not None else rng.choice(FAMILIES)
    if name not in CATALOGUE:
        raise ConfigError("unknown family", where="sample_shape", expected=f"one of {', '.join(FAMILIES)}", found=name)
    recipe = CATALOGUE[name]
    solid = recipe.build(rng)
    field = solid.field.scaled(*_stretch(rng, recipe.stretch))
    embossed = [partial(reliefs.emboss, relief=relief) for relief in _choose_reliefs(rng, recipe)]
    changes = [*embossed, *draw_life(rng, exact=recipe.relief == "plain" or id(recipe) in _EXACT)]
    if rng.random() < fittings:
        field = with_fittings(field, rng, generator)
    if not changes:
        positions, normals = sample_surface(field, points, generator)
    else:
        positions, normals = sample_surface(
            field, int(points * (_SPARE if embossed else _SPARE_OF_LIFE)) + 1, generator
        )
        growth = torch.ones_like(positions[:, 0])
        for change in changes:
            positions, normals, factor = change(positions, normals)
            growth = growth * factor
        # Weighted draw without replacement (Efraimidis and Spirakis, 2006).
        keys = torch.rand(len(growth), generator=generator, device=generator.device).log() / growth
        index = keys.topk(points).indices
        positions, normals = positions[index], normals[index]
    low, high = positions.amin(0), positions.amax(0)
    side = (high - low).amax().clamp(min=1e-6)
    return Shape((positions - (low + high) / 2) / side, normals, name, solid.caption)


def _stretch(rng: Random, free: bool) -> tuple[float, float, float]:
    """Factors for the axes, none above one."""
    factors = [rng.uniform(0.75, 1.2) if free or axis == 2 else 1.0 for axis in range(3)]
    return tuple(factor / max(factors) for factor in factors)  # type: ignore[return-value]


def _choose_reliefs(rng: Random, recipe: Family) -> list[reliefs.Relief]:
    chosen = []
    kinds = _RELIEFS[recipe.relief]
    if kinds and rng.random() < 0.5:
        chosen.append(rng.choice(kinds)(rng))
    if recipe.relief != "plain" and rng.random() < 0.4:
        chosen.append(reliefs.grain(rng))
    return chosen
