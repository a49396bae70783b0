"""How a cloud is drawn.

Each pixel that points fall into draws a splat for the nearest of them. These splats, large enough to leave no gap, say
what hides what. A pixel then shows, of the points that are seen, the one that falls nearest to its centre; but only
where points fall into it or where their morphological closing by a splat covers it, so that holes close and silhouettes
do not grow.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from .keys import EMPTY, pack, unpack
from .nearest import flat_nonzero, nearest_in_window
from .pytorch3d_backend import splat_pytorch3d
from .splat_size import SplatSize
from .splatting import Codes, eroded, splat
from .views import Views
from .visibility import Surface
from .window import Window

_SPLAT = {"torch": splat, "pytorch3d": splat_pytorch3d}
_PART = 1 << 17  # points of a view in flight: what a step writes is still in the cache when the next one reads it
MAX_REACH = 255  # of the search for the nearest point, in pixels


def draw(views: Views, points: Tensor, surface: Surface, size: SplatSize) -> None:
    """Fill in views of a cloud, all from one distance: index, depth, pixels and visible, in place.

    Args:
        views: whose index is −1 and whose depth is +inf all over.
        points: (N, 3).
        surface: of the same points.
        size: of splats, for the same cameras.
    """
    cameras, side = views.cameras, views.cameras.image_size
    parts = [slice(start, min(start + _PART, len(points))) for start in range(0, len(points), _PART)]
    depth = torch.empty(views.visible.shape, device=points.device)
    for part in parts:
        views.pixels[:, part], depth[:, part] = cameras.project(points[part])

    near = float(depth.amin())
    reach = size.discs(max(near, 0.0), math.inf)[0].reach
    window = Window.around(views.pixels, side, 2 * reach)
    keys = torch.full((len(cameras), window.size), EMPTY, device=points.device)
    homes = [window.home(views.pixels[:, part], depth[:, part]) for part in parts]
    for part, home in zip(parts, homes, strict=True):
        keys.scatter_reduce_(1, home.long(), pack(depth[:, part], part.start), "amin")
    window.clear_margin(keys, EMPTY)

    front, front_depth = unpack(keys)
    owner, solid = splats_and_closing(front_depth, size, Codes(window, reach))
    splats, zbuffer = gather(front, owner), gather(front_depth, owner)
    window.clear_beside(zbuffer, side, -torch.inf)  # so that nothing is seen there,
    zbuffer[:, 0] = -torch.inf  # nor behind the eye
    for part, home in zip(parts, homes, strict=True):
        views.visible[:, part] = see(part, home, depth[:, part], splats, zbuffer, surface, size)

    some = front.clamp_min(0)
    seen = gather(views.visible, some) & (front >= 0)
    around = round(size.config.core * float(size.radius(cameras.distance[:1])))
    nearest = nearest_in_window(seen, gather(views.pixels, some), min(around, MAX_REACH), window)
    shown, shown_depth = gather(front, nearest), gather(front_depth, nearest)
    window.clear_beside(solid, side, False)
    holes = flat_nonzero(solid & (shown < 0))  # show the splat that covers them,
    covers = owner.flatten()[holes]
    inside = window.holds(covers, side)  # or else what falls into them
    covers = torch.where(inside, covers + holes // window.size * window.size, holes)
    shown.flatten()[holes] = front.flatten()[covers]
    shown_depth.flatten()[holes] = front_depth.flatten()[covers]
    solid &= shown >= 0
    found = shown.flatten()[holes].long()
    views.visible[(holes // window.size)[found >= 0], found[found >= 0]] = True  # and what is shown is seen
    window.paste(shown.add_(1).mul_(solid).sub_(1), views.index)
    window.paste(shown_depth.div_(solid), views.depth)  # infinite where it is not


def splats_and_closing(depth: Tensor, size: SplatSize, codes: Codes) -> tuple[Tensor, Tensor]:
    """The pixel whose splat is in front at each pixel, 0 for none; and the closing of the pixels by their splats.

    Args:
        depth: (V, H·W) of the front points, +inf where there is none.
        size: of splats.
        codes: of the window, with the reach of the largest of them.
    """
    own, window = codes.encode(depth), codes.window
    discs = size.discs(float(depth.amin()), float(depth.nan_to_num(posinf=0.0).amax()))
    nearest, inner = own, torch.zeros_like(own, dtype=torch.bool)
    for disc, before in zip(discs, [0.0, *(disc.limit for disc in discs)], strict=False):
        closer = depth < disc.limit
        # A splat that lies within what nearer ones cover would change nothing, and most back surfaces draw only such.
        needed = (closer & (depth >= before) & ~inner).any(1, keepdim=True)
        if needed.any():
            # Of a point nearer than `before`, whose splat is larger, the smaller one is drawn again: no change either.
            image = torch.where(closer & needed, own, codes.nothing)
            drawn = _SPLAT[size.config.backend](image, disc, codes)
            nearest = torch.minimum(nearest, drawn)
            inner |= eroded(drawn < codes.nothing, disc, window)
    return codes.decode(nearest), inner | (own < codes.nothing)


def see(
    part: slice, home: Tensor, depth: Tensor, splats: Tensor, zbuffer: Tensor, surface: Surface, size: SplatSize
) -> Tensor:
    """(V, M) which of some points the views see.

    Args:
        part: the M points.
        home: (V, M) the pixels they fall into, see `Window.home`.
        depth: (V, M) of the points.
        splats, zbuffer: (V, H·W) the point and the depth of the splat in front, −inf beside the picture.
        surface, size: of all points.
    """
    cameras, slack = size.cameras, size.slack(depth)
    behind = depth - gather(zbuffer, home)
    visible = behind <= slack
    hidden = ~visible & (behind < torch.inf)
    hidden &= ~surface.hopeless(cameras, part, depth, behind, size.farthest(depth), slack)
    unsure = flat_nonzero(hidden)
    view, point = unsure // home.shape[1], unsure % home.shape[1]
    front = splats.flatten().index_select(0, home.flatten().index_select(0, unsure) + view * splats.shape[1])
    slack, eyes = slack.flatten().index_select(0, unsure), surface.eyes(cameras)[view]
    visible[view, point] = surface.on_one_piece(point + part.start, front, eyes, slack, cameras.orthographic)
    return visible


def gather(table: Shaped[Tensor, "v p *c"], index: Int[Tensor, "v m"]) -> Shaped[Tensor, "v m *c"]:
    """Rows of each view's table."""
    if len(table) > 1:
        index = index + table.shape[1] * torch.arange(len(table), device=index.device)[:, None]
    return table.flatten(0, 1).index_select(0, index.flatten()).view(*index.shape, *table.shape[2:])
