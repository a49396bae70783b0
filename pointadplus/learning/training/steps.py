"""The steps of a tower's training, in a folder from which it goes on after a kill."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...clip.backbone import Backbone
from ...io.checkpoint import load_checkpoint, save_checkpoint
from .pretraining import Average, PretrainConfig, ViewBatch, learning_rate, parameter_groups

LOGGED = 50  # steps that a line of the log averages


@dataclass(frozen=True)
class Run:
    """Where a training keeps what it needs to go on.

    Attributes:
        folder: of `checkpoint.safetensors` and `log.jsonl`.
        every: steps between checkpoints.
        stop_at: end after this step, to be resumed.
    """

    folder: Path
    every: int = 200
    stop_at: int | None = None

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    def notes(self) -> dict[str, Any]:
        """Of the checkpoint: step, seconds, config and tower."""
        return load_checkpoint(self.checkpoint, {}, None)

    def log(self) -> list[dict[str, int | float]]:
        """The losses so far, a row for each `LOGGED` steps."""
        return [json.loads(line) for line in (self.folder / "log.jsonl").read_text().splitlines()]

    def load_average(self, backbone: Backbone) -> None:
        """Put the averaged weights of the checkpoint into a backbone."""
        load_checkpoint(self.checkpoint, {"average": backbone.model}, None)


def train_steps(
    backbone: Backbone,
    loss: Callable[[ViewBatch, int], dict[str, Tensor]],
    stream: Callable[[int], Iterator[ViewBatch]],
    config: PretrainConfig,
    run: Run,
) -> None:
    """Minimise the sum of the losses over what requires a gradient; goes on from the folder's checkpoint.

    Args:
        backbone: where its weights are, the batches go.
        loss: of a batch at an optimiser's step, by name.
        stream: the batches from a step on.
        config: of the run.
        run: its folder.
    """
    average = Average(backbone.model, config.ema)
    groups = parameter_groups(backbone.model, config.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.98), fused=True)
    step, spent = 0, 0.0
    if run.checkpoint.exists():
        modules = {"model": backbone.model, "average": average.state}
        notes = load_checkpoint(run.checkpoint, modules, optimizer)
        step, spent = notes["step"], notes["seconds"]
    run.folder.mkdir(parents=True, exist_ok=True)
    start, sums, count = time.perf_counter() - spent, {}, 0
    ends = {config.steps, run.stop_at}
    for step, batch in enumerate(stream(step), start=step):  # noqa: B020 - it goes on from where it was
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config)
        parts = loss(batch.to(str(backbone.device)), step)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(parts.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(backbone.model.parameters(), 1.0)
        optimizer.step()
        average.update(backbone.model.state_dict(), step)
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value.item()
        done, count = step + 1, count + 1
        seconds = time.perf_counter() - start
        if count == LOGGED or done in ends:
            losses = {name: round(value / count, 4) for name, value in sums.items()}
            line = json.dumps({"step": done, "seconds": round(seconds), **losses})
            print(line, flush=True)
            with (run.folder / "log.jsonl").open("a") as log:
                print(line, file=log)
            sums, count = {}, 0
        if done % run.every == 0 or done in ends:
            notes = {"step": done, "seconds": seconds, "config": asdict(config), "tower": asdict(backbone.config)}
            states = {"model": backbone.model.state_dict(), "average": average.state}
            save_checkpoint(run.checkpoint, states, optimizer, notes)
        if done == run.stop_at:
            break
