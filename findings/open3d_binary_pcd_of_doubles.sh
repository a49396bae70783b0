#!/usr/bin/env bash
# PCD allows coordinates of 8 bytes (SIZE 8, TYPE F), which is how PCL and others keep georeferenced points. Open3D reads such a
# file rightly where its data is text; where the same numbers are binary, it returns as many points, none of them the file's,
# and says nothing.
#
# Seen with open3d 0.19.0, numpy 2.4.6, Python 3.11; the largest difference from the points (1, 2, 3), (4, 5, 6):
#     ascii: 0
#     binary: 6
set -euo pipefail
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check open3d==0.19.0 numpy==2.4.6
cd "$scratch"
"$scratch/venv/bin/python" -W ignore - <<'PYTHON' | tee "$scratch/out"
import numpy as np
import open3d

points = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
head = (
    "VERSION 0.7\nFIELDS x y z\nSIZE 8 8 8\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 2\nHEIGHT 1\n"
    "VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 2\nDATA {}\n"
)
for kind, data in (("ascii", b"1 2 3\n4 5 6\n"), ("binary", points.astype("<f8").tobytes())):
    with open(f"{kind}.pcd", "wb") as file:
        file.write(head.format(kind).encode() + data)
    found = np.asarray(open3d.io.read_point_cloud(f"{kind}.pcd").points)
    assert found.shape == points.shape
    print(f"{kind}: {np.abs(found - points).max():.0f}")
PYTHON
expected="ascii: 0
binary: 6"
[ "$(cat "$scratch/out")" = "$expected" ] || { echo "changed"; exit 1; }
echo "as described"
