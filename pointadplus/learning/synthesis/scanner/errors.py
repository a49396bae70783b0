"""What one scanner does wrong, drawn anew for each object, and how its software joins and thins."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ..chance import log_uniform, uniform
from ..scan import diagonal

# Lengths are shares of the diagonal; what has no source is ours. Makers state 0.01 to 0.1 mm for parts of 100 to 500 mm
# (structured light: Zivid Two M70, 0.055 mm precision at 0.7 m; hand-held: Artec Eva, up to 0.1 mm).
NOISE = 8e-5, 8e-4  # standard deviation of one reading, head on
GROWTH = 0.2, 1.0  # share of it that grows as 1 / cos, as axial noise does (Nguyen, Izadi and Lovell, 3DIMPVT 2012)
CORRELATED = 0.2, 1.0  # of the noise: errors that are alike in a window, for matching looks at windows, not at pixels
WINDOW = 16, 96  # of these along a side of the picture
# VDI/VDE 2634 parts 2 and 3 tell the probing error of one view from the sphere-spacing error of views joined.
BIAS = 0.2, 1.5  # of the noise: smooth error of an eye over its picture
SHIFT = 0.2, 1.5  # of the noise: how far an eye's scan is registered off
GRAZING = 0.05, 0.35  # cosine under which nothing returns
FADE = 0.05, 0.25  # cosines from there on to where everything returns
TRIANGULATES, BASELINE = 0.6, (math.radians(6), math.radians(25))  # how often; the angle from projector to camera
DARK, DARKEST = 0.4, 0.08  # how often patches give no return, and their largest share of the surface
SHINY = 0.25  # how often highlights blind it
HANGING, FLYING = 0.6, 0.3  # how often pixels mix two depths, and the largest share of an edge's that do
STRAYS, STRAY = 0.3, 12  # how often there are readings out of nothing, and the most
CUT = 0.001, 0.03  # height under which the table is cut away, with what stands on it
LEFT = 0.12  # how often some of the table is left around the foot
STEPS, STEP = 0.15, (0.5, 3.0)  # how often depths come in steps, and these in units of the noise
ORGANISED, TABLE = 0.5, 0.4  # how often a lone eye delivers its grid, and how often its object stands on a table
MERGED = 0.5  # how often readings are averaged in cells
SMOOTHED, STRENGTH = 0.35, (0.3, 1.0)  # how often a scan is smoothed, and by how much


@dataclass(frozen=True)
class Errors:
    """What a scanner does wrong, and how its software joins and thins; lengths in the surface's unit."""

    size: float
    noise: float
    growth: float
    window: int
    correlated: float
    bias: float
    shift: float
    grazing: float
    fade: float
    baseline: float
    dark: float
    shiny: bool
    flying: float
    strays: int
    cut: float
    left: bool
    step: float
    organised: bool
    on_table: bool
    merged: bool
    smoothed: float
    seed: int

    @classmethod
    def draw(cls, generator: Generator, points: Tensor) -> Errors:
        size = float(diagonal(points))
        chance = lambda share: uniform(generator) < share  # noqa: E731
        noise = size * log_uniform(generator, *NOISE)
        return cls(
            size=size,
            noise=noise,
            growth=uniform(generator, *GROWTH),
            window=int(log_uniform(generator, *WINDOW)),
            correlated=noise * uniform(generator, *CORRELATED),
            bias=noise * log_uniform(generator, *BIAS),
            shift=noise * log_uniform(generator, *SHIFT),
            grazing=uniform(generator, *GRAZING),
            fade=uniform(generator, *FADE),
            baseline=uniform(generator, *BASELINE) if chance(TRIANGULATES) else 0.0,
            dark=uniform(generator, 0.0, DARKEST) if chance(DARK) else 0.0,
            shiny=chance(SHINY),
            flying=uniform(generator, 0.0, FLYING) if chance(HANGING) else 0.0,
            strays=int(uniform(generator, 0.0, float(STRAY))) if chance(STRAYS) else 0,
            cut=size * log_uniform(generator, *CUT),
            left=chance(LEFT),
            step=noise * uniform(generator, *STEP) if chance(STEPS) else 0.0,
            organised=chance(ORGANISED),
            on_table=chance(TABLE),
            merged=chance(MERGED),
            smoothed=uniform(generator, *STRENGTH) if chance(SMOOTHED) else 0.0,
            seed=int(torch.randint(2**31, (1,), generator=generator)),
        )

    def returns(self, points: Tensor) -> Tensor:
        """(N,) which points are not too dark: patches where a sum of waves is highest."""
        if self.dark == 0:
            return torch.ones(len(points), dtype=torch.bool)
        generator = torch.Generator().manual_seed(self.seed)
        waves = torch.randn(3, 12, generator=generator) * (math.tau / (self.size * uniform(generator, 0.05, 0.3)) / 2)
        field = (points @ waves + math.tau * torch.rand(12, generator=generator)).sin().sum(1)
        return field <= field[:: max(1, len(field) // 4096)].quantile(1 - self.dark)
