"""Tables with columns of words, such as labels, flags and dates: the numbers that a header names are kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .column_names import are_units, places
from .dialects import COMMENTS, DIALECTS, Dialect, as_text

_LINES = 1000  # above a table, at most


def without_words(data: bytes) -> bytes | None:
    """The text of the named columns alone, below a header of their names; None where no header fits the rows.

    A row that is odd is kept as it is, so that what reads the table tells of it.

    Args:
        data: a text as `plain_bytes` gives it.
    """
    texts = [as_text(line) for line in data.split(b"\n")]
    for at, text in enumerate(texts[:_LINES]):
        body = text.lstrip("#/%! \t").strip()
        for dialect in DIALECTS if any(char.isalpha() for char in body) else ():
            names = [cell.strip(' "') for cell in Dialect(dialect.mark).cells(body)]
            found = places(names, len(names)) if 3 < len(names) <= _LINES else None
            if found is None or not (rows := _rows(texts[at + 1 :], dialect, len(names), found.values())):
                continue
            kept = sorted(found, key=lambda name: found[name])
            return "\n".join([dialect.mark.join(kept), *rows, ""]).encode()
    return None


def _rows(texts: Sequence[str], dialect: Dialect, width: int, kept: Collection[int]) -> list[str] | None:
    rows: list[str] = []
    for text in texts:
        if not text.strip() or text.lstrip().startswith(COMMENTS):
            continue
        cells = dialect.cells(text)
        known = len(cells) == width and all(dialect.number(cells[at]) is not None for at in kept)
        if known:
            rows.append(dialect.mark.join((cells[at] or "nan").replace(" ", "") for at in sorted(kept)))
        elif rows:
            rows.append(text)
        elif not are_units(cells):
            return None
    return rows
