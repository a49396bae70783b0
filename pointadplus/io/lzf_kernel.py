"""What `lzf` compiles: unpacking, byte by byte."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def _unpack(data: NDArray[np.uint8], out: NDArray[np.uint8]) -> bool:
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


# What a checker of types may have wrapped around it is taken off first.
unpack: Any = njit(inspect.unwrap(_unpack), nogil=True, cache=True)
