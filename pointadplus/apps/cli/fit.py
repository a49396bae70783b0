"""The command `fit`: from a few normal scans of a part, or from its nominal, to a detector of that part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ConfigError
from .against import METHOD, NOMINAL, Against, Align, On, Thickness, Tolerance, normal_files
from .options import Ground, Parts, Unit
from .output import check_outputs, printable, reported_errors, stage_bar
from .verbosity import command

if TYPE_CHECKING:
    from ...results.detector import AnomalyDetector

fitting = typer.Typer()


@command(fitting)
def fit(
    out: Annotated[Path, typer.Option(help="The file to write, for `score --model`.")],
    normals: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of normal scans of one part, or a scan; repeatable. Not needed with --nominal."),
    ] = None,
    method: Annotated[str, typer.Option(help="surface-deviation, fpfh-memory-bank, mvr or reg2inv.")] = METHOD,
    config: Annotated[Path | None, typer.Option(help="TOML of the method's config.")] = None,
    nominal: Annotated[Path | None, NOMINAL] = None,
    tolerance: Tolerance = None,
    align: Align = "best-fit",
    on: On = None,
    thickness: Thickness = False,
    ground: Ground = "keep",
    parts: Parts = "whole",
    unit: Unit = None,
) -> None:
    """Learn a part from a few normal scans of it, or from its nominal: `score --model` then does what `compare` does,
    and normal scans tell what the process usually leaves."""
    scans, prepared = normals or [], {"ground": ground, "parts": parts, "unit": unit}
    with reported_errors():
        told = {}
        if nominal is not None:
            told = Against(nominal, tolerance, align, on, tuple(scans), prepared, thickness).told()
        elif tolerance is not None or on is not None or align != "best-fit" or thickness:
            where = "--tolerance, --align, --on, --thickness"
            raise ConfigError("there is no nominal", where=where, expected="with --nominal")
        elif not scans:
            raise ConfigError("nothing to learn from", where="fit", expected="--normals, or --nominal", found="neither")
        detector = few_shot_detector(method, config)
        if told and method != METHOD:
            raise ConfigError("this method knows no nominal", where="--method", expected=METHOD, found=method)
        fit_on(detector.prepare_scans(**prepared), scans, out, told)


def few_shot_detector(name: str, config: Path | None) -> AnomalyDetector:
    """A few-shot detector that has not learnt yet, with its method's own config from TOML.

    Raises:
        ConfigError: an unknown method, one that learns nothing from normal scans, or a config that does not fit.
    """
    from ...config import read_toml
    from ...results.methods import few_shot_names, method

    kind: Any = method(name)
    if not getattr(kind, "few_shot", False):
        raise ConfigError(
            "this method learns nothing from normal scans", where="--method", expected=", ".join(few_shot_names()),
            found=name,
        )  # fmt: skip
    return kind() if config is None else kind(read_toml(kind.Config, config))


def fit_on(detector: Any, normals: list[Path], out: Path, told: dict[str, Any]) -> None:
    """Learn from normal scans and what else the method's `fit` is told, and write the detector.

    Raises:
        ConfigError: no scan, or the file cannot be written.
        CloudError: a scan cannot be read; what is normal is not to be guessed from the others.
    """
    from ...io import read_cloud

    check_outputs(files=[out])
    files = normal_files(normals)
    with stage_bar() as progress:
        clouds = []
        for number, file in enumerate(files, 1):
            clouds.append(read_cloud(file))
            progress("reading", number, len(files), None)
        detector.fit(clouds, progress, **told)
    detector.save(out)
    learnt = [printable(told["nominal"])] if told else []
    learnt += [f"{len(files)} normal scan{'s' * (len(files) != 1)}"] if files or not told else []
    typer.echo(f"{type(detector).__name__} of {' and '.join(learnt)}: {printable(out)}")
