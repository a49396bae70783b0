"""Runs that are killed, meet full disks and changing files; what the journal holds is never lost nor scored twice."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import pointadplus
from pointadplus.apps.batch import JOURNAL, SUMMARY, Batch, folder
from pointadplus.apps.batch.folder import find_files, look, watch_files
from pointadplus.apps.batch.journal import Journal, read_records
from pointadplus.apps.cli import folders
from pointadplus.apps.cli.output import UNDECIDED
from pointadplus.cloud import PointCloud
from pointadplus.errors import CloudError, CloudReadError, ConfigError
from pointadplus.results.detection import Detection
from pointadplus.results.kept import keep_detection, kept_detection
from tests.heights import MeanHeight, command, write_scan

SETTINGS = {"detector": "Bytes 0123"}


def make_scans(root: Path, count: int) -> Path:
    for number in range(count):
        file = root / f"part{number % 3}" / f"scan{number:02}.xyz"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{number}\n" * (number + 1))
    return root


def score(file: Path) -> dict[str, Any]:
    """The share of the bytes that are a "1"; `scan07.xyz` cannot be scored."""
    data = file.read_bytes()
    if file.name == "scan07.xyz":
        raise CloudReadError("broken\nscan", where=file)
    share = data.count(b"1") / len(data)
    return {"path": "of the scorer's own", "object_score": share, "verdict": "anomalous" if share > 0.5 else "normal"}


def run(root: Path, out: Path, scorer: Callable[[Path], dict[str, Any]] = score, **options: Any) -> list[str]:
    """One run to its end; returns the paths that were scored in it."""
    with Batch(root, out, scorer, SETTINGS, **options) as batch:
        done = [record["path"] for record in batch.run(find_files(root, (".xyz",), but=out))]
        batch.finish()
    return done


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scans(tmp_path_factory.mktemp("scans"), 9)


@pytest.fixture(scope="module")
def whole(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The journal of an undisturbed run over `scans`."""
    out = tmp_path_factory.mktemp("whole")
    run(scans, out)
    return (out / JOURNAL).read_bytes()


def test_a_run_has_a_record_a_file_and_a_summary(scans: Path, whole: bytes, tmp_path: Path):
    assert len(run(scans, tmp_path / "run")) == 9
    header, *lines = (tmp_path / "run" / JOURNAL).read_text().splitlines()
    assert json.loads(header) == {"journal": "pointadplus.batch", "version": 1, "settings": SETTINGS}
    records = [json.loads(line) for line in lines]
    paths = [f"part{part}/scan{number:02}.xyz" for part in range(3) for number in range(part, 9, 3)]
    assert [record["path"] for record in records] == paths
    assert list(read_records(tmp_path / "run" / JOURNAL)) == records
    for record in records:
        file = scans / record["path"]
        assert (record["size"], record["mtime_ns"]) == look(file)
        if "scan07" in record["path"]:
            assert record["error"] == f"{file}: broken scan" and "object_score" not in record
        else:
            assert record["object_score"] == score(file)["object_score"]
    summary = json.loads((tmp_path / "run" / SUMMARY).read_text())
    others = ["part0/scan00.xyz", "part0/scan03.xyz", "part0/scan06.xyz", "part1/scan04.xyz"]
    highest = [["part1/scan01.xyz", 0.5], *([path, 0.0] for path in others)]
    assert summary == {"files": 9, "scored": 8, "failed": 1, "anomalous": 0, "not_measurable": 0, "highest": highest}


def test_nothing_is_scored_twice(scans: Path, whole: bytes, tmp_path: Path):
    run(scans, tmp_path)
    assert run(scans, tmp_path) == []
    assert (tmp_path / JOURNAL).read_bytes() == whole
    assert run(scans, tmp_path, verify=True) == []
    assert run(scans, tmp_path, retry=True) == ["part1/scan07.xyz"]


def test_what_changed_is_scored_again(tmp_path: Path):
    root, out = make_scans(tmp_path / "scans", 6), tmp_path / "run"
    run(root, out)
    grown, touched, swapped = (root / f"part{n}" / f"scan0{n}.xyz" for n in range(3))
    grown.write_text("1\n1\n1\n")
    os.utime(touched, ns=(1, 1))  # another time, the same content
    before = swapped.stat()
    swapped.write_bytes(swapped.read_bytes().replace(b"2", b"1"))
    os.utime(swapped, ns=(before.st_atime_ns, before.st_mtime_ns))  # another content of the same size and time
    added = root / "part0" / "scan99.xyz"
    added.write_text("9")
    assert run(root, out) == ["part0/scan00.xyz", "part0/scan99.xyz"]
    assert run(root, out, verify=True) == ["part2/scan02.xyz"]
    with Journal(out / JOURNAL, SETTINGS) as journal:
        assert len(journal.entries) == 7
        assert journal.entries["part0/scan00.xyz"].object_score == 0.5, "the last record counts"
    os.utime(grown, ns=(2, 2))
    grown.write_text("1\n1\n2\n")
    assert run(root, out) == ["part0/scan00.xyz"]


def test_a_file_that_changes_under_the_scorers_hands(tmp_path: Path):
    root = make_scans(tmp_path / "scans", 2)
    turns = iter(range(100))

    def busy(file: Path) -> dict[str, Any]:
        if file.name == "scan00.xyz" or next(turns) == 0:
            with file.open("a") as stream:
                stream.write("1\n")
        return score(file)

    assert len(run(root, tmp_path / "run", busy)) == 2
    with Journal(tmp_path / "run" / JOURNAL, SETTINGS) as journal:
        first, second = journal.entries["part0/scan00.xyz"], journal.entries["part1/scan01.xyz"]
    assert first.sha256 is None and first.object_score is None, "three times, and not believed"
    assert second.object_score == score(root / "part1" / "scan01.xyz")["object_score"], "once, and looked at again"
    assert run(root, tmp_path / "run") == ["part0/scan00.xyz"], "at rest now"


def test_what_cannot_be_looked_at_is_told_once(tmp_path: Path):
    root = make_scans(tmp_path / "scans", 1)
    gone = root / "gone.xyz"
    os.mkfifo(root / "pipe.xyz")
    files = [gone, root / "pipe.xyz", root / "part0" / "scan00.xyz"]
    for turn in range(2):
        with Batch(root, tmp_path / "run", score, SETTINGS) as batch:
            records = list(batch.run(files))
            assert (len(records), batch.kept) == ((3, 0), (0, 3))[turn]
    lines = (tmp_path / "run" / JOURNAL).read_text().splitlines()
    assert len(lines) == 4 and "FileNotFoundError" in lines[1] and "not a file" in lines[2]
    gone.write_text("1")
    with Batch(root, tmp_path / "run", score, SETTINGS) as batch:
        assert [record["path"] for record in batch.run(files)] == ["gone.xyz"]


def test_values_that_json_does_not_hold_are_the_files_error(tmp_path: Path):
    root = make_scans(tmp_path / "scans", 2)
    run(root, tmp_path / "run", lambda file: {"object_score": float("nan")})
    assert all("error" in record for record in read_records(tmp_path / "run" / JOURNAL))


def test_an_interrupt_ends_the_run_and_loses_nothing(scans: Path, whole: bytes, tmp_path: Path):
    def tired(file: Path) -> dict[str, Any]:
        if file.name == "scan04.xyz":
            raise KeyboardInterrupt
        return score(file)

    with pytest.raises(KeyboardInterrupt):
        run(scans, tmp_path, tired)
    assert len(run(scans, tmp_path)) == 5
    assert (tmp_path / JOURNAL).read_bytes() == whole


KILLED = """
import hashlib, json, os, random, signal, sys, time
from pathlib import Path
from pointadplus.apps.batch import Batch
from pointadplus.apps.batch.folder import find_files

root, out, kills, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
journal, log = out / "journal.jsonl", os.open(out.with_suffix(".scored"), os.O_CREAT | os.O_APPEND | os.O_WRONLY)

def score(file):
    data = file.read_bytes()
    os.write(log, (file.name + "\\n").encode())
    time.sleep(0.001)
    return {"object_score": hashlib.sha256(data).digest()[0] / 255, "padding": "x" * 2000}

def go():
    with Batch(root, out, score, {"detector": "sha"}) as batch:
        for _ in batch.run(find_files(root, (".xyz",))):
            pass
        batch.finish()

def known():
    lines = journal.read_bytes().split(b"\\n")[1:-1] if journal.exists() else []
    return {json.loads(line)["path"].split("/")[-1] for line in lines}

rng, done, met = random.Random(seed), 0, set()
while done < kills:
    before, start = known(), os.path.getsize(out.with_suffix(".scored"))
    child = os.fork()
    if child == 0:
        try:
            go()
        finally:
            os._exit(0)
    time.sleep(rng.uniform(0, 0.03))
    os.kill(child, signal.SIGKILL)
    killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    done += killed
    now = known()
    assert before <= now, "a record was lost"
    again = before & set(out.with_suffix(".scored").read_text()[start:].split())
    assert not again, f"scored twice: {again}"
    met.add(len(now))
    if len(now) == 60:  # all over again, so that the kills meet every part of a run
        go()
        print(json.dumps({"journal": hashlib.sha256(journal.read_bytes()).hexdigest(), "after": done}), flush=True)
        journal.unlink()
if journal.exists():
    go()
    print(json.dumps({"journal": hashlib.sha256(journal.read_bytes()).hexdigest(), "after": done}))
go()
print(json.dumps({"met": len(met)}))
"""


def test_sigkill_at_fifty_random_moments(tmp_path: Path):
    """A run over 60 files, started again until it is through; its journal equals the undisturbed one, byte for byte."""
    root = make_scans(tmp_path / "scans", 60)

    def play(out: Path, kills: int) -> list[dict[str, Any]]:
        command = [sys.executable, "-c", KILLED, str(root), str(out), str(kills), "7"]
        environment = os.environ | {"PYTHONPATH": str(Path(pointadplus.__file__).parents[1])}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    play(tmp_path / "calm", 0)
    calm = (tmp_path / "calm" / JOURNAL).read_bytes()
    assert len(calm.splitlines()) == 61
    *ends, last = play(tmp_path / "killed", 50)
    assert ends and {end["journal"] for end in ends} == {hashlib.sha256(calm).hexdigest()}
    assert last["met"] > 20, "the kills met the runs at many places"
    assert (tmp_path / "killed" / SUMMARY).read_bytes() == (tmp_path / "calm" / SUMMARY).read_bytes()


def test_a_journal_torn_at_any_byte_is_healed(scans: Path, whole: bytes, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # 250 runs
    lines = whole.splitlines(keepends=True)
    header, last = len(lines[0]), len(lines[-1]) + len(lines[-2])
    for cut in (*range(0, header + 5, 3), header - 1, header, *range(len(whole) - last, len(whole), 2)):
        (tmp_path / JOURNAL).write_bytes(whole[:cut])
        done = run(scans, tmp_path)
        assert len(done) == 9 - max(0, whole[:cut].count(b"\n") - 1)
        assert (tmp_path / JOURNAL).read_bytes() == whole
    for tail in (b"\0" * 50, b"\0\0\n", b'{"path": 3}\n', b"\xff\xfe\n", b"[]\n"):  # what a crash of the system leaves
        (tmp_path / JOURNAL).write_bytes(whole + tail)
        assert run(scans, tmp_path) == []
        assert (tmp_path / JOURNAL).read_bytes() == whole


class Faults:
    """The n-th call that changes a file fails; a write takes half of its bytes first, as on a full disk."""

    def __init__(self, number: int, code: int) -> None:
        self.number, self.code, self.calls, self.met = number, code, 0, ""
        self.halved = False

    def __call__(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if name == "open" and not arguments[1] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
                return real(*arguments, **options)
            self.calls += 1
            if self.calls != self.number:
                return real(*arguments, **options)
            self.met = name
            if name == "write" and not self.halved:
                self.halved, self.number = True, self.number + 1
                return real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
            raise OSError(self.code, os.strerror(self.code))

        return call


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Faults], pytest.MonkeyPatch]]:
    def put(faults: Faults) -> pytest.MonkeyPatch:
        for name in ("open", "write", "fsync", "ftruncate", "replace"):
            monkeypatch.setattr(os, name, faults(name, getattr(os, name)))
        return monkeypatch

    yield put
    monkeypatch.undo()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
@pytest.mark.parametrize("torn", [False, True], ids=["anew", "after a torn line"])
def test_a_fault_at_the_nth_write_for_all_n(code: int, torn: bool, tmp_path: Path, faulty):
    """Old or new, never torn: each record that was given out is there, and a second run makes the rest."""
    root = make_scans(tmp_path / "scans", 5)
    run(root, tmp_path / "calm")
    whole = (tmp_path / "calm" / JOURNAL).read_bytes()
    half = whole[: whole.rindex(b"\n", 0, len(whole) - 30) + 40]
    met = set()
    for number in range(1, 200):
        out = tmp_path / f"run{number}"
        out.mkdir()
        if torn:
            (out / JOURNAL).write_bytes(half)
            (out / SUMMARY).write_text("old")
        given: list[str] = []
        faults = Faults(number, code)
        patch = faulty(faults)
        try:
            with Batch(root, out, score, SETTINGS) as batch:
                given += [record["path"] for record in batch.run(find_files(root, (".xyz",)))]
                batch.finish()
            told = ""
        except ConfigError as error:
            told = str(error)
        patch.undo()
        assert not told or (os.strerror(code) in told and str(out) in told)
        if not faults.met:
            break
        met.add(faults.met)
        kept = (out / JOURNAL).read_bytes() if (out / JOURNAL).exists() else b""
        sound = kept[: kept.rindex(b"\n") + 1] if b"\n" in kept else b""
        assert whole.startswith(sound), "each line is as it should be"
        assert all(path.encode() in sound for path in given)
        if (out / SUMMARY).exists():
            text = (out / SUMMARY).read_text()
            assert text == "old" or json.loads(text)["files"] == 5
        run(root, out)
        assert (out / JOURNAL).read_bytes() == whole
        assert (out / SUMMARY).read_bytes() == (tmp_path / "calm" / SUMMARY).read_bytes()
        assert {path.name for path in out.iterdir()} == {JOURNAL, SUMMARY}, "nothing is left lying about"
    else:
        pytest.fail("the faults never ended")
    assert {"open", "write", "fsync", "replace"} <= met and ("ftruncate" in met) == torn


def test_after_a_fault_a_journal_takes_no_more(tmp_path: Path, faulty):
    journal = Journal(tmp_path / JOURNAL, SETTINGS)
    patch = faulty(Faults(1, errno.ENOSPC))
    for message in ("No space left", "is closed"):
        with pytest.raises(ConfigError, match=message):
            journal.append({"path": "a"})
    patch.undo()
    assert journal.entries == {}
    with Journal(tmp_path / JOURNAL, SETTINGS) as again:
        again.append({"path": "a"})
    assert len((tmp_path / JOURNAL).read_bytes().splitlines()) == 2


def test_an_interrupt_within_a_write_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    journal = Journal(tmp_path / JOURNAL, SETTINGS)
    before, real = (tmp_path / JOURNAL).read_bytes(), os.write

    def interrupted(handle: int, data: memoryview) -> int:
        real(handle, data[:10])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            journal.append({"path": "a"})
    assert (tmp_path / JOURNAL).read_bytes() == before
    with pytest.raises(ConfigError, match="is closed"):
        journal.append({"path": "b"})
    with Journal(tmp_path / JOURNAL, SETTINGS) as again, pytest.raises(ValueError, match="not JSON compliant"):
        again.append({"path": "a", "object_score": float("nan")})
    assert (tmp_path / JOURNAL).read_bytes() == before


def test_refusals(scans: Path, whole: bytes, tmp_path: Path):
    path = tmp_path / JOURNAL
    for text, message in (
        (b"my own notes\n", "not a journal"),
        (b"my own notes", "not a journal"),
        (whole.replace(b'"version": 1', b'"version": 2'), "not a journal of this version"),
        (whole.replace(b"0123", b"4567"), "other settings"),
        (whole.replace(b'{"path"', b'{"pith', 1), "damaged.*line 2"),
    ):
        path.write_bytes(text)
        with pytest.raises(ConfigError, match=message):
            Journal(path, SETTINGS)
        assert path.read_bytes() == text, "what is refused is left alone"
    path.unlink()
    with (
        Journal(path, SETTINGS),
        pytest.raises(ConfigError, match="in use"),
    ):
        Journal(path, SETTINGS)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        Journal(tmp_path / "file" / JOURNAL, SETTINGS)
    for name, message in (("none", "no such folder"), ("file", "not a folder")):
        with pytest.raises(ConfigError, match=message):
            list(find_files(tmp_path / name, (".xyz",)))
    with pytest.raises(ConfigError, match="cannot be read"):
        list(read_records(tmp_path / "none"))


def test_which_files_are_found(tmp_path: Path):
    for name in ("b.PLY", "a.ply", "a.ply.part", ".hidden.ply", "notes.md", "sub/c.ply", ".git/d.ply", "run/e.ply"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.ply").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "link.ply").symlink_to(tmp_path / "a.ply")
    found = [file.relative_to(tmp_path).as_posix() for file in find_files(tmp_path, (".ply",), but=tmp_path / "run")]
    assert found == ["a.ply", "b.PLY", "link.ply", "sub/c.ply"]


def test_depth_images_of_a_folder_are_those_with_a_camera(tmp_path: Path):
    shades = {"depth": np.full((4, 5), 700, np.uint16), "mask": np.zeros((4, 5), np.uint8)}
    shades["photo"] = np.zeros((4, 5, 3), np.uint8)
    for name, values in shades.items():
        Image.fromarray(values).save(tmp_path / f"{name}.png")
    (tmp_path / "depth2.PNG").write_bytes((tmp_path / "depth.png").read_bytes())
    (tmp_path / "empty.png").touch()
    others = Counter[str]()
    assert list(find_files(tmp_path, (".ply",), others=others)) == [] and others[".png"] == 5
    (tmp_path / "depth.json").write_text("{}")
    assert [file.name for file in find_files(tmp_path, (".ply",))] == ["depth.png"]
    (tmp_path / "camera.json").write_text("{}")
    assert [file.name for file in find_files(tmp_path, (".ply",))] == ["depth.png", "depth2.PNG"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path):
    (tmp_path / "shut").mkdir(mode=0)
    assert list(find_files(tmp_path, (".ply",))) == [tmp_path / "shut"]


class Time:
    """A clock that goes on by 1 at each look, when something happens."""

    def __init__(self, happens: dict[int, Callable[[], Any]]) -> None:
        self.now, self.happens = 0.0, happens

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += 1
        self.happens.get(int(self.now), lambda: None)()


def test_a_watched_file_comes_when_it_is_written(tmp_path: Path):
    """Settling takes three looks: a slow writer, an empty file, a rename, a change, a file that goes."""
    slow, moved, early = tmp_path / "slow.xyz", tmp_path / "moved.xyz", tmp_path / "early.xyz"
    early.write_text("1")

    def grow(file: Path, text: str) -> Callable[[], None]:
        def act() -> None:
            with file.open("a") as stream:
                stream.write(text)

        return act

    happens: dict[int, Callable[[], Any]] = {
        2: slow.touch,
        4: grow(slow, "1"),
        6: grow(slow, "2"),
        8: grow(slow, "3"),
        9: lambda: (tmp_path / "moved.part").write_text("7"),
        10: lambda: (tmp_path / "moved.part").rename(moved),
        20: grow(early, "2"),
        21: lambda: (tmp_path / "brief.xyz").write_text("1"),
        22: lambda: (tmp_path / "brief.xyz").unlink(),
        30: early.unlink,
        32: lambda: early.write_text("12"),
    }
    time = Time(happens)
    found = []
    for file in watch_files(
        lambda: list(find_files(tmp_path, (".xyz",))),
        settle=3.0,
        stop=lambda: time.now >= 40,
        clock=time.clock,
        sleep=time.sleep,
    ):
        found.append((time.now, file.name, file.read_text()))
    assert found == [
        (3, "early.xyz", "1"), (11, "slow.xyz", "123"), (13, "moved.xyz", "7"), (23, "early.xyz", "12"),
        (35, "early.xyz", "12"),
    ]  # fmt: skip


def test_watching_scores_each_file_once(tmp_path: Path):
    """What comes again as it was has a record already."""
    root = make_scans(tmp_path / "scans", 3)
    time = Time({})
    with Batch(root, tmp_path / "run", score, SETTINGS) as batch:
        watched = watch_files(
            lambda: find_files(root, (".xyz",)), settle=2.0, stop=lambda: time.now > 6, clock=time.clock,
            sleep=time.sleep,
        )  # fmt: skip
        assert len(list(batch.run(watched))) == 3
    assert run(root, tmp_path / "run") == []


def test_no_result_is_kept_in_memory(tmp_path: Path):
    """After 50 files with 100 kB of result each, 100 more take what their entries take."""
    import tracemalloc

    root = make_scans(tmp_path / "scans", 150)
    tracemalloc.start()
    try:
        levels = []
        with Batch(root, tmp_path / "run", lambda file: {"object_score": 0.5, "p": "x" * 100_000}, SETTINGS) as batch:
            for _ in batch.run(find_files(root, (".xyz",))):
                levels.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert len(levels) == 150
    assert levels[-1] - levels[49] < 100 * 2000


def test_the_command_line_scores_a_folder_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root, out = tmp_path / "scans", tmp_path / "run"
    low, high = write_scan(root / "a.ply", 0.25), write_scan(root / "sub" / "b.ply", *[0.75] * 9)
    (root / "bad.ply").write_text("no")
    table = tmp_path / "regions.csv"
    options = ("--out", out, "--regions-csv", table, "--regions-ply", tmp_path / "painted")
    result = command(monkeypatch, "score", root, *options)
    assert result.code == 1
    assert result.out == f"{low}\t0.2500\n{high}\t0.7500\n"
    error, worth, end = result.err.splitlines()
    assert worth == UNDECIDED and error.startswith(f"error: {root / 'bad.ply'}")
    assert end == f"3 files: 2 scored, 1 failed; 3 scored now, 0 as before: {out / JOURNAL}"
    assert (tmp_path / "painted" / "sub" / "b.ply.ply").exists()
    (root / "bad.ply").unlink()
    write_scan(root / "bad.ply", 0.5)
    result = command(monkeypatch, "score", root, *options)
    assert (result.code, result.out) == (0, f"{root / 'bad.ply'}\t0.5000\n")
    assert "1 scored now, 2 as before" in result.err and "not measurable" not in result.err
    assert [line.split(",")[:3] for line in table.read_text().splitlines()[1:]] == [["sub/b.ply", "1", "9"]]
    assert json.loads((out / SUMMARY).read_text())["highest"][0] == ["sub/b.ply", 0.75]
    result = command(monkeypatch, "score", root, *options, gain=2.0)
    assert result.code == 1 and "other settings" in result.err
    for wrong in (("score", root), ("score", root, low, "--out", out), ("score", root, "--out", out, "--profile")):
        assert command(monkeypatch, *wrong).code == 2
    assert "not a folder" in command(monkeypatch, "score", low, "--watch", "--out", out).err


def test_the_report_of_a_folder_shows_its_highest_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root, out, page = tmp_path / "scans", tmp_path / "run", tmp_path / "pages" / "report.html"
    for name, height in {"low": 0.1, "middle": 0.4, "high": 0.9}.items():
        write_scan(root / f"{name}.ply", height)
    (root / "bad.ply").write_text("no")
    monkeypatch.setattr(folders, "SHOWN", 2)
    first = command(monkeypatch, "score", root, "--out", out, "--report", page)
    assert first.code == 1 and len(first.out.splitlines()) == 3
    text = page.read_text(encoding="utf-8")
    assert "high.ply" in text and "middle.ply" in text and "low.ply" not in text and "bad.ply" not in text
    assert text.index("high.ply") < text.index("middle.ply")

    (root / "high.ply").unlink()  # its record stays, and what was kept of it
    page.unlink()
    monkeypatch.setattr(MeanHeight, "score_cloud", None)  # nothing is scored anew
    again = command(monkeypatch, "score", root, "--out", out, "--report", page)
    assert "0 scored now" in again.err and page.read_text(encoding="utf-8") == text
    kept = sorted((out / "highest").iterdir())
    assert len(kept) == 2
    for file in kept:
        file.write_bytes(b"damaged")
    page.unlink()
    none = command(monkeypatch, "score", root, "--out", out, "--report", page)
    assert none.err.count("error: not on the report: ") == 2 and not page.exists()


def test_a_report_tells_what_the_detector_told(tmp_path: Path):
    points = torch.tensor([[5.8e6, 0, 0], [5.8e6, 0.25, 1], [torch.nan, 0, 0]], dtype=torch.float64)
    cloud = PointCloud.create(points, colors=torch.rand(3, 3), viewpoint=[1, 2, 3], source="a.ply", unit="mm")
    first = Detection(0.5, cloud.to_rows(torch.tensor([0.25, 0.75])), cloud, seconds={"read": 0.5}, notes=("far",))
    keep_detection(tmp_path / "kept.npz", first)
    again = kept_detection(tmp_path / "kept.npz")
    assert (again.object_score, again.notes, again.seconds) == (0.5, ("far",), {"read": 0.5})
    assert torch.equal(again.point_scores.nan_to_num(9), first.point_scores.nan_to_num(9))
    for name in ("points", "colors", "offset", "viewpoint", "rows"):
        assert torch.equal(getattr(again.cloud, name), getattr(cloud, name))
    assert (again.cloud.source, again.cloud.source_size, again.dropped, again.cloud.unit) == ("a.ply", 3, 1, "mm")
    with pytest.raises(CloudError, match="no such file"):
        kept_detection(tmp_path / "other.npz")


def test_files_of_other_kinds_are_counted_and_none_at_all_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = tmp_path / "scans"
    root.mkdir()
    for name in ("a.xyzrgb", "b.XYZRGB", "notes.doc", "readme"):
        (root / name).write_text("1 2 3\n")
    refused = command(monkeypatch, "score", root, "--out", tmp_path / "run")
    assert refused.code == 1
    assert "no scan in the folder" in refused.err and "2 .xyzrgb, 1 without extension, 1 .doc" in refused.err
    assert "rename it to .xyz" in refused.err
    for command_line in (("calibrate", "--normals", root), ("fit", "--normals", root, "--out", tmp_path / "a.model")):
        other = command(monkeypatch, *command_line)
        assert other.code == 1 and "no scan in the folder" in other.err and ".xyzrgb" in other.err
    write_scan(root / "c.ply", 0.5)
    scored = command(monkeypatch, "score", root, "--out", tmp_path / "run")
    assert scored.code == 0
    assert "left out, since they are no scans: 2 .xyzrgb, 1 without extension, 1 .doc" in scored.err
    assert "notes on" not in scored.err
    write_scan(root / "d.ply", -0.5)
    assert "notes on 1 scan, " in command(monkeypatch, "score", root, "--out", tmp_path / "run").err


def test_the_command_line_watches_until_it_is_told_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The first scan is there, the second comes; then SIGTERM, as a service manager sends it."""
    root, out = tmp_path / "drop", tmp_path / "run"
    write_scan(root / "a.ply", 0.25)
    looks = iter(range(10_000))

    def sleep(seconds: float) -> None:
        turn = next(looks)
        if turn == 2:
            write_scan(root / "b.ply", 0.75)
        elif turn == 6:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(folder, "watch_files", partial(watch_files, sleep=sleep))
    before = signal.getsignal(signal.SIGTERM)
    result = command(monkeypatch, "score", root, "--watch", "--settle", 0, "--out", out)
    assert signal.getsignal(signal.SIGTERM) == before
    assert (result.code, [line.split("\t")[1] for line in result.out.splitlines()]) == (0, ["0.2500", "0.7500"])
    assert "2 files: 2 scored, 0 failed" in result.err
    assert json.loads((out / SUMMARY).read_text())["files"] == 2


def test_a_summary_tells_how_many_scans_cannot_be_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = tmp_path / "scans"
    for name, heights in (("a", (0.25,)), ("below", (-0.5, 0.9)), ("under", (-0.1,))):
        write_scan(root / f"{name}.ply", *heights)
    result = command(monkeypatch, "score", root, "--out", tmp_path / "run")
    assert result.out.splitlines()[1] == f"NOT MEASURABLE 0.4500\t{root / 'below.ply'}\tbelow the ground"
    assert "3 files: 3 scored, 0 failed, 2 not measurable; " in result.err
    summary = json.loads((tmp_path / "run" / SUMMARY).read_text())
    assert (summary["anomalous"], summary["not_measurable"]) == (None, 2)
