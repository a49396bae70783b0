"""What scanner software makes of readings: the table cut away, views joined, thinned and smoothed."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Generator, Tensor
from torch.nn.functional import normalize

from ....geometry.neighbors import knn
from ....geometry.spacing import point_spacing
from .errors import Errors
from .reading import Scan
from .view import across


def on_table(scan: Scan, points: Tensor, up: Tensor, errors: Errors, generator: Generator) -> Scan:
    """Without what stands lower than the table is cut at; some of the table may be left around the foot."""
    floor = float((points @ up).min())
    rough = errors.cut * (1 + 0.15 * torch.randn(len(scan.points), generator=generator))
    kept = _pick(scan, scan.points @ up - floor > rough)
    if not errors.left or len(kept.points) == 0:
        return kept
    foot = (points @ up - floor < 0.03 * errors.size).nonzero()[:, 0]
    near = points[foot[torch.randint(len(foot), (400,), generator=generator)]]
    one, two = across(up)
    away = 0.04 * errors.size * torch.randn(len(near), 2, generator=generator)
    table = near + away[:, :1] * one + away[:, 1:] * two
    table = table - ((table @ up - floor) - errors.noise * torch.randn(len(near), generator=generator))[:, None] * up
    return _added(kept, table, up.expand_as(table))


def joined(scan: Scan, wanted: int, errors: Errors, generator: Generator) -> Scan:
    """As many readings as are wanted: the means of small cells, or a random draw; perhaps smoothed."""
    if errors.merged and len(scan.points) > 64:
        side = 0.8 * point_spacing(scan.points) * math.sqrt(max(1.0, len(scan.points) / wanted))
        cell = ((scan.points - scan.points.amin(0)) / side).long()
        span = cell.amax(0) + 1
        found, number = ((cell[:, 0] * span[1] + cell[:, 1]) * span[2] + cell[:, 2]).unique(return_inverse=True)
        count = torch.zeros(len(found)).index_add(0, number, torch.ones(len(number)))
        mean = torch.zeros(len(found), 3).index_add(0, number, scan.points) / count[:, None]
        first = torch.full((len(found),), len(number)).scatter_reduce(0, number, torch.arange(len(number)), "amin")
        scan = replace(_pick(scan, first), points=mean)
    scan = _pick(scan, torch.randperm(len(scan.points), generator=generator)[:wanted])
    if errors.smoothed and len(scan.points) > 64:
        near = knn(scan.points, scan.points, 10)[1][:, 1:]
        height = ((scan.points[near] - scan.points[:, None]) * scan.normals[:, None]).sum(2)
        alike = ((scan.normals[near] * scan.normals[:, None]).sum(2) > 0.8) & (height.abs() < 6 * errors.noise)
        move = errors.smoothed * (height * alike).sum(1) / (alike.sum(1) + 1)
        scan = replace(scan, points=scan.points + move[:, None] * scan.normals)
    return scan


def with_strays(scan: Scan, errors: Errors, generator: Generator) -> Scan:
    if errors.strays == 0 or len(scan.points) == 0:
        return scan
    low, high = scan.points.amin(0), scan.points.amax(0)
    places = low + (high - low) * (1.2 * torch.rand(errors.strays, 3, generator=generator) - 0.1)
    return _added(scan, places, normalize(torch.randn(errors.strays, 3, generator=generator), dim=1))


def _pick(scan: Scan, index: Tensor) -> Scan:
    return Scan(scan.points[index], scan.normals[index], scan.source[index], scan.eyes[index])


def _added(scan: Scan, points: Tensor, normals: Tensor) -> Scan:
    """With points that are of nothing."""
    source = torch.cat([scan.source, torch.full((len(points),), -1)])
    eyes = scan.eyes[torch.arange(len(points)) % len(scan.eyes)]
    return Scan(
        torch.cat([scan.points, points]), torch.cat([scan.normals, normals]), source, torch.cat([scan.eyes, eyes])
    )
