"""A tower's training that was stopped goes on as if it had not been."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pointadplus.clip.architecture import BackboneConfig
from pointadplus.clip.backbone import Backbone, build_backbone
from pointadplus.learning.training.pretraining import PretrainConfig, ViewBatch
from pointadplus.learning.training.steps import Run, train_steps

TOWER = BackboneConfig(
    embed_dim=8, image_size=16, patch_size=8, vision_width=8, vision_layers=1, vision_heads=1, text_width=8,
    text_layers=1, text_heads=1, vocab_size=32, channels=("headlight",),
)  # fmt: skip
CONFIG = PretrainConfig(steps=8, warmup=2)


def batches(first: int) -> Iterator[ViewBatch]:
    for step in count(first):
        if step == CONFIG.steps:
            return
        images = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(step))
        flat = torch.zeros(2, 4)
        yield ViewBatch(images, flat, flat, flat.long(), torch.zeros(2).long(), ("a", "b"))


def learn(run: Run) -> Backbone:
    tower = build_backbone(TOWER, seed=1, precision="float32")

    def loss(batch: ViewBatch, step: int) -> dict[str, Tensor]:
        tokens = tower.encode_image(batch.images)
        spread = 1 - tokens.patch_features.mean(1).norm(dim=1).mean()
        return {"spread": spread, "number": 0.0 * spread + step}

    train_steps(tower, loss, batches, CONFIG, run)
    return tower


def test_a_stopped_run_ends_like_a_straight_one(tmp_path: Path) -> None:
    straight, pieces = Run(tmp_path / "straight"), Run(tmp_path / "pieces", every=2)
    whole = learn(straight)
    for stop in (3, 4, 8):
        resumed = learn(Run(pieces.folder, pieces.every, stop_at=stop))
        assert pieces.notes()["step"] == stop
    wanted = whole.model.state_dict()
    for key, value in resumed.model.state_dict().items():
        assert torch.equal(value, wanted[key]), key
    averages = []
    for run in (straight, pieces):
        tower = build_backbone(TOWER, seed=2, precision="float32")
        run.load_average(tower)
        averages.append(tower.model.state_dict())
    assert all(torch.equal(averages[0][key], averages[1][key]) for key in averages[0])
    assert any(not torch.equal(averages[0][key], wanted[key]) for key in wanted)


def test_what_came_after_the_last_checkpoint_is_learnt_again(tmp_path: Path) -> None:
    """As after a kill: steps beyond the checkpoint are lost, and come again from the same batches."""
    run = Run(tmp_path / "run", every=3, stop_at=3)
    learn(run)
    kept = run.checkpoint.read_bytes()
    learn(Run(run.folder, 3, stop_at=5))
    run.checkpoint.write_bytes(kept)
    resumed, straight = learn(Run(run.folder, 3)), learn(Run(tmp_path / "straight"))
    assert all(torch.equal(a, b) for a, b in zip(resumed.model.parameters(), straight.model.parameters(), strict=True))


def test_the_log_averages_over_its_steps(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    learn(run)
    (row,) = run.log()
    assert row["step"] == 8
    assert row["number"] == pytest.approx(3.5)  # the mean of 0 to 7
    assert 0 < row["spread"] < 1
