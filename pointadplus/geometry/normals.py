"""Local covariance frames: normals and the eigenvalues that descriptors are made of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .neighbors import knn


@dataclass(frozen=True)
class LocalFrames:
    """Principal axes of each point's neighbourhood.

    Attributes:
        mean: (M, 3) centre of the neighbours relative to the point.
        variances: (M, 3) eigenvalues of the covariance, largest first, in squared units of the points.
        axes: (M, 3, 3) eigenvectors as columns in the same order; the last is the normal, its sign arbitrary.
    """

    mean: Float[Tensor, "m 3"]
    variances: Float[Tensor, "m 3"]
    axes: Float[Tensor, "m 3 3"]

    @property
    def normals(self) -> Float[Tensor, "m 3"]:
        """(M, 3) unit normals, unoriented."""
        return self.axes[..., 2]


def local_frames(offsets: Float[Tensor, "m k 3"]) -> LocalFrames:
    """Frames of neighbourhoods given as offsets from each point, (M, k, 3)."""
    mean = offsets.mean(1)
    centred = offsets - mean[:, None]
    covariance = centred.transpose(1, 2) @ centred / offsets.shape[1]
    # Twelve-digit work on values near the square of a spacing: float64 keeps thin neighbourhoods' small axis honest.
    variances, axes = torch.linalg.eigh(covariance.double())
    return LocalFrames(mean, variances.flip(-1).clamp_min(0).float(), axes.flip(-1).float())


def offsets_to(
    support: Float[Tensor, "s 3"], queries: Float[Tensor, "q 3"], index: Int[Tensor, "q k"]
) -> Float[Tensor, "q k 3"]:
    """Vectors from each query to its neighbours."""
    return support[index] - queries[:, None]


def estimate_normals(points: Float[Tensor, "n 3"], k: int = 16) -> Float[Tensor, "n 3"]:
    """Unit normals from the k nearest neighbours' smallest principal axis, unoriented. (N, 3)."""
    _, index = knn(points, points, k)
    chunks = [
        local_frames(offsets_to(points, part, part_index)).normals
        for part, part_index in zip(points.split(65_536), index.split(65_536), strict=True)
    ]
    return torch.cat(chunks)
