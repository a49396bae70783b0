"""Released checkpoints of Reg2Inv, written here in their layout, into safetensors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from baselines.reg2inv.config import MatchingConfig, NetworkConfig, Reg2InvConfig
from baselines.reg2inv.convert import convert_checkpoint
from baselines.reg2inv.model import Reg2InvNet, build_network
from baselines.reg2inv.weights import load_network
from pointadplus.errors import ConfigError, WeightsError

TINY = NetworkConfig(
    neighbors=8, feature_widths=(8, 8, 8), width=8, groups=2, fine_dim=8, hidden=8, heads=2, blocks=1, coarse_dim=8
)


def released_names(network: Reg2InvNet) -> dict[str, torch.Tensor]:
    """The state dict of a three-level network as the release writes it, spelled out here once more."""
    state = network.state_dict()
    out = {"transformer.embedding.embedding.div_term": torch.ones(4)}

    def copy(old: str, new: str, *kinds: str) -> None:
        for kind in kinds or ("weight", "bias"):
            out[f"{new}.{kind}"] = state[f"{old}.{kind}"]

    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    for i, (stage, j) in enumerate((("prev_mlp", 0), ("prev_mlp", 1), ("mlp", 0))):
        out[f"backbone.encoder0.{stage}_convs.{j}.weight"] = state[f"riconv.linears.{i}.weight"][:, :, None, None]
        out[f"backbone.encoder0.{stage}_convs.{j}.bias"] = state[f"riconv.linears.{i}.bias"]
        copy(f"riconv.norms.{i}", f"backbone.encoder0.{stage}_bns.{j}", *norm)

    def kernel(old: str, new: str) -> None:
        out[f"{new}.weights"], out[f"{new}.bias"] = state[f"{old}.weight"], state[f"{old}.bias"]
        out[f"{new}.kernel_points"] = state[f"{old}.kernel"]

    kernel("backbone.entry.conv", "backbone.encoder1_1.KPConv")
    copy("backbone.entry.norm", "backbone.encoder1_1.norm.norm")
    blocks = {"1_2": "0.0", "2_1": "1.0", "2_2": "1.1", "2_3": "1.2", "3_1": "2.0", "3_2": "2.1", "3_3": "2.2"}
    for new, old in blocks.items():
        old, new = f"backbone.encoders.{old}", f"backbone.encoder{new}"
        kernel(f"{old}.conv.conv", f"{new}.KPConv")
        copy(f"{old}.conv.norm", f"{new}.norm_conv.norm")
        for ours, theirs in (("narrow", "unary1"), ("widen", "unary2"), ("shortcut", "unary_shortcut")):
            if f"{old}.{ours}.linear.weight" in state:
                copy(f"{old}.{ours}.linear", f"{new}.{theirs}.mlp")
                copy(f"{old}.{ours}.norm", f"{new}.{theirs}.norm.norm")
    copy("backbone.decoders.1.linear", "backbone.decoder2.mlp")
    copy("backbone.decoders.1.norm", "backbone.decoder2.norm.norm")
    copy("backbone.decoders.0", "backbone.decoder1.mlp")
    copy("transformer.embedding.distance", "transformer.embedding.proj_d")
    copy("transformer.embedding.angle", "transformer.embedding.proj_a")
    copy("transformer.entry", "transformer.in_proj")
    copy("transformer.exit", "transformer.out_proj")
    for i in range(2):
        old, new = f"transformer.layers.{i}", f"transformer.transformer.layers.{i}"
        for ours, theirs in (("query", "q"), ("key", "k"), ("value", "v"), ("relative", "p")):
            if f"{old}.{ours}.weight" in state:
                copy(f"{old}.{ours}", f"{new}.attention.attention.proj_{theirs}")
        copy(f"{old}.linear", f"{new}.attention.linear")
        copy(f"{old}.norm", f"{new}.attention.norm")
        copy(f"{old}.expand", f"{new}.output.expand")
        copy(f"{old}.squeeze", f"{new}.output.squeeze")
        copy(f"{old}.output_norm", f"{new}.output.norm")
    out["optimal_transport.alpha"] = state["fine_transport.alpha"]
    out["optimal_transport_i.alpha"] = state["inner_transport.alpha"]
    return out


def test_a_released_checkpoint_is_converted_only_where_it_is_trusted(tmp_path: Path) -> None:
    config = Reg2InvConfig(network=TINY, matching=MatchingConfig(sinkhorn_iterations=3))
    network = build_network(config, (20, 15, 10))
    released = released_names(network)
    torch.save({"model": released, "epoch": 3}, tmp_path / "snapshot.pth.tar")
    target = tmp_path / "converted.safetensors"
    with pytest.raises(ConfigError, match="pickle"):
        convert_checkpoint(tmp_path / "snapshot.pth.tar", target, limits=(20, 15, 10), config=config)
    assert not target.exists()
    kept = replace(config, seed=4)  # another random start, so that every tensor must come from the file
    convert_checkpoint(tmp_path / "snapshot.pth.tar", target, limits=(20, 15, 10), config=kept, trust_pickle=True)
    loaded = load_network(target)
    assert loaded.neighbor_limits == (20, 15, 10)
    assert loaded.config == kept
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    with pytest.raises(WeightsError, match="another network"):
        load_network(target, Reg2InvConfig.small())


def test_what_is_no_released_checkpoint_says_so(tmp_path: Path) -> None:
    path, target = tmp_path / "a.pth", tmp_path / "b.safetensors"
    config = Reg2InvConfig(network=TINY)
    path.write_bytes(b"no pickle")
    with pytest.raises(WeightsError, match="cannot be read"):
        convert_checkpoint(path, target, limits=(9, 9, 9), config=config, trust_pickle=True)
    torch.save({"state": 1}, path)
    with pytest.raises(WeightsError, match="not a released checkpoint"):
        convert_checkpoint(path, target, limits=(9, 9, 9), config=config, trust_pickle=True)
    released = released_names(build_network(config, (9, 9, 9)))
    del released["optimal_transport.alpha"]
    torch.save({"model": released}, path)
    with pytest.raises(WeightsError, match="do not fit"):
        convert_checkpoint(path, target, limits=(9, 9, 9), config=config, trust_pickle=True)
    assert not target.exists()
