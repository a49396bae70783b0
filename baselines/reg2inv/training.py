"""Learning the network on normal scans, step by step, in a file from which it goes on after a kill."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from pointadplus.errors import ConfigError, WeightsError
from pointadplus.io.checkpoint import load_checkpoint, save_checkpoint
from pointadplus.results.detector import FitProgress

from .config import Reg2InvConfig, TrainingConfig
from .model import CloudInput, Reg2InvNet, build_network, cloud_input
from .pairs import draw_source
from .pyramid import neighbor_limits
from .scan import Scan, surface_normals, thinned

_STRIDE = 1_000_003  # between the seeds of two runs, more than any run has steps


@dataclass(frozen=True)
class Checkpoints:
    """Where a training keeps what it needs to go on.

    Attributes:
        path: of a safetensors file.
        every: steps between two writings.
        stop_at: end after this step, to be resumed; None: at the last.
    """

    path: Path
    every: int = 100
    stop_at: int | None = None


def learning_rate(step: int, config: TrainingConfig) -> float:
    """The rate of a step, counted from 0: a linear warm-up, then half a cosine down to the final share."""
    if step < config.warmup:
        share = config.warmup_start + (1.0 - config.warmup_start) * step / config.warmup
    else:
        done = (step - config.warmup) / max(1, config.steps - config.warmup)
        share = config.final + (1.0 - config.final) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
    return config.learning_rate * share


def train(
    scans: Sequence[Scan],
    config: Reg2InvConfig,
    *,
    sources: Sequence[Scan] | None = None,
    progress: FitProgress | None = None,
    checkpoints: Checkpoints | None = None,
    device: torch.device | str = "cpu",
) -> Reg2InvNet:
    """Learn a network on normalised scans, each against turned, newly sampled and cropped copies of itself.

    Step s depends on the weights and on s alone, so that a run that goes on from a checkpoint ends with the numbers
    that it would have ended with; random numbers come from `config.seed` and s. With several threads torch may add
    gradients in another order, and the last digits differ.

    Args:
        scans: at least one; step s takes scan s mod their number, whatever object it is of.
        config: of the method.
        sources: a second scan of each object, in the frame of the first, that is turned and cropped in its place; None:
            the scans themselves, as released.
        progress: called after each step.
        checkpoints: a file to go on from, if it exists, and to write to; it is replaced as a whole.
        device: where the network learns.

    Returns:
        the network, in evaluation mode, on `device`.

    Raises:
        ConfigError: no scan, or not as many sources.
        WeightsError: the checkpoint is damaged, or of another run; or the training diverged.
    """
    if not scans:
        raise ConfigError("nothing to learn from", where="train", expected="at least one scan", found="none")
    sources = scans if sources is None else sources
    if len(sources) != len(scans):
        raise ConfigError("not a source for each scan", where="train", expected=len(scans), found=len(sources))
    grids = [thinned(scan.points, scan.normals, config.voxel) for scan in scans]
    limits = neighbor_limits(
        (points for points, _ in grids), config.voxel, config.network.levels, config.network.radius
    )
    network = build_network(config, limits).to(device).train()
    training = config.training
    optimizer = _optimizer(network, training)
    begun = _resume(checkpoints, network, optimizer, config)
    references: dict[int, CloudInput] = {}
    for step in range(begun, training.steps):
        number = step % len(scans)
        if number not in references:
            points, sides = grids[number]
            normals = surface_normals(points, sides, config.network.normal_neighbors)
            references[number] = cloud_input(points, normals, config, limits).to(device)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, training) * group["factor"]
        loss = _step(network, optimizer, sources[number], references[number], step)
        if not math.isfinite(loss):
            raise WeightsError(
                "the training diverged", where=f"train, step {step}", expected="a finite loss", found=loss
            )
        done = step + 1
        ends = checkpoints is not None and done == checkpoints.stop_at
        if checkpoints is not None and (done % checkpoints.every == 0 or done == training.steps or ends):
            save_checkpoint(checkpoints.path, {"network": network.state_dict()}, optimizer, _notes(config, done))
        if progress is not None:
            progress("learning", done, training.steps, loss)
        if ends:
            break
    return network.eval()


def _optimizer(network: Reg2InvNet, config: TrainingConfig) -> torch.optim.Adam:
    own = {id(each) for each in network.riconv.parameters()}
    groups = [
        {"params": list(network.riconv.parameters()), "factor": config.feature_rate},
        {"params": [each for each in network.parameters() if id(each) not in own], "factor": 1.0},
    ]
    return torch.optim.Adam(groups, config.learning_rate, weight_decay=config.weight_decay)


def _step(network: Reg2InvNet, optimizer: torch.optim.Optimizer, scan: Scan, reference: CloudInput, step: int) -> float:
    config = network.config
    generator = torch.Generator().manual_seed(config.seed * _STRIDE + step)
    view = draw_source(scan, len(reference.points), config, generator)
    source = cloud_input(view.points, view.normals, config, network.neighbor_limits)
    device = reference.points.device
    moved = view.moved(source.points).to(device), view.moved(source.nodes).to(device)
    losses = network.losses(reference, source.to(device), moved, generator)
    total: Tensor = torch.stack(list(losses.values())).sum()
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    if config.training.clip is not None:
        clip_grad_norm_(network.parameters(), config.training.clip)
    optimizer.step()
    return total.item()


def _notes(config: Reg2InvConfig, step: int) -> dict[str, Any]:
    return {"step": step, "config": asdict(config)}


def _resume(
    checkpoints: Checkpoints | None, network: Reg2InvNet, optimizer: torch.optim.Optimizer, config: Reg2InvConfig
) -> int:
    """The step to go on from; the checkpoint's weights are in the network then."""
    if checkpoints is None or not checkpoints.path.exists():
        return 0
    limits = network.limits.clone()
    notes = load_checkpoint(checkpoints.path, {"network": network}, optimizer)
    same = notes.get("config") == _plain(asdict(config)) and torch.equal(limits, network.limits)
    if not same:
        raise WeightsError(
            "the checkpoint is of another run",
            where=checkpoints.path,
            expected="the same config and scans",
            found=f"another, at step {notes.get('step')}",
            hint="give another path, or remove the file",
        )
    return int(notes["step"])


def _plain(value: Any) -> Any:
    """As JSON gives it back: lists for tuples."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value
