"""`compare` and `POST /compare`: scans against a nominal from files to verdicts."""

from __future__ import annotations

import base64
import csv
import json
import pickle
import shutil
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
import torch
import trimesh
from browser import CHROMIUM, Browser
from typer.testing import CliRunner

pytest.importorskip("open3d")

from pointadplus.apps import cli
from pointadplus.apps.batch import JOURNAL
from pointadplus.apps.cli.against import Against, read_pairs
from pointadplus.apps.serve import create_app
from pointadplus.cloud import PointCloud
from pointadplus.errors import ConfigError
from pointadplus.io import read_cloud, write_cloud
from pointadplus.results.methods import load_detector
from tests.baselines.nominal_parts import bracket, scan
from tests.heights import MeanHeight


def run(*arguments: object) -> SimpleNamespace:
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """part.stl and, in scans/: a good one, one with 0.4 too much on its foot, one whose unit is wrong."""
    folder = tmp_path_factory.mktemp("inspection")
    mesh = bracket()
    trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces.numpy()).export(folder / "part.stl")
    points = scan(mesh, 8000)
    bump = points.copy()
    bump[np.linalg.norm(points - [45, 0, 12], axis=1) < 5, 1] -= 0.4
    (folder / "scans").mkdir()
    for name, each in (("good", points), ("bump", bump), ("huge", points * 200)):
        write_cloud(folder / "scans" / f"{name}.ply", PointCloud.create(each))
    return folder


def test_walls_are_told_where_asked_by_compare_and_by_a_saved_part(folder: Path, tmp_path: Path) -> None:
    bump, nominal = folder / "scans" / "bump.ply", ["--nominal", folder / "part.stl", "--unit", "mm", "--thickness"]
    line = run("compare", bump, *nominal, "--csv", tmp_path / "found.csv", "--points", tmp_path / "points").out
    with (tmp_path / "found.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert 9.5 < float(row["thinnest"]) < 10.1 and float(row["thinnest_nominal"]) == pytest.approx(10), (
        "the legs' walls"
    )
    assert f"; thinnest wall {float(row['thinnest']):.3g} mm, nominal 10 mm" in line
    assert b" thickness\n" in (tmp_path / "points" / "bump.ply").read_bytes()[:1000]
    run("fit", *nominal, "--out", tmp_path / "part.safetensors")
    assert "; thinnest wall " in run("score", bump, "--model", tmp_path / "part.safetensors").out
    assert "thinnest" not in run("compare", bump, *nominal[:-1]).out
    refused = run("fit", "--normals", folder / "scans", "--thickness", "--out", tmp_path / "no.safetensors")
    assert refused.code == 1 and "no nominal" in refused.err


def test_a_line_a_scan_with_the_verdict_first(folder: Path, tmp_path: Path) -> None:
    outputs = {"--csv": "found.csv", "--out": "found.jsonl", "--regions-csv": "regions.csv", "--points": "points"}
    options = [part for option, name in outputs.items() for part in (option, tmp_path / name)]
    scans = [folder / "scans" / f"{name}.ply" for name in ("good", "bump", "huge", "missing")]
    result = run(
        "compare", *scans, "--nominal", folder / "part.stl", "--tolerance", "-0.3,0.3", "--unit", "mm", *options
    )
    good, bump, huge = result.out.splitlines()
    assert result.code == 1
    assert good.startswith(f"IN TOLERANCE\t{scans[0]}\tlargest +0.0")
    assert "; 100.0 % within ±0.3 mm; aligned by best fit, residual 0.0" in good
    assert bump.startswith(f"OUT OF TOLERANCE\t{scans[1]}\tlargest +0.4")
    assert huge.startswith("NOT MEASURABLE")
    assert "no mix of units explains it" in huge
    lines = list(map(json.loads, (tmp_path / "found.jsonl").read_text().splitlines()))
    assert [line.get("verdict") for line in lines] == ["in tolerance", "out of tolerance", "not measurable", None]
    rows = list(csv.DictReader((tmp_path / "found.csv").read_text().splitlines()))
    assert [row["verdict"] for row in rows] == ["in tolerance", "out of tolerance", "not measurable", "failed"]
    assert float(rows[1]["excess_volume"]) == pytest.approx(0.4 * np.pi * 25, rel=0.25)
    (region,) = csv.DictReader((tmp_path / "regions.csv").read_text().splitlines())
    assert float(region["mean_deviation"]) == pytest.approx(0.4, abs=0.02)
    assert len(read_cloud(tmp_path / "points" / "bump.ply")) == 8000
    assert b"property float deviation\nproperty float lod\n" in (tmp_path / "points" / "bump.ply").read_bytes()


def test_exit_codes_and_a_comparison_without_a_tolerance(folder: Path) -> None:
    good, bump, huge = (folder / "scans" / f"{name}.ply" for name in ("good", "bump", "huge"))
    against = "--nominal", folder / "part.stl", "--align", "none", "--unit", "mm", "--exit-code"
    assert run("compare", good, *against, "--tolerance", 0.3).code == 0
    assert run("compare", good, bump, huge, *against, "--tolerance", 0.3).code == 3
    assert run("compare", good, huge, *against, "--tolerance", 0.3).code == 4
    result = run("compare", bump, *against)
    assert result.code == 0
    assert result.out.startswith(f"COMPARED\t{bump}\tlargest +0.4")
    assert "% off by more than noise; not aligned" in result.out
    assert "pointadplus calibrate" not in result.err


def test_a_folder_has_a_journal_and_goes_on(folder: Path, tmp_path: Path) -> None:
    arguments = ("compare", folder / "scans", "--nominal", folder / "part.stl", "--tolerance", 0.3, "--unit", "mm")
    beside = "--out", tmp_path / "run", "--csv", tmp_path / "found.csv", "--align", "none"
    first = run(*arguments, *beside, "--report", tmp_path / "report.html")
    assert (first.code, len(first.out.splitlines())) == (0, 3)
    assert "3 scored, 0 failed, 1 out of tolerance, 1 not measurable" in first.err
    again = run(*arguments, *beside)
    assert (again.code, again.out) == (0, "")
    assert len((tmp_path / "run" / JOURNAL).read_text().splitlines()) == 4
    assert {row["path"] for row in csv.DictReader((tmp_path / "found.csv").read_text().splitlines())} == {
        "good.ply", "bump.ply", "huge.ply",
    }  # fmt: skip
    assert (tmp_path / "report.html").stat().st_size > 10_000
    other = run(*arguments[:-4], "--tolerance", 0.2, *arguments[-2:], *beside)
    assert other.code == 1
    assert "journal" in other.err, "other settings are another run"


def test_options_that_do_not_fit_are_one_line(folder: Path, tmp_path: Path) -> None:
    good, part = folder / "scans" / "good.ply", folder / "part.stl"
    for options, word in (
        (("--tolerance", "0.1,0.2,0.3"), "--tolerance"),
        (("--tolerance", "much"), "--tolerance"),
        (("--on", "0,0,0"), "--on"),
        (("--align", tmp_path / "missing.csv"), "--align"),
        (("--normals", tmp_path / "missing"), "normal scans"),
    ):
        result = run("compare", good, "--nominal", part, *options)
        assert (result.code, result.out) == (1, "")
        assert word in result.err
    result = run("compare", good, "--nominal", folder / "scans" / "good.ply")
    assert "the file has no face" in result.err
    assert run("compare", folder / "scans", "--nominal", part).code == 2


def test_reference_points_come_from_a_table(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("nx,ny,nz,x,y,z\n0,0,0,5,0,0\n60,0,0,65,0,0\n0,40,0,5,40,0\n")
    assert read_pairs(path)[1] == ((60.0, 0.0, 0.0), (65.0, 0.0, 0.0))
    moved = tmp_path / "moved.ply"
    write_cloud(
        moved, PointCloud.create(read_cloud(folder / "scans" / "good.ply").positions() + torch.tensor([5, 0, 0]))
    )
    result = run("compare", moved, "--nominal", folder / "part.stl", "--align", path, "--tolerance", 0.3)
    assert result.out.startswith("IN TOLERANCE")
    assert "aligned by reference points, residual 0" in result.out
    path.write_text("0,0,0,1,1\n")
    with pytest.raises(ConfigError, match="not reference points"):
        read_pairs(path)


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    """What `fit --nominal` writes."""
    path = folder / "part.safetensors"
    result = run("fit", "--nominal", folder / "part.stl", "--tolerance", "-0.3,0.3", "--align", "none", "--out", path)
    assert (result.code, result.out) == (0, f"SurfaceDeviation of {folder / 'part.stl'}: {path}\n")
    return path


def test_a_model_of_a_nominal_scores_as_compare_does(folder: Path, model: Path, tmp_path: Path) -> None:
    scans = [folder / "scans" / f"{name}.ply" for name in ("good", "bump", "huge")]
    against = "--nominal", folder / "part.stl", "--tolerance", 0.3, "--align", "none"
    told = []
    for number, start in enumerate((("score", "--model", model), ("compare", *against))):
        files = {"--csv": "found.csv", "--regions-csv": "regions.csv", "--report": "report.html"}
        out = [part for option, name in files.items() for part in (option, tmp_path / f"{number}{name}")]
        result = run(*start, *scans, "--unit", "mm", "--exit-code", *out)
        assert result.code == 3
        tables = [(tmp_path / f"{number}{name}").read_text() for name in ("found.csv", "regions.csv")]
        told.append((result.out, result.err, *tables))
        assert "part.stl" in (tmp_path / f"{number}report.html").read_text()
    assert told[0] == told[1]
    assert told[0][0].splitlines()[1].startswith(f"OUT OF TOLERANCE\t{scans[1]}\tlargest +0.4")


def test_a_folder_is_scored_by_a_model_of_a_nominal(folder: Path, model: Path, tmp_path: Path) -> None:
    out = "--out", tmp_path / "run", "--csv", tmp_path / "found.csv", "--report", tmp_path / "report.html"
    result = run("score", folder / "scans", "--model", model, "--unit", "mm", *out)
    assert (result.code, len(result.out.splitlines())) == (0, 3)
    assert "3 scored, 0 failed, 1 out of tolerance, 1 not measurable" in result.err
    assert "pointadplus calibrate" not in result.err
    rows = {row["path"]: row for row in csv.DictReader((tmp_path / "found.csv").read_text().splitlines())}
    assert rows["bump.ply"]["verdict"] == "out of tolerance" and float(rows["bump.ply"]["excess_volume"]) > 20
    assert "part.stl" in (tmp_path / "report.html").read_text()


def test_a_calibrated_model_of_a_nominal_tells_both(folder: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for seed in (2, 3):
        write_cloud(tmp_path / "more" / f"{seed}.ply", PointCloud.create(scan(bracket(), 8000, seed=seed)))
    limit = tmp_path / "calibration.json"
    made = run("calibrate", "--normals", tmp_path / "more", "--model", model, "--false-alarm-rate", 0.4, "--out", limit)
    assert made.code == 0
    bump = folder / "scans" / "bump.ply"
    line = run("score", bump, "--model", model, "--unit", "mm", "--calibration", limit).out
    assert line.startswith("ANOMALOUS 0.")
    assert "\tout of tolerance, largest +0.4" in line


def test_a_model_may_know_normal_scans_beside_the_nominal(folder: Path, tmp_path: Path) -> None:
    path, good = tmp_path / "part.safetensors", folder / "scans" / "good.ply"
    result = run("fit", "--nominal", folder / "part.stl", "--normals", good, "--align", "none", "--out", path)
    assert result.out == f"SurfaceDeviation of {folder / 'part.stl'} and 1 normal scan: {path}\n"
    run("score", good, "--model", path, "--points", tmp_path / "points")
    assert b"property float usual\n" in (tmp_path / "points" / "good.ply").read_bytes()


def test_fit_without_or_with_an_unknown_nominal_is_one_line(folder: Path, tmp_path: Path) -> None:
    part, good = folder / "part.stl", folder / "scans" / "good.ply"
    for options, word in (
        ((), "--normals, or --nominal"),
        (("--normals", good, "--tolerance", 0.3), "there is no nominal"),
        (("--nominal", part, "--method", "fpfh-memory-bank"), "expected: surface-deviation"),
        (("--nominal", tmp_path / "missing.stl"), "missing.stl"),
        (("--nominal", part, "--on", "0,0"), "--on"),
        (("--nominal", part, "--parts", "split"), "a nominal is of one part"),
    ):
        result = run("fit", *options, "--out", tmp_path / "part.safetensors")
        assert (result.code, result.out) == (1, "")
        assert word in result.err
    assert list(tmp_path.iterdir()) == []


def test_workers_make_the_same_detector(folder: Path) -> None:
    load = Against(folder / "part.stl", "0.3", "none", None, (folder / "scans" / "good.ply",), {"unit": "mm"})
    assert pickle.loads(pickle.dumps(load))().fingerprint() == load().fingerprint()


def test_serve_takes_a_nominal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Any] = []
    monkeypatch.setattr(cli, "serve_with", lambda *arguments: served.extend(arguments))
    monkeypatch.setattr(cli, "_detector", lambda *_: MeanHeight())
    assert (
        run("serve", "--nominal", folder / "part.stl", "--tolerance", 0.3, "--align", "none", "--unit", "mm").code == 0
    )
    found = served[-1].score(folder / "scans" / "bump.ply")
    assert found.inspection.verdict == "out of tolerance"
    assert found.cloud.unit == "mm"


def ask(app: Any, path: str, scan: Path) -> httpx.Response:
    """What the service answers to a scan."""
    import asyncio

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://x") as client,
        ):
            return await client.post(path, params={"name": scan.name}, content=scan.read_bytes())

    return asyncio.run(asked())


def test_the_service_scores_with_a_model_of_a_nominal(folder: Path, model: Path) -> None:
    pytest.importorskip("fastapi")
    bump = folder / "scans" / "bump.ply"
    record = ask(create_app(load_detector(model)), "/score", bump).json()
    assert (record["verdict"], record["inspection"]["nominal"]) == ("out of tolerance", "part.stl")
    assert record["inspection"]["largest"] == pytest.approx(0.4, abs=0.06)
    assert record["regions"][0]["deviation"]["mean"] == pytest.approx(0.4, abs=0.02)
    compared = ask(create_app(load_detector(model)), "/compare", bump)  # the model's own nominal, without another
    assert compared.status_code == 200 and compared.json()["inspection"] == record["inspection"]
    page = ask(create_app(load_detector(model)), "/report", bump)
    assert page.status_code == 200 and "out of tolerance" in page.text
    assert "<title>Deviations from the nominal</title>" in page.text


@pytest.mark.parametrize("served", [True, False])
def test_the_service_compares(folder: Path, served: bool) -> None:
    pytest.importorskip("fastapi")
    against = Against(folder / "part.stl", "0.3", "none", None, (), {"unit": "mm"})() if served else None
    app: Any = create_app(MeanHeight(), None, against)
    answer = ask(app, "/compare", folder / "scans" / "bump.ply")
    if not served:
        assert answer.status_code == 404
        assert "no nominal to compare with" in answer.json()["error"]
        return
    record = answer.json()
    assert (answer.status_code, record["verdict"], record["path"]) == (200, "out of tolerance", "bump.ply")
    assert record["inspection"]["largest"] == pytest.approx(0.4, abs=0.06)
    assert record["regions"][0]["deviation"]["mean"] == pytest.approx(0.4, abs=0.02)


def test_the_report_comes_as_pdf(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "lot").mkdir()
    good = shutil.copy(folder / "scans" / "good.ply", tmp_path / "lot")
    against = "--nominal", folder / "part.stl", "--tolerance", 0.3, "--unit", "mm", "--align", "none"
    assert run("compare", good, *against, "--pdf", tmp_path / "file.pdf").code == 0
    assert (
        run("compare", tmp_path / "lot", *against, "--out", tmp_path / "run", "--pdf", tmp_path / "lot.pdf").code == 0
    )
    for name in ("file.pdf", "lot.pdf"):
        assert (tmp_path / name).read_bytes().count(b"/Type /Page ") == 1, name


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found")
def test_a_file_that_is_dropped_opens_its_report(folder: Path, tmp_path: Path) -> None:
    """At / of a service with a nominal, in a browser, under both pages' policies; a refusal is told there."""
    uvicorn = pytest.importorskip("uvicorn")
    against = Against(folder / "part.stl", "0.3", "none", None, (), {"unit": "mm"})()
    server = uvicorn.Server(uvicorn.Config(create_app(MeanHeight(), None, against), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    drop = (
        "(() => { const files = new DataTransfer(); files.items.add(new File([Uint8Array.from(atob(%r), letter =>"
        " letter.charCodeAt(0))], %r)); window.dispatchEvent(new DragEvent('drop', { dataTransfer: files })); })()"
    )
    body = base64.b64encode((folder / "scans" / "bump.ply").read_bytes()).decode()
    try:
        with Browser(tmp_path / "profile") as tab:
            while not server.started:
                time.sleep(0.02)
            port = server.servers[0].sockets[0].getsockname()[1]
            tab.open(SimpleNamespace(as_uri=lambda: f"http://127.0.0.1:{port}/"))  # type: ignore[arg-type]
            assert tab.evaluate("document.querySelector('[value=true]').checked")
            tab.evaluate(drop % (body, "part.doc"))
            tab.wait("document.getElementById('state').textContent.includes('unknown extension')")
            tab.errors.clear()  # the browser notes the refusal
            tab.evaluate(drop % (body, "bump.ply"))
            tab.wait("document.querySelector('#scans .badge')?.textContent === '✗ out of tolerance'")
            assert tab.evaluate("location.protocol") == "blob:"
            assert "+0.4" in tab.evaluate("document.getElementById('callouts').textContent")
            assert tab.errors == []
    finally:
        server.should_exit = True
        thread.join(10)
