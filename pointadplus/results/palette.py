"""What a score looks like, wherever scores are shown."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# Viridis (van der Walt and Smith, 2015) from 0.2 in tenths: readable with any colour vision and in grey print.
# Its darkest fifth is left out, because shading could not be seen there.
VIRIDIS = ("414487", "355f8d", "2a788e", "21918c", "22a884", "44bf70", "7ad151", "bddf26", "fde725")


def score_colors(scores: Float[Tensor, "n"]) -> Float[Tensor, "n 3"]:
    """Red, green and blue in [0, 1] of scores in [0, 1]: from dark blue, normal, over green to yellow, anomalous."""
    stops = torch.tensor([list(bytes.fromhex(color)) for color in VIRIDIS], dtype=torch.float32) / 255
    place = scores.float().clamp(0, 1) * (len(stops) - 1)
    below = place.long().clamp(max=len(stops) - 2)
    return torch.lerp(stops[below], stops[below + 1], (place - below)[:, None])
