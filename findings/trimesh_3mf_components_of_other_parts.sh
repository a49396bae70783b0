#!/usr/bin/env bash
# 3MF's production extension lets a component name an object of another model file of the package, by path and number; slicers
# write their parts so. trimesh puts all the meshes of that file into each component that names it, whichever object is meant:
# two parts of one file are read as four, two of them where no part is.
#
# Seen with trimesh 5.2.0, lxml 6.1.3, scipy 1.17.1, networkx 3.6.1, Python 3.11, on two tetrahedra, at x = 0 and, moved by y = 100, x = 10:
#     faces: 16, bodies at x y: (0, 0) (0, 100) (10, 0) (10, 100)
# By the specification: 8 faces, bodies at (0, 0) and (10, 100).
set -euo pipefail
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check \
    trimesh==5.2.0 lxml==6.1.3 networkx==3.6.1 numpy==2.4.6 scipy==1.17.1
"$scratch/venv/bin/python" - <<'PYTHON' | tee "$scratch/out"
import io
import zipfile

import trimesh

CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
PRODUCTION = "http://schemas.microsoft.com/3dmanufacturing/production/2015/06"
FACES = ((0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3))


def mesh(x):
    corners = ((x, 0, 0), (x + 1, 0, 0), (x, 1, 0), (x, 0, 1))
    vertices = "".join(f'<vertex x="{a}" y="{b}" z="{c}"/>' for a, b, c in corners)
    triangles = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in FACES)
    return f"<mesh><vertices>{vertices}</vertices><triangles>{triangles}</triangles></mesh>"


def model(objects, build):
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><model xmlns="{CORE}" xmlns:p="{PRODUCTION}" unit="millimeter" '
        f'requiredextensions="p"><resources>{objects}</resources><build>{build}</build></model>'
    )


RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
KIND = "http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"


def relation(target):
    return f'<Relationships xmlns="{RELATIONS}"><Relationship Target="{target}" Id="r" Type="{KIND}"/></Relationships>'


TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/></Types>'
)
components = (
    '<object id="3" type="model"><components><component p:path="/3D/Objects/parts.model" objectid="1"/>'
    '<component p:path="/3D/Objects/parts.model" objectid="2" transform="1 0 0 0 1 0 0 0 1 0 100 0"/>'
    "</components></object>"
)
parts = f'<object id="1" type="model">{mesh(0)}</object><object id="2" type="model">{mesh(10)}</object>'
stream = io.BytesIO()
with zipfile.ZipFile(stream, "w") as archive:
    archive.writestr("[Content_Types].xml", TYPES)
    archive.writestr("_rels/.rels", relation("/3D/3dmodel.model"))
    archive.writestr("3D/_rels/3dmodel.model.rels", relation("/3D/Objects/parts.model"))
    archive.writestr("3D/3dmodel.model", model(components, '<item objectid="3"/>'))
    archive.writestr("3D/Objects/parts.model", model(parts, ""))
stream.seek(0)
found = trimesh.load_scene(stream, file_type="3mf").to_geometry()
bodies = sorted(tuple(int(v) for v in body.bounds[0][:2]) for body in found.split(only_watertight=False))
print(f"faces: {len(found.faces)}, bodies at x y: {' '.join(f'({x}, {y})' for x, y in bodies)}")
PYTHON
[ "$(cat "$scratch/out")" = "faces: 16, bodies at x y: (0, 0) (0, 100) (10, 0) (10, 100)" ] || { echo "changed"; exit 1; }
echo "as described"
