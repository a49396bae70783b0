"""Every command and every Python example of the documentation: run on small data, or else read word by word.

A command runs unless `ONLY_READ` gives a reason why not. Read word by word means: each subcommand, option, extra,
script and target that it names exists.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import trimesh
import typer
from typer.testing import CliRunner

from baselines import SurfaceDeviation
from pointadplus.apps import cli
from pointadplus.cloud import PointCloud
from pointadplus.config import read_toml
from pointadplus.io import write_cloud
from pointadplus.learning.training.config import TrainConfig
from tests.io.cad_files import step_solid

try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib  # pyright: ignore[reportMissingImports] - not installed where it is not needed

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "benchmarks/README.md",
    *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")),
]

# What does not run here: a pattern that the whole line begins with, and why.
ONLY_READ = {
    r"pip install": "installs",
    r"pointadplus --install-completion": "changes the set-up of the user's shell",
    r"make ": "installs",
    r"\.venv/bin/": "needs what make dev installs",
    r"(OMP_NUM_THREADS=\d+ )?python benchmarks/": "minutes to hours, and data that have to be had first",
    r"(RAY_ADDRESS=\S+ )?pointadplus score .*--engine ray": "starts Ray, or needs a cluster; tests/apps/test_ray.py",
    r"(OMP_NUM_THREADS=\d+ )?pointadplus serve": "serves until it is stopped; tests/apps/test_serve.py",
    r"accelerate launch": "several devices",
    r"pointadplus protocol": "tests/learning/test_reproduce.py runs these, on small data of the same layouts",
    r"pointadplus train ": "trains for minutes; tests/learning/test_training_run.py",
    r"pointadplus datasets make DIR": "a benchmark of hundreds of clouds; tests/learning/test_synthetic_data.py",
    r"pointadplus evaluate .*--root DIR": "a data set that has to be had first; tests/evaluation/test_benchmark.py",
    r"pointadplus (fit|evaluate) --method (mvr|reg2inv)": "minutes; tests/baselines/test_mvr.py and test_reg2inv.py",
    r"pointadplus demo": "20,000 points a scan; tests/apps/test_cli.py",
    r"from baselines import MVR, MVRConfig": "trains for minutes, and needs the hub; tests/baselines/test_mvr.py",
    r"from baselines import Reg2Inv, Reg2InvConfig": "trains for minutes; tests/baselines/test_reg2inv.py",
}
if find_spec("open3d") is None:
    ONLY_READ |= dict.fromkeys(
        (r"pointadplus (compare|fit --nominal)", r"from baselines import SurfaceDeviation\n\ndetector = .*nominal"),
        "Open3D has no wheel here",
    )
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`([^`]+)`")
_COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )?(?:pointadplus|python|make|accelerate|pip|\.venv/bin/\S+) ")


def text_of(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def shell_lines(page: str) -> list[str]:
    """Commands of a page, in its order: lines of shell blocks, and what stands between backticks."""
    text = text_of(page)
    found = [(match.start(), line) for match in _FENCE.finditer(text) if match[1] in ("", "sh", "bash", "console")
             for line in match[2].replace("\\\n", " ").splitlines()]  # fmt: skip
    rest = _FENCE.sub(lambda match: "\0" * len(match[0]), text)
    found += [(match.start(), match[1]) for match in _INLINE.finditer(rest)]
    lines = [" ".join(line.strip().removeprefix("$ ").split()) for _, line in sorted(found, key=lambda each: each[0])]
    return [part for line in lines if _COMMAND.match(line) for part in line.split(" && ")]


def python_blocks(page: str) -> list[str]:
    return [match[2] for match in _FENCE.finditer(text_of(page)) if match[1] == "python"]


def only_read(line: str) -> bool:
    return any(re.match(pattern, line) for pattern in ONLY_READ)


# Read word by word.


@pytest.mark.parametrize("page", PAGES)
def test_what_commands_name_exists(page: str) -> None:
    for line in shell_lines(page):
        check_line(line)


def check_line(line: str) -> None:
    words = [word for word in shlex.split(line, comments=True) if not re.match(r"[A-Z_]+=", word)]
    if words[:3] == ["accelerate", "launch", "-m"]:
        words = words[3:]
    if words[0] == "pointadplus":
        check_subcommand(words[1:], line)
    elif words[0] == "python" and words[1].startswith("benchmarks/"):
        unknown = {option.partition("=")[0] for option in words[2:] if option.startswith("--")} - options_of(words[1])
        assert not unknown, f"{line}: {unknown}"
    elif words[0] == "make":
        targets = re.findall(r"^(\w+):", text_of("Makefile"), re.MULTILINE)
        assert all(word in targets for word in words[1:] if "=" not in word), line
    elif words[0] == "pip":
        extras = re.findall(r"\[([\w,]+)\]", line)
        known = tomllib.loads(text_of("pyproject.toml"))["project"]["optional-dependencies"]
        assert all(extra in known for each in extras for extra in each.split(",")), line
    else:
        assert words[0].startswith(".venv/bin/"), f"nobody knows this command: {line}"


def check_subcommand(words: list[str], line: str) -> None:
    command: Any = typer.main.get_command(cli.app)
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{line}: no subcommand {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    known = {"-h", "--help", *(option for parameter in command.params for option in parameter.opts)}
    unknown = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)} - known
    assert not unknown, f"{line}: {unknown}"


@functools.cache
def options_of(script: str) -> frozenset[str]:
    """Options that a benchmark's argparse knows."""
    calls = [node for node in ast.walk(ast.parse(text_of(script))) if isinstance(node, ast.Call)]
    added = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"]
    names = {argument.value for call in added for argument in call.args if isinstance(argument, ast.Constant)}
    return frozenset(name for name in names if isinstance(name, str) and name.startswith("--"))


@pytest.mark.parametrize("page", PAGES)
def test_what_examples_import_exists(page: str) -> None:
    for block in python_blocks(page):
        tree = ast.parse(block)
        scope: dict[str, Any] = {}
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                assert node.module is not None
                scope |= {each.name: getattr(importlib.import_module(node.module), each.name) for each in node.names}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in scope:
                assert hasattr(scope[node.value.id], node.attr), ast.unparse(node)


@pytest.mark.parametrize("line", [
    "pointadplus skore scan.ply", "pointadplus score scan.ply --reprot r.html", "pointadplus datasets mke DIR",
    "python benchmarks/speed.py --point 1", "make dmeo", "pip install '.[tif]'", "pointadplus --seed 1", "python x.py",
])  # fmt: skip
def test_a_misspelt_word_is_noticed(line: str) -> None:
    with pytest.raises(AssertionError):
        check_line(line)


def test_configs_are_those_that_training_takes(tmp_path: Path) -> None:
    blocks = [match[2] for page in PAGES for match in _FENCE.finditer(text_of(page)) if match[1] == "toml"]
    assert blocks
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.toml"
        path.write_text(block, "utf-8")
        assert isinstance(read_toml(TrainConfig, path), TrainConfig)


# Run.


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the documentation names: a block of 2 × 1 × 0.5, normal scans of it, and one with a dent."""
    folder = tmp_path_factory.mktemp("docs")
    dented = scan(0)
    near = (dented[:, :2].square().sum(1) < 0.05) & (dented[:, 2] > 0.2)
    dented[near, 2] -= 0.15
    names = [*(f"good{i}" for i in range(1, 5)), *(f"{place}/{i}" for place in ("good", "more-good") for i in range(4))]
    names += ["scans/healthy-1", "scans/healthy-2", "parts/good/0", "parts/train/0", "parts/train/1"]
    for seed, name in enumerate(names):
        save(folder / f"{name}.ply", scan(seed + 1))
    for name in ("scan", "scans/dent", "parts/bad/0"):
        save(folder / f"{name}.ply", dented)
    rows = (f"{row / 2},7,{x},{y},{z}\n" for row, (x, y, z) in enumerate(dented.tolist()))
    (folder / "scan.csv").write_text("".join(rows))  # no header, and the coordinates in columns 3 to 5
    block = trimesh.creation.box((2.0, 1.0, 0.5))
    block.subdivide().export(folder / "part.stl")
    (folder / "part.step").write_text(step_solid(corners=block.vertices, triangles=block.faces.tolist()))
    (folder / "parts" / "masks").mkdir()
    (folder / "parts" / "masks" / "0.txt").write_text("".join(f"{int(one)}\n" for one in near))
    SurfaceDeviation().fit([folder / "good1.ply", folder / "good2.ply"]).save(folder / "part.safetensors")
    return folder


def scan(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(900, 3, generator=generator) - 0.5
    face = torch.randint(3, (900,), generator=generator)
    points[torch.arange(900), face] = points[torch.arange(900), face].sign() * 0.5
    return points * torch.tensor([2.0, 1.0, 0.5])


def save(path: Path, points: torch.Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_cloud(path, PointCloud.create(points))


@pytest.fixture
def here(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of one page's own."""
    shutil.copytree(scans, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POINTADPLUS_HOME", str(tmp_path / "home"))
    return tmp_path


def runnable(page: str) -> list[str]:
    return [line for line in shell_lines(page) if not only_read(line)]


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)])
def test_commands_run(page: str, here: Path) -> None:
    for line in runnable(page):
        run(line)
        for written in re.findall(r"--(?:out|report|pdf|points|regions-csv|regions-ply) (\S+)", line):
            assert Path(written).exists(), line


def run(line: str) -> None:
    words = [found for word in shlex.split(line, comments=True)[1:] for found in expanded(word)]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, f"{line}: {result.output}{result.exception!r}"


def expanded(word: str) -> list[str]:
    """What a shell makes of a word; DIR is a data set's folder."""
    if "*" in word:
        return sorted(str(path) for path in Path().glob(word))
    return ["parts" if word == "DIR" else word]


@pytest.mark.parametrize("page", [page for page in PAGES if any(not only_read(block) for block in python_blocks(page))])
def test_examples_run(page: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {}
    for block in python_blocks(page):
        if not only_read(block):
            exec(compile(block, page, "exec"), scope)
    if page == "README.md":
        assert (here / "report.html").exists()
        assert "torch.Size([900])" in capsys.readouterr().out


def test_what_runs_and_what_does_not_is_as_meant() -> None:
    """A pattern of `ONLY_READ` that is too wide would leave nothing to run."""
    ran = {line.split(" ")[1] for page in PAGES for line in runnable(page)}
    assert ran >= {"score", "fit", "calibrate", "render", "evaluate", "datasets", "weights", "doctor"}
