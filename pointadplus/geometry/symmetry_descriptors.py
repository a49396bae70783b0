"""Descriptors of how each point differs from its counterparts under the object's symmetries."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .descriptors import COLUMNS, HISTOGRAM_SCALES, Descriptors
from .neighbors import Neighbors
from .symmetry import Symmetries

NEAR = 16  # nodes over which heights and gaps are averaged; their wide mean is the mean of such means
COUNTERPARTS = 4  # nodes around a moved node that it is compared with
OWN = 0.06  # a counterpart that is nearer than this is the point's own surroundings
FARTHEST = 0.08  # heights and gaps are cut off here
HUNDREDTHS = 100.0  # lengths are given in hundredths of the diagonal, for numbers about 1
COVERED = 0.01  # a gap from which on a moved point lies beside all surface, and has no height over it
COMPARED = ("thickness_1", "offset_1", "shift_1", "turn_2", "roughness_1", "residual_size_2", "self_0_3", "self_1_3")
_MEASURED = (
    *(f"height_{width}_{pick}" for width in ("near", "wide") for pick in ("least", "median", "first")),
    *(f"gap_{pick}" for pick in ("least", "median", "first")),
    *(f"missing_{pick}" for pick in ("least", "median", "first")),
    *(f"unlike_{scale}_{pick}" for scale in range(len(HISTOGRAM_SCALES)) for pick in ("least", "median", "first")),
)
SYMMETRY_COLUMNS = (
    *_MEASURED,
    *(f"relative_{name}" for name in _MEASURED),
    "signed_near",
    "signed_wide",
    *(f"more_{name}" for name in COMPARED),
    "misfit",
    "symmetries",
    "counterparts",
    "facing_first",
    "facing_most",
)
"""Names of the descriptors. Height: of the moved point over the surface. Gap: how far beside all surface it comes to
lie. Missing: gaps of what comes to lie here. Unlike: distance of histograms. Least, median and first are over the
symmetries, the first being the one that fits the object best. Signed: heights that are positive outside. More: by how
much a descriptor exceeds the counterpart's. Relative: over the object's median. Facing: cosine of the counterpart's
normal to the view, whether it was scanned or not."""

_HISTOGRAMS = tuple(
    [column for column, name in enumerate(COLUMNS) if name.startswith(f"fpfh_{scale}_")]
    for scale in range(len(HISTOGRAM_SCALES))
)
_COMPARED = [COLUMNS.index(name) for name in COMPARED]


def describe_symmetry(
    symmetries: Symmetries, nodes: Float[Tensor, "m 3"], descriptors: Descriptors
) -> Float[Tensor, "m f"]:
    """What symmetries say of M nodes, (M, F) float32; `SYMMETRY_COLUMNS` names the columns.

    A point that is its own counterpart, such as one on a mirror plane, says nothing; without symmetries all are 0.

    Args:
        symmetries: of the object, in the same frame as the nodes.
        nodes: (M, 3).
        descriptors: of the nodes.
    """
    if len(symmetries) == 0:
        return torch.zeros(len(nodes), len(SYMMETRY_COLUMNS))
    moved = symmetries.move(nodes)
    heights, planes, gaps = (part.float() for part in symmetries.surface.offsets(moved))
    gaps = gaps.clamp_max(FARTHEST)
    valid = (moved - nodes).square().sum(-1) > OWN**2
    tree = Neighbors(nodes)
    near = tree.nearest(nodes, NEAR)[1]
    counterparts = tree.nearest(moved, COUNTERPARTS)[1]
    turned = descriptors.normals.double() @ symmetries.rotations.mT
    facing = (turned @ descriptors.view.double()).float()
    covered = valid & (gaps < COVERED)
    heights = (heights * covered).clamp(-FARTHEST, FARTHEST) * HUNDREDTHS
    outward = (planes * descriptors.normals[counterparts[..., 0]]).sum(-1) >= 0
    signed = _mean(torch.where(outward, heights, -heights), near)
    wide = _mean(signed, near)
    sizes = _mean(heights.abs(), near)
    gaps = _mean(gaps * valid, near) * HUNDREDTHS
    missing = _mean(gaps, near)[_rows(counterparts), tree.nearest(symmetries.move_back(nodes), COUNTERPARTS)[1]].mean(
        -1
    )
    measured = [
        *_picks(sizes, valid),
        *_picks(_mean(sizes, near), valid),
        *_picks(gaps, valid),
        *_picks(missing, valid),
    ]
    for columns in _HISTOGRAMS:
        histogram = descriptors.features[:, columns]
        unlike = [(histogram - histogram[counterparts[..., each]]).square().sum(-1) for each in range(COUNTERPARTS)]
        measured += _picks(torch.stack(unlike).amin(0).sqrt(), valid)
    table = torch.stack(measured, 1)
    compared = descriptors.features[:, _COMPARED]
    more = _first((compared - compared[counterparts].mean(2)).unbind(2), valid)
    columns = [
        table,
        table / table.median(0).values.clamp_min(1e-2),
        torch.stack([*_first((signed, wide), valid), *more], 1),
        symmetries.misfits[:1].log().float().expand(len(nodes))[:, None],
        torch.full((len(nodes), 1), float(len(symmetries))),
        valid.sum(0).float()[:, None],
        torch.stack([*_first((facing,), valid), torch.where(valid, facing, -1.0).amax(0)], 1),
    ]
    return torch.cat(columns, 1)


def _rows(index: Int[Tensor, "k m c"]) -> Int[Tensor, "k 1 1"]:
    return torch.arange(len(index))[:, None, None]


def _mean(values: Float[Tensor, "k m"], near: Int[Tensor, "m c"]) -> Float[Tensor, "k m"]:
    return values[:, near].mean(-1)


def _picks(values: Float[Tensor, "k m"], valid: Bool[Tensor, "k m"]) -> list[Float[Tensor, "m"]]:
    """The least and the median of the valid ones, and the first of them."""
    least = torch.where(valid, values, torch.inf).amin(0)
    median = torch.where(valid, values, torch.nan).nanmedian(0).values
    return [torch.nan_to_num(least, posinf=0.0), torch.nan_to_num(median), *_first((values,), valid)]


def _first(values: tuple[Tensor, ...], valid: Bool[Tensor, "k m"]) -> list[Float[Tensor, "m"]]:
    """Of each table, the value under the first symmetry that is valid; 0 where none is."""
    first = valid.float().argmax(0, keepdim=True)
    return [torch.where(valid.any(0), each.gather(0, first)[0], 0.0) for each in values]
