"""The command `render`: pictures of a scan from all sides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
) -> None:
    """Draw a contact sheet: a column a view; shading, depth and normals."""
    from ...io import read_cloud, read_mesh
    from ...render import RenderConfig, save_contact_sheet

    with reported_errors():
        check_outputs(files=[out])
        config = RenderConfig(views=views, image_size=size, supersample=supersample)
        save_contact_sheet(read_mesh(file) if mesh else read_cloud(file), out, config)
    typer.echo(out)
