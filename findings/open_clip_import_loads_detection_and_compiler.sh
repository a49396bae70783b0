#!/usr/bin/env bash
# `import open_clip` wants one class of torchvision, FrozenBatchNorm2d (open_clip/utils.py). torchvision/__init__.py brings
# its models and data sets with it, and torchvision/ops/roi_align.py, which is for detection, imports torch._dynamo.utils at
# its top: so that who only wants CLIP's text tower gets torch's compiler and sympy. timm's registered models come, too.
#
# Seen with open_clip_torch 3.3.0, torchvision 0.29.1, torch 2.14.1, timm 1.0.31, Python 3.11:
#     torch._dynamo True, sympy True, torchvision.models.detection True, timm.models.resnet True
set -euo pipefail
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.14.1 torchvision==0.29.1 timm==1.0.31 open_clip_torch==3.3.0 numpy==2.4.6
"$scratch/venv/bin/python" -W ignore - <<'PYTHON' | tee "$scratch/out"
import sys
import time

start = time.perf_counter()
import torch

middle = time.perf_counter()
assert "torch._dynamo" not in sys.modules
import open_clip

end = time.perf_counter()
names = ("torch._dynamo", "sympy", "torchvision.models.detection", "timm.models.resnet")
print(", ".join(f"{name} {name in sys.modules}" for name in names))
print(f"torch {middle - start:.1f} s, then open_clip {end - middle:.1f} s", file=sys.stderr)
PYTHON
expected="torch._dynamo True, sympy True, torchvision.models.detection True, timm.models.resnet True"
[ "$(cat "$scratch/out")" = "$expected" ] || { echo "changed"; exit 1; }
echo "as described"
