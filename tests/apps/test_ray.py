"""Runs on Ray: the journal is that of a local run, whichever worker is killed and whichever engine goes on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import pointadplus
from pointadplus.apps.batch import JOURNAL, SUMMARY, Batch, ray_engine
from pointadplus.apps.batch.folder import find_files
from pointadplus.apps.batch.journal import read_records
from pointadplus.apps.batch.ray_engine import STARTS, RayEngine
from pointadplus.apps.batch.scoring import Engine, Scorer
from pointadplus.apps.cli.folders import _ScorerInWorker, _settings
from pointadplus.apps.cli.regions import RegionOptions
from pointadplus.errors import CloudReadError, ConfigError, install_command
from tests.heights import MeanHeight, command, write_scan

try:
    import ray.data
except ImportError:
    pytest.skip("Ray is not installed", allow_module_level=True)

# Ray Data sets options of its own that it calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")

SETTINGS = {"detector": "Bytes 0123"}
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(pointadplus.__file__).parents[1]), "RAY_ADDRESS": "local"}


@dataclass(frozen=True)
class Bytes:
    """Scores the share of the bytes that are a "1"; `scan07.xyz` cannot be scored. Called without a file: the scorer.

    Attributes:
        log: a line is added to it as a file is begun: name and process.
        fatal: the file whose worker dies, or waits to be killed until the file `spared` is there.
        spared: see `fatal`; None kills each time.
    """

    log: Path
    fatal: str = ""
    spared: Path | None = None

    def __call__(self) -> Scorer:
        return self.score

    def score(self, file: Path) -> dict[str, Any]:
        with self.log.open("a") as log:
            log.write(f"{file.name.encode('utf-8', 'replace').decode()} {os.getpid()}\n")
        if file.name == self.fatal:
            if self.spared is None:
                os.kill(os.getpid(), signal.SIGKILL)
            elif not self.spared.exists():
                time.sleep(100)
        if file.name == "scan07.xyz":
            raise CloudReadError("broken\nscan", where=file)
        data = file.read_bytes()
        share = data.count(b"1") / len(data)
        return {"object_score": share, "is_anomalous": share > 0.5, "names": {"ü": [share, None]}}

    def begun(self) -> Counter[str]:
        return Counter(line.split()[0] for line in self.log.read_text().splitlines())


@pytest.fixture(scope="module", autouse=True)
def connected() -> Iterator[None]:
    """One Ray for all tests here; its workers cannot import this file, so what they call is pickled whole."""
    here = sys.modules[__name__]
    ray.cloudpickle.register_pickle_by_value(here)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", "local")  # whatever else runs on this machine
        with ray_engine._connected():
            yield
    ray.cloudpickle.unregister_pickle_by_value(here)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine files, the eighth of which cannot be scored; the name of one is no text."""
    root = tmp_path_factory.mktemp("scans")
    for number in range(9):
        file = root / f"part{number % 3}" / f"scan{number:02}.xyz"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{number}\n" * (number + 1))
    if sys.platform == "linux":
        (root / "part0" / "scan00.xyz").rename(root / "part0" / os.fsdecode(b"scan00\xff.xyz"))
    return root


@pytest.fixture
def scorer(tmp_path: Path) -> Bytes:
    return Bytes(tmp_path / "log")


@pytest.fixture(scope="module")
def whole(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an undisturbed local run over `scans`."""
    out = tmp_path_factory.mktemp("whole")
    run(scans, out, Bytes(out.parent / "log"))
    return out


def run(root: Path, out: Path, scorer: Bytes, engine: Engine | None = None, stop: int | None = None) -> list[str]:
    """A run, to its end or until `stop` files have been scored; returns the paths that were scored in it."""
    done: list[str] = []
    with Batch(root, out, scorer.score, SETTINGS) as batch:
        records = batch.run(find_files(root, (".xyz",)), engine)
        for record in records:
            done.append(record["path"])
            assert journaled(out)[-1] == done[-1], "it is on the disk when it is given"
            if len(done) == stop:
                records.close()
                return done
        batch.finish()
    return done


def journaled(out: Path) -> list[str]:
    return [record["path"] for record in read_records(out / JOURNAL)]


def by_path(out: Path) -> dict[str, dict[str, Any]]:
    return {record["path"]: record for record in read_records(out / JOURNAL)}


def assert_same(out: Path, whole: Path) -> None:
    """The same first line, and the same records byte for byte, in any order."""
    (first, *lines), (expected, *others) = ((each / JOURNAL).read_bytes().splitlines() for each in (out, whole))
    assert (first, sorted(lines)) == (expected, sorted(others))
    assert (out / SUMMARY).read_bytes() == (whole / SUMMARY).read_bytes()


def test_the_journal_is_that_of_a_local_run(
    scans: Path, whole: Path, scorer: Bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """In two goes, as more files are given than Ray takes at once; among them one that cannot be read."""
    monkeypatch.setattr(ray_engine, "_SHARE", 3)
    assert len(run(scans, tmp_path / "run", scorer, RayEngine(scorer, 2))) == 9
    assert_same(tmp_path / "run", whole)
    failed = [record for record in read_records(tmp_path / "run" / JOURNAL) if "error" in record]
    assert [record["error"] for record in failed] == [f"{scans / 'part1' / 'scan07.xyz'}: broken scan"]
    assert str(os.getpid()) not in scorer.log.read_text(), "nothing was scored in this process"
    assert run(scans, tmp_path / "run", scorer, RayEngine(scorer, 2)) == []
    assert set(scorer.begun().values()) == {1}


@pytest.mark.parametrize("first", ["local", "ray"])
def test_the_other_engine_goes_on(first: str, scans: Path, whole: Path, scorer: Bytes, tmp_path: Path):
    engines = (None, RayEngine(scorer, 1))
    one, other = engines if first == "local" else engines[::-1]
    done = run(scans, tmp_path / "run", scorer, one, stop=3)
    assert journaled(tmp_path / "run") == done and len(done) == 3
    rest = run(scans, tmp_path / "run", scorer, other)
    assert len(rest) == 6 and not set(rest) & set(done)
    assert_same(tmp_path / "run", whole)


def test_a_killed_worker_loses_nothing_and_doubles_nothing(scans: Path, whole: Path, tmp_path: Path):
    scorer = Bytes(tmp_path / "log", "scan04.xyz", tmp_path / "spared")
    out = tmp_path / "run"
    before: list[str] = []

    def kill() -> None:
        """The worker that holds scan04, as soon as what else could be done is done."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (not scorer.log.exists() or not scorer.begun()["scan04.xyz"]):
            time.sleep(0.1)
        time.sleep(1.0)
        before.extend(journaled(out))
        (tmp_path / "spared").touch()
        [pid] = [line.split()[1] for line in scorer.log.read_text().splitlines() if line.startswith("scan04")]
        os.kill(int(pid), signal.SIGKILL)

    killer = Thread(target=kill)
    killer.start()
    done = run(scans, out, scorer, RayEngine(scorer, 2))
    killer.join()
    assert 0 < len(before) < 9, "it met the run in its middle"
    assert len(done) == len(set(done)) == 9
    assert_same(out, whole)
    begun = scorer.begun()
    assert begun.pop("scan04.xyz") == 2, "scored again, after its worker was killed"
    assert set(begun.values()) == {1}
    pids = [line.split()[1] for line in scorer.log.read_text().splitlines() if line.startswith("scan04")]
    assert len(set(pids)) == 2


def test_a_file_that_kills_its_workers_is_an_error_of_its_own(scans: Path, whole: Path, tmp_path: Path):
    scorer = Bytes(tmp_path / "log", "scan03.xyz")
    assert len(run(scans, tmp_path / "run", scorer, RayEngine(scorer, 1))) == 9
    assert scorer.begun()["scan03.xyz"] == STARTS
    lost, other = by_path(tmp_path / "run"), by_path(whole)
    record, expected = lost.pop("part0/scan03.xyz"), other.pop("part0/scan03.xyz")
    assert lost == other
    assert f"{STARTS} deaths" in record["error"] and "object_score" not in record
    assert record["sha256"] == expected["sha256"], "it is not scored again unasked"
    assert run(scans, tmp_path / "run", scorer, RayEngine(scorer, 1)) == []


def fail(error: Exception) -> Scorer:
    raise error


def test_a_scorer_that_cannot_be_made_ends_the_run(scans: Path, scorer: Bytes, tmp_path: Path):
    engine = RayEngine(partial(fail, RuntimeError("no weights here")), 1)
    with pytest.raises(ConfigError, match="did not finish the run; found: RuntimeError: no weights here; hint: run"):
        run(scans, tmp_path / "run", scorer, engine)
    assert journaled(tmp_path / "run") == []
    assert len(run(scans, tmp_path / "run", scorer)) == 9


def test_a_detector_that_is_another_in_a_worker_is_refused():
    regions, root = RegionOptions(), Path()
    settings = _settings(MeanHeight(1.0), regions)
    assert callable(_ScorerInWorker(partial(MeanHeight, 1.0), root, regions, settings, root / "kept")())
    with pytest.raises(ConfigError, match="another detector"):
        _ScorerInWorker(partial(MeanHeight, 2.0), root, regions, settings, root / "kept")()


def test_a_ray_that_cannot_be_reached(scans: Path, scorer: Bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tried = []

    def refuse(address: str, **options: Any) -> None:
        tried.append(address)
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        raise ConnectionError("no\nRay is there")

    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        with monkeypatch.context() as patch:
            patch.setattr(ray, "init", refuse)
            with pytest.raises(ConfigError, match=f"{address}: .* found: Ray is there"):
                run(scans, tmp_path / "run", scorer, RayEngine(scorer))
            patch.delenv("RAY_ADDRESS")
            with pytest.raises(ConfigError, match=r"this machine: .* found: Ray is there"):
                run(scans, tmp_path / "run", scorer, RayEngine(scorer))
            assert tried == [address, "local"], "without an address, a Ray of its own; not one that was here once"
    with pytest.raises(ConfigError, match=f"{address}: Ray cannot be started or reached; found: .*refused"):
        run(scans, tmp_path / "run", scorer, RayEngine(scorer))
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ
    assert len(run(scans, tmp_path / "run", scorer)) == 9


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    low, out = write_scan(tmp_path / "scans" / "a.ply", 0.25), tmp_path / "run"
    root = low.parent

    def refused(*arguments: object) -> str:
        result = command(monkeypatch, "score", *arguments)
        assert (result.code, result.out) == (1, "") and len(result.err.splitlines()) == 1
        return result.err

    assert "found: no --out; hint: pointadplus score DIR --out RUN --engine ray" in refused(root, "--engine", "ray")
    assert "one folder of scans" in refused(low, "--out", out, "--engine", "ray")
    assert "found: 2 files" in refused(root, low, "--out", out, "--engine", "ray")
    assert "does not watch" in refused(root, "--watch", "--out", out, "--engine", "ray")
    assert "unknown engine" in refused(root, "--out", out, "--engine", "rya")
    assert "only Ray has workers" in refused(root, "--out", out, "--workers", 2)
    with pytest.raises(ConfigError, match="workers: option out of range"):
        RayEngine(lambda: fail(ValueError()), 0)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    assert install_command("ray") in refused(root, "--out", out, "--engine", "ray")
    assert not out.exists()


@pytest.mark.slow
def test_the_command_line_scores_on_a_ray_of_its_own(box: Any, tmp_path: Path):
    """The embedded weights in two workers, relative paths, a file that cannot be read; nothing runs on afterwards."""
    from pointadplus.io import write_cloud

    (tmp_path / "scans" / "sub").mkdir(parents=True)
    write_cloud(tmp_path / "scans" / "a.ply", box)
    write_cloud(tmp_path / "scans" / "sub" / "b.ply", box)
    (tmp_path / "scans" / "bad.ply").write_text("no")

    def play(out: str, *options: str) -> subprocess.CompletedProcess[str]:
        words = ["score", "scans", "--out", out, "--regions", "--regions-ply", f"painted-{out}", *options]
        return subprocess.run(
            [sys.executable, "-m", "pointadplus", *words], env=ENVIRONMENT | {"OMP_NUM_THREADS": "1"}, cwd=tmp_path,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    here, there = play("here"), play("there", "--engine", "ray", "--workers", "2")
    assert (here.returncode, there.returncode) == (1, 1), there.stderr
    assert sorted(here.stdout.splitlines()) == sorted(there.stdout.splitlines())
    assert "error: scans/bad.ply" in there.stderr and "Traceback" not in there.stderr
    assert f"3 files: 2 scored, 1 failed; 3 scored now, 0 as before: {Path('there') / JOURNAL}" in there.stderr
    expected, found = by_path(tmp_path / "here"), by_path(tmp_path / "there")
    for record in (*expected.values(), *found.values()):
        record.pop("seconds", None)
    assert found == expected
    assert (tmp_path / "painted-there" / "sub" / "b.ply.ply").exists()


ABANDONED = """
import os, signal, sys, time
from pathlib import Path
from pointadplus.apps.batch import Batch
from pointadplus.apps.batch.folder import find_files
from pointadplus.apps.batch.ray_engine import RayEngine

def load():
    def score(file):
        time.sleep(0.5)
        return {"object_score": 0.5}
    return score

root, out = Path(sys.argv[1]), Path(sys.argv[2])
with Batch(root, out, load(), {"detector": "Bytes 0123"}) as batch:
    for number, record in enumerate(batch.run(find_files(root, (".xyz",)), RayEngine(load, 1))):
        if number == 1:
            import ray
            os.kill(ray._private.worker._global_node.all_processes["raylet"][0].process.pid, signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_ray_that_goes_away_leaves_the_journal_whole(scans: Path, scorer: Bytes, tmp_path: Path):
    """Ray ends the process itself when it misses its head; what was given before is kept, and another run goes on."""
    (tmp_path / "script.py").write_text(ABANDONED)
    words = [sys.executable, str(tmp_path / "script.py"), str(scans), str(tmp_path / "run")]
    ended = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode != 0
    done = journaled(tmp_path / "run")
    assert 2 <= len(done) < 9, ended.stderr
    assert len(set(done)) == len(done)
    rest = run(scans, tmp_path / "run", scorer)
    assert len(rest) == 9 - len(done) and not set(rest) & set(done)
