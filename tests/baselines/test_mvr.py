"""MVR: its parts against naive twins, and the whole on parts made in code."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from reference import mvr as naive
from safetensors.torch import save_file
from torch import Tensor

from baselines import MVR, MVRConfig
from baselines.mvr.encoders import ClipEncoder, TimmEncoder, load_encoder
from baselines.mvr.looks import Look, Looker, not_scanned, small_turn
from baselines.mvr.loss import easy_share, hard_mining_cosine
from baselines.mvr.network import LinearAttention, Student, grouped, target_layers
from baselines.mvr.network import pooled as pooled_tokens
from baselines.mvr.optimizer import StableAdamW, scheduled_rate
from baselines.mvr.residuals import Usual, node_residuals
from baselines.mvr.training import new_student, train_student
from baselines.mvr.waves import WAVELENGTHS, WaveEncoder
from pointadplus.cloud import PointCloud
from pointadplus.errors import ConfigError, WeightsError
from pointadplus.evaluation import auroc
from pointadplus.geometry.registration import rotation_angles
from pointadplus.learning.synthesis.corpus import LabelledObject
from pointadplus.learning.synthesis.parts import Part, PartConfig

SMALL: dict[str, Any] = {
    "views": "faces6", "image_size": 64, "supersample": 2, "nodes": 1024, "support": 4096, "looks": 1, "steps": 40,
    "batch": 4, "precision": "float32",
}  # fmt: skip
SHARP = {**SMALL, "views": "sphere16", "image_size": 128, "supersample": 1, "nodes": 2048, "support": 8192}


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("size", "millions"), [("small", 37.4), ("base", 148.0), ("large", 413.5)])
def test_the_networks_are_as_large_as_published(size: str, millions: float) -> None:
    with torch.device("meta"):
        model = timm.create_model(
            f"vit_{size}_patch14_reg4_dinov2.lvd142m", pretrained=False, img_size=518, num_classes=0
        )
        student = Student(model.embed_dim, model.blocks[0].attn.num_heads)
    count = sum(parameter.numel() for module in (model, student) for parameter in module.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize(
    ("blocks", "layers"), [(12, (2, 3, 4, 5, 6, 7, 8, 9)), (24, (4, 6, 8, 10, 12, 14, 16, 18)), (6, (0, 1, 2, 3, 4, 5))]
)
def test_the_layers_are_dinomalys(blocks: int, layers: tuple[int, ...]) -> None:
    assert target_layers(blocks) == layers


def test_linear_attention_is_its_sum() -> None:
    attention, tokens = LinearAttention(12, 3), randn(2, 7, 12)
    torch.nn.init.eye_(attention.proj.weight)
    torch.nn.init.zeros_(attention.proj.bias)
    torch.nn.init.normal_(attention.qkv.weight, generator=torch.Generator().manual_seed(1))
    query, key, value = attention.qkv(tokens).chunk(3, -1)
    found = attention(tokens)
    for image in range(2):
        for head in range(3):
            part = slice(4 * head, 4 * head + 4)
            wanted = naive.linear_attention(query[image, :, part], key[image, :, part], value[image, :, part])
            torch.testing.assert_close(found[image, :, part], wanted, atol=1e-5, rtol=1e-4)


def test_the_last_block_restores_the_shallowest_layer() -> None:
    student = Student(8, 2, layers=3, dropout=0.0).eval()
    layers = randn(3, 2, 5, 8)
    tokens = student.bottleneck(layers.mean(0))
    restored = student(layers)
    for depth, block in enumerate(student.decoder):
        tokens = block(tokens)
        torch.testing.assert_close(restored[2 - depth], tokens)


def test_groups_are_means_of_neighbouring_layers() -> None:
    layers = randn(8, 1, 2, 3)
    torch.testing.assert_close(grouped(layers, 2), torch.stack([layers[:4].mean(0), layers[4:].mean(0)]))
    assert grouped(layers[:1], 2).shape == (1, 1, 2, 3)  # one layer makes one group


@pytest.mark.parametrize("easy", [0.0, 0.5, 0.9])
def test_the_loss_and_its_gradient(easy: float) -> None:
    teacher, student = randn(2, 3, 5, 4), randn(2, 3, 5, 4, seed=1).requires_grad_()
    loss = hard_mining_cosine(teacher, student, easy, 0.1)
    (gradient,) = torch.autograd.grad(loss, student)
    values, gradients = zip(
        *(naive.hard_mining_gradient(t, s, easy, 0.1) for t, s in zip(teacher, student.detach(), strict=True)),
        strict=True,
    )
    torch.testing.assert_close(loss.detach(), torch.stack(values).mean())
    torch.testing.assert_close(gradient, torch.stack(gradients) / 2, atol=1e-7, rtol=1e-4)


def test_the_share_of_easy_points_grows() -> None:
    assert [easy_share(step, 0.9, 100) for step in (0, 50, 100, 1000)] == pytest.approx([0.0, 0.45, 0.9, 0.9])
    assert easy_share(0, 0.9, 0) == 0.9


@pytest.mark.parametrize("amsgrad", [True, False])
def test_stable_adamw_is_its_definition(amsgrad: bool) -> None:
    start = randn(3, 4)
    gradients = [randn(3, 4, seed=step) * (20.0 if step == 5 else 0.1) for step in range(1, 12)]  # one that outgrows
    parameter = torch.nn.Parameter(start.double())
    optimizer = StableAdamW([parameter], lr=0.05, weight_decay=0.01, eps=1e-8, amsgrad=amsgrad)
    for gradient in gradients:
        parameter.grad = gradient.double()
        optimizer.step()
    wanted = naive.stable_adamw(start, gradients, 0.05, 0.01, 1e-8, amsgrad)
    torch.testing.assert_close(parameter.detach().float(), wanted, atol=1e-5, rtol=1e-4)


def test_the_rate_warms_up_and_falls() -> None:
    rates = [scheduled_rate(step, 300, 1.0, 0.1, 30) for step in range(300)]
    assert rates[0] == pytest.approx(1 / 30) and rates[29] == rates[30] == 1.0 and rates[-1] == pytest.approx(0.1)
    assert all(later <= earlier for earlier, later in pairwise(rates[30:]))


def test_pooled_tokens_are_means_of_squares() -> None:
    tokens = randn(2, 3 + 64, 5)
    found = pooled_tokens(tokens, 3, 8)
    assert torch.equal(found[:, :3], tokens[:, :3])
    torch.testing.assert_close(found[:, 3:], tokens[:, 3:].mean(1, keepdim=True).expand(-1, 64, -1))
    torch.testing.assert_close(pooled_tokens(tokens, 3, 1), tokens)
    ramp = torch.arange(8.0).repeat(8, 1).flatten()[None, :, None]  # means of pairs, drawn as large, ramp as well
    wanted = torch.tensor([0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 6.5]).repeat(8)[None, :, None]
    torch.testing.assert_close(pooled_tokens(ramp, 0, 2), wanted)


def test_queries_start_as_the_mean_and_see_no_single_patch() -> None:
    places = randn(3, 16, 36)
    student = Student(36, 4, 1, 0.0, places, side=4).eval()
    layers = randn(1, 3, 16, 36, seed=1)
    torch.testing.assert_close(student(layers)[0], places, atol=0.2, rtol=0)
    assert torch.equal(student(layers[:, 2:], torch.tensor([2])), student(layers)[:, 2:])
    moved = layers.clone()
    moved[0, 0, [0, 5]] = moved[0, 0, [5, 0]]  # the means stay
    torch.testing.assert_close(student(moved), student(layers))


def test_waves_are_a_kernel_of_the_depth_between_surfaces() -> None:
    encoder = WaveEncoder()
    depth = torch.linspace(0.3, 0.5, 41)[:, None, None, None].expand(-1, 1, 16, 16)
    tokens = encoder(torch.cat([depth, torch.ones_like(depth)], 1))
    assert tokens.shape == (1, 41, 4, encoder.width) and encoder.width == 36
    found = torch.nn.functional.cosine_similarity(tokens[0, :1], tokens[0], dim=-1)
    apart = torch.linspace(0, 0.2, 41)[:, None]
    wanted = torch.stack([torch.cos(2 * torch.pi * apart / wave) for wave in WAVELENGTHS]).mean(0)
    torch.testing.assert_close(found, wanted.expand(-1, 4), atol=1e-5, rtol=0)
    background = encoder(torch.zeros(1, 2, 16, 16))[0, 0]
    torch.testing.assert_close(background @ tokens[0, 0].T, torch.zeros(4, 4))
    assert torch.isfinite(background).all() and float(background.norm(dim=1).min()) == 2.0


def a_look(views: int = 4, nodes: int = 30) -> Look:
    generator = torch.Generator().manual_seed(5)
    visible = torch.rand(views, nodes, generator=generator) < 0.6
    visible[0, 1:] = True  # the first node is seen by none
    visible[:, 0] = False
    pixels = 32 * torch.rand(views, nodes, 2, generator=generator)
    return Look(randn(nodes, 3, seed=6), torch.zeros(views, 1, 32, 32), pixels, visible, 32)


@pytest.mark.parametrize("fusion", ["median", "mean", "features"])
@pytest.mark.parametrize("distance", ["chord", "cosine"])
def test_evidence_of_the_views_comes_together_as_written(fusion: str, distance: str) -> None:
    look, (expected, found) = a_look(), randn(2, 2, 4, 16, 6, seed=7)
    usual = Usual(look.nodes, look.visible, 0.5 + torch.rand(4, 16, generator=torch.Generator().manual_seed(8)))
    config = MVRConfig(fusion=fusion, distance=distance, visibility="seen", level=0.0)
    wanted = naive.node_residuals(
        expected, found, usual.maps, look.pixels / look.image_size, look.visible, look.nodes, fusion, distance
    )
    torch.testing.assert_close(node_residuals(expected, found, look, usual, config), wanted, atol=1e-5, rtol=1e-4)


def test_a_scan_counts_by_its_own_level() -> None:
    """Of a scan that leaves twice as much all over, nothing stands out any more than before."""
    look, (expected, found) = a_look(), randn(2, 1, 4, 16, 6, seed=7)
    maps = [Usual(look.nodes, look.visible, usual * torch.ones(4, 16)) for usual in (1.0, 0.5)]
    config = MVRConfig(visibility="seen")
    once, twice = (node_residuals(expected, found, look, usual, config) for usual in maps)
    torch.testing.assert_close(once, twice)
    assert float(once[look.visible.any(0)].quantile(config.level)) == pytest.approx(1.0, abs=1e-5)


def test_which_views_count() -> None:
    look, (expected, found) = a_look(), randn(2, 1, 4, 16, 6, seed=7)
    nothing = Usual(look.nodes, torch.zeros_like(look.visible), torch.ones(4, 16))
    first = Usual(look.nodes, torch.zeros_like(look.visible), torch.ones(4, 16))
    first.seen[0] = True

    def residuals(visibility: str, usual: Usual, kept: Look = look) -> Tensor:
        return node_residuals(expected, found, kept, usual, MVRConfig(visibility=visibility, fusion="mean", level=0.0))

    assert torch.equal(residuals("mutual", nothing), torch.zeros(30))
    alone = Look(look.nodes, look.images, look.pixels, look.visible & (torch.arange(4) == 0)[:, None], 32)
    torch.testing.assert_close(residuals("mutual", first), residuals("seen", first, alone))
    whole = Look(look.nodes, look.images, look.pixels, torch.ones_like(look.visible), 32)
    torch.testing.assert_close(residuals("all", first), residuals("seen", first, whole))


@pytest.fixture(scope="module")
def part() -> Part:
    return Part(3, PartConfig(family="brick", points=5000))


@pytest.fixture(scope="module")
def fitted(part: Part) -> MVR:
    state = torch.get_rng_state()
    detector = MVR(MVRConfig(**SHARP)).fit([part.scan(number).points for number in range(2)])
    assert torch.equal(state, torch.get_rng_state())
    return detector


def test_the_embedded_encoder_gives_its_blocks() -> None:
    encoder = ClipEncoder(precision="float32")
    images = torch.rand(2, len(encoder.channels), 96, 96, generator=torch.Generator().manual_seed(0))
    layers = encoder(images)
    assert layers.shape == (6, 2, 145, encoder.width)
    # The class token that leaves the last block is what the backbone makes its global feature of.
    visual = encoder.backbone.model.visual
    pooled = torch.nn.functional.normalize(visual.ln_post(layers[-1][:, 0]) @ visual.proj, dim=1)
    wanted = encoder.backbone.encode_image(encoder.backbone.normalize(images)).global_features
    torch.testing.assert_close(pooled, wanted, atol=1e-4, rtol=1e-4)


def test_one_cloud_can_be_learnt_by_heart(part: Part) -> None:
    config = MVRConfig(**{**SMALL, "steps": 100, "dropout": 0.0})
    encoder = load_encoder(config.encoder, config.image_size, precision="float32")
    cloud = PointCloud.create(part.scan(0).points)
    look = Looker.at(cloud, config, encoder.channels).look(cloud.points)
    losses = train_student(new_student(encoder, config), encoder, [encoder(look.images)], config)
    assert len(losses) == 100
    assert losses[-1] < 0.2 * losses[0]


def pooled(detector: MVR, scans: list[LabelledObject]) -> tuple[list[float], float]:
    found = [detector.score(scan.points) for scan in scans]
    labels = torch.cat([scan.labels for scan in scans]).numpy()
    return [each.object_score for each in found], auroc(
        labels, torch.cat([each.point_scores for each in found]).numpy()
    )


def test_defects_are_found_in_any_pose(part: Part, fitted: MVR) -> None:
    scans = [part.scan(10), part.scan(11), part.scan(12, "hole"), part.scan(13, "bulge"), part.scan(14, "broken")]
    objects, points = pooled(fitted, scans)
    assert points > 0.85
    assert min(objects[2], objects[4]) > max(objects[:2])  # the bulge is small


def test_progress_is_told(part: Part) -> None:
    told: list[tuple[str, int, int, float | None]] = []
    detector = MVR(MVRConfig(**{**SMALL, "steps": 3})).fit([part.scan(0).points], lambda *step: told.append(step))
    learning = [step for step in told if step[0] == "learning"]
    assert learning == [("learning", step, 3, loss) for step, loss in enumerate(detector.losses, 1)]
    assert {step[0] for step in told} == {"encoding", "learning"}


def test_a_score_is_its_clouds_own(part: Part, fitted: MVR) -> None:
    one, other = part.scan(12, "hole").points, part.scan(10).points
    alone = fitted.score(one)
    first, _ = fitted.score_many([one, other])
    assert alone.object_score == first.object_score and torch.equal(alone.point_scores, first.point_scores)
    order = torch.randperm(len(one), generator=torch.Generator().manual_seed(0))
    turned = fitted.score(one[order])
    assert turned.object_score == alone.object_score
    assert torch.equal(turned.point_scores, alone.point_scores[order])


def test_one_side_of_a_part_is_no_defect(part: Part, fitted: MVR) -> None:
    half = fitted.score(part.scan(20, one_sided=True).points)
    damaged = fitted.score(part.scan(12, "hole").points)
    assert half.object_score < damaged.object_score


def test_what_was_not_scanned_is_drawn_beside_the_scan() -> None:
    ball = torch.nn.functional.normalize(randn(4000, 3), dim=1)
    scan = torch.nn.functional.normalize(randn(4000, 3, seed=1), dim=1)
    assert not_scanned(scan, ball, 0.1) is None
    lacking = not_scanned(scan[scan[:, 0] > 0], ball, 0.1)
    assert lacking is not None
    assert float(lacking[:, 0].max()) < 0 and len(lacking) / len(ball) == pytest.approx(0.5, abs=0.1)
    hole = (scan - torch.tensor([1.0, 0.0, 0.0])).norm(dim=1) < 0.4  # 4 % of the ball
    assert not_scanned(scan[~hole], ball, 0.1) is None
    assert not_scanned(scan[~hole], ball, 0.01) is not None

    config = MVRConfig(**SMALL)
    looker = Looker.at(PointCloud.create(ball), config, ("depth",))
    alone, whole = looker.look(scan[:500]), looker.look(scan[:500], beside=lacking)
    assert len(alone.nodes) == len(whole.nodes) == 500
    assert len(looker.look(scan[:40], beside=ball.repeat(50, 1)).nodes) == 40  # however much it lacks
    assert whole.visible.shape == (6, len(whole.nodes)) and whole.pixels.shape == (6, len(whole.nodes), 2)
    distance = torch.cdist(whole.nodes, alone.nodes).amin(1)
    assert float(distance.max()) < 1e-3  # of what is drawn beside the scan no node is taken


def test_a_single_scan_is_enough() -> None:
    nut = Part(4, PartConfig(family="wing_nut", points=5000))
    detector = MVR(MVRConfig(**{**SHARP, "steps": 0})).fit([nut.scan(0).points])
    assert detector.losses == []
    objects, points = pooled(detector, [nut.scan(10), nut.scan(12, "hole"), nut.scan(14, "broken")])
    assert points > 0.95 and objects[0] < min(objects[1:])


def test_save_and_load(fitted: MVR, part: Part, tmp_path: Path) -> None:
    path = tmp_path / "part.safetensors"
    fitted.save(path)
    scan = part.scan(12, "hole").points
    loaded = MVR.load(path)
    assert loaded.config == fitted.config
    torch.testing.assert_close(loaded.score(scan).point_scores, fitted.score(scan).point_scores, atol=0.02, rtol=0)
    again = tmp_path / "again.safetensors"
    loaded.save(again)
    assert again.read_bytes() == path.read_bytes()


def test_another_encoder_is_refused(fitted: MVR, tmp_path: Path) -> None:
    fitted.save(tmp_path / "part.safetensors")
    model = timm.create_model("test_vit", pretrained=False, img_size=64, num_classes=0)
    with pytest.raises(WeightsError, match="another encoder"):
        MVR.load(tmp_path / "part.safetensors", TimmEncoder(model))


def test_other_files_are_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="not a part that MVR learnt"):
        MVR.load(tmp_path / "other.safetensors")


def test_nothing_learnt_nothing_scored(tmp_path: Path) -> None:
    detector = MVR(MVRConfig(**SMALL))
    with pytest.raises(ConfigError, match="call fit"):
        detector.score(randn(100, 3))
    with pytest.raises(ConfigError, match="call fit"):
        detector.save(tmp_path / "part.safetensors")
    with pytest.raises(ConfigError, match="at least one normal scan"):
        detector.fit([])


@pytest.mark.parametrize(
    "options",
    [
        {"fusion": "sum"},
        {"visibility": "none"},
        {"distance": "l2"},
        {"dropout": 1.0},
        {"support": 10},
        {"final_rate": 1.0},
        {"image_size": 100},
        {"layers": (3, 9)},
    ],
    ids=str,
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"MVRConfig.{next(iter(options))}"):
        MVR(MVRConfig(**options))


@pytest.fixture
def vit_file(tmp_path: Path) -> str:
    """Weights of a tiny vision transformer as timm writes them, for pictures of 160 pixels."""
    model = timm.create_model("test_vit", pretrained=False, num_classes=10)
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, tmp_path / "model.safetensors")
    return str(tmp_path / "model.safetensors")


def test_encoders_of_timm_load_from_files(vit_file: str) -> None:
    encoder = load_encoder(f"timm:test_vit@{vit_file}", 96, precision="float32")
    depth = torch.rand(2, 1, 96, 96, generator=torch.Generator().manual_seed(0))
    layers = encoder(depth)
    blocks, patches = len(encoder.layers), (96 // encoder.patch) ** 2
    assert encoder.channels == ("depth",)
    assert layers.shape == (blocks, 2, encoder.prefix + patches, encoder.width)
    assert not torch.equal(layers[:, 0], layers[:, 1])


def test_a_part_can_be_learnt_from_depth(vit_file: str, part: Part) -> None:
    config = MVRConfig(**{**SMALL, "encoder": f"timm:test_vit@{vit_file}", "steps": 5, "views": "cpmf27"})
    detection = MVR(config).fit([part.scan(0).points]).score(part.scan(1).points)
    assert torch.isfinite(detection.point_scores).all()


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="do not fit"):
        load_encoder(f"timm:test_vit@{tmp_path / 'model.safetensors'}", 96)


def test_a_hub_out_of_reach_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*arguments: Any, **options: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(WeightsError, match=r"no route to host.*timm:vit_small_patch14_reg4_dinov2.lvd142m@FILE"):
        load_encoder("timm:vit_small_patch14_reg4_dinov2.lvd142m", 224)


def test_an_unknown_model_is_told() -> None:
    with pytest.raises(ConfigError, match="unknown model"):
        load_encoder("timm:vit_enormous", 224)


def test_turns_are_small() -> None:
    generator = torch.Generator().manual_seed(0)
    turns = torch.stack([small_turn(3.0, generator) for _ in range(50)])
    angles = rotation_angles(turns)
    assert float(angles.max()) <= 3.01 and float(angles.max()) > 2.0
