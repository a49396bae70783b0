"""RIConv++: a layer whose output does not change when the cloud is turned (Zhang, Hua and Yeung, IJCV 2022).

Eight numbers describe how each neighbour stands to the centre and to the next neighbour around it; a small perceptron
and a mean over the neighbours make 32 features a point of them.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pointadplus.geometry.normals import offsets_to

INFORMATIVE = 8
CHUNK = 2048  # centres whose neighbourhoods are worked on at once
_ALMOST_ONE = 1.0 - 1e-7


def angular_keys(
    offsets: Float[Tensor, "m k 3"], normals: Float[Tensor, "m 3"]
) -> tuple[Float[Tensor, "m k"], Int[Tensor, "m k"]]:
    """The order of neighbours around each centre, seen along its normal.

    Offsets are laid into the tangent plane; the longest there is the reference. With c the cosine to the reference and
    s the side of it, +1, 0 or −1, a neighbour's key is s·c − (1 − s): it falls from 1 to −3 once around the circle. The
    centre itself counts as s = +1, the reference as s = 0, as released.

    Args:
        offsets: (M, k, 3) from each centre to its neighbours, the centre itself first.
        normals: (M, 3) unit normals of the centres.

    Returns:
        (M, k) keys, descending, and (M, k) int64 the neighbours in that order.
    """
    x, y, z = offsets.unbind(2)
    nx, ny, nz = normals[:, :, None].unbind(1)
    height = x * nx + y * ny + z * nz
    flat = (offsets - height[..., None] * normals[:, None]).unbind(2)
    length = (flat[0].square() + flat[1].square() + flat[2].square()).sqrt()
    longest = length.argmax(1, keepdim=True)
    inverse = torch.where(length > 0, 1.0 / length.clamp_min(1e-30), 0.0)
    x, y, z = (part * inverse for part in flat)
    rx, ry, rz = (part.gather(1, longest) for part in (x, y, z))
    cosine = x * rx + y * ry + z * rz
    # (w × r) · n = w · (r × n), of which the second factor is one vector a centre.
    side = (x * (ry * nz - rz * ny) + y * (rz * nx - rx * nz) + z * (rx * ny - ry * nx)).sign()
    side.scatter_(1, longest, 0.0)  # not left to rounding
    side[:, 0] = 1.0
    keys, order = torch.sort(side * cosine - (1.0 - side), dim=1, descending=True, stable=True)
    return keys, order


def informative_features(
    points: Float[Tensor, "n 3"],
    normals: Float[Tensor, "n 3"],
    neighbors: Int[Tensor, "m k"],
    *,
    signed_angles: bool = False,
) -> Float[Tensor, "m k 8"]:
    """Informative rotation-invariant features of neighbourhoods (RIConv++, section 3.1), neighbours in angular order.

    With v the offset of a neighbour, u its direction, n its normal and n_0 the centre's, v', n' those of the neighbour
    before it in the cyclic order, and e the direction of v − v': |v|; the step of the angular key; u·n_0; u·n; the
    angle between n and n_0; e·n; e·n'; the angle between n and n'. Directions of no length are 0.

    Args:
        points, normals: (N, 3) positions of any unit and unit normals.
        neighbors: (M, k) indices of each centre's neighbours, the first the centre itself.
        signed_angles: negate an angle whose first cosine before it is not below the second, as the authors meant; the
            released code leaves both positive.

    Returns:
        (M, k, 8) float32; angles in radians.
    """
    parts = [
        _informative(points, normals, near, signed_angles)
        for near in neighbors.split(CHUNK)  # so few that they stay in the processor's cache
    ]
    return torch.cat(parts) if parts else points.new_zeros(0, neighbors.shape[1], INFORMATIVE)


def _informative(points: Tensor, normals: Tensor, near: Tensor, signed: bool) -> Float[Tensor, "m k 8"]:
    centre = normals[near[:, 0]]
    offsets = offsets_to(points, points[near[:, 0]], near)
    keys, order = angular_keys(offsets, centre)
    offsets = offsets.gather(1, order[..., None].expand_as(offsets))
    facing = normals[near.gather(1, order)]
    before, facing_before = offsets.roll(1, 1), facing.roll(1, 1)

    distance, direction = _polar(offsets)
    _, edge = _polar(offsets - before)
    step = keys - keys.roll(1, 1)
    step[:, 0] = -3.0 - keys[:, -1]
    to_centre, to_neighbor = _dot(direction, centre[:, None]), _dot(direction, facing)
    across, across_before = _dot(edge, facing), _dot(edge, facing_before)
    turn, turn_before = _angle(facing, centre[:, None]), _angle(facing, facing_before)
    if signed:
        turn = torch.where(to_centre < to_neighbor, turn, -turn)
        turn_before = torch.where(across < across_before, turn_before, -turn_before)
    return torch.stack([distance, step, to_centre, to_neighbor, turn, across, across_before, turn_before], 2)


def _polar(vectors: Tensor) -> tuple[Tensor, Tensor]:
    length = _dot(vectors, vectors).sqrt()
    return length, vectors * torch.where(length > 0, 1.0 / length.clamp_min(1e-30), 0.0)[..., None]


def _dot(first: Tensor, second: Tensor) -> Tensor:
    x, y, z = (first * second).unbind(-1)  # a sum over an axis of three is many times slower
    return x + y + z


def _angle(first: Tensor, second: Tensor) -> Tensor:
    return _dot(first, second).clamp(-_ALMOST_ONE, _ALMOST_ONE).acos()


class RIConv(nn.Module):
    """The perceptron of an RIConv++ layer and the mean over its neighbours.

    Args:
        widths: outputs of its linear layers, each with batch normalisation and ReLU; (32, 64, 32) as released, which
            holds 4,736 parameters.
    """

    def __init__(self, widths: tuple[int, ...] = (32, 64, 32)) -> None:
        super().__init__()
        inputs = (INFORMATIVE, *widths[:-1])
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in zip(inputs, widths, strict=True))
        self.norms = nn.ModuleList(nn.BatchNorm1d(b) for b in widths)

    def forward(self, informative: Float[Tensor, "m k 8"]) -> Float[Tensor, "m c"]:
        """(M, C) features of M neighbourhoods. In training their statistics are those of the call."""
        if self.training:
            flat = informative.flatten(0, 1)
            for linear, norm in zip(self.linears, self.norms, strict=True):
                flat = norm(linear(flat)).relu_()
            return flat.view(*informative.shape[:2], -1).mean(1)
        layers = self._folded()
        parts = []
        for part in informative.split(CHUNK):
            flat = part.flatten(0, 1)
            for weight, bias in layers:
                flat = torch.addmm(bias, flat, weight).relu_()
            parts.append(flat.view(*part.shape[:2], -1).mean(1))
        return torch.cat(parts)

    def _folded(self) -> list[tuple[Tensor, Tensor]]:
        """Each linear layer with the normalisation after it, as one weight, transposed, and one bias."""
        out = []
        for linear, norm in zip(self.linears, self.norms, strict=True):
            assert isinstance(linear, nn.Linear) and isinstance(norm, nn.BatchNorm1d)
            assert norm.running_mean is not None and norm.running_var is not None
            scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
            out.append(((linear.weight * scale[:, None]).T, (linear.bias - norm.running_mean) * scale + norm.bias))
        return out
