"""What columns without names are: told apart by their values."""

from __future__ import annotations

import numpy as np

from .formats import RawCloud, unit_colors

WIDEST = 12  # columns of a list of points without names; a number we chose


def from_columns(table: np.ndarray) -> RawCloud:
    """Points from (N, C ≥ 3) unnamed columns.

    A first column that counts the rows, from 0 or 1 on, is an index where three columns follow. After x, y, z, each
    three columns are normals if all have unit length, colours if all lie in [0, 1] or [0, 255], or are whole numbers of
    16 bits, which is told, and are ignored otherwise. One column before colours or normals, or what is left over at the
    end, is an intensity or a label, and ignored. Where four columns may hold colours and an intensity in either order,
    colours are left out, and told.
    """
    notes: tuple[str, ...] = ()
    if is_index(table):
        table = table[:, 1:]
    found: dict[str, np.ndarray] = {}
    at, width = 3, min(table.shape[1], 10)
    while at + 3 <= width:
        triple, later = table[:, at : at + 3], table[:, at + 1 : at + 4]
        if _are_normals(triple):
            found.setdefault("normals", triple.astype(np.float64))
        elif at + 4 <= width and _are_normals(later):
            at += 1
            continue
        elif at + 4 == width or (at + 7 == width and _are_normals(table[:, at + 4 : at + 7])):
            intensity, shift = _intensity(table[:, at : at + 4])
            if intensity is None and shift:
                notes = (f"columns {at + 1} to {at + 4} may be colours in two ways: left out, name them to use them",)
            elif intensity is not None:
                found.setdefault("colors", unit_colors(table[:, at + shift : at + shift + 3].astype(np.float64)))
            at += 1
        elif _are_colors(triple):
            found.setdefault("colors", unit_colors(triple.astype(np.float64)))
        elif _are_deep_colors(triple):
            found.setdefault("colors", unit_colors(triple.astype(np.float64)))
            notes = (f"columns {at + 1} to {at + 3} are taken for colours of 16 bits",)
        at += 3
    return RawCloud(table[:, :3], found.get("normals"), found.get("colors"), notes=notes)


def is_index(table: np.ndarray) -> bool:
    """Whether the first of more than three columns counts the rows, from 0 or 1 on."""
    first = table[:, 0]
    return table.shape[1] > 3 and len(first) > 2 and first[0] in (0, 1) and bool((np.diff(first) == 1).all())


def _intensity(four: np.ndarray) -> tuple[int | None, int]:
    """The column of four that is no colour, and where the colours begin; (None, 0) where there are no colours,
    (None, 1) where the order cannot be told."""
    before, after = _are_colors(four[:, 1:]) and _are_whole(four[:, 1:]), _are_colors(four[:, :3])
    if before and _are_whole(four[:, :1]) and after:
        if len(np.unique(four[:, 3])) <= 16 or len(np.unique(four[:, 0])) <= 1:  # a label, or an empty intensity
            return (3, 0) if len(np.unique(four[:, 0])) > 1 else (0, 1)
        return None, 1
    if before and four[:, 1:].max() > 1:
        return 0, 1
    return (3, 0) if after else (None, 0)


def _known(triple: np.ndarray) -> np.ndarray:
    return triple[np.isfinite(triple).all(1)]


def _are_normals(triple: np.ndarray) -> bool:
    known = _known(triple).astype(np.float64)
    length = np.linalg.norm(known, axis=1)
    return bool(len(known) and length.any() and np.abs(length - 1)[length > 0].max(initial=0) < 0.01)


def _are_colors(triple: np.ndarray) -> bool:
    known = _known(triple)
    return bool(len(known) and known.min() >= 0 and known.max() <= 255)


def _are_deep_colors(triple: np.ndarray) -> bool:
    """Colours of 16 bits: whole numbers, each channel of which goes beyond the 12 bits of distances and counts."""
    known = _known(triple)
    return _are_whole(triple) and bool(known.min() >= 0 and known.max(0).min() > 4095 and known.max() <= 65535)


def _are_whole(values: np.ndarray) -> bool:
    known = _known(values)
    return bool(len(known) and (known == np.rint(known)).all())
