"""What the frozen backbone sees of a cloud's colours: an aligned image, or pictures drawn from the points' own colours.

PointAD takes colours at test time with the prompts that it learnt without them (arXiv 2410.00320): the aligned image is
one more view, read by the same prompts. A backbone that was not made for coloured pictures, as the embedded one, takes
what colours say around each point, drawn as channels, by a stem of its own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from ..clip.backbone import Backbone
from ..cloud import PointCloud
from ..errors import CloudError, ConfigError
from ..geometry.color_descriptors import COLOR_CHANNELS, describe_colors
from .observation import Observation, Observer, Picture


def sees_colors(backbone: Backbone) -> bool:
    """Whether the backbone has a stem for colours, or three planes that grey and colours can feed alike, as CLIP's."""
    return bool(backbone.color_channels) or (len(backbone.channels) == 3 and set(backbone.channels) <= {"headlight"})


def observe_colors(
    cloud: PointCloud, picture: Picture, rgb: Any, observer: Observer, backbone: Backbone
) -> Observation | None:
    """What the backbone sees of a cloud's colours; None where there are none.

    Args:
        cloud: organised, for an image; else with colours of its own.
        picture: the same look at the cloud, whose nodes hold.
        rgb: the image that is aligned with an organised scan, pixel by pixel: a path, a Pillow image, or (H, W, 3)
            uint8 or floats in [0, 1]. True takes the points' own colours instead, where there are any.
        observer, backbone: what drew the picture.

    Raises:
        ConfigError: the backbone sees no colours.
        CloudError: the image does not fit the scan, or the scan is not organised.
    """
    own = isinstance(rgb, bool)
    if rgb is False or (own and cloud.colors is None):
        return None
    if not sees_colors(backbone):
        raise ConfigError(
            "this backbone sees no colours",
            where="rgb",
            expected="the embedded backbone, or one of coloured pictures such as OpenAI's ViT-L-14-336",
            found=f"{backbone.name}, which sees {', '.join(dict.fromkeys(backbone.channels))}",
        )
    if backbone.color_channels:
        colors = cloud.colors if own else _at_points(cloud, _as_image(rgb))
        assert colors is not None
        seen = replace(picture, images=draw_colors(cloud, picture, colors, observer, backbone.color_channels))
        return observer.observe(seen, backbone, colors=True)
    order = picture.order[: len(picture.nodes)]
    if own:
        images, pixels, visible = _drawn(cloud, picture, order, observer)
    else:
        images, pixels, visible = _aligned(cloud, order, _as_image(rgb), observer)
    seen = replace(
        picture, images=images, pixels=pixels, visible=visible, index=torch.full(images[:, 0].shape, -1)
    )  # the index serves labels alone
    return observer.observe(seen, backbone)


def draw_colors(
    cloud: PointCloud,
    picture: Picture,
    colors: Float[Tensor, "n 3"],
    observer: Observer,
    channels: Sequence[str] = tuple(COLOR_CHANNELS),
) -> Float[Tensor, "v c h w"]:
    """(V, C, H, W) in [−1, 1]: what colours say around the points that the picture's pixels show, 0 on the background.

    Args:
        cloud: the N points.
        picture: of the cloud, drawn from its nodes alone.
        colors: of the points, RGB in [0, 1].
        observer: what drew the picture.
        channels: of `COLOR_CHANNELS`.
    """
    rows = picture.order[: observer.config.support]
    maps = describe_colors(picture.normalization.apply(cloud.points[rows]), colors[rows], len(picture.nodes))
    table = torch.stack([maps[name] for name in channels], 1)
    table = torch.cat([table.new_zeros(1, table.shape[1]), table])  # what the background shows
    shown = table.index_select(0, (picture.index + 1).flatten())
    return shown.view(*picture.index.shape, -1).permute(0, 3, 1, 2).contiguous()


def _drawn(
    cloud: PointCloud, picture: Picture, order: Int[Tensor, "m"], observer: Observer
) -> tuple[Tensor, Tensor, Tensor]:
    """The views of the picture in the nodes' colours, unlit, on white."""
    assert cloud.colors is not None
    nodes = PointCloud(picture.nodes, normals=picture.descriptors.normals)
    views = observer.renderer.render(nodes)
    colors = views.at_pixels(cloud.colors[order])
    images = torch.where((views.index >= 0)[..., None], colors, 1.0).permute(0, 3, 1, 2)
    return images.contiguous(), views.pixels, views.visible


def _aligned(
    cloud: PointCloud, order: Int[Tensor, "m"], image: Float[Tensor, "3 h w"], observer: Observer
) -> tuple[Tensor, Tensor, Tensor]:
    """One view: the image at the backbone's size, where each node lies in the pixel that its row was read from."""
    _check_grid(cloud, image)
    assert cloud.grid is not None
    size = observer.renderer.config.image_size
    resized = interpolate(image[None], (size, size), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    height, width = cloud.grid
    rows = cloud.valid_rows()[order]
    pixels = torch.stack([(rows % width + 0.5) * size / width, (rows // width + 0.5) * size / height], -1)
    return resized, pixels[None], torch.ones(1, len(order), dtype=torch.bool)


def _at_points(cloud: PointCloud, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "n 3"]:
    """The colour of the pixel that each point was read from."""
    _check_grid(cloud, image)
    return image.flatten(1).T[cloud.valid_rows()]


def _check_grid(cloud: PointCloud, image: Tensor) -> None:
    if cloud.grid is None or cloud.grid != tuple(image.shape[1:]):
        raise CloudError(
            "the image does not fit the scan",
            where="rgb",
            expected="an organised scan" if cloud.grid is None else f"{cloud.grid} pixels",
            found=tuple(image.shape[1:]),
        )


def _as_image(source: Any) -> Float[Tensor, "3 h w"]:
    """(3, H, W) floats in [0, 1]."""
    try:
        if isinstance(source, str | os.PathLike):
            with Image.open(source) as opened:
                source = opened.convert("RGB")
        if isinstance(source, Image.Image):
            source = np.asarray(source.convert("RGB"))
        array = source.detach().cpu().numpy() if isinstance(source, Tensor) else np.asarray(source)
        if array.ndim != 3 or array.shape[2] != 3 or array.dtype.kind not in "uf" or array.size == 0:
            raise ValueError(f"{array.shape} {array.dtype}")
        values = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
        values = values / 255.0 if array.dtype.kind == "u" else values
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError(f"values from {values.min():g} to {values.max():g}")
    except (OSError, ValueError, TypeError, Image.DecompressionBombError) as error:
        expected = "a path, a Pillow image, or (H, W, 3) uint8 or floats in [0, 1]"
        raise CloudError("not an image", where="rgb", expected=expected, found=error) from error
    return values.permute(2, 0, 1)
