"""`PointCloud`: validated points with what a scanner may deliver beside them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .errors import CloudError
from .normalization import Normalization
from .points import FAR, as_numbers, as_place, as_rows, as_scan, is_seen_from, near_the_origin, without_no_returns
from .text import counted, html_table, named, rounded
from .units import UNITS, unit_named


@dataclass(frozen=True, eq=False, repr=False)
class PointCloud:
    """A cloud of N finite points, with where each came from.

    Attributes:
        points: (N, 3) float32 on the CPU, in the file's own unit, about `offset`; finite, N ≥ 1.
        offset: (3,) float64, what is to be added to the points to have them in the file's frame. Zero, but for clouds
            that lie so far from the origin that float32 would not hold them; see `positions`.
        normals: (N, 3) float32 unit vectors, or None.
        colors: (N, 3) float32 in [0, 1], or None.
        grid: (H, W) of the organised scan that the rows were read from, or None; H·W = `source_size`.
        viewpoint: (3,) float64, where the sensor stood, in the file's frame, as the file says; or None.
        eyes: (K, 3) float64, the same of each of several scans that are one cloud, or None; `scan` says whose it is.
        scan: (N,) int64 in [0, K), the scan that each point is of, where there are `eyes`; or None.
        unit: of all lengths, one of `units.UNITS`, as the file or its reader's caller says; None where nobody does.
        rows: (N,) int64, the row of the source that each point stood in; None means 0..N−1.
        source_size: rows of the source, dropped ones included; 0 means N.
        source: the file's path, or None.
        notes: what was left out or kept on reading, in plain words; they go on into `Detection.notes`.

    Build one with `PointCloud.create`, which drops the points that are not finite and keeps count.
    """

    points: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"] | None = None
    colors: Float[Tensor, "n 3"] | None = None
    grid: tuple[int, int] | None = None
    viewpoint: Float[Tensor, "3"] | None = None
    rows: Int[Tensor, "n"] | None = None
    source_size: int = 0
    source: str | None = None
    offset: Float[Tensor, "3"] = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))
    notes: tuple[str, ...] = ()
    eyes: Float[Tensor, "k 3"] | None = None
    scan: Int[Tensor, "n"] | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        points, count = self.points, len(self.points)

        def refuse(what: str, name: str, expected: object, found: object, hint: str | None = None) -> None:
            raise CloudError(what, where=f"PointCloud.{name}", expected=expected, found=found, hint=hint)

        if points.ndim != 2 or points.shape[1] != 3 or points.dtype != torch.float32:
            found, hint = f"{tuple(points.shape)} {points.dtype}", "build it with PointCloud.create"
            refuse("points have the wrong form", "points", "(N, 3) float32", found, hint)
        if count == 0:
            where = self.source or "PointCloud.points"
            raise CloudError("the cloud has no point", where=where, expected="N ≥ 1", found="N = 0")
        if not all(map(isfinite, points.aminmax())):  # NaN goes through both; several times as fast as asking each
            hint = "PointCloud.create drops such points and counts them"
            refuse("points are not finite", "points", "finite coordinates", "NaN or infinity", hint)
        for name in ("normals", "colors"):
            value = getattr(self, name)
            if value is not None and value.shape != points.shape:
                refuse(f"{name} do not fit the points", name, tuple(points.shape), tuple(value.shape))
        if self.rows is not None and (len(self.rows) != count or self.source_size <= int(self.rows.max())):
            expected = f"{count} rows below source_size {self.source_size}"
            refuse("rows do not fit the points", "rows", expected, f"{len(self.rows)} rows")
        if self.eyes is not None and (
            self.scan is None or len(self.scan) != count or not 0 <= self.scan.min() <= self.scan.max() < len(self.eyes)
        ):
            expected, found = f"{count} numbers below {len(self.eyes)}", "none" if self.scan is None else len(self.scan)
            refuse("each point has to be of one of the scans", "scan", expected, found)
        if self.source_size == 0:
            object.__setattr__(self, "source_size", count)
        if self.grid is not None and self.grid[0] * self.grid[1] != self.source_size:
            refuse("the grid does not fit the rows", "grid", f"H·W = {self.source_size}", self.grid)

    @classmethod
    def create(
        cls,
        points: Any,
        *,
        normals: Any = None,
        colors: Any = None,
        grid: tuple[int, int] | None = None,
        viewpoint: Any = None,
        source: str | None = None,
        notes: tuple[str, ...] = (),
        eyes: Any = None,
        scan: Any = None,
        unit: str | None = None,
    ) -> PointCloud:
        """Build a cloud from anything array-like, dropping rows that are not finite, masked, or no return.

        One value that a mass of rows holds is no return, see `without_no_returns`; `notes` tell of it.

        Coordinates that lie more than 16 of the cloud's sizes from the origin (a part in a plant's frame, a scan in
        UTM) are kept about an `offset`, so that none of their digits are lost.

        Args:
            points: (N, 3) or organised (H, W, 3), any real dtype, numpy or torch.
            normals, colors: the same leading shape, or None. Colours in [0, 1], or integers in [0, 255].
            grid: (H, W) when `points` is a flattened organised scan.
            viewpoint: three numbers, where the sensor stood, or None; left out where they are not finite.
            source: where it came from, for messages and reports.
            notes: what is to be told of it besides.
            eyes: (K, 3) where the sensor stood, of several scans that are one cloud, or None.
            scan: (N,) integers, the scan that each row of `points` is of, where there are eyes.
            unit: of length, by any name of it such as `"mm"` or `"inches"`, or None.

        Raises:
            ConfigError: an unknown unit.
            CloudError: wrong shape, a photograph, a batch of clouds, no finite point, or attributes that do not fit.
        """
        where = source or "points"
        array, grid = as_rows(points, grid, where)
        total = len(array)
        array, left_out = without_no_returns(array, grid is not None)
        with np.errstate(over="ignore", invalid="ignore"):
            array, offset = near_the_origin(array)
        known = np.isfinite(array)
        finite = None if known.all() else known.all(1)
        if not len(array) or (finite is not None and not finite.any()):
            raise CloudError(
                "the cloud has no finite point",
                where=where,
                expected="at least one finite point",
                found=f"{total} rows, none finite",
                hint="export the scan again",
            )

        def of_finite(rows: np.ndarray) -> np.ndarray:
            return rows if finite is None else rows[finite]

        def attribute(value: Any, name: str) -> Tensor | None:
            if value is None:
                return None
            extra = as_numbers(value, name)
            divisor = 255.0 if name == "colors" and extra.dtype.kind in "ui" else 1.0
            if extra.size != total * 3:
                raise CloudError(f"{name} do not fit the points", where=where, expected=(total, 3), found=extra.shape)
            tensor = torch.from_numpy(of_finite(extra.reshape(-1, 3)).astype(np.float32, order="C")) / divisor
            return torch.nan_to_num(tensor, posinf=0.0, neginf=0.0)

        return cls(
            points=torch.from_numpy(np.ascontiguousarray(of_finite(array))),
            normals=attribute(normals, "normals"),
            colors=attribute(colors, "colors"),
            grid=grid,
            viewpoint=as_place(viewpoint, where),
            rows=None if finite is None else torch.from_numpy(np.flatnonzero(finite)),
            source_size=total,
            source=source,
            offset=torch.from_numpy(offset),
            notes=(*notes, *left_out),
            eyes=None if eyes is None else torch.from_numpy(as_numbers(eyes, where).astype(np.float64)),
            scan=None if eyes is None else torch.from_numpy(of_finite(as_scan(scan, total, where))),
            unit=None if unit is None else unit_named(unit),
        )

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        """One line: how many points, how large, what is beside them, and the file's name; no tensors."""
        grid = [] if self.grid is None else [f"grid {self.grid[0]} × {self.grid[1]}"]
        beside = [name for name in ("normals", "colors") if getattr(self, name) is not None]
        parts = [*counted(len(self), self.dropped), self._sides(), *beside, *grid, *named(self.source)]
        return f"PointCloud({', '.join(parts)})"

    def _repr_html_(self) -> str:
        """The same as a table, which Jupyter shows; `Detection` has a picture besides."""
        has = {name: "no" if getattr(self, name) is None else "yes" for name in ("normals", "colors")}
        rows = {
            "file": self.source,
            "points": f"{len(self):,}",
            "dropped": f"{self.dropped:,} rows" if self.dropped else None,
            "extents": self._sides(),
            **has,
            "grid": None if self.grid is None else f"{self.grid[0]} × {self.grid[1]}",
        }
        return html_table((name, value) for name, value in rows.items() if value)

    def _sides(self) -> str:
        return " × ".join(map(rounded, self.extents.tolist())) + (f" {self.unit}" if self.unit else "")

    @property
    def extents(self) -> Float[Tensor, "3"]:
        """The sides of the bounding box along x, y and z, float64."""
        low, high = (corner.double() for corner in self.points.aminmax(dim=0))  # float32 differences would round
        return high - low

    @property
    def dropped(self) -> int:
        """Rows of the source that held no finite point."""
        return self.source_size - len(self.points)

    @property
    def eye(self) -> Float[Tensor, "3"] | None:
        """Where the sensor stood, in the frame of `points`: `viewpoint`, or the origin of an organised scan's frame if
        that lies outside it and the grid is an image seen from there: a scan may have been moved since."""
        if self.viewpoint is not None:
            return self.viewpoint - self.offset
        if self.grid is None:
            return None
        low, high = self.points.aminmax(dim=0)
        if bool(((low <= -self.offset) & (high >= -self.offset)).all()):
            return None
        seen = is_seen_from(self.points.numpy(), -self.offset.numpy(), self.valid_rows().numpy(), self.grid)
        return -self.offset if seen else None

    def eyes_of(self, index: Int[Tensor, "k"]) -> Float[Tensor, "k 3"] | None:
        """Where the sensor stood for each of some points, in the frame of `points`; None where only `eye` may tell."""
        if self.eyes is None or self.scan is None:
            return None
        return self.eyes[self.scan[index]] - self.offset

    def positions(self) -> Float[Tensor, "n 3"]:
        """(N, 3) float64: the points in the file's frame."""
        return self.points.double() + self.offset

    def about(self, offset: Float[Tensor, "3"]) -> Float[Tensor, "n 3"]:
        """(N, 3) float32: the points about another cloud's offset, to compare clouds of one frame; those of a cloud
        that lies far from there stay about its own."""
        shift = self.offset - offset
        low, high = self.points.aminmax(dim=0)
        if not shift.any() or shift.abs().max() > FAR * float((high - low).max()):
            return self.points
        return (self.points.double() + shift).float()

    def in_unit(self, unit: str) -> PointCloud:
        """The same cloud with all lengths in another unit of `units.UNITS`; one whose own is unknown stays as it is."""
        if self.unit in (None, unit):
            return self
        factor = UNITS[self.unit] / UNITS[unit]
        return replace(
            self,
            points=(self.points.double() * factor).float(),
            offset=self.offset * factor,
            viewpoint=None if self.viewpoint is None else self.viewpoint * factor,
            eyes=None if self.eyes is None else self.eyes * factor,
            unit=unit,
        )

    def valid_rows(self) -> Int[Tensor, "n"]:
        """(N,) int64: the source row of each point."""
        return torch.arange(len(self.points)) if self.rows is None else self.rows

    def to_rows(self, values: Float[Tensor, "n"], fill: float = float("nan")) -> Float[Tensor, "m"]:
        """Spread one value a point over the source's rows; dropped rows hold `fill`. (source_size,)."""
        if self.rows is None:
            return values
        out = values.new_full((self.source_size,), fill)
        out[self.rows] = values
        return out

    def select(self, index: Int[Tensor, "k"] | Bool[Tensor, "n"]) -> PointCloud:
        """The cloud of the indexed points; `rows` goes on naming rows of the same source."""
        pick = lambda value: None if value is None else value[index]  # noqa: E731
        return replace(
            self,
            points=self.points[index],
            normals=pick(self.normals),
            colors=pick(self.colors),
            rows=self.valid_rows()[index],
            scan=pick(self.scan),
        )

    def normalization(self) -> Normalization:
        """Centre at the mean and scale by √12·RMS distance from it.

        The scale does not depend on the pose and is about the bounding-box diagonal: exactly the length of a
        thin stick and the diagonal of a sphere's box. A cloud whose points coincide keeps scale 1.
        """
        points = self.points.double()
        center = points.mean(0)
        rms = (points - center).square().sum(1).mean().sqrt().item()
        return Normalization(center, (12.0**0.5) * rms if rms > 0 else 1.0)

    def normalized(self) -> tuple[PointCloud, Normalization]:
        """This cloud in the normalised frame, and the map whose `invert` brings points back."""
        norm = self.normalization()
        eye = None if self.eye is None else (self.eye - norm.center) / norm.scale
        eyes = None if self.eyes is None else (self.eyes - self.offset - norm.center) / norm.scale
        points, nowhere = norm.apply(self.points), torch.zeros_like(self.offset)
        return replace(self, points=points, viewpoint=eye, eyes=eyes, offset=nowhere, unit=None), norm
