"""Units of length: what files and people call them, and how long they are."""

from __future__ import annotations

from .errors import ConfigError

#: Millimetres in each unit of length, by the name that it has here.
UNITS = {
    "nm": 1e-6, "um": 1e-3, "mm": 1.0, "cm": 10.0, "m": 1e3, "km": 1e6, "mil": 0.0254, "in": 25.4, "ft": 304.8,
}  # fmt: skip
_ALIASES = {
    "nm": "nanometer nanometre", "um": "µm μm micron micrometer micrometre", "mm": "millimeter millimetre",
    "cm": "centimeter centimetre", "m": "meter metre", "km": "kilometer kilometre", "mil": "thou", "in": "inch",
    "ft": "foot",
}  # fmt: skip # both of the signs that look like a mu
#: The name that a unit has here, by each name that it has elsewhere, in lower case.
NAMES = {name: unit for unit in UNITS for word in (unit, *_ALIASES[unit].split()) for name in (word, f"{word}s")}
NAMES |= {"inches": "in", "feet": "ft"}
NAMES = {name: unit for name, unit in NAMES.items() if name not in ("ms", "ins")}  # milliseconds; no one's inches


def unit_named(name: str, where: str = "unit") -> str:
    """The unit of `UNITS` that a name means, whatever its case: `"mm"` for `"Millimetres"`.

    Raises:
        ConfigError: no unit of length that is known here.
    """
    found = NAMES.get(name.strip().lower())
    if found is None:
        raise ConfigError("an unknown unit of length", where=where, expected=f"one of {', '.join(UNITS)}", found=name)
    return found


def unit_of(millimetres: float) -> str | None:
    """The unit that is so long, or None."""
    return next((unit for unit, length in UNITS.items() if abs(length / millimetres - 1) < 1e-9), None)
