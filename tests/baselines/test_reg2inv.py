"""Reg2Inv as a whole: training pairs, learning, resuming, and the detector's promises on small clouds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import normalize

import baselines.reg2inv.detector as detector_module
import baselines.reg2inv.training as training_module
from baselines.reg2inv import Checkpoints, Reg2Inv, Reg2InvConfig
from baselines.reg2inv.config import MatchingConfig, NetworkConfig, ScoringConfig, TrainingConfig
from baselines.reg2inv.model import build_network, cloud_input
from baselines.reg2inv.pairs import SourceView, crop, draw_source, random_rotation
from baselines.reg2inv.pose import Prototype, matched_points
from baselines.reg2inv.pyramid import neighbor_limits
from baselines.reg2inv.scan import Scan, read_scan, surface_normals, thinned
from baselines.reg2inv.training import learning_rate, train
from baselines.reg2inv.weights import EMBEDDED, load_network, save_network
from pointadplus.config import from_table
from pointadplus.errors import ConfigError, WeightsError
from pointadplus.evaluation import auroc
from pointadplus.geometry.registration import ransac, rotation_angles
from pointadplus.learning.synthesis.parts import Part, PartConfig
from pointadplus.learning.synthesis.shapes import HELD_OUT

TINY = Reg2InvConfig(
    voxel=0.2,
    centring_points=500,
    network=NetworkConfig(
        neighbors=12, feature_widths=(16, 16, 16), width=8, groups=2, fine_dim=16, hidden=16, heads=2, blocks=1,
        coarse_dim=16, angle_neighbors=1,
    ),
    matching=MatchingConfig(patch_points=24, coarse_pairs=24, sinkhorn_iterations=10),
    training=TrainingConfig(steps=6, learning_rate=3e-3, warmup=2, clip=5.0),
    scoring=ScoringConfig(bank=400, boundary_neighbors=16, pooled=16, interpolated=4),
)  # fmt: skip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pebble(seed: int, count: int = 1500, dent: float = 0.0) -> Tensor:
    """A lopsided, knobbly pebble, which has one pose only; a dent of the given depth at its +z end."""
    directions = normalize(torch.randn(count, 3, generator=generator(seed)), dim=1)
    x, y, z = directions.unbind(1)
    radius = 1 + 0.25 * x + 0.2 * y * z + 0.15 * z.pow(3) + 0.1 * torch.sin(5 * y) * torch.cos(4 * x)
    radius = radius - dent * torch.exp(-(x.square() + y.square() + (z - 1).square()) / 0.08)
    return 10 * directions * radius[:, None] * torch.tensor([1.0, 0.8, 0.7])


def known_scan(seed: int = 0, count: int = 3000) -> Scan:
    """A normalised pebble, its normals those of the direction from the centre: good enough, and no views are drawn."""
    points = pebble(seed, count)
    points = points / points.norm(dim=1).max()
    return Scan(points, normalize(points, dim=1), 1.0, torch.zeros(3, dtype=torch.float64), torch.eye(3))


def test_the_sizes_hold_the_released_numbers() -> None:
    paper, small = Reg2InvConfig.paper(), Reg2InvConfig.small()
    assert (paper.voxel, paper.centring_points, paper.training.steps) == (0.03, 4096, 100_000)
    assert paper.match_squared_distance == pytest.approx(0.0387**2, rel=0.01)
    assert paper.confidence == paper.ransac_threshold == 0.03
    scoring = paper.scoring
    assert (scoring.interpolated, scoring.pooled, scoring.boundary_neighbors) == (16, 64, 64)
    assert (scoring.bank, scoring.nearest) == (10_000, 1)
    assert small.with_steps(60).training.warmup == round(small.training.warmup * 60 / small.training.steps)
    assert from_table(Reg2InvConfig, {"voxel": 0.1, "network": {"width": 8}}).network.width == 8
    for wrong in ({"voxel": 0.0}, {"registration": "guess"}):
        with pytest.raises(ConfigError):
            replace(small, **wrong)


def test_rotations_are_uniform_or_eulers() -> None:
    turns = torch.stack([random_rotation(generator(k)) for k in range(600)])
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3).expand(600, 3, 3), atol=1e-5, rtol=0)
    assert (torch.linalg.det(turns) > 0.99).all()
    # Haar: the mean angle is π/2 + 2/π, and the image of z is uniform on the sphere.
    assert float(rotation_angles(turns).mean()) == pytest.approx(math.degrees(math.pi / 2 + 2 / math.pi), abs=4)
    assert turns[:, 2, 2].square().mean().item() == pytest.approx(1 / 3, abs=0.04)
    eulers = torch.stack([random_rotation(generator(k), euler_angles=True) for k in range(600)])
    torch.testing.assert_close(eulers @ eulers.mT, torch.eye(3).expand(600, 3, 3), atol=1e-5, rtol=0)
    # A z turn leaves z; then y and x turn it: (R z)_x = sin of the y angle, whose square has mean 1/2.
    assert eulers[:, 0, 2].square().mean().item() == pytest.approx(0.5, abs=0.05)


def test_a_source_lies_on_its_scan_and_is_cropped() -> None:
    scan = known_scan()
    points, _ = thinned(scan.points, scan.normals, TINY.voxel)
    sizes = set()
    for seed in range(8):
        view = draw_source(scan, len(points), TINY, generator(seed))
        moved = view.moved(view.points)
        assert torch.cdist(moved, points).amin(1).max() < TINY.voxel * 3**0.5
        facing = view.normals @ view.rotation.T
        assert ((facing * normalize(moved, dim=1)).sum(1) > 0).float().mean() > 0.98
        assert 0.25 * len(points) - 1 <= len(moved) <= 1.05 * len(points)
        assert view.translation.abs().max() <= 0.5
        sizes.add(len(moved))
    assert len(sizes) > 5
    inside = crop(points, 30, generator(1))
    assert len(inside) == 30 and torch.equal(inside, inside.sort().values)
    centre = points.mean(0)
    across = points[inside].mean(0) - centre  # what is kept lies on one side
    outside = torch.ones(len(points), dtype=torch.bool)
    outside[inside] = False
    assert ((points[inside] - centre) @ across).mean() > ((points[outside] - centre) @ across).max() * 0.5


def test_the_rate_warms_up_and_falls() -> None:
    config = TrainingConfig(steps=1000, warmup=100)
    assert learning_rate(0, config) == pytest.approx(1e-5)
    assert learning_rate(50, config) == pytest.approx(0.55e-4)
    assert learning_rate(100, config) == pytest.approx(1e-4)
    assert learning_rate(550, config) == pytest.approx(0.55e-4)
    assert learning_rate(1000, config) == pytest.approx(1e-5)


@pytest.mark.slow
def test_the_small_network_overfits_a_pair_and_registers_it() -> None:
    config = replace(Reg2InvConfig.small(), voxel=0.2)
    scan = known_scan()
    points, sides = thinned(scan.points, scan.normals, config.voxel)
    limits = neighbor_limits([points], config.voxel, 3)
    k = config.network.normal_neighbors
    reference = cloud_input(points, surface_normals(points, sides, k), config, limits)
    view = draw_source(scan, len(points), replace(config, training=TrainingConfig(keep=(0.8, 0.8))), generator(2))
    source = cloud_input(view.points, view.normals, config, limits)
    moved = view.moved(source.points), view.moved(source.nodes)
    network = build_network(config, limits).train()
    optimizer = torch.optim.Adam(network.parameters(), 4e-4)
    history = []
    for _ in range(120):
        losses = network.losses(reference, source, moved, generator(0))
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        history.append({name: value.item() for name, value in losses.items()})
    first, last = history[0], history[-1]
    assert last["fine"] < 0.75 * first["fine"] and last["coarse"] < 0.7 * first["coarse"]
    assert last["inner"] < first["inner"]
    pairs = matched_points(network.eval(), reference, source)
    assert ((moved[0][pairs[:, 1]] - points[pairs[:, 0]]).norm(dim=1) < 0.2).float().mean() > 0.5
    motion = ransac(source.points[pairs[:, 1]], points[pairs[:, 0]], config.ransac_threshold)
    assert float(rotation_angles(motion.rotation.float() @ view.rotation.T)) < 25  # of points 0.2 apart


@pytest.fixture
def one_thread() -> Iterator[None]:
    """With several, torch adds some gradients in whatever order threads come."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_training_goes_on_with_the_same_numbers(tmp_path: Path) -> None:
    scans, seen, state = [known_scan(0), known_scan(1)], [], torch.get_rng_state()
    whole = train(scans, TINY, progress=lambda *numbers: seen.append(numbers))
    assert [step[:3] for step in seen] == [("learning", step, 6) for step in range(1, 7)]
    assert torch.equal(state, torch.get_rng_state())
    path = tmp_path / "run.safetensors"
    losses = []
    for stop in (2, 5, None):
        checkpoints = Checkpoints(path, every=1, stop_at=stop)
        parts = train(scans, TINY, progress=lambda *n: losses.append(n[3]), checkpoints=checkpoints)
    assert losses == [loss for *_, loss in seen]
    for name, value in whole.state_dict().items():
        assert torch.equal(parts.state_dict()[name], value), name
    with pytest.raises(WeightsError, match="another run"):
        train(scans, replace(TINY, seed=1), checkpoints=Checkpoints(path))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(WeightsError, match="not a checkpoint"):
        train(scans, TINY, checkpoints=Checkpoints(path))
    with pytest.raises(ConfigError, match="nothing to learn from"):
        train([], TINY)
    with pytest.raises(ConfigError, match="source for each scan"):
        train(scans, TINY, sources=scans[:1])


def test_a_second_scan_is_what_is_turned(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def draw(scan: Scan, *rest: Any) -> SourceView:
        drawn.append(scan)
        return draw_source(scan, *rest)

    monkeypatch.setattr(training_module, "draw_source", draw)
    firsts, seconds = [known_scan(0), known_scan(1)], [known_scan(2), known_scan(3)]
    train(firsts, replace(TINY, training=replace(TINY.training, steps=3)), sources=seconds)
    assert drawn == [seconds[0], seconds[1], seconds[0]]


def test_evaluation_matches_the_most_alike_patches() -> None:
    config = replace(TINY, matching=replace(TINY.matching, confidence=0.0))
    scan = known_scan()
    points, sides = thinned(scan.points, scan.normals, config.voxel)
    limits = neighbor_limits([points], config.voxel, 3)
    reference = cloud_input(points, surface_normals(points, sides, 30), config, limits)
    some = crop(points, len(points) // 2, generator())
    source = cloud_input(points[some], surface_normals(points[some], sides[some], 30), config, limits)
    network = build_network(config, limits).eval()
    pairs = matched_points(network, reference, source)
    matching = network(reference, source)
    assert len(pairs) > 30
    assert pairs[:, 0].max() < len(points) and pairs[:, 1].max() < len(some)
    owners = torch.stack([reference.patches.owner[pairs[:, 0]], source.patches.owner[pairs[:, 1]]], 1)
    assert {tuple(pair) for pair in owners.tolist()} <= {tuple(pair) for pair in matching.pairs.tolist()}
    assert matching.inner[1].shape == (len(some), 16)
    for features in matching.coarse:
        torch.testing.assert_close(features.norm(dim=1), torch.ones(len(features)))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Reg2Inv, Path]:
    """Fitted on two pebbles with the features of a network that saw a few steps, registered by the library."""
    weights = tmp_path_factory.mktemp("weights") / "network.safetensors"
    save_network(train([known_scan()], TINY), weights)
    config = replace(TINY, registration="library")
    return Reg2Inv(config, weights, device="cpu").fit([pebble(1), pebble(2)], train=False), weights


def test_scores_do_not_depend_on_order_and_survive_saving(fitted: tuple[Reg2Inv, Path], tmp_path: Path) -> None:
    detector, _ = fitted
    points = pebble(3)
    points[7] = float("nan")
    straight = detector.score(points)
    assert 0 <= straight.object_score <= 1
    assert straight.point_scores.isnan().nonzero().flatten().tolist() == [7]
    shuffle = torch.randperm(len(points), generator=generator())
    shuffled = detector.score(points[shuffle])
    torch.testing.assert_close(shuffled.point_scores, straight.point_scores[shuffle], rtol=0, atol=0, equal_nan=True)
    assert shuffled.object_score == straight.object_score
    detector.save(tmp_path / "detector.safetensors")
    again = Reg2Inv.load(tmp_path / "detector.safetensors").score(points)
    torch.testing.assert_close(again.point_scores, straight.point_scores, rtol=0, atol=1e-6, equal_nan=True)


@pytest.mark.slow
def test_a_dent_scores_high_in_any_pose(fitted: tuple[Reg2Inv, Path]) -> None:
    detector, _ = fitted
    healthy = detector.score(pebble(5)).object_score
    dented = pebble(5, dent=0.5)
    still = detector.score(dented)
    assert still.object_score > healthy
    top = dented[still.point_scores.topk(40).indices]
    assert (top[:, 2] > 2).float().mean() > 0.6
    turn = random_rotation(generator(9))
    turned = detector.score(dented @ turn.T + torch.tensor([30.0, 0, -5]))
    assert turned.object_score == pytest.approx(still.object_score, abs=0.05)
    assert (turned.point_scores - still.point_scores).abs().mean() < 0.02


def test_what_cannot_be_done_says_so(
    fitted: tuple[Reg2Inv, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, weights = fitted
    with pytest.raises(ConfigError, match="nothing to learn from"):
        Reg2Inv(TINY).fit([])
    for call in (lambda: Reg2Inv(TINY).score(pebble(1)), lambda: Reg2Inv(TINY).save(tmp_path / "a.safetensors")):
        with pytest.raises(ConfigError, match="memory bank is empty"):
            call()
    monkeypatch.setattr(detector_module, "EMBEDDED", tmp_path / "none.safetensors")
    with pytest.raises(ConfigError, match="no weights"):
        Reg2Inv(TINY).fit([pebble(1)], train=False)
    with pytest.raises(WeightsError, match="another network"):
        Reg2Inv(Reg2InvConfig.small(), weights)
    assert Reg2Inv(weights=weights).config == TINY
    for content in (b"no", weights.read_bytes()):
        (tmp_path / "b.safetensors").write_bytes(content)
        with pytest.raises(WeightsError):
            Reg2Inv.load(tmp_path / "b.safetensors")
    save_file({"bank": torch.zeros(1, 2)}, tmp_path / "c.safetensors", {"pointadplus.reg2inv": "{}"})
    with pytest.raises(WeightsError, match="not a Reg2Inv detector"):
        Reg2Inv.load(tmp_path / "c.safetensors")


@pytest.mark.slow
def test_fit_learns_where_it_is_told_to(tmp_path: Path) -> None:
    steps = []
    checkpoint = Checkpoints(tmp_path / "run.safetensors", every=3)
    detector = Reg2Inv(TINY, device="cpu").fit(
        [pebble(1)], lambda *step: steps.append(step[:2]), train=True, checkpoints=checkpoint
    )
    assert steps == [*(("learning", step) for step in range(1, 7)), ("describing", 1)] and checkpoint.path.exists()
    assert detector._prototype is not None and detector._prototype.registration == "network"
    assert 0 <= detector.score(pebble(2)).object_score <= 1
    Reg2Inv(TINY, device="cpu").fit([pebble(1)], lambda *step: steps.append(step[:2]))
    assert len(steps) == 14, "the weights inside the package are of another network"


def test_scans_of_one_pose_need_no_registration() -> None:
    """Each scan is read in a frame of its own; the way from one to the other is known."""
    first = read_scan(pebble(1), TINY)
    second = read_scan(pebble(2, 900), TINY, first.radius)
    motion = Prototype(first, build_network(TINY, (4, 4, 4)), "none").motion(second, second.points, second.normals)
    places = pebble(3, 50)
    torch.testing.assert_close(motion.apply(second.apply(places)), first.apply(places), atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def bird() -> Part:
    return Part(3, PartConfig(family="bird", points=12_000))


@pytest.fixture(scope="module")
def embedded(bird: Part) -> Reg2Inv:
    return Reg2Inv(device="cpu").fit([bird.scan(number).points for number in range(3)])


def test_embedded_features_are_of_the_small_network() -> None:
    config, small = load_network(EMBEDDED).config, Reg2InvConfig.small()
    assert replace(config, training=small.training) == small
    assert config.training.steps > small.training.steps


@pytest.mark.slow
def test_embedded_features_find_defects_without_training(bird: Part, embedded: Reg2Inv, tmp_path: Path) -> None:
    assert bird.config.family in HELD_OUT
    healthy = embedded.score(bird.scan(10).points)
    for kind in ("dent", "hole"):
        scan = bird.scan(20, kind)
        found = embedded.score(scan.points)
        assert found.object_score > healthy.object_score + 0.05, kind
        assert (auroc(scan.labels.numpy(), found.point_scores.numpy()) or 0) > 0.95, kind
    embedded.save(tmp_path / "part.safetensors")
    again = Reg2Inv.load(tmp_path / "part.safetensors").score(bird.scan(10).points)
    assert again.object_score == pytest.approx(healthy.object_score, abs=1e-5)


@pytest.mark.slow
def test_one_normal_scan_is_enough_and_a_rim_is_no_defect() -> None:
    detector = Reg2Inv(device="cpu").fit([pebble(0, 12_000)])
    whole, dent = pebble(10, 12_000), pebble(20, 12_000, dent=0.12)
    assert detector.score(dent).object_score > detector.score(whole).object_score + 0.05
    half = whole[whole[:, 0] > whole[:, 0].median()]
    scores = detector.score(half).point_scores
    cut = half[:, 0] < half[:, 0].quantile(0.05)
    detector.config = replace(detector.config, scoring=replace(detector.config.scoring, partial=2.0))
    with_rim = detector.score(half).point_scores
    assert scores[cut].mean() < 0.9 * with_rim[cut].mean()
    assert scores[~cut].mean() > 0.97 * with_rim[~cut].mean()
