"""Between the vertices of a mesh and the pixels that show its faces: values there and back, and which are seen."""

from __future__ import annotations

from itertools import product

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding

from .mesh_rasterizer import MeshFragments

_ROUNDING = 1e-5  # of a depth; that of a vertex and of its pixels agree to some 10⁻⁶


def interpolate_on_mesh(
    values: Float[Tensor, "p"] | Float[Tensor, "p c"], fragments: MeshFragments, faces: Int[Tensor, "f 3"]
) -> Float[Tensor, "v h w"] | Float[Tensor, "v h w c"]:
    """Values of vertices at pixels, (V, H, W) or (V, H, W, C), 0 for background; differentiable in the values."""
    pixel, corners, weights = _shown(fragments, faces)
    table = values if values.ndim == 2 else values[:, None]
    # Gradients of `embedding` add up in a fixed order, those of an index do not.
    parts = [embedding(corners[:, k], table) * weights[:, k, None].to(table) for k in range(3)]
    maps = table.new_zeros(fragments.face.numel(), table.shape[1]).index_copy(0, pixel, parts[0] + parts[1] + parts[2])
    return maps.view(*fragments.face.shape, *values.shape[1:])


def mean_at_vertices(
    maps: Float[Tensor, "v h w"] | Float[Tensor, "v h w c"],
    fragments: MeshFragments,
    faces: Int[Tensor, "f 3"],
    vertices: int,
) -> tuple[Float[Tensor, "p"] | Float[Tensor, "p c"], Float[Tensor, "p"]]:
    """Mean, over all views, of the pixels that show a vertex's faces, weighted by its barycentric coordinate there.

    Means of labels are shares: round them to have labels again. On CUDA the order of the sums is not fixed, unless
    `torch.use_deterministic_algorithms` asks for it.

    Args:
        maps: values of pixels.
        fragments, faces: of `rasterize_mesh`.
        vertices: their number P.

    Returns:
        means (P,) or (P, C), 0 where nothing is shown; weight (P,), the sum of the coordinates: a count of pixels.
    """
    pixel, corners, weights = _shown(fragments, faces)
    table = maps.flatten(0, 2) if maps.ndim == 4 else maps.flatten()[:, None]
    table, weights = table.index_select(0, pixel), weights.to(maps)
    total, weight = table.new_zeros(vertices, table.shape[1]), table.new_zeros(vertices)
    for k in range(3):
        total = total.index_add(0, corners[:, k], table * weights[:, k, None])
        weight = weight.index_add(0, corners[:, k], weights[:, k])
    means = total / torch.where(weight > 0, weight, 1.0)[:, None]
    return means.view(vertices, *maps.shape[3:]), weight


def front_vertices(fragments: MeshFragments, faces: Int[Tensor, "f 3"]) -> Int[Tensor, "v h w"]:
    """The corner with the largest barycentric coordinate at each pixel, −1 for background.

    It is to vertices what `Views.index` is to points: `rasterize_labels` takes it, and `shade`.
    """
    pixel, corners, weights = _shown(fragments, faces)
    largest = corners.gather(1, weights.argmax(1, keepdim=True))[:, 0]
    return torch.full_like(fragments.face, -1).flatten().index_copy(0, pixel, largest).view_as(fragments.face)


def visible_vertices(
    pixels: Float[Tensor, "v p 2"],
    depth: Float[Tensor, "v p"],
    fragments: MeshFragments,
    faces: Int[Tensor, "f 3"],
    tolerance: float = 0.0,
) -> Bool[Tensor, "v p"]:
    """Which vertices each view sees.

    A vertex before the camera lies in the square between four pixel centres. It is seen if one of the four shows a face
    of its own, if all four are background, or if it is no deeper than the deepest that they show. The last follows the
    slope of the surface: a vertex of a plane that all four show passes, however steep, but for half a pixel at the
    image's rim. Within a pixel of an outline both errors are possible: what falls away towards it may be missed, and
    what lies behind it may pass.

    Args:
        pixels, depth, faces: as for `rasterize_mesh`.
        fragments: what it returned.
        tolerance: in the unit of depth, for surfaces that are rough below the size of a pixel.
    """
    rows = zip(pixels, depth, fragments.face.flatten(1), fragments.depth.flatten(1), strict=True)
    size = fragments.face.shape[-1]
    return torch.stack([_seen(*row, faces, size, tolerance) for row in rows])


def _seen(
    pixels: Tensor, depth: Tensor, face: Tensor, zbuffer: Tensor, faces: Tensor, size: int, tolerance: float
) -> Bool[Tensor, "p"]:
    inside = (depth > 0) & (pixels >= 0).all(1) & (pixels < size).all(1)
    x, y = torch.where(inside[:, None], pixels - 0.5, 0.0).floor().long().unbind(1)
    lines, columns = ((start, start + 1) for start in (y, x))
    around = [line.clamp(0, size - 1) * size + column.clamp(0, size - 1) for line, column in product(lines, columns)]
    own, deepest = torch.zeros_like(inside), torch.full_like(depth, -torch.inf)
    vertex = torch.arange(len(depth), device=depth.device)
    for at in around:
        solid = face[at] >= 0
        own |= solid & (faces[face[at].clamp_min(0)] == vertex[:, None]).any(1)
        deepest = torch.where(solid, deepest.maximum(zbuffer[at]), deepest)
    return inside & (own | (depth <= deepest * (1.0 + _ROUNDING) + tolerance) | deepest.isneginf())


def _shown(fragments: MeshFragments, faces: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The M pixels that show a face: their number (M,), its corners (M, 3) and their weights (M, 3)."""
    face = fragments.face.flatten()
    pixel = (face >= 0).nonzero()[:, 0]
    corners = faces.index_select(0, face.index_select(0, pixel))
    return pixel, corners.long(), fragments.barycentric.flatten(0, 2).index_select(0, pixel)
