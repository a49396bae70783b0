"""Learning prompts and G-aggregation on labelled objects, over any frozen backbone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...zero_shot.model import PointAD, PointADPlus
from .config import OptimizationConfig
from .lessons import Lesson, load_lesson
from .objective import LossConfig, Objective


def make_optimizer(model: PointAD, config: OptimizationConfig) -> torch.optim.Optimizer:
    """Adam over the prompts and, where there is one, AdamW over G-aggregation; `peak` keeps each group's rate."""
    groups = [
        {"params": list(model.prompts.parameters()), "lr": config.prompt_lr, "peak": config.prompt_lr,
         "betas": (0.5, 0.999), "weight_decay": 0.0},
    ]  # fmt: skip
    if isinstance(model, PointADPlus):
        rate = config.aggregation_lr
        groups.append(
            {"params": list(model.aggregation.parameters()), "lr": rate, "peak": rate,
             "betas": (0.9, 0.99), "weight_decay": config.weight_decay},
        )  # fmt: skip
    return torch.optim.AdamW(groups)


def set_rates(optimizer: torch.optim.Optimizer, config: OptimizationConfig, step: int, progress: float) -> None:
    """Learning rates of a step, 0-based, at a share of the run in [0, 1]."""
    warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * warm * (max(0.02, 1 - progress) if config.decay else 1.0)


class PromptTrainer:
    """One optimiser step at a time; the caller decides when to stop, log and save."""

    def __init__(self, model: PointAD, config: OptimizationConfig, losses: LossConfig | None = None) -> None:
        self.model, self.config = model, config
        self.objective = Objective(model, losses)
        self.optimizer = make_optimizer(model, config)

    def step(self, batches: Sequence[Sequence[Lesson]]) -> dict[str, float]:
        """Learn from the mean over a few batches; returns the mean losses by name."""
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        for batch in batches:
            losses = self.objective(batch)
            (total(losses) / len(batches)).backward()
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value.detach().item() / len(batches)
        if self.config.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        return sums


def total(losses: dict[str, Tensor]) -> Tensor:
    """Their sum."""
    return torch.stack(list(losses.values())).sum()


def calibrate_descriptors(model: PointADPlus, lessons: Sequence[Path], count: int = 64) -> None:
    """Fix the standardisation of descriptors from a sample of the training objects: median and 1.4826·MAD, floored."""
    step = max(1, len(lessons) // count)
    sample = torch.cat([load_lesson(path).observation.descriptors[::16] for path in lessons[::step]])
    center = sample.median(0).values
    spread = 1.4826 * (sample - center).abs().median(0).values
    floor = 0.25 * sample.clamp(sample.quantile(0.01, 0), sample.quantile(0.99, 0)).std(0)
    model.aggregation.calibrate(center, torch.maximum(spread, floor).clamp_min(1e-4))
