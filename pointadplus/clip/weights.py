"""Backbones to and from safetensors: the embedded weights, a file, or the Hugging Face hub. Nothing is unpickled.

A file is self-contained: its safetensors metadata holds the config, and the digest of the weights as they load. The
JSON card beside it (same name, `.json`) is for people; its digest is checked too.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import open_clip
import torch
from jaxtyping import Int
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..config import from_table
from ..errors import ConfigError, WeightsError
from ..io.tensors import check_finite, read_safetensors
from .architecture import BackboneConfig
from .backbone import Backbone, state_digest
from .files import ROWS, TABLE, assemble, card_digest, unpack_rows
from .store import stored_weights

EMBEDDED = "assets/embedded.safetensors"
_FORMAT = "pointadplus-backbone-1"
_HUB_FILE = "open_clip_model.safetensors"
_NOT_WEIGHTS = {"input_resolution", "context_length", "vocab_size"}  # scalars that OpenAI's own state dicts hold


def load_backbone(
    source: str | os.PathLike[str] = "embedded",
    *,
    architecture: str | None = None,
    pretrained: str = "openai",
    precision: str = "auto",
    device: str | torch.device = "cpu",
) -> Backbone:
    """A frozen backbone.

    Args:
        source: `"embedded"`, the small weights inside the package; a name that `pointadplus weights import` gave; the
            path of a file that `save_backbone` wrote, or of any open_clip state dict in safetensors; or
            `"hub:ViT-L-14-336"`, an architecture of open_clip whose weights come from the Hugging Face hub or its
            cache (the prefix may be left out).
        architecture: open_clip's name of what a plain state dict is for, such as `"ViT-L-14-336-quickgelu"`.
        pretrained: open_clip's tag of a plain state dict or of hub weights: which of the two activations they need.
        precision, device: see `Backbone`.

    Raises:
        WeightsError: missing, unsafe, damaged, or not fitting the architecture.
        ConfigError: an unknown precision.
    """
    text = os.fspath(source)
    if text == "embedded":
        backbone = _load_file(Path(str(files("pointadplus"))) / EMBEDDED, None, pretrained, precision)
    elif (stored := stored_weights(text)) is not None:
        backbone = _load_file(stored, None, pretrained, precision)
    elif text.startswith("hub:") or (text in open_clip.list_models() and not Path(text).exists()):
        backbone = _load_hub(text.removeprefix("hub:"), pretrained, precision)
    else:
        backbone = _load_file(Path(text), architecture, pretrained, precision)
    return backbone.to(device)


def save_backbone(
    backbone: Backbone,
    path: str | os.PathLike[str],
    card: Mapping[str, Any] | None = None,
    *,
    token_rows: Int[Tensor, "*rows"] | None = None,
    dtype: torch.dtype = torch.float16,
) -> str:
    """Write a backbone as safetensors with a JSON card beside it, and return the digest it will load with.

    Args:
        backbone: what to write; it is left as it is.
        path: the file, `.safetensors`; written whole or not at all.
        card: anything a reader should know: data, seed, command, licence.
        token_rows: ids of the tokens whose embeddings are kept, for instance all that `tokenize` gave for the
            captions; the others load as zero. None keeps all.
        dtype: of the stored weights; they load as float32.

    Raises:
        WeightsError: a weight that is not finite or overflows `dtype`, an id outside the vocabulary, or an
            unwritable path.
    """
    path = Path(path)
    stored = {key: value.detach().cpu().to(dtype).contiguous() for key, value in backbone.model.state_dict().items()}
    if token_rows is not None:
        rows, size = token_rows.flatten().cpu().unique(), len(stored[TABLE])
        if len(rows) == 0 or int(rows[0]) < 0 or int(rows[-1]) >= size:
            raise WeightsError(
                "token ids do not fit the vocabulary",
                where="token_rows",
                expected=f"integers in 0..{size - 1}",
                found=rows,
            )
        stored |= {TABLE: stored[TABLE][rows].contiguous(), ROWS: rows.long()}
    check_finite(stored, path)
    digest = state_digest(unpack_rows(stored, backbone.config, path))
    header = {"config": asdict(backbone.config), "digest": digest, "name": backbone.name}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            weights, text = Path(folder) / "weights", Path(folder) / "card"
            save_file(stored, weights, metadata={_FORMAT: json.dumps(header)})
            text.write_text(
                json.dumps({**(card or {}), **header}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
            )
            os.replace(weights, path)
            os.replace(text, path.with_suffix(".json"))
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            "the weights cannot be written", where=path, found=error, hint="choose a folder that you may write to"
        ) from error
    return digest


def _load_file(path: Path, architecture: str | None, pretrained: str, precision: str) -> Backbone:
    state, metadata = read_safetensors(path)
    if _FORMAT in metadata:
        try:
            header = json.loads(metadata[_FORMAT])
            config = from_table(BackboneConfig, header["config"])
            digest, name = str(header["digest"]), str(header["name"])
        except (ConfigError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(
                "the header is damaged",
                where=path,
                expected="config, digest and name as save_backbone writes them",
                found=repr(error),
            ) from error
        model = assemble(config, state, path, {digest, *card_digest(path)})
        return Backbone(model, config, precision=precision, name=name).freeze()
    if architecture is None:
        raise WeightsError(
            "a plain state dict does not say what it is for",
            where=path,
            expected="architecture=",
            found=None,
            hint="for OpenAI's ViT-L-14-336: architecture='ViT-L-14-336-quickgelu'",
        )
    config = _config_of(architecture)
    tag = _tag(architecture, pretrained)
    if tag.get("quick_gelu", False) != config.quick_gelu:
        names = ("GELU", "QuickGELU")
        raise WeightsError(
            "the weights need the other activation",
            where=f"{architecture} with '{pretrained}' weights",
            expected=names[not config.quick_gelu],
            found=names[config.quick_gelu],
            hint="name the architecture with, or without, its ending -quickgelu; features are silently wrong otherwise",
        )
    return _finish(config, state, path, tag, precision, f"{architecture}/{pretrained}")


def _load_hub(architecture: str, pretrained: str, precision: str) -> Backbone:
    from huggingface_hub import hf_hub_download  # slow to import, and the only door to a network

    tag = _tag(architecture, pretrained)
    config = replace(_config_of(architecture), quick_gelu=bool(tag.get("quick_gelu", False)))
    repository, file = hub_file(architecture, pretrained)
    try:
        path = Path(hf_hub_download(repository, file))
    except Exception as error:  # the client's errors have no common base
        raise WeightsError(
            "the weights cannot be fetched",
            where=f"hub:{architecture}",
            expected=f"{repository}/{file}",
            found=repr(error)[:200],
            hint="without a network, copy that file here and give it a name: pointadplus weights import FILE "
            f"--architecture {architecture} --name NAME; or use 'embedded'",
        ) from error
    return _finish(config, read_safetensors(path)[0], path, tag, precision, f"{architecture}/{pretrained}")


def hub_file(architecture: str, pretrained: str = "openai") -> tuple[str, str]:
    """The hub's repository and the file in it that hold an architecture's weights; nothing is fetched.

    Raises:
        WeightsError: an unknown architecture, or no such weights.
    """
    return str(_tag(architecture, pretrained).get("hf_hub", "")).strip("/"), _HUB_FILE


def cached_hub_file(architecture: str, pretrained: str = "openai") -> Path | None:
    """That file in the hub's cache on this machine, or None where it is not; the errors are those of `hub_file`."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(*hub_file(architecture, pretrained))
    return Path(found) if isinstance(found, str) else None


def _finish(
    config: BackboneConfig, state: dict[str, Tensor], path: Path, tag: Mapping[str, Any], precision: str, name: str
) -> Backbone:
    state = {key: value for key, value in state.items() if key not in _NOT_WEIGHTS}
    config = replace(config, mean=tag.get("mean", config.mean), std=tag.get("std", config.std))
    return Backbone(assemble(config, state, path, card_digest(path)), config, precision=precision, name=name).freeze()


def _config_of(architecture: str) -> BackboneConfig:
    try:
        return BackboneConfig.from_open_clip(architecture)
    except ConfigError as error:
        raise WeightsError(
            error.what, where=architecture, expected=error.expected, found=error.found, hint=error.hint
        ) from error


def _tag(architecture: str, pretrained: str) -> Mapping[str, Any]:
    """What open_clip knows of a set of weights; some tags stand only under the name without -quickgelu."""
    for name in (architecture, architecture.removesuffix("-quickgelu")):
        tag = open_clip.get_pretrained_cfg(name, pretrained)
        if tag:
            return tag
    raise WeightsError(
        "unknown weights",
        where=architecture,
        found=pretrained,
        expected=open_clip.list_pretrained_tags_by_model(architecture),
        hint="pass pretrained= with one of these",
    )
