"""A journal of scored files: JSON lines that outlive a kill or a full disk at any moment."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ...errors import ConfigError
from ...io.atomic import sync_folder

if os.name == "posix":
    import fcntl
else:
    fcntl = None

KIND = "pointadplus.batch"
VERSION = 1
_START = b'{"journal":'


class Entry(NamedTuple):
    """What is kept in memory of a record, some 200 bytes: how the file looked, and what came of it.

    `size` (bytes), `mtime_ns` and `sha256` are None where the file could not be looked at; `object_score` is None where
    scoring failed; `verdict` where nothing was decided, see `Detection.verdict`.
    """

    size: int | None
    mtime_ns: int | None
    sha256: str | None
    object_score: float | None
    verdict: str | None

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Entry:
        return cls(*(record.get(name) for name in cls._fields))


class Journal:
    """Records of files, one a line, appended and brought to the disk one by one; the last one of a path counts.

    The first line says what the scores were made with. A record is in the journal when `append` returns, and then it
    stays, whatever happens to the process. A last line that is torn, by a kill or a full disk, is cut off on opening.
    Another process cannot open the same journal meanwhile, where the system has `flock`; a killed one leaves no lock.

    Args:
        path: the file; its folder is made.
        settings: plain values that tell one set of scores from another, for instance of the detector.

    Raises:
        ConfigError: no journal, or one of other settings, damaged before its last line, in use, or not writable.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        self._handle = -1
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
            self._lock()
            self._size = self._read(settings)
            if os.fstat(self._handle).st_size > self._size:
                os.ftruncate(self._handle, self._size)
                os.fsync(self._handle)
            if self._size == 0:
                self._write(_line({"journal": KIND, "version": VERSION, "settings": dict(settings)}))
                sync_folder(path.parent)
        except OSError as error:
            self.close()
            raise _unwritable(path, error) from error
        except BaseException:
            self.close()
            raise

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record with a `path` and the fields of `Entry`, through to the disk.

        Raises:
            ConfigError: it cannot be written; the journal is as it was, and takes no more until it is opened again.
            ValueError: a value that JSON does not hold.
        """
        if self._handle < 0:
            raise ConfigError("the journal is closed", where=self.path, hint="open it again")
        line = _line(record)
        try:
            self._write(line)
        except BaseException as error:  # Ctrl-C, too, must not leave half a line to append to
            with suppress(OSError):  # if not here, then on the next opening
                os.ftruncate(self._handle, self._size)
            self.close()
            if isinstance(error, OSError):
                raise _unwritable(self.path, error) from error
            raise
        self.entries[record["path"]] = Entry.of(record)

    def close(self) -> None:
        """Give the file back; calling it twice does nothing more."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, line: bytes) -> None:
        rest = memoryview(line)
        while rest:  # a full disk takes a part, and refuses the next call
            rest = rest[os.write(self._handle, rest) :]
        os.fsync(self._handle)
        self._size += len(line)

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                "the journal is in use", where=self.path, found="another run into the same folder", hint="wait for it"
            ) from error

    def _read(self, settings: Mapping[str, Any]) -> int:
        """Take up the records; returns the bytes up to which the file is whole."""
        with open(self.path, "rb") as file:
            first = file.readline()
            if not first or (not first.endswith(b"\n") and (first.startswith(_START) or _START.startswith(first))):
                return 0  # new, or killed while the first line was written
            header = _parse(first)
            if header is None or header.get("journal") != KIND or header.get("version") != VERSION:
                raise ConfigError(
                    "not a journal of this version", where=self.path, expected=f"{KIND} {VERSION}", found=first[:60]
                )
            found, wanted = header.get("settings"), json.loads(json.dumps(dict(settings)))
            if found != wanted:
                raise ConfigError(
                    "the journal was made with other settings",
                    where=self.path,
                    expected=json.dumps(wanted),
                    found=json.dumps(found),
                    hint="choose another folder, or the settings of the first run",
                )
            return len(first) + self._take_up(file)

    def _take_up(self, file: BinaryIO) -> int:
        whole = 0
        torn = None
        for number, line in enumerate(file, 2):
            if torn is not None:
                raise ConfigError(
                    "the journal is damaged",
                    where=self.path,
                    expected="a record on each line",
                    found=f"line {torn}",
                    hint="delete that line: its file is scored again",
                )
            record = _parse(line) if line.endswith(b"\n") else None
            if record is None or not isinstance(record.get("path"), str):
                torn = number
            else:
                self.entries[record["path"]] = Entry.of(record)
                whole += len(line)
        return whole


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a journal, one after another, without its first line and without a torn last one.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            file.readline()
            for line in file:
                record = _parse(line) if line.endswith(b"\n") else None
                if record is not None:
                    yield record
    except OSError as error:
        raise ConfigError("the journal cannot be read", where=path, found=error.strerror or error) from error


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, allow_nan=False).encode("ascii") + b"\n"


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:  # UnicodeDecodeError is one
        return None
    return record if isinstance(record, dict) else None


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        "the journal cannot be written",
        where=path,
        found=error.strerror or error,
        hint="make room, or choose another folder, and run again: what is in the journal is not scored twice",
    )
