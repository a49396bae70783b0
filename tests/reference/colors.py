"""Descriptors of colours, point by point."""

from __future__ import annotations

import torch
from torch import Tensor

from pointadplus.geometry.color_descriptors import COLOR_CHANNELS, NEIGHBORS, RANK
from pointadplus.geometry.descriptors import FAR, REFERENCES


def describe_colors(support: Tensor, colors: Tensor, count: int) -> dict[str, Tensor]:
    """The same as `geometry.color_descriptors.describe_colors`, in float64."""
    points, colors = support.double(), colors.double()
    patches: dict[str, list[Tensor]] = {scale: [] for scale in NEIGHBORS}
    for point in points[:count]:
        order = (points - point).norm(dim=1).argsort(stable=True)
        for scale, k in NEIGHBORS.items():
            near = order[:k] if len(order) >= k else torch.cat([order, order[-1:].expand(k - len(order))])
            patches[scale].append(torch.cat([colors[near].mean(0), colors[near].std(0)]))
    table = {scale: torch.stack(rows) for scale, rows in patches.items()}
    out = {name: 2 * colors[:count, plane] - 1 for plane, name in enumerate(("red", "green", "blue"))}
    for scale, rows in table.items():
        out[f"contrast_{scale}"] = (colors[:count] - rows[:, :3]).norm(dim=1)
        out[f"spread_{scale}"] = rows[:, 3:].norm(dim=1)
        references = []
        for number in range(count):
            far = [
                float((rows[number] - rows[other]).norm())
                for other in range(min(count, REFERENCES))
                if (points[number] - points[other]).norm() >= FAR
            ]
            references.append(sorted(far)[RANK - 1] if len(far) >= RANK else 0.0)
        out[f"color_reference_{scale}"] = torch.tensor(references, dtype=torch.float64)
    out["color_step"] = (table["fine"][:, :3] - table["wide"][:, :3]).norm(dim=1)
    centred = colors - colors.mean(0)
    inverse = torch.linalg.inv(centred.T @ centred / len(colors) + 1e-3 * torch.eye(3).double())
    out["color_rarity"] = torch.stack([(row @ inverse @ row).sqrt() for row in centred[:count]])
    return {name: torch.tanh(out[name] / unit) for name, unit in COLOR_CHANNELS.items()}
