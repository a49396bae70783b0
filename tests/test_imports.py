"""Imports run down the house only, and importing has no side effect."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import pointadplus

PACKAGE = Path(pointadplus.__file__).parent
MODULES = {
    ".".join(("pointadplus", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# The house, from the ground up: a room imports rooms that stand before it and its own modules, and nothing else.
ROOMS = (
    "errors", "config", "lazy", "text", "units", "normalization", "points", "cloud", "geometry", "io", "render", "data",
    "clip", "prompts", "results", "zero_shot", "evaluation", "report", "learning", "apps", "__main__",
)  # fmt: skip


def imported(name: str, path: Path) -> set[str]:
    """Modules of the project that a module imports, inside functions and for type checkers, too."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner in MODULES else base)
    return {module for module in found if module.split(".")[0] in ("pointadplus", "baselines")} - {name}


GRAPH = {name: imported(name, path) for name, path in MODULES.items()}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def test_the_graph_is_read_right() -> None:
    assert "pointadplus.errors" in GRAPH["pointadplus.cloud"]
    assert "pointadplus.render" in GRAPH["pointadplus.apps.cli.render"]  # inside a function
    assert "pointadplus.results.detector" in GRAPH["pointadplus.apps.cli"]  # for type checkers alone
    assert "pointadplus.cloud" in GRAPH["pointadplus.render.renderer"]  # two dots


def test_the_rooms_are_those_of_the_house() -> None:
    assert {room(name) for name in MODULES} == {"pointadplus", *ROOMS}


@pytest.mark.parametrize("name", sorted(MODULES.keys() - {"pointadplus"}))
def test_imports_run_down(name: str) -> None:
    own = ROOMS.index(room(name))
    above = {module for module in GRAPH[name] if room(module) not in ROOMS[: own + 1]}
    assert not above, f"{name} imports {sorted(above)}"


def test_no_two_files_import_each_other() -> None:
    TopologicalSorter(GRAPH).prepare()  # CycleError names the cycle


def test_baselines_import_nothing_that_learns_on_other_objects_or_is_started() -> None:
    folder = PACKAGE.parent / "baselines"
    graph = {path: imported(f"baselines.{path.stem}", path) for path in folder.rglob("*.py")}
    assert {"pointadplus.errors", "pointadplus.results.detector"} <= set().union(*graph.values())
    high = {path: {m for m in found if room(m) in ("learning", "apps", "pointadplus")} for path, found in graph.items()}
    assert not {path: found for path, found in high.items() if found}


SILENT_IMPORT = """
import importlib, json, os, sys, tempfile
tempfile.gettempdir()  # the standard library probes the folder with a file, once a process
written = []

def watch(event, args):
    if event == "open":
        mode, flags = args[1], args[2]
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or (mode and set(mode) & set("wax+")):
            written.append(str(args[0]))

import torch
state, threads = torch.get_rng_state(), (torch.get_num_threads(), torch.get_num_interop_threads())
sys.addaudithook(watch)
changed = []
for name in sys.argv[2:]:
    importlib.import_module(name)
    if not torch.equal(state, torch.get_rng_state()):
        changed.append(name + ": random state")
    if threads != (torch.get_num_threads(), torch.get_num_interop_threads()):
        changed.append(name + ": thread counts")
found = {"written": written[:], "changed": changed, "default dtype": str(torch.get_default_dtype())}
with open(sys.argv[1], "w") as file:
    json.dump(found, file)
"""


def test_importing_is_silent(tmp_path: Path) -> None:
    """A fresh interpreter, without a display, that imports everything: no output, no file, no global state touched.

    But for Numba's kernels, which nothing imports before they are asked for: Numba looks where it can keep them.
    """
    kernels = ("pointadplus.render.numba_kernels", "pointadplus.io.kernels")
    modules = [name for name in MODULES if name not in kernels]
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(PACKAGE.parent)}
    result = tmp_path / "found.json"
    run = subprocess.run(
        [sys.executable, "-c", SILENT_IMPORT, str(result), *modules],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    found = json.loads(result.read_text())
    assert found == {"written": [], "changed": [], "default dtype": "torch.float32"}


def test_the_command_line_does_not_wait_for_torch() -> None:
    code = "import sys, pointadplus.apps.cli; sys.exit(bool({'torch', 'numpy', 'open_clip'} & set(sys.modules)))"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
