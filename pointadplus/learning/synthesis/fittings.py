"""Lone details that healthy objects carry by design: screws, bosses, pads, ports, holes, pockets, vents.

A real part is seldom as regular as a lathe leaves it: a power drill has its switch on one side. Whatever looks for what
is lone, or for what one side has and the other has not, must have seen such details on healthy objects.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from .outlines import extruded, ngon, rectangle
from .solids import Field, box, cylinder, difference, ellipsoid, torus, union
from .surface import BOUND, sample_surface

# All ours; lengths in a solid two wide.
GROUPS = (0.25, 0.25, 0.2, 0.15, 0.15)  # probabilities of one to five groups of details
COPIES = (0.6, 0.2, 0.1, 0.1)  # of one to four copies in a row
SIZE = 0.04, 0.15  # half width of a detail, drawn log-uniformly
HEIGHT = 0.012, 0.07
PLACES, TRIES = 96, 48  # points of the surface to choose from, and how many are tried
FLAT = 0.15  # of the half width: how far the surface may fall away under a detail's rim
RIM = 8  # points of the rim that are looked at
EDGE = 0.002, 0.012  # width over which edges are rounded
_INSIDE = 0.03  # room to keep from the border of the cube that fields live in


@dataclass(frozen=True)
class Fitting:
    """One detail, standing on the plane z = 0 and looking along +z.

    Attributes:
        tool: what is joined to the object, or cut out of it.
        added: whether it is joined.
        reach: how far it stretches from its middle along x and y.
        height: above the surface.
    """

    tool: Field
    added: bool
    reach: float
    height: float = 0.0


def boss(rng: Random, size: float, height: float) -> Fitting:
    return Fitting(cylinder(size, height, min(0.3 * height, 0.01)), True, size, height)


def pad(rng: Random, size: float, height: float) -> Fitting:
    long = size * rng.uniform(1, 2)
    return Fitting(box(long, size, height, min(0.4 * height, 0.4 * size, 0.02)), True, long, height)


def nut(rng: Random, size: float, height: float) -> Fitting:
    head = extruded(ngon(rng.choice((4, 6, 6, 8)), size), height)
    return Fitting(head - cylinder(0.5 * size, 1) if rng.random() < 0.5 else head, True, size, height)


def screw(rng: Random, size: float, height: float) -> Fitting:
    """A round head with a slot or a cross, sitting on the surface."""
    head = ellipsoid(size, size, height) if rng.random() < 0.5 else cylinder(size, height, 0.3 * height)
    slot = box(0.8 * size, 0.14 * size, height).up(0.9 * height)
    return Fitting(head - (slot | slot.turned("z") if rng.random() < 0.5 else slot), True, size, height)


def rib(rng: Random, size: float, height: float) -> Fitting:
    long = size * rng.uniform(1.5, 3)
    return Fitting(box(long, 0.3 * size, height, 0.1 * size), True, long, height)


def collar(rng: Random, size: float, height: float) -> Fitting:
    thick = min(height, 0.4 * size)
    return Fitting(torus(size - thick, thick), True, size, thick)


def port(rng: Random, size: float, height: float) -> Fitting:
    """A short tube, open at its end."""
    tall = 2 * height
    return Fitting(cylinder(size, tall) - cylinder(0.65 * size, tall).up(tall), True, size, tall)


def hole(rng: Random, size: float, height: float) -> Fitting:
    """Blind or through, perhaps with a counterbore."""
    depth = rng.choice((height, 3 * height, 4.0))
    tool = cylinder(0.6 * size, depth)
    return Fitting(tool | cylinder(size, 0.5 * height) if rng.random() < 0.5 else tool, False, size)


def pocket(rng: Random, size: float, height: float) -> Fitting:
    long = size * rng.uniform(1, 2.5)
    return Fitting(extruded(rectangle(long, size, rng.choice((0.02, 0.5, 0.99)) * size), height), False, long)


def vent(rng: Random, size: float, height: float) -> Fitting:
    """Slots side by side."""
    count, pitch = rng.randint(3, 6), 0.7 * size
    slots = box(0.2 * size, 1.2 * size, height, 0.05 * size).row("x", pitch, count)
    return Fitting(slots, False, max(1.2 * size, 0.5 * count * pitch))


KINDS: tuple[Callable[[Random, float, float], Fitting], ...] = (
    boss, pad, nut, screw, rib, collar, port, hole, hole, pocket, vent,
)  # fmt: skip


def with_fittings(field: Field, rng: Random, generator: torch.Generator) -> Field:
    """The object with one to five groups of details where its surface is flat enough for them.

    Args:
        field: of the object, in the cube that `sample_surface` looks at.
        rng: decides which details.
        generator: decides where; see `sample_surface`.

    Raises:
        ConfigError: the field has no surface.
    """
    places, normals = sample_surface(field, PLACES, generator)
    groups = rng.choices(range(1, len(GROUPS) + 1), GROUPS)[0]
    fitted = field
    for _ in range(groups):
        fitting = _draw(rng)
        place = _flat_place(field, places, normals, fitting, rng)
        if place is not None:
            tool, blend = _standing(fitting.tool, *place), rng.uniform(*EDGE)
            fitted = union(fitted, tool, blend=blend) if fitting.added else difference(fitted, tool, blend=blend)
    return fitted


def _draw(rng: Random) -> Fitting:
    size = math.exp(rng.uniform(*(math.log(part) for part in SIZE)))
    fitting = rng.choice(KINDS)(rng, size, min(rng.uniform(*HEIGHT), size))
    copies = rng.choices(range(1, len(COPIES) + 1), COPIES)[0]
    if copies == 1:
        return fitting
    pitch = fitting.reach * rng.uniform(2.2, 3.5)
    reach = 0.5 * (copies - 1) * pitch + fitting.reach
    return Fitting(fitting.tool.row("x", pitch, copies), fitting.added, reach, fitting.height)


def _flat_place(
    field: Field, places: Tensor, normals: Tensor, fitting: Fitting, rng: Random
) -> tuple[Tensor, Tensor] | None:
    """A place on the surface, (3,), and the axes there as rows, (3, 3), the normal last; None if none is flat."""
    angles = torch.arange(RIM, device=places.device) * (math.tau / RIM)
    for index in rng.sample(range(len(places)), TRIES):
        place, normal = places[index], normals[index]
        # Designers line things up with the object's axes, more often than not.
        guide = torch.eye(3)[rng.randrange(3)] if rng.random() < 0.7 else torch.tensor([rng.gauss(0, 1) for _ in "xyz"])
        across = torch.linalg.cross(normal, guide.to(normal))
        if float(across.norm()) < 0.3:
            continue
        across = across / across.norm()
        axes = torch.stack([torch.linalg.cross(across, normal), across, normal])
        rim = place + fitting.reach * (angles.cos()[:, None] * axes[0] + angles.sin()[:, None] * axes[1])
        highest = (place + fitting.height * normal).abs().max()
        room = max(float(rim.abs().max()), float(highest)) < BOUND - _INSIDE
        if room and float(field(*rim.T).abs().max()) < FLAT * min(fitting.reach, SIZE[1]):
            return place, axes
    return None


def _standing(tool: Field, place: Tensor, axes: Tensor) -> Field:
    @Field
    def field(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        x, y, z = x - place[0], y - place[1], z - place[2]
        return tool(*(x * axis[0] + y * axis[1] + z * axis[2] for axis in axes))

    return field
