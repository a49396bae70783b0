"""Pictures from a rasterised index: what each pixel's front point looks like, channel by channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import ConfigError
from .cameras import Cameras

ALBEDO = 0.7  # the grey of PointAD's renderings
AMBIENT = 0.3  # ours: keeps grazing surfaces apart from black
CHANNELS = ("headlight", "depth", "normal_x", "normal_y", "normal_z", "mask")


def shade(
    index: Int[Tensor, "v h w"],
    depth: Float[Tensor, "v h w"],
    cameras: Cameras,
    normals: Float[Tensor, "n 3"],
    channels: Sequence[str],
    attributes: Mapping[str, Float[Tensor, "n"]] | None = None,
) -> Float[Tensor, "v c h w"]:
    """Images with the channels asked for, in their order.

    Args:
        index, depth: of `rasterize`.
        cameras: the cameras that both were rasterised with.
        normals: (N, 3) unit vectors in object axes; their sign does not matter.
        channels: names of
            `headlight`, a grey surface lit from the eye, in [0, 1] on a white background;
            `depth`, 1 at the near and 0 at the far end of distance ± radius, background 0;
            `normal_x`, `normal_y`, `normal_z`, view axes, turned towards the eye, in [−1, 1], background 0;
            `mask`, 1 on the object; and any key of `attributes`.
        attributes: values (N,) a point, shown by the front point, background 0.

    Returns:
        (V, C, H, W) float32.

    Raises:
        ConfigError: a channel that is neither built in nor an attribute.
    """
    attributes = attributes or {}
    unknown = [name for name in channels if name not in CHANNELS and name not in attributes]
    if unknown or not channels:
        expected = [*CHANNELS, *attributes]
        raise ConfigError("unknown channels", where="channels", expected=expected, found=unknown or "none")
    solid = index >= 0
    front = index.clamp_min(0)
    known: dict[str, Tensor] = {
        name: torch.where(solid, values.float()[front], 0.0) for name, values in attributes.items() if name in channels
    }
    if "mask" in channels:
        known["mask"] = solid.float()
    if "depth" in channels:
        far = (cameras.distance + cameras.radius)[:, None, None]
        known["depth"] = torch.where(solid, (far - depth) / (2.0 * cameras.radius[:, None, None]), 0.0).clamp(0.0, 1.0)
    if any(name == "headlight" or name.startswith("normal_") for name in channels):
        known |= _lit_channels(front, solid, cameras, normals)
    return torch.stack([known[name] for name in channels], 1)


def _lit_channels(front: Tensor, solid: Tensor, cameras: Cameras, normals: Tensor) -> dict[str, Float[Tensor, "v h w"]]:
    """The channels that need normals."""
    turned = cameras.rotation @ normals.T
    at_pixel = turned.gather(2, front.flatten(1)[:, None].expand(-1, 3, -1)).view(-1, 3, *front.shape[1:])
    facing = (at_pixel * cameras.rays()).sum(1)
    toward_eye = torch.where(solid[:, None], at_pixel * torch.where(facing < 0, -1.0, 1.0)[:, None], 0.0)
    light = ALBEDO * (AMBIENT + (1.0 - AMBIENT) * facing.abs().clamp_max(1.0))
    x, y, z = toward_eye.clamp(-1.0, 1.0).unbind(1)
    return {"headlight": torch.where(solid, light, 1.0), "normal_x": x, "normal_y": y, "normal_z": z}
