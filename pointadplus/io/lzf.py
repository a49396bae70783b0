"""LibLZF's packing, in which PCD files come; read here, since no package with wheels unpacks it.

Packed data are a row of tokens: up to 32 plain bytes, or a copy of up to 264 bytes that begin at most 8,192 bytes back.
"""

from __future__ import annotations

import numpy as np

from ..errors import CloudReadError
from .formats import kernels

_COMPILED = 1 << 18  # packed bytes from which on Numba, where it is there, is worth the time that loading it takes


def lzf_decompress(data: bytes | memoryview, size: int) -> bytes:
    """Unpack to exactly `size` bytes; every count and reference is checked.

    With Numba, larger data are unpacked some thirty times as fast.

    Raises:
        CloudReadError: the data do not unpack to `size` bytes, or a copy begins before the first byte.
        IndexError: they end within a token.
    """
    kernel = kernels() if len(data) >= _COMPILED else None
    if kernel is None:
        return unpacked(bytes(data), size)
    out = np.empty(size, np.uint8)
    if not kernel.unpack(np.frombuffer(data, np.uint8), out):
        raise CloudReadError("the compressed data is corrupt", expected=f"tokens that unpack to {size} bytes")
    return out.tobytes()


def unpacked(data: bytes, size: int) -> bytes:
    """The same without Numba."""
    out, i = bytearray(), 0
    while i < len(data) and len(out) <= size:
        control = data[i]
        i += 1
        if control < 32:  # a run of control + 1 plain bytes
            out += data[i : i + control + 1]
            i += control + 1
            continue
        length = control >> 5
        if length == 7:
            length += data[i]
            i += 1
        start = len(out) - ((control & 31) << 8) - data[i] - 1
        i += 1
        length += 2
        if start < 0:
            raise CloudReadError("the compressed data is corrupt", expected="a reference to what came before")
        piece = bytes(out[start : start + length])
        out += piece if len(piece) == length else (piece * (length // len(piece) + 1))[:length]
    if len(out) != size or i != len(data):
        raise CloudReadError("the compressed data is corrupt", expected=f"{size} bytes", found=f"{len(out)} bytes")
    return bytes(out)
