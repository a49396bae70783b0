"""The network: rotation-invariant features, the pyramid, the transformer, and two optimal transports."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pointadplus.geometry.neighbors import knn

from .backbone import Backbone
from .config import Reg2InvConfig
from .features import RIConv, informative_features
from .losses import circle_loss, transport_labels, transport_loss
from .matching import LearnedTransport, Patches, coarse_matches, dual_normalized, partition, superpoint_overlaps
from .pyramid import Pyramid, build_pyramid
from .transformer import GeometricTransformer


@dataclass(frozen=True, eq=False)
class CloudInput:
    """A cloud as the network takes it; none of it is learned, so it is made once.

    Attributes:
        informative: (N, k, 8) the informative features of each point's neighbourhood.
        pyramid: its levels; the coarsest are the S superpoints.
        patches: the points of each superpoint.
    """

    informative: Float[Tensor, "n k 8"]
    pyramid: Pyramid
    patches: Patches

    @property
    def points(self) -> Float[Tensor, "n 3"]:
        return self.pyramid.points[0]

    @property
    def nodes(self) -> Float[Tensor, "s 3"]:
        """The superpoints."""
        return self.pyramid.points[-1]

    def to(self, device: torch.device | str) -> CloudInput:
        """The same on another device."""
        patches = Patches(*(each.to(device) for each in (self.patches.index, self.patches.mask, self.patches.owner)))
        return CloudInput(self.informative.to(device), self.pyramid.to(device), patches)


def cloud_input(
    points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"], config: Reg2InvConfig, limits: tuple[int, ...]
) -> CloudInput:
    """Neighbours, informative features and pyramid of points at the resolution of `config.voxel`.

    Args:
        points, normals: (N, 3), on the CPU.
        config: of the method.
        limits: most neighbours at each level (`pyramid.neighbor_limits`).
    """
    pyramid = build_pyramid(points, config.voxel, limits, config.network.radius)
    patches = partition(points, pyramid.points[-1], config.matching.patch_points)
    return CloudInput(neighborhoods(points, normals, config), pyramid, patches)


def neighborhoods(
    points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"], config: Reg2InvConfig
) -> Float[Tensor, "n k 8"]:
    """The informative features of every point with its nearest neighbours."""
    index = knn(points, points, config.network.neighbors)[1]
    index[:, 0] = torch.arange(len(points))  # a point that coincides with another may come second
    return informative_features(points, normals, index, signed_angles=config.network.signed_angles)


@dataclass(frozen=True, eq=False)
class Matching:
    """What the network makes of two clouds, R and S superpoints.

    Attributes:
        inner: (N, 32) and (M, 32) rotation-invariant features of the points.
        coarse: (R, C) and (S, C) unit features of the superpoints.
        pairs: (B, 2) int64, the superpoints that were matched finely.
        fine_scores, inner_scores: (B, P + 1, P + 1) log-probabilities of their points, by dense and by inner features.
    """

    inner: tuple[Tensor, Tensor]
    coarse: tuple[Tensor, Tensor]
    pairs: Int[Tensor, "b 2"]
    fine_scores: Float[Tensor, "b r s"]
    inner_scores: Float[Tensor, "b r s"]


class Reg2InvNet(nn.Module):
    """The network of Reg2Inv; `build_network` gives it reproducible weights.

    Args:
        config: of the method.
        limits: most neighbours at each level; kept with the weights.
        generator: of the kernel points.
    """

    limits: Tensor

    def __init__(self, config: Reg2InvConfig, limits: tuple[int, ...], generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("limits", torch.tensor(limits))
        self.riconv = RIConv(config.network.feature_widths)
        self.backbone = Backbone(config.network, config.voxel, generator)
        self.transformer = GeometricTransformer(config.network, self.backbone.coarse_width)
        self.fine_transport = LearnedTransport(config.matching.sinkhorn_iterations)
        self.inner_transport = LearnedTransport(config.matching.sinkhorn_iterations)

    @property
    def neighbor_limits(self) -> tuple[int, ...]:
        """Most neighbours at each level."""
        return tuple(self.limits.tolist())

    def forward(self, reference: CloudInput, source: CloudInput, pairs: Int[Tensor, "b 2"] | None = None) -> Matching:
        """Match two clouds.

        Args:
            reference, source: of them.
            pairs: superpoints to match finely, known in training; None: those that are most alike.
        """
        config = self.config.matching
        inner = self.riconv(torch.cat([reference.informative, source.informative]))
        nodes, dense = self.backbone(inner, reference.pyramid.stacked(source.pyramid))
        sizes = len(reference.points), len(source.points)
        node_sizes = len(reference.nodes), len(source.nodes)
        first, second = nodes.split(node_sizes)
        coarse = self.transformer((reference.nodes, source.nodes), (first, second))
        if pairs is None:
            filled = reference.patches.mask.any(1), source.patches.mask.any(1)
            similar = dual_normalized(*coarse, dual=config.dual_normalization)
            pairs = coarse_matches(similar, filled, config.coarse_pairs)
        patches = reference.patches, source.patches
        inner_parts, dense_parts = inner.split(sizes), dense.split(sizes)
        fine_scores = self.fine_transport(*_patch_scores(dense_parts, patches, pairs))
        inner_scores = self.inner_transport(*_patch_scores(inner_parts, patches, pairs))
        return Matching((inner_parts[0], inner_parts[1]), coarse, pairs, fine_scores, inner_scores)

    def losses(
        self,
        reference: CloudInput,
        source: CloudInput,
        moved: tuple[Float[Tensor, "m 3"], Float[Tensor, "s 3"]],
        generator: torch.Generator,
    ) -> dict[str, Float[Tensor, ""]]:
        """The weighted losses `coarse`, `fine` and `inner` of a training pair; their sum is to be minimised.

        Args:
            reference, source: of the pair.
            moved: the source's points and superpoints where they truly lie on the reference.
            generator: on the CPU, of the draw of superpoint pairs.
        """
        config, training = self.config, self.config.training
        patches, squared = (reference.patches, source.patches), config.match_squared_distance
        overlaps = superpoint_overlaps(
            (reference.points, moved[0]), (reference.nodes, moved[1]), patches, squared, config.voxel
        )
        pairs = (overlaps > config.matching.positive_overlap).nonzero()
        drawn = torch.randperm(len(pairs), generator=generator)[: config.matching.coarse_pairs]
        pairs = pairs[drawn.to(pairs.device)]
        matching = self(reference, source, pairs)
        places = [
            torch.cat([points, points.new_zeros(1, 3)])[each.index[pairs[:, side]]]
            for side, (points, each) in enumerate(zip((reference.points, moved[0]), patches, strict=True))
        ]
        masks = patches[0].mask[pairs[:, 0]], patches[1].mask[pairs[:, 1]]
        labels = transport_labels((places[0], places[1]), masks, squared)
        first, second = matching.coarse
        coarse = circle_loss(first, second, overlaps, config.matching.positive_overlap, training)
        return {
            "coarse": training.coarse_weight * coarse,
            "fine": training.fine_weight * transport_loss(matching.fine_scores, labels),
            "inner": training.inner_weight * transport_loss(matching.inner_scores, labels),
        }


def _patch_scores(
    features: tuple[Tensor, ...], patches: tuple[Patches, Patches], pairs: Int[Tensor, "b 2"]
) -> tuple[Float[Tensor, "b p q"], Bool[Tensor, "b p"], Bool[Tensor, "b q"]]:
    """Scaled products of the features of two patches' points, and which of them are points."""
    rows, masks = [], []
    for side, (values, each) in enumerate(zip(features, patches, strict=True)):
        index, mask = each.index[pairs[:, side]], each.mask[pairs[:, side]]
        rows.append(torch.cat([values, values.new_zeros(1, values.shape[1])])[index])
        masks.append(mask)
    return rows[0] @ rows[1].transpose(1, 2) / features[0].shape[1] ** 0.5, masks[0], masks[1]


def build_network(config: Reg2InvConfig, limits: tuple[int, ...]) -> Reg2InvNet:
    """A network with the random start that `config.seed` leads to; the global random state is left as it was."""
    generator = torch.Generator().manual_seed(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return Reg2InvNet(config, limits, generator)
