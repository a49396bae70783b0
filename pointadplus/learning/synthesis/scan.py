"""What a scanner does to a cloud, healthy or damaged: noise, uneven density, a side that it did not see."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...config import Config, check_range, within


@dataclass(frozen=True)
class ScanArtifacts(Config):
    """How strongly and how often a scan is disturbed. Lengths are shares of the bounding-box diagonal.

    Attributes:
        noise: lowest and highest standard deviation of the sensor noise; one value is drawn a cloud, log-uniformly.
        uneven: probability that the density varies over the object.
        thinnest: smallest share of points kept where an uneven density is lowest.
        one_sided: probability that the points facing away from a random direction are missing.

    Raises:
        ConfigError: a value out of range.
    """

    noise: tuple[float, float] = within("(0, ∞)", (0.0002, 0.0008))
    uneven: float = within("[0, 1]", 0.3)
    thinnest: float = within("[0, 1]", 0.35)
    one_sided: float = within("[0, 1]", 0.1)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self.noise[1], f"[{self.noise[0]}, ∞)", "ScanArtifacts.noise")


def diagonal(points: Float[Tensor, "n 3"]) -> Float[Tensor, ""]:
    """Of the bounding box."""
    return (points.amax(0) - points.amin(0)).norm()


def add_scan_artifacts(
    points: Float[Tensor, "n 3"],
    normals: Float[Tensor, "n 3"],
    generator: torch.Generator,
    artifacts: ScanArtifacts | None = None,
) -> tuple[Float[Tensor, "m 3"], Float[Tensor, "m 3"], Int[Tensor, " m"]]:
    """Disturb a cloud as a scanner would; labels keep their meaning and are picked by the returned index.

    Args:
        points, normals: (N, 3) each; normals are unit vectors that point outwards.
        generator: on the CPU; decides everything that is random.
        artifacts: None means the defaults.

    Returns:
        (M, 3) points, (M, 3) normals and the (M,) int64 rows that were kept, in order.
    """
    options = ScanArtifacts() if artifacts is None else artifacts
    draw = lambda *shape: torch.rand(shape, generator=generator).to(points)  # noqa: E731
    normal = lambda *shape: torch.randn(shape, generator=generator).to(points)  # noqa: E731
    center = points.mean(0)
    size = diagonal(points)
    kept = torch.ones(len(points), dtype=torch.bool, device=points.device)
    low, high = options.noise
    sigma = size * low * (high / low) ** draw(1)  # before what is drawn a point: twins of other sizes are scanned alike
    if draw(1) < options.one_sided:
        view = torch.nn.functional.normalize(normal(3), dim=0)
        kept &= normals @ view > -0.1
    if draw(1) < options.uneven:
        direction = torch.nn.functional.normalize(normal(3), dim=0)
        phase = ((points - center) @ direction / size * (1 + 2 * draw(1)) + draw(1)) * 2 * torch.pi
        kept &= draw(len(points)) < options.thinnest + (1 - options.thinnest) * (0.5 + 0.5 * phase.cos())
    if not kept.any():
        kept[:] = True  # a view that sees nothing would leave no cloud
    # Depth cameras err along the ray, structured light also across it: half of each.
    along = normal(len(points), 1) * normals
    jitter = (along + normal(len(points), 3) / 3**0.5) * sigma / 2**0.5
    index = kept.nonzero().squeeze(1)
    return (points + jitter)[index], normals[index], index
