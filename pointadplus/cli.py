"""The command line: `pointadplus score`, `render`, `evaluate`, `train`, `protocol`, `datasets`, `demo`, `version`."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import __version__
from .cli_output import (
    json_lines,
    json_record,
    make_folder,
    named_folder,
    one_line,
    print_profile,
    printable,
    progress_bar,
    refuse_overwriting,
    reported_errors,
    stage_bar,
    whole_number,
    write_scores,
    write_text,
)
from .errors import ConfigError

# Rooms that pull in torch are imported inside the commands, so that --help answers at once.
if TYPE_CHECKING:
    from .detection import AnomalyDetector, Detection

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Find and locate anomalies in point clouds and meshes."
)
datasets = typer.Typer(no_args_is_help=True, help="Labelled data sets on disk.")
app.add_typer(datasets, name="datasets")

Files = Annotated[list[Path], typer.Argument(help="Clouds or meshes: pcd, ply, xyz, csv, npy, obj, stl, ...")]
Weights = Annotated[str, typer.Option(help="'embedded', or the path of a detector's weights.")]


@app.command()
def score(
    files: Files,
    out: Annotated[Path | None, typer.Option(help="Write one JSON line a file, as it is scored.")] = None,
    points: Annotated[Path | None, typer.Option(help="Write each cloud with its scores as PLY here.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML heat-map report.")] = None,
    weights: Weights = "embedded",
    profile: Annotated[bool, typer.Option(help="Print each stage's share of the time.")] = False,
) -> None:
    """Score files, one line each: path, tab, object score. Exit code 1 if any failed; the others are scored still."""
    if points is not None:
        refuse_overwriting(files, points)
    shown: list[Detection] = []
    spent: dict[str, float] = defaultdict(float)
    failed = 0
    with reported_errors(), json_lines(out) as write_record, progress_bar() as progress:
        detector = _detector(weights)
        for file in progress.track(files, description="scoring"):
            try:
                detection = detector.score(file)
                if points is not None:
                    write_scores(detection, points / f"{file.stem}.ply")
            except Exception as error:  # whatever is wrong with one file, the others are scored
                failed += 1
                print(f"error: {one_line(error, file)}", file=sys.stderr)
                write_record({"path": str(file), "error": one_line(error, file)})
                continue
            print(f"{printable(file)}\t{detection.object_score:.4f}", flush=True)
            write_record(json_record(file, detection))
            for stage, seconds in detection.seconds.items():
                spent[stage] += seconds
            if report is not None:
                shown.append(detection)
    if report is not None and shown:
        from .report import write_report

        with reported_errors():
            write_report(shown, report)
    if profile:
        print_profile(spent)
    if failed:
        raise typer.Exit(1)


@app.command()
def render(
    file: Annotated[Path, typer.Argument(help="A cloud or a mesh.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The picture to write, .png or .jpg.")] = Path("views.png"),
    views: Annotated[str, typer.Option(help="pointad9, cpmf27, faces6, or sphere12 and the like.")] = "pointad9",
    size: Annotated[int, typer.Option(help="Side of a view in pixels.")] = 336,
    mesh: Annotated[bool, typer.Option("--mesh", help="Draw a mesh's triangles, not points sampled on it.")] = False,
    supersample: Annotated[int, typer.Option(help="Render that many times larger, for smooth edges.")] = 1,
) -> None:
    """Draw a contact sheet: a column a view; shading, depth and normals."""
    from .io import read_cloud
    from .mesh import read_mesh
    from .render import RenderConfig, save_contact_sheet

    with reported_errors():
        config = RenderConfig(views=views, image_size=size, supersample=supersample)
        save_contact_sheet(read_mesh(file) if mesh else read_cloud(file), out, config)
    typer.echo(out)


@app.command()
def evaluate(
    dataset: Annotated[str, typer.Option(help="Layout of the data, see `datasets list`.")],
    root: Annotated[Path, typer.Option(help="Folder of the data set.")],
    method: Annotated[str, typer.Option(help="zero-shot.")] = "zero-shot",
    categories: Annotated[str | None, typer.Option(help="Comma-separated; all if left out.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the result as JSON.")] = None,
    weights: Weights = "embedded",
    rgb: Annotated[bool, typer.Option("--rgb", help="Read colours, too; the backbone must see them.")] = False,
) -> None:
    """Measure a method: object AUROC, point AUROC and point AP, a category and a kind of defect each, as markdown."""
    from .data import open_dataset
    from .evaluation import evaluate as run

    with reported_errors():
        if method != "zero-shot":
            raise ConfigError("unknown method", where="--method", expected="zero-shot", found=method)
        data = open_dataset(dataset, root)
        detector = _detector(weights)
        wanted = None if categories is None else [name.strip() for name in categories.split(",")]
        with progress_bar() as progress:
            task = progress.add_task("evaluating", total=None)
            result = run(
                detector,
                data,
                categories=wanted,
                rgb=rgb,
                progress=lambda done, total, _: progress.update(task, completed=done, total=total),
            )
        if out is not None:
            write_text(out, result.to_json() + "\n")
    typer.echo(result.to_markdown())


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="TOML of a TrainConfig.", show_default=False)],
    run: Annotated[Path, typer.Option(help="Folder for checkpoint, log and result; a killed run goes on there.")],
    cache: Annotated[Path | None, typer.Option(help="Folder for what the backbone sees; runs may share it.")] = None,
) -> None:
    """Learn prompts and G-aggregation on labelled objects. Prints the path of the weights, for `--weights`."""
    from .config import read_toml
    from .training.config import TrainConfig
    from .training.run import train as learn

    with reported_errors(), stage_bar() as report:
        typer.echo(learn(read_toml(TrainConfig, config), run, cache=cache, report=report))


@app.command()
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
    from .config import read_toml
    from .protocols import Source, run_protocol
    from .training.config import TrainConfig

    with reported_errors(), stage_bar() as report:
        learnt, scored = ([Source.parse(text) for text in texts] for texts in (train_on, test_on))
        roots: dict[str, str | Path] = dict(named_folder(text) for text in root)
        numbers = [whole_number(text) for text in seeds.split(",")]
        base = read_toml(TrainConfig, config)
        result = run_protocol(base, learnt, scored, roots, out, seeds=numbers, rgb=rgb, report=report)
        write_text(out / "protocol.json", result.to_json() + "\n")
    typer.echo(result.to_markdown())


@datasets.command("list")
def list_datasets() -> None:
    """Print the layouts that can be read."""
    from .data import dataset_names

    typer.echo("\n".join(dataset_names()))


@datasets.command()
def check(
    root: Annotated[Path, typer.Argument(help="Folder of the data set.", show_default=False)],
    dataset: Annotated[str | None, typer.Option(help="Layout of the data; found out if left out.")] = None,
) -> None:
    """Read every cloud and say what was found, what is missing and what is malformed. Exit code 1 if anything is."""
    from .data.check import check_dataset, find_dataset

    with reported_errors(), progress_bar() as progress:
        task = progress.add_task("checking", total=None)
        found = check_dataset(
            find_dataset(root, dataset), lambda done, total: progress.update(task, completed=done, total=total)
        )
    typer.echo(found.to_markdown())
    if found.problems:
        raise typer.Exit(1)


@datasets.command()
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
    from .synthesis.dataset import SyntheticConfig, write_dataset
    from .synthesis.defects import KINDS
    from .synthesis.paint import COLOR_KINDS

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


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the scans and the report.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Which objects; 1 is a clear case.")] = 1,
) -> None:
    """Make a healthy and a damaged object in code, score both with the embedded weights and write the report."""
    from .cloud import PointCloud
    from .io import write_cloud
    from .synthesis.corpus import CorpusConfig, sample_pair
    from .synthesis.shapes import HELD_OUT

    pair = sample_pair(seed, CorpusConfig(families=HELD_OUT))
    files = [out / "healthy.ply", out / f"damaged-{pair[1].kind}.ply"]
    with reported_errors():
        make_folder(out)
        for thing, file in zip(pair, files, strict=True):
            write_cloud(file, PointCloud.create(thing.points))
    typer.echo(f"a {pair[0].caption}, healthy and with a defect ({pair[1].kind}), of a family that training never saw")
    report = out / "report.html"
    score(files, out=out / "scores.jsonl", points=out / "points", report=report)
    typer.echo(f"report: {report}")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _detector(weights: str) -> AnomalyDetector:
    from .detector import ZeroShotDetector

    return ZeroShotDetector(weights)
