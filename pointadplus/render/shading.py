"""Pictures from a rasterised index: what each pixel's front point looks like, channel by channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import ConfigError
from .cameras import Cameras

ALBEDO = 0.7  # the grey of PointAD's renderings
AMBIENT = 0.3  # ours: keeps grazing surfaces apart from black
CHANNELS = ("headlight", "depth", "tangent_depth", "normal_x", "normal_y", "normal_z", "mask")


def shade(
    at_pixels: Callable[[Tensor], Tensor],
    depth: Float[Tensor, "v h w"],
    cameras: Cameras,
    normals: Float[Tensor, "n 3"],
    channels: Sequence[str],
    attributes: Mapping[str, Float[Tensor, "n"]] | None = None,
    tangent: Float[Tensor, "v h w"] | None = None,
) -> Float[Tensor, "v c h w"]:
    """Images with the channels asked for, in their order.

    Args:
        at_pixels: what each pixel shows of values at the points, (N, …) to (V, H, W, …), 0 on the background; see
            `Views.at_pixels`.
        depth: along the optical axis, +inf on the background.
        cameras: the cameras that both were rasterised with.
        normals: (N, 3) unit vectors in object axes; their sign does not matter.
        channels: names of
            `headlight`, a grey surface lit from the eye, in [0, 1] on a white background;
            `depth`, 1 at the near and 0 at the far end of distance ± radius, background 0;
            `tangent_depth`, the same of `tangent`, which has no steps between splats;
            `normal_x`, `normal_y`, `normal_z`, view axes, turned towards the eye, in [−1, 1], background 0;
            `mask`, 1 on the object; and any key of `attributes`.
        attributes: values (N,) a point, shown by the front point, background 0.
        tangent: depth of the tangent planes, see `Views.tangent_depth`; without it `tangent_depth` is `depth`.

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
    solid = depth.isfinite()
    known: dict[str, Tensor] = {
        name: at_pixels(values.float()) for name, values in attributes.items() if name in channels
    }
    if "mask" in channels:
        known["mask"] = solid.float()
    for name, values in {"depth": depth, "tangent_depth": depth if tangent is None else tangent}.items():
        if name in channels:
            far, reach = cameras.distance + cameras.radius, 2.0 * cameras.radius
            nearness = (far[:, None, None] - values) / reach[:, None, None]
            known[name] = torch.where(solid, nearness, 0.0).clamp(0.0, 1.0)
    if any(name == "headlight" or name.startswith("normal_") for name in channels):
        known |= _lit_channels(at_pixels(normals), solid, cameras)
    return torch.stack([known[name] for name in channels], 1)


def _lit_channels(normals: Tensor, solid: Tensor, cameras: Cameras) -> dict[str, Float[Tensor, "v h w"]]:
    """The channels that need the normals at the pixels, (V, H, W, 3) in object axes."""
    parts = normals.unbind(-1)
    rows = cameras.rotation[..., None, None].unbind(1)  # sums of products round alike in any number of threads
    x, y, z = (a * parts[0] + b * parts[1] + c * parts[2] for a, b, c in (row.unbind(1) for row in rows))
    across, up, back = cameras.rays()
    facing = x * across + y * up + z * back
    # Interpolated on a face, normals are too short.
    toward_eye = (x.square() + y.square() + z.square()).clamp_min_(1e-12).rsqrt_().copysign_(facing)
    light = ALBEDO * (AMBIENT + (1.0 - AMBIENT) * (facing * toward_eye).clamp_max_(1.0))
    known = {"normal_x": x, "normal_y": y, "normal_z": z}
    return {
        "headlight": torch.where(solid, light, 1.0),
        **{name: (value * toward_eye).clamp_(-1.0, 1.0) for name, value in known.items()},
    }
