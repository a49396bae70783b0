"""Views side by side in one picture, for a person to look at."""

from __future__ import annotations

import os

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..cloud import PointCloud
from ..config import check_range
from ..errors import CloudWriteError, ConfigError
from ..io import TriangleMesh
from .labels import Paint, labelled
from .renderer import MultiViewRenderer, RenderConfig
from .views import Views

_GAP = 2  # pixels between views
_AMBIENT = 0.5  # share of a colour that is seen whatever way the surface faces


def contact_sheet(
    images: Float[Tensor, "v c h w"] | Float[Tensor, "v h w"], columns: int | None = None, gap: int = 2
) -> Image.Image:
    """Lay images out row by row.

    Args:
        images: (V, C, H, W), C = 1 or 3, or (V, H, W), in [0, 1]; values outside are cut.
        columns: images in a row; all of them if None.
        gap: pixels of grey between images.

    Raises:
        ConfigError: no image, a shape that is no picture, or no column.
    """
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or len(images) == 0 or images.shape[1] not in (1, 3):
        expected = "(V, H, W), (V, 1, H, W) or (V, 3, H, W)"
        raise ConfigError("not pictures", where="images", expected=expected, found=tuple(images.shape))
    count, _, height, width = images.shape
    columns = count if columns is None else columns
    check_range(columns, "[1, ∞)", "columns")
    rows = -(-count // columns)
    sheet = torch.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 160, dtype=torch.uint8)
    pixels = images.detach().cpu().float().nan_to_num(0.0).clamp(0.0, 1.0).mul(255.0).round().byte()
    for i, picture in enumerate(pixels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1)):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return Image.fromarray(sheet.numpy())


def save_contact_sheet(
    scene: PointCloud | TriangleMesh,
    path: str | os.PathLike[str],
    config: RenderConfig | None = None,
    paint: Paint | None = None,
) -> None:
    """Render a cloud or a mesh and write a picture: a column a view; rows of headlight, depth and normals.

    The x, y and z of normals are red, green and blue. Each view has its number, the direction that it is seen from, and
    a length, in the scene's unit where that is known. `paint` adds a row of values in colour, and their bar.

    Raises:
        ConfigError: a paint of other points.
        CloudWriteError: the picture cannot be written, or its extension is unknown.
    """
    points = len(scene.points if isinstance(scene, PointCloud) else scene.vertices)
    if paint is not None and len(paint.values) != points:
        found = len(paint.values)
        raise ConfigError("not a value a point", where="paint.values", expected=points, found=found)
    views = MultiViewRenderer(config).render(scene)
    images = views.images(("headlight", "depth", "normal_x", "normal_y", "normal_z", "mask"))
    gray, depth, normals, mask = images.split([1, 1, 3, 1], 1)
    rows = {"surface": gray.expand_as(normals), "depth, near is bright": depth.expand_as(normals)}
    rows["normals"] = torch.where(mask > 0, 0.5 + 0.5 * normals, 1.0)
    if paint is not None:
        rows = {paint.name: _painted(views, paint) * (_AMBIENT + (1 - _AMBIENT) * gray), **rows}
    sheet = contact_sheet(torch.cat([*rows.values()]), columns=len(views), gap=_GAP)
    sheet = labelled(sheet, _GAP, [*rows], views.cameras, scene.unit, paint)
    try:
        sheet.save(path)
    except (OSError, ValueError) as error:
        expected = "a writable path ending in .png or .jpg"
        raise CloudWriteError("the picture cannot be written", where=path, expected=expected, found=error) from error


def _painted(views: Views, paint: Paint) -> Float[Tensor, "v 3 h w"]:
    """The colours of a paint, on white."""
    colors = views.at_pixels(paint.colors(paint.values).to(views.depth)).permute(0, 3, 1, 2)
    return avg_pool2d(torch.where(views.depth.isfinite()[:, None], colors, 1.0), views.supersample)
