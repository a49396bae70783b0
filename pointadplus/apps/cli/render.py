"""The command `render`: pictures of a scan from all sides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...errors import ConfigError
from . import detectors
from .options import CalibrationFile, Unit, of_decision
from .output import check_outputs, reported_errors
from .verbosity import command

drawing = typer.Typer()


@command(drawing)
def render(
    file: Annotated[Path, typer.Argument(help="A cloud or a mesh.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The picture to write, .png or .jpg.")] = Path("views.png"),
    views: Annotated[str, typer.Option(help="pointad9, cpmf27, faces6, or sphere12 and the like.")] = "pointad9",
    size: Annotated[int, typer.Option(help="Side of a view in pixels.")] = 336,
    mesh: Annotated[bool, typer.Option("--mesh", help="Draw a mesh's triangles, not points sampled on it.")] = False,
    supersample: Annotated[int, typer.Option(help="Render that many times larger, for smooth edges.")] = 1,
    model: Annotated[
        str | None,
        of_decision(
            "--model", "--weights", help="Draw scores, too: 'embedded', or a file that `train` or `fit` wrote."
        ),
    ] = None,
    calibration: CalibrationFile = None,
    unit: Unit = None,
) -> None:
    """Draw a contact sheet: a column a view; shading, depth and normals, with directions and a length scale.

    With --model a row of scores, or of deviations where the model is of a nominal, and a bar of their colours.
    """
    from ...io import read_cloud, read_mesh
    from ...render import RenderConfig, save_contact_sheet
    from ...report import save_detection_sheet

    with reported_errors():
        check_outputs(files=[out])
        if model is None and calibration is not None:
            raise ConfigError("nothing is scored", where="--calibration", expected="with --model")
        if model is not None and mesh:
            raise ConfigError("scores are of points", where="--mesh", expected="without --model")
        config = RenderConfig(views=views, image_size=size, supersample=supersample)
        if model is not None:
            detector = detectors.detector_of(model).prepare_scans(unit=unit)
            if calibration is not None:
                detector.use_calibration(calibration)
            save_detection_sheet(detector.score(file), out, config)
        elif mesh:
            save_contact_sheet(read_mesh(file), out, config)
        else:
            save_contact_sheet(read_cloud(file, unit=unit), out, config)
    typer.echo(out)
