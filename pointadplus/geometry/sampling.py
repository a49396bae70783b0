"""An order of points that does not depend on the order they came in."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


def canonical_order(points: Float[Tensor, "n 3"], seed: int = 0) -> Int[Tensor, "n"]:
    """A seeded random order of the points that any permutation of the input leads to. (N,) int64.

    Sorting by coordinates first makes every later sub-sampling, sum and tie-break independent of the caller's order,
    so that permuting the points permutes the scores, bit for bit. Any prefix is a uniform random sample.
    """
    array = points.detach().cpu().numpy()
    by_position = np.lexsort((array[:, 2], array[:, 1], array[:, 0]))
    generator = torch.Generator().manual_seed(seed)
    return torch.from_numpy(by_position)[torch.randperm(len(points), generator=generator)]
