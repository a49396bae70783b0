"""Small STEP, IGES, 3MF and VTK files, written by the formats' specifications."""

from __future__ import annotations

import io
import zipfile

import numpy as np

MILLIMETRE = "#90=(LENGTH_UNIT()NAMED_UNIT(*)SI_UNIT(.MILLI.,.METRE.));"
METRE = "#90=(LENGTH_UNIT()NAMED_UNIT(*)SI_UNIT($,.METRE.));"
INCH = (
    "#87=DIMENSIONAL_EXPONENTS(1.,0.,0.,0.,0.,0.,0.);\n#88=LENGTH_MEASURE_WITH_UNIT(LENGTH_MEASURE(25.4),#89);\n"
    "#89=(LENGTH_UNIT()NAMED_UNIT(*)SI_UNIT(.MILLI.,.METRE.));\n"
    "#90=(CONVERSION_BASED_UNIT('INCH',#88)LENGTH_UNIT()NAMED_UNIT(#87));"
)

#: A tetrahedron, outside counter-clockwise.
CORNERS = np.array([[0, 0, 0], [2, 0, 0], [0, 3, 0], [0, 0, 5]], np.float64)
FACES = [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]

_HEAD = """ISO-10303-21;
HEADER;
FILE_DESCRIPTION((''),'2;1');
FILE_NAME('','2020-01-01T00:00:00',(''),(''),'','','');
FILE_SCHEMA(('AUTOMOTIVE_DESIGN'));
ENDSEC;
DATA;
#1=APPLICATION_CONTEXT('automotive design');
#2=PRODUCT_CONTEXT('',#1,'mechanical');
#3=PRODUCT('part','part','',(#2));
#4=PRODUCT_DEFINITION_FORMATION('','',#3);
#5=PRODUCT_DEFINITION_CONTEXT('part definition',#1,'design');
#6=PRODUCT_DEFINITION('design','',#4,#5);
#7=PRODUCT_DEFINITION_SHAPE('','',#6);
#8=SHAPE_DEFINITION_REPRESENTATION(#7,#9);
#9=ADVANCED_BREP_SHAPE_REPRESENTATION('',(#20,#30),#10);
#10=(GEOMETRIC_REPRESENTATION_CONTEXT(3)GLOBAL_UNCERTAINTY_ASSIGNED_CONTEXT((#95))
GLOBAL_UNIT_ASSIGNED_CONTEXT((#90,#91,#92))REPRESENTATION_CONTEXT('',''));
#20=AXIS2_PLACEMENT_3D('',#21,#22,#23);
#21=CARTESIAN_POINT('',(0.,0.,0.));
#22=DIRECTION('',(0.,0.,1.));
#23=DIRECTION('',(1.,0.,0.));
#91=(NAMED_UNIT(*)PLANE_ANGLE_UNIT()SI_UNIT($,.RADIAN.));
#92=(NAMED_UNIT(*)SI_UNIT($,.STERADIAN.)SOLID_ANGLE_UNIT());
#95=UNCERTAINTY_MEASURE_WITH_UNIT(LENGTH_MEASURE(1.E-07),#90,'','');
"""


def step_solid(unit: str = MILLIMETRE, corners: np.ndarray = CORNERS, triangles: list[list[int]] = FACES) -> str:
    """A solid of flat faces as a STEP file."""
    lines: list[str] = []

    def add(entity: str) -> str:
        lines.append(f"#{100 + len(lines)}={entity};")
        return lines[-1].partition("=")[0]

    def triple(values: np.ndarray) -> str:
        return f"({','.join(repr(float(value)) for value in values)})"

    def direction(vector: np.ndarray) -> str:
        return add(f"DIRECTION('',{triple(vector / np.linalg.norm(vector))})")

    points = [add(f"CARTESIAN_POINT('',{triple(point)})") for point in corners]
    vertices = [add(f"VERTEX_POINT('',{point})") for point in points]
    edges: dict[tuple[int, int], str] = {}

    def edge(a: int, b: int) -> str:
        if (b, a) in edges:
            return add(f"ORIENTED_EDGE('',*,*,{edges[b, a]},.F.)")
        vector = add(f"VECTOR('',{direction(corners[b] - corners[a])},1.)")
        line = add(f"LINE('',{points[a]},{vector})")
        edges[a, b] = add(f"EDGE_CURVE('',{vertices[a]},{vertices[b]},{line},.T.)")
        return add(f"ORIENTED_EDGE('',*,*,{edges[a, b]},.T.)")

    faces = []
    for a, b, c in triangles:
        loop = add(f"EDGE_LOOP('',({edge(a, b)},{edge(b, c)},{edge(c, a)}))")
        bound = add(f"FACE_OUTER_BOUND('',{loop},.T.)")
        normal = direction(np.cross(corners[b] - corners[a], corners[c] - corners[a]))
        frame = add(f"AXIS2_PLACEMENT_3D('',{points[a]},{normal},{direction(corners[b] - corners[a])})")
        plane = add(f"PLANE('',{frame})")
        faces.append(add(f"ADVANCED_FACE('',({bound}),{plane},.T.)"))
    shell = [f"#31=CLOSED_SHELL('',({','.join(faces)}));", "#30=MANIFOLD_SOLID_BREP('',#31);"]
    return _HEAD + "\n".join([unit, *lines, *shell, "ENDSEC;", "END-ISO-10303-21;", ""])


def step_cylinder(radius: float, height: float, unit: str = MILLIMETRE) -> str:
    """A cylinder on the xy-plane, about z, as a STEP file."""
    entities: dict[int, str] = {
        101: "DIRECTION('',(0.,0.,1.))", 102: "DIRECTION('',(0.,0.,-1.))", 103: "DIRECTION('',(1.,0.,0.))",
        110: f"CYLINDRICAL_SURFACE('',#201,{radius!r})", 111: "PLANE('',#202)", 112: "PLANE('',#211)",
        202: "AXIS2_PLACEMENT_3D('',#200,#102,#103)", 301: "VECTOR('',#101,1.)", 302: "LINE('',#203,#301)",
        303: "EDGE_CURVE('',#204,#214,#302,.T.)",
        320: "EDGE_LOOP('',(#310,#311,#312,#313))", 321: "EDGE_LOOP('',(#314))", 322: "EDGE_LOOP('',(#315))",
        31: "CLOSED_SHELL('',(#340,#341,#342))", 30: "MANIFOLD_SOLID_BREP('',#31)",
    }  # fmt: skip
    # The side goes round the lower circle, up the seam, back round the upper one and down; the lids go the other way.
    for number, (edge, way) in enumerate(
        ((206, "T"), (303, "T"), (216, "F"), (303, "F"), (206, "F"), (216, "T")), start=310
    ):
        entities[number] = f"ORIENTED_EDGE('',*,*,#{edge},.{way}.)"
    for face in range(3):
        entities[330 + face] = f"FACE_OUTER_BOUND('',#{320 + face},.T.)"
        entities[340 + face] = f"ADVANCED_FACE('',(#{330 + face}),#{110 + face},.T.)"
    for first, z in ((200, 0.0), (210, height)):
        entities |= {
            first: f"CARTESIAN_POINT('',(0.,0.,{z!r}))",
            first + 1: f"AXIS2_PLACEMENT_3D('',#{first},#101,#103)",
            first + 3: f"CARTESIAN_POINT('',({radius!r},0.,{z!r}))",
            first + 4: f"VERTEX_POINT('',#{first + 3})",
            first + 5: f"CIRCLE('',#{first + 1},{radius!r})",
            first + 6: f"EDGE_CURVE('',#{first + 4},#{first + 4},#{first + 5},.T.)",
        }
    lines = [f"#{number}={entity};" for number, entity in entities.items()]
    return _HEAD + "\n".join([unit, *lines, "ENDSEC;", "END-ISO-10303-21;", ""])


def iges_patch(flag: int, name: str) -> str:
    """A flat patch from (0, 0, 0) to (2, 3, 0), in the unit of a flag."""
    return iges_patches(flag, name, np.array([[[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 3.0, 0.0], [2.0, 3.0, 0.0]]]))


def iges_patches(flag: int, name: str, patches: np.ndarray) -> str:
    """Bilinear patches, (K, 4, 3) corners in rows of two, as surfaces of B-splines (entity 128), in a flag's unit."""
    knots = [0.0, 0.0, 1.0, 1.0]
    data: list[tuple[int, list[str]]] = []
    for corners in patches:
        places = corners.ravel().tolist()
        numbers = [128, 1, 1, 1, 1, 0, 0, 1, 0, 0, *knots, *knots, *[1.0] * 4, *places, 0.0, 1.0, 0.0, 1.0]
        tokens, rows = [f"{number}," for number in numbers[:-1]] + [f"{numbers[-1]};"], [""]
        for token in tokens:
            rows = [*rows, token] if len(rows[-1] + token) > 64 else [*rows[:-1], rows[-1] + token]
        data.append((1 + sum(len(before) for _, before in data), rows))
    entries = ["1H,", "1H;", "1Hp", "1Hf", "1Hs", "1Hs", "32", "38", "6", "308", "15", "1Hp", "1.", str(flag)]
    entries += [f"{len(name)}H{name}", "1", "0.01", "15H20200101.000000", "1E-07", "10.", "1Ha", "1Ho", "11", "0"]
    whole = ",".join(entries) + ";"
    header = [whole[i : i + 72] for i in range(0, len(whole), 72)]
    directory = ["".join(f"{value:>8}" for value in row) for first, rows in data for row in (
        (128, first, 0, 0, 0, 0, 0, 0, "00000000"), (128, 0, 0, len(rows), 0, "", "", "", 0),
    )]  # fmt: skip
    lines = [f"{'a patch':<72}S{1:>7}"]
    lines += [f"{text:<72}G{i + 1:>7}" for i, text in enumerate(header)]
    lines += [f"{text:<72}D{i + 1:>7}" for i, text in enumerate(directory)]
    lines += [
        f"{text:<64}{2 * patch + 1:>8}P{first + i:>7}"
        for patch, (first, rows) in enumerate(data)
        for i, text in enumerate(rows)
    ]
    total = f"S{1:>7}G{len(header):>7}D{len(directory):>7}P{sum(len(rows) for _, rows in data):>7}"
    return "\n".join([*lines, f"{total:<72}T{1:>7}", ""])


_CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
_PRODUCTION = "http://schemas.microsoft.com/3dmanufacturing/production/2015/06"


def mesh_3mf(corners: np.ndarray = CORNERS) -> str:
    vertices = "".join(f'<vertex x="{x}" y="{y}" z="{z}"/>' for x, y, z in corners.tolist())
    faces = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in FACES)
    return f"<mesh><vertices>{vertices}</vertices><triangles>{faces}</triangles></mesh>"


def model_3mf(objects: str, build: str, unit: str = "millimeter") -> str:
    return (
        f'<?xml version="1.0"?><model xmlns="{_CORE}" xmlns:p="{_PRODUCTION}" unit="{unit}">'
        f"<resources>{objects}</resources><build>{build}</build></model>"
    )


def package_3mf(model: str, **parts: str) -> bytes:
    """A 3MF of a model and of other parts, by name, in its folder 3D."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("3D/3dmodel.model", model)
        for name, part in parts.items():
            archive.writestr(f"3D/{name}.model", part)
    return stream.getvalue()


VTK_ASCII = """# vtk DataFile Version 3.0
a square of two triangles, once as a polygon and once as a strip
ASCII
DATASET POLYDATA
POINTS 4 double
5800000.0625 0 0  5800001.0625 0 0
5800001.0625 1 0  5800000.0625 1 0
VERTICES 1 2
1 0
LINES 1 3
2 0 1
POLYGONS 1 5
4 0 1 2 3
TRIANGLE_STRIPS 1 5
4 0 1 3 2
CELL_DATA 4
SCALARS kind int 1
LOOKUP_TABLE default
1 2 3 4
POINT_DATA 4
FIELD more 2
rgb 3 4 unsigned_char
255 0 0 0 255 0 0 0 255 51 51 51
height 1 4 float
0 nan 0 0
NORMALS n float
0 0 1 0 0 1 0 0 1 0 0 1
"""
