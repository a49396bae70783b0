"""What a family of shapes is made of, and how one is declared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

from ..solids import Field

ReliefKind = Literal["wrapped", "flat", "free", "plain"]


@dataclass(frozen=True)
class Solid:
    """One object of a family: its field in [-1, 1]³, and its name as a noun phrase."""

    field: Field
    caption: str


@dataclass(frozen=True)
class Family:
    """A recipe for objects.

    Attributes:
        name: of the family.
        build: draws one object.
        relief: where designed relief may go: around z, on faces across z, anywhere, or nowhere.
        stretch: whether the three axes may be stretched apart; otherwise only z is.
    """

    name: str
    build: Callable[[Random], Solid]
    relief: ReliefKind
    stretch: bool


def family(relief: ReliefKind = "free", *, stretch: bool = False) -> Callable[[Callable[[Random], Solid]], Family]:
    """Declare a family where the function that draws it stands; it takes the function's name."""
    return lambda build: Family(build.__name__, build, relief, stretch)
