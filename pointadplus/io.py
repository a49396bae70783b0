"""Reading and writing clouds: `read_cloud`, `write_cloud` and `from_object`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ._formats import RawCloud, read_npy, read_npz, read_text, read_tiff
from ._meshes import from_trimesh, read_off, read_scene, sample_surface
from ._pcd import read_pcd, write_pcd
from ._ply import read_ply, write_ply
from .cloud import PointCloud
from .errors import CloudError, CloudReadError, CloudWriteError, ConfigError

_READERS: dict[str, Callable[[bytes], RawCloud]] = {
    ".pcd": read_pcd,
    ".ply": read_ply,
    ".off": read_off,
    ".npy": read_npy,
    ".npz": read_npz,
    **dict.fromkeys((".tif", ".tiff"), read_tiff),
    **dict.fromkeys((".xyz", ".txt", ".csv", ".asc"), read_text),
}
_SCENES = (".stl", ".obj", ".glb", ".gltf")

#: Extensions that `read_cloud` reads and that `write_cloud` writes.
READABLE = tuple(sorted((*_READERS, *_SCENES)))
WRITABLE = (".csv", ".npy", ".pcd", ".ply", ".txt", ".xyz")


def read_cloud(path: str | os.PathLike[str], *, points: int = 100_000, seed: int = 0) -> PointCloud:
    """Read a scan, or sample a mesh.

    Clouds: PCD (ascii, binary, compressed; organised scans keep their grid), PLY (ascii, binary), text tables (XYZ,
    TXT, CSV, ASC), NPY, NPZ, TIFF (with tifffile). Meshes: PLY with faces, OBJ, STL, OFF, GLB, GLTF. The extension
    decides. In tables without names, columns after x, y, z are told apart by their values: normals have unit length.
    Rows that are not finite are dropped and counted (`PointCloud.rows`). Coordinates stay in the file's unit and frame.

    Args:
        path: the file.
        points: points to sample from a mesh, evenly by area; clouds are read whole.
        seed: of that sampling.

    Raises:
        CloudReadError: missing, unreadable, empty, truncated, malformed or absurd file, or an unknown extension.
        ConfigError: `points` below 1.
    """
    _check_sampling(points)
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in READABLE:
        raise CloudReadError("unknown extension", where=path, expected=", ".join(READABLE), found=suffix or "none")
    data = _read_bytes(path)
    try:
        raw = read_scene(data, path) if suffix in _SCENES else _READERS[suffix](data)
        return _to_cloud(raw, points, seed, str(path))
    except CloudError as error:
        # Readers see bytes only; the file's name is added here.
        raise CloudReadError(
            error.what, where=path, expected=error.expected, found=error.found, hint=error.hint
        ) from error
    except Exception as error:
        # Parsers of hostile bytes fail in too many ways to list; each means that this file cannot be read.
        raise CloudReadError(
            f"not a readable {suffix} file",
            where=path,
            expected=f"a well-formed {suffix} file",
            found=f"{type(error).__name__}: {error}"[:300],
            hint="open it in another viewer, or export it again",
        ) from error


def from_object(obj: Any, *, points: int = 100_000, seed: int = 0) -> PointCloud:
    """A cloud from an Open3D PointCloud or TriangleMesh (legacy or tensor) or a trimesh PointCloud, Trimesh or Scene.

    Args:
        obj: the object; meshes are sampled evenly by area, clouds are taken whole.
        points: points to sample from a mesh.
        seed: of that sampling.

    Raises:
        CloudError: another type, or nothing in it.
        ConfigError: `points` below 1.
    """
    _check_sampling(points)
    package, name = type(obj).__module__.split(".")[0], type(obj).__name__
    if package == "trimesh" and name in ("Trimesh", "PointCloud", "Scene"):
        raw = from_trimesh(obj)
    elif package == "open3d" and name in ("PointCloud", "TriangleMesh"):
        raw = _from_open3d(obj.to_legacy() if hasattr(obj, "to_legacy") else obj)
    else:
        raise CloudError(
            "not an object that holds a cloud",
            where="from_object",
            expected="an Open3D or trimesh point cloud, mesh or scene",
            found=f"{type(obj).__module__}.{name}",
        )
    return _to_cloud(raw, points, seed, None)


def write_cloud(
    path: str | os.PathLike[str],
    cloud: PointCloud,
    *,
    colors: Float[Tensor, "n 3"] | None = None,
    scores: Float[Tensor, "n"] | Float[Tensor, "m"] | None = None,
) -> None:
    """Write a cloud with its normals and colours: PLY and PCD (binary), XYZ, TXT, CSV or NPY.

    An organised cloud stays organised in PCD, its dropped rows as NaN; elsewhere the N points are written. In NPY the
    columns are x y z, then normals, colours and score where there are any. The file appears whole or not at all.

    Args:
        path: the file; its extension decides.
        cloud: N points.
        colors: (N, 3) in [0, 1], in place of the cloud's own.
        scores: (N,) one a point or (M,) one a source row, written as the field `score`.

    Raises:
        CloudWriteError: an unknown extension, an unwritable path, or colours or scores that do not fit.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITABLE:
        raise CloudWriteError("unknown extension", where=path, expected=", ".join(WRITABLE), found=suffix or "none")
    columns = _columns(path, cloud, colors, scores)
    grid = cloud.grid if suffix == ".pcd" else None
    fields = {name: (cloud.to_rows(column) if grid else column).numpy() for name, column in columns.items()}
    if suffix in (".ply", ".pcd"):
        fields |= {name: _to_bytes(fields[name]) for name in ("red", "green", "blue") if name in fields}
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as stream:
            if suffix == ".ply":
                write_ply(stream, fields)
            elif suffix == ".pcd":
                write_pcd(stream, fields, grid)
            elif suffix == ".npy":
                np.save(stream, np.stack(list(fields.values()), axis=1), allow_pickle=False)
            else:
                _write_text(stream, fields, "," if suffix == ".csv" else " ")
        os.replace(temporary, path)
    except OSError as error:
        raise CloudWriteError(
            "cannot be written", where=path, expected="a writable path", found=error.strerror
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _check_sampling(points: int) -> None:
    if points < 1:
        raise ConfigError("too few points to sample", where="points", expected="at least 1", found=points)


def _read_bytes(path: Path) -> bytes:
    if not path.exists():
        raise CloudReadError("no such file", where=path, expected="a file", found="nothing")
    if not path.is_file():  # a folder; a pipe or a device would block or never end
        raise CloudReadError("not a file", where=path, expected="a file", found="a folder or a device")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CloudReadError("cannot be read", where=path, expected="a readable file", found=error.strerror) from error
    if not data:
        raise CloudReadError("the file is empty", where=path, expected="points", found="0 bytes")
    return data


def _to_cloud(raw: RawCloud, points: int, seed: int, source: str | None) -> PointCloud:
    if raw.faces is not None and len(raw.faces):
        raw = sample_surface(raw, points, seed)
    return PointCloud.create(raw.points, normals=_unit(raw.normals), colors=raw.colors, grid=raw.grid, source=source)


def _unit(normals: np.ndarray | None) -> np.ndarray | None:
    """Normals of length one; zero stays zero. None if all are zero, with which exporters fill absent normals."""
    if normals is None:
        return None
    length = np.linalg.norm(normals.astype(np.float64), axis=1, keepdims=True)
    known = np.isfinite(length) & (length > 0)
    return np.where(known, normals / np.where(known, length, 1), 0) if known.any() else None


def _from_open3d(obj: Any) -> RawCloud:
    mesh = hasattr(obj, "triangles")
    points, normals, colors = (
        np.asarray(value)
        for value in (
            (obj.vertices, obj.vertex_normals, obj.vertex_colors) if mesh else (obj.points, obj.normals, obj.colors)
        )
    )
    return RawCloud(
        points,
        normals if len(normals) else None,
        colors if len(colors) else None,
        faces=np.asarray(obj.triangles, np.int64) if mesh else None,
    )


def _columns(path: Path, cloud: PointCloud, colors: Tensor | None, scores: Tensor | None) -> dict[str, Tensor]:
    """The named float32 columns to write, N long."""
    colors = cloud.colors if colors is None else colors.detach().cpu().float()
    if colors is not None and colors.shape != cloud.points.shape:
        raise CloudWriteError(
            "colours do not fit the cloud", where=path, expected=tuple(cloud.points.shape), found=tuple(colors.shape)
        )
    columns: list[tuple[Iterable[str], Tensor | None]] = [
        ("xyz", cloud.points),
        (("nx", "ny", "nz"), cloud.normals),
        (("red", "green", "blue"), None if colors is None else colors.clamp(0, 1)),
    ]
    if scores is not None:
        scores = scores.detach().cpu().float()
        if scores.shape == (cloud.source_size,):
            scores = scores[cloud.valid_rows()]
        if scores.shape != (len(cloud),):
            raise CloudWriteError(
                "scores do not fit the cloud", where=path, expected=(len(cloud),), found=tuple(scores.shape)
            )
        columns.append((("score",), scores.unsqueeze(1)))
    present = [(names, block) for names, block in columns if block is not None]
    return {name: column for names, block in present for name, column in zip(names, block.T, strict=True)}


def _write_text(stream: BinaryIO, fields: Mapping[str, np.ndarray], mark: str) -> None:
    if mark == "," or len(fields) > 3:  # a bare XYZ needs no header, and many readers expect none
        stream.write((("" if mark == "," else "# ") + mark.join(fields) + "\n").encode())
    np.savetxt(stream, np.stack(list(fields.values()), axis=1), fmt="%.9g", delimiter=mark)  # 9 digits: exact float32


def _to_bytes(color: np.ndarray) -> np.ndarray:
    return np.rint(np.nan_to_num(color) * 255).astype(np.uint8)
