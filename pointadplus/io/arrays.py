"""Arrays of points: NumPy files and TIFF scans."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping

import numpy as np

from ..errors import CloudReadError, install_command
from .column_names import FIELDS, field
from .columns import WIDEST, from_columns
from .depth import HINT, FindCamera, from_depth
from .formats import RawCloud, check_blank, check_bytes, from_fields, most_inflated, unit_colors

_IMAGE = f"an image of depths or heights needs its camera or its pitch; {HINT}"
_ROWS = (3, 4, 6, 7, 9)  # of an array whose coordinates stand in rows
_POINTS = (  # keys of an NPZ, the first that is there
    "points", "xyz", "pts", "vertices", "positions", "coords", "point_cloud", "pointcloud", "cloud", "pc", "pcd",
    "point", "position", "pos", "coord", "coordinates", "verts", "data",
)  # fmt: skip
_BESIDE = {"normals": ("normals", "normal"), "colors": ("colors", "colours", "color", "colour", "rgb")}


def read_npy(data: bytes, camera: FindCamera = lambda: None) -> RawCloud:
    """NPY: (N, C ≥ 3), organised (H, W, 3), a structured array with the fields x, y and z, or a depth image, (H, W)."""
    array = _array(data)
    return _from_records(array) if array.dtype.names else from_array(array, camera)


def read_npz(data: bytes, camera: FindCamera = lambda: None) -> RawCloud:
    """NPZ: `points`, `xyz`, `pts`, `vertices`, or x, y and z, and `normals` and `colors` beside; or `depth`, or the
    only array."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
        names = {name.lower(): name for name in reversed(entries)}
        left = most_inflated(len(data))

        def load(name: str) -> np.ndarray:
            nonlocal left
            entry = entries[names[name]]
            check_bytes(entry.file_size, left, "archive")
            left -= entry.file_size
            return _array(archive.read(entry))

        beside = {key: next((name for name in known if name in names), None) for key, known in _BESIDE.items()}
        extra = {key: load(name) for key, name in beside.items() if name is not None}
        key = next((name for name in _POINTS if name in names), None)
        if key is None and set("xyz") <= set(names):
            axes = [load(axis) for axis in "xyz"]
            if len({axis.shape for axis in axes}) > 1:
                raise CloudReadError("x, y and z have other shapes", found=[axis.shape for axis in axes])
            raw = from_array(np.stack(axes, -1))
        else:
            others = [name for name in names if name not in beside.values()]
            key = key or (others[0] if len(others) == 1 else "depth" if "depth" in others else None)
            if key is None:
                expected = "`points`, `xyz`, `vertices`, or x, y and z, or one array"
                raise CloudReadError("which array?", expected=expected, found=", ".join(entries)[:200])
            array = load(key)
            raw = _from_records(array) if array.dtype.names else from_array(array, camera)
    return _with(raw, extra)


def read_tiff(data: bytes, camera: FindCamera = lambda: None) -> RawCloud:
    """TIFF: an organised (H, W, 3) scan, or x, y and z as three pages; (0, 0, 0) is no return, as in MVTec 3D-AD. Or a
    depth image."""
    try:
        import tifffile  # pyright: ignore[reportMissingImports] - optional
    except ImportError as error:
        raise CloudReadError("TIFF needs the package tifffile", hint=install_command("tiff")) from error
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        pages = [tiff.pages[at] for at in range(min(len(tiff.pages), 4))]
        planes = len(pages) == 3 and len({(page.shape, page.dtype) for page in pages}) == 1 and len(pages[0].shape) == 2
        pages = pages if planes else pages[:1]
        size = sum(math.prod(page.shape) * page.dtype.itemsize for page in pages)
        check_bytes(size, most_inflated(len(data)), "image")
        array = np.stack([page.asarray() for page in pages], -1) if planes else pages[0].asarray()
        count = len(tiff.pages)
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = np.moveaxis(array, 0, 2)  # planar storage
    if array.ndim == 2 and array.shape[1] != 3:
        if count == 1 and (known := camera()) is not None:
            return from_depth(array, known)
        found = (
            f"{array.shape} {array.dtype}, the first of {count} pages" if count > 1 else f"{array.shape} {array.dtype}"
        )
        raise CloudReadError(
            "an image is no list of points", expected="(H, W, 3), or 3 pages", found=found, hint=_IMAGE
        )
    _refuse_photograph(array)
    raw = from_array(array.astype(np.float64))
    return RawCloud(np.where((raw.points == 0).all(-1, keepdims=True), np.nan, raw.points))


def from_array(array: np.ndarray, camera: FindCamera = lambda: None) -> RawCloud:
    """Points from (N, C ≥ 3) or (H, W, 3), or from a depth image, (H, W), whose camera is known.

    Raises:
        CloudReadError: another shape, or what is no list of points: an image, or coordinates along the other axis.
    """
    if array.ndim == 3 and array.shape[2] == 3:
        _refuse_photograph(array)
        return RawCloud(array)
    flat = array.squeeze() if array.ndim == 3 and 1 in (array.shape[0], array.shape[2]) else array
    if flat.ndim == 2 and min(flat.shape) > WIDEST and (known := camera()) is not None:
        return from_depth(flat, known)
    if array.ndim == 2 and array.shape[1] > WIDEST:
        rows = array.shape[0]
        hint = "give its transpose" if rows in _ROWS else _IMAGE
        what = "the coordinates stand in rows" if rows in _ROWS else "an image is no list of points"
        raise CloudReadError(what, expected="(N, 3 or more) or (H, W, 3)", found=array.shape, hint=hint)
    if array.ndim == 2 and array.shape[1] >= 3:
        return from_columns(array)
    if flat.ndim == 2 and min(flat.shape) > WIDEST:
        raise CloudReadError("an image is no list of points", found=array.shape, hint=_IMAGE)
    hint = "planes: move the first axis to the end" if array.ndim == 3 and array.shape[0] == 3 else None
    raise CloudReadError(
        "the array has the wrong shape", expected="(N, 3 or more) or (H, W, 3)", found=array.shape, hint=hint
    )


def _refuse_photograph(array: np.ndarray) -> None:
    if array.dtype == np.uint8:
        found = f"{array.shape} uint8"
        raise CloudReadError("a photograph is no scan", expected="coordinates", found=found, hint=_IMAGE)


def _array(data: bytes) -> np.ndarray:
    """The array of an NPY. The header is checked against the bytes before the array is made."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, fortran, dtype = read_header(stream)
    plain = dtype.kind in "fiu" or (dtype.names and not dtype.hasobject and dtype.itemsize)
    if not plain or min(shape, default=0) < 0:
        raise CloudReadError("not an array of numbers", expected="real numbers", found=f"{dtype} {shape}"[:200])
    rest = memoryview(data)[stream.tell() :]
    size = math.prod(shape) * dtype.itemsize
    check_bytes(size, len(rest), "array")
    check_blank(rest[size:], "array")
    array = np.frombuffer(rest, dtype, math.prod(shape))
    return array.reshape(shape, order="F" if fortran else "C")


def _from_records(array: np.ndarray) -> RawCloud:
    """Points from the named fields of (N,) or (H, W) records; a field of three numbers may hold x, y and z."""
    columns: dict[str, np.ndarray] = {}
    extra: dict[str, np.ndarray] = {}
    for name in array.dtype.names or ():
        column = array[name]
        if column.dtype.kind not in "fiu":
            continue
        if column.ndim == array.ndim:
            columns[field(name) or name.lower()] = column.reshape(-1)
        elif column.shape[array.ndim :] == (3,):
            known = {"points": (*_POINTS, "position", "point"), **_BESIDE}
            key = next((key for key, names in known.items() if name.lower() in names), None)
            extra |= {} if key is None else {key: column.reshape(-1, 3)}
    grid = (array.shape[0], array.shape[1]) if array.ndim == 2 else None
    if array.ndim not in (1, 2):
        raise CloudReadError("the array has the wrong shape", expected="(N,) or (H, W) records", found=array.shape)
    if "points" in extra:
        return _with(RawCloud(extra.pop("points"), grid=grid), extra)
    return _with(
        from_fields({name: columns[name] for name in columns if name in (*FIELDS, "rgb", "rgba")}, grid), extra
    )


def _with(raw: RawCloud, extra: Mapping[str, np.ndarray]) -> RawCloud:
    """The cloud with normals and colours that stand in arrays of their own."""
    found = {"normals": raw.normals, "colors": raw.colors}
    for key, values in extra.items():
        if values.dtype.kind not in "fiu" or values.size != raw.points.size or values.shape[-1] != 3:
            shape = values.shape if raw.points.shape != values.shape else values.dtype
            raise CloudReadError(f"the {key} do not fit the points", expected=raw.points.shape, found=shape)
        flat = values.reshape(-1, 3)
        found[key] = unit_colors(flat) if key == "colors" else flat
    return RawCloud(raw.points, found["normals"], found["colors"], raw.grid, raw.faces, raw.viewpoint, raw.notes)
