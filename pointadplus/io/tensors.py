"""Safetensors files: written whole or not at all; nothing is unpickled, and nothing that is doubtful loads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import WeightsError


def write_tensors(path: Path, tensors: Mapping[str, Tensor], card: dict[str, str]) -> None:
    """Write a safetensors file whole or not at all, so that a run killed at any moment leaves no half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, temporary, card)
    os.replace(temporary, path)


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file.

    Raises:
        WeightsError: missing, a pickle, or damaged.
    """
    if not path.is_file():
        raise WeightsError(
            "no such file",
            where=path,
            expected="a safetensors file",
            hint="give a path, 'embedded' or 'hub:ViT-L-14-336'",
        )
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        # Asked only now: the length that opens a safetensors file may begin with the same bytes.
        with path.open("rb") as file:
            start = file.read(2)
        if start == b"PK" or start[:1] == b"\x80":
            raise WeightsError(
                "the file is a pickle, which can run code when opened",
                where=path,
                expected="safetensors",
                found="a PyTorch checkpoint",
                hint="open it where you trust it and write its state dict with safetensors.torch.save_file",
            ) from error
        raise WeightsError(
            "the file is not safetensors, or is damaged", where=path, found=error, hint="copy or download it again"
        ) from error


def check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    """WeightsError for the first tensor that holds NaN or infinity."""
    for key, value in state.items():
        if not torch.isfinite(value).all():
            raise WeightsError(
                "a tensor is not finite",
                where=f"{path}:{key}",
                expected="finite numbers",
                found="NaN or infinity",
                hint="the training diverged, the file is damaged, or the values overflow the stored type",
            )
