"""What a score looks like, wherever scores are shown."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

# Viridis (van der Walt and Smith, 2015) from 0.2 in tenths: readable with any colour vision and in grey print.
# Its darkest fifth is left out, because shading could not be seen there.
VIRIDIS = ("414487", "355f8d", "2a788e", "21918c", "22a884", "44bf70", "7ad151", "bddf26", "fde725")

# ColorBrewer's YlOrRd without its palest: what lies beyond a limit, on grey.
BEYOND = ("feb24c", "fd8d3c", "fc4e2a", "e31a1c", "bd0026")

# Of deviations, each outward from the limit; the green is bluish, so that no colour vision takes it for the warm side.
WARM = ("ffd23f", "fb8b24", "d62828", "7f0000")
COLD = ("9bd4f5", "4a9fe0", "1f5fc4", "102a83")
GOOD = "3fae85"  # inside the tolerance
EVEN = "d8d5c4"  # inside the noise, where there is no tolerance and green would say too much
NEUTRAL = "b4bac1"  # below the limit of a score; of a deviation, where nothing was measured


def score_colors(scores: Float[Tensor, "n"]) -> Float[Tensor, "n 3"]:
    """Red, green and blue in [0, 1] of scores in [0, 1]: from dark blue, normal, over green to yellow, anomalous."""
    return _ramp(VIRIDIS, scores)


def limit_colors(scores: Float[Tensor, "n"], limit: float) -> Float[Tensor, "n 3"]:
    """Red, green and blue in [0, 1] of scores in [0, 1]: grey below the limit, from amber to dark red above it."""
    colors = _ramp(BEYOND, (scores.float() - limit) / max(1.0 - limit, 1e-9))
    return torch.where((scores >= limit)[:, None], colors, _rgb((NEUTRAL,)))


def deviation_colors(
    deviation: Float[Tensor, "n"], band: tuple[float, float], span: float, *, good: bool
) -> Float[Tensor, "n 3"]:
    """Red, green and blue in [0, 1] of signed deviations: cold below the band, warm above, grey where NaN.

    Args:
        deviation: (N,), NaN where nothing was measured.
        band: lowest and highest deviation of the colour in the middle.
        span: ± what the outermost colours mean, at least the band's ends.
        good: whether the band is a tolerance, green; else noise, pale.
    """
    low, high = band
    over = _ramp(WARM, (deviation - high) / max(span - high, 1e-30))
    under = _ramp(COLD, (low - deviation) / max(span + low, 1e-30))
    colors = torch.where((deviation > high)[:, None], over, _rgb((GOOD if good else EVEN,)))
    colors = torch.where((deviation < low)[:, None], under, colors)
    return torch.where(deviation.isnan()[:, None], _rgb((NEUTRAL,)), colors)


def _rgb(stops: Sequence[str]) -> Float[Tensor, "s 3"]:
    return torch.tensor([list(bytes.fromhex(color)) for color in stops], dtype=torch.float32) / 255


def _ramp(stops: Sequence[str], share: Float[Tensor, "n"]) -> Float[Tensor, "n 3"]:
    table = _rgb(stops)
    place = share.float().nan_to_num(0.0).clamp(0, 1) * (len(table) - 1)
    below = place.long().clamp(max=len(table) - 2)
    return torch.lerp(table[below], table[below + 1], (place - below)[:, None])
