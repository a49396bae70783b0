"""Every constant of Reg2Inv by name, in two sizes: the paper's, and one that learns from four scans on a CPU."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pointadplus.config import Config, one_of, within


@dataclass(frozen=True)
class NetworkConfig:
    """The architecture; the defaults are the released ones.

    Attributes:
        neighbors: points of an RIConv++ neighbourhood, the centre included.
        normal_neighbors: points that a normal is fitted to, the point itself included.
        signed_angles: give the two angles between normals the sign that their authors meant; the release does not.
        feature_widths: outputs of the RIConv++ layer's perceptron; the last is the feature's dimension.
        levels: resolutions of the pyramid; the coarsest holds the superpoints.
        width: channels after the first kernel point convolution; level l works with 2·width·2^l.
        groups: of the group normalisation.
        fine_dim: channels of the dense features.
        kernel_points: of a convolution, the centre included.
        kernel_shell: mean distance of the outer kernel points from the centre, in convolution radii.
        radius, sigma: of a convolution and of a kernel point's influence, in voxels of the level.
        hidden: channels of the transformer.
        heads: of its attention.
        blocks: pairs of self- and cross-attention layers.
        coarse_dim: channels of the superpoints' features.
        sigma_distance: normalised length that the distance embedding counts in.
        sigma_angle: degrees that the angle embedding counts in.
        angle_neighbors: superpoints that span angles with each pair.
    """

    neighbors: int = 32
    normal_neighbors: int = 30
    signed_angles: bool = False
    feature_widths: tuple[int, ...] = (32, 64, 32)
    levels: int = 3
    width: int = 64
    groups: int = 32
    fine_dim: int = 256
    kernel_points: int = 15
    kernel_shell: float = 0.66
    radius: float = 2.5
    sigma: float = 2.0
    hidden: int = 256
    heads: int = 4
    blocks: int = 3
    coarse_dim: int = 256
    sigma_distance: float = 0.2
    sigma_angle: float = 15.0
    angle_neighbors: int = 3


@dataclass(frozen=True)
class MatchingConfig:
    """How superpoints and points are matched.

    Attributes:
        patch_points: most points that a superpoint keeps.
        coarse_pairs: pairs of superpoints that are matched finely.
        dual_normalization: divide a pair's squared similarity by both superpoints' sums.
        sinkhorn_iterations: of the optimal transport.
        mutual: a correspondence is among this many best of its row and of its column.
        confidence: least probability of a correspondence; None: as many as the voxel is long, as released.
        squared_distance: two points match below this **squared** distance; None: voxel / 20, as released.
        positive_overlap: pairs of superpoints that overlap more are to be matched.
        ransac_threshold: of an inlier, in normalised units; None: the voxel.
        hypotheses: poses that RANSAC tries.
    """

    patch_points: int = 128
    coarse_pairs: int = 128
    dual_normalization: bool = True
    sinkhorn_iterations: int = 100
    mutual: int = 3
    confidence: float | None = None
    squared_distance: float | None = None
    positive_overlap: float = 0.1
    ransac_threshold: float | None = None
    hypotheses: int = 4096


@dataclass(frozen=True)
class TrainingConfig:
    """The learning of a network.

    Attributes:
        steps: of the optimiser, one pair each.
        learning_rate, weight_decay: of Adam.
        feature_rate: factor on the rate of the RIConv++ layer; 1 as released.
        warmup: steps over which the rate rises from `warmup_start` of its full value.
        warmup_start: share of the rate at the first step.
        final: share of the rate at the last step, reached on half a cosine.
        clip: largest norm of the gradient; None: not clipped, as released.
        euler_angles: draw rotations as three uniform Euler angles, as released, which favours some poses.
        translation: largest shift along an axis, in normalised units.
        keep: smallest and largest share of the points that a crop keeps.
        positive_margin, negative_margin, log_scale: of the circle loss; its optima are its margins.
        coarse_weight, fine_weight, inner_weight: of the three losses.
    """

    steps: int = 100_000
    learning_rate: float = 1e-4
    weight_decay: float = 1e-6
    feature_rate: float = 1.0
    warmup: int = 10_000
    warmup_start: float = 0.1
    final: float = 0.1
    clip: float | None = None
    euler_angles: bool = False
    translation: float = 0.5
    keep: tuple[float, float] = (0.25, 1.0)
    positive_margin: float = 0.1
    negative_margin: float = 1.4
    log_scale: float = 24.0
    coarse_weight: float = 1.0
    fine_weight: float = 1.0
    inner_weight: float = 1.0


@dataclass(frozen=True)
class ScoringConfig:
    """The memory bank and what is made of its distances.

    Attributes:
        bank: items that the coreset keeps of all prototypes.
        projection: dimensions in which the coreset is picked.
        starts: random items that the picking starts from.
        nearest: bank items whose mean squared distance is a point's score.
        boundary_neighbors: a point does not count if of so many neighbours it is not the closest to their centroid:
            it lies on the rim of the scan.
        partial: share of the normal surface that a scan must lack before its rim is left out, for holes have rims, too;
            0: always left out, as released.
        interpolated: scored points whose mean an original point takes.
        pooled: neighbours over which scores are averaged before the largest is the object's.
        relative: take distances, not squared, over those that normal scans have from each other at the same place;
            False: as released.
        level: if relative, take them over this quantile of the scan's own, too; 0: as they are.
        scale: squared distance that scores 0.5; scores are d / (d + scale). Ours; no ranking depends on it. If
            relative, it is learnt: the 98 % quantile of the normal scans.
    """

    bank: int = 10_000
    projection: int = 128
    starts: int = 10
    nearest: int = 1
    boundary_neighbors: int = 64
    partial: float = 0.0
    interpolated: int = 16
    pooled: int = 64
    relative: bool = False
    level: float = 0.0
    scale: float = 0.01


@dataclass(frozen=True)
class Reg2InvConfig(Config):
    """Of the whole method. Lengths are in normalised units, in which the object fits the unit ball.

    Attributes:
        voxel: side of the grid that the network's points are means of.
        centring_points: size of the thinned cloud whose mean is the centre.
        max_points: of a scan that are read; more are thinned at random.
        oriented_points: of a scan that the sign of the normals is found at.
        registration: of a scan to the prototype: by the "network", by the "library" (`geometry.alignment`), "none" for
            scans that are in one pose already, or "auto", which is the network wherever it was learned on the normals
            or given by the caller, else the library.
        seed: of everything random.
        network, matching, training, scoring: the parts.

    Raises:
        ConfigError: a voxel that is not positive, or an unknown registration.
    """

    voxel: float = within("(0, ∞)", 0.03)
    centring_points: int = 4096
    max_points: int = 100_000
    oriented_points: int = 8192
    registration: str = one_of("auto", "network", "library", "none")
    seed: int = 0
    network: NetworkConfig = field(default_factory=NetworkConfig)
    matching: MatchingConfig = field(default_factory=MatchingConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    scoring: ScoringConfig = field(default_factory=ScoringConfig)

    @classmethod
    def paper(cls) -> Reg2InvConfig:
        """As released for Real3D-AD: 5.2 million parameters, 100,000 steps."""
        return cls()

    @classmethod
    def small(cls) -> Reg2InvConfig:
        """A cut network for a CPU; its widths, its schedule and its relative scores are ours.

        Its few steps make good features, but no registration to rely on, so scans are registered by the library.
        """
        return cls(
            registration="library",
            network=NetworkConfig(
                width=16, groups=4, fine_dim=64, hidden=64, blocks=2, coarse_dim=64, angle_neighbors=1
            ),
            matching=MatchingConfig(patch_points=32, coarse_pairs=64, sinkhorn_iterations=15),
            scoring=ScoringConfig(partial=0.1, relative=True, level=0.5),
            training=TrainingConfig(steps=100, learning_rate=5e-4, feature_rate=10.0, warmup=10, final=0.05, clip=5.0),
        )

    def with_steps(self, steps: int) -> Reg2InvConfig:
        """The same, learned in so many steps, the warm-up in proportion."""
        warmup = round(self.training.warmup * steps / self.training.steps)
        return replace(self, training=replace(self.training, steps=steps, warmup=warmup))

    @property
    def match_squared_distance(self) -> float:
        """Squared distance below which two points are the same."""
        return self.voxel / 20 if self.matching.squared_distance is None else self.matching.squared_distance

    @property
    def confidence(self) -> float:
        """Least probability of a correspondence."""
        return self.voxel if self.matching.confidence is None else self.matching.confidence

    @property
    def ransac_threshold(self) -> float:
        """Distance of an inlier."""
        return self.voxel if self.matching.ransac_threshold is None else self.matching.ransac_threshold
