"""What one eye delivers of a surface: a reading a pixel, with noise, bias and a place that is a little off."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor
from torch.nn.functional import grid_sample, max_pool2d, normalize

from ....geometry.registration import rotation_from_axis_angle
from ..chance import uniform
from .errors import Errors
from .view import CELL, View, across

# All ours.
STEEPEST = 5.0  # 1 / cos is not taken beyond
ACROSS = 0.3  # of the noise goes across the ray
TURN = 1.0  # of the shift: how far the turn moves a point half a diagonal away
HANG = 0.05  # how far mixed pixels hang behind an edge at most, as a share of the diagonal
SHINE = 0.97, 0.995  # cosines between the mirrored ray and the eye's: from here on it may be blinded, and is


@dataclass(frozen=True, eq=False)
class Scan:
    """What a scanner gives.

    Attributes:
        points: (M, 3) float32.
        normals: (M, 3) float32, of the true surface.
        source: (M,) int64, the point of the surface that each reading is of; −1 for table and strays.
        eyes: (M, 3) float32, where the eye of each reading stood; of even samples far out along the normal.
    """

    points: Float[Tensor, "m 3"]
    normals: Float[Tensor, "m 3"]
    source: Int[Tensor, "m"]
    eyes: Float[Tensor, "m 3"]


@dataclass(frozen=True, eq=False)
class Surface:
    """What eyes look at: points and normals, (N, 3), their spacing, and (N,) which of them return anything."""

    points: Tensor
    normals: Tensor
    spacing: float
    returns: Tensor


def read(surface: Surface, eye: Tensor, errors: Errors, wanted: int, generator: Generator, *, grid: bool) -> Scan:
    """What one eye delivers.

    Args:
        surface: what it looks at.
        eye: (3,) where it stands.
        errors: of the scanner.
        wanted: readings, about; each is from a pixel of its own.
        generator: decides everything that is random.
        grid: whether readings lie on the rays through the pixels' middles, as in an organised scan.
    """
    points, normals = surface.points, surface.normals
    view = View.of(points, eye)
    cell = CELL * surface.spacing
    seen, cosine, place, shape = view.sees(points, normals, cell)
    seen = seen & surface.returns & _lit(surface, view, errors, generator)
    fading = ((cosine - errors.grazing) / errors.fade).clamp(0, 1)
    rows = (seen & (torch.rand(len(seen), generator=generator) < fading)).nonzero()[:, 0]
    if len(rows) == 0:
        return Scan(points[:0], normals[:0], rows, points[:0])
    area = float((cosine[rows] * (view.depth.mean() / view.depth[rows]).square()).sum()) * surface.spacing**2
    pitch, low = math.sqrt(area / wanted), view.places[rows].amin(0)
    rows = rows[_one_a_pixel(((view.places[rows] - low) / pitch).long(), generator)]

    readings, ray = points[rows], view.rays[rows]
    if grid:
        middle = (((view.places[rows] - low) / pitch).floor() + 0.5) * pitch + low
        readings = readings + _slide(middle - view.places[rows], view, ray, normals[rows], 2 * pitch)
    picture = view.places[rows] / (0.5 * errors.size)
    along = errors.noise * torch.randn(len(rows), generator=generator)
    along = along + errors.correlated * _cells(picture, errors.window, generator)
    steep = (1 / cosine[rows].clamp_min(1e-3)).clamp_max(STEEPEST)
    along = along * (1 - errors.growth + errors.growth * steep) + errors.bias * _bias(picture, generator)
    beside = ACROSS * errors.noise * torch.randn(len(rows), 3, generator=generator)
    if errors.flying:
        along = along + _mixed(view.depth[rows], place[rows], shape, 4 * cell, errors, generator)
    if errors.step:
        along = ((view.depth[rows] + along) / errors.step).round() * errors.step - view.depth[rows]
    return Scan(
        _registered(readings + along[:, None] * ray + beside, points.mean(0), errors, generator),
        normals[rows],
        rows,
        eye.expand(len(rows), 3),
    )


def _lit(surface: Surface, view: View, errors: Errors, generator: Generator) -> Bool[Tensor, "n"]:
    """Which points the projector lights, without blinding the eye."""
    points, normals = surface.points, surface.normals
    turn, lit = uniform(generator, 0.0, math.tau), torch.ones(len(points), dtype=torch.bool)
    if not (errors.baseline or errors.shiny):
        return lit
    to_middle = points.mean(0) - view.eye
    one, two = across(normalize(to_middle, dim=0))
    aside = math.cos(turn) * one + math.sin(turn) * two
    lamp = View.of(points, view.eye + math.tan(errors.baseline) * float(to_middle.norm()) * aside)
    if errors.baseline:
        lit = lamp.sees(points, normals, CELL * surface.spacing)[0]
    if errors.shiny:
        mirrored = lamp.rays - 2 * (lamp.rays * normals).sum(1, keepdim=True) * normals
        glare = (-(mirrored * view.rays).sum(1) - SHINE[0]) / (SHINE[1] - SHINE[0])
        lit = lit & (torch.rand(len(glare), generator=generator) > glare)
    return lit


def _one_a_pixel(pixel: Int[Tensor, "n 2"], generator: Generator) -> Int[Tensor, "k"]:
    """A random one of the points of each pixel."""
    number = pixel[:, 1] * (int(pixel[:, 0].max()) + 1) + pixel[:, 0]
    key = torch.randperm(len(number), generator=generator)
    first = torch.full((int(number.max()) + 1,), len(number)).scatter_reduce(0, number, key, "amin")
    return (key == first[number]).nonzero()[:, 0]


def _slide(inside: Tensor, view: View, ray: Tensor, normals: Tensor, farthest: float) -> Float[Tensor, "n 3"]:
    """From points to where the rays, `inside` beside theirs in the picture, meet their tangent planes."""
    sideways = inside @ torch.stack(across(view.axis))
    slip = (sideways * normals).sum(1) / (ray * normals).sum(1).clamp_max(-0.2)
    return sideways - slip.clamp(-farthest, farthest)[:, None] * ray


def _registered(readings: Tensor, middle: Tensor, errors: Errors, generator: Generator) -> Float[Tensor, "n 3"]:
    """A little turned and shifted, as registration leaves each eye's part."""
    turn = TURN * errors.shift / (0.5 * errors.size) * torch.randn(1, 3, generator=generator)
    rotation = rotation_from_axis_angle(turn.double())[0].float()
    shift = errors.shift / 3**0.5 * torch.randn(3, generator=generator)
    return (readings - middle) @ rotation.T + middle + shift


def _cells(picture: Tensor, cells: int, generator: Generator) -> Float[Tensor, "n"]:
    """A field over the picture that is alike within a cell: standard deviation about 1."""
    field = torch.randn(1, 1, cells, cells, generator=generator)
    found = grid_sample(field, picture[None, None].clamp(-1, 1), mode="bilinear", align_corners=False)
    return 1.5 * found[0, 0, 0]  # bilinear weights leave 4/9 of the variance


def _bias(picture: Tensor, generator: Generator) -> Float[Tensor, "n"]:
    """A polynomial of third order over the picture, of a size about 1."""
    x, y = picture.clamp(-1, 1).unbind(1)
    terms = torch.stack([torch.ones_like(x), x, y, x * y, x * x - 0.3, y * y - 0.3, x**3 - 0.6 * x, y**3 - 0.6 * y], 1)
    return terms @ (torch.randn(8, generator=generator) / 8**0.5) * 1.7


def _mixed(
    depth: Tensor, place: Tensor, shape: tuple[int, int], step: float, errors: Errors, generator: Generator
) -> Float[Tensor, "n"]:
    """How far readings at depth edges are drawn towards what lies behind: mixed pixels, few of them."""
    buffer = torch.full((shape[0] * shape[1],), torch.inf).scatter_reduce(0, place, depth, "amin")
    behind = max_pool2d(buffer.view(1, *shape), 3, 1, 1).view(-1)[place] - depth
    edge = (behind > step) & (torch.rand(len(depth), generator=generator) < errors.flying)
    return torch.where(edge, torch.rand(len(depth), generator=generator) * behind.clamp_max(HANG * errors.size), 0.0)
