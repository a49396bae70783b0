"""Frozen config records from tables, as TOML and JSON hold them; an unknown key is an error."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports] - not installed where it is not needed

T = TypeVar("T")


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
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if hint in (int, float, str, bool) and type(value) is not hint:
        raise ConfigError("a value of another type", where=where, expected=hint.__name__, found=repr(value))
    return value
