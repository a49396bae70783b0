"""Backbones: their features against open_clip and a naive twin, and weights that load safely or not at all."""

from __future__ import annotations

import copy
import functools
import json
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import open_clip
import pytest
import torch
from reference.vv_attention import vv_attention, vv_stream
from safetensors.torch import save_file

from pointadplus.clip import Backbone, BackboneConfig, build_backbone, load_backbone, save_backbone
from pointadplus.clip import weights as weights_module
from pointadplus.clip.surgery import attend, dense_tokens, embed_patches
from pointadplus.config import from_table
from pointadplus.errors import ConfigError, WeightsError
from pointadplus.io.tensors import read_safetensors

TINY = BackboneConfig(
    embed_dim=24,
    image_size=32,
    vision_width=32,
    vision_heads=2,
    vision_layers=4,
    text_context=20,
    text_width=16,
    text_heads=2,
    text_layers=3,
    channels=("headlight", "depth", "normal_x"),
)


@functools.cache
def tiny(**changes: object) -> Backbone:
    return build_backbone(replace(TINY, mean=(), std=(), **changes), seed=3, precision="float32").freeze()


def images(batch: int = 2, channels: int = 3, side: int = 32) -> torch.Tensor:
    return torch.randn(batch, channels, side, side, generator=torch.Generator().manual_seed(0))


VARIANTS = {
    "token": {},
    "average": {"pool": "avg"},
    "average, norm last": {"pool": "avg", "ln_after_pool": True},
    "layer scale": {"layer_scale": 0.3},
    "no first norm": {"no_ln_pre": True},
    "quick gelu": {"quick_gelu": True},
    "five channels": {"channels": ("a", "b", "c", "d", "e")},
    "conv stem": {"channels": ("a",) * 9, "conv_stem": True},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_global_feature_is_encode_image(changes):
    backbone = tiny(**changes)
    x = images(channels=len(backbone.channels))
    tokens = backbone.encode_image(x)
    torch.testing.assert_close(
        tokens.global_features, backbone.model.encode_image(x, normalize=True), atol=1e-5, rtol=0
    )
    assert tokens.grid == backbone.patch_grid == (4, 4)
    assert tokens.patch_features.shape == (2, 16, 24)
    torch.testing.assert_close(tokens.patch_features.norm(dim=-1), torch.ones(2, 16))


def test_an_open_clip_model_is_taken_as_it_is():
    with torch.random.fork_rng(devices=[]):
        model = open_clip.create_model("ViT-S-32", pretrained=None).eval()
    backbone = Backbone(model, BackboneConfig.from_open_clip("ViT-S-32"), precision="float32").freeze()
    x = images(batch=1, side=224)
    with torch.no_grad():
        expected = model.encode_image(x, normalize=True)
    torch.testing.assert_close(backbone.encode_image(x).global_features, expected, atol=1e-5, rtol=0)
    assert (backbone.patch_grid, backbone.embed_dim, backbone.image_size) == ((7, 7), 384, 224)
    assert backbone.channels == ("headlight",) * 3


def test_reference_backbone():
    config = BackboneConfig.from_open_clip("ViT-L-14-336-quickgelu")
    assert config.quick_gelu
    assert (config.vision_layers, config.vision_heads, config.embed_dim, config.text_width) == (24, 16, 768, 768)
    assert config.first_vv_block == 6
    assert config.image_size // config.patch_size == 24


@pytest.mark.parametrize("first", [1, 2, 4])
@pytest.mark.parametrize("layer_scale", [None, 0.3])
def test_vv_stream_matches_the_twin(first, layer_scale):
    visual = tiny(vv_start=first, layer_scale=layer_scale).model.visual
    tokens, _ = embed_patches(visual, images(batch=1))
    _, vv = dense_tokens(visual, tokens, first)
    expected = vv_stream(list(visual.transformer.resblocks), tokens[0], first)
    torch.testing.assert_close(vv[0].double(), expected, atol=1e-5, rtol=0)


def test_vv_of_one_block_is_the_residual_form():
    visual = tiny(vision_layers=1).model.visual
    block = visual.transformer.resblocks[0]
    tokens, _ = embed_patches(visual, images(batch=1))
    _, vv = dense_tokens(visual, tokens, 1)
    expected = tokens[0].double() + vv_attention(block.attn, block.ln_1(tokens[0]))
    torch.testing.assert_close(vv[0].double(), expected, atol=1e-5, rtol=0)


def test_vv_leaves_the_original_stream_alone():
    x = images()
    a, b = tiny(vv_start=1), tiny(vv_start=4)
    torch.testing.assert_close(a.encode_image(x).global_features, b.encode_image(x).global_features, atol=1e-6, rtol=0)
    assert not torch.allclose(a.encode_image(x).patch_features, b.encode_image(x).patch_features, atol=1e-3)


def test_attention_written_out_is_the_fused_one():
    generator = torch.Generator().manual_seed(1)
    query, key, value = (torch.randn(2, 3, n, 16, generator=generator) for n in (5, 9, 9))
    fused = attend(query, key, value)
    written_out = attend(query.bfloat16(), key.bfloat16(), value.bfloat16())
    torch.testing.assert_close(written_out.float(), fused, atol=0.03, rtol=0)


def test_bfloat16_is_close_and_comes_back_as_float32():
    exact = tiny()
    fast = Backbone(exact.model, exact.config, precision="bfloat16")
    x = images()
    for mine, theirs in zip(exact.encode_image(x)[:2], fast.encode_image(x)[:2], strict=True):
        assert theirs.dtype == torch.float32
        assert (mine * theirs).sum(-1).min() > 0.999


def test_a_result_depends_on_its_own_batch():
    backbone, x = tiny(), images(batch=3)
    whole, alone = backbone.encode_image(x), backbone.encode_image(x[1:2])
    again = backbone.encode_image(x)
    assert torch.equal(whole.patch_features, again.patch_features)
    # Bit for bit holds for equal batches; kernels are chosen by batch size, so other compositions agree to rounding.
    torch.testing.assert_close(whole.patch_features[1:2], alone.patch_features, atol=1e-6, rtol=0)
    torch.testing.assert_close(whole.global_features[1:2], alone.global_features, atol=1e-6, rtol=0)


def test_other_image_sizes_resize_the_positions_as_open_clip_does():
    backbone, larger = tiny(), copy.deepcopy(tiny(image_size=48))
    state = {key: value.clone() for key, value in backbone.model.state_dict().items()}
    open_clip.model.resize_pos_embed(state, larger.model)
    larger.model.load_state_dict(state)
    x = images(side=48)
    tokens = backbone.encode_image(x)
    assert tokens.grid == (6, 6)
    torch.testing.assert_close(tokens.global_features, larger.encode_image(x).global_features, atol=1e-6, rtol=0)
    assert backbone.encode_image(x[:, :, :24]).grid == (3, 6)


@pytest.mark.parametrize("shape", [(2, 3, 30, 32), (2, 4, 32, 32), (1, 3, 0, 32)])
def test_images_that_do_not_fit_are_refused(shape):
    with pytest.raises(ConfigError, match="images do not fit"):
        tiny().encode_image(torch.zeros(shape))


def test_normalize_is_per_channel():
    backbone = build_backbone(replace(TINY, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0)))
    out = backbone.normalize(torch.ones(1, 3, 2, 2))
    torch.testing.assert_close(out[0, :, 0, 0], torch.tensor([1.8, 0.8, 0.35]))


def test_text_is_encode_text():
    backbone = tiny()
    tokens = backbone.tokenize(["object.", "a photo of a damaged sphere with a crack"])
    assert torch.equal(tokens, open_clip.tokenize(["object.", "a photo of a damaged sphere with a crack"], 20))
    expected = backbone.model.encode_text(tokens, normalize=True)
    torch.testing.assert_close(backbone.encode_text(tokens), expected, atol=1e-5, rtol=0)
    with pytest.raises(ConfigError, match="caption is too long"):
        backbone.tokenize("a " * 30)


def test_everything_trains_through_both_streams():
    backbone = build_backbone(replace(TINY, conv_stem=True), precision="bfloat16")
    tokens = backbone.encode_image(images())
    text = backbone.encode_text(backbone.tokenize(["object.", "damaged object."]))
    (tokens.patch_features @ text.T).sum().add((tokens.global_features @ text.T).square().sum()).backward()
    without = [name for name, value in backbone.model.named_parameters() if value.grad is None]
    assert without == ["logit_scale"]


def test_building_is_seeded_and_leaves_the_global_state():
    before = torch.get_rng_state()
    first, second, other = (build_backbone(TINY, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert first.digest == second.digest != other.digest
    assert len(first.digest) == 16


@pytest.mark.parametrize(
    "changes",
    [
        {"vision_heads": 5},
        {"text_heads": 3},
        {"image_size": 36},
        {"pool": "max"},
        {"vv_start": 9},
        {"vision_layers": 10**9},
        {"vision_width": 0},
        {"channels": ()},
        {"mean": (0.0,)},
        {"std": (1.0, 0.0, 1.0)},
        {"mlp_ratio": 0.0},
        {"conv_stem": True, "patch_size": 1},
    ],
    ids=str,
)
def test_configs_that_cannot_be_are_refused(changes):
    with pytest.raises(ConfigError, match="expected"):
        replace(TINY, **changes)


def test_a_misspelt_or_mistyped_config_is_refused():
    with pytest.raises(ConfigError, match="widht"):
        from_table(BackboneConfig, {"widht": 3})
    with pytest.raises(ConfigError, match="another type"):
        from_table(BackboneConfig, {"channels": 3})
    assert from_table(BackboneConfig, json.loads(json.dumps(asdict(TINY)))) == TINY


@pytest.mark.parametrize("name", ["no-such-model", "RN50", "coca_ViT-B-32", "ViT-B-16-SigLIP"])
def test_architectures_without_dense_tokens_are_refused(name):
    with pytest.raises(ConfigError, match=name):
        BackboneConfig.from_open_clip(name)


def test_models_that_do_not_fit_are_refused():
    backbone = tiny()
    with pytest.raises(ConfigError, match="precision"):
        Backbone(backbone.model, backbone.config, precision="float8")
    with pytest.raises(WeightsError, match="activation"):
        Backbone(backbone.model, replace(backbone.config, quick_gelu=True))
    model = copy.deepcopy(backbone.model)
    model.visual = torch.nn.Identity()
    with pytest.raises(ConfigError, match="dense tokens"):
        Backbone(model, backbone.config)


# --- weights -----------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    save_backbone(tiny(), path, {"seed": 3}, dtype=torch.float32)
    return path


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_round_trip(tmp_path, dtype):
    backbone, path = tiny(conv_stem=True), tmp_path / "folder" / "small.safetensors"
    digest = save_backbone(backbone, path, {"licence": "Apache-2.0"}, dtype=dtype)
    loaded = load_backbone(path, precision="float32")
    assert loaded.digest == digest == json.loads(path.with_suffix(".json").read_text())["digest"]
    assert json.loads(path.with_suffix(".json").read_text())["licence"] == "Apache-2.0"
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["small.json", "small.safetensors"]
    assert (loaded.config, loaded.name, loaded.training) == (backbone.config, backbone.name, False)
    assert not any(value.requires_grad for value in loaded.parameters())
    tolerance = {torch.float32: 0, torch.float16: 0.005, torch.bfloat16: 0.05}[dtype]
    mine, theirs = backbone.encode_image(images()), loaded.encode_image(images())
    torch.testing.assert_close(mine.patch_features, theirs.patch_features, atol=tolerance, rtol=0)
    tokens = backbone.tokenize("object.")
    torch.testing.assert_close(backbone.encode_text(tokens), loaded.encode_text(tokens), atol=tolerance, rtol=0)


def test_token_rows_keep_the_captions_and_drop_the_rest(tmp_path):
    backbone, path = tiny(), tmp_path / "small.safetensors"
    whole = tmp_path / "whole.safetensors"
    captions = backbone.tokenize(["object.", "damaged object."])
    save_backbone(backbone, whole, dtype=torch.float32)
    digest = save_backbone(backbone, path, token_rows=captions, dtype=torch.float32)
    assert path.stat().st_size < whole.stat().st_size / 5
    loaded = load_backbone(path, precision="float32")
    assert loaded.digest == digest != backbone.digest
    assert torch.equal(loaded.encode_text(captions), backbone.encode_text(captions))
    kept = loaded.model.token_embedding.weight.any(1)
    assert kept.nonzero().flatten().tolist() == captions.unique().tolist()


@pytest.mark.parametrize("rows", [[-1], [49408], []], ids=str)
def test_token_rows_outside_the_vocabulary_are_refused(tmp_path, rows):
    with pytest.raises(WeightsError, match="vocabulary"):
        save_backbone(tiny(), tmp_path / "small.safetensors", token_rows=torch.tensor(rows, dtype=torch.int64))


def test_weights_that_overflow_are_not_written(tmp_path):
    backbone = copy.deepcopy(tiny())
    backbone.model.ln_final.weight.fill_(1e6)
    with pytest.raises(WeightsError, match="overflow"):
        save_backbone(backbone, tmp_path / "small.safetensors", dtype=torch.float16)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_path_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match="cannot be written"):
        save_backbone(tiny(), tmp_path / "file" / "small.safetensors")


def test_missing_files_are_refused(tmp_path, monkeypatch):
    with pytest.raises(WeightsError, match="no such file"):
        load_backbone(tmp_path / "none.safetensors")
    monkeypatch.setattr(weights_module, "EMBEDDED", "assets/none.safetensors")
    with pytest.raises(WeightsError, match="no such file"):
        load_backbone("embedded")


def test_pickles_are_refused_unopened(tmp_path):
    for name, write in {
        "new.pt": lambda path: zipfile.ZipFile(path, "w").writestr("data.pkl", b"\x80\x04."),
        "old.pt": lambda path: path.write_bytes(b"\x80\x04K\x01."),
    }.items():
        path = tmp_path / name
        write(path)
        with pytest.raises(WeightsError, match=r"pickle.*safetensors\.torch\.save_file"):
            load_backbone(path)


@pytest.mark.parametrize("length", [128, 0x4B50])
def test_a_header_as_long_as_a_pickle_mark_is_no_pickle(tmp_path, length):
    header = json.dumps({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).encode()
    path = tmp_path / "small.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + header.ljust(length) + b"\x05")
    assert path.read_bytes()[:2] in (b"\x80\x00", b"PK")
    assert read_safetensors(path)[0]["a"].tolist() == [5]


@pytest.mark.parametrize("cut", [0, 3, 8, 100, -1])
def test_damaged_files_are_refused(saved, cut):
    saved.write_bytes(saved.read_bytes()[:cut])
    with pytest.raises(WeightsError, match="not safetensors, or is damaged"):
        load_backbone(saved)


def rewrite(path: Path, change, header=None, card: bool = False) -> None:
    state, metadata = read_safetensors(path)
    change(state)
    for key in metadata:
        values = json.loads(metadata[key])
        (header or (lambda values: None))(values)
        metadata[key] = json.dumps(values)
    save_file(state, path, metadata)
    if not card:
        path.with_suffix(".json").unlink()


def first_nan(state):
    state["ln_final.weight"][0] = torch.nan


TAMPERINGS = {
    "missing key": (lambda state: state.pop("ln_final.weight"), "missing .*ln_final.weight"),
    "unknown key": (lambda state: state.update(extra=torch.zeros(1)), "unknown .*extra"),
    "wrong shape": (lambda state: state.update({"ln_final.weight": torch.zeros(5)}), "wrong shape"),
    "not finite": (first_nan, "not finite"),
    "other values": (lambda state: state["ln_final.weight"].add_(1), "not the ones that the card describes"),
    "token rows": (lambda state: state.update(token_rows=torch.tensor([0, 1])), "token rows do not fit"),
}


@pytest.mark.parametrize(("change", "message"), TAMPERINGS.values(), ids=TAMPERINGS)
def test_tampered_weights_are_refused(saved, change, message):
    rewrite(saved, change)
    with pytest.raises(WeightsError, match=message):
        load_backbone(saved)


HEADERS = {
    "odd digest": lambda header: header.update(digest=[1]),
    "no digest": lambda header: header.pop("digest"),
    "unknown option": lambda header: header["config"].update(widht=3),
    "absurd size": lambda header: header["config"].update(vision_layers=10**9),
    "not a mapping": lambda header: header.update(config=[1]),
}


@pytest.mark.parametrize("change", HEADERS.values(), ids=HEADERS)
def test_forged_headers_are_refused(saved, change):
    rewrite(saved, lambda state: None, change)
    with pytest.raises(WeightsError, match=r"header is damaged|not the ones that the card describes"):
        load_backbone(saved)


def test_the_card_beside_the_file_is_checked(saved):
    card = saved.with_suffix(".json")
    card.write_text(json.dumps({"digest": "0" * 16}))
    with pytest.raises(WeightsError, match="not the ones that the card describes"):
        load_backbone(saved)
    card.write_text("{")
    with pytest.raises(WeightsError, match="card is not JSON"):
        load_backbone(saved)
    card.unlink()
    assert load_backbone(saved).digest == tiny().digest


# --- plain state dicts and the hub, with a tiny architecture in place of a large one --------------------------------


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bare state dict of an architecture named "tiny-quickgelu" or "tiny", with OpenAI's tag."""
    path = tmp_path / "open_clip_model.safetensors"
    save_file({**tiny(quick_gelu=True).model.state_dict(), "context_length": torch.tensor(20)}, path)
    configs = {"tiny": tiny().config, "tiny-quickgelu": tiny(quick_gelu=True).config}
    monkeypatch.setattr(BackboneConfig, "from_open_clip", lambda name: configs[name])
    tag = {"quick_gelu": True, "hf_hub": "someone/tiny/", "mean": (0.1, 0.2, 0.3), "std": (1.0, 2.0, 3.0)}
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda name, label: tag if label == "openai" else {})
    return path


def test_a_plain_state_dict_loads_by_architecture(plain):
    backbone = load_backbone(plain, architecture="tiny-quickgelu")
    assert backbone.digest == tiny(quick_gelu=True).digest
    assert backbone.config.mean == (0.1, 0.2, 0.3)
    assert torch.equal(backbone.model.attn_mask, tiny().model.attn_mask)


def test_plain_state_dicts_that_cannot_be_trusted_are_refused(plain):
    with pytest.raises(WeightsError, match="does not say what it is for"):
        load_backbone(plain)
    with pytest.raises(WeightsError, match=r"expected: QuickGELU; found: GELU.*-quickgelu"):
        load_backbone(plain, architecture="tiny")
    with pytest.raises(WeightsError, match="unknown weights"):
        load_backbone(plain, architecture="tiny-quickgelu", pretrained="nobody")


def test_unknown_architectures_are_refused(saved):
    plain = saved.with_name("plain.safetensors")
    save_file({"a": torch.zeros(1)}, plain)
    with pytest.raises(WeightsError, match="unknown architecture"):
        load_backbone(plain, architecture="ViT-Z")


def test_the_hub_gives_safetensors_and_the_right_activation(plain, monkeypatch):
    asked = []
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *where: asked.append(where) or str(plain))
    backbone = load_backbone("hub:tiny")
    assert asked == [("someone/tiny", "open_clip_model.safetensors")]
    assert backbone.config.quick_gelu
    assert backbone.name == "tiny/openai"


def test_without_a_network_the_hub_says_what_to_do(plain, monkeypatch):
    def offline(*where):
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    with pytest.raises(WeightsError, match=r"cannot be fetched.*no route.*weights import FILE"):
        load_backbone("hub:tiny")
