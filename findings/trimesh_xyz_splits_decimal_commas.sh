#!/usr/bin/env bash
# Scanners set to German, French and many other languages write decimal commas: `1,5 2,5 3,5` is the point (1.5, 2.5, 3.5).
# trimesh's reader of XYZ takes each comma for a space: two such rows become four points, none of which was in the file, and
# nothing is said. Rows `x y z intensity red green blue`, as many scanners write them, keep their points, but the intensity
# becomes red, red green, green blue, and blue the opacity. A row `1,2,3` with no decimal comma, in contrast, is refused.
#
# Seen with trimesh 5.2.0, numpy 2.4.6, Python 3.11:
#     decimal commas: [[1.0, 5.0, 2.0], [5.0, 3.0, 5.0], [4.0, 5.0, 5.0], [5.0, 6.0, 5.0]]
#     intensity before colours: [[50, 10, 20, 30], [51, 11, 21, 31]]
set -euo pipefail
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check trimesh==5.2.0 numpy==2.4.6
"$scratch/venv/bin/python" - <<'PYTHON' | tee "$scratch/out"
import io

import numpy as np
import trimesh


def read(text: str) -> trimesh.PointCloud:
    return trimesh.load(io.BytesIO(text.encode()), file_type="xyz")


print("decimal commas:", np.asarray(read("1,5 2,5 3,5\n4,5 5,5 6,5\n").vertices).tolist())
cloud = read("1 2 3 50 10 20 30\n4 5 6 51 11 21 31\n")
print("intensity before colours:", np.asarray(cloud.colors).tolist())
PYTHON
expected="decimal commas: [[1.0, 5.0, 2.0], [5.0, 3.0, 5.0], [4.0, 5.0, 5.0], [5.0, 6.0, 5.0]]
intensity before colours: [[50, 10, 20, 30], [51, 11, 21, 31]]"
[ "$(cat "$scratch/out")" = "$expected" ] || { echo "changed"; exit 1; }
echo "as described"
