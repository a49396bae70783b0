"""Naive twins of MVR's parts, straight from their definitions."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def linear_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """(n, d) each, one head: every output is a sum over all tokens, term by term."""
    feature = lambda x: torch.where(x > 0, x + 1, x.exp())  # noqa: E731 - elu(x) + 1
    out = torch.zeros_like(value)
    for s in range(len(query)):
        weights = torch.stack([(feature(query[s]) * feature(key[t])).sum() for t in range(len(key))])
        out[s] = sum(weights[t] * value[t] for t in range(len(key))) / weights.sum()
    return out


def cosine_distance(one: Tensor, other: Tensor) -> Tensor:
    return 1 - (one * other).sum() / one.square().sum().sqrt() / other.square().sum().sqrt()


def hard_mining_gradient(teacher: Tensor, student: Tensor, easy: float, shrink: float) -> tuple[Tensor, Tensor]:
    """Loss and gradient of one group (b, n, width): the plain loss's gradient, shrunk by hand at the easy points."""
    leaf = student.clone().requires_grad_()
    loss = torch.stack([cosine_distance(a.flatten(), b.flatten()) for a, b in zip(teacher, leaf, strict=True)]).mean()
    loss.backward()
    assert leaf.grad is not None
    places = [(i, j) for i in range(len(teacher)) for j in range(teacher.shape[1])]
    places.sort(key=lambda place: float(cosine_distance(teacher[place], student[place])))
    gradient = leaf.grad.clone()
    for place in places[: int(easy * len(places))]:
        gradient[place] *= shrink
    return loss.detach(), gradient


def stable_adamw(
    start: Tensor, gradients: list[Tensor], lr: float, weight_decay: float, eps: float, amsgrad: bool
) -> Tensor:
    """The parameter after steps along given gradients, number by number."""
    values = start.flatten().tolist()
    first, second, largest = ([0.0] * len(values) for _ in range(3))
    for step, gradient in enumerate(gradients, start=1):
        pulls = gradient.flatten().tolist()
        ratios, denominators = [], []
        for i, pull in enumerate(pulls):
            first[i] = 0.9 * first[i] + 0.1 * pull
            second[i] = 0.999 * second[i] + 0.001 * pull * pull
            largest[i] = max(largest[i], second[i])
            moment = largest[i] if amsgrad else second[i]
            denominators.append(math.sqrt(moment) / math.sqrt(1 - 0.999**step) + eps)
            ratios.append(pull / denominators[i])
        shrink = max(1.0, math.sqrt(sum(r * r for r in ratios) / len(ratios)))
        for i in range(len(values)):
            values[i] *= 1 - lr * weight_decay
            values[i] -= lr / (1 - 0.9**step) / shrink * first[i] / denominators[i]
    return torch.tensor(values).view_as(start)
