"""Laser scanners' binary files: LAS and LAZ through laspy, E57 through pye57, both behind guards."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CloudReadError, install_command
from .formats import RawCloud, check_bytes, chosen, joined, most_inflated, unit_colors

_LOCAL = {
    "cartesian": ("cartesianX", "cartesianY", "cartesianZ"),
    "spherical": ("sphericalRange", "sphericalAzimuth", "sphericalElevation"),
}
_COLORS = ("colorRed", "colorGreen", "colorBlue")
_LAYERS = {10: 9, 11: 1, 12: 2, 13: 1}  # of an item of a LAZ point (LASzip: POINT14, RGB14, RGBNIR14, WAVEPACKET14)
_BYTES = 14  # BYTE14, a layer for each of its bytes
_GRID = ("rowIndex", "columnIndex")


def read_las(data: bytes) -> RawCloud:
    """LAS and LAZ: coordinates in double, `offset + scale · integer`; points marked as withheld become NaN."""
    try:
        import laspy  # pyright: ignore[reportMissingImports] - optional
        import lazrs  # noqa: F401 # pyright: ignore[reportMissingImports] - what laspy opens LAZ with
    except ImportError as error:
        raise CloudReadError("LAS needs the package laspy[lazrs]", hint=install_command("scanners")) from error
    check_bytes(227, len(data), "LAS header")
    check_bytes(54 * int.from_bytes(data[100:104], "little"), len(data), "LAS header")  # its records, one after another
    layers = laspy.DecompressionSelection
    wanted = layers.XY_RETURNS_CHANNEL | layers.Z | layers.FLAGS | layers.RGB
    try:
        with laspy.LasReader(io.BytesIO(data), read_evlrs=False, decompression_selection=wanted) as reader:
            header: Any = reader.header
            start, size = header.offset_to_point_data, header.point_count * header.point_format.size
            if header.are_points_compressed:
                check_bytes(size, most_inflated(len(data)), "LAZ")
                _check_chunks(data, start, header.vlrs.get("LasZipVlr")[0].record_data)
            else:
                check_bytes(start + size, len(data), "LAS")
            rows: Any = reader.read_points(-1)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of Rust, which is no Exception
            raise
        raise CloudReadError("the LAZ is damaged", found=str(error)[:200], hint="copy the file again") from error
    if len(rows) != header.point_count:
        raise CloudReadError("the LAS is truncated", expected=f"{header.point_count} points", found=len(rows))
    points = np.empty((len(rows), 3))
    for axis, scale, offset, column in zip("XYZ", header.scales, header.offsets, points.T, strict=True):
        np.add(rows[axis] * scale, offset, out=column)
    points[np.asarray(rows["withheld"], bool)] = np.nan
    names = set(rows.point_format.dimension_names)
    colors = np.stack([rows[c] for c in ("red", "green", "blue")], axis=1) if "red" in names else None
    return RawCloud(points, colors=unit_colors(colors) if colors is not None and colors.any() else None)


def _check_chunks(data: bytes, start: int, laszip: bytes) -> None:
    """The chunks of a LAZ and the layers in them have sizes in front, which a reader allocates before it looks."""
    lazrs: Any = import_module("lazrs")
    table = int.from_bytes(data[start : start + 8], "little", signed=True)
    if table == -1:  # written to a stream: the place stands at the end
        table = int.from_bytes(data[-8:], "little", signed=True)
    if not start < table <= len(data) - 8:
        raise CloudReadError("the LAZ is truncated", expected="a chunk table within the file", found=f"at {table}")
    check_bytes(int.from_bytes(data[table + 4 : table + 8], "little"), len(data), "LAZ's chunk table")
    stream = io.BytesIO(data)
    stream.seek(start)
    chunks = [size for _, size in lazrs.read_chunk_table(stream, lazrs.LazVlr(laszip))]
    check_bytes(start + 8 + sum(chunks), len(data), "LAZ")
    items = np.frombuffer(laszip, "<u2", 3 * int.from_bytes(laszip[32:34], "little"), 34).reshape(-1, 3).astype(int)
    layers = sum(size if kind == _BYTES else _LAYERS.get(kind, 0) for kind, size, _ in items.tolist())
    at = start + 8
    for chunk in chunks if layers else ():
        head = int(items[:, 1].sum()) + 4  # the first point, and the number of points
        sizes = np.frombuffer(data, "<u4", layers, at + head)
        check_bytes(head + 4 * layers + int(sizes.sum(dtype=np.uint64)), chunk, "LAZ's chunk")
        at += chunk


def read_e57(path: Path, number: int | None = None) -> RawCloud:
    """E57: every scan in the file's frame, each with its pose and eye, or scan `number` alone, from 1.

    Points whose state is not valid become NaN. Colours are scaled by the file's limits. A single scan whose records
    fill its rows and columns, one after another, keeps that grid.
    """
    try:
        from pye57 import libe57  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue] - optional
    except ImportError as error:
        raise CloudReadError("E57 needs the package pye57", hint=install_command("scanners")) from error
    file = libe57.ImageFile(str(path), "r")
    try:
        headers = list(file.root()["data3D"])
        wanted = [headers[i] for i in chosen(len(headers), number)]
        rows = sum(header["points"].childCount() for header in wanted)
        check_bytes(8 * 3 * rows, most_inflated(path.stat().st_size), "E57")
        poses = [_pose(header) for header in headers]
        scans = [_e57_scan(libe57, file, headers[i], *poses[i]) for i in chosen(len(headers), number)]
        return joined(scans, np.stack([eye for _, eye in poses]), number)
    finally:
        file.close()


def _pose(header: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) and translation (3,) of a scan into the file's frame; an absent one turns and moves nothing."""

    def values(name: str, axes: str, default: Sequence[float]) -> np.ndarray:
        paths = [f"pose/{name}/{axis}" for axis in axes]
        return np.array([header[path].value() for path in paths] if header.isDefined(paths[0]) else default, np.float64)

    w, x, y, z = values("rotation", "wxyz", (1.0, 0.0, 0.0, 0.0))
    length = w * w + x * x + y * y + z * z
    if not 0 < length < np.inf:
        raise CloudReadError("a pose turns by no quaternion", expected="a finite one that is not 0", found=(w, x, y, z))
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation = np.eye(3) + 2 / length * (w * cross + cross @ cross)
    return rotation, values("translation", "xyz", (0.0, 0.0, 0.0))


def _e57_scan(libe57: Any, file: Any, header: Any, rotation: np.ndarray, eye: np.ndarray) -> RawCloud:
    vector = header["points"]
    prototype = libe57.StructureNode(vector.prototype())
    kind = next((kind for kind, names in _LOCAL.items() if all(map(prototype.isDefined, names))), None)
    if kind is None:
        raise CloudReadError("a scan has no coordinates", expected="cartesianX, Y, Z or sphericalRange, …")
    state = f"{kind}InvalidState"
    names = [name for name in (*_LOCAL[kind], *_COLORS, *_GRID, state) if prototype.isDefined(name)]
    points, values = _columns(libe57, file, vector, names)
    if kind == "spherical":
        distance, azimuth, elevation = points.T
        flat = distance * np.cos(elevation)
        points = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), distance * np.sin(elevation)], axis=1)
    if eye.any() or not np.array_equal(rotation, np.eye(3)):
        points = points @ rotation.T + eye
    if state in values:
        points[values[state] != 0] = np.nan
    colors = None
    if all(name in values for name in _COLORS):
        colors = np.stack([values[name] for name in _COLORS], axis=1)
        limits = [_limits(header, prototype, name) for name in _COLORS]
        known = np.array([pair for pair in limits if pair is not None])
        if len(known) == 3:
            colors = np.clip((colors - known[:, 0]) / (known[:, 1] - known[:, 0]), 0, 1).astype(np.float32)
        else:
            colors = unit_colors(colors)
    grid = _grid(*(values[name] for name in _GRID)) if all(name in values for name in _GRID) else None
    return RawCloud(points, colors=colors, grid=grid, unit="m")  # as ASTM E2807 has it


def _columns(libe57: Any, file: Any, vector: Any, names: list[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The first three fields as (N, 3), and each as (N,), doubles: pye57's own buffers hold colours and rows in
    integers too short for some."""
    count = vector.childCount()
    points, beside = np.empty((count, 3)), np.empty((len(names) - 3, count))
    values = dict(zip(names, [*points.T, *beside], strict=True))
    if count:
        buffers = libe57.VectorSourceDestBuffer()
        for name, column in values.items():
            buffers.append(libe57.SourceDestBuffer(file, name, column, count, True, True, column.strides[0]))
        reader = vector.reader(buffers)
        read = reader.read()
        reader.close()
        if read != count:
            raise CloudReadError("a scan is truncated", expected=f"{count} points", found=read)
    return points, values


def _limits(header: Any, prototype: Any, name: str) -> tuple[float, float] | None:
    """The least and the greatest value of a colour: `colorLimits`, or an integer field's own range; None if unknown."""
    paths = [f"colorLimits/{name}{end}" for end in ("Minimum", "Maximum")]
    node = prototype[name]
    low, high = 0.0, 0.0
    if all(header.isDefined(path) for path in paths):
        low, high = (_value(header[path]) for path in paths)
    elif type(node).__name__ == "IntegerNode":
        low, high = float(node.minimum()), float(node.maximum())
    return (low, high) if low < high else None


def _value(node: Any) -> float:
    return float(node.scaledValue() if hasattr(node, "scaledValue") else node.value())


def _grid(rows: np.ndarray, columns: np.ndarray) -> tuple[int, int] | None:
    """(H, W) if the records fill a grid in order, along either index: the order of the file is kept."""
    for slow, fast in ((rows, columns), (columns, rows)):
        if len(slow) and np.isfinite(slow).all() and np.isfinite(fast).all():
            slow, fast = (index.astype(np.int64) - int(index.min()) for index in (slow, fast))
            height, width = int(slow.max()) + 1, int(fast.max()) + 1
            full = min(height, width) > 1 and height * width == len(slow)
            if full and np.array_equal(slow * width + fast, np.arange(len(slow))):
                return height, width
    return None
