"""glTF's quantised positions (KHR_mesh_quantization): normalised integers, which trimesh takes as they are."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

_KINDS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2"}
_FLOAT = 5126
_JSON, _BIN = 0x4E4F534A, 0x004E4942


def dequantised(data: bytes, path: Path) -> bytes:
    """A GLB or glTF, as `meshes` has checked it, with its normalised positions in floats; others as they are."""
    packed = data[:4] == b"glTF"
    size = int.from_bytes(data[12:16], "little") if packed else len(data)
    header: dict[str, Any] = json.loads(data[20 : 20 + size] if packed else data)
    rest = data[28 + size :] if packed else b""
    primitives = [each for mesh in header.get("meshes", []) for each in mesh.get("primitives", [])]
    numbers = {each["attributes"]["POSITION"] for each in primitives if "POSITION" in each.get("attributes", {})}
    accessors = [header["accessors"][number] for number in sorted(numbers)]
    accessors = [each for each in accessors if each.get("normalized") and each.get("componentType") in _KINDS]
    if not accessors:
        return data
    new = b"".join(_floats(each, header, path, rest if packed else None) for each in accessors)
    rest += b"\0" * (-len(rest) % 4)
    start = len(rest)
    for each in accessors:
        length = 12 * each["count"]
        view = {"buffer": 0 if packed else len(header["buffers"]), "byteOffset": start, "byteLength": length}
        header["bufferViews"].append(view)
        each |= {"bufferView": len(header["bufferViews"]) - 1, "componentType": _FLOAT, "byteOffset": 0}
        for name in ("normalized", "min", "max"):
            each.pop(name, None)
        start += length
    if not packed:
        uri = "data:application/octet-stream;base64," + base64.b64encode(new).decode()
        header["buffers"].append({"byteLength": len(new), "uri": uri})
        return json.dumps(header).encode()
    header["buffers"][0]["byteLength"] = len(rest + new)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), _JSON) + text + struct.pack("<II", len(rest + new), _BIN) + rest + new
    return b"glTF" + struct.pack("<II", 2, 12 + len(body)) + body


def _floats(accessor: dict[str, Any], header: dict[str, Any], path: Path, packed: bytes | None) -> bytes:
    """The (count, 3) values of an accessor as float32: c / 255 and the like, those of signed kinds not below −1."""
    view = header["bufferViews"][accessor["bufferView"]]
    uri = header["buffers"][view["buffer"]].get("uri")
    if uri is None:
        source = packed or b""
    elif uri.startswith("data:"):
        source = base64.b64decode(uri.partition(",")[2])
    else:
        source = (path.parent / unquote(uri)).read_bytes()
    kind = np.dtype(_KINDS[accessor["componentType"]])
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    strides = view.get("byteStride", 3 * kind.itemsize), kind.itemsize
    values = np.ndarray((accessor["count"], 3), kind, source, start, strides) / np.iinfo(kind).max
    return np.maximum(values, -1).astype("<f4").tobytes()
