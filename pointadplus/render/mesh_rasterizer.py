"""A z-buffer of triangles: which face does each pixel show, and where on it?

A pixel shows the nearest face that covers its centre. Faces bid for pixels with one integer, the bits of the depth
above the number of the face, and the smallest bid wins. A minimum does not depend on the order in which it is taken, so
the result is the same, bit for bit, in any number of threads.

The edge rule: a triangle covers the centres inside it and on its edges, without exception, so that faces that meet
leave no pinhole, whether they name the same vertices or copies of them. Which side of an edge a centre lies on is the
sign of u·v − s·t. The factors are exact in float64, because vertices are rounded to 2⁻¹⁶ pixel first, the step of
float32 from 128 pixels on; and rounding two products before they are compared can make their difference 0 but never
turn its sign.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Float, Int
from torch import Tensor

_EMPTY = torch.iinfo(torch.int64).max
_GRID = 65536.0  # steps in a pixel
_FAR = 1e9  # pixels; float64 holds every multiple of a step up to here
_SIDES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # of the boxes of pixels that are tested; larger ones are cut into tiles
_FACES = 1 << 19  # faces times views in flight: bounds memory
_TILES = 1 << 18  # boxes in flight
_CENTRES = 1 << 17  # pixel centres under test: keeps the working set near the cache


@dataclass(frozen=True, eq=False)
class MeshFragments:
    """What each pixel of V views shows of a mesh.

    Attributes:
        face: (V, H, W) int64, the front face, −1 for background.
        barycentric: (V, H, W, 3) float32, weights in [0, 1] of the face's corners at the pixel's centre, on the surface
            and not in the image; their sum is 1, or 0 for background.
        depth: (V, H, W) float32 along the optical axis, +inf for background.
    """

    face: Int[Tensor, "v h w"]
    barycentric: Float[Tensor, "v h w 3"]
    depth: Float[Tensor, "v h w"]

    def __getitem__(self, views: slice) -> MeshFragments:
        """Those of some of the views."""
        return MeshFragments(self.face[views], self.barycentric[views], self.depth[views])


@torch.no_grad()
def rasterize_mesh(
    pixels: Float[Tensor, "v p 2"],
    depth: Float[Tensor, "v p"],
    faces: Int[Tensor, "f 3"],
    image_size: int,
    *,
    perspective: bool = True,
) -> MeshFragments:
    """The front face of each pixel.

    A face covers the pixels whose centre lies inside it or on its edges, from both sides. The nearest one wins; of
    equally near ones, in float32, the first. Faces without an area in the image leave no mark, and neither do faces
    with a corner at depth ≤ 0, beyond 10⁹ pixels or not finite: they are left out whole, not clipped at the camera. No
    gradients flow.

    Args:
        pixels: (V, P, 2) projected vertices (x, y), see `Cameras.project`.
        depth: (V, P) float32 distances along the optical axis.
        faces: (F, 3) rows of the vertices.
        image_size: side of the square images.
        perspective: whether it is 1/depth that is linear in the image; otherwise depth is (parallel projection).
    """
    step = max(1, _FACES // max(1, len(faces)))
    chunks = [
        _rasterize_chunk(_triangles(pixels[i : i + step], depth[i : i + step], faces, image_size, perspective))
        for i in range(0, len(depth), step)
    ]
    face, barycentric, nearest = (torch.cat(parts) for parts in zip(*chunks, strict=True))
    return MeshFragments(face, barycentric, nearest)


@dataclass(frozen=True, eq=False)
class _Triangles:
    """N triangles that may cover a pixel's centre, by view and face.

    Attributes:
        face, view: (N,) which they are.
        sides: (N, 15) rows of a (5, 3) table; column k has the side across from corner k: x and y of its start, x and y
            of its direction, counter-clockwise about the inside, and what a unit of the edge function of that side adds
            to 1/depth (to depth in parallel projection).
        first, last: (N, 2) first and last pixel (x, y) of the box around the triangle.
        shape: views and side of the images.
        perspective: see `rasterize_mesh`.
    """

    face: Int[Tensor, "n"]
    view: Int[Tensor, "n"]
    sides: Float[Tensor, "n 15"]
    first: Int[Tensor, "n 2"]
    last: Int[Tensor, "n 2"]
    shape: tuple[int, int]
    perspective: bool


def _triangles(pixels: Tensor, depth: Tensor, faces: Tensor, size: int, perspective: bool) -> _Triangles:
    known = (depth > 0) & depth.isfinite() & (pixels.abs() < _FAR).all(-1)
    exact = torch.where(known[..., None], pixels.double().mul(_GRID).round().div(_GRID), torch.nan)
    corners, z = (
        values.index_select(1, faces.flatten()).unflatten(1, (-1, 3)).flatten(0, 1)
        for values in (exact, depth.double())
    )
    a, b, c = corners.unbind(1)
    first = a.minimum(b).minimum(c).sub(0.5).ceil().clamp_min(0.0)  # NaN stays NaN, and compares as false
    last = a.maximum(b).maximum(c).sub(0.5).floor().clamp_max(size - 1.0)
    met = (first <= last).all(1).nonzero()[:, 0]
    corners, z, first, last = (values.index_select(0, met) for values in (corners, z, first, last))
    start, end = corners[:, [1, 2, 0]], corners[:, [2, 0, 1]]
    direction = end - start
    area = direction[:, 2, 0] * direction[:, 0, 1] - direction[:, 2, 1] * direction[:, 0, 0]  # twice, and signed
    weight = (z.reciprocal() if perspective else z) / area.abs()[:, None]
    turned = direction * area.sign()[:, None, None]
    sides = torch.stack([start[..., 0], start[..., 1], turned[..., 0], turned[..., 1], weight], 1).flatten(1)
    view, face = met // max(1, len(faces)), met % max(1, len(faces))
    return _Triangles(face, view, sides, first.long(), last.long(), (len(depth), size), perspective)


def _rasterize_chunk(triangles: _Triangles) -> tuple[Tensor, Tensor, Tensor]:
    """Face, barycentric coordinates and depth, as in `MeshFragments`."""
    views, size = triangles.shape
    bids = torch.full((views * size * size,), _EMPTY, device=triangles.face.device)
    for row, corner, shape in _boxes(triangles):
        step = max(1, _CENTRES // (shape[0] * shape[1]))
        for part in zip(row.split(step), corner.split(step), strict=True):
            _bid(bids, triangles, *part, shape)
    return _resolve(bids, triangles)


def _boxes(triangles: _Triangles) -> Iterator[tuple[Tensor, Tensor, tuple[int, int]]]:
    """Boxes that together hold all centres that the triangles cover, those of one shape (width, height) at a time.

    Each comes as the row of its triangle and its top left pixel.
    """
    size, device = triangles.shape[1], triangles.face.device
    lengths = sorted({min(side, size) for side in _SIDES})
    choice, most = torch.tensor(lengths, device=device), lengths[-1]
    grid = (triangles.last - triangles.first) // most + 1
    for piece in _pieces(grid.prod(1), _TILES):
        count = grid[piece].prod(1)
        row = torch.arange(piece.start, piece.stop, device=device).repeat_interleave(count)
        number = torch.arange(len(row), device=device) - (count.cumsum(0) - count).repeat_interleave(count)
        corner = triangles.first[row] + most * torch.stack([number % grid[row, 0], number // grid[row, 0]], 1)
        end = (corner + most - 1).minimum(triangles.last[row])
        if len(row) > len(count):
            x, y = torch.stack([corner, end]).unbind(2)
            down, across, _ = _edge_terms(triangles, row, x, y)
            met = (down.amax(1) >= across.amin(1)).all(0)
            row, corner, end = row[met], corner[met], end[met]
        kind = torch.bucketize(end - corner + 1, choice)
        corner = corner.minimum(size - choice[kind])  # a box wider than its triangle must not leave the image
        code = kind[:, 0] * len(lengths) + kind[:, 1]
        parts = code.argsort().split(code.bincount(minlength=len(lengths) ** 2).tolist())
        for shape, part in zip(product(lengths, lengths), parts, strict=True):
            if len(part):
                yield row[part], corner[part], shape


def _pieces(work: Int[Tensor, "n"], most: int) -> Iterator[slice]:
    """Cut 0..N−1 where the running sum of the work exceeds `most`; a single item may be more."""
    total, start, done = work.cumsum(0).cpu(), 0, 0
    while start < len(total):
        stop = max(start + 1, int(torch.searchsorted(total, done + most, right=True)))
        yield slice(start, stop)
        start, done = stop, int(total[stop - 1])


def _edge_terms(triangles: _Triangles, row: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Edge functions at the centres of pixels, for columns x (W, N) and lines y (H, N) of N triangles.

    The function of each side is `down` (3, H, N) less `across` (3, W, N); the third is their weight (3, N).
    """
    start_x, start_y, step_x, step_y, weight = triangles.sides.index_select(0, row).T.contiguous().view(5, 3, 1, -1)
    return step_x * (y.double() + 0.5 - start_y), step_y * (x.double() + 0.5 - start_x), weight[:, 0]


def _bid(bids: Tensor, triangles: _Triangles, row: Tensor, corner: Tensor, shape: tuple[int, int]) -> None:
    """Let triangles bid for the centres that they cover, among those of one box of pixels each."""
    size = triangles.shape[1]
    x, y = (
        start + torch.arange(length, device=row.device)[:, None]
        for start, length in zip(corner.unbind(1), shape, strict=True)
    )
    down, across, weight = _edge_terms(triangles, row, x, y)
    sides = [down[k][:, None] - across[k] for k in range(3)]
    linear = sides[0] * weight[0] + sides[1] * weight[1] + sides[2] * weight[2]
    # The second condition fails without an area, where it is 0·∞, and where three edge functions round to 0: slivers.
    inside = (torch.minimum(torch.minimum(sides[0], sides[1]), sides[2]) >= 0) & (linear > 0)
    depth = (linear.reciprocal() if triangles.perspective else linear).float()
    bid = (depth.view(torch.int32).long() << 32) | row  # positive floats are ordered like their bits
    pixel = (triangles.view[row] * size + y)[:, None] * size + x
    hits = inside.flatten().nonzero()[:, 0]
    pixel, bid = (values.flatten().index_select(0, hits) for values in (pixel, bid))
    bids.scatter_reduce_(0, pixel, bid, "amin")


def _resolve(bids: Tensor, triangles: _Triangles) -> tuple[Tensor, Tensor, Tensor]:
    views, size = triangles.shape
    solid = bids != _EMPTY
    depth = torch.where(solid, (bids >> 32).int().view(torch.float32), torch.inf)
    face, barycentric = torch.full_like(bids, -1), depth.new_zeros(len(bids), 3)
    for pixel in solid.nonzero()[:, 0].split(_CENTRES):
        row = bids[pixel] & 0xFFFFFFFF
        down, across, weight = _edge_terms(triangles, row, pixel[None] % size, pixel[None] // size % size)
        share = (down - across)[:, 0] * (weight if triangles.perspective else 1.0)
        face[pixel], barycentric[pixel] = triangles.face[row], (share / share.sum(0)).T.float()
    return face.view(views, size, size), barycentric.view(views, size, size, 3), depth.view(views, size, size)
