"""`-v` and `-q`, which every command takes, and what is said at which of them."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable
from functools import partial, wraps
from typing import Annotated, Any, TypeVar

import typer

_F = TypeVar("_F", bound=Callable[..., Any])

_option = partial(typer.Option, rich_help_panel="Talk")
Verbose = Annotated[
    bool,
    _option("--verbose", "-v", help="Say more: a scan's points and seconds, and where in the code an error arose."),
]
Quiet = Annotated[bool, _option("--quiet", "-q", help="Say results and errors alone: no bars, no notes.")]

_level = 0


def command(app: typer.Typer, name: str | None = None) -> Callable[[_F], _F]:
    """A command of an app, as `app.command` makes it, with `-v` and `-q`; the function itself stays as it was."""

    def register(function: _F) -> _F:
        @wraps(function)
        def spoken(*args: Any, verbose: bool = False, quiet: bool = False, **options: Any) -> Any:
            global _level
            _level = int(verbose) - int(quiet)
            return function(*args, **options)

        signature = inspect.signature(function, eval_str=True)
        more = [
            inspect.Parameter(each, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
            for each, kind in (("verbose", Verbose), ("quiet", Quiet))
        ]
        parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in signature.parameters.values()]
        spoken.__signature__ = signature.replace(parameters=[*parameters, *more])  # type: ignore[attr-defined]
        spoken.__annotations__ = {each.name: each.annotation for each in (*parameters, *more)}
        app.command(name)(spoken)
        return function

    return register


def quiet() -> bool:
    """Whether bars and notes are unwanted."""
    return _level < 0


def note(text: str) -> None:
    """A line on stderr beside the results; not with `-q`."""
    if _level >= 0:
        print(text, file=sys.stderr, flush=True)


def detail(text: str) -> None:
    """A line on stderr, with `-v` alone."""
    if _level > 0:
        print(text, file=sys.stderr, flush=True)


def trace() -> None:
    """With `-v`: where the error that is being handled arose."""
    if _level > 0:
        traceback.print_exc()
