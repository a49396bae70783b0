"""Scoring on the workers of a Ray cluster, or of a Ray on this machine, with Ray Data. Needs the extra `ray`."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from ...config import check_range
from ...errors import ConfigError, PointADPlusError, install_command
from .scoring import Scorer, make_record, relative_name

STARTS = 4  # of a file whose worker dies each time; a worker can also die of something else than the file
_PATIENCE = 10.0  # seconds for the first word of a cluster; Ray itself waits for many minutes
_SHARE = 500  # files a worker that are given to Ray at once: each takes some kilobytes of the driver
# While Ray is started or joined, where the caller says nothing else. Ray writes an error for each worker, that the
# worker could not be started again; it can, since what it is made of belongs to the driver, which outlives it.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}


class RayEngine:
    """An engine for `Batch.run`: workers make the records, and the caller's process alone writes the journal.

    Where Ray is not connected yet, it is for the time of the run: to the cluster that the environment variable
    `RAY_ADDRESS` names, such as `auto` for the one that this machine is part of, or else to a Ray of its own. Files go
    to the workers one by one, and records come back as they are made. A worker that dies is started again by Ray, and
    what it was scoring is scored again; a file whose workers died `STARTS` times gets a record with `error`.

    All workers have to see the files, and the folder that the caller works in, under the same paths.

    Args:
        load: makes the scorer, once in each worker; it is pickled. What it raises ends the run.
        workers: processes, at least 1, each with one of Ray's CPUs and one thread; None means as many as there are
            CPUs. More than there are wait for some.

    Raises:
        ConfigError: the extra `ray` is not installed, or `workers` is less than 1.
    """

    def __init__(self, load: Callable[[], Scorer], workers: int | None = None) -> None:
        try:
            import ray.data  # noqa: F401
        except ImportError as error:
            raise ConfigError("scoring on Ray needs more packages", found=error, hint=install_command("ray")) from error
        if workers is not None:
            check_range(workers, "[1, ∞)", "workers")
        self.load, self.workers = load, workers

    def __call__(self, root: Path, files: Iterable[Path]) -> Generator[dict[str, Any], None, None]:
        """Records of files below `root`, in the order in which they are made.

        Raises:
            ConfigError: Ray cannot be reached, the scorer cannot be made, or Ray gives up.
        """
        rest = iter(files)
        first = next(rest, None)
        if first is None:
            return  # nothing to start Ray for
        with _connected() as ray, _quiet_data():
            workers = self.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
            wave = [first, *islice(rest, _SHARE * workers - 1)]
            while wave:
                yield from self._score(root, wave, min(workers, len(wave)))
                wave = list(islice(rest, _SHARE * workers))

    def _score(self, root: Path, files: list[Path], workers: int) -> Iterator[dict[str, Any]]:
        waiting = {relative_name(root, file) for file in files}
        try:
            for row in _rows(files, workers, (self.load, root, Path.cwd())):
                record = json.loads(row["record"])
                if record["path"] in waiting:  # Ray gives each once; a second one would not be of the same moment
                    waiting.remove(record["path"])
                    yield record
        except Exception as error:
            raise _unfinished(_last_line(error)) from error
        if waiting:
            raise _unfinished(f"no record of {len(waiting)} files")


class _Starts:
    """How often each file was begun; it outlives the workers."""

    def __init__(self) -> None:
        self.counts: Counter[bytes] = Counter()

    def count(self, file: bytes) -> int:
        self.counts[file] += 1
        return self.counts[file]


class _Worker:
    """One process of Ray's, started again by Ray where it was killed."""

    def __init__(self, load: Callable[[], Scorer], root: Path, folder: Path, starts: Any) -> None:
        import ray

        try:
            os.chdir(folder)  # relative paths of the caller's mean the same here
        except OSError as error:
            raise ConfigError(
                "a worker's machine lacks the folder that the run was started in",
                where=folder,
                found=error.strerror or error,
                hint="start the run in a folder that all machines have under the same path",
            ) from error
        self.root, self.score = root, load()
        self.begin: Callable[[bytes], int] = lambda file: ray.get(starts.count.remote(file))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        score = self.score if self.begin(row["file"]) <= STARTS else _give_up
        return {"record": json.dumps(make_record(score, self.root, Path(os.fsdecode(row["file"]))))}


def _give_up(file: Path) -> NoReturn:
    raise PointADPlusError("the worker died each time", where=file, found=f"{STARTS} deaths while it was scored")


def _rows(files: list[Path], workers: int, arguments: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    """What `_Worker` makes of files, as it is made."""
    import ray
    from ray.data import ActorPoolStrategy

    starts = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Starts).remote()
    worker: Any = _Worker  # a class, where Ray's annotation has a function only
    rows = [{"file": os.fsencode(file)} for file in files]  # bytes: a file name need not be text
    made = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        worker, fn_constructor_args=(*arguments, starts), compute=ActorPoolStrategy(size=workers), num_cpus=1
    )
    made.context.enable_progress_bars = made.context.print_on_execution_start = False
    yield from made.iter_rows()


@contextmanager
def _connected() -> Iterator[Any]:
    """The module `ray`, connected; what was not connected before is not afterwards."""
    import ray

    if ray.is_initialized():
        yield ray
        return
    added = {name: value for name, value in _QUIET.items() if name not in os.environ}
    os.environ.update(added)
    # Left to itself, Ray would look for one that was once started here, and hang where that has ended since.
    address = os.environ.get("RAY_ADDRESS") or "local"
    try:
        _knock(address)
        ray.init(address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        raise ConfigError(
            "Ray cannot be started or reached",
            where=os.environ.get("RAY_ADDRESS", "this machine"),
            found=_last_line(error),
            hint="look at RAY_ADDRESS, or unset it for a Ray on this machine; some clusters want RAY_AUTH_MODE=token",
        ) from error
    finally:
        for name in added:
            del os.environ[name]
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError where nobody answers at HOST:PORT; other forms of an address are left to Ray."""
    if found := re.fullmatch(r"([^:/]+):(\d+)", address):
        socket.create_connection((found[1], int(found[2])), _PATIENCE).close()


@contextmanager
def _quiet_data() -> Iterator[None]:
    """On the terminal, Ray Data tells its warnings, for instance that no CPU is free; steps go to its log file."""
    terminals = [one for one in logging.getLogger("ray.data").handlers if one.get_name() == "console"]
    for handler in terminals:
        handler.addFilter(_worth_telling)
    try:
        yield
    finally:
        for handler in terminals:
            handler.removeFilter(_worth_telling)


def _worth_telling(record: logging.LogRecord) -> bool:
    """Errors are raised, too; that there is no bar is as we want it."""
    return record.levelno == logging.WARNING and not record.name.startswith("ray.data._internal.progress")


def _unfinished(found: str) -> ConfigError:
    return ConfigError(
        "Ray did not finish the run",
        found=found,
        hint="run again: what is in the journal is not scored twice",
    )


def _last_line(error: Exception) -> str:
    """What went wrong, without the traceback that Ray puts before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
