"""The scans of the command `demo`."""

from __future__ import annotations

from pathlib import Path

import typer

from .output import check_outputs, make_folder


def write_pair(folder: Path, seed: int) -> list[Path]:
    """Write a healthy object and its damaged twin, made in code, and say what they are.

    Raises:
        ConfigError: they cannot be written.
    """
    from ...cloud import PointCloud
    from ...io import write_cloud
    from ...learning.synthesis.corpus import CorpusConfig, sample_pair
    from ...learning.synthesis.shapes import HELD_OUT

    check_outputs(folders=[folder])
    make_folder(folder)
    pair = sample_pair(seed, CorpusConfig(families=HELD_OUT))
    files = [folder / "healthy.ply", folder / f"damaged-{pair[1].kind}.ply"]
    for thing, file in zip(pair, files, strict=True):
        write_cloud(file, PointCloud.create(thing.points))
    typer.echo(f"a {pair[0].caption}, healthy and with a defect ({pair[1].kind}), of a family that training never saw")
    return files
