"""What a look's features differ by from those expected, and how the views' evidence comes together on the nodes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from pointadplus.geometry.neighbors import knn
from pointadplus.render import fill_unseen, lift_to_points
from pointadplus.render.correspondence import gather_at_points, visible_mean

from .config import MVRConfig
from .looks import Look

_NEAREST = 4  # nodes of normal scans that tell whether a view sees them at a place
_FLOOR = 0.3  # of the usual residual of all patches, added to each patch's own


@dataclass(frozen=True, eq=False)
class Usual:
    """What is normal of a part.

    Attributes:
        nodes: (R, 3) of normal scans, in the normalised frame, and seen: (V, R), which views see them.
        maps: (V, N) what normal scans leave each other at each patch; empty where residuals are taken as they are.
    """

    nodes: Float[Tensor, "r 3"]
    seen: Bool[Tensor, "v r"]
    maps: Float[Tensor, "v n"]

    def sees(self, nodes: Float[Tensor, "m 3"]) -> Bool[Tensor, "v m"]:
        """Whether a view sees normal scans there."""
        nearest = knn(self.nodes, nodes, min(_NEAREST, len(self.nodes)))[1]
        return 2 * self.seen[:, nearest].sum(2) >= nearest.shape[1]


def patch_residuals(
    expected: Float[Tensor, "groups v n d"], found: Float[Tensor, "groups v n d"], distance: str
) -> Float[Tensor, "v n"]:
    """Distance between the features of each patch of each view, means over the groups."""
    return _distance(expected, found, distance).mean(0)


def node_residuals(
    expected: Float[Tensor, "groups v n d"],
    found: Float[Tensor, "groups v n d"],
    look: Look,
    usual: Usual,
    config: MVRConfig,
) -> Float[Tensor, "m"]:
    """What each node's features differ by from those expected, in [0, ∞); 1 − cos itself is at most 2."""
    visible = torch.ones_like(look.visible) if config.visibility == "all" else look.visible
    if config.visibility == "mutual":
        visible = visible & usual.sees(look.nodes)
    if config.fusion == "features":
        pairs = zip(_lifted(expected, look, visible), _lifted(found, look, visible), strict=True)
        residuals = torch.stack([_distance(one, other, config.distance) for one, other in pairs]).mean(0)
    else:
        maps = patch_residuals(expected, found, config.distance)
        if config.relative:
            maps = maps / (usual.maps + _FLOOR * usual.maps.mean()).clamp_min(1e-6)
        values = gather_at_points(_as_maps(maps[..., None]), look.pixels, look.image_size)
        if config.fusion == "median":
            values = torch.where(visible, values[..., 0], torch.nan)
            residuals = values.nanquantile(0.5, 0).nan_to_num()
        else:
            residuals = visible_mean(values, visible)[0][:, 0]
    seen = visible.any(0)
    if config.level and seen.any():
        residuals = residuals / residuals[seen].quantile(config.level).clamp_min(1e-6)
    return fill_unseen(residuals[:, None], seen, look.nodes)[:, 0]


def _distance(expected: Tensor, found: Tensor, kind: str) -> Tensor:
    cosine = 1 - cosine_similarity(expected, found, dim=-1)
    return cosine.clamp_min(0).sqrt() if kind == "chord" else cosine.clamp_min(0)


def _lifted(
    groups: Float[Tensor, "groups v n d"], look: Look, visible: Bool[Tensor, "v m"]
) -> list[Float[Tensor, "m d"]]:
    return [lift_to_points(_as_maps(maps), look.pixels, visible, look.image_size)[0] for maps in groups]


def _as_maps(patches: Float[Tensor, "v n d"]) -> Float[Tensor, "v d h w"]:
    side = math.isqrt(patches.shape[1])
    return patches.mT.unflatten(2, (side, side))
