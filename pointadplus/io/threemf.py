"""3MF, read here: trimesh gives each component of another part of the package all the meshes of that part."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree

import numpy as np

from ..errors import CloudReadError
from ..units import NAMES
from .formats import RawCloud, check_bytes, most_inflated

_INSTANCES = 100_000  # of objects; a number we chose


@dataclass
class _Part:
    """One model file of the package: its objects by number, and what it builds."""

    meshes: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    components: dict[str, list[tuple[str, str, np.ndarray]]] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)  # of a type that is no part of the object, such as supports
    items: list[tuple[str, str, np.ndarray]] = field(default_factory=list)
    unit: str | None = None


def read_3mf(data: bytes) -> RawCloud:
    """3MF: what is to be built, each object where its item and its components put it, in the file's unit.

    Supports are left out; they are no part of what is built.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {entry.filename.lower().strip("/"): entry for entry in archive.infolist()}
        check_bytes(sum(entry.file_size for entry in entries.values()), most_inflated(len(data)), "archive")
        root = next((name for name in entries if name.endswith("3d/3dmodel.model")), None)
        if root is None:
            found = ", ".join(entries)[:200]
            raise CloudReadError("the archive holds no model", expected="3D/3dmodel.model", found=found)
        parts = {name: _part(archive.read(entry), name) for name, entry in entries.items() if name.endswith(".model")}
    points, faces, used, largest = [], [], 0, most_inflated()
    for vertices, triangles, matrix in _placed(parts, parts[root].items):
        check_bytes(24 * (used + len(vertices)), largest, "build")
        points.append(vertices @ matrix[:3, :3] + matrix[3, :3])
        # A mirror turns triangles inside out.
        faces.append((triangles if np.linalg.det(matrix[:3, :3]) >= 0 else triangles[:, ::-1]) + used)
        used += len(vertices)
    if not points:
        raise CloudReadError("nothing is to be built", expected="a build item with a mesh", found="none")
    return RawCloud(np.concatenate(points), faces=np.concatenate(faces), unit=parts[root].unit)


def _part(data: bytes, name: str) -> _Part:
    part = _Part()
    for _, element in ElementTree.iterparse(io.BytesIO(data)):
        tag = element.tag.rpartition("}")[2]
        if tag == "object":
            number = element.get("id", "")
            if number in part.components:
                raise CloudReadError("two objects share a number", expected="one", found=number[:40])
            if element.get("type", "model") in ("support", "other"):
                part.others.add(number)
            for mesh in element.iterfind("{*}mesh"):
                vertices = np.array([[each.get(k) for k in "xyz"] for each in mesh.iterfind("{*}vertices/{*}vertex")])
                corners = ("v1", "v2", "v3")
                faces = [[each.get(k) for k in corners] for each in mesh.iterfind("{*}triangles/{*}triangle")]
                triangles = np.array(faces, np.int64).reshape(-1, 3)
                if len(triangles) and not 0 <= triangles.min() <= triangles.max() < len(vertices):
                    raise CloudReadError("a triangle names a vertex that is not there", found=f"object {number[:40]}")
                part.meshes[number] = vertices.astype(np.float64).reshape(-1, 3), triangles
            part.components[number] = [_instance(each, name) for each in element.iterfind("{*}components/{*}component")]
            element.clear()
        elif tag == "build":
            part.items = [_instance(each, name) for each in element.iterfind("{*}item")]
        elif tag == "model":
            part.unit = NAMES.get(element.get("unit", "millimeter"))
    return part


def _instance(element: ElementTree.Element, name: str) -> tuple[str, str, np.ndarray]:
    """The part and the number of an object, and the (4, 4) matrix that multiplies its row vectors."""
    path = next((value for key, value in element.attrib.items() if key.rpartition("}")[2] == "path"), name)
    matrix = np.eye(4)
    if "transform" in element.attrib:
        matrix[:, :3] = np.array(element.attrib["transform"].split(), np.float64).reshape(4, 3)
    return path.lower().strip("/"), element.get("objectid", ""), matrix


def _placed(
    parts: dict[str, _Part], items: list[tuple[str, str, np.ndarray]]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Vertices, triangles and matrix of each mesh that the items stand for."""
    waiting, seen = items[::-1], 0
    while waiting:
        name, number, matrix = waiting.pop()
        part, seen = parts.get(name), seen + 1
        if part is None or number not in part.components:
            raise CloudReadError("an object is not there", expected=f"object {number[:40]} of {name[:80]}")
        if seen > _INSTANCES:  # components in a circle, or doubled at each level
            raise CloudReadError("too many components", expected=f"at most {_INSTANCES}", found="more")
        if number in part.others:
            continue
        if number in part.meshes and len(part.meshes[number][1]):
            yield *part.meshes[number], matrix
        waiting += [(*inner, placed @ matrix) for *inner, placed in part.components[number][::-1]]
