"""Checkpoints of a run: safetensors, written whole or not at all, enough to go on after a kill."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import WeightsError
from .tensors import write_tensors


def save_checkpoint(
    path: Path, modules: dict[str, dict[str, Tensor]], optimizer: torch.optim.Optimizer, notes: dict[str, Any]
) -> None:
    """Write named state dicts, the optimiser's state and JSON notes."""
    tensors = {f"{name}/{key}": value for name, state in modules.items() for key, value in state.items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{key}": torch.as_tensor(value) for key, value in state.items()}
    # Cloned, for safetensors refuses tensors that share memory, as an average may with its model.
    write_tensors(path, {key: value.clone() for key, value in tensors.items()}, {"notes": json.dumps(notes)})


def load_checkpoint(
    path: Path, modules: Mapping[str, nn.Module | dict[str, Tensor]], optimizer: torch.optim.Optimizer | None
) -> dict[str, Any]:
    """Read a checkpoint back into modules (or bare state dicts) and the optimiser; returns the notes.

    Raises:
        WeightsError: the file is no checkpoint of these modules.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - safe_open has no iterator
            notes = json.loads((file.metadata() or {})["notes"])
        for name, module in modules.items():
            state = {key.split("/", 1)[1]: value for key, value in tensors.items() if key.startswith(f"{name}/")}
            if isinstance(module, nn.Module):
                module.load_state_dict(state)
            else:
                for key, value in module.items():
                    value.copy_(state[key])
    except (SafetensorError, OSError, KeyError, RuntimeError, ValueError) as error:
        raise WeightsError(
            "not a checkpoint of this run", where=path, expected=f"safetensors with {', '.join(modules)}", found=error
        ) from error
    if optimizer is not None:
        kept: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer/"):
                _, number, field = key.split("/")
                kept.setdefault(int(number), {})[field] = value
        optimizer.load_state_dict({"state": kept, "param_groups": optimizer.state_dict()["param_groups"]})
    return notes
