"""Losses, batches, checkpoints and the learning of prompts and G-aggregation, on small things."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from pointadplus.clip import load_backbone
from pointadplus.cloud import PointCloud
from pointadplus.errors import WeightsError
from pointadplus.io.checkpoint import load_checkpoint, save_checkpoint
from pointadplus.learning.synthesis.corpus import TRAINING_FAMILIES, CorpusConfig, sample_object, sample_pair
from pointadplus.learning.synthesis.defects import KINDS
from pointadplus.learning.synthesis.scanner import ScannerConfig
from pointadplus.learning.synthesis.shapes import HELD_OUT
from pointadplus.learning.training.cache import load_picture
from pointadplus.learning.training.config import OptimizationConfig
from pointadplus.learning.training.lessons import LessonCache, load_lesson
from pointadplus.learning.training.losses import (
    both_dice,
    dice,
    focal,
    log_loss,
    prototype_alignment,
    ranking,
    text_alignment,
)
from pointadplus.learning.training.pairs import pair_stream, pairs_of
from pointadplus.learning.training.pictures import PictureStream, patch_targets
from pointadplus.learning.training.pretraining import (
    Average,
    PretrainConfig,
    PretrainLoss,
    ViewBatch,
    batches,
    contrast,
    first_object,
    learning_rate,
    parameter_groups,
    turned,
)
from pointadplus.learning.training.trainer import PromptTrainer, calibrate_descriptors
from pointadplus.zero_shot.model import PointADPlus
from pointadplus.zero_shot.observation import Observer
from tests.small import CHANNELS, MODEL, OBSERVATION, small_backbone_file

SCANNER = ScannerConfig(shares=(1.0, 0.0, 0.0, 0.0, 0.0), points=(2000, 3000), surface=3000)
CORPUS = CorpusConfig(families=("bolt", "vase", "bracket"), scanner=SCANNER)


@pytest.fixture(scope="module")
def backbone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_backbone_file(tmp_path_factory.mktemp("backbone"))


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> PictureStream:
    keep = tmp_path_factory.mktemp("pictures")
    return PictureStream(Observer(CHANNELS, 32, OBSERVATION), 8, CORPUS, seed=3, views=4, keep=keep, keep_every=1)


@pytest.fixture(scope="module")
def drawn(stream: PictureStream) -> list:
    return [stream.make(number) for number in range(6)]


def test_corpus_pairs_are_the_same_object_and_repeat():
    healthy, damaged = sample_pair(7, CORPUS)
    assert healthy.points.shape == (len(healthy.kinds), 3)
    assert not healthy.damaged
    assert healthy.kind == "good"
    assert damaged.damaged
    assert damaged.kind in KINDS
    assert healthy.caption == damaged.caption
    assert (damaged.kinds >= 0).equal(damaged.labels)
    again = sample_object(15, CORPUS)
    assert torch.equal(again.points, damaged.points)
    assert torch.equal(again.kinds, damaged.kinds)
    # Most points of the damaged half are those of the healthy one, noise included only where nothing was cut.
    assert torch.cdist(damaged.points[:200], healthy.points).min(1).values.median() < 1.0
    diagonal = (healthy.points.amax(0) - healthy.points.amin(0)).norm()
    assert 60 < diagonal < 130  # 100 in the pose it was made in


def test_training_families_leave_the_held_out_ones_alone():
    assert not set(TRAINING_FAMILIES) & set(HELD_OUT)
    assert len(TRAINING_FAMILIES) > 50


def test_focal_and_dice_at_perfect_and_at_even_odds():
    target = torch.tensor([0.0, 1.0, 1.0, 0.0])
    assert focal(target, target).item() == pytest.approx(0.0, abs=1e-5)
    assert focal(torch.full((4,), 0.5), target).item() == pytest.approx(0.25 * math.log(2))
    assert dice(target, target).item() == pytest.approx(0.0, abs=1e-6)
    assert dice(torch.zeros(4), torch.zeros(4)).item() == pytest.approx(0.0, abs=1e-6)
    assert dice(1 - target, target).item() == pytest.approx(1 - 1 / 5)
    assert both_dice(target, target).item() == pytest.approx(0.0, abs=1e-6)
    assert log_loss(torch.full((4,), 0.5), target).item() == pytest.approx(math.log(2))


def test_ranking_wants_the_damaged_twin_above():
    low, high = torch.tensor(0.2), torch.tensor(0.8)
    assert ranking(low, low).item() == pytest.approx(math.log(2))
    assert ranking(low, high).item() == pytest.approx(math.log1p(math.exp(-2 * math.log(4))), rel=1e-4)
    assert ranking(high, low) > 2


def test_alignment_is_low_when_states_agree_across_layers():
    texts = torch.eye(2, 5)
    assert text_alignment(texts, texts, 0.07) < 1e-5
    assert text_alignment(texts, texts.flip(0), 0.07) > 10
    features = torch.cat([texts[:1].expand(9, -1), texts[1:].expand(3, -1)])
    labels = torch.arange(12) >= 9
    assert prototype_alignment(features, labels, texts, 0.07) < 1e-5
    assert prototype_alignment(features, ~labels, texts, 0.07) > 10
    healthy = torch.zeros(12, dtype=torch.bool)
    assert prototype_alignment(texts[:1].expand(12, -1), healthy, texts, 0.07) < 1e-5


def test_contrast_counts_every_image_of_a_caption_as_its_own():
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    target = [0, 2, 2, 1, 0]
    rows = sum(-logits[i].log_softmax(0)[t] for i, t in enumerate(target)) / 5
    columns = (
        sum(-torch.stack([logits[:, u].log_softmax(0)[i] for i in range(5) if target[i] == u]).mean() for u in range(3))
        / 3
    )
    torch.testing.assert_close(contrast(logits, target), (rows + columns) / 2)


def test_patch_targets_count_pixels():
    index = torch.full((1, 16, 16), -1)
    index[0, :8, :8] = 0  # a patch full of the normal point
    index[0, :8, 8:12] = 1  # half a patch of the dent, the rest background
    index[0, 8:, :8] = 0
    index[0, 8:10, :8] = 1  # a quarter dent
    targets = patch_targets(torch.tensor([-1, KINDS.index("dent")]), index, 8)
    torch.testing.assert_close(targets.solid, torch.tensor([[1.0, 0.5, 1.0, 0.0]]))
    torch.testing.assert_close(targets.share, torch.tensor([[0.0, 1.0, 0.25, 0.0]]))
    assert targets.kind.tolist() == [[-1, 1, 1, -1]]


def test_a_stream_repeats_and_shows_the_damage(stream, drawn):
    again = stream.make(3)
    assert torch.equal(again.images, drawn[3].images)
    assert torch.equal(again.targets.share, drawn[3].targets.share)
    for number, thing in enumerate(drawn):
        assert thing.images.shape == (4, len(CHANNELS), 32, 32)
        assert thing.targets.share.shape == (4, 16)
        assert bool((thing.targets.share > 0).any()) == bool(number % 2), (
            "odd numbers are damaged, and some view shows it"
        )


def test_turning_a_batch_turns_its_targets(drawn):
    batch = ViewBatch.of(drawn[1])
    # The share of a patch must stay what its pixels show: mark each patch's pixels with its share.
    marked = replace(batch, images=torch.kron(batch.share.view(4, 1, 4, 4), torch.ones(8, 8)))
    for seed in range(8):
        moved = turned(marked, random.Random(seed))
        pooled = torch.nn.functional.avg_pool2d(moved.images, 8).flatten(1)
        torch.testing.assert_close(pooled, moved.share)


def test_batches_begin_with_what_is_new_and_replay_the_rest(drawn):
    config = PretrainConfig(steps=3, batch=12, fresh=2, replay=3)
    whole = list(batches(iter(drawn), config))
    assert [len(batch) for batch in whole] == [12, 12, 12]
    assert not torch.equal(whole[1].images[8:], whole[2].images[8:])
    for step in range(3):
        resumed = batches(iter(drawn[first_object(config, step) :]), config, step)
        for one, other in zip(whole[step:], resumed, strict=True):
            assert torch.equal(one.images, other.images)
            assert torch.equal(one.kind, other.kind)


def test_learning_rate_rises_stays_and_falls():
    config = PretrainConfig(steps=1000, warmup=100, decay=0.3, lr=2.0)
    rates = [learning_rate(step, config) for step in range(1000)]
    assert rates[0] == pytest.approx(0.02)
    assert rates[99] == rates[400] == rates[699] == 2.0
    assert rates[850] == pytest.approx(1.0)
    assert rates[999] == pytest.approx(0.02)


def pretrain(model, loss, optimizer, data, steps, average):
    for step in steps:
        optimizer.zero_grad()
        total = torch.stack(list(loss(model, data, random.Random(step), step).values())).sum()
        total.backward()
        optimizer.step()
        average.update(model.model.state_dict(), step)
    return total.item()


def parts(path: Path):
    model = load_backbone(path, precision="float32").requires_grad_(True).train()
    optimizer = torch.optim.AdamW(parameter_groups(model.model, 0.05), lr=3e-3)
    return model, optimizer, Average(model.model, 0.9)


def test_pretraining_learns_and_goes_on_where_it_was_killed(backbone_file, drawn, tmp_path):
    data, loss = (
        ViewBatch.cat([ViewBatch.of(thing) for thing in drawn]),
        PretrainLoss(PretrainConfig(text_spread_from=8)),
    )
    model, optimizer, average = parts(backbone_file)
    start = pretrain(model, loss, optimizer, data, range(4), average)
    save_checkpoint(
        tmp_path / "c.safetensors",
        {"model": model.model.state_dict(), "average": average.state},
        optimizer,
        {"step": 4},
    )
    end = pretrain(model, loss, optimizer, data, range(4, 24), average)
    assert end < 0.8 * start
    resumed, other, mean = parts(backbone_file)
    notes = load_checkpoint(tmp_path / "c.safetensors", {"model": resumed.model, "average": mean.state}, other)
    assert notes == {"step": 4}
    assert pretrain(resumed, loss, other, data, range(4, 24), mean) == pytest.approx(end, rel=1e-4)
    for key, value in average.state.items():
        torch.testing.assert_close(mean.state[key], value, atol=1e-4, rtol=1e-3)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="not a checkpoint"):
        load_checkpoint(bad, {}, None)


def test_pictures_and_lessons_come_back_from_disk(stream, drawn, backbone_file, tmp_path):
    assert stream.keep is not None
    paths = sorted(stream.keep.glob("*.safetensors"))
    assert len(paths) == 6
    stored = load_picture(paths[1])
    thing = sample_object(3 * 10_000_000 + 1, CORPUS)
    picture = stream.observer.picture(PointCloud.create(thing.points))
    assert torch.equal(stored.picture.nodes, picture.nodes)
    assert torch.equal(stored.kinds, thing.kinds[picture.order[:256]])
    torch.testing.assert_close(stored.picture.images, picture.images, atol=1e-3, rtol=0)
    backbone = load_backbone(backbone_file)
    model = PointADPlus(backbone, MODEL)
    cache = LessonCache(tmp_path / "lessons", backbone, stream.observer, model)
    numbers = range(15_000_000, 15_000_003)
    lessons = cache.of_pairs(numbers, CORPUS)
    lesson = load_lesson(lessons[1])
    torch.testing.assert_close(lesson.observation.features.norm(dim=1), torch.ones(256), atol=2e-3, rtol=0)
    assert torch.equal(lesson.kinds, stored.kinds)
    assert bool((lesson.share > 0).any()) and lesson.damaged and lesson.labelled
    shown = (stored.kinds[stored.picture.index.clamp_min(0)] >= 0) & (stored.picture.index >= 0)
    assert torch.equal(lesson.mask, shown)
    graph = model.graph(stored_observation := stream.observer.observe(stored.picture, backbone))
    assert torch.equal(lesson.graph.neighbors, graph.neighbors) and len(stored_observation.nodes) == 256
    for stride in (1, 4):
        assert torch.equal(lesson.graph.index[stride], graph.index[stride])
        torch.testing.assert_close(lesson.graph.edges[stride], graph.edges[stride], atol=2e-3, rtol=1e-3)
    written = lessons[1].stat().st_mtime_ns
    assert cache.of_pairs(numbers, CORPUS, workers=1) == lessons
    assert lessons[1].stat().st_mtime_ns == written, "what is there already is not computed again"


def test_readers_share_one_order_of_pairs(monkeypatch):
    monkeypatch.setattr("pointadplus.learning.training.pairs.load_lesson", lambda path: path)
    pairs = [(Path(f"{2 * number:012d}-x"), Path(f"{2 * number + 1:012d}-x")) for number in range(5)]
    alone = list(islice(pair_stream(pairs, 3), 12))
    assert sorted(alone[:5]) == sorted(alone[5:10]) == pairs, "an epoch has each pair once"
    assert alone[:5] != alone[5:10]
    assert list(islice(pair_stream(pairs, 3, first=4), 8)) == alone[4:]
    shares = [list(islice(pair_stream(pairs, 3, reader, 3), 4)) for reader in range(3)]
    assert [pair for turn in zip(*shares, strict=True) for pair in turn] == alone


def test_prompts_and_aggregation_learn_while_the_backbone_stays(stream, drawn, backbone_file, tmp_path):
    backbone = load_backbone(backbone_file)
    digest = backbone.digest
    cache = LessonCache(tmp_path / "lessons", backbone, stream.observer, PointADPlus(backbone, MODEL))
    lessons = cache.of_pairs(range(15_000_000, 15_000_003), CORPUS)
    pairs = pairs_of(lessons)
    assert [tuple(path.stem.split("-")[0][-1] for path in pair) for pair in pairs] == [
        ("0", "1"),
        ("2", "3"),
        ("4", "5"),
    ]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = PointADPlus(backbone, MODEL)
        calibrate_descriptors(model, lessons)
        assert (model.aggregation.spread > 0).all()
        before = {key: value.clone() for key, value in model.state_dict().items()}
        trainer = PromptTrainer(model, OptimizationConfig())
        pair = next(pair_stream(pairs, 0))
        losses = [trainer.step([pair]) for _ in range(25)]
    first, last = losses[0], losses[-1]
    assert sum(last.values()) < 0.75 * sum(first.values())
    assert last["g_point"] < first["g_point"]
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    for part in (
        "prompts.rendering.context",
        "prompts.geometry.context",
        "prompts.rendering.deep",
        "aggregation.out.weight",
    ):
        assert part in changed
    assert backbone.digest == digest


def test_a_kept_picture_is_read_back_and_not_made_again(stream, drawn, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr("pointadplus.learning.training.pictures.sample_object", refuse)
    for number, first in enumerate(drawn):
        again = stream.make(number)
        assert torch.equal(again.images, first.images) and torch.equal(again.view_kinds, first.view_kinds)
        assert torch.equal(again.targets.share, first.targets.share) and again.caption == first.caption
    with pytest.raises(AssertionError, match="made again"):
        stream.make(6)
    other = PictureStream(Observer(CHANNELS, 24, OBSERVATION), 8, CORPUS, seed=3, keep=stream.keep, keep_every=1)
    with pytest.raises(AssertionError, match="made again"):
        other.make(0)  # pictures of another size
