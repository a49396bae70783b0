"""The feature pyramid of GeoTransformer: kernel point convolutions down, nearest-neighbour upsampling back."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .config import NetworkConfig
from .kpconv import ConvBlock, KPConv, ResidualBlock, Unary, kernel_disposition, with_shadow
from .pyramid import Pyramid


class Backbone(nn.Module):
    """From the rotation-invariant features of the points to dense and superpoint features.

    Args:
        config: widths and radii.
        voxel: of the finest level, in normalised units.
        generator: of the kernel points.
    """

    def __init__(self, config: NetworkConfig, voxel: float, generator: torch.Generator) -> None:
        super().__init__()
        groups = config.groups

        def conv(inputs: int, outputs: int, level: int) -> KPConv:
            unit = voxel * 2**level
            points = kernel_disposition(config.kernel_points, config.kernel_shell, generator)
            return KPConv((inputs, outputs), config.radius * unit, config.sigma * unit, points)

        def residual(inputs: int, outputs: int, level: int, strided: bool = False) -> ResidualBlock:
            middle = conv(outputs // 4, outputs // 4, level)
            return ResidualBlock((inputs, outputs), middle, groups, strided)

        width, first = config.width, config.feature_widths[-1]
        widths = [2 * width * 2**level for level in range(config.levels)]
        self.entry = ConvBlock(conv(first, width, 0), groups)
        self.encoders = nn.ModuleList([nn.ModuleList([residual(width, widths[0], 0)])])
        for level in range(1, config.levels):
            below, here = widths[level - 1], widths[level]
            blocks = [
                residual(below, below, level - 1, True),
                residual(below, here, level),
                residual(here, here, level),
            ]
            self.encoders.append(nn.ModuleList(blocks))
        self.decoders = nn.ModuleList()  # finest first
        incoming = widths[-1]
        for level in reversed(range(config.levels - 1)):
            joined = incoming + widths[level]
            layer = Unary((joined, widths[level]), groups) if level else nn.Linear(joined, config.fine_dim)
            self.decoders.insert(0, layer)
            incoming = widths[level]
        self.coarse_width = widths[-1]

    def forward(
        self, features: Float[Tensor, "n c"], pyramid: Pyramid
    ) -> tuple[Float[Tensor, "s d"], Float[Tensor, "n f"]]:
        """Features of the superpoints (S, 2·width·2^(L−1)) and of the points (N, fine_dim)."""
        points = pyramid.points
        features = self.entry(features, points[0], points[0], pyramid.neighbors[0])
        skipped = []
        for level, blocks in enumerate(self.encoders):
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                assert isinstance(block, ResidualBlock)
                if block.strided:
                    features = block(features, points[level], points[level - 1], pyramid.subsampling[level - 1])
                else:
                    features = block(features, points[level], points[level], pyramid.neighbors[level])
            skipped.append(features)
        dense = skipped[-1]
        for level in reversed(range(len(self.decoders))):
            raised = with_shadow(dense)[pyramid.upsampling[level]]
            dense = self.decoders[level](torch.cat([raised, skipped[level]], 1))
        return skipped[-1], dense
