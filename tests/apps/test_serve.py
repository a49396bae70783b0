"""The service: its answers, its limits, hostile uploads, and a real process from start to SIGTERM."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
import pytest

import pointadplus
from pointadplus.apps import cli
from pointadplus.apps.serve import ServeConfig, create_app, run
from pointadplus.cloud import PointCloud
from pointadplus.errors import CloudError, ConfigError, install_command
from pointadplus.io import write_cloud
from pointadplus.results.calibration import Calibration
from pointadplus.results.detection import Detection
from pointadplus.results.detector import AnomalyDetector
from pointadplus.zero_shot.detector import ZeroShotDetector
from tests.heights import MeanHeight, command, write_scan
from tests.small import small_detector

T = TypeVar("T")
SCAN = b"0 0 0\n1 0 0.5\n0 1 1\n"  # MeanHeight: 0.5
PLY = b"ply\nformat binary_little_endian 1.0\nelement vertex %s\n" + b"".join(
    b"property float %s\n" % axis for axis in (b"x", b"y", b"z")
)


class Gated(MeanHeight):
    """Scores when it is let; `begun` names the scans in the order in which their scoring began."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[str | None] = []
        self.gate = threading.Event()

    def score_cloud(self, cloud: PointCloud) -> Detection:
        self.begun.append(cloud.source)
        assert self.gate.wait(20)
        return super().score_cloud(cloud)


class Faulty(MeanHeight):
    """Meets a bug, or refuses."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def score_cloud(self, cloud: PointCloud) -> Detection:
        raise self.error


@pytest.fixture(autouse=True)
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files; none is left there when a test ends."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    # torch_geometric writes a module there once a process, and leaves it.
    assert [path for path in folder.rglob("*") if "_propagate_" not in path.name] == []


def left(uploads: Path) -> list[Path]:
    """What lies in the temporary folder, but for the service's own folder."""
    return [path for path in uploads.rglob("*") if path.parent != uploads]


def talk(
    steps: Callable[[httpx.AsyncClient], Awaitable[T]], detector: AnomalyDetector | None = None, **limits: Any
) -> T:
    """Run an application, let `steps` talk to it, and shut it down."""

    async def main() -> T:
        app = create_app(detector or MeanHeight(), ServeConfig(**limits))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://service") as client,
        ):
            return await steps(client)

    return asyncio.run(main())


def post(
    body: Any = SCAN, name: str = "a.xyz", path: str = "/score", *, detector: AnomalyDetector | None = None,
    headers: dict[str, str] | None = None, **limits: Any,
) -> httpx.Response:  # fmt: skip
    """The answer to a single scan."""
    return talk(
        lambda client: client.post(path, params={"name": name}, content=body, headers=headers), detector, **limits
    )


def send(client: httpx.AsyncClient, name: str) -> asyncio.Task[httpx.Response]:
    return asyncio.ensure_future(client.post("/score", params={"name": name}, content=SCAN))


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("waited for 10 s")


async def health_is(client: httpx.AsyncClient, **expected: Any) -> None:
    for _ in range(1000):
        found = (await client.get("/health")).json()
        if expected.items() <= found.items():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"waited for {expected} for 10 s")


async def hang_up_after(app: Any, *messages: dict[str, Any], pause: Callable[[], Awaitable[None]] | None = None) -> int:
    """Send a request's messages, wait, hang up; the status of the answer that nobody gets."""
    sent: list[Any] = []
    coming = iter(messages)

    async def receive() -> Any:
        message = next(coming, None)
        if message is None and pause is not None:
            await pause()
        return message or {"type": "http.disconnect"}

    async def answer(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/score", "raw_path": b"/score", "query_string": b"name=gone.xyz",
        "headers": [], "scheme": "http", "server": ("service", 80), "client": ("client", 1), "http_version": "1.1",
    }  # fmt: skip
    await app(scope, receive, answer)
    return sent[0]["status"]


# --- answers ---


def test_the_answer_is_the_command_lines_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, out = write_scan(tmp_path / "part.ply", 0.0, 0.25, *[0.75] * 6), tmp_path / "scores.jsonl"
    command(monkeypatch, "score", file, "--out", out, "--regions", "--threshold", 0.6)
    expected = json.loads(out.read_text())
    assert len(expected["regions"]) == 1
    response = post(file.read_bytes(), "part.ply", threshold=0.6)
    assert response.status_code == 200
    assert response.json() == {**expected, "path": "part.ply", "seconds": response.json()["seconds"]}
    assert response.json()["seconds"].keys() == expected["seconds"].keys()
    assert response.headers["content-type"] == "application/json"


def test_regions_may_be_left_out() -> None:
    response = talk(lambda client: client.post("/score?name=a.xyz&regions=false", content=SCAN))
    told = {"path": "a.xyz", "object_score": 0.5, "points": 3, "dropped": 0, "measurable": True, "notes": []}
    assert response.json() == {**told, "seconds": response.json()["seconds"]}


def test_scans_are_prepared_as_the_detector_says() -> None:
    mesh = b"OFF\n4 2 0\n0 0 0\n1 0 0.5\n0 1 0\n5 5 0.25\n3 0 1 2\n3 0 2 1\n"
    detector = MeanHeight().prepare_scans(at="vertices", parts="split")
    record = talk(lambda client: client.post("/score?name=a.off", content=mesh), detector).json()
    assert (record["points"], record["dropped"]) == (3, 1)
    assert record["notes"][0] == "1 vertices belong to no triangle: left out" and "one body" in record["notes"]


def test_regions_have_words(tmp_path: Path) -> None:
    file = write_scan(tmp_path / "part.ply", 0.0, 0.25, *[0.75] * 6)
    limits: dict[str, Any] = {"threshold": 0.6, "words": ("dented", "bent")}
    [region] = post(file.read_bytes(), "part.ply", **limits).json()["regions"]
    assert region["word"] in limits["words"] and 0.5 <= region["word_share"] <= 1
    page = post(file.read_bytes(), "part.ply", "/report", **limits).text
    plain = post(file.read_bytes(), "part.ply", "/report", threshold=0.6).text
    assert f'"{region["word"]}"' in page and f'"{region["word"]}"' not in plain
    with pytest.raises(ConfigError, match="wobbly"):
        post(SCAN, words=("wobbly",))


def test_a_calibrated_detector_decides() -> None:
    detector = MeanHeight()
    detector.use_calibration(Calibration((0.1, 0.2, 0.3), (0.4, 0.4, 0.4), 0.25, detector.fingerprint()))
    found = post(detector=detector).json()
    assert (found["p_value"], found["is_anomalous"]) == (0.25, True)
    assert post(b"0 0 0.1\n1 0 0.1\n0 1 0.2\n", detector=detector).json()["is_anomalous"] is False


def test_the_report_is_a_page_whose_names_are_text() -> None:
    name = "</script><img src=x onerror=alert(1)>.xyz"
    response = post(SCAN, name, "/report")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "\\u003cimg src=x onerror" in response.text
    assert "<img src=x" not in response.text


def test_health_tells_what_is_served() -> None:
    detector = MeanHeight(0.5)
    found = talk(lambda client: client.get("/health"), detector, queue=3)
    assert found.status_code == 200
    assert found.json() == {
        "ready": True, "version": pointadplus.__version__, "weights": detector.fingerprint(), "calibration": None,
        "queue": 0, "queue_limit": 3,
    }  # fmt: skip


def test_metrics_are_of_one_application() -> None:
    async def steps(client: httpx.AsyncClient) -> str:
        await client.post("/score?name=a.xyz", content=SCAN)
        await client.post("/score?name=a.exe", content=SCAN)
        for path in ("/x", "/y"):
            await client.get(path)
        return (await client.get("/metrics")).text

    for _ in range(2):
        lines = talk(steps).splitlines()
        assert 'pointadplus_requests_total{endpoint="/score",status="200"} 1.0' in lines
        assert 'pointadplus_requests_total{endpoint="/score",status="415"} 1.0' in lines
        assert 'pointadplus_requests_total{endpoint="other",status="404"} 2.0' in lines
        assert 'pointadplus_rejected_total{reason="unknown type"} 1.0' in lines
        assert 'pointadplus_request_seconds_count{endpoint="/score"} 2.0' in lines
        assert "pointadplus_scoring_seconds_count 1.0" in lines
        assert "pointadplus_queue 0.0" in lines


def test_the_interface_is_described_without_pages_of_others() -> None:
    async def steps(client: httpx.AsyncClient) -> None:
        described = (await client.get("/openapi.json")).json()
        assert set(described["paths"]) == {"/score", "/report", "/compare", "/health", "/metrics"}
        score = described["paths"]["/score"]["post"]
        assert "application/octet-stream" in score["requestBody"]["content"]
        assert {"413", "415", "422", "503", "504"} <= set(score["responses"])
        for page in ("/docs", "/redoc"):
            response = await client.get(page)
            assert (response.status_code, response.json()) == (404, {"error": "Not Found"})

    talk(steps)


# --- what is refused ---


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.file),))


def zip_bomb() -> bytes:
    """Some 200 kB that unpack to 192 MB."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (8_000_000, 3)})
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("points.npy", "w", force_zip64=True) as entry,
    ):
        entry.write(header.getvalue())
        for _ in range(24):
            entry.write(bytes(8_000_000))
    return stream.getvalue()


HUGE = b"element vertex 9999999999\n"
HOSTILE: dict[str, tuple[str, bytes, int, str]] = {
    "empty": ("a.ply", b"", 422, "the file is empty"),
    "no extension": ("scan", SCAN, 415, "unknown extension"),
    "pickle by name": ("a.pkl", pickle.dumps([1]), 415, "unknown extension"),
    "pickle": ("a.npy", pickle.dumps([1]), 422, "not a readable .npy"),
    "truncated PLY": ("a.ply", PLY % b"9" + b"end_header\n" + bytes(40), 422, "truncated"),
    "huge PLY": ("a.ply", PLY % b"9999999999" + b"end_header\n" + bytes(36), 422, "truncated"),
    "huge ascii PLY": ("a.ply", b"ply\nformat ascii 1.0\n" + HUGE + b"end_header\n0\n", 422, "rows do not fit"),
    "HTML": ("<b>.ply", b"<html><script>alert(1)</script></html>", 422, "malformed header"),
    "no point": ("a.xyz", b"nan nan nan\n", 422, "no finite point"),
    "only a path": ("../../etc/passwd", SCAN, 415, "unknown extension"),
    "NUL": ("a.ply\0", SCAN, 415, "unknown extension"),
    "a file of the machine": (
        "a.gltf",
        json.dumps({"asset": {"version": "2.0"}, "buffers": [{"uri": "/etc/passwd", "byteLength": 9}]}).encode(),
        422,
        "no file of this folder",
    ),
    "a file beside it": (
        "a.gltf",
        json.dumps(
            {
                "asset": {"version": "2.0"},
                "buffers": [{"uri": "scan.bin", "byteLength": 9}],
                "bufferViews": [{"buffer": 0, "byteLength": 9}],
            }
        ).encode(),
        422,
        "not a readable .gltf",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_scans_are_one_sentence(case: str, uploads: Path) -> None:
    name, body, status, message = HOSTILE[case]
    response = post(body, name)
    assert response.status_code == status
    assert set(response.json()) == {"error"}
    assert message in response.json()["error"]
    for secret in (str(uploads), "pointadplus-serve", "Traceback", ".py"):
        assert secret not in response.text


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    body = npz(points=np.array([Trap(trap)], dtype=object))
    response = post(body, "a.npz")
    assert response.status_code == 422
    assert "not an array of numbers" in response.json()["error"]
    assert not trap.exists()
    np.load(io.BytesIO(body), allow_pickle=True)["points"]
    assert trap.exists()  # it would have sprung


def test_what_unpacks_to_much_is_not_unpacked() -> None:
    body = zip_bomb()
    assert len(body) < 300_000
    response = post(body, "a.npz", max_points=100_000)
    assert response.status_code == 422
    assert "archive" in response.json()["error"]


def test_a_name_is_no_path(uploads: Path) -> None:
    for name in ("../../../evil.xyz", "/etc/evil.xyz", "..\\..\\evil.xyz", "a\0/b.xyz", "é\n\u202e.xyz"):
        response = post(name=name)
        assert (response.status_code, response.json()["path"]) == (200, name)
    assert not list(uploads.parent.rglob("*evil*"))


@pytest.mark.parametrize(
    ("query", "message"),
    [("", "name: Field required"), ("?name=", "at least 1 character"), (f"?name={'a' * 300}.ply", "at most 255")],
)
def test_a_scan_needs_a_name(query: str, message: str) -> None:
    response = talk(lambda client: client.post(f"/score{query}", content=SCAN))
    assert response.status_code == 422
    assert message in response.json()["error"]


def test_a_form_is_no_scan() -> None:
    response = post(headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert response.status_code == 415
    assert "--data-binary" in response.json()["error"]
    assert post(headers={"Content-Type": "application/x-www-form-urlencoded"}).status_code == 200  # curl says so


def test_too_large_is_known_by_its_length_alone() -> None:
    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    response = post(unread(), headers={"Content-Length": "21"}, max_bytes=20)
    assert response.status_code == 413
    assert "at most 20 bytes" in response.json()["error"]
    assert post(unread(), headers={"Content-Length": "9" * 5000}).status_code == 413
    assert post(max_bytes=len(SCAN)).status_code == 200


def test_too_large_is_noticed_on_the_way() -> None:
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += 1
            yield b"0 0 0\n" * 100

    assert post(endless(), max_bytes=10_000).status_code == 413
    assert given == 17


def test_too_many_points() -> None:
    assert post(max_points=3).status_code == 200
    response = post(max_points=2)
    assert response.status_code == 422
    assert "too many points; expected: at most 2; found: 3" in response.json()["error"]


def test_a_fault_of_ours_says_nothing_of_the_inside(caplog: pytest.LogCaptureFixture) -> None:
    for path in ("/score", "/report"):
        response = post(path=path, detector=Faulty(RuntimeError("at /home/me/secret")))
        assert response.status_code == 500
        assert response.json() == {"error": "internal error; the service's log says more"}
    assert "at /home/me/secret" in caplog.text


def test_a_detectors_own_refusals() -> None:
    assert post(detector=Faulty(CloudError("too flat"))).status_code == 422
    response = post(detector=Faulty(ConfigError("not fitted yet")))
    assert (response.status_code, response.json()) == (400, {"error": "not fitted yet"})


# --- the queue ---


def test_a_full_queue_refuses_and_goes_on(uploads: Path) -> None:
    detector = Gated()

    async def steps(client: httpx.AsyncClient) -> None:
        first = send(client, "first.xyz")
        await until(lambda: detector.begun == ["first.xyz"])
        assert left(uploads) == []  # it was read
        second = send(client, "second.xyz")
        await health_is(client, queue=1)
        refused = await send(client, "third.xyz")
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert "too many scans wait" in refused.json()["error"]
        text = (await client.get("/metrics")).text
        assert 'pointadplus_rejected_total{reason="queue full"} 1.0' in text
        assert "pointadplus_queue 1.0" in text
        detector.gate.set()
        assert [(await one).status_code for one in (first, second)] == [200, 200]
        assert (await send(client, "fourth.xyz")).status_code == 200
        assert (await client.get("/health")).json()["queue"] == 0

    talk(steps, detector, queue=1)
    assert detector.begun == ["first.xyz", "second.xyz", "fourth.xyz"]


def test_work_over_its_time_keeps_its_slot_until_it_is_over(uploads: Path) -> None:
    detector = Gated()

    async def steps(client: httpx.AsyncClient) -> None:
        late = await send(client, "late.xyz")
        assert (late.status_code, late.json()) == (504, {"error": "no score within 0.8 s"})
        assert left(uploads) == []
        health = await client.get("/health")
        assert (health.status_code, health.json()["ready"], health.json()["queue"]) == (503, False, 0)
        assert "pointadplus_abandoned 1.0" in (await client.get("/metrics")).text
        assert (await send(client, "refused.xyz")).status_code == 503
        detector.gate.set()
        await health_is(client, ready=True)
        assert (await send(client, "next.xyz")).status_code == 200

    talk(steps, detector, queue=0, timeout=0.8)
    assert detector.begun == ["late.xyz", "next.xyz"]


def test_a_scan_that_waited_too_long_is_never_scored(uploads: Path) -> None:
    detector = Gated()

    async def steps(client: httpx.AsyncClient) -> None:
        both = [send(client, "first.xyz")]
        await until(lambda: detector.begun == ["first.xyz"])
        both.append(send(client, "second.xyz"))
        assert [(await one).status_code for one in both] == [504, 504]
        assert left(uploads) == []
        detector.gate.set()
        assert (await send(client, "third.xyz")).status_code == 200

    talk(steps, detector, queue=1, timeout=0.8)
    assert detector.begun == ["first.xyz", "third.xyz"]


def test_a_scan_that_comes_too_slowly(uploads: Path) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield SCAN
        await asyncio.sleep(20)
        yield SCAN

    async def steps(client: httpx.AsyncClient) -> None:
        response = await client.post("/score?name=a.xyz", content=slow())
        assert response.status_code == 408
        assert left(uploads) == []
        assert (await send(client, "quick.xyz")).status_code == 200

    talk(steps, queue=0, timeout=0.8)


def test_who_hangs_up_is_not_scored(uploads: Path) -> None:
    detector = Gated()
    whole = {"type": "http.request", "body": SCAN, "more_body": False}

    async def steps(client: httpx.AsyncClient) -> None:
        app = client._transport.app  # pyright: ignore[reportAttributeAccessIssue]
        first = send(client, "first.xyz")
        await until(lambda: detector.begun == ["first.xyz"])
        assert await hang_up_after(app, whole) == 499  # while it waits
        assert await hang_up_after(app, {**whole, "more_body": True}) == 499  # on its way in
        assert len(left(uploads)) == 0
        detector.gate.set()
        assert (await first).status_code == 200
        assert (await client.get("/health")).json()["queue"] == 0
        assert 'endpoint="/score",status="499"} 2.0' in (await client.get("/metrics")).text

    talk(steps, detector, queue=1)
    assert detector.begun == ["first.xyz"]


def test_who_hangs_up_while_scored_keeps_the_thread_only_till_then() -> None:
    detector = Gated()

    async def steps(client: httpx.AsyncClient) -> None:
        app = client._transport.app  # pyright: ignore[reportAttributeAccessIssue]
        whole = {"type": "http.request", "body": SCAN, "more_body": False}
        assert await hang_up_after(app, whole, pause=lambda: until(lambda: detector.begun == ["gone.xyz"])) == 499
        assert not (await client.get("/health")).json()["ready"]
        detector.gate.set()
        await health_is(client, ready=True)
        assert (await send(client, "next.xyz")).status_code == 200

    talk(steps, detector, queue=0)


# --- options, and a real process ---


@pytest.mark.parametrize(
    "wrong", [{"max_bytes": 0}, {"max_points": 0}, {"queue": -1}, {"timeout": 0.0}, {"threshold": -0.1}]
)
def test_limits_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ServeConfig(**wrong)


def test_options_reach_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Any] = []
    monkeypatch.setattr(cli, "serve_with", lambda *arguments: served.extend(arguments))
    limits = {"max-bytes": 9, "max-points": 8, "queue": 7, "timeout": 6.5, "threshold": 0.4}
    options = {"port": 0, "words": "dented, bent", **limits}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    assert command(monkeypatch, "serve", *arguments, gain=3.0).code == 0
    detector, config, host, port, against = served
    assert (detector.gain, host, port, against) == (3.0, "127.0.0.1", 0, None)
    assert config == ServeConfig(9, 8, 7, timeout=6.5, threshold=0.4, words=("dented", "bent"))


def test_an_address_in_use_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = command(monkeypatch, "serve", "--port", taken.getsockname()[1])
    assert result.code == 1
    assert "the address cannot be used" in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("package", "room"), [("fastapi", "app"), ("prometheus_client", "metrics"), ("uvicorn", "server")]
)
def test_without_the_extra(package: str, room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("pointadplus.apps.serve.")]:
        if name != "pointadplus.apps.serve.config":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=re.escape(install_command("serve"))):
        run(create_app(MeanHeight()), port=-1)


@contextmanager
def process(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`pointadplus serve`, and its URL."""
    running = subprocess.Popen(
        [sys.executable, "-m", "pointadplus", "serve", "--port", "0", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(Path(pointadplus.__file__).parents[1]), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdout is not None
    try:
        yield running, running.stdout.readline().strip()
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGTERM")
def test_a_real_service_from_start_to_end(tmp_path: Path, uploads: Path, sphere: PointCloud) -> None:
    model = tmp_path / "model.safetensors"
    small_detector(tmp_path).save(model)
    detector = ZeroShotDetector(model)
    write_cloud(tmp_path / "part.ply", sphere)
    body = (tmp_path / "part.ply").read_bytes()
    expected = detector.score(tmp_path / "part.ply")
    level = float(expected.valid_scores.quantile(0.9))
    options = ("--model", model, "--threshold", level, "--max-bytes", 10**6)
    with process(*options) as (running, url):
        with httpx.Client(base_url=url, timeout=60) as client:
            health = client.get("/health").json()
            assert (health["ready"], health["weights"]) == (True, detector.fingerprint())
            found = client.post("/score?name=part.ply", content=body).json()
            assert found["object_score"] == pytest.approx(expected.object_score, abs=1e-6)
            assert [one["points"] for one in found["regions"]] == [one.points for one in expected.regions(level)]
            assert found["regions"]
            assert "part.ply" in client.post("/report?name=part.ply", content=body).text
            assert client.post("/score?name=part.ply", content=body[:900]).status_code == 422
            assert client.post("/score?name=a.ply", content=bytes(5 * 10**6)).status_code == 413
            assert client.get("/health").status_code == 200
        answer = half_sent(url, body, lambda: stop(running, url))
        assert answer.startswith(b"HTTP/1.1 200") and b'"object_score"' in answer
        assert running.wait(20) == -signal.SIGTERM


def half_sent(url: str, body: bytes, meanwhile: Callable[[], None]) -> bytes:
    """The answer to a scan whose second half is sent after `meanwhile`."""
    address = httpx.URL(url)
    head = f"POST /score?name=last.ply HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((address.host, address.port or 80), timeout=60) as connection:
        connection.sendall(head.encode() + body[:500])
        time.sleep(0.3)
        meanwhile()
        connection.sendall(body[500:])
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def stop(running: subprocess.Popen[str], url: str) -> None:
    """SIGTERM; returns when new connections are refused, with the process still there."""
    running.send_signal(signal.SIGTERM)
    for _ in range(200):
        try:
            httpx.get(f"{url}/health", timeout=5)
        except httpx.TransportError:
            break
        time.sleep(0.02)
    else:
        raise AssertionError("connections are accepted after SIGTERM")
    assert running.poll() is None
