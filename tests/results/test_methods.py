"""Methods by name, and the way from normal scans to scores on the command line."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from baselines import MVR, FPFHMemoryBank
from pointadplus import ZeroShotDetector
from pointadplus.apps import cli
from pointadplus.cloud import PointCloud
from pointadplus.errors import ConfigError, WeightsError
from pointadplus.io import write_cloud
from pointadplus.learning.synthesis.parts import Part, PartConfig
from pointadplus.results import methods
from pointadplus.results.methods import few_shot_names, load_detector, method, method_names

MVR_TOML = """
views = "faces6"
image_size = 64
supersample = 1
nodes = 512
support = 1024
looks = 1
steps = 3
batch = 2
"""


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `good` with two scans of a part, and `broken.ply`."""
    folder = tmp_path_factory.mktemp("scans")
    part = Part(0, PartConfig(family="brick", points=2000))
    (folder / "good").mkdir()
    for number in range(2):
        write_cloud(folder / "good" / f"{number}.ply", PointCloud.create(part.scan(number).points))
    write_cloud(folder / "broken.ply", PointCloud.create(part.scan(5, "broken").points))
    return folder


def run(*arguments: object) -> Any:
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_methods_have_names() -> None:
    assert {"zero-shot", "fpfh-memory-bank", "mvr", "reg2inv"} <= set(method_names())
    assert method("zero-shot") is ZeroShotDetector and method("mvr") is MVR
    assert "zero-shot" not in few_shot_names() and "mvr" in few_shot_names()


def test_unknown_methods_are_told() -> None:
    with pytest.raises(ConfigError, match="unknown method; expected: fpfh-memory-bank, mvr"):
        method("magic")


def test_what_is_offered_must_be_a_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = EntryPoint("wrong", "pathlib:Path", methods.GROUP)
    monkeypatch.setattr(methods, "entry_points", lambda group: [wrong])
    with pytest.raises(ConfigError, match="not a detector"):
        method("wrong")


def test_files_find_their_method(scans: Path, tmp_path: Path) -> None:
    bank = FPFHMemoryBank().fit([scans / "good" / "0.ply"])
    bank.save(tmp_path / "bank.safetensors")
    loaded = load_detector(tmp_path / "bank.safetensors")
    assert isinstance(loaded, FPFHMemoryBank)
    assert torch.equal(loaded.score(scans / "broken.ply").point_scores, bank.score(scans / "broken.ply").point_scores)
    ZeroShotDetector().save(tmp_path / "zero.safetensors")
    assert isinstance(load_detector(tmp_path / "zero.safetensors"), ZeroShotDetector)


@pytest.mark.parametrize("metadata", [None, {"pointadplus.magic": "{}"}], ids=["no metadata", "another method"])
def test_other_files_are_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors", metadata)
    with pytest.raises(WeightsError, match="not the weights of a detector"):
        load_detector(tmp_path / "other.safetensors")


@pytest.mark.parametrize(("name", "toml"), [("mvr", MVR_TOML), ("fpfh-memory-bank", "nodes = 512\nsupport = 1024")])
def test_fit_then_score(scans: Path, tmp_path: Path, name: str, toml: str) -> None:
    config, out = tmp_path / "config.toml", tmp_path / "new" / "part.safetensors"
    config.write_text(toml)
    told = run("fit", "--method", name, "--normals", scans / "good", "--out", out, "--config", config)
    assert told.exit_code == 0, told.stderr
    assert told.stdout.endswith(f"of 2 normal scans: {out}\n")
    scored = run("score", scans / "broken.ply", "--model", out)
    assert scored.exit_code == 0, scored.stderr
    path, score = scored.stdout.strip().split("\t")
    assert path == str(scans / "broken.ply") and 0 <= float(score) <= 1


def test_fit_tells_what_is_wrong(scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "part.safetensors"
    (tmp_path / "empty").mkdir()
    (tmp_path / "wrong.toml").write_text("colour = 3")
    normals = ("--normals", scans / "good", "--out", out)
    for arguments, message in (
        (("--normals", tmp_path / "empty", "--out", out), "no scan in the folder"),
        (("--method", "zero-shot", *normals), "learns nothing from normal scans"),
        (("--method", "magic", *normals), "unknown method"),
        (("--config", tmp_path / "wrong.toml", *normals), "unknown option"),
    ):
        told = run("fit", *arguments)
        assert told.exit_code == 1 and message in told.stderr
    assert not out.exists()
