"""The notebook under examples/ runs as it stands, on small scans, and tells the damaged part from the healthy one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pointadplus.io import read_cloud

nbformat = pytest.importorskip("nbformat", reason="the notebook needs nbformat, of the extra dev")
pytest.importorskip("nbclient", reason="the notebook needs nbclient, of the extra dev")
pytest.importorskip("ipykernel", reason="the notebook needs ipykernel, of the extra dev")

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples" / "inspect_a_part.ipynb"
POINTS = 2500


@pytest.fixture(scope="module")
def notebook() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notebook")


# In a process of its own: nbclient leaves its sockets to the collector.
_EXECUTE = """
import sys, nbclient, nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

manager = AsyncKernelManager(kernel_spec_manager=KernelSpecManager(ensure_native_kernel=True))
manager.kernel_spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, km=manager, timeout=300, resources={"metadata": {"path": sys.argv[2]}}).execute()
nbformat.write(notebook, sys.argv[3])
"""


@pytest.fixture(scope="module")
def executed(out: Path) -> Any:
    """A copy with outputs, run by this interpreter whatever kernels are registered."""
    copy = out / "executed.ipynb"
    environment = os.environ | {
        "INSPECT_POINTS": str(POINTS), "INSPECT_OUT": str(out), "PYTHONPATH": str(ROOT),
        "IPYTHONDIR": str(out / "ipython"),
    }  # fmt: skip
    command = [sys.executable, "-c", _EXECUTE, str(NOTEBOOK), str(out), str(copy)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stderr
    return nbformat.read(copy, as_version=4)


def printed(notebook: Any) -> str:
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def test_no_outputs_are_committed(notebook: Any) -> None:
    for cell in notebook.cells:
        assert cell.cell_type != "code" or (not cell.outputs and cell.execution_count is None)


def test_the_damaged_part_is_told_from_the_healthy_one(executed: Any) -> None:
    text = printed(executed)
    assert re.search(r"healthy: p = [\d.]+, normal\ndamaged: p = 0\.125, anomalous\n", text), text
    few_shot = re.search(r"healthy: ([\d.]+), damaged: ([\d.]+)", text)
    assert few_shot is not None and float(few_shot[1]) < float(few_shot[2])


def test_pictures_are_shown_and_files_handed_on(executed: Any, out: Path) -> None:
    shown = [
        output for cell in executed.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert len(shown) == 2
    assert len(read_cloud(out / "scores.ply")) == POINTS
    assert read_cloud(out / "regions.ply").colors is not None
    assert "Wing nut" in (out / "report.html").read_text("utf-8")
