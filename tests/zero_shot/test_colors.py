"""Colours at test time: an aligned image or the points' own, read by the same prompts, and how they join."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import Tensor

from pointadplus import PointCloud, ZeroShotDetector
from pointadplus.clip import Backbone, BackboneConfig, build_backbone, load_backbone, save_backbone
from pointadplus.config import from_table
from pointadplus.errors import CloudError, ConfigError
from pointadplus.geometry.aggregation import build_graph
from pointadplus.geometry.color_descriptors import COLOR_CHANNELS
from pointadplus.geometry.neighbors import smooth
from pointadplus.render import gather_at_points
from pointadplus.zero_shot.colors import draw_colors, observe_colors, sees_colors
from pointadplus.zero_shot.detector import ZeroShotConfig
from pointadplus.zero_shot.fusion import join_layers, object_score, pool_odds, top_mean
from pointadplus.zero_shot.model import PUBLISHED_SIGMA, Evidence, EvidencePlus, ModelConfig, build_model
from pointadplus.zero_shot.observation import Observation, Observer
from tests.small import MODEL, OBSERVATION

GRID = (40, 50)
COLORED = BackboneConfig(
    embed_dim=16, image_size=32, patch_size=8, vision_width=32, vision_layers=2, vision_heads=2, text_context=20,
    text_width=32, text_layers=2, text_heads=2, channels=("headlight",) * 3,
)  # fmt: skip


def detector(mode: str, colors: float = 0.5) -> ZeroShotDetector:
    backbone = build_backbone(COLORED, precision="float32").freeze()
    model_config = replace(MODEL, mode=mode, fusion=replace(MODEL.fusion, colors=colors))
    model = build_model(backbone, model_config)
    config = ZeroShotConfig("none", backbone.digest, replace(OBSERVATION, samples=1), model_config)
    return ZeroShotDetector.from_parts(backbone, model, config)


def picture_of(height: int = GRID[0], width: int = GRID[1]) -> np.ndarray:
    """(H, W, 3) uint8: red grows to the right, green downwards, blue is even."""
    down, right = np.mgrid[:height, :width]
    return np.stack([255 * right / (width - 1), 255 * down / (height - 1), 0 * right + 90], -1).astype(np.uint8)


@pytest.fixture
def scan() -> PointCloud:
    """An organised scan of a bump, with a hole and colours."""
    down, right = np.mgrid[: GRID[0], : GRID[1]].astype(np.float32)
    height = 8 * np.exp(-((down - 20) ** 2 + (right - 25) ** 2) / 60)
    points = np.stack([right, -down, height], -1)
    points[:5, :8] = np.nan
    return PointCloud.create(points, colors=picture_of() / 255.0)


def looked(cloud: PointCloud, rgb: object) -> tuple[Observation, Tensor, Tensor]:
    """What is seen of colours, beside the pictures that the backbone was shown and the nodes' own colours."""
    backbone = build_backbone(COLORED, precision="float32").freeze()
    observer = Observer(backbone.channels, 32, replace(OBSERVATION, samples=1))
    picture = observer.picture(cloud)
    shown: list[Tensor] = []
    original = backbone.normalize
    backbone.normalize = lambda images: (shown.append(images), original(images))[1]  # type: ignore[method-assign]
    seen = observe_colors(cloud, picture, rgb, observer, backbone)
    assert seen is not None and cloud.colors is not None
    return seen, shown[0], cloud.colors[picture.order[: len(picture.nodes)]]


def test_nodes_lie_where_the_image_shows_them(scan: PointCloud) -> None:
    seen, images, colors = looked(scan, picture_of())
    assert images.shape == (1, 3, 32, 32) and seen.visible.all() and seen.pixels.shape == (1, 256, 2)
    at_nodes = gather_at_points(images, seen.pixels, 32)[0]
    assert (at_nodes - colors).abs().amax() < 0.04  # a smooth picture, made smaller


def test_the_points_own_colours_are_drawn(scan: PointCloud) -> None:
    seen, images, colors = looked(scan, True)
    assert images.shape == (4, 3, 32, 32) and images.amin() >= 0 and images.amax() == 1
    drawn = images.permute(0, 2, 3, 1).flatten(0, 2)
    shown = drawn[(drawn < 1).any(1)]
    assert len(shown) > 200
    assert torch.cdist(shown, colors).amin(1).amax() < 2e-3  # each pixel shows a node's colour, unlit
    assert seen.visible.any(0).float().mean() > 0.5


@pytest.mark.parametrize("kind", ["path", "pillow", "floats", "tensor"])
def test_an_image_may_come_in_many_forms(scan: PointCloud, tmp_path: Path, kind: str) -> None:
    image = picture_of()
    Image.fromarray(image).save(tmp_path / "image.png")
    forms = {
        "path": tmp_path / "image.png",
        "pillow": Image.fromarray(image),
        "floats": image / 255.0,
        "tensor": torch.from_numpy(image),
    }
    method = detector("pointad+")
    expected = method.score(scan, rgb=image)
    assert torch.equal(method.score(scan, rgb=forms[kind]).valid_scores, expected.valid_scores)
    assert expected.layers.keys() == {"rendering", "geometry", "colors", "joined"} and "colors" in expected.seconds


@pytest.mark.parametrize("mode", ["pointad", "pointad+"])
def test_colours_change_the_score_and_nothing_else(scan: PointCloud, mode: str) -> None:
    method = detector(mode)
    plain, colored = method.score(scan), method.score(scan, rgb=picture_of())
    other = method.score(scan, rgb=255 - picture_of())
    assert "colors" not in plain.layers and "colors" not in plain.seconds
    assert torch.equal(colored.layers["rendering"], plain.layers["rendering"])
    assert not torch.equal(colored.valid_scores, plain.valid_scores)
    assert not torch.equal(colored.valid_scores, other.valid_scores)
    assert colored.object_score != plain.object_score
    shuffled = scan.select(torch.ones(len(scan), dtype=torch.bool))
    assert torch.equal(method.score(shuffled, rgb=picture_of()).valid_scores, colored.valid_scores)


def test_without_colours_there_is_nothing_to_read(scan: PointCloud) -> None:
    method = detector("pointad+")
    bare = replace(scan, colors=None)
    assert torch.equal(method.score(bare, rgb=True).valid_scores, method.score(bare).valid_scores)
    assert torch.equal(method.score(bare, rgb=True).layers["geometry"], method.score(bare).layers["geometry"])
    ignored = detector("pointad+", colors=0.0)
    plain, colored = ignored.score(scan), ignored.score(scan, rgb=True)
    torch.testing.assert_close(colored.valid_scores, plain.valid_scores, atol=1e-5, rtol=0)
    assert colored.object_score == pytest.approx(plain.object_score, abs=1e-5)


def evidence(mode: str, seed: int, count: int = 300) -> tuple[Evidence, ModelConfig]:
    source = torch.Generator().manual_seed(seed)
    points = torch.rand(count, 3, generator=source)
    config = replace(MODEL, mode=mode)
    graph = build_graph(points, points, points[0], config.neighbors, config.strides)
    values = [torch.rand(count, generator=source) for _ in range(2)]
    parts = values[0], torch.rand(4, 2, 2, generator=source), torch.rand(4, generator=source), (), graph
    if mode == "pointad":
        return Evidence(*parts), config
    return EvidencePlus(*parts, values[1], torch.rand((), generator=source), points), config


def test_pointad_joins_colours_as_published() -> None:
    (seen, config), (colors, _) = evidence("pointad", 0), evidence("pointad", 1)
    colors = replace(colors, graph=seen.graph)
    verdict = build_model(build_backbone(COLORED).freeze(), config).verdict(seen, None, colors)
    graph, mean = seen.graph, (seen.rendering + colors.rendering) / 2
    expected = smooth(mean, graph.neighbors, graph.distances, PUBLISHED_SIGMA)
    torch.testing.assert_close(verdict.layers["joined"], expected)
    both = (seen.views.mean() + colors.views.mean()) / 2
    torch.testing.assert_close(verdict.total, (expected.amax() + both) / 2)


def test_pointad_plus_joins_colours_by_log_odds() -> None:
    (seen, config), (colors, _) = evidence("pointad+", 0), evidence("pointad", 1)
    assert isinstance(seen, EvidencePlus)
    fusion = replace(config.fusion, colors=0.3)
    verdict = build_model(build_backbone(COLORED).freeze(), config).verdict(seen, fusion, colors)
    plain = join_layers(seen.rendering, seen.geometry, seen.graph, fusion)
    graph = seen.graph
    own = smooth(colors.rendering, graph.neighbors, graph.distances, fusion.sigma)
    torch.testing.assert_close(verdict.layers["joined"], pool_odds(plain, own, 0.3))
    total = object_score(plain, seen.pooled, seen.views, fusion)
    torch.testing.assert_close(verdict.total, pool_odds(total, top_mean(own, fusion.top), 0.3))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (picture_of(41, 50), r"\(40, 50\) pixels"),
        (picture_of()[..., :2], "not an image"),
        (picture_of().astype(np.float32), "values from 0 to 255"),
        ("missing.png", "not an image"),
    ],
)
def test_an_image_that_does_not_fit_is_refused(scan: PointCloud, image: object, message: str) -> None:
    with pytest.raises(CloudError, match=message):
        detector("pointad+").score(scan, rgb=image)


def test_an_image_asks_for_an_organised_scan() -> None:
    cloud = PointCloud.create(torch.randn(500, 3))
    with pytest.raises(CloudError, match="an organised scan"):
        detector("pointad+").score(cloud, rgb=picture_of())


# A tower that was not made for coloured pictures, with a stem of its own for what colours say


def stemmed(channels: tuple[str, ...] = tuple(COLOR_CHANNELS)) -> Backbone:
    config = from_table(BackboneConfig, {**asdict(COLORED), "channels": ("headlight", "variation"), "mean": (0.0,) * 2,
                                       "std": (1.0,) * 2, "conv_stem": True, "color_channels": channels})  # fmt: skip
    return build_backbone(config, precision="float32").freeze()


def test_a_second_stem_feeds_the_same_blocks() -> None:
    backbone, images = stemmed(), torch.rand(2, len(COLOR_CHANNELS), 32, 32)
    tokens = backbone.encode_image(images, colors=True)
    assert tokens.patch_features.shape == (2, 16, 16) and tokens.global_features.shape == (2, 16)
    visual = backbone.model.visual
    first, visual.conv1 = visual.conv1, visual.color_stem  # what enters by one stem could enter by the other
    backbone.config = replace(
        backbone.config, channels=tuple(COLOR_CHANNELS), mean=(0.0,) * len(COLOR_CHANNELS),
        std=(1.0,) * len(COLOR_CHANNELS),
    )  # fmt: skip
    assert torch.equal(backbone.encode_image(images).patch_features, tokens.patch_features)
    visual.conv1 = first


def test_a_second_stem_is_kept_with_the_weights_and_changes_nothing_else(tmp_path: Path) -> None:
    backbone, plain = stemmed(), stemmed(())
    assert not plain.color_channels and "visual.color_stem.0.weight" not in plain.model.state_dict()
    plain.model.load_state_dict(
        {key: value for key, value in backbone.model.state_dict().items() if ".color_stem." not in key}
    )
    images = torch.rand(1, 2, 32, 32)
    assert torch.equal(plain.encode_image(images).patch_features, backbone.encode_image(images).patch_features)
    digest = save_backbone(backbone, tmp_path / "stemmed.safetensors", dtype=torch.float32)
    loaded = load_backbone(tmp_path / "stemmed.safetensors", precision="float32")
    assert loaded.digest == digest == backbone.digest != plain.digest
    assert loaded.color_channels == tuple(COLOR_CHANNELS)
    with pytest.raises(ConfigError, match="do not fit the backbone"):
        plain.encode_image(images, colors=True)


@pytest.mark.parametrize("own", [False, True])
def test_colours_enter_by_the_second_stem(scan: PointCloud, own: bool) -> None:
    backbone = stemmed()
    observer = Observer(backbone.channels, 32, replace(OBSERVATION, samples=1))
    picture = observer.picture(scan)
    assert scan.colors is not None and sees_colors(backbone)
    seen = observe_colors(scan, picture, True if own else picture_of(), observer, backbone)
    assert seen is not None and torch.equal(seen.pixels, picture.pixels)
    images = draw_colors(scan, picture, scan.colors, observer)
    assert images.shape == (4, len(COLOR_CHANNELS), 32, 32) and images.abs().amax() <= 1
    assert (images[:, :, :1, :1] == 0).all()  # the background
    view, row, column = (picture.index >= 0).nonzero()[17].tolist()
    point = int(picture.order[picture.index[view, row, column]])
    torch.testing.assert_close(images[view, :3, row, column], torch.tanh(2 * scan.colors[point] - 1))
    torch.testing.assert_close(seen.patches, backbone.encode_image(images, colors=True).patch_features)


def test_the_embedded_detector_finds_a_stain_that_has_no_shape() -> None:
    source = torch.Generator().manual_seed(0)
    points = torch.nn.functional.normalize(torch.randn(12_000, 3, generator=source), dim=1) * torch.tensor([1, 1, 0.6])
    stain = (points - points[5]).norm(dim=1) < 0.2
    stripes = ((points[:, 2] * 8).floor() % 2)[:, None] * torch.tensor([0.3, 0.4, 0.1]) + 0.3
    grain = 0.01 * torch.randn(12_000, 3, generator=source)
    colors = (torch.where(stain[:, None], torch.tensor([0.5, 0.1, 0.1]), stripes) + grain).clamp(0, 1)
    whole = PointCloud.create(points, colors=(stripes + grain).clamp(0, 1))
    method = ZeroShotDetector()
    found, plain, sound = (
        method.score(cloud, rgb=rgb)
        for cloud, rgb in ((replace(whole, colors=colors), True), (whole, False), (whole, True))
    )
    assert roc_auc_score(stain, found.layers["colors"]) > 0.95
    assert roc_auc_score(stain, found.point_scores) > roc_auc_score(stain, plain.point_scores) + 0.1
    assert found.object_score > sound.object_score


def test_a_tower_that_sees_no_colours_says_so(scan: PointCloud) -> None:
    method = small_detector_without_colors()
    assert not sees_colors(method.backbone)
    with pytest.raises(ConfigError, match="sees no colours"):
        method.score(scan, rgb=picture_of())


def small_detector_without_colors() -> ZeroShotDetector:
    backbone = stemmed(())
    config = ZeroShotConfig("none", backbone.digest, OBSERVATION, MODEL)
    return ZeroShotDetector.from_parts(backbone, build_model(backbone, MODEL), config)
