"""The commands over labelled data sets: `datasets list`, `check`, `make`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .output import progress_bar, reported_errors
from .verbosity import command

datasets = typer.Typer(no_args_is_help=True, help="Labelled data sets on disk.")


@command(datasets, "list")
def list_datasets() -> None:
    """Print the layouts that can be read."""
    from ...data import dataset_names

    typer.echo("\n".join(dataset_names()))


@command(datasets)
def check(
    root: Annotated[Path, typer.Argument(help="Folder of the data set.", show_default=False)],
    dataset: Annotated[str | None, typer.Option(help="Layout of the data; found out if left out.")] = None,
) -> None:
    """Read every cloud and say what was found, what is wrong (exit code 1), and what is merely absent."""
    from ...data.check import check_dataset, find_dataset

    with reported_errors(), progress_bar() as progress:
        task = progress.add_task("checking", total=None)
        found = check_dataset(
            find_dataset(root, dataset), lambda done, total: progress.update(task, completed=done, total=total)
        )
    typer.echo(found.to_markdown())
    if found.problems:
        raise typer.Exit(1)


@command(datasets)
def make(
    root: Annotated[Path, typer.Argument(help="Folder to write to, empty or not there yet.", show_default=False)],
    seed: Annotated[int, typer.Option(help="Decides every object.")] = 0,
    layout: Annotated[
        str, typer.Option(help="synthetic (Anomaly-ShapeNet's), real3d-ad, folder, mvtec-3d-ad or eyecandies.")
    ] = "synthetic",
    train: Annotated[int, typer.Option(help="Healthy training objects of each family.")] = 4,
    normal: Annotated[int, typer.Option(help="Healthy test objects of each family.")] = 5,
    damaged: Annotated[int, typer.Option(help="Test objects with one defect, of each family.")] = 10,
    families: Annotated[
        str | None, typer.Option(help="Comma-separated; all that training never saw if left out.")
    ] = None,
    points: Annotated[tuple[int, int], typer.Option(help="Lowest and highest size of a cloud.")] = (8_000, 30_000),
    image_size: Annotated[int, typer.Option(help="Side of organised scans in pixels.")] = 256,
    painted: Annotated[bool, typer.Option("--painted", help="With colours, and with defects of colour, too.")] = False,
) -> None:
    """Make a benchmark of labelled scans in code, of shape families that training never saw; the same from one seed."""
    from ...learning.synthesis.dataset import SyntheticConfig, write_dataset
    from ...learning.synthesis.defects import KINDS
    from ...learning.synthesis.paint import COLOR_KINDS

    with reported_errors(), progress_bar() as progress:
        options: dict[str, Any] = {} if families is None else {"families": tuple(map(str.strip, families.split(",")))}
        if painted:
            options |= {"painted": True, "kinds": (*KINDS, *COLOR_KINDS)}
        config = SyntheticConfig(
            seed=seed, train=train, normal=normal, damaged=damaged, points=points, image_size=image_size, **options
        )
        task = progress.add_task("making", total=None)
        write_dataset(root, config, layout, lambda done, total: progress.update(task, completed=done, total=total))
    typer.echo(f"{len(config.items())} objects of {len(config.families)} families: {root}")
