"""The fine layer: a second look at a dense scan, at its own density, from coarse to fine.

The first look takes in 20,000 points of a scan, whatever its size. Here the shape around single points is judged with
all of the scan as their surroundings: first for points spread evenly, then for those about the oddest of them.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu

from ..errors import WeightsError
from ..geometry.dense_surface import CHUNK, FINE_FEATURES, DenseSurface
from ..geometry.neighbors import Neighbors
from ..io.tensors import check_finite, read_safetensors

FORMAT = "pointadplus.fine_layer"
EMBEDDED = Path(__file__).resolve().parent.parent / "assets" / "fine_layer.safetensors"

# All ours.
DENSE = 120_000  # points from which on what the first look leaves out is worth the seconds
SPREAD, DETAIL = 12_288, 24_576  # points that are looked at first, and those about the oddest of them
WIDTH, HEARD = 2.0, 8  # of the Gaussian over what was looked at, in spacings; points that it hears
TOP = 5e-4  # share of the points whose mean tells of the object


class FineLayer(nn.Module):
    """A small perceptron from what `DenseSurface.describe` tells of a point to the log-odds that it is damaged.

    `point` and `whole` join them with the first look's log-odds, of a point and of the object.

    Args:
        hidden: its width.
        dropout: of its hidden units, while it learns.
    """

    center: Tensor
    spread: Tensor

    def __init__(self, hidden: int = 64, dropout: float = 0.4) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(FINE_FEATURES))
        self.register_buffer("spread", torch.ones(FINE_FEATURES))
        self.entry = nn.Linear(FINE_FEATURES, hidden)
        self.middle = nn.Linear(hidden, hidden)
        self.exit = nn.Linear(hidden, 1)
        self.dropout = nn.Dropout(dropout)
        self.point, self.whole = nn.Linear(2, 1), nn.Linear(2, 1)

    def forward(self, features: Float[Tensor, "q f"]) -> Float[Tensor, "q"]:
        """Log-odds, (Q,) float32."""
        known = ((features - self.center) / self.spread).clamp(-5, 5)
        hidden = self.dropout(gelu(self.entry(known)))
        hidden = self.dropout(gelu(self.middle(hidden)))
        return self.exit(hidden)[:, 0]

    def joined(self, coarse: Float[Tensor, "n"], fine: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
        """Log-odds of points from those of both looks."""
        return self.point(torch.stack([coarse, fine], 1))[:, 0]

    def verdict(self, total: Float[Tensor, ""], fine: Float[Tensor, "n"]) -> Float[Tensor, ""]:
        """Log-odds of the object from those of the first look and of its points at the second."""
        return self.whole(torch.stack([total, top_odds(fine)]))[0]


def top_odds(odds: Float[Tensor, "n"]) -> Float[Tensor, ""]:
    """Mean of the highest `TOP` of the log-odds of a dense scan's points."""
    return odds.topk(max(1, math.ceil(TOP * len(odds)))).values.mean()


@torch.no_grad()
def fine_odds(layer: FineLayer, points: Float[Tensor, "n 3"], *, full: bool = False) -> Float[Tensor, "n"]:
    """What the layer says of each point of a dense scan, as log-odds, (N,).

    Args:
        layer: in evaluation mode.
        points: see `DenseSurface`.
        full: every point is looked at; else the first `SPREAD` and, of the others, the `DETAIL` whose nearest of those
            are the oddest, while the rest take what is said of the nearest.
    """
    surface = DenseSurface(points)

    def look(rows: Tensor) -> Tensor:
        return torch.cat([layer(surface.describe(points[part])) for part in rows.split(CHUNK)])

    rows = torch.arange(len(points) if full else min(SPREAD, len(points)))
    odds = look(rows)
    if len(rows) == len(points):
        return _smoothed(points, odds, surface.spacing)
    nearest = Neighbors(points[rows]).nearest(points[len(rows) :], 1)[1][:, 0]
    oddest = odds[nearest].argsort(descending=True, stable=True)[:DETAIL] + len(rows)
    seen = torch.cat([rows, oddest])
    known = _smoothed(points[seen], torch.cat([odds, look(oddest)]), surface.spacing)
    result = torch.cat([known[: len(rows)], known[nearest]])
    result[oddest] = known[len(rows) :]
    return result


def _smoothed(points: Tensor, odds: Tensor, spacing: float) -> Tensor:
    """Gaussian means over the nearest of the points; what lies alone keeps its own."""
    distance, index = Neighbors(points).nearest(points, HEARD)
    weight = torch.exp(-0.5 * (distance / (WIDTH * spacing)).square())
    return (odds[index] * weight).sum(1) / weight.sum(1)


@lru_cache(maxsize=1)
def embedded_fine_layer() -> FineLayer:
    """The layer that comes with the package, in evaluation mode.

    Raises:
        WeightsError: its file is missing or damaged.
    """
    state, metadata = read_safetensors(EMBEDDED)
    check_finite(state, EMBEDDED)
    if FORMAT not in metadata:
        raise WeightsError("not a fine layer", where=EMBEDDED, expected=FORMAT, found=sorted(metadata))
    try:
        layer = FineLayer(len(state["entry.bias"]))
        layer.load_state_dict({name: value.float() for name, value in state.items()})
    except (KeyError, RuntimeError) as error:
        raise WeightsError("the fine layer does not load", where=EMBEDDED, found=error) from error
    return layer.eval()


@lru_cache(maxsize=1)
def fine_digest() -> str:
    """16 hex digits of the SHA-256 of the embedded layer's file."""
    return hashlib.sha256(EMBEDDED.read_bytes()).hexdigest()[:16]
