"""What Numba compiles of the readers: LZF's packing, and rows of plain numbers, each rounded as Python rounds it.

Up to 19 digits are a whole number m, and the value is m·10ᵏ. Below 2⁵³, with |k| ≤ 22, one product or quotient of two
doubles that hold m and 10ᵏ exactly is rounded rightly (Clinger, PLDI 1990). Otherwise m and 10ᵏ are two
doubles each, and the product or quotient is formed with its error (Dekker, 1971), which decides the rounding but next
to a tie.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

_POWERS = np.array([float(10**k) for k in range(61)])  # up to 22, a double holds them exactly
_RESTS = np.array([float(10**k - int(float(10**k))) for k in range(61)])
_DIGITS, _EXACT, _LARGEST = 19, 1 << 53, 22
_SPLIT = 134217729.0  # 2²⁷ + 1
_ERROR = 2.0**-97  # of a product or quotient of two doubles each, relative to it, and then some
_STEP = 4096  # bytes in which lines are counted at once
_LF, _CR, _TAB, _SPACE, _PLUS, _MINUS, _ZERO, _LOWER = 10, 13, 9, 32, 43, 45, 48, 32


def _compiled(function: Callable[..., Any]) -> Any:
    """What a checker of types may have wrapped around it is taken off first."""
    return njit(inspect.unwrap(function), nogil=True, cache=True, error_model="numpy", boundscheck=False)


@_compiled
def count_lines(data: Bytes) -> int:
    """Line feeds."""
    count = 0
    for byte in data:
        count += byte == _LF
    return count


@_compiled
def after_lines(data: Bytes, count: int) -> int:
    """Where the line behind so many line feeds begins; the end where there are fewer."""
    start = 0
    while start < len(data):
        lines = count_lines(data[start : start + _STEP])
        if lines >= count:
            break
        count -= lines
        start += _STEP
    while count > 0 and start < len(data):
        count -= data[start] == _LF
        start += 1
    return min(start, len(data))


@_compiled
def _at(data: Bytes, i: int) -> np.uint8:
    """`data[i]`, i not negative: of a signed number Numba would look each time, which takes a quarter of all."""
    return data[np.uint64(i)]


@_compiled
def _scaled(mantissa: np.uint64, power: int) -> float:
    """mantissa · 10^power, rightly rounded; NaN where that is not sure."""
    if mantissa == 0:
        return 0.0
    if abs(power) >= len(_POWERS):
        return np.nan
    scale, beyond, high = _POWERS[abs(power)], _RESTS[abs(power)], float(mantissa)
    low = float(np.int64(mantissa - np.uint64(high)))
    first = high * scale if power >= 0 else high / scale
    factor = high if power >= 0 else first
    product = factor * scale
    a, b = _SPLIT * factor, _SPLIT * scale
    a, b = a - (a - factor), b - (b - scale)
    rest = ((a * b - product) + a * (scale - b) + (factor - a) * b) + (factor - a) * (scale - b)
    rest += factor * beyond
    second = rest + low * scale if power >= 0 else ((high - product) - rest + low) / scale
    value, unsure = first + second, first * _ERROR
    return value if first + (second - unsure) == first + (second + unsure) else np.nan


@_compiled
def parse(data: Bytes, mark: int, decimal: int, fortran: bool, out: NDArray[np.float64]) -> int:
    """Fill the rows of `out`, (lines, C), with numbers; how many rows there are, or −1 where one is not plain.

    Args:
        data: whole lines, the last one ended, too: no loop within a line has to look for the end.
        mark: between cells, which may have spaces around them; a space stands for any spaces and tabs.
        decimal: the decimal mark.
        fortran: exponents may stand behind a d, too.
    """
    width, end, spaced = out.shape[1], len(data), mark == _SPACE
    also = _TAB if spaced else _SPACE
    i, row, column = 0, 0, 0
    while i < end:
        byte = _at(data, i)
        while byte == _SPACE or byte == also:  # noqa: SIM109 - a tuple is compiled to slower code
            i += 1
            byte = _at(data, i)
        if byte == _CR and _at(data, i + 1) == _LF:
            i += 1
            byte = _at(data, i)
        if byte == _LF:
            if column == width:
                row, column = row + 1, 0
            elif column:
                return -1
            i += 1
            continue
        if column == width:
            return -1
        if column and not spaced:
            if byte != mark:
                return -1
            i += 1
            while _at(data, i) == _SPACE:
                i += 1
            byte = _at(data, i)
        negative = byte == _MINUS
        if negative or byte == _PLUS:
            i += 1
        begin = i
        mantissa, power = np.int64(0), 0
        byte = np.int64(_at(data, i)) - _ZERO
        while 0 <= byte <= 9:
            mantissa = mantissa * 10 + byte
            i += 1
            byte = np.int64(_at(data, i)) - _ZERO
        digits = i - begin
        if byte == decimal - _ZERO:
            i += 1
            fraction = i
            byte = np.int64(_at(data, i)) - _ZERO
            while 0 <= byte <= 9:
                mantissa = mantissa * 10 + byte
                i += 1
                byte = np.int64(_at(data, i)) - _ZERO
            power = fraction - i
            digits -= power
        if digits > _DIGITS:
            while _at(data, begin) == _ZERO or _at(data, begin) == decimal:
                digits -= _at(data, begin) == _ZERO
                begin += 1
            if digits > _DIGITS:
                return -1
        if digits == 0:
            if (
                i != begin
                or _at(data, i) | _LOWER != 110
                or _at(data, i + 1) | _LOWER != 97
                or _at(data, i + 2) | _LOWER != 110
            ):
                return -1
            i += 3
            value = np.nan
        else:
            byte = _at(data, i) | _LOWER
            if byte == 101 or (fortran and byte == 100):
                i += 1
                down = _at(data, i) == _MINUS
                if down or _at(data, i) == _PLUS:
                    i += 1
                exponent, first = 0, i
                while 48 <= _at(data, i) <= 57 and i - first < 5:
                    exponent = exponent * 10 + np.int64(_at(data, i)) - _ZERO
                    i += 1
                if i == first:
                    return -1
                power += -exponent if down else exponent
            if 0 <= mantissa < _EXACT and -_LARGEST <= power <= _LARGEST:
                value = mantissa * _POWERS[power] if power >= 0 else mantissa / _POWERS[-power]
            else:
                value = _scaled(np.uint64(mantissa), power)
                if value != value:
                    return -1
        byte = _at(data, i)
        if byte != _SPACE and byte != _TAB and byte != _LF and byte != _CR and (spaced or byte != mark):
            return -1
        out[row, column] = -value if negative else value
        column += 1
    return row


@_compiled
def unpack(data: Bytes, out: Bytes) -> bool:
    """Fill `out` with what `data` unpack to; False where they do not do so exactly."""
    i, at = 0, 0
    while i < len(data):
        control = np.int64(data[i])
        i += 1
        if control < 32:
            if i + control >= len(data) or at + control >= len(out):
                return False
            for _ in range(control + 1):
                out[at] = data[i]
                at, i = at + 1, i + 1
            continue
        length = control >> 5
        if i + (length == 7) >= len(data):
            return False
        if length == 7:
            length += np.int64(data[i])
            i += 1
        start = at - ((control & 31) << 8) - np.int64(data[i]) - 1
        i += 1
        if start < 0 or at + length + 2 > len(out):
            return False
        for back in range(start, start + length + 2):
            out[at] = out[back]
            at += 1
    return at == len(out)
