"""The commands that learn on labelled objects: `train` and `protocol`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .output import check_outputs, named_folder, reported_errors, stage_bar, whole_number, write_text
from .verbosity import command

learning = typer.Typer()


@command(learning)
def train(
    config: Annotated[Path, typer.Argument(help="TOML of a TrainConfig.", show_default=False)],
    run: Annotated[Path, typer.Option(help="Folder for checkpoint, log and result; a killed run goes on there.")],
    cache: Annotated[Path | None, typer.Option(help="Folder for what the backbone sees; runs may share it.")] = None,
) -> None:
    """Learn prompts and G-aggregation on labelled objects. Prints the path of the weights, for `--weights`."""
    from ...config import read_toml
    from ...learning.training.config import TrainConfig
    from ...learning.training.run import train as learn

    with reported_errors(), stage_bar() as report:
        check_outputs(folders=[run, *([] if cache is None else [cache])])
        typer.echo(learn(read_toml(TrainConfig, config), run, cache=cache, report=report))


@command(learning)
def protocol(
    config: Annotated[Path, typer.Argument(help="TOML of a TrainConfig; its data are replaced.", show_default=False)],
    train_on: Annotated[list[str], typer.Option(help="DATASET:CLASS,CLASS; once for each model.")],
    test_on: Annotated[list[str], typer.Option(help="DATASET or DATASET:CLASS,CLASS.")],
    root: Annotated[list[str], typer.Option(help="DATASET=FOLDER.")],
    out: Annotated[Path, typer.Option(help="Folder for the runs and protocol.json.")],
    seeds: Annotated[str, typer.Option(help="Comma-separated.")] = "0",
    rgb: Annotated[bool, typer.Option("--rgb", help="Read colours at test time; the backbone must see them.")] = False,
) -> None:
    """Train on some classes, score others, and print a table; classes learnt on are never scored."""
    from ...config import read_toml
    from ...learning.protocols import Source, run_protocol
    from ...learning.training.config import TrainConfig

    with reported_errors(), stage_bar() as report:
        check_outputs(folders=[out])
        learnt, scored = ([Source.parse(text) for text in texts] for texts in (train_on, test_on))
        roots: dict[str, str | Path] = dict(named_folder(text) for text in root)
        numbers = [whole_number(text) for text in seeds.split(",")]
        base = read_toml(TrainConfig, config)
        table = run_protocol(base, learnt, scored, roots, out, seeds=numbers, rgb=rgb, report=report)
        write_text(out / "protocol.json", table.to_json() + "\n")
    typer.echo(table.to_markdown())
