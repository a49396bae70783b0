"""From the tensors of a file to an open_clip model: whatever does not fit is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from open_clip.model import CLIP
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..errors import WeightsError
from ..io.tensors import check_finite
from .architecture import BackboneConfig, build_clip
from .backbone import state_digest

TABLE, ROWS = "token_embedding.weight", "token_rows"


def assemble(config: BackboneConfig, state: dict[str, Tensor], path: Path, digests: set[str]) -> CLIP:
    """The model of a config with the weights of a state dict, or a WeightsError that says what does not fit.

    Args:
        config, state: the architecture and its weights, token rows packed or not.
        path: where the weights came from, for messages.
        digests: what the header and the card say that `state_digest` is; empty where neither says so.
    """
    with _Unfilled():
        model = build_clip(config)
    check_finite(state, path)
    state = unpack_rows(state, config, path)
    wanted = model.state_dict()
    if wanted.keys() != state.keys():
        missing, extra = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
        raise WeightsError(
            "the weights are not of this architecture",
            where=path,
            expected=f"{len(wanted)} tensors of open_clip's names",
            found=f"missing {missing[:3]} ({len(missing)}), unknown {extra[:3]} ({len(extra)})",
        )
    for key, value in state.items():
        if value.shape != wanted[key].shape:
            raise WeightsError(
                "a tensor has the wrong shape",
                where=f"{path}:{key}",
                expected=tuple(wanted[key].shape),
                found=tuple(value.shape),
            )
    if digests and digests != {state_digest(state)}:
        raise WeightsError(
            "the weights are not the ones that the card describes",
            where=path,
            expected=" and ".join(sorted(digests)),
            found=state_digest(state),
            hint="the file or its card was changed; fetch both again",
        )
    model.load_state_dict(state, assign=True)
    return model


class _Unfilled(TorchFunctionMode):
    """No random start is drawn, only to be thrown away: parameters hold whatever memory held.

    (Nor would one be on `torch.device("meta")`, but a product there imports torch's compiler, which takes a second.)
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.randn:
            return torch.empty(*args, **kwargs)
        if getattr(func, "__module__", "") == "torch.nn.init" or func in (Tensor.normal_, Tensor.uniform_):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def unpack_rows(state: Mapping[str, Tensor], config: BackboneConfig, path: Path) -> dict[str, Tensor]:
    """Float32 weights, with the token embeddings that were not stored as zero rows."""
    out = {key: value.float() for key, value in state.items() if key != ROWS}
    if ROWS in state:
        rows, kept = state[ROWS], out.get(TABLE)
        shapes = kept is not None and kept.ndim == 2 and rows.dtype == torch.int64 and rows.shape == kept.shape[:1]
        inside = bool(((rows >= 0) & (rows < config.vocab_size)).all())
        if kept is None or not shapes or not inside or len(rows.unique()) != len(rows):
            raise WeightsError(
                "token rows do not fit their embeddings",
                where=f"{path}:{ROWS}",
                expected=f"one id below {config.vocab_size} a row, none twice",
                found=f"{tuple(rows.shape)} {rows.dtype}",
            )
        out[TABLE] = kept.new_zeros(config.vocab_size, kept.shape[1]).index_copy_(0, rows, kept)
    return out


def card_digest(path: Path) -> set[str]:
    """The digest that the card beside a file states, if there is one."""
    card = path.with_suffix(".json")
    if not card.is_file():
        return set()
    try:
        stated = json.loads(card.read_text(encoding="utf-8"))
        return {str(stated["digest"])} if "digest" in stated else set()
    except (ValueError, TypeError, OSError) as error:
        raise WeightsError(
            "the card is not JSON", where=card, found=error, hint="fetch it again, or remove it"
        ) from error
