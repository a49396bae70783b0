"""Reading, guarded: `read_cloud`, `as_cloud` of whatever is at hand, and `read_file`, on which `read_mesh` stands."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..cloud import PointCloud
from ..config import check_known, check_range
from ..errors import CloudError, CloudReadError, ConfigError
from ..units import unit_named
from .arrays import read_npy, read_npz, read_tiff
from .cad import read_iges, read_step
from .column_names import check_columns
from .depth import DEPTH, Camera, FindCamera, camera_beside, check_camera, read_depth
from .formats import MAX_INFLATED, RawCloud, inflating_at_most
from .meshes import read_off, read_scene
from .objects import AT, from_object
from .pcd import read_pcd
from .ply import read_ply
from .ptx import read_pts, read_ptx
from .sampling import to_cloud
from .scanners import read_e57, read_las
from .tables import read_text
from .threemf import read_3mf
from .unknown import conversion_hint
from .vertices import at_vertices
from .vtk import read_vtk
from .vtp import read_vtp

_Built = TypeVar("_Built")
_BYTES_A_POINT = 256  # that a compressed file may unpack to: 32 doubles, more than scanners write

_TEXTS = (".xyz", ".txt", ".csv", ".asc", ".tsv")
_VIEWED: dict[str, Callable[[memoryview], RawCloud]] = {
    ".pcd": read_pcd,
    ".ply": read_ply,
    **dict.fromkeys(_TEXTS, read_text),
}
_READERS: dict[str, Callable[[bytes], RawCloud]] = {
    ".off": read_off,
    ".pts": read_pts,
    ".3mf": read_3mf,
    ".vtk": read_vtk,
    ".vtp": read_vtp,
    **dict.fromkeys((".step", ".stp"), read_step),
    **dict.fromkeys((".iges", ".igs"), read_iges),
    **dict.fromkeys((".las", ".laz"), read_las),
}
_IMAGES: dict[str, Callable[[bytes, FindCamera], RawCloud]] = {
    ".npy": read_npy,
    ".npz": read_npz,
    **dict.fromkeys((".tif", ".tiff"), read_tiff),
    **dict.fromkeys(DEPTH, read_depth),
}
_SCENES = (".stl", ".obj", ".glb", ".gltf")
_SCANS: dict[str, Callable[[Path, int | None], RawCloud]] = {
    ".e57": read_e57,
    ".ptx": lambda path, number: read_ptx(path.read_bytes(), number),
}

_BLANK = "\n\n"  # behind which libE57 dumps where in itself an error arose
#: Extensions that `read_cloud` reads and folders are searched for; PNGs are as `is_depth_image` tells.
READABLE = tuple(sorted({*_VIEWED, *_READERS, *_IMAGES, *_SCENES, *_SCANS} - {*DEPTH}))


def read_cloud(
    path: str | os.PathLike[str],
    *,
    points: int = 100_000,
    seed: int = 0,
    max_points: int | None = None,
    columns: Mapping[str, int | str] | None = None,
    unit: str | None = None,
    camera: Camera | Sequence[float | int] | None = None,
    depth_scale: float | int | None = None,
    at: str = "surface",
) -> PointCloud:
    """Read a scan, or sample a mesh.

    Clouds: PCD (ascii, binary, compressed; organised scans keep their grid), PLY (ascii, binary), text tables (XYZ,
    TXT, CSV, TSV, ASC), NPY, NPZ, TIFF (with tifffile), LAS, LAZ, E57 (with the extra `scanners`), PTX, PTS. Meshes:
    PLY with faces, OBJ, STL, OFF, GLB, GLTF, 3MF, VTK and VTP (polydata; without faces they are clouds), STEP and IGES
    (with the extra `scanners`; tessellated). The extension decides. Coordinates stay in the file's unit and frame.

    Rows that are not finite, have a coordinate missing or are no return are dropped and counted (`PointCloud.rows`,
    `PointCloud.notes`), and so are withheld points of LAS, invalid ones of E57 and (0, 0, 0) of PTX.

    Columns of a text table go by their names, whatever their case, unit and punctuation; without names, those after x,
    y, z are told apart by their values: normals have unit length, and a first column that counts the rows is an index.
    A matrix of heights is an organised scan where the lines above it name its pitch, such as `XRes=0.05`. A PNG, and a
    TIFF, NPY or NPZ of one number a pixel, is a depth image: `camera`, or `scan.json` or `intrinsics.json` beside it,
    tells fx, fy, cx, cy in pixels and `depth_scale`, and without them the image is refused. All scans of an E57 or PTX
    are one cloud; `file.e57#2` is the second of them alone.

    Args:
        path: the file, with `#` and a number from 1 behind it for one scan of an E57 or PTX.
        points: points to sample from a mesh, evenly by area; clouds are read whole.
        seed: of that sampling.
        max_points: refuse a file of more rows, or of more vertices, and a compressed one that unpacks to more than 256
            bytes for each of them; None means what memory holds.
        columns: of a text table, by field, x, y and z at least, and nx, ny, nz, red, green, blue: numbers from 1, or
            names of its header, such as `{"x": 3, "y": 4, "z": 5}`; None leaves it to the header.
        unit: of the coordinates, such as `"mm"`, which stay as they are (`PointCloud.unit`). None leaves it to the
            file: 3MF, STEP, IGES and E57 tell it, and headers of text tables may.
        camera: of a depth image, a `Camera` or fx, fy, cx, cy in pixels; None leaves it to a JSON beside the file.
        depth_scale: multiplies the numbers of a depth image; None: as the camera or the JSON tells, or 1.
        at: `"surface"` samples a mesh; `"vertices"` makes a `VertexCloud` of its vertices, in the file's order, whose
            scores are those of the surface there. Clouds have no faces and are read alike.

    Raises:
        CloudReadError: missing, unreadable, empty, truncated, malformed, absurd or too large a file, an unknown
            extension, or a text table in which no coordinates are found.
        ConfigError: `points` or `max_points` below 1, `columns` without x, y or z, or what is no camera; or either for
            another kind of file; or an unknown `at` or unit.
    """
    check_known(at, AT, "at")
    check_range(points, "[1, ∞)", "points")
    if max_points is not None:
        check_range(max_points, "[1, ∞)", "max_points")
    named, unit = check_columns(columns), None if unit is None else unit_named(unit)
    if named is not None and Path(path).suffix.lower() not in _TEXTS:
        raise ConfigError("only text tables have columns", where=path, expected=", ".join(_TEXTS), found="columns")

    eye = check_camera(camera, depth_scale)
    if (camera is not None or depth_scale is not None) and Path(path).suffix.lower() not in _IMAGES:
        raise ConfigError("only images have a camera", where=path, expected=", ".join(_IMAGES), found="camera")

    def build(raw: RawCloud, source: str) -> PointCloud:
        rows = raw.points.size // 3
        if max_points is not None and rows > max_points:
            raise CloudReadError("too many points", expected=f"at most {max_points}", found=rows)
        if unit is not None and raw.unit not in (None, unit):
            raw = replace(raw, notes=(*raw.notes, f"the file's unit is {raw.unit}, and was told to be {unit}"))
        return at_vertices(raw, source, unit) if at == "vertices" else to_cloud(raw, points, seed, source, unit)

    with inflating_at_most(MAX_INFLATED if max_points is None else max_points * _BYTES_A_POINT):
        reader = None if named is None else partial(read_text, columns=named)
        if Path(path).suffix.lower() in _IMAGES and (eye is not None or depth_scale is not None):
            find = partial(camera_beside, Path(path), depth_scale) if eye is None else lambda: eye
            reader = lambda data: _IMAGES[Path(path).suffix.lower()](bytes(data), find)  # noqa: E731
        return read_file(path, (*READABLE, *DEPTH), build, reader)


def read_labelled(path: str | os.PathLike[str]) -> tuple[PointCloud, np.ndarray | None]:
    """A cloud, a mesh at its vertices, and the labels that the file holds beside its (M,) rows, or None.

    Labels are a field `label`, `gt`, `ground_truth` or `anomaly`, with or without `scalar_` before it.

    Raises:
        CloudReadError: as `read_cloud`.
    """
    return read_file(path, (*READABLE, *DEPTH), lambda raw, source: (at_vertices(raw, source), raw.labels))


def as_cloud(source: Any, at: str = "surface", unit: str | None = None) -> PointCloud:
    """A `PointCloud` from a path, an array or tensor, a `PointCloud`, or an Open3D or trimesh object.

    Meshes are sampled, with a fixed seed, or taken at their vertices, and lengths are in `unit`, see `read_cloud`. A
    `PointCloud` that has a unit keeps it.

    Raises:
        CloudError: nothing that can be read as points.
    """

    if isinstance(source, PointCloud):
        return source if unit is None or source.unit else replace(source, unit=unit_named(unit))
    if isinstance(source, str | os.PathLike):
        return read_cloud(source, at=at, unit=unit)
    module = type(source).__module__.split(".")[0]
    if module in ("open3d", "trimesh"):
        return as_cloud(from_object(source, at=at), unit=unit)
    return PointCloud.create(source, unit=unit)


def read_file(
    path: str | os.PathLike[str],
    extensions: Sequence[str],
    build: Callable[[RawCloud, str], _Built],
    reader: Callable[[memoryview], RawCloud] | None = None,
) -> _Built:
    """What `build` makes of a file's content and of its path, which serves as the source.

    Args:
        path: the file.
        extensions: those that it may have, in lower case.
        build: may raise anything that means that the file does not hold what is asked for.
        reader: in place of that of the extension.

    Raises:
        CloudReadError: missing, unreadable, empty, truncated, malformed or absurd file, or another extension.
    """
    source = str(path)
    path, number = _file_and_scan(Path(path))
    suffix = path.suffix.lower()
    if not path.exists():
        raise CloudReadError("no such file", where=path, expected="a file", found="nothing")
    if suffix not in extensions:
        found, hint = suffix or "none", None if suffix in READABLE else conversion_hint(suffix)
        raise CloudReadError("unknown extension", where=path, expected=", ".join(extensions), found=found, hint=hint)
    _check_file(path)
    try:
        with np.errstate(invalid="ignore", over="ignore"):  # numbers that are none; such rows are dropped and counted
            return build(_read(path, number) if reader is None else reader(_view(path)), source)
    except CloudError as error:
        # Readers see bytes only; the file's name is added here.
        raise CloudReadError(
            error.what, where=source, expected=error.expected, found=error.found, hint=error.hint
        ) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            found = error.strerror
            raise CloudReadError("cannot be read", where=source, expected="a readable file", found=found) from error
        # Parsers of hostile bytes fail in too many ways to list; each means that this file cannot be read.
        raise CloudReadError(
            f"not a readable {suffix} file",
            where=source,
            expected=f"a well-formed {suffix} file",
            found=f"{type(error).__name__}: {str(error).strip().partition(_BLANK)[0]}"[:300],
            hint="open it in another viewer, or export it again",
        ) from error


def _file_and_scan(path: Path) -> tuple[Path, int | None]:
    """The file, and the number behind `#`; a file that is really called so comes first."""
    name, mark, number = path.name.rpartition("#")
    if mark and re.fullmatch(r"[0-9]{1,9}", number) and Path(name).suffix.lower() in _SCANS and not path.exists():
        return path.with_name(name), int(number)
    return path, None


def _read(path: Path, number: int | None) -> RawCloud:
    suffix = path.suffix.lower()
    if suffix in _SCANS:
        return _SCANS[suffix](path, number)
    if suffix in _VIEWED:
        return _VIEWED[suffix](_view(path))
    data = path.read_bytes()
    if suffix in _IMAGES:
        return _IMAGES[suffix](data, partial(camera_beside, path))
    return read_scene(data, path) if suffix in _SCENES else _READERS[suffix](data)


def _view(path: Path) -> memoryview:
    """The content, in NumPy's memory, which comes in larger pages: reading into it takes a third of the time."""
    return np.fromfile(path, np.uint8).data


def _check_file(path: Path) -> None:
    if not path.is_file():  # a folder; a pipe or a device would block or never end
        raise CloudReadError("not a file", where=path, expected="a file", found="a folder or a device")
    if not path.stat().st_size:
        hint = "it may not have been written to its end; copy or export it again"
        raise CloudReadError("the file is empty", where=path, expected="points", found="0 bytes", hint=hint)
