"""`ZeroShotDetector.saliency`: it is the gradient that it says, follows its points, and shows where the damage is."""

from __future__ import annotations

import pickle
from itertools import chain
from pathlib import Path

import pytest
import torch
from sklearn.metrics import roc_auc_score

from pointadplus import PointCloud, ZeroShotDetector
from pointadplus.learning.synthesis.defects import Severity, apply_defect
from pointadplus.learning.synthesis.shapes import sample_shape
from pointadplus.zero_shot.explanation import Drawing, ObjectLogOdds, attributions
from pointadplus.zero_shot.observation import ObservationConfig, Observer
from tests.small import small_detector
from tests.zero_shot.test_detector import blob


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> ZeroShotDetector:
    return small_detector(tmp_path_factory.mktemp("weights"), precision="float32")


def log_odds_of(detector: ZeroShotDetector, cloud: PointCloud) -> tuple[ObjectLogOdds, list[torch.Tensor]]:
    """The function of the first look, and its inputs."""
    picture = detector.observer.picture(cloud)
    drawing = Drawing.of(picture, cloud, detector.observer)
    seen = detector.observer.observe(picture, detector.backbone)
    parts = detector.backbone, detector.model, detector.texts, detector.config.model.fusion
    return ObjectLogOdds(drawing, seen, *parts), [drawing.values, seen.descriptors, seen.features]


def test_gradients_are_those_of_the_object_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against central differences in float64, at the largest gradients and at random places of every input."""
    detector = small_detector(tmp_path, precision="float32")
    function, inputs = log_odds_of(detector, PointCloud.create(blob()))
    for module in (detector.backbone, detector.model):
        module.double()
    wide = lambda record, *names: [object.__setattr__(record, each, getattr(record, each).double()) for each in names]  # noqa: E731
    wide(function.drawing, "background", "pixels", "radius")
    wide(function.observation, "nodes", "normals", "pixels")
    object.__setattr__(function, "texts", tuple(each.double() for each in detector.texts))
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)  # the method's own roundings to float32
    exact = [each.double().requires_grad_() for each in inputs]
    gradients = torch.autograd.grad(function(*exact), exact)
    rng = torch.Generator().manual_seed(0)
    for number, gradient in enumerate(gradients):
        assert gradient.abs().max() > 1e-4
        chosen = [*gradient.abs().flatten().topk(4).indices, *torch.randint(gradient.numel(), (3,), generator=rng)]
        for place in chosen:
            ends = []
            for step in (-1e-5, 1e-5):
                moved = [each.detach().clone() for each in exact]
                moved[number].view(-1)[place] += step
                ends.append(function(*moved))
            slope = (ends[1] - ends[0]) / 2e-5
            torch.testing.assert_close(gradient.flatten()[place], slope, rtol=1e-4, atol=1e-9)


def test_an_attribution_is_gradient_times_distance_from_the_mean() -> None:
    rng = torch.Generator().manual_seed(0)
    values, descriptors, features = (torch.rand(*shape, generator=rng) for shape in ((2, 5, 3), (4, 2), (4, 3)))
    weights = [torch.randn(each.shape, generator=rng) for each in (values, descriptors, features)]
    linear = lambda *inputs: sum((weight * each).sum() for weight, each in zip(weights, inputs, strict=True))  # noqa: E731
    drawn, nodes = attributions(linear, values, descriptors, features)
    away = [each - each.mean(each.ndim - 2, keepdim=True) for each in (values, descriptors, features)]
    shares = [weight * each for weight, each in zip(weights, away, strict=True)]
    torch.testing.assert_close(drawn, shares[0].sum(0).square().sum(1).sqrt())
    torch.testing.assert_close(nodes, (shares[1].square().sum(1) + shares[2].square().sum(1)).sqrt())


@pytest.mark.parametrize("rendered", [None, 3000])
def test_the_soft_picture_shows_what_the_hard_one_shows(rendered: int | None) -> None:
    """A pixel of the hard picture has its front point's value; soft splats blend it with few others."""
    names = ("headlight", "depth", "normal_x", "normal_y", "normal_z", "mask")
    channels = names if rendered else (*names, "offset")
    observer = Observer(channels, 48, ObservationConfig(nodes=2000, support=3000, views="sphere4", rendered=rendered))
    cloud = PointCloud.create(blob(4000))
    picture = observer.picture(cloud)
    drawing = Drawing.of(picture, cloud, observer)
    assert len(drawing.points) == (rendered or 2000)
    torch.testing.assert_close(drawing.pixels[:, :2000], picture.pixels)
    shown = drawing.values[torch.arange(4)[:, None, None], picture.index.clamp_min(0)].permute(0, 3, 1, 2)
    hard = torch.where(picture.index[:, None] >= 0, shown, drawing.background[:, None, None])
    tight = [channels.index(name) for name in channels if name in ("depth", "mask", "offset")]
    torch.testing.assert_close(hard[:, tight], picture.images[:, tight])
    far = (hard - picture.images).abs() > 0.1  # lit along the point's ray, not the pixel's
    assert not far[:, 0].any()
    assert far.float().mean() < 0.01, "normals turn towards the eye, and at the rim that is a matter of the ray"
    soft = drawing.images(drawing.values)
    empty = soft[:, channels.index("mask")] == 0
    assert empty.any() and (soft[:, 0][empty] == 1).all() and (soft[:, 1][empty] == 0).all(), "white, and far away"
    solid = picture.index >= 0
    for channel in {0, *tight} - {channels.index("mask")}:
        assert torch.corrcoef(torch.stack([soft[:, channel][solid], picture.images[:, channel][solid]]))[0, 1] > 0.7


def test_saliency_follows_its_points(detector: ZeroShotDetector) -> None:
    points = blob()
    points[3] = float("nan")
    shuffle = torch.randperm(len(points), generator=torch.Generator().manual_seed(1))
    straight, shuffled = (detector.saliency(each) for each in (points, points[shuffle]))
    assert straight.shape == (1500,) and straight.dtype == torch.float32
    assert straight.isnan().nonzero().flatten().tolist() == [3]
    valid = straight[~straight.isnan()]
    assert valid.min() >= 0 and valid.max() == 1
    assert valid.std() > 0.01
    assert torch.equal(straight[shuffle].nan_to_num(-1), shuffled.nan_to_num(-1))


def test_saliency_is_repeatable_and_leaves_no_trace(detector: ZeroShotDetector) -> None:
    parameters = [*chain(detector.backbone.parameters(), detector.model.parameters())]
    parameters[0].requires_grad_(True)  # a detector right after training may still have some
    flags, state = [each.requires_grad for each in parameters], torch.get_rng_state()
    with torch.inference_mode():
        detection = detector.score(blob())
        first = detector.saliency(detection.cloud)
    scores = detector.score(blob()).point_scores
    assert torch.equal(first, detector.saliency(detection.cloud))
    assert flags == [True, *[each.requires_grad for each in parameters[1:]]]
    assert all(each.grad is None for each in parameters)
    assert not first.requires_grad
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(detection.point_scores, scores)
    parameters[0].requires_grad_(False)


@pytest.mark.parametrize("points", [blob(1), blob(2), blob(70), torch.ones(50, 3)], ids=["1", "2", "70", "coinciding"])
def test_tiny_clouds_have_a_saliency_too(detector: ZeroShotDetector, points: torch.Tensor) -> None:
    saliency = detector.saliency(points)
    assert torch.isfinite(saliency).all()
    assert saliency.max() == (len(points) > 1), "a single point is its own mean"


def test_a_pickle_holds_the_scores_and_no_detector(detector: ZeroShotDetector) -> None:
    detection = detector.score(blob(200))
    kept = pickle.dumps(detection)
    assert len(kept) < 50_000
    assert torch.equal(pickle.loads(kept).point_scores, detection.point_scores)
    assert torch.equal(detector.saliency(pickle.loads(kept).cloud), detector.saliency(detection.cloud))


def test_damage_is_what_moves_the_score_of_the_embedded_weights() -> None:
    """Three held-out families with a strong defect: AUROCs of 0.75, 0.99 and 0.97, means 10 to 50 times apart."""
    detector, areas = ZeroShotDetector(), []
    for seed, (family, kind) in enumerate((("pitcher", "bulge"), ("wing_nut", "roughness"), ("bird", "scratch"))):
        rng = torch.Generator().manual_seed(seed)
        shape = sample_shape(rng, points=8000, family=family)
        damaged = apply_defect(shape.points, shape.normals, kind, rng, severity=Severity(size=1.0, depth=1.0))
        saliency = detector.saliency(damaged.points)
        assert saliency[damaged.labels].mean() > 3 * saliency[~damaged.labels].mean()
        areas.append(roc_auc_score(damaged.labels, saliency))
    assert sum(areas) / 3 > 0.8
