"""Tables and arrays of points: columns by name, dialects, what is no list of points, and rows without a return."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointadplus.cloud import PointCloud
from pointadplus.errors import CloudError, CloudReadError, ConfigError
from pointadplus.io import as_cloud, read_cloud
from pointadplus.io.column_names import field
from pointadplus.io.dialects import plain_bytes
from pointadplus.io.formats import RawCloud
from pointadplus.io.table_head import find_table
from pointadplus.io.table_rows import _careful_rows, _plain_rows
from pointadplus.io.tables import read_text
from pointadplus.results.detection import Detection

# Multiples of 1/64, exact in every text and in float32.
POINTS = np.random.default_rng(0).integers(-640, 640, (24, 3)).astype(np.float64) / 64
NORMALS = np.eye(3)[np.arange(24) % 3]
COLORS = np.random.default_rng(1).integers(0, 256, (24, 3))
INDEX = np.arange(24)[:, None]
TIME = 1.6e9 + INDEX / 8


def lines(table: np.ndarray, mark: str = ",", decimal: str = ".", end: str = "\n") -> str:
    return "".join(mark.join(f"{v:.12g}".replace(".", decimal) for v in row) + end for row in table)


def put(folder: Path, data: bytes | str, name: str = "a.csv") -> Path:
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return folder / name


def read(data: bytes | str) -> RawCloud:
    return read_text(data.encode() if isinstance(data, str) else data)


# --- columns by name ---

NAMES = {
    "units": ("Point ID,X [mm],Y [mm],Z [mm]", (INDEX, POINTS)),
    "ParaView": ('"Points:0","Points:1","Points:2"', (POINTS,)),
    "ParaView, fields first": ("Normals:0,Normals:1,Normals:2,Points:0,Points:1,Points:2", (NORMALS, POINTS)),
    "comment": ("//X,Y,Z", (POINTS,)),
    "quotes": ('"X(mm)","Y(mm)","Z(mm)"', (POINTS,)),
    "time first": ("timestamp,x,y,z", (TIME, POINTS)),
    "time and intensity": ("Time (s), Intensity, X, Y, Z", (TIME, INDEX, POINTS)),
    "coordinates": ("ID,X-Coordinate,Y-Coordinate,Z-Coordinate", (INDEX, POINTS)),
    "positions": ("pos_x,pos_y,pos_z", (POINTS,)),
    "glued units": ("Xmm,Ymm,Zmm", (POINTS,)),
    "underscored units": ("id,x_mm,y_mm,z_mm", (INDEX, POINTS)),
    "map": ("Easting,Northing,Elevation", (POINTS,)),
    "heights beside z": ("height,X,Y,Z", (INDEX, POINTS)),
    "nominal beside": ("X nominal,Y nominal,Z nominal,X,Y,Z", (POINTS + 1, POINTS)),
    "deviations": ("dX,dY,dZ,x,y,z", (POINTS + 1, POINTS)),
}


@pytest.mark.parametrize("kind", NAMES)
def test_columns_go_by_their_names(kind: str) -> None:
    header, columns = NAMES[kind]
    raw = read(f"{header}\n{lines(np.hstack(columns))}")
    assert np.array_equal(raw.points, POINTS)


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("X Y Z [mm]", lines(POINTS, " ")),
        ("X [mm] Y [mm] Z [mm]", lines(POINTS, " ")),
        ("// Point ID X Y Z", lines(np.hstack([INDEX + 7, POINTS]), " ")),
        ("x, y, z", lines(POINTS, " ")),
        ("# x y z deviation to nominal", lines(np.hstack([POINTS, INDEX]), " ")),
        ("# t x y z", lines(np.hstack([TIME, POINTS]), "  ")),
    ],
)
def test_headers_of_tables_with_spaces(header: str, text: str) -> None:
    assert np.array_equal(read(f"{header}\n{text}").points, POINTS)


@pytest.mark.parametrize("names", ["nx,ny,nz,r,g,b", "NormalX,NormalY,NormalZ,Red,Green,Blue", "Nx,Ny,Nz,R,G,B"])
def test_normals_and_colors_go_by_their_names(names: str) -> None:
    table = np.hstack([COLORS, NORMALS, INDEX, POINTS])
    normals, colors = names.split(",")[:3], names.split(",")[3:]
    raw = read(",".join([*colors, *normals, "Intensity", "X", "Y", "Z"]) + "\n" + lines(table))
    assert np.array_equal(raw.points, POINTS)
    assert raw.normals is not None and np.array_equal(raw.normals, NORMALS)
    assert raw.colors is not None and np.allclose(raw.colors, COLORS / 255)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("X", "x"), ("z [µm]", "z"), ("Points:1", "y"), ("Points_2", "z"), ("normal_x", "nx"), ("NormalY", "ny"),
        ("Normals:2", "nz"), ("RGB:0", "red"), ("Color G", "green"), ("diffuse_blue", "blue"), ("B", "blue"),
        ("[X]", "x"), ("X/mm", "x"), ("intensity", None), ("rgb", None), ("x1", None), ("dx", None), ("Point ID", None),
        ("X deviation", None), ("", None), ("0", None),
    ],
)  # fmt: skip
def test_what_a_name_means(name: str, meant: str | None) -> None:
    assert field(name) == meant


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c\n1,2,3\n4,5,6\n", "names no coordinates"),
        ("time,u,v,w\n1,2,3,4\n4,5,6,7\n", "names no coordinates"),
        ("# time,r,g,b\n1,2,3,4\n4,5,6,7\n", "names no coordinates"),
        ("x y intensity\n1 2 3\n4 5 6\n", "names no coordinates"),
        ("x,y,z,x,y,z\n1,2,3,4,5,6\n1,2,3,4,5,6\n", "coordinates twice"),
        ("a,x,y,z,b\n1,2,3,4\n4,5,6,7\n", "names no coordinates"),
    ],
)
def test_headers_without_coordinates_are_refused_with_the_way_out(text: str, message: str) -> None:
    with pytest.raises(CloudReadError, match=f"{message}.*--columns"):
        read(text)


def test_columns_can_be_named(tmp_path: Path) -> None:
    table = np.hstack([TIME, INDEX, POINTS, NORMALS])
    path = put(tmp_path, f"a,b,c,d,e,f,g,h\n{lines(table)}")
    whole = torch.from_numpy(POINTS).float()
    assert torch.equal(read_cloud(path, columns={"x": 3, "y": 4, "z": 5}).points, whole)
    cloud = read_cloud(path, columns={"x": "C", "y": "d", "Z": "e", "nx": 6, "ny": 7, "nz": "h"})
    assert torch.equal(cloud.points, whole)
    assert cloud.normals is not None and torch.equal(cloud.normals, torch.from_numpy(NORMALS).float())
    bare = put(tmp_path, lines(table))
    assert torch.equal(read_cloud(bare, columns={"x": 3, "y": 4, "z": 5}).points, whole)
    with pytest.raises(CloudReadError, match="no column 9"):
        read_cloud(bare, columns={"x": 3, "y": 4, "z": 9})
    with pytest.raises(CloudReadError, match="no column 'x'"):
        read_cloud(bare, columns={"x": "x", "y": 4, "z": 5})
    for wrong in ({"x": 1, "y": 2}, {"x": 0, "y": 1, "z": 2}, {"x": 1, "y": 2, "z": 3, "w": 4}):
        with pytest.raises(ConfigError, match="columns"):
            read_cloud(bare, columns=wrong)
    with pytest.raises(ConfigError, match="only text tables"):
        read_cloud(tmp_path / "a.ply", columns={"x": 1, "y": 2, "z": 3})


def test_coordinates_of_several_units_come_in_that_of_x() -> None:
    micro = POINTS * [1, 1, 1000]
    assert np.allclose(read(f"X [mm],Y [mm],Z [µm]\n{lines(micro)}").points, POINTS, rtol=1e-12)
    assert np.allclose(read(f"X;Y;Z\nmm;mm;um\n{lines(micro, ';')}").points, POINTS, rtol=1e-12)


# --- columns without names ---


def test_an_intensity_before_colors_is_not_red() -> None:
    for intensity in (INDEX * 100, INDEX / 24, -INDEX):
        raw = read(lines(np.hstack([POINTS, intensity, COLORS]), " "))
        assert raw.colors is not None and np.allclose(raw.colors, COLORS / 255)
    for intensity in (INDEX * 100, INDEX / 24 + 0.01, INDEX % 2):
        raw = read(lines(np.hstack([POINTS, COLORS, intensity]), " "))
        assert raw.colors is not None and np.allclose(raw.colors, COLORS / 255)
    raw = read(lines(np.hstack([POINTS, INDEX * 7, COLORS]), " "))
    assert raw.colors is None and "two ways" in raw.notes[0]


@pytest.mark.parametrize("first", [0, 1])
def test_an_index_is_not_x(first: int) -> None:
    assert np.array_equal(read(lines(np.hstack([INDEX + first, POINTS]))).points, POINTS)
    raw = read(lines(np.hstack([INDEX + first, POINTS, COLORS]), " "))
    assert np.array_equal(raw.points, POINTS)
    assert raw.colors is not None and np.allclose(raw.colors, COLORS / 255)


def test_what_counts_otherwise_is_a_coordinate() -> None:
    for column in (INDEX + 2, INDEX * 2, INDEX / 2):
        assert np.array_equal(read(lines(np.hstack([column, POINTS]))).points, np.hstack([column, POINTS])[:, :3])
    assert np.array_equal(read(lines(np.hstack([INDEX, POINTS[:, :2]]))).points[:, :1], INDEX)


# --- dialects ---

PLAIN, SPACED = lines(POINTS), lines(POINTS, " ")
DIALECTS: dict[str, str | bytes] = {
    "count first": "24\n" + SPACED,
    "count below the header": "x y z\n24\n" + SPACED,
    "metadata": "Scanner: X5 rev. 2\nDate;2024-01-02\nMode = fast, fine\n\nx,y,z\n" + PLAIN,
    "metadata alone": "Scanner: X5 rev. 2\nDate;2024-01-02\n" + PLAIN,
    "units": "x,y,z\nmm,mm,mm\n" + PLAIN,
    "units in brackets": "x;y;z\n[mm];[mm];[mm]\n" + lines(POINTS, ";"),
    "blank line after the header": "x,y,z\n\n" + PLAIN,
    "blank line of marks": "x,y,z\n,,\n" + PLAIN,
    "ruler": "x y z\n--- --- ---\n" + SPACED,
    "footer": PLAIN + "\nEnd of file\n24 points exported\n",
    "footer in a comment": PLAIN + "# done\n",
    "trailing commas": lines(POINTS, ",", end=",\n"),
    "trailing commas, header too": "x,y,z,\n" + lines(POINTS, ",", end=",\n"),
    "trailing commas, header not": "x,y,z\n" + lines(POINTS, ",", end=",\n"),
    "trailing semicolons": lines(POINTS, ";", ",", end=";\n"),
    "comment with an x": "# box scan, x is along\n" + SPACED,
    "comment with all three": "# columns are x, y and z in mm\n" + SPACED,
    "comment inside": SPACED[: SPACED.index("\n") + 1] + "# x marks the spot\n" + SPACED[SPACED.index("\n") + 1 :],
    "UTF-16": ("x\ty\tz\n" + lines(POINTS, "\t")).encode("utf-16"),
    "UTF-16, big": b"\xfe\xff" + ("x\ty\tz\n" + lines(POINTS, "\t")).encode("utf-16-be"),
    "UTF-16, no mark": ("x\ty\tz\n" + lines(POINTS, "\t")).encode("utf-16-le"),
    "UTF-8 with mark": b"\xef\xbb\xbf" + ("x,y,z\n" + PLAIN).encode(),
    "Latin-1": ("Gerät: Größe 3 µm\nx,y,z\n" + PLAIN).encode("latin-1"),
    "decimal comma": lines(POINTS, ";", ","),
    "decimal comma, tabs": "X\tY\tZ\n" + lines(POINTS, "\t", ","),
    "decimal comma, spaces": lines(POINTS, " ", ","),
    "quoted decimal commas": "".join(",".join(f'"{v:.12g}"'.replace(".", ",") for v in row) + "\n" for row in POINTS),
    "quotes": "".join(",".join(f'"{v:.12g}"' for v in row) + "\n" for row in POINTS),
    "comma and space": lines(POINTS, ", "),
    "columns of spaces": "".join("".join(f"{v:14.6f}" for v in row) + "  \n" for row in POINTS),
    "spaces and tabs": lines(POINTS, " \t"),
    "CRLF": PLAIN.replace("\n", "\r\n"),
    "CR": ("x,y,z\n" + PLAIN).replace("\n", "\r"),
    "Fortran": SPACED.replace("\n", "D+00\n"),
    "no end": SPACED.rstrip(),
}


@pytest.mark.parametrize("kind", DIALECTS)
def test_dialects(kind: str) -> None:
    assert np.array_equal(read(DIALECTS[kind]).points, POINTS)


def test_whole_numbers_before_decimal_commas() -> None:
    whole = np.vstack([np.arange(90).reshape(30, 3) * 5, POINTS])
    assert np.array_equal(read(lines(whole, ";", ",")).points, whole)


@pytest.mark.parametrize("word", ["", "NA", "NaN", "nan", "1.#QNAN", "-1.#IND", "No Data", "inf", "-inf", "null", "-"])
@pytest.mark.parametrize("mark", [",", ";", "\t", " "])
def test_rows_with_a_missing_coordinate_are_dropped_and_counted(tmp_path: Path, word: str, mark: str) -> None:
    if not word and mark == " ":
        return  # a blank between blanks is none
    text = ["x,y,z,i".replace(",", mark), *(mark.join(f"{v:.12g}" for v in (*row, 1)) for row in POINTS)]
    cells = text[5].split(mark)
    text[5] = mark.join([*cells[:2], word, cells[3]])
    text[9] = mark.join([*text[9].split(mark)[:3], word])  # no coordinate
    if word == "" and mark == "\t":
        text[9] += " "
    cloud = read_cloud(put(tmp_path, "\n".join(text)))
    assert (cloud.source_size, cloud.dropped) == (24, 1)
    assert torch.equal(cloud.points, torch.from_numpy(np.delete(POINTS, 4, 0)).float())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3\n4 5 6\n7 8\n1 2 3\n", "line 3 has 2 cells"),
        ("1 2 3\n4 5 6\n7 8 9 10\n1 2 3\n", "line 3 has 4 cells"),
        ("x,y,z\n1,2,3\n4,abc,6\n7,8,9\n", "line 3 is no row of numbers"),
        ("1,2,3\n4,5,6\nend\n7,8,9\n", "line 3 is no row of numbers"),
        ("1,2,3\n4,5,6\n4,5,6 7\n", "line 3 is no row of numbers"),
        ("1.234,5;1,0;2,0\n1.234,5;1,0;3,0\n", "no rows of numbers"),
        ("1,2,3\n4,5,6\n" + "end\n" * 30, "line 3 is no row"),
        ("x" * 2**21, "too long"),
        ("words\n" * 3000, "no rows of numbers"),
    ],
)
def test_what_stays_unreadable_names_cause_and_line(text: str, message: str) -> None:
    with pytest.raises(CloudReadError, match=message):
        read(text)


# --- matrices of heights ---

HEIGHTS = np.random.default_rng(3).integers(640, 1280, (30, 40)) / 64


@pytest.mark.parametrize(
    ("head", "across", "along"),
    [
        ("XRes=0.05\nYRes=0.25\n", 0.05, 0.25),
        ("x pitch;0.05\ny pitch;0.25\n", 0.05, 0.25),
        ("X Resolution: 0.05 mm\nY Resolution: 0.25 mm\nUnit: mm\n", 0.05, 0.25),
        ("Resolution X = 0.05\nResolution Y = 0.25\nVertical resolution = 7\n", 0.05, 0.25),
        ("Rows: 30\nColumns: 40\nPixel size: 0.5 um\n", 0.5, 0.5),
        ("X Size = 40\nY Size = 30\npitch: 0,5\n", 0.5, 0.5),
    ],
)
@pytest.mark.parametrize("mark", [",", ";", "\t", " "])
def test_matrices_of_heights(tmp_path: Path, head: str, across: float, along: float, mark: str) -> None:
    heights = HEIGHTS.copy()
    heights[3, 5] = np.nan
    cloud = read_cloud(put(tmp_path, head + lines(heights, mark)))
    assert (cloud.grid, cloud.dropped, cloud.source_size) == ((30, 40), 1, 1200)
    rows, columns = np.indices((30, 40))
    want = np.stack([columns * across, rows * along, heights], -1).reshape(-1, 3)
    assert torch.equal(cloud.points, torch.from_numpy(np.delete(want, 3 * 40 + 5, 0)).float())
    assert "matrix of heights" in cloud.notes[0]
    assert cloud.eye is not None and cloud.eye[2] > 20, "seen from above"


def test_whole_heights_with_a_pitch_of_their_own() -> None:
    raw = read("XRes=0.5\nZRes=0.25\n" + lines(HEIGHTS * 64))
    assert np.array_equal(raw.points[..., 2], HEIGHTS * 16)


def test_a_matrix_without_its_pitch_is_refused() -> None:
    with pytest.raises(CloudReadError, match=r"40 columns without names.*XRes"):
        read(lines(HEIGHTS))


def test_a_pitch_above_a_list_is_only_told() -> None:
    assert np.array_equal(read(f"XRes=0.05\nYRes=0.05\n{PLAIN}").points, POINTS)


# --- both readers of rows ---


@pytest.mark.parametrize("mark", [",", ";", "\t", " ", "  "])
def test_pandas_and_the_careful_reader_agree(mark: str) -> None:
    table = np.random.default_rng(4).normal(size=(200, 5)) * 10.0 ** np.arange(-200, 200, 2)[:, None]
    table[3, 1] = table[7, 4] = np.nan
    data = plain_bytes("".join(mark.join(map(repr, row)) + "\n" for row in table.tolist()).encode())
    head = find_table(data)
    fast = _plain_rows(data, head)
    assert fast is not None
    np.testing.assert_array_equal(fast, table)
    np.testing.assert_array_equal(_careful_rows(data, head), table)


HEADS = st.sampled_from([("x", "y", "z"), ("X [mm]", "Y [mm]", "Z [mm]"), ("Points:0", "Points:1", "Points:2"), ()])


@st.composite
def documents(draw: st.DrawFn) -> tuple[bytes, np.ndarray]:
    """A text in a random dialect, and its points, NaN where a cell is missing."""
    mark, decimal = draw(st.sampled_from([*((mark, ".") for mark in ",;\t "), (";", ","), ("\t", ",")]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    number = st.floats(-1e6, 1e6, allow_subnormal=False) | st.integers(-1000, 1000).map(float)
    points = np.array(draw(st.lists(st.tuples(number, number, number), min_size=3, max_size=40)))
    names = list(draw(HEADS))
    if mark == " " and names and " " in names[0]:
        names = ["x", "y", "z"]
    upper = draw(st.booleans())
    index = draw(st.booleans())
    word = draw(st.sampled_from(["nan", "NA", "1.#QNAN", "No Data"] + [""] * (mark != " ")))
    missing = draw(st.lists(st.tuples(st.integers(1, len(points) - 1), st.integers(0, 2)), max_size=4))
    rows = [[f"{value!r}".replace(".", decimal) for value in row] for row in points.tolist()]
    for row, column in missing:
        rows[row][column], points[row, column] = word, np.nan
    if index and names:
        names.insert(0, "ID")
    rows = [[str(at), *row] if index else row for at, row in enumerate(rows, draw(st.sampled_from([0, 1])))]
    text = ["# é: a box"] * draw(st.booleans()) + ["Date: today"] * (bool(names) and draw(st.booleans()))
    text += [mark.join(names).upper() if upper else mark.join(names)] * bool(names)
    text += [mark.join(["mm"] * len(rows[0]))] * (bool(names) and draw(st.booleans()))
    for at, row in enumerate(rows):
        text += ["# x inside"] * (at == 2 and draw(st.booleans()))
        text.append(mark.join(row))
    text += ["End of data"] * draw(st.booleans())
    return (end.join(text) + end).encode(encoding), points


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_what_is_written_in_any_dialect_is_read_exactly(document: tuple[bytes, np.ndarray]) -> None:
    data, points = document
    np.testing.assert_array_equal(read_text(data).points, points)
