"""Scoring folders of scans with a journal, and going on where a run was killed.

Nothing here knows of clouds: a scorer is any function from a path to plain values.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...io.atomic import write_whole
from .folder import look
from .journal import Entry, Journal
from .scoring import Engine, Scorer, content, make_record, relative_name

JOURNAL, SUMMARY = "journal.jsonl", "summary.json"


@dataclass(frozen=True)
class Summary:
    """What stands in a journal.

    Attributes:
        files: with a record: `scored` of them with a score, `failed` with an error.
        anomalous: how many were decided to be; None where nothing was decided.
        not_measurable: how many cannot be judged.
        highest: (path, object score) of the highest scores, the highest first.
        out_of_tolerance: how many were found to be; None where none was compared with a tolerance.
    """

    files: int
    scored: int
    failed: int
    anomalous: int | None
    not_measurable: int
    highest: tuple[tuple[str, float], ...]
    out_of_tolerance: int | None = None

    def to_json(self) -> str:
        values = asdict(self)
        if self.out_of_tolerance is None:
            del values["out_of_tolerance"]
        return json.dumps(values, indent=1)


class Batch:
    """A run over the files of one folder into another, that can be killed at any moment and goes on where it was.

    A file that has a record is not scored again, unless it changed: another size, or another time of change and another
    content (SHA-256). A file that cannot be scored gets a record with `error`, and the others are scored still. Memory
    holds some 200 bytes a file and one result.

    Args:
        root: the folder that paths in the journal are relative to.
        out: the folder for `journal.jsonl` and `summary.json`; it is made.
        score: gives plain values, `object_score` among them, or raises whatever is wrong with the file.
        settings: see `Journal`.
        verify: compare contents even where size and time of change are as they were.
        retry: score again what failed before.

    Raises:
        ConfigError: see `Journal`.
    """

    def __init__(
        self,
        root: Path,
        out: Path,
        score: Scorer,
        settings: Mapping[str, Any],
        *,
        verify: bool = False,
        retry: bool = False,
    ) -> None:
        self.root, self.out, self.score, self.verify, self.retry = root, out, score, verify, retry
        self.kept = 0  # files that were not scored, because they have a record already
        self.journal = Journal(out / JOURNAL, settings)

    def run(self, files: Iterable[Path], engine: Engine | None = None) -> Iterator[dict[str, Any]]:
        """Score what has no record yet; yields each record (see `make_record`) when it is on the disk.

        Args:
            files: below `root`.
            engine: what makes the records in place of `score`, for instance `RayEngine`; None scores in this process,
                one file after another. A run may go on with another engine than it was begun with.

        Raises:
            ConfigError: the journal cannot be written, or the engine fails; what the journal holds is safe.
        """
        due = self._due(files)
        if engine is None:
            records = (make_record(self.score, self.root, file) for file in due)
        else:
            records = engine(self.root, due)
        with closing(records):
            for record in records:
                known = self.journal.entries.get(record["path"])
                if known is not None and known.sha256 is None and record["sha256"] is None:
                    self.kept += 1  # could not be looked at, and still cannot
                    continue
                self.journal.append(record)
                yield record

    def name(self, file: Path) -> str:
        """How the journal calls a file."""
        return relative_name(self.root, file)

    def summary(self, highest: int = 5) -> Summary:
        """What stands in the journal now."""
        entries = self.journal.entries
        scores = {path: entry.object_score for path, entry in entries.items() if entry.object_score is not None}
        verdicts = Counter(entry.verdict for entry in entries.values())
        top = heapq.nsmallest(highest, scores.items(), key=lambda item: (-item[1], item[0]))
        anomalous = verdicts["anomalous"] if verdicts["anomalous"] + verdicts["normal"] else None
        failed = len(entries) - len(scores)
        out = verdicts["out of tolerance"] if verdicts["out of tolerance"] + verdicts["in tolerance"] else None
        return Summary(len(entries), len(scores), failed, anomalous, verdicts["not measurable"], tuple(top), out)

    def finish(self) -> Summary:
        """Write the summary beside the journal, whole or not at all, and return it.

        Raises:
            ConfigError: it cannot be written.
        """
        summary = self.summary()
        write_whole(self.out / SUMMARY, summary.to_json() + "\n")
        return summary

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, *_: object) -> None:
        self.journal.close()

    def _due(self, files: Iterable[Path]) -> Iterator[Path]:
        for file in files:
            known = self.journal.entries.get(self.name(file))
            if known is not None and self._unchanged(file, known):
                self.kept += 1
            else:
                yield file

    def _unchanged(self, file: Path, known: Entry) -> bool:
        if known.sha256 is None or (self.retry and known.object_score is None):
            return False
        try:
            size, mtime_ns = look(file)
            if size != known.size:
                return False
            return (mtime_ns == known.mtime_ns and not self.verify) or content(file) == known.sha256
        except OSError:
            return False
