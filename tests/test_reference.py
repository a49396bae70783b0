"""PointAD's oracles on the real reference architecture, ViT-L-14-336 with random weights: no data, no download."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pointadplus import PointCloud, ZeroShotDetector
from pointadplus.clip import Backbone, BackboneConfig, build_backbone
from pointadplus.clip.surgery import dense_tokens, embed_patches
from pointadplus.prompts.learner import PromptLearner, state_probabilities
from pointadplus.zero_shot.detector import ZeroShotConfig
from pointadplus.zero_shot.model import ModelConfig, build_model
from pointadplus.zero_shot.observation import ObservationConfig
from tests.reference.vv_attention import vv_attention

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return build_backbone(BackboneConfig.from_open_clip("ViT-L-14-336-quickgelu"), precision="float32").freeze()


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(1, 3, 336, 336, generator=torch.Generator().manual_seed(0))


def test_the_global_feature_is_clips_own(backbone: Backbone, image: Tensor) -> None:
    with torch.no_grad():
        tokens = backbone.encode_image(image)
        expected = torch.nn.functional.normalize(backbone.model.encode_image(image), dim=-1)
    assert tokens.grid == (24, 24) and tokens.patch_features.shape == (1, 576, 768)
    torch.testing.assert_close(tokens.global_features, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(tokens.patch_features.norm(dim=-1), torch.ones(1, 576))


def test_values_attend_to_values_from_block_six_on(backbone: Backbone, image: Tensor) -> None:
    """vv_24 − x_5 is the sum over blocks 6 to 24 of VV(LN1(x)) of the untouched stream."""
    visual = backbone.model.visual
    with torch.no_grad():
        tokens, _ = embed_patches(visual, image[..., :42, :56])  # 12 patches tell as much as 576
        _, vv = dense_tokens(visual, tokens, backbone.config.first_vv_block)
        stream, total = tokens, torch.zeros_like(tokens).double()
        for number, block in enumerate(visual.transformer.resblocks, 1):
            if number == 6:
                start = stream.double()
            if number >= 6:
                total += vv_attention(block.attn, block.ln_1(stream[0]))
            stream = block(stream)
    torch.testing.assert_close(vv.double(), start + total, atol=1e-4, rtol=0)


def test_prompts_hold_43_008_parameters_and_end_where_pointads_do(backbone: Backbone) -> None:
    learner = PromptLearner(backbone)
    assert sum(value.numel() for value in learner.parameters()) == 2 * 12 * 768 + 8 * 4 * 768 == 43_008
    assert learner.eot.tolist() == [15, 16]
    features = torch.nn.functional.normalize(torch.randn(5, 768, generator=torch.Generator().manual_seed(1)), dim=1)
    with torch.no_grad():
        text = learner()
        cosines = features @ text.T
    expected = torch.sigmoid((cosines[:, 1] - cosines[:, 0]) / 0.07)
    torch.testing.assert_close(state_probabilities(features, text)[:, 1], expected)


@pytest.mark.parametrize("mode", ["pointad", "pointad+"])
def test_a_cloud_is_scored(backbone: Backbone, sphere: PointCloud, mode: str) -> None:
    model_config = ModelConfig(mode=mode, neighbors=8, strides=(1, 4))
    backbone = Backbone(backbone.model, backbone.config).freeze()  # at the precision that suits the machine
    model = build_model(backbone, model_config)
    looks = ObservationConfig(nodes=512, support=1000, rendered=1000, views="sphere1", framing="box")
    config = ZeroShotConfig("none", "", looks, model_config)
    detection = ZeroShotDetector.from_parts(backbone, model, config).score(sphere)
    assert detection.point_scores.shape == (1000,) and 0 < detection.object_score < 1
    plain = detection.valid_scores
    colored = ZeroShotDetector.from_parts(backbone, model, config).score(
        replace(sphere, colors=torch.rand(1000, 3, generator=torch.Generator().manual_seed(2))), rgb=True
    )
    assert not torch.equal(colored.valid_scores, plain) and "colors" in colored.layers
