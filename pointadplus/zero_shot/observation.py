"""What the frozen parts of the method see of one cloud: descriptors, views, CLIP tokens and lifted features."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..clip.backbone import Backbone
from ..cloud import PointCloud
from ..config import Config, check_range, within
from ..errors import ConfigError
from ..geometry.descriptors import DESCRIPTORS, Descriptors, describe
from ..geometry.sampling import even_order
from ..geometry.symmetry import Symmetries, find_symmetries
from ..geometry.symmetry_descriptors import SYMMETRY_COLUMNS, describe_symmetry
from ..normalization import Normalization
from ..render import MultiViewRenderer, RenderConfig, fill_unseen, lift_to_points
from ..render.shading import CHANNELS

FEWEST = 1024  # nodes, where there are as many points
NODE_FEATURES = DESCRIPTORS + len(SYMMETRY_COLUMNS)
"""Geometric features of a node, F: those of `geometry.descriptors.COLUMNS`, then those of `SYMMETRY_COLUMNS`."""


@dataclass(frozen=True)
class ObservationConfig(Config):
    """How a cloud is looked at.

    Attributes:
        nodes: M at most, points that features are lifted to and the point graph is built on.
        node_area: of surface that a node stands for at least, in squared diagonals: one side of an object gets half
            as many as the whole.
        support: points that give a node its surroundings; a denser scan is thinned to this many.
        samples: looks at one cloud, each with other nodes; their log-odds are averaged. A score moves less with which
            points became nodes, and costs as many times more. A cloud that has fewer points gets fewer looks.
        rendered: points that are drawn; None means the nodes. Backbones whose channels include descriptors need None.
        views: name of the view set, see `render.view_rotations`.
        framing, fill: see `RenderConfig`.
        seed: of the sub-sampling.
    """

    nodes: int = 8192
    node_area: float = within("(0, ∞)", 8e-5)
    support: int = 20_000
    samples: int = within("[1, ∞)", 1)
    rendered: int | None = None
    views: str = "sphere12"
    framing: str = "sphere"
    fill: float = 0.9
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self.nodes, f"[64, {self.support}]", "ObservationConfig.nodes")
        if self.rendered is not None:
            check_range(self.rendered, f"[{self.nodes}, ∞)", "ObservationConfig.rendered")


class Stopwatch:
    """Adds up the seconds of named stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


@dataclass(frozen=True, eq=False)
class Picture:
    """A cloud brought into the normalised frame, described and drawn.

    Attributes:
        order: (N,) int64, canonical order of the cloud's points; the first M are the nodes.
        nodes: (M, 3) in the normalised frame.
        descriptors: of the nodes.
        images: (V, C, H, W), the backbone's channels.
        index: (V, H, W) front point of each pixel as an index into `order`, −1 for background.
        pixels: (V, M, 2) and visible: (V, M), the point↔pixel map of the nodes.
        symmetry: (M, `SYMMETRY_COLUMNS`), how the nodes differ from their counterparts.
        symmetries: of the object; None where they were not kept.
    """

    order: Int[Tensor, "n"]
    normalization: Normalization
    nodes: Float[Tensor, "m 3"]
    descriptors: Descriptors
    images: Float[Tensor, "v c h w"]
    index: Int[Tensor, "v h w"]
    pixels: Float[Tensor, "v m 2"]
    visible: Bool[Tensor, "v m"]
    symmetry: Float[Tensor, "m s"]
    symmetries: Symmetries | None = None

    @property
    def start(self) -> tuple[Tensor, Normalization, int]:
        """What other looks at the same cloud start from."""
        return self.order, self.normalization, len(self.nodes)

    @property
    def features(self) -> Float[Tensor, "m f"]:
        """All geometric features of the nodes, (M, `NODE_FEATURES`)."""
        return torch.cat([self.descriptors.features, self.symmetry], 1)


@dataclass(frozen=True, eq=False)
class Observation:
    """All that prompts and G-aggregation work on; nothing in it depends on what is learnt later.

    Attributes:
        nodes, normals: (M, 3), in the normalised frame.
        view: (3,) unit vector towards the eyes.
        descriptors: (M, `NODE_FEATURES`) rotation-invariant descriptors.
        features: (M, D) lifted patch features: the mean over the views that see a node, L2-normalised.
        pixels: (V, M, 2) and visible: (V, M), the point↔pixel map, for images of side `image_size`.
        patches: (V, h·w, D) unit patch features; `grid` is (h, w).
        views: (V, D) unit global features.
        seconds: time spent in each stage.
    """

    nodes: Float[Tensor, "m 3"]
    normals: Float[Tensor, "m 3"]
    view: Float[Tensor, "3"]
    descriptors: Float[Tensor, "m f"]
    features: Float[Tensor, "m d"]
    pixels: Float[Tensor, "v m 2"]
    visible: Bool[Tensor, "v m"]
    patches: Float[Tensor, "v hw d"]
    grid: tuple[int, int]
    views: Float[Tensor, "v d"]
    image_size: int
    seconds: Mapping[str, float] = field(default_factory=dict)


class Observer:
    """Looks at clouds through one backbone and one set of views.

    Args:
        channels: names of the image channels that the backbone takes.
        image_size: side of its images in pixels.
        config: how to look.
    """

    def __init__(self, channels: tuple[str, ...], image_size: int, config: ObservationConfig | None = None) -> None:
        self.config = config or ObservationConfig()
        self.channels = channels
        self.needs_attributes = any(name not in CHANNELS for name in channels)
        if self.needs_attributes and self.config.rendered is not None:
            raise ConfigError(
                "descriptor channels are known at the nodes only",
                where="ObservationConfig.rendered",
                expected=None,
                found=self.config.rendered,
            )
        look = RenderConfig(
            views=self.config.views, image_size=image_size, framing=self.config.framing, fill=self.config.fill
        )
        self.renderer = MultiViewRenderer(look)

    def samples(self, cloud: PointCloud) -> int:
        """How many looks a cloud gets: no more than it takes to make every point a node once."""
        return min(self.config.samples, math.ceil(len(cloud) / self.config.nodes))

    def pictures(self, cloud: PointCloud, stopwatch: Stopwatch | None = None) -> Iterator[Picture]:
        """All looks at one cloud; its order, frame and symmetries are found but once."""
        first = self.picture(cloud, stopwatch=stopwatch)
        yield first
        for sample in range(1, self.samples(cloud)):
            yield self.picture(cloud, sample=sample, first=first, stopwatch=stopwatch)

    def _start(self, cloud: PointCloud) -> tuple[Tensor, Normalization, int]:
        """Order, frame and number of nodes of a cloud."""
        order, area = even_order(cloud.points, self.config.seed)
        normalization = PointCloud(cloud.points[order[: self.config.nodes]]).normalization()
        wanted = float(area.double().sum()) / normalization.scale**2 / self.config.node_area
        return order, normalization, min(max(int(wanted), FEWEST), self.config.nodes, len(order))

    def picture(
        self,
        cloud: PointCloud,
        *,
        sample: int = 0,
        first: Picture | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> Picture:
        """Describe and draw one cloud.

        Args:
            sample: which look, from 0; each takes the next points of the canonical order as its nodes.
            first: of the same cloud with sample 0, when it is at hand: its order, frame and symmetries serve again.
            stopwatch: adds up the time.
        """
        watch = stopwatch or Stopwatch()
        config = self.config
        with watch.stage("descriptors"):
            order, normalization, count = self._start(cloud) if first is None else first.start
            order = order.roll(-sample * count)
            support = normalization.apply(cloud.points[order[: max(config.support, config.rendered or 0)]])
            eye = None if cloud.eye is None else normalization.apply(cloud.eye[None])[0]
            descriptors = describe(support[: config.support], count, eye)
        with watch.stage("symmetry"):
            symmetries = None if first is None else first.symmetries
            symmetries = find_symmetries(support[: config.support]) if symmetries is None else symmetries
            symmetry = describe_symmetry(symmetries, support[:count], descriptors)
        with watch.stage("render"):
            if config.rendered is None:
                drawn = PointCloud(support[:count], normals=descriptors.normals)
            else:
                drawn = PointCloud(support[: config.rendered])
            views = self.renderer.render(drawn)
            images = views.images(self.channels, descriptors.attributes if self.needs_attributes else None)
        return Picture(
            order,
            normalization,
            support[:count],
            descriptors,
            images,
            views.index,
            views.pixels[:, :count],
            views.visible[:, :count],
            symmetry,
            symmetries,
        )

    @torch.no_grad()
    def observe(
        self, picture: Picture, backbone: Backbone, *, colors: bool = False, stopwatch: Stopwatch | None = None
    ) -> Observation:
        """Run the frozen backbone over the pictures and lift its patch features to the nodes.

        Args:
            colors: the pictures are of the backbone's `color_channels`.
            stopwatch: adds up the time.
        """
        watch = stopwatch or Stopwatch()
        size = picture.images.shape[-1]
        with watch.stage("backbone"):
            images = picture.images.to(backbone.device)
            tokens = backbone.encode_image(images if colors else backbone.normalize(images), colors=colors)
        with watch.stage("lift"):
            patches = tokens.patch_features.cpu()
            maps = patches.transpose(1, 2).unflatten(2, tokens.grid)
            lifted, seen = lift_to_points(maps, picture.pixels, picture.visible, size)
            lifted = torch.nn.functional.normalize(fill_unseen(lifted, seen, picture.nodes), dim=1)
        return Observation(
            picture.nodes,
            picture.descriptors.normals,
            picture.descriptors.view,
            picture.features,
            lifted,
            picture.pixels,
            picture.visible,
            patches,
            tokens.grid,
            tokens.global_features.cpu(),
            size,
            dict(watch.seconds),
        )
