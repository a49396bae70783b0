#!/usr/bin/env bash
# E57 lets a writer keep colours in any range, told in `colorLimits`: 0 to 1 in floats is as good as 0 to 255 in bytes. pye57's
# `read_scan(colors=True)` reads them into bytes and does not look at the limits: colours in [0, 1] come out black but for
# those that are exactly 1, which come out as 1. Its `libe57` reads the same file right into a buffer of doubles.
#
# Seen with pye57 0.4.19, numpy 2.4.6, Python 3.11, on a file that libe57 wrote with reds 0.25, 0.5, 0.75 and 1 of at most 1:
#     read_scan: [0, 0, 0, 1], doubles: [0.25, 0.5, 0.75, 1.0], limit: 1.0
set -euo pipefail
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check pye57==0.4.19 numpy==2.4.6
cd "$scratch"
"$scratch/venv/bin/python" - <<'PYTHON' | tee "$scratch/out"
import numpy as np
import pye57
from pye57 import libe57

COLORS = ("colorRed", "colorGreen", "colorBlue")
REDS = np.array([0.25, 0.5, 0.75, 1.0])
with pye57.E57("scan.e57", mode="w") as file:
    image = file.image_file
    scan, limits, prototype = (libe57.StructureNode(image) for _ in range(3))
    scan.set("guid", libe57.StringNode(image, "{a scan}"))
    scan.set("colorLimits", limits)
    buffers = libe57.VectorSourceDestBuffer()
    for name in ("cartesianX", "cartesianY", "cartesianZ"):
        prototype.set(name, libe57.FloatNode(image, 0.0, libe57.E57_DOUBLE))
        buffers.append(libe57.SourceDestBuffer(image, name, REDS, 4, True, True))
    for name in COLORS:
        limits.set(f"{name}Minimum", libe57.FloatNode(image, 0.0))
        limits.set(f"{name}Maximum", libe57.FloatNode(image, 1.0))
        prototype.set(name, libe57.FloatNode(image, 0.0, libe57.E57_SINGLE, 0.0, 1.0))
        buffers.append(libe57.SourceDestBuffer(image, name, REDS, 4, True, True))
    points = libe57.CompressedVectorNode(image, prototype, libe57.VectorNode(image, True))
    scan.set("points", points)
    file.data3d.append(scan)
    writer = points.writer(buffers)
    writer.write(4)
    writer.close()
with pye57.E57("scan.e57") as file:
    bytes_ = file.read_scan(0, colors=True, ignore_missing_fields=True)["colorRed"]
    scan, doubles = file.data3d[0], np.empty(4)
    buffers = libe57.VectorSourceDestBuffer()
    buffers.append(libe57.SourceDestBuffer(file.image_file, "colorRed", doubles, 4, True, True))
    scan["points"].reader(buffers).read()
    limit = scan["colorLimits/colorRedMaximum"].value()
print(f"read_scan: {bytes_.tolist()}, doubles: {doubles.tolist()}, limit: {limit}")
PYTHON
expected="read_scan: [0, 0, 0, 1], doubles: [0.25, 0.5, 0.75, 1.0], limit: 1.0"
[ "$(cat "$scratch/out")" = "$expected" ] || { echo "changed"; exit 1; }
echo "as described"
