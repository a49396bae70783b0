"""Frozen config records: what their fields may hold is declared on the field, and tables, as TOML has them, are read.

@dataclass(frozen=True)
class Smoothing(Config):
    sigma: float = within("[0, ∞)", 1.0)
    kernel: str = one_of("gauss", "box")
"""

from __future__ import annotations

import dataclasses
import math
import re
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports] - not installed where it is not needed

T = TypeVar("T")


class Config:
    """A frozen dataclass whose fields, where they are declared with `within` or `one_of`, are checked when it is made.

    Raises:
        ConfigError: a value out of range, or unknown.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type] - its subclasses are dataclasses
            value, where = getattr(self, field.name), f"{type(self).__name__}.{field.name}"
            if "interval" in field.metadata and not (value is None and field.default is None):
                whole = "int" in str(field.type) and "float" not in str(field.type)
                check_range(value, field.metadata["interval"], where, whole=whole)
            elif "known" in field.metadata:
                check_known(value, field.metadata["known"], where)


def within(interval: str, default: Any = dataclasses.MISSING) -> Any:
    """A field of one number, or of several, in an interval such as "(0, 1]"; None is good where it is the default."""
    return dataclasses.field(default=default, metadata={"interval": interval})


def one_of(*known: str) -> Any:
    """A field that holds one of these names; the first is its default."""
    return dataclasses.field(default=known[0], metadata={"known": known})


def check_range(value: Any, interval: str, where: str, *, whole: bool = False) -> None:
    """See to it that a number, or each of a tuple, lies in an interval such as "[0, 1)"; NaN lies in none.

    Raises:
        ConfigError: it does not, is no number, or no whole one.
    """
    low, high, closed_low, closed_high = _bounds(interval)
    kind = Integral if whole else Real  # as NumPy's numbers are, too
    number: Any
    for number in value if isinstance(value, tuple) else (value,):
        inside = (
            isinstance(number, kind)
            and not isinstance(number, bool)
            and low <= number <= high  # type: ignore[operator] - reals compare
            and (closed_low or number != low)
            and (closed_high or number != high)
        )
        if not inside:
            bounds = f"{'at least' if closed_low else 'above'} {low:g}" if high == math.inf else f"in {interval}"
            expected = f"whole, {bounds}" if whole else bounds
            raise ConfigError("option out of range", where=where, expected=expected, found=value)


def check_known(value: Any, known: Iterable[str], where: str) -> None:
    """See to it that a name is one of those that are known.

    Raises:
        ConfigError: it is not.
    """
    names = tuple(known)
    if value not in names:
        what = f"unknown {where.rpartition('.')[2].lstrip('-')}"
        *rest, last = map(repr, names)
        raise ConfigError(what, where=where, expected=f"{', '.join(rest)} or {last}" if rest else last, found=value)


@lru_cache
def _bounds(interval: str) -> tuple[float, float, bool, bool]:
    """Lowest and highest value of "[low, high)", and whether each belongs to it."""
    found = re.fullmatch(r"([\[(])(.+), (.+)([\])])", interval)
    assert found is not None, interval
    low, high = (float(text.replace("∞", "inf")) for text in found.group(2, 3))
    return low, high, found[1] == "[", found[4] == "]"


def from_table(kind: type[T], table: Mapping[str, Any], where: str = "") -> T:
    """A config dataclass from a table: tables inside become the dataclasses that its fields are, lists become tuples.

    Args:
        kind: the dataclass; fields that the table leaves out keep their defaults.
        table: of plain values.
        where: names the table in errors.

    Raises:
        ConfigError: a key that no field has, a required one missing, or a value of another type.
    """
    where = where or kind.__name__
    hints = get_type_hints(kind)
    fields: dict[str, dataclasses.Field[Any]] = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(table) - set(fields))
    if unknown:
        raise ConfigError("unknown option", where=where, expected=", ".join(fields), found=", ".join(unknown))
    values = {name: _value(hints[name], value, f"{where}.{name}") for name, value in table.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise ConfigError("an option is missing", where=where, found=error) from error


def read_toml(kind: type[T], path: Path) -> T:
    """A config dataclass from a TOML file.

    Raises:
        ConfigError: the file cannot be read, is no TOML, or does not fit.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError("the config cannot be read", where=path, expected="TOML", found=error) from error
    return from_table(kind, table, path.name)


def _value(hint: Any, value: Any, where: str) -> Any:
    if value is None:
        return None
    members = [member for member in get_args(hint) if member is not type(None)]
    if isinstance(hint, UnionType) or get_origin(hint) is Union:
        hint = members[0] if len(members) == 1 else Any
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise ConfigError("not a table", where=where, expected=f"a table of {hint.__name__}", found=repr(value))
        return from_table(hint, value, where)
    if isinstance(value, list):
        value = tuple(value)
    if get_origin(hint) is tuple and not isinstance(value, tuple):
        raise ConfigError("a value of another type", where=where, expected="a list", found=repr(value))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if hint in (int, float, str, bool) and type(value) is not hint:
        raise ConfigError("a value of another type", where=where, expected=hint.__name__, found=repr(value))
    return value
