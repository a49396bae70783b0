"""The image tower as an ONNX file, for runtimes that know no PyTorch."""

from __future__ import annotations

import copy
import json
import os
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import ConfigError, install_command
from ..io.atomic import write_whole

if TYPE_CHECKING:
    from .backbone import Backbone

OPSET = 18
OUTPUTS = ("patch_features", "global_features")
_KEY = "pointadplus."


class ImageTower(nn.Module):
    """Images in [0, 1] in, unit features out: normalising and encoding in one."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Float[Tensor, "v c h w"]) -> tuple[Float[Tensor, "v hw d"], Float[Tensor, "v d"]]:
        """Patch features, row by row of the grid, and global features."""
        tokens = self.backbone.encode_image(self.backbone.normalize(images))
        return tokens.patch_features, tokens.global_features


def export_image_tower(backbone: Backbone, path: str | os.PathLike[str]) -> Path:
    """Write a backbone's image tower as one ONNX file, in float32, for any number of views.

    Its input `images` is (V, C, H, W) float32 of `backbone.channels` at `backbone.image_size`, as the renderer gives
    them: normalising is part of the graph. Its outputs are `patch_features` (V, h·w, D), row by row of the patch grid,
    and `global_features` (V, D), of unit length. The metadata `pointadplus.digest`, `.channels`, `.image_size` and
    `.patch_grid` say which weights these are and what they take.

    Raises:
        ConfigError: the extra `onnx` is not installed, or the file cannot be written.
    """
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            "ONNX files need more packages",
            found=f"{' and '.join(missing)} not installed",
            hint=install_command("onnx"),
        )
    model = _traced(backbone)
    facts = {
        "digest": backbone.digest,
        "channels": json.dumps(backbone.channels),
        "image_size": str(backbone.image_size),
        "patch_grid": json.dumps(backbone.patch_grid),
    }
    for key, value in facts.items():
        model.metadata_props.add(key=_KEY + key, value=value)
    target = Path(path)
    write_whole(target, model.SerializeToString())
    return target


def _traced(backbone: Backbone) -> Any:
    """The `onnx.ModelProto` of the tower."""
    import onnx

    tower = ImageTower(copy.deepcopy(backbone).float().cpu().eval())
    tower.backbone.precision = "float32"
    side = backbone.image_size
    views = {0: torch.export.Dim("views")}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        file = Path(folder) / "tower.onnx"
        torch.onnx.export(
            tower, (torch.zeros(2, len(backbone.channels), side, side),), file, input_names=["images"],
            output_names=list(OUTPUTS), dynamic_shapes=(views,), opset_version=OPSET, dynamo=True,
            external_data=False, verbose=False,
        )  # fmt: skip
        return onnx.load(file)
