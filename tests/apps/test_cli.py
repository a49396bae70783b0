"""The command line, with a detector that scores a cloud by its height and refuses on demand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from typer.testing import CliRunner

from pointadplus import __version__
from pointadplus.apps import cli
from pointadplus.apps.cli.output import UNDECIDED, score_line
from pointadplus.cloud import PointCloud
from pointadplus.errors import WeightsError, install_command
from pointadplus.io import read_cloud, read_mesh, write_cloud
from pointadplus.results.detection import Detection
from pointadplus.results.detector import AnomalyDetector
from tests.heights import command, write_scan

ROOT = Path(__file__).parents[2]


make_detector = cli._detector  # before a test replaces it


class HeightDetector(AnomalyDetector):
    """The object's score is its highest z; points score their z. `boom.ply` meets a bug."""

    def score_cloud(self, cloud: PointCloud) -> Detection:
        if str(cloud.source).endswith("boom.ply"):
            raise RuntimeError("an allocation\nfailed")
        scores = cloud.points[:, 2].clamp(0, 1)
        return Detection(float(scores.max()), cloud.to_rows(scores), cloud, seconds={"render": 0.75, "encode": 0.25})

    def save(self, path: str | os.PathLike[str]) -> None:
        raise NotImplementedError

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> HeightDetector:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def detector(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the real detector; the list holds the weights that were asked for."""
    asked: list[str] = []
    monkeypatch.setattr(cli, "_detector", lambda weights, _=None: asked.append(weights) or HeightDetector())
    return asked


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A folder with low.ply and high.ply (scores 0.25 and 0.5), bad.ply and boom.ply."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name, height in (("low", 0.25), ("high", 0.5), ("boom", 0.1)):
        write_cloud(folder / f"{name}.ply", PointCloud.create(torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, height]])))
    (folder / "bad.ply").write_bytes(b"not a cloud")
    return folder


def run(*arguments: object) -> SimpleNamespace:
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr)


def test_score_prints_a_line_a_file(scans: Path) -> None:
    result = run("score", scans / "low.ply", scans / "high.ply")
    assert result.code == 0
    assert result.out == f"{scans / 'low.ply'}\t0.2500\n{scans / 'high.ply'}\t0.5000\n"
    assert result.err == f"{UNDECIDED}\n"  # once; and no progress bar where nobody watches
    assert run("score", scans / "low.ply", "-q").err == ""


def test_a_bad_file_costs_the_others_nothing(scans: Path, tmp_path: Path) -> None:
    files = [scans / f"{name}.ply" for name in ("bad", "low", "missing", "boom", "high")]
    result = run("score", *files, "--out", tmp_path / "new" / "scores.jsonl")
    assert result.code == 1
    assert [line.split("\t")[1] for line in result.out.splitlines()] == ["0.2500", "0.5000"]
    *errors, worth = result.err.splitlines()
    assert worth == UNDECIDED and len(errors) == 3
    assert all(line.startswith("error: ") for line in errors)
    for line, part in zip(errors, ("bad.ply", "missing.ply", "boom.ply: RuntimeError: an allocation"), strict=True):
        assert part in line
    records = [json.loads(line) for line in (tmp_path / "new" / "scores.jsonl").read_text().splitlines()]
    assert [record["path"] for record in records] == [str(file) for file in files]
    assert ["error" in record for record in records] == [True, False, True, True, False]


def test_json_lines(scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.jsonl"
    run("score", scans / "low.ply", "--out", out)
    record = json.loads(out.read_text())
    assert record["seconds"].pop("prepare") >= 0
    assert record == {
        "path": str(scans / "low.ply"),
        "object_score": 0.25,
        "points": 3,
        "dropped": 0,
        "measurable": True,
        "notes": [],
        "seconds": {"render": 0.75, "encode": 0.25},
    }


def test_a_line_is_on_disk_before_the_next_file(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed keeps what it has scored."""
    out, seen = tmp_path / "scores.jsonl", []

    class Interrupted(HeightDetector):
        def score_cloud(self, cloud: PointCloud) -> Detection:
            seen.append(len(out.read_text().splitlines()))
            if len(seen) == 2:
                raise KeyboardInterrupt
            return super().score_cloud(cloud)

    monkeypatch.setattr(cli, "_detector", lambda *_: Interrupted())
    assert run("score", scans / "low.ply", scans / "high.ply", "--out", out).code == 130
    assert seen == [0, 1]


def test_points_are_written_with_their_scores(scans: Path, tmp_path: Path) -> None:
    assert run("score", scans / "high.ply", "--points", tmp_path / "scored").code == 0
    written = tmp_path / "scored" / "high.ply"
    assert torch.equal(read_cloud(written).points, read_cloud(scans / "high.ply").points)
    assert b"score" in written.read_bytes().partition(b"end_header")[0]


def test_a_mesh_is_scored_at_its_vertices_and_written_painted(tmp_path: Path) -> None:
    mesh = trimesh.creation.icosphere(3, 0.25)
    mesh.export(tmp_path / "ball.ply")
    result = run("score", tmp_path / "ball.ply", "--at", "vertices", "--points", tmp_path / "out")
    assert result.code == 0
    assert "scores of 100,000 points on 1,280 triangles, at 642 vertices" in result.err
    written = read_mesh(tmp_path / "out" / "ball.ply")
    assert torch.equal(written.faces, torch.tensor(mesh.faces))
    assert written.colors is not None and len(written.colors.unique(dim=0)) > 10
    sampled = run("score", tmp_path / "ball.ply")
    assert sampled.out == result.out and 'at="vertices" (--at vertices) scores its vertices' in sampled.err


def test_a_table_is_told_or_left_out_of_files_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HeightDetector, "fingerprint", lambda self: "height")
    generator = torch.Generator().manual_seed(0)
    ball = torch.nn.functional.normalize(torch.randn(4000, 3, generator=generator), dim=1) + torch.tensor([0, 0, 1.0])
    table = torch.cat([12 * torch.rand(9000, 2, generator=generator) - 6, torch.zeros(9000, 1)], 1)
    (tmp_path / "in").mkdir()
    write_cloud(tmp_path / "in" / "a.ply", PointCloud.create(0.2 * torch.cat([table, ball])))
    told = run("score", tmp_path / "in" / "a.ply")
    assert "a plane lies under the part" in told.err and 'ground="remove" (--ground remove) leaves it out' in told.err
    run("score", tmp_path / "in", "--ground", "remove", "--parts", "split", "--out", tmp_path / "out")
    header, line = map(json.loads, (tmp_path / "out" / "journal.jsonl").read_text().splitlines())
    assert header["settings"]["preparation"] == {"at": "surface", "ground": "remove", "parts": "split", "unit": None}
    assert line["notes"][0].startswith("the plane under the part was left out") and "one body" in line["notes"]
    again = run("score", tmp_path / "in", "--out", tmp_path / "out")
    assert again.code == 1 and "other settings" in again.err
    wrong = run("score", tmp_path / "in" / "a.ply", "--ground", "gone")
    assert wrong.code == 1 and "expected: 'keep' or 'remove'" in wrong.err


def test_no_scan_is_overwritten(scans: Path, tmp_path: Path) -> None:
    before = (scans / "low.ply").read_bytes()
    result = run("score", scans / "low.ply", "--points", scans)
    assert (result.code, result.out) == (2, "")
    assert "overwrite" in result.err
    assert (scans / "low.ply").read_bytes() == before
    result = run("score", scans / "low.ply", tmp_path / "low.xyz", "--points", tmp_path / "scored")
    assert result.code == 2
    assert "low.ply 2 times" in result.err


def test_report_and_profile(scans: Path, tmp_path: Path) -> None:
    result = run("score", scans / "low.ply", scans / "high.ply", "--report", tmp_path / "report.html", "--profile")
    assert result.code == 0
    assert "high.ply" in (tmp_path / "report.html").read_text("utf-8")
    prepare, render, encode, total = (line.split() for line in result.err.splitlines()[1:])
    assert (prepare[0], render[:3], encode[:3]) == ("prepare", ["render", "1.50", "s"], ["encode", "0.50", "s"])
    assert total[0] == "total" and float(total[1]) == pytest.approx(2 + float(prepare[1]), abs=0.02)


def test_columns_of_a_table_can_be_named(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("t,across,along,up\n9,0,0,0\n9,1,0,0.25\n9,0,1,0.5\n")
    refused = run("score", table)
    assert refused.code == 1 and "--columns x=3,y=4,z=5" in refused.err
    for columns in ("x=2,y=3,z=4", "x=across,y=along,z=Up", " X=2, y=along, z=4"):
        result = run("score", table, "--columns", columns)
        assert (result.code, result.out) == (0, f"{table}\t0.5000\n")
    for wrong in ("x=2,y=3", "2,3,4", "x=,y=3,z=4", "x=0,y=1,z=2", "x=1,y=2,z=3,w=4"):
        result = run("score", table, "--columns", wrong)
        assert (result.code, result.out) == (1, "") and "columns" in result.err
    result = run("score", tmp_path, "--out", tmp_path / "out", "--columns", "x=2,y=3,z=4")
    assert result.code == 2 and "--columns" in result.err


def test_unwritable_outputs_are_one_line(scans: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for option in ("--out", "--report"):
        result = run("score", scans / "low.ply", option, tmp_path / "file" / "x.html")
        assert result.code == 1
        assert len(result.err.splitlines()) == 1
        assert result.err.startswith("error: ")


def test_weights_reach_the_detector_and_their_error_the_user(
    scans: Path, detector: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run("score", scans / "low.ply", "--weights", "mine.safetensors")
    run("score", scans / "low.ply")
    assert detector == ["mine.safetensors", "embedded"]

    def refuse(weights: str, resolution: str | None) -> AnomalyDetector:
        raise WeightsError("no such file", where=weights)

    monkeypatch.setattr(cli, "_detector", refuse)
    result = run("score", scans / "low.ply")
    assert (result.code, result.out, result.err) == (1, "", "error: embedded: no such file\n")


def test_the_resolution_reaches_zero_shot_detectors_alone(
    tmp_path: Path, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from baselines import FPFHMemoryBank

    monkeypatch.setattr(cli, "_detector", make_detector)
    FPFHMemoryBank().fit([scans / "low.ply"]).save(tmp_path / "part.safetensors")
    result = run("score", scans / "low.ply", "--model", tmp_path / "part.safetensors", "--resolution", "full")
    assert result.code == 1 and "--resolution: not a zero-shot detector" in result.err
    result = run("score", scans / "low.ply", "--resolution", "finest")
    assert result.code == 1 and "unknown resolution" in result.err
    assert vars(make_detector("embedded", "full"))["config"].resolution == "full"


def test_a_file_name_that_is_no_text(scans: Path) -> None:
    name = os.fsdecode(b"scan-\xff.ply")
    (scans / "low.ply").rename(scans / name)
    result = run("score", scans / name)
    assert (result.code, result.out) == (0, f"{scans}/scan-?.ply\t0.2500\n")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_watched_run_keeps_the_scores_on_stdout(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """stderr is a terminal, stdout a file: the bar goes to the one, the scores to the other."""
    import pty

    monkeypatch.setenv("TERM", "xterm")
    leader, follower = pty.openpty()
    with open(follower, "w", closefd=True) as terminal, open(tmp_path / "out.txt", "w") as out:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setattr(sys, "stdout", out)
        cli.app(["score", str(scans / "low.ply")], standalone_mode=False)
        terminal.flush()
        shown = os.read(leader, 65536).decode()
    os.close(leader)
    assert (tmp_path / "out.txt").read_text() == f"{scans / 'low.ply'}\t0.2500\n"
    assert "scoring" in shown
    assert "0.2500" not in shown


def test_render_writes_a_picture(scans: Path, tmp_path: Path, sphere: PointCloud) -> None:
    write_cloud(tmp_path / "sphere.ply", sphere)
    result = run("render", tmp_path / "sphere.ply", "--out", tmp_path / "views.png", "--size", 64)
    assert (result.code, result.out) == (0, f"{tmp_path / 'views.png'}\n")
    assert (tmp_path / "views.png").read_bytes().startswith(b"\x89PNG")
    result = run("render", scans / "bad.ply", "--out", tmp_path / "none.png")
    assert result.code == 1
    assert result.err.startswith("error: ")


def test_render_draws_a_mesh_as_triangles(tmp_path: Path) -> None:
    (tmp_path / "roof.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\n")
    out = tmp_path / "roof.png"
    result = run("render", tmp_path / "roof.obj", "--mesh", "--out", out, "--size", 32, "--supersample", 2)
    assert (result.code, result.out) == (0, f"{out}\n")
    with Image.open(out) as picture:
        line = 20  # for what is written around
        assert picture.size == (line + 9 * 34 - 2, 3 * line + 3 * 34 - 2)
        assert len(set(picture.convert("L").tobytes())) > 20  # shaded faces with smooth edges, not a blank sheet
    (tmp_path / "points.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n")
    result = run("render", tmp_path / "points.obj", "--mesh", "--out", out)
    assert result.code == 1 and "no face" in result.err


def test_render_draws_scores(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, asked = [], []
    monkeypatch.setattr(cli.detectors, "detector_of", lambda model: asked.append(model) or HeightDetector())
    for more in ((), ("--model", "part.safetensors")):
        result = run("render", scans / "low.ply", "--out", tmp_path / "views.png", "--size", 32, *more)
        assert result.code == 0, result.err
        with Image.open(tmp_path / "views.png") as picture:
            sizes.append(picture.size)
    assert asked == ["part.safetensors"]
    assert sizes[1] == (sizes[0][0], sizes[0][1] + 34 + 40)  # one row more, and the bar
    for more, word in ((("--calibration", "c.json"), "--model"), (("--model", "embedded", "--mesh"), "--mesh")):
        result = run("render", scans / "low.ply", "--out", tmp_path / "none.png", *more)
        assert result.code == 1 and word in result.err


def anomaly_shapenet(root: Path) -> Path:
    """One category, two healthy and two damaged clouds; the damaged ones are higher, at the labelled points."""
    for folder in ("test", "GT", "train"):
        (root / "cup0" / folder).mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for index in range(2):
        points = torch.rand((50, 3), generator=generator) * 0.1
        write_cloud(root / "cup0" / "train" / f"cup0_template{index}.pcd", PointCloud.create(points))
        write_cloud(root / "cup0" / "test" / f"cup0_positive{index}.pcd", PointCloud.create(points))
        points[:10, 2] = 0.9
        write_cloud(root / "cup0" / "test" / f"cup0_bulge{index}.pcd", PointCloud.create(points))
        rows = [f"{x},{y},{z},{int(row < 10)}" for row, (x, y, z) in enumerate(points.tolist())]
        (root / "cup0" / "GT" / f"cup0_bulge{index}.txt").write_text("\n".join(rows))
    return root


def test_evaluate_prints_markdown_and_writes_json(tmp_path: Path) -> None:
    root = anomaly_shapenet(tmp_path / "data")
    arguments = ("evaluate", "--dataset", "anomaly-shapenet", "--root", root, "--out", tmp_path / "result.json")
    result = run(*arguments, "--categories", "cup0")
    assert result.code == 0, result.err
    assert "| cup0" in result.out
    assert json.loads((tmp_path / "result.json").read_text())
    drawn = run(*arguments, "--plots", tmp_path / "plots")
    names = {f"{of}_{kind}.svg" for of in ("objects", "points") for kind in ("roc", "precision_recall")}
    assert drawn.code == 0 and {path.name for path in (tmp_path / "plots").iterdir()} == names
    assert all(str(tmp_path / "plots" / name) in drawn.err for name in names)
    assert "cup0" in (tmp_path / "plots" / "points_roc.svg").read_text("utf-8")
    assert run(*arguments, "--categories", "saucer").code == 1
    assert "unknown method; expected: fpfh-memory-bank, mvr" in run(*arguments, "--method", "magic").err
    assert run("evaluate", "--dataset", "nothing", "--root", root).code == 1


def test_curves_that_cannot_be_drawn_are_refused_before_the_work(
    tmp_path: Path, detector: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = run("evaluate", "--dataset", "folder", "--root", tmp_path, "--plots", tmp_path / "plots")
    assert result.code == 1 and "matplotlib" in result.err and install_command("plot") in result.err
    assert detector == []


def test_demo_makes_scores_and_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(cli, "_calibrated", lambda *options: asked.append(options[:2]) or HeightDetector())
    result = run("demo", "--out", tmp_path / "demo")
    assert result.code == 0, result.err
    assert asked == [("embedded", Path("synthetic"))]
    assert len((tmp_path / "demo" / "scores.jsonl").read_text().splitlines()) == 2
    names = {path.name for path in (tmp_path / "demo").iterdir()}
    assert {"healthy.ply", "points", "report.html", "scores.jsonl"} <= names
    assert len(list((tmp_path / "demo" / "points").iterdir())) == 2


def test_version_and_help() -> None:
    assert run("--version").out == f"{__version__}\n"
    text = run("--help").out
    assert run("-h").out == text and "completion" in text
    for name in ("score", "render", "evaluate", "demo"):
        assert name in text
        assert run(name, "-h").out == run(name, "--help").out
    panels = ("Results", "Regions", "Detector and decision", "Folders alone", "Talk")
    places = [run("score", "-h").out.index(f" {panel} ") for panel in panels]
    assert places == sorted(places)


def test_a_shell_can_complete_commands_and_options() -> None:
    """What bash asks when TAB is pressed: of this program, with the words so far."""
    code = "from pointadplus.apps.cli import app; app(prog_name='pointadplus')"
    for words, expected in (("pointadplus sc", "score"), ("pointadplus score --regions-", "--regions-csv")):
        environment = os.environ | {"PYTHONPATH": str(ROOT), "_POINTADPLUS_COMPLETE": "complete_bash"}
        environment |= {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert expected in done.stdout.split(), done.stderr


def test_quiet_and_verbose(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """-q leaves results and errors; -v adds a scan's size and time, and the place in the code where an error arose."""
    low, boom, table = scans / "low.ply", scans / "boom.ply", tmp_path / "regions.csv"
    usual = run("score", low, boom, "--regions-csv", table)
    assert "no region" in usual.err and "Traceback" not in usual.err
    still = run("score", low, boom, "--regions-csv", table, "-q")
    assert still.out == usual.out and still.err.splitlines() == [f"error: {boom}: RuntimeError: an allocation failed"]
    loud = run("score", low, boom, "--regions-csv", table, "--verbose")
    assert loud.out == usual.out and f"{low}: 3 points, 0 dropped, 1." in loud.err
    assert "Traceback" in loud.err and "in score_cloud" in loud.err
    refused = run("evaluate", "--dataset", "folder", "--root", tmp_path / "none", "-v")
    assert "Traceback" in refused.err and refused.err.splitlines()[-1].startswith("error: ")
    write_scan(tmp_path / "folder" / "a.ply", 0.5)
    for option, expected in ((), True), (("-q",), False):
        folder = command(monkeypatch, "score", tmp_path / "folder", "--out", tmp_path / "run", *option)
        assert folder.code == 0 and ("scored now" in folder.err) == expected


@pytest.mark.parametrize("line", [
    "score SCAN --out BAD/x.jsonl", "score SCAN --report BAD/x.html", "score SCAN --points BAD/p",
    "score SCAN --out FOLDER",
    "score SCAN --regions-csv BAD/x.csv", "score SCAN --regions-ply BAD/p", "score FOLDER --out BAD/run",
    "score FOLDER --out OUT --report BAD/x.html", "calibrate --normals FOLDER --out BAD/c.json",
    "render SCAN --out BAD/x.png",
    "fit --normals SCAN --out BAD/part.safetensors", "fit --normals SCAN --out FOLDER", "demo --out BAD/demo",
    "evaluate --dataset folder --root FOLDER --out BAD/x.json", "weights export-onnx --out BAD/x.onnx",
])  # fmt: skip
def test_what_cannot_be_written_is_refused_before_the_work(
    line: str, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`BAD` is a file where a folder is needed: one line, and neither weights nor scans are read."""
    (tmp_path / "file").touch()
    places = {"SCAN": scans / "low.ply", "FOLDER": scans, "OUT": tmp_path / "out"}

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the work has begun")

    monkeypatch.setattr(cli, "_detector", refuse)
    for place in ("io.read_cloud", "clip.weights.load_backbone", "data.open_dataset"):
        monkeypatch.setattr(f"pointadplus.{place}", refuse)
    result = run(*(places.get(word, word.replace("BAD", str(tmp_path / "file"))) for word in line.split()))
    assert result.code == 1 and result.out == "" and len(result.err.splitlines()) == 1, result.err
    assert result.err.startswith("error: ") and ("cannot be" in result.err or "a folder stands" in result.err)


def test_a_folder_that_is_missing_is_called_missing(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    for line in (
        "score GONE", "score GONE --out RUN --watch", "fit --normals GONE --out RUN", "calibrate --normals GONE",
        "render GONE", "evaluate --dataset folder --root GONE", "datasets check GONE",
    ):  # fmt: skip
        result = run(*line.replace("GONE", str(gone)).replace("RUN", str(tmp_path / "run")).split())
        assert result.code == 1 and f"{gone}: no such f" in result.err, (line, result.err)


def test_fit_shows_what_it_does(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every few-shot method tells its steps, and the bar is given them."""
    told: list[tuple[object, ...]] = []

    @contextmanager
    def bar() -> Iterator[Callable[..., None]]:
        yield lambda *step: told.append(step)

    monkeypatch.setattr("pointadplus.apps.cli.fit.stage_bar", bar)
    generator = torch.Generator().manual_seed(0)
    (tmp_path / "good").mkdir()
    for number in range(3):
        points = torch.rand(300, 3, generator=generator) * torch.tensor([3.0, 2.0, 1.0])
        write_cloud(tmp_path / "good" / f"{number}.ply", PointCloud.create(points))
    for method, stages in (
        ("surface-deviation", ["reading", "aligning", "comparing"]),
        ("fpfh-memory-bank", ["reading", "describing"]),
    ):
        told.clear()
        result = run("fit", "--normals", tmp_path / "good", "--out", tmp_path / "part.safetensors", "--method", method)
        assert result.code == 0, result.err
        assert list(dict.fromkeys(step[0] for step in told)) == stages
        assert all(1 <= done <= total for _, done, total, _ in told) and told[-1][1] == told[-1][2]


def test_scans_in_a_unit_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit goes into the JSON and the line, and reaches what learns, is calibrated and served."""
    table, out = tmp_path / "a.csv", tmp_path / "scores.jsonl"
    rows = [f"{x},{y},{0.9 if x < 5 else 0}" for x in range(20) for y in range(20)]
    table.write_text("\n".join(["X [inches],Y [inches],Z [inches]", *rows]))
    for options, unit in (((), "in"), (("--unit", "Millimetres"), "mm")):
        assert run("score", table, *options, "--out", out).code == 0
        assert json.loads(out.read_text())["unit"] == unit
    refused = run("score", table, "--unit", "parsec")
    assert refused.code == 1 and "unknown unit of length" in refused.err
    made = HeightDetector()
    monkeypatch.setattr(cli, "_calibrated", lambda weights, limit, prepared, _: made.prepare_scans(**prepared))
    monkeypatch.setattr(cli, "serve_with", lambda *_: None)
    monkeypatch.setattr(cli, "calibrate_on", lambda load, *_: load() is made)
    for command_line in (("serve",), ("calibrate", "--normals", tmp_path)):
        assert run(*command_line, "--unit", "feet").code == 0
        assert made.preparation.unit == "ft"
        made.prepare_scans()
    record = {"object_score": 0.9, "verdict": "anomalous", "limit": 0.5, "p_value": 0.01, "unit": "mm"}
    record["regions"] = [{"depth": -1.484, "area": 165.2}]
    line = score_line(tmp_path / "a.ply", record)
    assert line.endswith("\t1 region, area 165 mm², depth −1.48 mm")


def test_a_depth_image_with_its_camera_on_the_command_line(tmp_path: Path) -> None:
    image, out = tmp_path / "depth.png", tmp_path / "scores.jsonl"
    Image.fromarray(np.full((20, 30), 500, np.uint16)).save(image)
    assert run("score", image).code == 1
    options = ("--camera", "40,50,15,10", "--depth-scale", 0.001, "--out", out)
    assert run("score", image, *options).code == 0
    assert json.loads(out.read_text())["object_score"] == 0.5
    for wrong in ("1,2,3", "1,2,3,x", "0,1,2,3"):
        assert "error: " in (result := run("score", image, "--camera", wrong)).err and result.code == 1
    assert run("score", tmp_path, "--camera", "40,50,15,10", "--out", tmp_path / "run").code == 2
