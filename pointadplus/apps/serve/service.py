"""From a request to scores, within the limits."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from ...report import write_report
from ...results.detection import Detection
from ...results.detector import AnomalyDetector
from ...results.record import json_record
from ...zero_shot.words import check_words, named_regions
from .config import ServeConfig
from .metrics import Metrics
from .queue import QueueFull, Slot, WorkQueue
from .refusals import (
    INTERNAL,
    NO_NOMINAL,
    OVER_TIME,
    QUEUE_FULL,
    TOO_SLOW,
    UNKNOWN_TYPE,
    Refusal,
    refusal_of,
    too_large,
)
from .uploads import Upload, scan_suffix

_log = logging.getLogger("pointadplus.serve")

Answer = Callable[[Detection], bytes]


class Service:
    """One detector, the queue before it, and a folder for scans on their way in.

    Args:
        detector: of any method; its `fingerprint` is asked for once.
        config: limits.
        against: what `/compare` compares with; None takes the detector, if it was fitted with a nominal.

    Raises:
        ConfigError: words that cannot be given.
    """

    def __init__(self, detector: AnomalyDetector, config: ServeConfig, against: AnomalyDetector | None = None) -> None:
        if config.words is not None:
            check_words(config.words, detector)
        self.detector, self.config = detector, config
        self.against = detector if against is None and detector.inspects else against
        self.weights = detector.fingerprint()
        self.queue = WorkQueue(config.queue)
        self.metrics = Metrics(self.queue)
        self._folder: Path | None = None
        self._last_seconds = 1.0  # of the latest scoring

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """The time in which requests are answered."""
        with tempfile.TemporaryDirectory(prefix="pointadplus-serve-", ignore_cleanup_errors=True) as folder:
            self._folder = Path(folder)
            try:
                yield
            finally:
                self.queue.close()

    def health(self) -> dict[str, Any]:
        """Plain values; `ready` is False while a scoring that nobody waits for holds the thread."""
        calibration = self.detector.calibration
        return {
            "ready": not self.queue.abandoned,
            "weights": self.weights,
            "calibration": None if calibration is None else calibration.digest,
            "queue": self.queue.waiting,
            "queue_limit": self.config.queue,
        }

    def comparing(self) -> AnomalyDetector:
        """What `/compare` compares with.

        Raises:
            Refusal: 404, there is none.
        """
        if self.against is None:
            raise Refusal(404, "no nominal to compare with: pointadplus serve --nominal part.step", NO_NOMINAL)
        return self.against

    async def answer(
        self, request: Request, name: str, answer: Answer, detector: AnomalyDetector | None = None
    ) -> bytes:
        """Receive a scan, score it when its turn comes, and say what `answer` makes of it.

        Args:
            request: the scan is its body.
            name: of the scan.
            answer: of its detection.
            detector: in place of the service's own.

        Raises:
            Refusal: whatever is wrong.
            ClientDisconnect: nobody waits for the answer any more.
        """
        deadline = time.monotonic() + self.config.timeout
        self._check(request, name)
        slot = self._slot()
        try:
            with Upload(self._opened_folder(), name) as upload:
                await self._receive(request, upload, deadline)
                work = self._work(upload, answer, detector or self.detector)
                return await self._finish(request, upload, slot, deadline, work)
        except OSError as error:  # a full disk
            _log.error("a scan could not be stored", exc_info=error)
            raise Refusal(500, "the scan could not be stored", INTERNAL) from error
        finally:
            slot.leave()

    def as_json(self, detection: Detection, *, regions: bool, detector: AnomalyDetector | None = None) -> bytes:
        """The record that the command line writes, in UTF-8."""
        records = None
        if regions:
            look = {"detector": detector or self.detector, "threshold": self.config.threshold}
            words = self.config.words if detector is None else None
            records = [region.as_record() for region in named_regions(detection, words, **look)]
        return json.dumps(json_record(str(detection.cloud.source), detection, records), allow_nan=False).encode()

    def as_report(self, detection: Detection, detector: AnomalyDetector | None = None) -> bytes:
        """The HTML report of one scan, of the service's own detector or of another."""
        with tempfile.TemporaryDirectory(dir=self._opened_folder(), ignore_cleanup_errors=True) as folder:
            page, config = Path(folder) / "report.html", self.config
            words = config.words if detector is None else None
            look = {"threshold": config.threshold, "words": words, "detector": detector or self.detector}
            return write_report([detection], page, **look).read_bytes()

    def _opened_folder(self) -> Path:
        if self._folder is None:
            raise RuntimeError("the application's lifespan has not begun")
        return self._folder

    def _check(self, request: Request, name: str) -> None:
        """What can be refused before a byte of the body is read."""
        scan_suffix(name)
        if request.headers.get("content-type", "").lower().startswith("multipart/"):
            hint = "send the scan itself as the body: curl --data-binary @part.ply"
            raise Refusal(415, f"a form is no scan; {hint}", UNKNOWN_TYPE)
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or len(length) > 18 or int(length) > self.config.max_bytes:
            raise too_large(self.config.max_bytes)

    def _slot(self) -> Slot:
        try:
            return self.queue.enter()
        except QueueFull:
            wait = {"Retry-After": str(max(1, math.ceil(self._last_seconds)))}
            raise Refusal(503, "too many scans wait already; try again later", QUEUE_FULL, wait) from None

    async def _receive(self, request: Request, upload: Upload, deadline: float) -> None:
        try:
            receiving = upload.receive(request.stream(), self.config.max_bytes)
            await asyncio.wait_for(receiving, deadline - time.monotonic())
        except asyncio.TimeoutError:
            raise Refusal(408, f"the scan did not arrive in {self.config.timeout:g} s", TOO_SLOW) from None

    def _work(self, upload: Upload, answer: Answer, detector: AnomalyDetector) -> Callable[[], bytes]:
        def work() -> bytes:
            prepared = detector.preparation
            cloud = upload.read(self.config.max_points, prepared.at, prepared.unit)
            started = time.perf_counter()
            detection = detector.score(cloud)
            self._last_seconds = time.perf_counter() - started
            self.metrics.scoring_seconds.observe(self._last_seconds)
            return answer(detection)

        return work

    async def _finish(
        self, request: Request, upload: Upload, slot: Slot, deadline: float, work: Callable[[], bytes]
    ) -> bytes:
        try:
            return await _outcome(slot.start(work), request.receive, deadline - time.monotonic())
        except asyncio.TimeoutError:
            raise Refusal(504, f"no score within {self.config.timeout:g} s", OVER_TIME) from None
        except (ClientDisconnect, asyncio.CancelledError):
            raise
        except Exception as error:
            refusal = refusal_of(error)
            if refusal.status == 500:
                _log.error("a scan could not be scored", exc_info=error)
            refusal.message = upload.named(refusal.message)
            raise refusal from None


async def _outcome(work: Future[bytes], receive: Callable[[], Awaitable[Any]], seconds: float) -> bytes:
    """What the work gives.

    Raises:
        TimeoutError: it is not over in time.
        ClientDisconnect: the client hung up before.
    """
    done, gone = asyncio.wrap_future(work), asyncio.ensure_future(_hung_up(receive))
    try:
        await asyncio.wait({done, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if done.done():
            return done.result()
        if gone.done():
            raise ClientDisconnect
        raise asyncio.TimeoutError
    finally:
        done.cancel()
        gone.cancel()


async def _hung_up(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
