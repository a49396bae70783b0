"""Before a scan is scored: its table is taken away, its bodies are scored alone; or else it is told of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..cloud import PointCloud
from ..config import Config, one_of
from ..errors import CloudError, ConfigError
from ..geometry.bodies import Bodies, find_bodies
from ..geometry.ground import find_ground
from ..geometry.neighbors import interpolate, knn
from ..io import VertexCloud, as_cloud
from ..units import unit_named
from .detection import Detection

# All ours.
FEWEST = 500  # points under which nothing is said of an object
COARSE, FAR = 0.1, 0.04  # share of a surface that lies farther from any vertex than this share of its size

Score = Callable[[PointCloud], Detection]


@dataclass(frozen=True)
class Preparation(Config):
    """What is done to each scan before it is scored, learnt from, or calibrated on.

    Attributes:
        at: of a mesh, `"surface"` scores points sampled on it, `"vertices"` gives its vertices the surface's scores.
        ground: `"remove"` leaves out the plane under the part, see `geometry.ground.find_ground`, and what is beneath.
        parts: `"split"` scores each body of a scan alone, see `geometry.bodies.find_bodies`.
        unit: of length that scans are in, by any name of it; None leaves it to the files.

    Raises:
        ConfigError: an unknown value.
    """

    at: str = one_of("surface", "vertices")
    ground: str = one_of("keep", "remove")
    parts: str = one_of("whole", "split")
    unit: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unit is not None:
            object.__setattr__(self, "unit", unit_named(self.unit))

    def check_nominal(self) -> None:
        """Refuse what does not go with a nominal: an inspection has one alignment, one coverage and one verdict.

        Raises:
            ConfigError: bodies are to be scored alone.
        """
        if self.parts == "split":
            raise ConfigError(
                "a nominal is of one part", where="parts", expected="whole", found="split",
                hint="compare a scan of each part",
            )  # fmt: skip

    def read(self, source: Any) -> PointCloud:
        """The cloud of anything that `AnomalyDetector.score` takes.

        Raises:
            CloudError: nothing that can be read as points.
        """
        return as_cloud(source, self.at, self.unit)

    def normals(self, source: Any) -> list[PointCloud]:
        """What a few-shot method learns from a normal scan: each of its bodies, without the table, as is asked for.

        Raises:
            CloudError: nothing that can be read as points.
        """
        cloud = self.read(source)
        cloud = cloud.surface() if isinstance(cloud, VertexCloud) else cloud
        cloud = _standing(cloud)[0] if self.ground == "remove" else cloud
        return _bodies(cloud, find_bodies(cloud.points, cloud.eye))[0] if self.parts == "split" else [cloud]


def score_prepared(cloud: PointCloud, preparation: Preparation, score: Score) -> Detection:
    """Score a cloud as it is asked for, with notes on a plane under the part, and on several bodies.

    Rows that were left out hold NaN, as rows without a point do. Of bodies that are scored alone the highest score is
    the object's; it is measurable if all of them are.

    Raises:
        CloudError: the method refuses the scan, or each of its bodies.
    """
    if isinstance(cloud, VertexCloud):
        return _at_vertices(score_prepared(cloud.surface(), preparation, score), cloud)
    start = time.perf_counter()
    told: list[str] = []
    if preparation.ground == "remove":
        cloud, note = _standing(cloud)
        told.append(note)
    elif (plane := find_ground(cloud.points)) is not None:
        share = float((plane.heights(cloud.points).abs() <= plane.reach).double().mean())
        told.append(
            f"a plane lies under the part, {share:.0%} of the points: it was scored, too; "
            'ground="remove" (--ground remove) leaves it out'
        )
    bodies = find_bodies(cloud.points, cloud.eye)
    taken = {"prepare": time.perf_counter() - start}
    if preparation.parts == "split":
        parts, left = _bodies(cloud, bodies)
        told.append(f"{len(parts)} bodies, each scored alone" if len(parts) > 1 else "one body")
        told += [f"{left:,} points of no body, or of specks, have no score"] if left else []
        return _joined(cloud, parts, told, taken, score)
    if bodies.apart > 1:
        told.append(f'{bodies.apart} bodies were scored as one object; parts="split" (--parts split) scores each alone')
    found = score(cloud)
    return replace(found, notes=(*told, *found.notes), seconds=taken | dict(found.seconds))


def _standing(cloud: PointCloud) -> tuple[PointCloud, str]:
    """What stands on the plane, and what is to be told; all of it where there is no plane."""
    plane = find_ground(cloud.points, asked=True)
    kept = None if plane is None else plane.heights(cloud.points) > plane.reach
    if kept is None or not kept.any():
        return cloud, "no plane was found under the part: nothing was left out"
    gone = len(cloud) - int(kept.sum())
    return cloud.select(kept), f"the plane under the part was left out, {gone:,} of {len(cloud):,} points"


def _bodies(cloud: PointCloud, bodies: Bodies) -> tuple[list[PointCloud], int]:
    """The bodies, the largest first, and the number of points that are of none; the whole where all are specks."""
    number = bodies.assign(cloud.points)
    counts = number.bincount().tolist()
    parts = [cloud.select(number == body) for body in range(1, len(counts)) if counts[body] >= FEWEST]
    return (parts or [cloud]), len(cloud) - sum(len(part) for part in parts or [cloud])


def _joined(
    cloud: PointCloud, parts: list[PointCloud], told: list[str], taken: Mapping[str, float], score: Score
) -> Detection:
    """One detection of bodies that are scored one by one; those that the method refuses are told of."""
    found: list[Detection] = []
    refused: list[CloudError] = []
    notes: dict[str, list[int]] = {}
    for number, part in enumerate(parts, 1):
        try:
            detection = score(part)
        except CloudError as error:
            refused.append(error)
            notes[f"not scored: {error.what}, {error.found}"] = [number]
            continue
        found.append(detection)
        for text in detection.notes[len(cloud.notes) :]:
            notes.setdefault(text, []).append(number)
    if not found:
        raise refused[0]
    scores = torch.full((cloud.source_size,), float("nan"))
    layers = {name: scores.clone() for name in found[0].layers}
    seconds = dict(taken)
    for each in found:
        rows = each.cloud.valid_rows()
        scores[rows] = each.valid_scores
        for name in layers:
            layers[name][rows] = each.layers[name].float()
        for stage, spent in each.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + spent
    kept = cloud.select(~scores[cloud.valid_rows()].isnan())
    return Detection(
        max(each.object_score for each in found),
        scores,
        kept,
        {name: layer[kept.valid_rows()] for name, layer in layers.items()},
        seconds,
        notes=(*told, *(_of(text, numbers, len(parts)) for text, numbers in notes.items())),
        measurable=all(each.measurable for each in found),
    )


def _of(text: str, numbers: list[int], bodies: int) -> str:
    """A note with the bodies that it is of, where it is not of all."""
    if len(numbers) == bodies:
        return text
    return f"bod{'y' if len(numbers) == 1 else 'ies'} {', '.join(map(str, numbers))} of {bodies}: {text}"


def _at_vertices(found: Detection, cloud: VertexCloud) -> Detection:
    """The scores of a surface at the vertices: of its three nearest points; none where the surface has none."""
    samples = cloud.surface()
    scored = torch.zeros(len(samples), dtype=torch.bool)
    scored[found.cloud.valid_rows()] = True
    kept = scored[knn(samples.points, cloud.points, 1)[1][:, 0]]
    places = (found.cloud.points.double() + found.cloud.offset - cloud.offset).float()
    maps = torch.stack([found.valid_scores, *(layer.float() for layer in found.layers.values())], 1)
    vertices = cloud if bool(kept.all()) else cloud.select(kept)
    carried: Tensor = interpolate(maps, places, vertices.points)
    notes = [f"scores of {len(samples):,} points on {len(cloud.faces):,} triangles, at {len(vertices):,} vertices"]
    away = knn(cloud.points, places[:: max(1, len(places) // 5000)], 1)[0] > FAR * samples.normalization().scale
    coarse = float(away.float().mean())
    if coarse > COARSE:
        notes.append(
            f"{coarse:.0%} of the surface lies far from any vertex: what is there, the object score alone tells"
        )
    return replace(
        found,
        point_scores=vertices.to_rows(carried[:, 0].clamp(0, 1)),
        cloud=vertices,
        layers={name: carried[:, column] for column, name in enumerate(found.layers, 1)},
        notes=(*found.notes, *notes),
    )
