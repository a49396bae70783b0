"""The commands over backbones' weights: `weights list`, `pull`, `import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .output import check_outputs, printable, reported_errors
from .verbosity import command

weights = typer.Typer(no_args_is_help=True, help="Weights of backbones: embedded, from the hub, and your own.")

_OPENAI = ("ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336")  # of which open_clip knows safetensors on the hub


@command(weights, "list")
def list_weights() -> None:
    """Print what there is: name, digest or file, and whether it lies on this machine. No network is used."""
    from ...clip.store import stored_names
    from ...clip.weights import cached_hub_file, hub_file, load_backbone

    with reported_errors():
        typer.echo(f"embedded\tin the package\tdigest {load_backbone().digest}")
        for name in stored_names():
            typer.echo(f"{name}\timported\tdigest {load_backbone(name).digest}")
        for name in _OPENAI:
            here = cached_hub_file(name) is not None
            state = "in the cache" if here else f"not here: pointadplus weights pull {name}"
            typer.echo(f"hub:{name}\t{state}\t{'/'.join(hub_file(name))}")


@command(weights)
def pull(
    name: Annotated[str, typer.Argument(help="An architecture of open_clip, such as ViT-L-14-336.")],
    pretrained: Annotated[str, typer.Option(help="open_clip's tag of the weights.")] = "openai",
) -> None:
    """Fetch weights from the hub into its cache, load them, and print their digest. HF_HUB_OFFLINE=1 forbids it."""
    from ...clip.weights import load_backbone

    with reported_errors():
        backbone = load_backbone(f"hub:{name.removeprefix('hub:')}", pretrained=pretrained)
    typer.echo(f"hub:{name.removeprefix('hub:')}\tdigest {backbone.digest}")


@command(weights, "import")
def import_weights(
    file: Annotated[Path, typer.Argument(help="A safetensors file: ours, or an open_clip state dict.")],
    name: Annotated[str, typer.Option(help="What to call it: `backbone=NAME` finds it from then on.")],
    architecture: Annotated[str | None, typer.Option(help="open_clip's name of what a state dict is for.")] = None,
    pretrained: Annotated[str, typer.Option(help="open_clip's tag of a state dict.")] = "openai",
    digest: Annotated[str | None, typer.Option(help="Refuse the file if its weights have another digest.")] = None,
) -> None:
    """Check a file, make it tell what it is for, and keep it under a name in $POINTADPLUS_HOME or the cache folder."""
    import torch

    from ...clip.store import named_file
    from ...clip.weights import load_backbone, save_backbone
    from ...errors import WeightsError

    with reported_errors():
        target = named_file(name)
        backbone = load_backbone(file, architecture=architecture, pretrained=pretrained)
        if digest is not None and backbone.digest != digest:
            raise WeightsError("other weights than were expected", where=file, expected=digest, found=backbone.digest)
        save_backbone(backbone, target, dtype=torch.float32)  # what the file holds loads as it is, to the bit
    typer.echo(f"{name}\tdigest {backbone.digest}\t{printable(target)}")


@command(weights, "export-onnx")
def export_onnx(
    out: Annotated[Path, typer.Option(help="The ONNX file to write.")],
    backbone: Annotated[str, typer.Option(help="'embedded', 'hub:NAME', an imported name or a file.")] = "embedded",
) -> None:
    """Write a backbone's image tower for runtimes that know no PyTorch; needs the extra `onnx`."""
    from ...clip.onnx import export_image_tower
    from ...clip.weights import load_backbone

    with reported_errors():
        check_outputs(files=[out])
        loaded = load_backbone(backbone)
        export_image_tower(loaded, out)
    typer.echo(f"{printable(out)}\tdigest {loaded.digest}")
