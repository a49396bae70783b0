#!/usr/bin/env bash
# `from torch_geometric.nn import MessagePassing`, one class, also imports torch's compiler (torch._dynamo, through
# torch_geometric/isinstance.py), every data set, and torch_geometric.llm (through datasets/web_qsp_dataset.py). No user of
# a message-passing layer asked for any of them, and a lazy import of the class helps nothing: they come with the package.
#
# Seen with torch-geometric 2.8.1, torch 2.13.0, Python 3.11: importing it in a process that has torch already takes as
# long as torch itself, most of it in those three, and prints
#     torch._dynamo True, torch_geometric.datasets True, torch_geometric.llm True
set -euo pipefail
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 torch-geometric==2.8.1 numpy==2.4.6
"$scratch/venv/bin/python" -W ignore - <<'PYTHON' | tee "$scratch/out"
import sys
import time

start = time.perf_counter()
import torch

middle = time.perf_counter()
assert "torch._dynamo" not in sys.modules
from torch_geometric.nn import MessagePassing

end = time.perf_counter()
names = ("torch._dynamo", "torch_geometric.datasets", "torch_geometric.llm")
print(", ".join(f"{name} {name in sys.modules}" for name in names))
print(f"torch {middle - start:.1f} s, then torch_geometric {end - middle:.1f} s", file=sys.stderr)
PYTHON
expected="torch._dynamo True, torch_geometric.datasets True, torch_geometric.llm True"
[ "$(cat "$scratch/out")" = "$expected" ] || { echo "changed"; exit 1; }
echo "as described"
