"""Released checkpoints, which are pickles, into safetensors: only for one who says that the file is to be trusted."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pointadplus.errors import ConfigError, WeightsError

from .config import Reg2InvConfig
from .model import Reg2InvNet
from .weights import network_from_state, save_network

# Parts of the released names, in order; the first that matches an opening is taken, then the others on what follows.
_OPENINGS: tuple[tuple[str, str], ...] = (
    (r"backbone\.encoder0\.prev_mlp_convs\.(\d+)\.", r"riconv.linears.\1."),
    (r"backbone\.encoder0\.prev_mlp_bns\.(\d+)\.", r"riconv.norms.\1."),
    (r"backbone\.encoder1_1\.KPConv\.", "backbone.entry.conv."),
    (r"backbone\.encoder1_1\.norm\.", "backbone.entry.norm."),
    (r"backbone\.encoder1_2\.", "backbone.encoders.0.0."),
    (r"backbone\.decoder1\.mlp\.", "backbone.decoders.0."),
    (r"transformer\.embedding\.proj_d\.", "transformer.embedding.distance."),
    (r"transformer\.embedding\.proj_a\.", "transformer.embedding.angle."),
    (r"transformer\.in_proj\.", "transformer.entry."),
    (r"transformer\.out_proj\.", "transformer.exit."),
    (r"transformer\.transformer\.layers\.", "transformer.layers."),
    (r"optimal_transport\.", "fine_transport."),
    (r"optimal_transport_i\.", "inner_transport."),
)
_ENDINGS: tuple[tuple[str, str], ...] = (
    (r"\.unary1\.", ".narrow."),
    (r"\.unary2\.", ".widen."),
    (r"\.unary_shortcut\.", ".shortcut."),
    (r"\.KPConv\.", ".conv.conv."),
    (r"\.norm_conv\.", ".conv.norm."),
    (r"\.mlp\.", ".linear."),
    (r"\.norm\.norm\.", ".norm."),
    (r"(\.conv\.norm|entry\.norm)\.norm\.", r"\1."),
    (r"\.weights$", ".weight"),
    (r"\.kernel_points$", ".kernel"),
    (r"\.attention\.attention\.proj_q\.", ".query."),
    (r"\.attention\.attention\.proj_k\.", ".key."),
    (r"\.attention\.attention\.proj_v\.", ".value."),
    (r"\.attention\.attention\.proj_p\.", ".relative."),
    (r"\.attention\.", "."),
    (r"\.output\.norm\.", ".output_norm."),
    (r"\.output\.", "."),
)
_IGNORED = re.compile(r"\.div_term$")  # a constant


def convert_checkpoint(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    limits: tuple[int, ...],
    config: Reg2InvConfig | None = None,
    trust_pickle: bool = False,
) -> Reg2InvNet:
    """Write the network of a released checkpoint as safetensors, which `Reg2Inv(weights=...)` takes.

    Args:
        source: the checkpoint, a pickle whose key `model` holds the state dict.
        target: the safetensors file to write.
        limits: most neighbours at each level, which the release finds anew on its training set
            (`pyramid.neighbor_limits`) and does not keep.
        config: of the network; None: `Reg2InvConfig.paper()`.
        trust_pickle: must be True. The file is opened with PyTorch's restricted unpickler, which still is no guarantee.

    Returns:
        the network, in evaluation mode.

    Raises:
        ConfigError: `trust_pickle` is not True.
        WeightsError: the file cannot be read, or its tensors are not those of the config.
    """
    if trust_pickle is not True:
        raise ConfigError(
            "a released checkpoint is a pickle, which can run code when opened",
            where="convert_checkpoint.trust_pickle",
            expected="True, for a file that you trust",
            found=trust_pickle,
        )
    try:
        checkpoint = torch.load(source, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise WeightsError("the checkpoint cannot be read", where=source, found=error) from error
    state = checkpoint.get("model") if isinstance(checkpoint, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(
            "not a released checkpoint",
            where=source,
            expected="tensors by name under 'model'",
            found=_shape(checkpoint),
        )
    config = config or Reg2InvConfig.paper()
    renamed = released_state(state, len(config.network.feature_widths) - 1)
    network = network_from_state({**renamed, "limits": torch.tensor(limits)}, config, source)
    save_network(network, Path(target))
    return network


def released_state(state: Mapping[str, Tensor], first_stage: int = 2) -> dict[str, Tensor]:
    """A released state dict under this package's names.

    Args:
        state: by the released names.
        first_stage: layers of the RIConv++ perceptron that the release keeps apart from the last ones.
    """
    out = {}
    for name, value in state.items():
        name = name.removeprefix("module.")
        if _IGNORED.search(name):
            continue
        # A 1 × 1 convolution is a linear layer.
        out[_renamed(name, first_stage)] = value[:, :, 0, 0] if value.ndim == 4 else value
    return out


def _renamed(name: str, first_stage: int) -> str:
    for part, kind in (("mlp_convs", "linears"), ("mlp_bns", "norms")):
        found = re.match(rf"backbone\.encoder0\.{part}\.(\d+)\.(.*)", name)
        if found:
            return f"riconv.{kind}.{int(found[1]) + first_stage}.{found[2]}"
    found = re.match(r"backbone\.encoder(\d+)_(\d+)\.", name)
    if found and int(found[1]) > 1:
        name = f"backbone.encoders.{int(found[1]) - 1}.{int(found[2]) - 1}.{name[found.end() :]}"
    found = re.match(r"backbone\.decoder(\d+)\.", name)
    if found and int(found[1]) > 1:
        name = f"backbone.decoders.{int(found[1]) - 1}.{name[found.end() :]}"
    for pattern, replacement in _OPENINGS:
        name, count = re.subn("^" + pattern, replacement, name)
        if count:
            break
    for pattern, replacement in _ENDINGS:
        name = re.sub(pattern, replacement, name)
    return name


def _shape(checkpoint: Any) -> str:
    return ", ".join(map(str, checkpoint)) if isinstance(checkpoint, Mapping) else type(checkpoint).__name__
