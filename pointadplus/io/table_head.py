"""Where a table begins in a text, in which dialect, and what stands above it: names, units and pitches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import CloudReadError
from .column_names import HINT, are_units, field, places
from .dialects import COMMENTS, DIALECTS, Dialect, as_text

LINES = 1000  # above a table, at most; a number we chose, as are the others
_LONGEST = 1 << 20  # characters of such a line, or of a row that is looked at
LONGEST_HEAD = 6 * _LONGEST  # bytes, none behind which are looked at here
_SAMPLE = 20  # rows that decide on the dialect
LINES_OF_HEAD = LINES + _SAMPLE  # none behind which are looked at here
_NUMBER = r"([-+]?\d*[.,]?\d+(?:[eE][-+]?\d+)?)"
_PITCH = re.compile(
    r"(?:\b(x|y|z|xy|row|col|column|lateral|horizontal|pixel)[\s_.-]*|\b)"
    r"(res|resolution|pitch|spacing|step|increment|interval|calibration|scale|size)"
    r"(?:[\s_.-]*\(?(x|y|z|xy)\b|\b)[^\d\n:=;,]{0,20}[\s:=;,]\s*" + _NUMBER,
    re.IGNORECASE,
)
_ALONG = {"x": ("x", "col", "column"), "y": ("y", "row"), "z": ("z",)}
_BOTH = ("xy", "lateral", "horizontal", "pixel", "")


@dataclass(frozen=True)
class Head:
    """What stands above a table.

    Attributes:
        start: the byte where its first row begins.
        line: the number of that line, from 1.
        dialect: of its rows.
        width: columns of its rows.
        names: of the columns; empty where there are none.
        units: a cell a column, of a row of units below the names, or empty.
        texts: the lines above, stripped.
    """

    start: int
    line: int
    dialect: Dialect
    width: int
    names: tuple[str, ...]
    units: tuple[str, ...]
    texts: tuple[str, ...]

    def pitch(self, axis: str) -> float | None:
        """The pitch of columns (x), of rows (y) or of heights (z) that the lines above name, or None."""
        told: dict[str, float] = {}
        for text in self.texts:
            for found in _PITCH.finditer(text[:500]):
                along = (found[1] or found[3] or "").lower()
                value = float(found[4].replace(",", "."))
                bare = not along and any(char.isalpha() for char in text[: found.start()])  # of what, is not known
                count = found[2].lower() == "size" and along != "pixel"
                if not bare and not count and 0 < value < float("inf"):
                    told.setdefault(along, value)
        wanted = _ALONG[axis] if axis == "z" else (*_ALONG[axis], *_BOTH)
        return next((told[along] for along in wanted if along in told), None)


def find_table(data: bytes, named: bool = False) -> Head:
    """Look for the first rows of numbers, and for names above them.

    Args:
        data: a text as `plain_bytes` gives it.
        named: the caller names the columns, so that a header need not hold coordinates.

    Raises:
        CloudReadError: no rows of three numbers, or a header without coordinates.
    """
    lines = [(start, as_text(data[start:end])) for start, end in _line_ends(data)]
    texts = [text for _, text in lines]
    first, dialect = _first_row(texts)
    width = dialect.width(texts[first])
    above, first = texts[:first], first + _is_numbered(texts[first : first + _SAMPLE], dialect)
    names, units = _names(above, dialect, width, named)
    return Head(lines[first][0], first + 1, dialect, width, names, units, tuple(above))


def _line_ends(data: bytes) -> Iterator[tuple[int, int]]:
    start, last = 0, min(len(data), 4 * _LONGEST)
    for _ in range(LINES_OF_HEAD):
        if start >= last:
            return
        end = data.find(b"\n", start) + 1 or len(data)
        if end - start > _LONGEST:
            raise CloudReadError("not a readable table: a line is too long", expected=f"{_LONGEST} characters at most")
        yield start, end
        start = end


def _first_row(texts: list[str]) -> tuple[int, Dialect]:
    """The first line with which a table begins, and the dialect that most of the rows from there on fit."""
    told = [at for at, text in enumerate(texts) if text.strip() and not text.lstrip().startswith(COMMENTS)]
    single: tuple[int, Dialect] | None = None
    narrow = 0
    for number, at in enumerate(told[:LINES]):
        sample = [texts[other] for other in told[number : number + _SAMPLE]]
        best = None
        for dialect in DIALECTS:
            width = dialect.width(sample[0])
            narrow = max(narrow, width)
            if width < 3:
                continue
            follows = len(sample) > 1 and dialect.width(sample[1]) == width
            if follows or (len(sample) == 1 and single is None):
                fits = [dialect.width(text) == width for text in sample[1:]]
                best = max(best or (0, 0, dialect), (sum(fits), -DIALECTS.index(dialect), dialect), key=lambda b: b[:2])
            elif single is None:
                single = at, dialect
        if best is not None:
            return at, best[2]
    if single is not None:
        return single
    if narrow:
        raise CloudReadError("the table has the wrong shape", expected="three columns or more", found=narrow)
    raise CloudReadError(
        "the file has no rows of numbers", expected=f"a table within {LINES} lines", found=_shown(texts[:1]), hint=HINT
    )


def _is_numbered(rows: list[str], dialect: Dialect) -> bool:
    """Whether the first row counts the columns, 0, 1, 2 and so on, as pandas writes it above a table without names."""
    cells = dialect.cells(rows[0])
    index = not cells[0]  # above which nothing stands
    following = [dialect.cells(row) for row in rows[1:] if dialect.width(row)]
    if cells[index:] != [str(number) for number in range(len(cells) - index)] or not following:
        return False
    return index or all(dialect.decimal in cell for row in following for cell in row)


def _names(texts: list[str], dialect: Dialect, width: int, named: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and units above a table, the nearest; a line of words in the place of names has to name coordinates."""
    units: tuple[str, ...] = ()
    plain: str | None = None  # the nearest line that is no comment
    for text in reversed(texts):
        body = text.lstrip("#/%! \t").strip()
        if not any(char.isalnum() for char in body) or any(0 < other.width(body) < 3 for other in DIALECTS):
            continue  # blank, a ruler, or a count
        comment = text.lstrip().startswith(COMMENTS)
        splits = [cells for cells in _splits(body, dialect) if len(cells) > 1]
        if not units and plain is None and (row := next(filter(are_units, splits), None)):
            units = tuple(row)
            continue
        header = next((cells for cells in splits if places(cells, width) is not None), None)
        if header is not None and plain is None:
            return tuple(header), units
        if header is not None and not comment:
            raise CloudReadError(
                "not a readable table", expected="numbers after one header line", found=plain, hint=HINT
            )
        fitting = next((cells for cells in splits if len(cells) == width), None)
        if named and fitting is not None and plain is None:
            return tuple(fitting), units
        if comment:
            known = 0 if fitting is None else sum(field(name) is not None for name in fitting)
            if known > 1 or (dialect.mark != " " and _looks_named(body, [], dialect, width)):
                raise _without_coordinates(text)
        elif plain is None:
            plain = text[:80]
            above = any(places(cells, width) for line in texts for cells in _splits(line, dialect))
            if not named and not above and _looks_named(body, splits, dialect, width):
                raise _without_coordinates(text)
    return (), units


def _splits(body: str, dialect: Dialect) -> Iterator[list[str]]:
    """A line above a table in cells, by the table's own mark first."""
    spaced = re.sub(r"\s+([\[(<{])", r"\1", body) if dialect.mark == " " else body  # a unit is no cell of its own
    for mark in dict.fromkeys((dialect.mark, ",", ";", "\t", "|", " ")):
        cells = [cell.strip(' "') for cell in Dialect(mark).cells(spaced)]
        if len(cells) > LINES:
            continue  # no names of columns
        yield cells
        if len(cells) > 1 and not cells[-1]:
            yield cells[:-1]  # a mark at the end


def _looks_named(body: str, splits: list[list[str]], dialect: Dialect, width: int) -> bool:
    """Whether a line is a header: words, as many as columns, or coordinates among more or fewer."""
    own = [cell for cell in dialect.cells(body) if cell]
    if len(own) == width and all(dialect.number(cell) is None for cell in own):
        return True
    return any({"x", "y", "z"} <= {field(cell) for cell in cells} for cells in splits)


def _without_coordinates(text: str) -> CloudReadError:
    return CloudReadError("the header names no coordinates", expected="x, y and z", found=text[:200], hint=HINT)


def _shown(texts: list[str]) -> str:
    return repr(texts[0][:80]) if texts else "nothing"
