"""`demo --part`: the part that the guide works on, and the verdicts that the guide promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from typer.testing import CliRunner

from pointadplus.apps import cli
from pointadplus.apps.cli import demo_part


def lines(*words: object) -> list[list[str]]:
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return [line.split("\t") for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("part")
    files = demo_part.write_part(folder, 1, points=8000)
    assert [file.stem for file in files if file.is_file()] == [name.removeprefix("scans/") for name in demo_part.SCANS]
    return folder


@pytest.mark.parametrize(("holes", "bored"), [(2, 25 + 16), (1, 25), (0, 0)])
def test_the_bracket_is_closed_and_as_large_as_it_is_told(holes: int, bored: int) -> None:
    corners = demo_part.bracket(holes).reshape(-1, 3)
    mesh = trimesh.Trimesh(corners, np.arange(len(corners)).reshape(-1, 3))
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert np.allclose(mesh.extents, (80, 50, 40))
    circle = demo_part.SEGMENTS / 2 * np.sin(2 * np.pi / demo_part.SEGMENTS)
    assert np.isclose(mesh.volume, 40_000 + 15_000 + 20 * 8 * 10 + 12 * 10 * 6 - 10 * circle * bored)


def test_the_same_seed_makes_the_same_scans(part: Path, tmp_path: Path) -> None:
    assert "a bracket" in lines("demo", "--part", "--out", tmp_path / "again", "--seed", 1)[0][0]
    demo_part.write_part(tmp_path, 1, points=8000)
    for file in part.rglob("*.*"):
        assert file.read_bytes() == (tmp_path / file.relative_to(part)).read_bytes()
    assert (tmp_path / "again" / "good" / "1.ply").read_bytes() != (part / "good" / "1.ply").read_bytes()


def test_scans_against_the_nominal(part: Path) -> None:
    pytest.importorskip("open3d")
    files = sorted((part / "scans").iterdir())
    found = lines("compare", *files, "--nominal", part / "part.stl", "--tolerance", 0.2, "--unit", "mm")
    for file, line in zip(files, found, strict=True):
        wanted = "IN TOLERANCE" if "healthy" in file.stem else "OUT OF TOLERANCE"
        assert line[:2] == [wanted, str(file)] and " mm" in line[2]


@pytest.mark.parametrize("nominal", [True, False])
def test_scans_after_fit_and_calibrate(part: Path, tmp_path: Path, nominal: bool) -> None:
    if nominal:
        pytest.importorskip("open3d")
    model, calibration = tmp_path / "part.safetensors", tmp_path / "calibration.json"
    told = ("--nominal", part / "part.stl", "--tolerance", 0.2) if nominal else ()
    lines("fit", *told, "--normals", part / "good", "--out", model)
    lines(
        "calibrate", "--normals", part / "more-good", "--model", model, "--false-alarm-rate", 0.2, "--out", calibration
    )
    found = lines("score", part / "scans", "--model", model, "--calibration", calibration, "--out", tmp_path / "run")
    verdicts = {Path(line[1]).stem: line[0].split(" ")[0] for line in found}
    damaged = {stem for stem in verdicts if "healthy" not in stem}
    assert {stem for stem, verdict in verdicts.items() if verdict == "ANOMALOUS"} >= damaged and len(verdicts) == 6
