#!/usr/bin/env bash
# A model is often built under `torch.device("meta")` to save the time of a random start that weights from a file replace
# at once. There, multiplying a tensor by a Python number imports torch's compiler, torch._dynamo, and sympy with it: for
# a small model the import takes longer than the random start that was saved. Drawing random numbers on "meta" does not do
# it, nor does the same product on the CPU. open_clip's towers have such a product (the class embedding's scale).
#
# Seen with torch 2.13.0 (CPU), numpy 2.4.6, Python 3.11:
#     cpu product: False, meta randn: False, meta product: True
set -euo pipefail
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$scratch/venv/bin/python" - <<'PYTHON' | tee "$scratch/out"
import sys
import time

import torch


def loaded() -> bool:
    return "torch._dynamo" in sys.modules


seen = {}
0.5 * torch.randn(4)
seen["cpu product"] = loaded()
with torch.device("meta"):
    values = torch.randn(4)
    seen["meta randn"] = loaded()
    start = time.perf_counter()
    0.5 * values
    seconds = time.perf_counter() - start
    seen["meta product"] = loaded()
print(", ".join(f"{name}: {value}" for name, value in seen.items()))
print(f"the product of four numbers that hold no value took {seconds:.1f} s", file=sys.stderr)
PYTHON
[ "$(cat "$scratch/out")" = "cpu product: False, meta randn: False, meta product: True" ] || { echo "changed"; exit 1; }
echo "as described"
