"""`ZeroShotDetector` as its users meet it, on a small model."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import pointadplus
from pointadplus import PointCloud, ZeroShotDetector
from pointadplus.config import from_table
from pointadplus.errors import CloudError, ConfigError, WeightsError
from pointadplus.geometry.aggregation import build_graph
from pointadplus.zero_shot.detector import ZeroShotConfig
from pointadplus.zero_shot.fusion import FusionConfig, join_layers, object_score, top_mean
from pointadplus.zero_shot.model import PointADPlus
from pointadplus.zero_shot.observation import ObservationConfig, Observer
from tests.small import CHANNELS, MODEL, OBSERVATION, small_backbone_file, small_detector


def blob(count: int = 1500, seed: int = 0) -> torch.Tensor:
    """A lumpy closed surface, in millimetres, away from the origin."""
    rng = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=rng), dim=1)
    radius = 20 + 3 * torch.sin(4 * directions[:, :1]) + 2 * torch.cos(5 * directions[:, 1:2])
    return directions * radius + torch.tensor([100.0, -50.0, 7.0])


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> ZeroShotDetector:
    return small_detector(tmp_path_factory.mktemp("weights"))


def test_a_detection_has_one_score_a_point(detector):
    detection = detector.score(blob())
    assert detection.point_scores.shape == (1500,)
    assert detection.point_scores.dtype == torch.float32
    assert isinstance(detection.object_score, float)
    assert 0 <= detection.object_score <= 1
    assert detection.point_scores.std() > 1e-4, "the small model must tell points apart, or the tests below say nothing"
    assert set(detection.layers) == {"rendering", "geometry", "joined"}
    assert set(detection.seconds) == {
        "prepare", "descriptors", "symmetry", "render", "backbone", "lift", "layers", "to points",
    }  # fmt: skip
    torch.testing.assert_close(detection.layers["joined"], detection.point_scores)


def test_permuting_the_points_permutes_the_scores_bit_for_bit(detector):
    points = blob()
    shuffle = torch.randperm(1500, generator=torch.Generator().manual_seed(5))
    straight, shuffled = detector.score(points), detector.score(points[shuffle])
    assert torch.equal(straight.point_scores[shuffle], shuffled.point_scores)
    assert straight.object_score == shuffled.object_score


def test_a_score_does_not_depend_on_its_neighbours(detector):
    first, second = blob(), blob(2000, 1)
    alone = detector.score(first)
    together = list(detector.score_many([first, second, first]))
    for detection in (together[0], together[2]):
        assert torch.equal(alone.point_scores, detection.point_scores)
        assert alone.object_score == detection.object_score
    assert together[1].object_score != alone.object_score


def test_threads_do_not_change_a_score(detector):
    threads, scores = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            scores.append(detector.score(blob()).point_scores)
    finally:
        torch.set_num_threads(threads)
    # Matrix kernels split their sums by thread; the joint error stays far below what any ranking could see.
    torch.testing.assert_close(scores[0], scores[1], atol=2e-3, rtol=0)


def test_moving_and_scaling_the_object_changes_little(detector):
    points = blob()
    still, moved = detector.score(points), detector.score(points * 0.001 + torch.tensor([0.01, 0.02, 0.03]))
    torch.testing.assert_close(still.point_scores, moved.point_scores, atol=0.05, rtol=0)


def test_rows_without_a_point_get_no_score_and_shift_nothing(detector):
    points = blob()
    holed = torch.full((1502, 3), float("nan"))
    rows = torch.cat([torch.arange(1, 700), torch.arange(701, 1502)])
    holed[rows] = points
    plain, organised = detector.score(points), detector.score(holed)
    assert organised.dropped == 2
    assert organised.point_scores.shape == (1502,)
    assert organised.point_scores[[0, 700]].isnan().all()
    assert torch.equal(organised.point_scores[rows], plain.point_scores)


def test_every_kind_of_source_scores_alike(detector, tmp_path: Path):
    points = blob()
    expected = detector.score(points).point_scores
    path = tmp_path / "scan.npy"
    np.save(path, points.numpy())
    sources = [points.numpy(), points.double(), points.tolist(), PointCloud.create(points), path, str(path)]
    for source in sources:
        assert torch.equal(detector.score(source).point_scores, expected)


def test_a_mesh_is_sampled_with_a_fixed_seed(detector):
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions=3)
    first, second = detector.score(mesh), detector.score(mesh)
    assert len(first.cloud) == 100_000
    assert torch.equal(first.point_scores, second.point_scores)


@pytest.mark.parametrize("count", [1, 2, 9, 70])
def test_tiny_clouds_are_scored_too(detector, count):
    detection = detector.score(blob(count))
    assert torch.isfinite(detection.point_scores).all()


def test_coinciding_points_are_scored_too(detector):
    assert torch.isfinite(detector.score(torch.ones(50, 3)).point_scores).all()


def test_what_is_no_cloud_is_refused(detector):
    for source in (torch.zeros(0, 3), torch.zeros(5, 2), [["a", "b", "c"]], torch.full((4, 3), float("inf"))):
        with pytest.raises(CloudError):
            detector.score(source)


def test_scoring_leaves_the_global_random_state(detector):
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 - the global state is what must not move
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    detector.score(blob())
    first, second = (PointADPlus(detector.backbone, MODEL).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first), "equal seeds give equal weights"
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002


def test_save_and_load_give_the_same_scores(detector, tmp_path: Path):
    path = tmp_path / "detector.safetensors"
    detector.save(path, {"seed": 0})
    loaded = ZeroShotDetector.load(path)
    again = tmp_path / "again.safetensors"
    loaded.save(again)
    assert path.read_bytes() == again.read_bytes()
    torch.testing.assert_close(
        loaded.score(blob()).point_scores, detector.score(blob()).point_scores, atol=0.02, rtol=0
    )
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["seed"] == 0
    assert card["config"]["digest"] == detector.backbone.digest


def test_weights_of_another_backbone_are_refused(detector, tmp_path: Path):
    path = tmp_path / "detector.safetensors"
    detector.save(path)
    with pytest.raises(WeightsError, match="another backbone"):
        ZeroShotDetector(path, backbone=small_backbone_file(tmp_path, seed=1))


def test_files_that_are_no_detector_are_refused(tmp_path: Path, detector):
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, other)
    with pytest.raises(WeightsError, match="not the weights of a zero-shot detector"):
        ZeroShotDetector(other)
    with pytest.raises(WeightsError, match="no such file"):
        ZeroShotDetector(tmp_path / "missing.safetensors")
    short = tmp_path / "short.safetensors"
    state = {key: value.half() for key, value in detector.model.state_dict().items() if "pool" not in key}
    save_file(state, short, {"pointadplus.zero_shot": json.dumps(asdict(detector.config))})
    with pytest.raises(WeightsError, match="do not fit the model"):
        ZeroShotDetector(short)


def test_a_config_survives_json_and_refuses_unknown_keys():
    config = ZeroShotConfig("embedded", "abc", OBSERVATION, MODEL)
    values = json.loads(json.dumps(asdict(config)))
    assert from_table(ZeroShotConfig, values) == config
    with pytest.raises(ConfigError, match="unknown"):
        from_table(ZeroShotConfig, {**values, "sigm": 1})
    with pytest.raises(ConfigError, match="unknown"):
        from_table(ZeroShotConfig, {**values, "observation": {**values["observation"], "nods": 1}})


@pytest.mark.parametrize("options", [{"geometry": 1.5}, {"sigma": -1.0}, {"top": 0.0}, {"pooled": 0.7, "views": 0.4}])
def test_fusion_options_out_of_range_are_refused(options):
    with pytest.raises(ConfigError, match="out of range"):
        FusionConfig(**options)


def test_observation_options_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="out of range"):
        ObservationConfig(nodes=100, support=50)
    with pytest.raises(ConfigError, match="out of range"):
        ObservationConfig(nodes=100, support=500, rendered=50)
    with pytest.raises(ConfigError, match="out of range"):
        replace(OBSERVATION, samples=0)
    with pytest.raises(ConfigError, match="descriptor channels"):
        Observer(CHANNELS, 32, replace(OBSERVATION, rendered=1000))
    with pytest.raises(ConfigError, match="out of range"):
        replace(MODEL, temperature=0.0)


def test_each_look_takes_other_nodes_and_looks_are_averaged(detector):
    cloud = PointCloud.create(blob())
    first, second = detector.observer.pictures(cloud)
    assert second.symmetries is first.symmetries
    assert torch.equal(second.order, first.order.roll(-256))
    alone = detector.observer.picture(cloud, sample=1)
    assert torch.equal(alone.nodes, second.nodes)
    assert torch.equal(alone.descriptors.features, second.descriptors.features)
    assert torch.cdist(first.nodes, second.nodes).min() > 0
    assert detector.observer.samples(cloud) == 2
    assert detector.observer.samples(PointCloud.create(blob(200))) == 1
    from pointadplus.zero_shot.observation import Stopwatch

    looks = [detector._look(cloud, sample, (first, second)[sample], Stopwatch(), False) for sample in range(2)]
    assert torch.equal(looks[0].order, looks[1].order)
    expected = (looks[0].odds + looks[1].odds)[:, 2].div(2).sigmoid()
    torch.testing.assert_close(detector.score(cloud).point_scores[looks[0].order], expected)


def test_an_observer_without_descriptor_channels_draws_more_points_than_nodes():
    observer = Observer(("headlight", "depth"), 32, replace(OBSERVATION, rendered=1500))
    picture = observer.picture(PointCloud.create(blob()))
    assert picture.index.max() > 256
    assert picture.pixels.shape == (4, 256, 2)
    assert picture.images.shape == (4, 2, 32, 32)


def test_joining_layers_and_object_score_are_what_they_say():
    points = blob(300)
    graph = build_graph(points, torch.nn.functional.normalize(points, dim=1), points[0], 6, (1,))
    rendering, geometry = torch.rand(2, 300, generator=torch.Generator().manual_seed(0))
    plain = FusionConfig(geometry=0.25, sigma=0.0, top=0.01, pooled=0.3, views=0.2)
    joined = join_layers(rendering, geometry, graph, plain)
    odds = rendering / (1 - rendering), geometry / (1 - geometry)
    torch.testing.assert_close(joined / (1 - joined), odds[0] ** 0.75 * odds[1] ** 0.25, rtol=1e-3, atol=1e-5)
    assert top_mean(joined, 0.01) == joined.topk(3).values.mean()
    assert top_mean(torch.tensor([0.2, 0.9]), 0.01) == torch.tensor(0.9)
    score = object_score(joined, torch.tensor(0.6), torch.tensor([0.1, 0.3]), plain)
    torch.testing.assert_close(score, 0.5 * joined.topk(3).values.mean() + 0.3 * 0.6 + 0.2 * 0.2)


def test_the_package_names_its_public_surface():
    assert set(pointadplus.__all__) <= set(dir(pointadplus))
    for name in pointadplus.__all__:
        assert getattr(pointadplus, name) is not None
    with pytest.raises(AttributeError):
        pointadplus.Detecter  # noqa: B018
