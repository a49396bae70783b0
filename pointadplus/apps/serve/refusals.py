"""Why a request gets no scores: a status and a sentence, and nothing of this machine's inside."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import CloudError, CloudWriteError, PointADPlusError

QUEUE_FULL, TOO_LARGE, TOO_SLOW, UNKNOWN_TYPE = "queue full", "too large", "too slow", "unknown type"
OVER_TIME, UNREADABLE, REFUSED, INTERNAL = "over time", "unreadable", "refused", "internal"
NO_NOMINAL = "no nominal"


class Refusal(Exception):
    """A request is answered with an error.

    Args:
        status: of HTTP.
        message: for the client.
        reason: one of this file's constants, for the metrics.
        headers: of the response.
    """

    def __init__(self, status: int, message: str, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.reason, self.headers = status, message, reason, dict(headers or {})


def refusal_of(error: BaseException) -> Refusal:
    """422 for a scan that cannot be read or scored, another 4xx for what else the package refuses, 500 for a fault."""
    if isinstance(error, CloudError) and not isinstance(error, CloudWriteError):
        return Refusal(422, str(error), UNREADABLE)
    if isinstance(error, PointADPlusError) and not isinstance(error, CloudWriteError):
        return Refusal(400, str(error), REFUSED)
    return Refusal(500, "internal error; the service's log says more", INTERNAL)


def too_large(limit: int) -> Refusal:
    return Refusal(413, f"the scan is too large; expected: at most {limit} bytes", TOO_LARGE)
