"""Learning to restore what a frozen teacher says of a normal part."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pointadplus.results.detector import FitProgress

from .config import MVRConfig
from .encoders import Encoder
from .loss import easy_share, hard_mining_cosine
from .network import Student, grouped
from .optimizer import StableAdamW, scheduled_rate


def new_student(encoder: Encoder, config: MVRConfig, places: Float[Tensor, "v n width"] | None = None) -> Student:
    """A student of the teacher with fresh weights from the seed; the global random state is left as it was.

    Args:
        encoder: the teacher.
        config: of the student.
        places: where its queries start from, see `Student`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        size = encoder.width, encoder.heads, len(encoder.layers)
        return Student(*size, config.dropout, places, encoder.prefix, config.pooled)


def train_student(
    student: Student,
    encoder: Encoder,
    tokens: Sequence[Float[Tensor, "layers v n width"]],
    config: MVRConfig,
    progress: FitProgress | None = None,
) -> list[float]:
    """Train on what the teacher gave for some looks; the teacher itself does not run again.

    Args:
        student: trained in place.
        encoder: the teacher.
        tokens: of each look, all its views.
        config: steps, batch, rates and the loss.
        progress: told of each step.

    Returns:
        The loss of each step.
    """
    optimizer = StableAdamW(student.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    looks, views = zip(
        *((look, view) for look, found in enumerate(tokens) for view in range(found.shape[1])), strict=True
    )
    generator = torch.Generator().manual_seed(config.seed)
    losses = []
    student.train()
    with torch.random.fork_rng(devices=[]):  # dropout draws from the global state
        torch.manual_seed(config.seed)
        for step in range(config.steps):
            rate = scheduled_rate(step, config.steps, config.learning_rate, config.final_rate, config.warmup)
            for group in optimizer.param_groups:
                group["lr"] = rate
            chosen = torch.randint(len(views), (config.batch,), generator=generator).tolist()
            batch = torch.stack([tokens[looks[each]][:, views[each]] for each in chosen], 1).float()
            with encoder.autocast():
                restored = student(batch, torch.tensor([views[each] for each in chosen]))
            easy = easy_share(step, config.hard, config.hard_warmup)
            loss = hard_mining_cosine(
                patches(batch, encoder, config), patches(restored, encoder, config), easy, config.shrink
            )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), config.clip)
            optimizer.step()
            losses.append(loss.item())
            if progress is not None:
                progress("learning", step + 1, config.steps, losses[-1])
    student.eval()
    return losses


def patches(
    layers: Float[Tensor, "layers b n width"], encoder: Encoder, config: MVRConfig
) -> Float[Tensor, "groups b hw width"]:
    """The maps that are compared: layers averaged in groups, without class token and registers."""
    return grouped(layers[:, :, encoder.prefix :], config.groups)
