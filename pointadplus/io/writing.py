"""Writing clouds: `write_cloud`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from ..cloud import PointCloud
from ..errors import CloudWriteError
from .pcd import write_pcd
from .ply import write_ply
from .vertices import VertexCloud

#: Extensions that `write_cloud` writes.
WRITABLE = (".csv", ".npy", ".pcd", ".ply", ".txt", ".xyz")


def write_cloud(
    path: str | os.PathLike[str],
    cloud: PointCloud,
    *,
    colors: Float[Tensor, "n 3"] | None = None,
    scores: Float[Tensor, "n"] | Float[Tensor, "m"] | None = None,
    regions: Int[Tensor, "n"] | None = None,
    fields: Mapping[str, Float[Tensor, "n"]] | None = None,
) -> None:
    """Write a cloud with its normals and colours: PLY and PCD (binary), XYZ, TXT, CSV or NPY.

    A PLY of a mesh's vertices (`VertexCloud`) holds its triangles. In PCD an organised cloud stays organised, its
    dropped rows as NaN, and the viewpoint stays; elsewhere the N points are written. In NPY the columns are x y z, then
    normals, colours, score, region and the other fields, where there are any. The file appears whole or not at all.
    Coordinates far from the origin (`PointCloud.offset`) are written as doubles, which Open3D 0.19 reads of a PLY, but
    not of a binary PCD.

    Args:
        path: the file; its extension decides.
        cloud: N points.
        colors: (N, 3) in [0, 1], in place of the cloud's own.
        scores: (N,) one a point or (M,) one a source row, written as the field `score`.
        regions: (N,) a number a point, written as the field `region`, in PLY as int.
        fields: (N,) a number a point each, under their names.

    Raises:
        CloudWriteError: an unknown extension, an unwritable path, or colours, scores, regions or fields that do not
            fit.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITABLE:
        raise CloudWriteError("unknown extension", where=path, expected=", ".join(WRITABLE), found=suffix or "none")
    columns = _columns(path, cloud, colors, scores, regions)
    for name, values in (fields or {}).items():
        if values.shape != (len(cloud),):
            expected, found = (len(cloud),), tuple(values.shape)
            raise CloudWriteError(f"{name} does not fit the cloud", where=path, expected=expected, found=found)
        columns[name] = values.detach().cpu().float()
    grid = cloud.grid if suffix == ".pcd" else None
    table = {name: (cloud.to_rows(column) if grid else column).numpy() for name, column in columns.items()}
    if suffix in (".ply", ".pcd"):
        table |= {name: _to_bytes(table[name]) for name in ("red", "green", "blue") if name in table}
    if suffix == ".ply" and regions is not None:
        table["region"] = regions.detach().cpu().numpy().astype(np.int32)  # a float holds whole numbers up to 2²⁴ only
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as stream:
            if suffix == ".ply":
                write_ply(stream, table, cloud.faces.numpy() if isinstance(cloud, VertexCloud) else None)
            elif suffix == ".pcd":
                write_pcd(stream, table, grid, (0.0, 0.0, 0.0) if cloud.viewpoint is None else cloud.viewpoint.tolist())
            elif suffix == ".npy":
                np.save(stream, np.stack(list(table.values()), axis=1), allow_pickle=False)
            else:
                _write_text(stream, table, "," if suffix == ".csv" else " ")
        os.replace(temporary, path)
    except OSError as error:
        raise CloudWriteError(
            "cannot be written", where=path, expected="a writable path", found=error.strerror
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _columns(
    path: Path, cloud: PointCloud, colors: Tensor | None, scores: Tensor | None, regions: Tensor | None
) -> dict[str, Tensor]:
    """The named columns to write, N long, float32; coordinates about an offset are float64."""
    colors = cloud.colors if colors is None else colors.detach().cpu().float()
    if colors is not None and colors.shape != cloud.points.shape:
        raise CloudWriteError(
            "colours do not fit the cloud", where=path, expected=tuple(cloud.points.shape), found=tuple(colors.shape)
        )
    columns: list[tuple[Iterable[str], Tensor | None]] = [
        ("xyz", cloud.positions() if cloud.offset.any() else cloud.points),
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
    if regions is not None:
        if regions.shape != (len(cloud),):
            raise CloudWriteError(
                "regions do not fit the cloud", where=path, expected=(len(cloud),), found=tuple(regions.shape)
            )
        columns.append((("region",), regions.detach().cpu().float().unsqueeze(1)))
    present = [(names, block) for names, block in columns if block is not None]
    return {name: column for names, block in present for name, column in zip(names, block.T, strict=True)}


def _write_text(stream: BinaryIO, fields: Mapping[str, np.ndarray], mark: str) -> None:
    if mark == "," or len(fields) > 3:  # a bare XYZ needs no header, and many readers expect none
        stream.write((("" if mark == "," else "# ") + mark.join(fields) + "\n").encode())
    digits = ["%.15g" if column.dtype == np.float64 else "%.9g" for column in fields.values()]  # 9: exact float32
    np.savetxt(stream, np.stack(list(fields.values()), axis=1), fmt=digits, delimiter=mark)


def _to_bytes(color: np.ndarray) -> np.ndarray:
    return np.rint(np.nan_to_num(color) * 255).astype(np.uint8)
