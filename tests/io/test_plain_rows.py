"""Text formats with counts in their heads, by the compiled rows and without: the same arrays, the same errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pointadplus.errors import CloudReadError
from pointadplus.io import table_fast
from pointadplus.io.meshes import read_off
from pointadplus.io.pcd import read_pcd
from pointadplus.io.ply import read_ply
from pointadplus.io.ptx import read_pts, read_ptx
from pointadplus.io.reading import read_cloud

pytest.importorskip("numba")

READERS = {"ply": read_ply, "pcd": read_pcd, "pts": read_pts, "ptx": read_ptx, "off": read_off}
ROWS = "1 2 3\n-4.5 5e-1 6\n7 .25 1000.013696\n0.1 0.2 nan\n"
XYZ = "property double x\nproperty double y\nproperty double z\n"
TRIANGLES = "3 0 1 2\n3 2 1 3\n"
POSE = "0 0 0\n1 0 0\n0 1 0\n0 0 1\n1 0 0 0\n0 1 0 0\n0 0 1 0\n5 6 7 1\n"


def ply(rows: str, faces: str = "", properties: str = XYZ, count: int = 4) -> str:
    face = f"element face {faces.count(chr(10))}\nproperty list uchar int vertex_indices\n" if faces else ""
    return f"ply\nformat ascii 1.0\nelement vertex {count}\n{properties}{face}end_header\n{rows}{faces}"


def pcd(rows: str, fields: str = "x y z", sizes: str = "8 4 4", types: str = "F F F", count: int = 4) -> str:
    return f"FIELDS {fields}\nSIZE {sizes}\nTYPE {types}\nWIDTH {count}\nHEIGHT 1\nPOINTS {count}\nDATA ascii\n{rows}"


def ptx(rows: str, columns: int = 2) -> str:
    return f"{columns}\n2\n{POSE}{rows}"


COLORED = "".join(f"{row} 255 0 51\n" for row in ROWS.splitlines())
SCANNED = "".join(f"{row} 0.5\n" for row in ROWS.splitlines())
RGB = "property uchar red\nproperty uchar green\nproperty uchar blue\n"
TEXTS = {
    "ply": [
        ply(ROWS), ply(ROWS.rstrip()), ply(ROWS.replace("\n", "\r\n")), ply(ROWS.replace(" ", "\t")), ply("\n" + ROWS),
        ply(ROWS, properties=XYZ.replace("double", "float")), ply(COLORED, properties=XYZ + RGB), ply(ROWS, TRIANGLES),
        ply(ROWS, "3 0 1 2 9\n3 2 1 3 9\n"), ply(ROWS, "4 0 1 2 3\n4 3 2 1 0\n"), ply(ROWS, "3 0 1 2\n4 0 1 2 3\n"),
        ply(ROWS + "\n", TRIANGLES), ply(ROWS, "3 0 1\n3 2 1\n"), ply(ROWS, "3 0 1 2.0\n3 2 1 3\n"),
        ply(ROWS, "3 0 1 -1\n"),
        ply(ROWS, count=5), ply(ROWS, count=3), ply(ROWS, count=0), ply(ROWS, properties=XYZ + RGB),
        ply(ROWS + "x y z\n"),
        ply(ROWS.replace("5e-1", "5d-1")), ply(ROWS.replace("5e-1", "½")), ply(ROWS.replace("5e-1", "#")), ply(""),
        ply(ROWS, TRIANGLES, count=5), ply(ROWS, TRIANGLES, count=3), ply(ROWS, TRIANGLES[:-2]),
    ],
    "pcd": [
        pcd(ROWS), pcd(ROWS + "\n"), pcd(ROWS, count=3), pcd(ROWS, count=5), pcd(ROWS, "x y", "4 4", "F F"),
        pcd(SCANNED, "x y z rgb", "4 4 4 4", "F F F F"), pcd(SCANNED, "x y z label", "8 8 8 2", "F F F U"),
        pcd(ROWS.replace("5e-1", "5D-1")), pcd(ROWS.replace("nan", "inf")),
    ],
    "pts": [
        "4\n" + ROWS, "4\n" + COLORED, "4\n" + SCANNED + "4\n" + SCANNED, "2\n1 2 3\n4 5 6\n4\n" + ROWS, "3\n" + ROWS,
        "5\n" + ROWS, "\n4\n\n" + ROWS + "\n", "4\r\n" + ROWS.replace("\n", "\r\n"),
        "4\n" + ROWS.replace("5e-1", "1d1"), "4\n" + ROWS.replace("5e-1", "é"),
    ],
    "ptx": [
        ptx(SCANNED), ptx(SCANNED.replace("1 2 3", "0 0 0")), ptx(SCANNED) + ptx(SCANNED), ptx(SCANNED, 3),
        ptx(SCANNED, 1), ptx(SCANNED.replace("\n", "\n\n")), ptx(SCANNED) + "\n",
        ptx(COLORED.replace(" 255", " 1 255")),
    ],
    "off": [
        f"OFF\n4 2 0\n{ROWS}{TRIANGLES}", f"OFF 4 2 0\n{ROWS}{TRIANGLES}", f"OFF\n# a box\n4 2 0\n{ROWS}{TRIANGLES}",
        f"OFF\n4 2 0\n{ROWS}# faces\n{TRIANGLES}", f"COFF\n4 2 0\n{COLORED}{TRIANGLES}", f"OFF\n4 0 0\n{ROWS}",
        f"NOFF\n4 2 0\n{COLORED}{TRIANGLES}", f"OFF\n4 2 0\n{ROWS}4 0 1 2 3\n3 0 1 2\n",
        f"OFF\n4 3 0\n{ROWS}{TRIANGLES}", f"OFF\n4 1 0\n{ROWS}{TRIANGLES}", f"OFF\n3 2 0\n{ROWS}{TRIANGLES}",
        f"OFF\n4 0 0\n{ROWS}\n{TRIANGLES}", "OFF\n",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in TEXTS.items() for text in texts])
def test_the_same_with_and_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, text: str) -> None:
    found = []
    for least in (0, 10**9):
        monkeypatch.setattr(table_fast, "_COMPILED", least)
        try:
            raw = READERS[kind](text.encode())
            values = {name: value for name, value in vars(raw).items() if isinstance(value, np.ndarray)}
            found.append({name: (value.dtype, value.tolist()) for name, value in values.items()})
        except Exception:
            path = tmp_path / f"file.{kind}"
            path.write_bytes(text.encode())
            with pytest.raises(CloudReadError) as error:
                read_cloud(path)
            found.append(str(error.value))
    assert repr(found[0]) == repr(found[1])  # NaN is not itself


@pytest.mark.parametrize("kind", READERS)
def test_the_first_of_each_kind_is_read_by_the_compiled_rows(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(table_fast, "_COMPILED", 0)
    monkeypatch.setattr(np, "loadtxt", None)
    points = READERS[kind](TEXTS[kind][0].encode()).points
    shift = np.array([5, 6, 7]) if kind == "ptx" else 0
    want = np.array([[1, 2, 3], [-4.5, 0.5, 6], [7, 0.25, 1000.013696], [0.1, 0.2, np.nan]])
    if kind == "pcd":
        want[:, 1:] = want[:, 1:].astype(np.float32)
    np.testing.assert_array_equal(points[:3], want[:3] + shift)
    assert np.isnan(points[3, 2])


def test_a_part_ends_behind_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_fast, "_COMPILED", 0)
    text = "".join(f"{number} {'0' * (number % 70)}\n" for number in range(5000)).encode()
    lines = text.splitlines(keepends=True)
    for count in (0, 1, 77, 4999, 5000, 5001):
        parts = table_fast.sections(text, [count, 1])
        assert parts is not None
        assert [bytes(part) for part in parts] == [b"".join(lines[:count]), b"".join(lines[count:])]
