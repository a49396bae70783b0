"""How a text writes a table: its encoding, the mark between cells, the decimal mark, and words for no value."""

from __future__ import annotations

import codecs
import csv
import re
from dataclasses import dataclass

from ..errors import CloudReadError

#: What stands for no value, in lower case. Infinity is none either.
MISSING = frozenset((
    "", "na", "n/a", "#n/a", "<na>", "nan", "+nan", "-nan", "nan(ind)", "-nan(ind)", "1.#qnan", "-1.#qnan", "1.#snan",
    "1.#ind", "-1.#ind", "1.#inf", "-1.#inf", "inf", "+inf", "-inf", "infinity", "-infinity", "null", "nil", "none",
    "no data", "nodata", "no_data", "no-data", "missing", "invalid", "void", "-", "--", "---", "***",
))  # fmt: skip
COMMENTS = ("#", "//", "%", "!")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[edED][+-]?\d+)?", re.ASCII)
_NO_DATA = re.compile("no data", re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """The mark between cells, where a space means any white space, and the decimal mark."""

    mark: str
    decimal: str = "."

    def cells(self, line: str) -> list[str]:
        """The cells of a line, without quotes and white space around them."""
        if self.mark == " ":
            line = _NO_DATA.sub("nan", line) if "ata" in line.lower() else line
            return [cell.strip('"') for cell in line.split()]
        if '"' in line:
            return [cell.strip() for cell in next(csv.reader([line], delimiter=self.mark, skipinitialspace=True))]
        return [cell.strip() for cell in line.split(self.mark)]

    def number(self, cell: str) -> float | None:
        """The number in a cell, NaN where a word says that there is none, or None for any other word."""
        if self.decimal == "," and "," in cell:
            if "." in cell:
                return None
            cell = cell.replace(",", ".")
        elif self.decimal == "," and "." in cell and not cell.startswith(("1.#", "-1.#")):
            return None
        if _NUMBER.fullmatch(cell):
            return float(cell.lower().replace("d", "e"))
        return float("nan") if cell.lower() in MISSING else None

    def width(self, line: str) -> int:
        """Cells of a row of numbers; 0 for any other line. A row of blanks and dashes is a ruler, no row."""
        if line.lstrip().startswith(COMMENTS):
            return 0
        cells = self.cells(line)
        if any(self.number(cell) is None for cell in cells):
            return 0
        return len(cells) if any(char.isalnum() for char in line) else 0


#: In the order in which they are tried; the one that most of the first rows fit is taken.
DIALECTS = tuple(Dialect(mark, decimal) for mark in ";\t,| " for decimal in ".,")


def plain_bytes(data: bytes) -> bytes:
    """The text in UTF-8, or in an encoding that shares ASCII, without a byte order mark, its lines ended by LF.

    Raises:
        CloudReadError: it holds zero bytes.
        UnicodeDecodeError: it is marked as UTF-16 and is none.
    """
    if data.startswith(codecs.BOM_UTF8):
        data = data[3:]
    elif data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.decode("utf-16").encode()
    elif len(data) > 3 and not any(data[1:64:2]):
        data = data.decode("utf-16-le").encode()
    elif len(data) > 3 and not any(data[:64:2]):
        data = data.decode("utf-16-be").encode()
    if b"\0" in data:
        raise CloudReadError(
            "not a readable text: it holds zero bytes",
            expected="a table in UTF-8, UTF-16 or Latin-1",
            found="binary data",
        )
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


def as_text(line: bytes) -> str:
    """A line of the text without spaces around it, for tabs may be empty cells; Latin-1 where it is no UTF-8."""
    try:
        return line.decode().strip(" \n")
    except UnicodeDecodeError:
        return line.decode("latin-1").strip(" \n")
