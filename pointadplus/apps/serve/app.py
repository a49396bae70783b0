"""The ASGI application: endpoints, errors as JSON, and what is counted."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...results.detector import AnomalyDetector
from .config import ServeConfig
from .drop import drop_page
from .metrics import Metrics
from .refusals import Refusal
from .service import Service

HUNG_UP = 499  # as proxies have it; no client gets to see it
_COUNTED = ("/", "/score", "/report", "/compare", "/health", "/metrics", "/openapi.json")
_UNTRUSTED = {"X-Content-Type-Options": "nosniff"}  # bodies hold a client's file name; they are what they say they are

Name = Annotated[
    str, Query(min_length=1, max_length=255, description="The scan's file name. Its extension says how it is read.")
]


class Problem(BaseModel):
    """Why there are no scores."""

    error: str


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The detector refuses the scan."},
    404: {"model": Problem, "description": "The service has no nominal to compare with."},
    408: {"model": Problem, "description": "The scan did not arrive in time."},
    413: {"model": Problem, "description": "The scan has too many bytes."},
    415: {"model": Problem, "description": "The extension is unknown, or the body is a form."},
    422: {"model": Problem, "description": "No `name`, or the scan cannot be read or scored."},
    500: {"model": Problem, "description": "A fault of the service."},
    503: {"model": Problem, "description": "Too many scans wait; Retry-After says when to come again."},
    504: {"model": Problem, "description": "There was no score in time."},
}
_SCAN = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}, "required": True}


def build_app(detector: AnomalyDetector, config: ServeConfig, against: AnomalyDetector | None = None) -> FastAPI:
    """The application over one detector, see `create_app`."""
    service = Service(detector, config, against)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        async with service.opened():
            yield

    # FastAPI's pages of documentation load scripts from a server of others'.
    app = FastAPI(title="pointadplus", version=version("pointadplus"), lifespan=lifespan, docs_url=None, redoc_url=None)
    _add_endpoints(app, service)
    _add_errors(app, service.metrics)
    app.add_middleware(_Counting, metrics=service.metrics)
    return app


def _add_endpoints(app: FastAPI, service: Service) -> None:
    page = drop_page(comparing=service.against is not None)
    expects: dict[str, Any] = {"responses": _PROBLEMS, "openapi_extra": {"requestBody": _SCAN}}

    @app.post("/score", response_class=JSONResponse, **expects)
    async def score(request: Request, name: Name, regions: bool = True) -> Response:
        """Score a scan, sent as the body: the record that `pointadplus score --regions` writes."""
        body = await service.answer(request, name, partial(service.as_json, regions=regions))
        return Response(body, media_type="application/json", headers=_UNTRUSTED)

    @app.get("/", include_in_schema=False)
    async def drop() -> Response:
        """A page that a file is dropped on."""
        return Response(page, media_type="text/html", headers=_UNTRUSTED)

    @app.post("/report", response_class=Response, **expects)
    async def report(request: Request, name: Name, compare: bool = False) -> Response:
        """Score a scan, sent as the body, or compare it with the nominal: the HTML report."""
        against = service.comparing() if compare else None
        body = await service.answer(request, name, partial(service.as_report, detector=against), against)
        return Response(body, media_type="text/html", headers=_UNTRUSTED)

    @app.post("/compare", response_class=JSONResponse, **expects)
    async def compare(request: Request, name: Name, regions: bool = True) -> Response:
        """Compare a scan, sent as the body, with the nominal: the record that `pointadplus compare` writes."""
        against = service.comparing()
        answer = partial(service.as_json, regions=regions, detector=against)
        body = await service.answer(request, name, answer, against)
        return Response(body, media_type="application/json", headers=_UNTRUSTED)

    @app.get("/health")
    async def health() -> JSONResponse:
        """503 and `ready` false while a scoring that ran over its time still holds the thread."""
        found = {**service.health(), "version": app.version}
        return JSONResponse(found, status_code=200 if found["ready"] else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Counters, histograms and gauges for Prometheus."""
        return Response(service.metrics.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _add_errors(app: FastAPI, metrics: Metrics) -> None:
    def problem(status: int, message: str, headers: Any = None) -> JSONResponse:
        return JSONResponse({"error": message}, status_code=status, headers={**_UNTRUSTED, **(headers or {})})

    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> Response:
        metrics.rejected.labels(error.reason).inc()
        return problem(error.status, error.message, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def hung_up(_: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=HUNG_UP)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        found = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors())
        return problem(422, found)

    @app.exception_handler(HTTPException)
    async def not_here(_: Request, error: HTTPException) -> Response:
        return problem(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(Exception)
    async def fault(_: Request, error: Exception) -> Response:
        return problem(500, "internal error; the service's log says more")


class _Counting:
    """Counts answers by endpoint and status, and times them."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            endpoint = scope["path"] if scope["path"] in _COUNTED else "other"  # a name a path would fill the memory
            self.metrics.requests.labels(endpoint, str(status)).inc()
            self.metrics.request_seconds.labels(endpoint).observe(time.perf_counter() - started)
