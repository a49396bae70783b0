"""Networks on disk: safetensors with the config in the metadata."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from pointadplus.config import from_table
from pointadplus.errors import ConfigError, WeightsError
from pointadplus.io.tensors import check_finite, read_safetensors, write_tensors

from .config import Reg2InvConfig
from .model import Reg2InvNet, build_network

FORMAT = "pointadplus.reg2inv_network"
EMBEDDED = Path(__file__).resolve().parent.parent / "assets" / "reg2inv.safetensors"


def save_network(network: Reg2InvNet, path: str | os.PathLike[str]) -> None:
    """Write a network's weights and config."""
    tensors = {key: value.cpu() for key, value in network.state_dict().items()}
    write_tensors(Path(path), tensors, {FORMAT: json.dumps(asdict(network.config))})


def load_network(path: str | os.PathLike[str], config: Reg2InvConfig | None = None) -> Reg2InvNet:
    """Read what `save_network` wrote, on the CPU, in evaluation mode.

    Args:
        path: of the file.
        config: to use the weights with; None: the file's own.

    Raises:
        WeightsError: no such file, not of this format, damaged, or of another architecture or voxel than the config's.
    """
    state, metadata = read_safetensors(Path(path))
    if FORMAT not in metadata:
        raise WeightsError("not a Reg2Inv network", where=path, expected=f"metadata {FORMAT!r}", found=sorted(metadata))
    stored = read_config(metadata[FORMAT], path)
    if config is not None and (config.network, config.voxel) != (stored.network, stored.voxel):
        raise WeightsError(
            "the weights are of another network than the config's",
            where=path,
            expected=f"voxel {config.voxel}, {config.network}",
            found=f"voxel {stored.voxel}, {stored.network}",
            hint="leave config out, or take its network and voxel from the weights",
        )
    return network_from_state(state, config or stored, path)


def network_from_state(state: Mapping[str, Tensor], config: Reg2InvConfig, path: str | os.PathLike[str]) -> Reg2InvNet:
    """A network with given weights, in evaluation mode.

    Raises:
        WeightsError: they do not fit the config, or are not finite.
    """
    limits = state.get("limits")
    if limits is None or limits.shape != (config.network.levels,) or int(limits.min()) < 1:
        raise WeightsError(
            "the weights lack their neighbour limits",
            where=path,
            expected=f"limits: {config.network.levels} integers above 0",
            found=None if limits is None else limits.tolist(),
        )
    check_finite(dict(state), Path(path))
    network = build_network(config, tuple(int(each) for each in limits.tolist()))
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as error:
        raise WeightsError("the weights do not fit the config", where=path, found=error) from error
    return network.eval()


def read_config(text: str, path: str | os.PathLike[str]) -> Reg2InvConfig:
    """The config in a file's metadata.

    Raises:
        WeightsError: it is none.
    """
    try:
        return from_table(Reg2InvConfig, json.loads(text), "Reg2InvConfig")
    except (ValueError, TypeError, AttributeError, ConfigError) as error:
        raise WeightsError("the config in the file cannot be read", where=path, found=error) from error
