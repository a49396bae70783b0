"""Why an object got its score: which points moved it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..clip.backbone import Backbone, Tokens
from ..cloud import PointCloud
from ..geometry.neighbors import interpolate
from ..geometry.normals import estimate_normals
from ..render import Cameras, frame_cameras, point_spacing
from ..render.shading import ALBEDO, AMBIENT
from ..render.soft import Fragments, rasterize_fragments, soft_composite
from .fusion import EPSILON, FusionConfig
from .model import PointAD
from .observation import Observation, Observer, Picture


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture as the soft renderer draws it, of the same D points (the nodes first) from the same cameras.

    Attributes:
        points: (D, 3) in the normalised frame.
        values: (V, D, C), what each view shows of each point in the backbone's channels, see `shade`.
        background: (C,).
        pixels: (V, D, 2) and radius: (V, D), of the splats.
        fragments: which splats each pixel shows.
    """

    points: Float[Tensor, "d 3"]
    values: Float[Tensor, "v d c"]
    background: Float[Tensor, "c"]
    pixels: Float[Tensor, "v d 2"]
    radius: Float[Tensor, "v d"]
    fragments: Fragments

    @classmethod
    def of(cls, picture: Picture, cloud: PointCloud, observer: Observer) -> Drawing:
        """Draw again what `observer.picture(cloud)` drew."""
        look = observer.renderer.config
        points, normals = picture.nodes, picture.descriptors.normals
        if observer.config.rendered is not None:
            points = picture.normalization.apply(cloud.points[picture.order[: observer.config.rendered]])
            normals = estimate_normals(points)
        cameras = frame_cameras(points, observer.renderer.rotations, look.image_size, look.framing, look.fill)
        pixels, depth = cameras.project(points)
        largest = max(look.min_radius, look.max_radius * look.image_size)
        radius = look.splat * point_spacing(points) * cameras.pixels_per_unit(depth)
        radius = radius.clamp(look.min_radius, largest)
        values = {**_lit_values(cameras, points, normals, depth), **picture.descriptors.attributes}
        return cls(
            points,
            torch.stack([values[name].expand_as(depth) for name in observer.channels], -1),
            torch.tensor([float(name == "headlight") for name in observer.channels]),
            pixels,
            radius,
            rasterize_fragments(pixels, depth, radius, look.image_size),
        )

    def images(self, values: Float[Tensor, "v d c"]) -> Float[Tensor, "v c h w"]:
        """(V, C, H, W) with the given values; differentiable in them."""
        return soft_composite(self.fragments, self.pixels, self.radius, values, background=self.background)[0]


def _lit_values(cameras: Cameras, points: Tensor, normals: Tensor, depth: Tensor) -> dict[str, Float[Tensor, "v d"]]:
    """The built-in channels at the points, with the ray of the point instead of the pixel's."""
    facing = (cameras.toward_eye(points) * normals).sum(-1)
    x, y, z = ((cameras.rotation @ normals.T) * torch.where(facing < 0, -1.0, 1.0)[:, None]).unbind(1)
    far = (cameras.distance + cameras.radius)[:, None]
    return {
        "headlight": ALBEDO * (AMBIENT + (1.0 - AMBIENT) * facing.abs().clamp_max(1.0)),
        "depth": ((far - depth) / (2.0 * cameras.radius[:, None])).clamp(0.0, 1.0),
        "normal_x": x,
        "normal_y": y,
        "normal_z": z,
        "mask": torch.ones_like(depth),
    }


@dataclass(frozen=True, eq=False)
class ObjectLogOdds:
    """The log-odds of one look's object score as a function of what the method sees of each node."""

    drawing: Drawing
    observation: Observation
    backbone: Backbone
    model: PointAD
    texts: tuple[Tensor, ...]
    fusion: FusionConfig

    def __call__(
        self, values: Float[Tensor, "v d c"], descriptors: Float[Tensor, "m f"], features: Float[Tensor, "m e"]
    ) -> Float[Tensor, ""]:
        """Log-odds () float64, differentiable.

        Args:
            values: of the drawn points, which the rendering layer sees through the image tower.
            descriptors, features: of the nodes, which the geometry layer sees. `features` were lifted from the hard
                pictures and do not move with `values`: what a picture tells counts once in each layer.
        """
        device = self.backbone.device
        images = self.backbone.normalize(self.drawing.images(values).to(device))
        # One view at a time, computed again on the way back: a large tower's activations would fill the memory.
        encode = partial(checkpoint, self.backbone.encode_image, use_reentrant=False, preserve_rng_state=False)
        tokens = [cast(Tokens, encode(image[None])) for image in images]
        # In float64 from here: torch adds up float32 gradients of an indexed tensor in whichever order threads finish.
        observation = replace(
            self.observation,
            patches=torch.cat([each.patch_features for each in tokens]).cpu().double(),
            views=torch.cat([each.global_features for each in tokens]).cpu().double(),
            descriptors=descriptors,
            features=features,
        )
        evidence = self.model(observation, texts=(self.texts[0].double(), *self.texts[1:]))
        return torch.logit(self.model.verdict(evidence, self.fusion).total, EPSILON)


@torch.inference_mode(False)  # a caller that needs no gradient may have switched them off
@torch.no_grad()
def saliency(
    cloud: PointCloud,
    observer: Observer,
    backbone: Backbone,
    model: PointAD,
    texts: tuple[Tensor, ...],
    fusion: FusionConfig,
) -> Float[Tensor, "n"]:
    """How much each point moved the object score: (N,) float32 in [0, 1], the largest 1.

    Gradient × input (Shrikumar et al., Learning Important Features Through Propagating Activation Differences,
    2017) of the object score's log-odds, with the cloud's mean as the input that says nothing: a column of a
    node's inputs counts for gradient · (value − mean over the nodes). A node's saliency is the norm over its image
    channels, each summed over the views, plus the norm over its descriptors and lifted features. It is carried to the
    points as scores are, averaged over the looks and divided by the largest; all 0 where all inputs are at their means.

    Args:
        cloud: what was scored.
        observer, backbone, model, texts, fusion: what it was scored with; none of them is changed.
    """
    total = torch.zeros(len(cloud))
    for sample, picture in enumerate(observer.pictures(cloud)):
        drawing = Drawing.of(picture, cloud, observer)
        observation = observer.observe(picture, backbone)
        log_odds = ObjectLogOdds(drawing, observation, backbone, model, texts, fusion)
        drawn, nodes = attributions(log_odds, drawing.values, observation.descriptors, observation.features)
        order = picture.order.roll(sample * len(picture.nodes))
        points = picture.normalization.apply(cloud.points[order])
        for part, sources in ((drawn, drawing.points), (nodes, picture.nodes)):
            total[order] += interpolate(part[:, None], sources, points)[:, 0]
    return total / torch.where(total.max() > 0, total.max(), 1.0)


@torch.enable_grad()
def attributions(
    log_odds: Callable[..., Tensor], values: Tensor, descriptors: Tensor, features: Tensor
) -> tuple[Float[Tensor, "d"], Float[Tensor, "m"]]:
    """Gradient × (input − mean) of the drawn points' channels, and of the nodes' descriptors with features: norms."""
    inputs = [each.detach().requires_grad_() for each in (values, descriptors, features)]
    gradients = torch.autograd.grad(log_odds(*inputs), inputs, materialize_grads=True)  # PointAD has no use for all
    shares = [
        gradient * (each - each.mean(-2, keepdim=True)).detach()
        for gradient, each in zip(gradients, inputs, strict=True)
    ]
    return shares[0].sum(0).norm(dim=1), torch.cat(shares[1:], 1).norm(dim=1)
