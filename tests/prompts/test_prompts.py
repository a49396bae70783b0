"""Prompt learners: PointAD's counts and positions, what learns and what does not, and the words."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from pointadplus.clip import Backbone, BackboneConfig, build_backbone, load_backbone, save_backbone
from pointadplus.errors import ConfigError
from pointadplus.prompts import (
    DEFECT_KINDS,
    HierarchicalPrompts,
    PromptConfig,
    PromptLearner,
    captions,
    state_probabilities,
    vocabulary,
)

SMALL = BackboneConfig(
    embed_dim=24,
    image_size=16,
    vision_width=32,
    vision_heads=2,
    vision_layers=1,
    text_width=16,
    text_heads=2,
    text_layers=4,
    channels=("headlight",) * 3,
)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return build_backbone(SMALL, seed=1, precision="float32").freeze()


def test_parameters_and_positions_are_those_of_pointad():
    # The text tower of ViT-L-14-336 (width 768, 12 blocks); its image tower plays no part in the count.
    with torch.device("meta"):
        large = build_backbone(replace(SMALL, text_width=768, text_layers=12, text_heads=12, text_context=77))
    large.to_empty(device="cpu").model.token_embedding.weight.data.fill_(1.0)
    learner = PromptLearner(large)
    assert sum(value.numel() for value in learner.parameters()) == 2 * 12 * 768 + 8 * 4 * 768 == 43_008
    assert learner.eot.tolist() == [15, 16]
    assert learner.deep.shape == (8, 4, 768)


def test_context_is_drawn_small_and_differs_between_the_prompts(backbone):
    before = torch.get_rng_state()
    learner, again, other = (PromptLearner(backbone, PromptConfig(seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(learner.context, again.context)
    assert not torch.equal(learner.context, other.context)
    assert not torch.allclose(learner.context[0], learner.context[1])
    assert learner.context.std().item() == pytest.approx(0.02, rel=0.15)
    assert set(learner.state_dict()) == {"context", "deep"}


def test_features_are_those_of_the_whole_padded_sequence(backbone):
    """Stopping at the last end-of-text and inserting deep prompts equals open_clip's blocks run over all positions."""
    learner, model = PromptLearner(backbone), backbone.model
    tokens = torch.zeros(2, 32, dtype=torch.int64)
    tokens[:, 0] = backbone.tokenizer.sot_token_id
    for row, words in zip(tokens, ("object.", "damaged object."), strict=True):
        ids = [*backbone.tokenizer.encode(words), backbone.tokenizer.eot_token_id]
        row[13 : 13 + len(ids)] = torch.tensor(ids)
    x = model.token_embedding(tokens).clone()
    x[:, 1:13] = learner.context
    x = x + model.positional_embedding
    for index, block in enumerate(model.transformer.resblocks):
        if index >= 1:
            x = torch.cat([x[:, :1], learner.deep[index - 1].expand(2, -1, -1), x[:, 5:]], 1)
        x = block(x, attn_mask=model.attn_mask)
    x = model.ln_final(x)[torch.arange(2), tokens.argmax(1)] @ model.text_projection
    torch.testing.assert_close(learner(), F.normalize(x, dim=-1), atol=1e-5, rtol=0)


def test_deep_sets_stop_at_the_last_block(backbone):
    assert len(PromptLearner(backbone).deep) == 3
    assert len(PromptLearner(backbone, PromptConfig(deep_sets=2)).deep) == 2
    with pytest.raises(ConfigError, match="too many deep prompt sets"):
        backbone.encode_prompts(torch.zeros(1, 5, 16), torch.tensor([4]), [torch.zeros(1, 16)] * 4)
    with pytest.raises(ConfigError, match="prompt is too long"):
        backbone.encode_prompts(torch.zeros(1, 33, 16), torch.tensor([4]))


def test_words_start_where_the_text_tower_stands(backbone):
    config = PromptConfig(context=5, init="words", phrases=("a normal", "a"))
    expected = backbone.encode_text(backbone.tokenize(["a a a a normal object.", "a a a a a damaged object."]))
    torch.testing.assert_close(PromptLearner(backbone, config)(), expected, atol=1e-6, rtol=0)


def test_gradients_reach_the_prompts_and_not_the_backbone(backbone):
    prompts = HierarchicalPrompts(backbone)
    rendering, _ = prompts()
    (rendering[0] - rendering[1]).square().sum().backward()
    assert all(float(value.grad.abs().sum()) > 0 for value in prompts.rendering.parameters())
    assert all(value.grad is None for value in prompts.geometry.parameters())
    assert all(value.grad is None for value in backbone.parameters())
    assert len(list(prompts.parameters())) == 4


def test_the_two_layers_are_independent(backbone):
    prompts = HierarchicalPrompts(backbone)
    rendering, geometry = prompts()
    assert rendering.shape == geometry.shape == (2, 24)
    assert not torch.allclose(rendering, geometry)


def test_anomaly_probability_is_a_sigmoid_of_the_difference():
    generator = torch.Generator().manual_seed(0)
    features = F.normalize(torch.randn(3, 7, 24, generator=generator), dim=-1)
    text = F.normalize(torch.randn(2, 24, generator=generator), dim=-1)
    probabilities = state_probabilities(features, text)
    cosines = features @ text.T
    torch.testing.assert_close(probabilities[..., 1], torch.sigmoid((cosines[..., 1] - cosines[..., 0]) / 0.07))
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(3, 7))


@pytest.mark.parametrize(
    "changes", [{"context": 0}, {"deep_tokens": 13}, {"deep_sets": -1}, {"init": "zeros"}, {"std": 0.0}], ids=str
)
def test_prompt_configs_that_cannot_be_are_refused(changes):
    with pytest.raises(ConfigError, match=next(iter(changes))):
        PromptConfig(**changes)


def test_prompts_longer_than_the_context_are_refused(backbone):
    with pytest.raises(ConfigError, match="too long"):
        PromptLearner(backbone, PromptConfig(context=28))
    assert PromptLearner(backbone, PromptConfig(context=27)).eot.tolist() == [30, 31]


def test_the_vocabulary_is_enough_for_prompts_and_captions(backbone, tmp_path):
    path = tmp_path / "small.safetensors"
    save_backbone(backbone, path, token_rows=backbone.tokenize(vocabulary(("sphere",))))
    loaded = load_backbone(path, precision="float32")
    for init in ("random", "words"):
        assert PromptLearner(loaded, PromptConfig(init=init))().isfinite().all()
    with pytest.raises(ConfigError, match="helicopter"):
        PromptLearner(loaded, PromptConfig(init="words", phrases=("a", "a helicopter")))


def test_captions_name_the_state_and_the_shape():
    assert "a flawless sphere" in captions("sphere")
    assert "a dented sphere" in captions("sphere", "dent")
    assert "a damaged sphere" in captions("sphere", "dent")
    assert set(DEFECT_KINDS) == {"bulge", "dent", "hole", "crack", "scratch", "broken", "bending", "roughness"}
    normal = set(captions("sphere"))
    assert all(normal.isdisjoint(captions("sphere", kind)) for kind in DEFECT_KINDS)
    with pytest.raises(KeyError):
        captions("sphere", "rust")
