#!/usr/bin/env bash
# cascadio tessellates STEP and IGES (OpenCASCADE). The numbers that come out are in a unit that depends on the kind of the
# file and of the output, and never on the file's own unit: GLB of a STEP is in metres, as glTF wants it; GLB of an IGES is in
# millimetres, which a reader of glTF takes for metres; OBJ of a STEP is in millimetres, for a file in metres or inches, too.
# So that the same part of 2 × 3 mm, as STEP and as IGES, differs by 1000 once both are GLB.
#
# Seen with cascadio 0.1.1, trimesh 5.2.0, numpy 2.4.6, Python 3.11; the largest x of a part that is 2 wide in its file's unit:
#     STEP in mm: GLB 0.002, OBJ 2
#     STEP in m: GLB 2, OBJ 2000
#     IGES in mm: GLB 2
#     IGES in m: GLB 2000
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check cascadio==0.1.1 trimesh==5.2.0 numpy==2.4.6
cp "$here/../tests/io/cad_files.py" "$scratch" # writes the two files by hand; imports numpy alone
cd "$scratch"
"$scratch/venv/bin/python" - <<'PYTHON' >"$scratch/all"
import io

import cascadio
import trimesh
from cad_files import METRE, MILLIMETRE, iges_patch, step_solid


def width(data, kind):
    return f"{trimesh.load_scene(data, file_type=kind).bounds[1][0]:.6g}"


for name, unit in (("mm", MILLIMETRE), ("m", METRE)):
    text = step_solid(unit)
    with open("part.step", "w") as file:
        file.write(text)
    assert cascadio.step_to_obj("part.step", "part.obj") == 0
    glb, obj = width(io.BytesIO(cascadio.load(text.encode())), "glb"), width(open("part.obj", "rb"), "obj")
    print(f"STEP in {name}: GLB {glb}, OBJ {obj}", flush=True)
for name, flag, word in (("mm", 2, "MM"), ("m", 6, "M")):
    glb = cascadio.load(iges_patch(flag, word).encode(), file_type="iges")
    print(f"IGES in {name}: GLB {width(io.BytesIO(glb), 'glb')}", flush=True)
PYTHON
grep -aE '^(STEP|IGES) in' "$scratch/all" | tee "$scratch/out" # OpenCASCADE writes to standard output, too
expected="STEP in mm: GLB 0.002, OBJ 2
STEP in m: GLB 2, OBJ 2000
IGES in mm: GLB 2
IGES in m: GLB 2000"
[ "$(cat "$scratch/out")" = "$expected" ] || { echo "changed"; exit 1; }
echo "as described"
