"""Kernel point convolution (Thomas et al., KPConv, ICCV 2019) and the blocks that are built from it."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import group_norm, leaky_relu

SLOPE = 0.1  # of the leaky ReLU
NOISE = 0.01  # standard deviation of the kernel points, in convolution radii
_AWAY = 1e6  # where the shadow point stands


def kernel_disposition(count: int, shell: float, generator: torch.Generator) -> Float[Tensor, "k 3"]:
    """Kernel points for the unit ball: one in the centre and the others spread over a shell around it.

    The outer points start at random and repel each other on the sphere (80 steps down the energy Σ 1/r, the steps
    growing shorter); then each gets Gaussian noise of 0.01. The same generator state gives the same points.

    Args:
        count: K ≥ 2, the centre included.
        shell: distance of the outer points from the centre, in (0, 1).
        generator: of the start and of the noise.
    """
    outer = torch.randn(count - 1, 3, generator=generator, dtype=torch.float64)
    outer = outer / outer.norm(dim=1, keepdim=True)
    for step in range(80):
        apart = outer[:, None] - outer
        distance = apart.norm(dim=2).clamp_min(1e-6)
        force = (apart / distance[..., None] ** 3).sum(1)
        outer = outer + 0.5 / count * (1.0 - step / 80) * force
        outer = outer / outer.norm(dim=1, keepdim=True)
    points = torch.cat([torch.zeros(1, 3, dtype=torch.float64), shell * outer])
    return (points + NOISE * torch.randn(count, 3, generator=generator, dtype=torch.float64)).float()


def influences(offsets: Float[Tensor, "m h 3"], kernel: Float[Tensor, "k 3"], sigma: float) -> Float[Tensor, "m k h"]:
    """How much each kernel point hears each neighbour: max(0, 1 − |y − k| / σ), in [0, 1] (KPConv, eq. 3)."""
    squared = offsets.square().sum(2)[:, None] - 2 * kernel @ offsets.transpose(1, 2) + kernel.square().sum(1)[:, None]
    return (1.0 - squared.clamp_min(0).sqrt() / sigma).clamp_min(0)


class KPConv(nn.Module):
    """A convolution whose weights sit on points in space.

    The sum over kernel points of (neighbour features, weighted by influence) times the point's matrix, over the number
    of neighbours whose features sum to more than 0, at least 1, plus a bias.

    Args:
        channels: in, out.
        radius: of the kernel, in the unit of the points.
        sigma: reach of a kernel point, in the same unit.
        points: (K, 3) kernel points for the unit ball.
    """

    kernel: Tensor

    def __init__(self, channels: tuple[int, int], radius: float, sigma: float, points: Float[Tensor, "k 3"]) -> None:
        super().__init__()
        self.sigma = sigma
        self.register_buffer("kernel", points * radius)
        self.weight = nn.Parameter(torch.empty(len(points), *channels))
        self.bias = nn.Parameter(torch.empty(channels[1]))
        bound = 1.0 / math.sqrt(len(points) * channels[0])
        nn.init.uniform_(self.weight, -math.sqrt(3.0) * bound, math.sqrt(3.0) * bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(
        self,
        features: Float[Tensor, "s c"],
        queries: Float[Tensor, "q 3"],
        support: Float[Tensor, "s 3"],
        neighbors: Int[Tensor, "q h"],
    ) -> Float[Tensor, "q d"]:
        """Features at the queries from those of the support points; index S in `neighbors` is no point."""
        padded = torch.cat([support, support.new_full((1, 3), _AWAY)])
        near = with_shadow(features)[neighbors]
        weighted = influences(padded[neighbors] - queries[:, None], self.kernel, self.sigma) @ near
        out = weighted.flatten(1) @ self.weight.flatten(0, 1)
        heard = (near.sum(2) > 0).sum(1, keepdim=True).clamp_min(1)
        return out / heard + self.bias


def with_shadow(features: Float[Tensor, "s c"]) -> Float[Tensor, "t c"]:
    """The features and a row of zeros, which the shadow index finds."""
    return torch.cat([features, features.new_zeros(1, features.shape[1])])


class GroupNorm(nn.GroupNorm):
    """Group normalisation over all points of a call, (N, C) in and out."""

    def forward(self, input: Tensor) -> Tensor:
        return group_norm(input.T[None], self.num_groups, self.weight, self.bias, self.eps)[0].T


class Unary(nn.Module):
    """A linear layer of each point's features, normalised, with a leaky ReLU if `active`."""

    def __init__(self, channels: tuple[int, int], groups: int, active: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(*channels)
        self.norm = GroupNorm(groups, channels[1])
        self.active = active

    def forward(self, features: Float[Tensor, "n c"]) -> Float[Tensor, "n d"]:
        out = self.norm(self.linear(features))
        return leaky_relu(out, SLOPE) if self.active else out


class ConvBlock(nn.Module):
    """A kernel point convolution, normalised, with a leaky ReLU."""

    def __init__(self, conv: KPConv, groups: int) -> None:
        super().__init__()
        self.conv = conv
        self.norm = GroupNorm(groups, conv.weight.shape[2])

    def forward(self, features: Tensor, queries: Tensor, support: Tensor, neighbors: Tensor) -> Float[Tensor, "q d"]:
        return leaky_relu(self.norm(self.conv(features, queries, support, neighbors)), SLOPE)


class ResidualBlock(nn.Module):
    """A bottleneck: narrow to a quarter, convolve, widen, and add the shortcut.

    Args:
        channels: in, out; `conv` works on a quarter of out.
        conv: the convolution in the middle.
        groups: of the normalisation.
        strided: the queries are a coarser level, and the shortcut is the largest of their neighbours' features.
    """

    def __init__(self, channels: tuple[int, int], conv: KPConv, groups: int, strided: bool = False) -> None:
        super().__init__()
        middle = channels[1] // 4
        self.strided = strided
        self.narrow = Unary((channels[0], middle), groups) if channels[0] != middle else nn.Identity()
        self.conv = ConvBlock(conv, groups)
        self.widen = Unary((middle, channels[1]), groups, active=False)
        self.shortcut = Unary(channels, groups, active=False) if channels[0] != channels[1] else nn.Identity()

    def forward(self, features: Tensor, queries: Tensor, support: Tensor, neighbors: Tensor) -> Float[Tensor, "q d"]:
        out = self.widen(self.conv(self.narrow(features), queries, support, neighbors))
        own = with_shadow(features)[neighbors].amax(1) if self.strided else features
        return leaky_relu(out + self.shortcut(own), SLOPE)
