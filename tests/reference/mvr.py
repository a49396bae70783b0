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


def looked_up(patches: Tensor, place: Tensor) -> Tensor:
    """(n, d) patches of a square picture at a place (x, y) in [0, 1]: bilinear between centres, flat at the rim."""
    side = math.isqrt(len(patches))
    total = torch.zeros(patches.shape[1])
    (column, right), (row, below) = (divmod(min(max(float(at) * side - 0.5, 0.0), side - 1.0), 1) for at in place)
    for y, high in ((int(row), 1 - below), (int(row) + 1, below)):
        for x, wide in ((int(column), 1 - right), (int(column) + 1, right)):
            if high * wide > 0:
                total += high * wide * patches[y * side + x]
    return total


def node_residuals(
    expected: Tensor,
    found: Tensor,
    usual: Tensor,
    places: Tensor,
    visible: Tensor,
    nodes: Tensor,
    fusion: str,
    distance: str,
) -> Tensor:
    """Node by node and view by view; a node that no view sees takes the mean of its three nearest that one does."""
    root = math.sqrt if distance == "chord" else lambda value: value
    result: dict[int, float] = {}
    for node in range(len(nodes)):
        seen = [view for view in range(len(visible)) if visible[view, node]]
        if not seen:
            continue
        if fusion == "features":
            groups = []
            for one, other in zip(expected, found, strict=True):
                pair = [sum(looked_up(maps[v], places[v, node]) for v in seen) / len(seen) for maps in (one, other)]
                groups.append(root(float(cosine_distance(*pair))))
            result[node] = sum(groups) / len(groups)
            continue
        scores = []
        for view in seen:
            maps = torch.zeros(expected.shape[2], 1)
            for patch in range(expected.shape[2]):
                apart = [
                    root(float(cosine_distance(a[view, patch], b[view, patch])))
                    for a, b in zip(expected, found, strict=True)
                ]
                maps[patch] = sum(apart) / len(apart) / (usual[view, patch] + 0.3 * usual.mean())
            scores.append(float(looked_up(maps, places[view, node])))
        scores.sort()
        middle = (scores[(len(scores) - 1) // 2] + scores[len(scores) // 2]) / 2
        result[node] = middle if fusion == "median" else sum(scores) / len(scores)
    for node in range(len(nodes)):
        if not visible[:, node].any():
            nearest = sorted(result, key=lambda other: float((nodes[other] - nodes[node]).norm()))[:3]
            result[node] = sum(result[other] for other in nearest) / 3
    return torch.tensor([result[node] for node in range(len(nodes))])
