"""Lazy packages: nobody is left with half of one, and scoring does not wait for what it has no use for."""

# ruff: noqa: E501 - programs of one line

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pointadplus

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(pointadplus.__file__).parents[1]), "OMP_NUM_THREADS": "1"}

FILES = {
    "big/__init__.py": "import builtins; builtins.runs.append('big')\nfrom . import heavy\nfrom .light import VALUE\nNAME = 'big'\n__all__ = ['NAME']\n",
    "big/light.py": "VALUE = 1\n",
    "big/heavy.py": "import builtins; builtins.runs.append('heavy')\nclass Thing: pass\n",
    "big/inner/__init__.py": "import builtins; builtins.runs.append('inner')\nDEEP = 2\n",
    "big/inner/leaf.py": "LEAF = 3\n",
    "broken/__init__.py": "import builtins; builtins.runs.append('broken')\nif builtins.fails: raise ImportError('not yet')\nWHOLE = 4\n",
    "broken/leaf.py": "LEAF = 5\n",
}  # fmt: skip
START = """
import builtins, sys; builtins.runs = runs = []; builtins.fails = True
from pointadplus.lazy import import_lazily
import_lazily({"big": "light inner", "big.inner": "leaf", "broken": "leaf", "absent": ""})
"""


UNUSED = {
    "fastapi", "matplotlib", "numba.core", "open3d", "open_clip.coca_model", "pandas", "pointadplus.learning", "scipy.stats",
    "sklearn", "sympy", "timm.models", "torch._dynamo.utils", "torch_geometric.datasets.planetoid", "trimesh",
}  # fmt: skip


def run(code: str, folder: Path | None = None) -> None:
    environment = dict(ENVIRONMENT)
    if folder is not None:
        environment["PYTHONPATH"] += os.pathsep + str(folder)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("code", [
    "import big; assert runs == []; assert big.NAME == 'big' and runs == ['big', 'heavy']; assert type(big) is type(sys)",
    "from big import NAME; assert NAME == 'big' and runs == ['big', 'heavy']",
    "from big.light import VALUE; assert VALUE == 1 and runs == []; import big; assert big.light.VALUE == 1 and runs == []",
    "import big.heavy; assert runs == ['big', 'heavy']; import big; assert big.heavy is sys.modules['big.heavy']",
    "from big import heavy, light; assert runs == ['big', 'heavy']; import big.heavy as h; assert h.Thing is heavy.Thing",
    "from big import inner, light; assert runs == [] and inner.DEEP == 2 and light.VALUE == 1 and 'inner' in runs",
    "from big import *; assert NAME == 'big'",
    "import big; assert 'heavy' in dir(big)",
    "import big; assert big.__name__ == 'big' and big.__path__ and big.__file__ and big.__spec__.name == 'big'; assert runs == []",
    "from big.inner.leaf import LEAF; assert LEAF == 3 and runs == []; import big; assert big.inner.DEEP == 2; assert runs == ['big', 'heavy', 'inner']",
    "import big\ntry: big.nothing\nexcept AttributeError as error: assert 'nothing' in str(error) and runs == ['big', 'heavy']\nelse: raise SystemExit(1)",
    "import big\nassert not hasattr(big, '__warningregistry__') and runs == []",
    "try: import absent\nexcept ModuleNotFoundError: pass\nelse: raise SystemExit(1)",
    "import broken, broken.leaf\ntry: broken.WHOLE\nexcept ImportError: pass\nelse: raise SystemExit(1)\nbuiltins.fails = False\nassert broken.WHOLE == 4 and runs == ['broken'] * 2",
    "import big, copy, importlib; assert importlib.reload(big).NAME == 'big'",
])  # fmt: skip
def test_a_lazy_package_is_whole_when_it_is_used(code: str, packages: Path) -> None:
    run(START + code, packages)


def test_threads_that_meet_at_a_lazy_package_find_it_whole(packages: Path) -> None:
    run(
        START + "import big, threading\n"
        "found = []\n"
        "tasks = [lambda: big.NAME, lambda: __import__('big.heavy').heavy.Thing, lambda: __import__('big.inner').inner.DEEP] * 6\n"
        "threads = [threading.Thread(target=lambda task=task: found.append(task())) for task in tasks]\n"
        "[thread.start() for thread in threads]; [thread.join(20) for thread in threads]\n"
        "assert len(found) == 18 and runs.count('big') == 1, (len(found), runs)\n",
        packages,
    )


def test_what_was_imported_before_stays_as_it_is(packages: Path) -> None:
    run("import builtins; builtins.runs = []\nimport big; kept = big.heavy.Thing\n"
        + START + "assert big.heavy.Thing is kept and type(big) is type(sys)", packages)  # fmt: skip


def test_scoring_does_not_wait_for_what_it_has_no_use_for() -> None:
    run(
        "import sys, torch\nfrom pointadplus import ZeroShotDetector\n"
        "ZeroShotDetector().score(torch.rand(3000, 3, generator=torch.Generator().manual_seed(0)))\n"
        f"there = {UNUSED} & set(sys.modules)\n"
        "assert not there, there\n"
    )


TORCHVISION = """
from torchvision.ops import nms
boxes = torch.tensor([[0.0, 0, 1, 1], [0, 0, 1, 1]])
assert len(nms(boxes, torch.ones(2), 0.5)) == 1
import torchvision.transforms.v2 as v2
assert v2.Resize(4)(torch.zeros(3, 8, 8)).shape == (3, 4, 4)
from torchvision.models import resnet18
assert resnet18(num_classes=2).eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 2)
from torchvision.ops.misc import FrozenBatchNorm2d
import open_clip.utils
assert open_clip.utils.FrozenBatchNorm2d is FrozenBatchNorm2d
"""
OPEN_CLIP = """
import open_clip
model, _, prepare = open_clip.create_model_and_transforms("ViT-B-32")
from open_clip.model import CLIP
assert type(model) is CLIP and callable(prepare)
import timm
assert timm.create_model("resnet10t", num_classes=2).eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 2)
"""
GRAPHS = """
import torch_geometric
import torch_geometric.transforms as T
assert T.NormalizeFeatures() and torch_geometric.datasets.KarateClub()[0].num_nodes == 34
import torch._dynamo.config
assert isinstance(torch._dynamo.config.suppress_errors, bool)
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2)).tolist() == [2.0, 2.0]
"""


@pytest.mark.slow
@pytest.mark.parametrize("code", [TORCHVISION, OPEN_CLIP, GRAPHS], ids=["torchvision", "open_clip", "torch_geometric"])
def test_the_libraries_work_as_ever_after_scoring(code: str) -> None:
    run("import torch\nfrom pointadplus.zero_shot.detector import ZeroShotDetector\nZeroShotDetector()\n" + code)
