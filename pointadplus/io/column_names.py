"""What the columns of a table are, by their names: without case, unit and punctuation, as many programs write."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..errors import CloudReadError, ConfigError
from ..units import NAMES

HINT = "name the columns: columns={'x': 3, 'y': 4, 'z': 5}, or --columns x=3,y=4,z=5; numbers from 1, or header names"
_AXES = {"x": "x", "y": "y", "z": "z", "0": "x", "1": "y", "2": "z"}
_CHANNELS = {"r": "red", "g": "green", "b": "blue", "red": "red", "green": "green", "blue": "blue"}
_CHANNELS |= {"0": "red", "1": "green", "2": "blue"}
_ALONE = {"rf": "red", "gf": "green", "bf": "blue"}  # CloudCompare's colours in [0, 1]
_ALONE |= {"px": "x", "py": "y", "pz": "z", "rechtswert": "x", "hochwert": "y", "ostwert": "x", "nordwert": "y"}
_ALONE |= {"höhe": "z", "hoehe": "z"} | {
    "easting": "x",
    "northing": "y",
    "elevation": "z",
    "altitude": "z",
    "height": "z",
}
_ALONE |= {f"{n}{axis}": f"n{axis}" for n in ("n", "normal", "normals") for axis in "xyz"}
_ALONE |= {name: _CHANNELS[name] for name in _CHANNELS if name not in _AXES} | {axis: axis for axis in "xyz"}
_NORMAL = {"n", "norm", "normal", "normals", "normale"}
_COLOR = {"color", "colors", "colour", "colours", "rgb", "rgba", "diffuse"}
_PLACE = {
    "actual", "axis", "cartesian", "coord", "coordinate", "coordinates", "coords", "double", "field", "float",
    "koordinate", "location", "measured", "p", "point", "points", "pos", "position", "pt", "value", "vertex", "world",
    "xyz",
}  # fmt: skip
_OTHER_UNITS = {
    "", "-", "1", "°", "deg", "rad", "s", "ms", "us", "µs", "ns", "%", "count", "counts", "a.u.", "au", "db", "dn",
    "float", "int", "double", "none", "pt",
}  # fmt: skip
_BRACKETS = re.compile(r"[\[({<]([^\[({<\])}>]*[^\W\d][^\[({<\])}>]*)[\])}>]")

FIELDS = ("x", "y", "z", "nx", "ny", "nz", "red", "green", "blue")


def words(name: str) -> list[str]:
    """The words of a name, in lower case: `NormalX`, `normal_x` and `Normal X [mm]` are `normal x`."""
    name = name[:100]
    bare = _BRACKETS.sub(" ", name)
    name = bare if any(char.isalnum() for char in bare) else name
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W\d_]+|\d+", split.lower())


def field(name: str) -> str | None:
    """Which of `FIELDS` a column's name means, or None."""
    rest = [word for word in words(name) if word not in NAMES]
    if len(rest) == 1:
        glued = re.fullmatch("([xyz])(mm|cm|um|µm|in)", rest[0])
        return glued[1] if glued else _ALONE.get(rest[0])
    for kind, known, prefix in ((_NORMAL, _AXES, "n"), (_COLOR, _CHANNELS, ""), (_PLACE, _AXES, "")):
        others = [word for word in rest if word not in kind and word not in _PLACE]
        if len(others) < len(rest) and len(others) == 1 and others[0] in known and kind & set(rest):
            return prefix + known[others[0]]
    return None


def unit(cell: str) -> str | None:
    """The unit of length that a name or a cell below it tells, one of `units.UNITS`, or None."""
    inner = _BRACKETS.search(cell[:100])
    told = [inner[1].strip().lower()] if inner else words(cell)
    return next((NAMES[word] for word in told if word in NAMES), None)


def are_units(cells: Sequence[str]) -> bool:
    """Whether a row holds units, one of length at least, and nothing else."""
    bare = [cell.strip(' "[](){}<>').lower() for cell in cells]
    return any(cell in NAMES for cell in bare) and all(cell in NAMES or cell in _OTHER_UNITS for cell in bare)


def places(names: Sequence[str], width: int) -> dict[str, int] | None:
    """Columns, from 0, of the fields that a header names, x, y and z among them; None where it names no coordinates.

    A header with more or fewer names than there are columns counts only where x, y and z begin or end it.

    Raises:
        CloudReadError: coordinates are named twice.
    """
    fields = [field(name) for name in names]
    if not {"x", "y", "z"} <= set(fields):
        return None
    for at, name in enumerate(names):
        if fields[at] in ("x", "y", "z") and [word for word in words(name) if word not in NAMES] != [fields[at]]:
            bare = [other for other, word in enumerate(fields) if word == fields[at] and other != at]
            fields[at] = None if bare else fields[at]  # `z` itself goes before `height`
    if any(fields.count(axis) > 1 for axis in "xyz"):
        raise CloudReadError("the header names coordinates twice", found=", ".join(names)[:200], hint=HINT)
    found = {name: at for at, name in enumerate(fields) if name is not None}
    if len(names) == width:
        return found
    known = next((at for at, name in enumerate(fields) if name is None), len(fields))
    if {*fields[:3]} == {"x", "y", "z"}:  # what follows the last known name may be a name of several words
        return {name: at for name, at in found.items() if at < min(known, width)}
    if {*fields[-3:]} == {"x", "y", "z"}:  # and so may be what goes before
        return {name: at - len(names) + width for name, at in found.items() if at >= len(names) - 3}
    return None


def check_columns(columns: Mapping[str, int | str] | None) -> dict[str, int | str] | None:
    """The caller's columns by field.

    Raises:
        ConfigError: an unknown field, one of the coordinates not named, or a number below 1.
    """
    if columns is None:
        return None
    found = {field(name) or name: column for name, column in columns.items()}
    bad = [name for name in found if name not in FIELDS] + [axis for axis in "xyz" if axis not in found]
    bad += [name for name, column in found.items() if not isinstance(column, str) and column < 1]
    if bad:
        raise ConfigError("columns cannot be found so", where="columns", expected=HINT, found=", ".join(bad))
    return found


def chosen(columns: Mapping[str, int | str], names: Sequence[str], width: int) -> dict[str, int]:
    """Columns, from 0, that the caller named, by number or by a name of the header.

    Raises:
        CloudReadError: one is not there.
    """
    known = {name.strip().lower(): at for at, name in reversed([*enumerate(names)])}
    found = {}
    for name, column in columns.items():
        at = known.get(column.strip().lower(), -1) if isinstance(column, str) else column - 1
        if not 0 <= at < width:
            there = ", ".join(names) or "no header"
            raise CloudReadError(
                f"there is no column {column!r}", expected=f"1 to {width}, or a name", found=there[:200]
            )
        found[name] = at
    return found
