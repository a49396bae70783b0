"""Signed fields of solids and the operations that join them.

A field maps coordinates (x, y, z), three (N,) tensors, to one (N,) value: negative inside, zero on the surface, and
no steeper than a distance (slope at most about one), so that a cell whose centre is farther than its own radius can
be skipped. Values need not be distances. Solids stand along z and are made to fill the cube [-1, 1]³.
The distance formulas are the usual ones of constructive solid geometry with distance fields (J. C. Hart, "Sphere
tracing", The Visual Computer 12, 1996).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

Number = float | int
Vector = tuple[Number, Number, Number]

THROUGH = 3.0  # half height: longer than any solid


@dataclass(frozen=True)
class Field:
    """A solid. `a | b` is both, `a & b` what they share, `a - b` the first without the second.

    Attributes:
        value: the field's function of x, y and z.
    """

    value: Callable[[Tensor, Tensor, Tensor], Tensor]

    def __call__(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return self.value(x, y, z)

    def __or__(self, other: Field) -> Field:
        return union(self, other)

    def __and__(self, other: Field) -> Field:
        return Field(lambda x, y, z: torch.maximum(self(x, y, z), other(x, y, z)))

    def __sub__(self, other: Field) -> Field:
        return difference(self, other)

    def moved(self, dx: Number = 0.0, dy: Number = 0.0, dz: Number = 0.0) -> Field:
        return Field(lambda x, y, z: self(x - dx, y - dy, z - dz))

    def up(self, dz: Number) -> Field:
        return self.moved(0, 0, dz)

    def turned(self, axis: str, angle: Number = math.pi / 2) -> Field:
        """Turn by `angle` radians, right-handed, about the axis "x", "y" or "z"."""
        cosine, sine = math.cos(angle), math.sin(angle)
        if axis == "x":
            return Field(lambda x, y, z: self(x, y * cosine + z * sine, z * cosine - y * sine))
        if axis == "y":
            return Field(lambda x, y, z: self(x * cosine - z * sine, y, z * cosine + x * sine))
        return Field(lambda x, y, z: self(x * cosine + y * sine, y * cosine - x * sine, z))

    def scaled(self, a: Number, b: Number | None = None, c: Number | None = None) -> Field:
        """Stretch along x, y and z; alike if given one factor.

        The value is multiplied by the least factor, which keeps the slope below one.
        """
        b, c = a if b is None else b, a if c is None else c
        least = min(a, b, c)
        return Field(lambda x, y, z: self(x / a, y / b, z / c) * least)

    def mirrored(self, axes: str) -> Field:
        """The half at positive coordinates, and its reflection, for each of the axes, such as "xy"."""
        return Field(
            lambda *xyz: self(*(part.abs() if axis in axes else part for axis, part in zip("xyz", xyz, strict=True)))
        )

    def polar(self, count: int) -> Field:
        """`count` copies about z of what stands around +x."""
        sector = math.tau / count

        @Field
        def copies(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
            radius, angle = length(x, y), torch.atan2(y, x)
            angle = angle - sector * torch.round(angle / sector)
            return self(radius * torch.cos(angle), radius * torch.sin(angle), z)

        return copies

    def row(self, axis: str, pitch: Number, count: int) -> Field:
        """`count` copies along an axis, `pitch` apart, centred on the origin."""
        along, middle = "xyz".index(axis), (count - 1) / 2

        @Field
        def copies(*xyz: Tensor) -> Tensor:
            part = xyz[along]
            nearest = torch.round(part / pitch + middle).clamp(0, count - 1) - middle
            return self(*(part - pitch * nearest if index == along else other for index, other in enumerate(xyz)))

        return copies

    def twisted(self, rate: Number) -> Field:
        """Turn the section at height z by rate·z radians. The value shrinks so that the slope stays below one."""
        shrink = 1 / math.hypot(1.0, 0.7 * rate)

        @Field
        def twist(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
            cosine, sine = torch.cos(rate * z), torch.sin(rate * z)
            return self(x * cosine + y * sine, y * cosine - x * sine, z) * shrink

        return twist

    def bent(self, curvature: Number) -> Field:
        """Lower z by curvature·x²/2: a straight bar along x becomes an arch."""
        shrink = 1 / math.hypot(1.0, curvature)
        return Field(lambda x, y, z: self(x, y, z + 0.5 * curvature * x.square()) * shrink)

    def hollowed(self, wall: Number, top: Number) -> Field:
        """A vessel: the skin, `wall` thick towards the inside, cut off above z = top."""

        @Field
        def vessel(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
            value = self(x, y, z)
            return torch.maximum(torch.maximum(value, -wall - value), z - top)

        return vessel


def union(*fields: Field, blend: Number = 0.0) -> Field:
    """Everything inside any of `fields`; creases filled over a width of about `blend`."""

    def join(one: Tensor, two: Tensor) -> Tensor:
        least = torch.minimum(one, two)
        return least if blend == 0 else least - (blend - (one - two).abs()).clamp(min=0.0).square() / (4 * blend)

    return Field(lambda x, y, z: reduce(join, (field(x, y, z) for field in fields)))


def difference(body: Field, *tools: Field, blend: Number = 0.0) -> Field:
    """`body` without any of `tools`; the new edges rounded over a width of about `blend`."""
    if not tools:
        return body
    cut = union(*tools)

    @Field
    def field(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        one, two = body(x, y, z), -cut(x, y, z)
        most = torch.maximum(one, two)
        return most if blend == 0 else most + (blend - (one - two).abs()).clamp(min=0.0).square() / (4 * blend)

    return field


def length(*parts: Tensor) -> Tensor:
    """Euclidean length of a vector given by its coordinates, each (N,)."""
    return sum(part.square() for part in parts).sqrt()  # type: ignore[union-attr]


def outside(*gaps: Tensor) -> Tensor:
    """Distance of an intersection of perpendicular half spaces from the distances to each of them."""
    inner = reduce(torch.maximum, gaps).clamp(max=0.0)
    return length(*(gap.clamp(min=0.0) for gap in gaps)) + inner


def sphere(radius: Number) -> Field:
    return Field(lambda x, y, z: length(x, y, z) - radius)


def ellipsoid(a: Number, b: Number, c: Number) -> Field:
    """Half axes a, b, c. The value is a first-order distance: exact on the surface, below the truth far away."""

    @Field
    def field(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        gauge = length(x / a, y / b, z / c)
        slope = length(x / (a * a), y / (b * b), z / (c * c)).clamp(min=1e-6)
        return gauge * (gauge - 1.0) / slope

    return field


def superquadric(half: Vector, vertical: Number, horizontal: Number) -> Field:
    """Half axes and the two exponents of Barr (1981): 1 and 1 is an ellipsoid, towards 0 a box, 2 an octahedron."""
    a, b, c = half

    @Field
    def field(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        ring = (x.abs() / a).pow(2 / horizontal) + (y.abs() / b).pow(2 / horizontal)
        gauge = ring.pow(horizontal / vertical) + (z.abs() / c).pow(2 / vertical)
        return (gauge.pow(vertical / 2) - 1.0) * (min(half) * 0.9)

    return field


def box(a: Number, b: Number, c: Number, edge: Number = 0.0) -> Field:
    """Half sizes a, b, c, edges rounded with radius `edge`."""
    return Field(lambda x, y, z: outside(x.abs() - (a - edge), y.abs() - (b - edge), z.abs() - (c - edge)) - edge)


def cylinder(radius: Number, half: Number, edge: Number = 0.0) -> Field:
    """Half height `half`, rims rounded with radius `edge`."""
    return Field(lambda x, y, z: outside(length(x, y) - (radius - edge), z.abs() - (half - edge)) - edge)


def drill(radius: Number) -> Field:
    """What a hole through anything is cut with."""
    return cylinder(radius, THROUGH)


def cone(bottom: Number, top: Number, half: Number) -> Field:
    """A truncated cone: radius `bottom` at z = -half, `top` at z = half."""
    slope = (top - bottom) / (2 * half)
    cosine, middle = 1 / math.hypot(1.0, slope), 0.5 * (top + bottom)
    return Field(lambda x, y, z: torch.maximum((length(x, y) - (z * slope + middle)) * cosine, z.abs() - half))


def capsule(start: Vector, end: Vector, radius: Number, end_radius: Number | None = None) -> Field:
    """A thick segment; its radius runs linearly from `radius` to `end_radius`."""
    axis = [e - s for s, e in zip(start, end, strict=True)]
    square = max(sum(part * part for part in axis), 1e-9)
    grow = (radius if end_radius is None else end_radius) - radius

    @Field
    def field(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        x, y, z = x - start[0], y - start[1], z - start[2]
        along = ((x * axis[0] + y * axis[1] + z * axis[2]) / square).clamp(0.0, 1.0)
        gap = length(x - along * axis[0], y - along * axis[1], z - along * axis[2])
        return gap - (radius + grow * along)

    return field


def tube(path: Sequence[Vector], radii: Sequence[Number], blend: Number = 0.0) -> Field:
    """Capsules along a polyline, with one radius for each of its points."""
    pieces = zip(path[:-1], path[1:], radii[:-1], radii[1:], strict=True)
    return union(*(capsule(*piece) for piece in pieces), blend=blend)


def torus(ring: Number, thick: Number) -> Field:
    return Field(lambda x, y, z: length(length(x, y) - ring, z) - thick)


def arc(ring: Number, thick: Number, half_angle: Number) -> Field:
    """A torus in the xz plane cut to the angles within ±half_angle of +z, with round ends."""
    sine, cosine = math.sin(half_angle), math.cos(half_angle)

    @Field
    def field(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        x = x.abs()
        within = cosine * x < sine * z if half_angle <= math.pi / 2 else cosine * x - sine * z < 0
        ends = length(x - sine * ring, z - cosine * ring)
        return length(torch.where(within, (length(x, z) - ring).abs(), ends), y) - thick

    return field


def half_space(normal: Vector, offset: Number) -> Field:
    """The points below the plane n·x = offset."""
    a, b, c = (part / math.hypot(*normal) for part in normal)
    return Field(lambda x, y, z: x * a + y * b + z * c - offset)
