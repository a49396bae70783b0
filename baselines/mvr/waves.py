"""A teacher that nobody had to train: depth written as waves."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, pixel_unshuffle

WAVELENGTHS = (0.05, 0.1, 0.2, 0.4)  # of the depth that the object is framed for
_CELL = 4  # pixels whose waves are averaged


class WaveEncoder:
    """Sines and cosines of depth at four wavelengths, means over cells of 4 pixels, 2 × 2 of them to a token.

    The cosine between two tokens is a kernel of the distance between two surfaces (random Fourier features: Rahimi and
    Recht, Random features for large-scale kernel machines, 2007; on chosen frequencies as in Tancik et al., Fourier
    features let networks learn high frequency functions in low dimensional domains, 2020): steep from the very first
    deviation on and the same everywhere. A cell of background has a dimension of its own, so outlines count, too.
    """

    channels: tuple[str, ...] = ("tangent_depth", "mask")
    prefix, patch, layers = 0, 2 * _CELL, (0,)
    width, heads = 4 * (2 * len(WAVELENGTHS) + 1), 4
    name = "waves 1"

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "b 2 height width"]) -> Float[Tensor, "1 b n d"]:
        depth, mask = images.float().split(1, 1)
        phase = (2 * torch.pi) * depth / torch.tensor(WAVELENGTHS, device=depth.device)[:, None, None]
        planes = torch.cat([phase.sin() * mask, phase.cos() * mask, 1 - mask], 1)
        return pixel_unshuffle(avg_pool2d(planes, _CELL), self.patch // _CELL).flatten(2).mT[None]

    def autocast(self) -> torch.autocast:
        """Full precision: what a scan deviates by is lost in bfloat16."""
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=False)
