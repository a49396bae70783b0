"""What is done to a scan before it is scored, with a method whose scores are known: tables, bodies, meshes."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor
from torch.nn.functional import normalize

from pointadplus.cloud import PointCloud
from pointadplus.errors import CloudError, ConfigError
from pointadplus.io import VertexCloud, from_object
from pointadplus.results.detection import Detection
from pointadplus.results.detector import AnomalyDetector, normal_clouds
from pointadplus.results.preparation import Preparation


class Height(AnomalyDetector):
    """A point scores its z over 10, an object its highest point; a cloud that is wider than `widest` is refused."""

    widest = np.inf

    def score_cloud(self, cloud: PointCloud) -> Detection:
        if float(np.ptp(cloud.points.numpy(), axis=0).max()) > self.widest:
            raise CloudError("too wide", found="a wide one")
        scores = (cloud.positions()[:, 2].float() / 10).clamp(0, 1)
        notes = ("high",) if scores.max() > 0.35 else ()
        layers = {"height": cloud.points[:, 2]}
        return Detection(float(scores.max()), cloud.to_rows(scores), cloud, layers, {"score": 1.0}, notes=notes)

    def save(self, path: str | os.PathLike[str]) -> None:
        raise NotImplementedError

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Any:
        raise NotImplementedError


def ball(count: int, x: float = 0.0, radius: float = 1.0, seed: int = 0) -> Tensor:
    """A ball that stands on z = 0."""
    points = normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(seed)), dim=1)
    return radius * points + torch.tensor([x, 0.0, radius])


def table(side: float, count: int) -> Tensor:
    return torch.cat(
        [side * (torch.rand(count, 2, generator=torch.Generator().manual_seed(1)) - 0.5), torch.zeros(count, 1)], 1
    )


TWO = torch.cat([ball(4000), torch.full((1, 3), torch.nan), ball(6000, 4.5, 2.0, 1)])
ON_TABLE = torch.cat([table(12.0, 9000), ball(4000)])


def test_a_plane_under_the_part_is_told() -> None:
    found = Height().score(ON_TABLE)
    (note,) = found.notes
    assert note.startswith("a plane lies under the part, 71% of the points: it was scored, too")
    assert not found.point_scores.isnan().any()


def test_the_plane_is_left_out_and_its_rows_hold_nan() -> None:
    detector = Height().prepare_scans(ground="remove")
    found = detector.score(ON_TABLE)
    assert found.point_scores[:9000].isnan().all()
    kept = ON_TABLE[9000:, 2] > 0.3
    assert torch.allclose(found.point_scores[9000:][kept], ON_TABLE[9000:, 2][kept] / 10)
    (note,) = found.notes
    assert note.startswith("the plane under the part was left out, 9,") and note.endswith(" of 13,000 points")
    assert found.dropped == 13_000 - len(found.cloud)
    assert detector.score(ball(4000)).notes == ("no plane was found under the part: nothing was left out",)


def test_several_bodies_are_told() -> None:
    told = '2 bodies were scored as one object; parts="split" (--parts split) scores each alone'
    assert Height().score(TWO).notes == (told, "high")
    assert Height().score(ball(4000)).notes == ()


def test_each_body_is_scored_alone_and_all_are_joined_in_the_callers_order() -> None:
    speck = torch.tensor([0.0, 9.0, 0.0]) + 0.01 * torch.rand(30, 3)
    found = Height().prepare_scans(parts="split").score(torch.cat([TWO, speck]))
    assert found.object_score == pytest.approx(0.4, abs=1e-3)  # of the higher ball
    assert torch.allclose(found.point_scores[:10_001], (TWO[:, 2] / 10).clamp(0, 1), equal_nan=True)
    assert found.point_scores[10_001:].isnan().all()
    assert torch.equal(found.layers["height"], found.cloud.points[:, 2])
    assert found.seconds["score"] == 2.0
    told = ("2 bodies, each scored alone", "30 points of no body, or of specks, have no score", "body 1 of 2: high")
    assert found.notes == told


def test_a_body_that_the_method_refuses_is_told_and_all_of_them_are_an_error() -> None:
    detector = Height().prepare_scans(parts="split")
    detector.widest = 3.0
    found = detector.score(TWO)
    assert found.object_score == pytest.approx(0.2, abs=1e-3)
    assert found.point_scores[4001:].isnan().all() and not found.point_scores[:4000].isnan().any()
    assert found.notes == ("2 bodies, each scored alone", "body 1 of 2: not scored: too wide, a wide one")
    detector.widest = 1.0
    with pytest.raises(CloudError, match="too wide"):
        detector.score(TWO)


def test_table_and_bodies_together() -> None:
    points = torch.cat([table(16.0, 20_000), ball(4000, -3.0), ball(4000, 2.0, 1.5, 2)])
    assert len(Height().score(points).notes) == 1  # the plane holds all together
    found = Height().prepare_scans(ground="remove", parts="split").score(points)
    assert found.notes[1] == "2 bodies, each scored alone" and found.object_score == pytest.approx(0.3, abs=1e-3)


def test_a_few_shot_method_learns_from_what_it_will_score() -> None:
    points = torch.cat([table(16.0, 20_000), ball(4000, -3.0), ball(4000, 2.0, 1.5, 2)])
    assert [len(cloud) for cloud in normal_clouds([points], "Height")] == [28_000]
    (standing,) = normal_clouds([points], "Height", Preparation(ground="remove"))
    assert 7000 < len(standing) < 8000
    assert len(normal_clouds([points], "Height", Preparation(ground="remove", parts="split"))) == 2


def test_unknown_values_are_refused() -> None:
    with pytest.raises(ConfigError, match="'keep' or 'remove'"):
        Height().prepare_scans(ground="yes")


def test_vertices_get_the_scores_of_the_surface_and_the_verdict_stays() -> None:
    mesh = trimesh.creation.icosphere(3, 1.0)
    mesh.apply_translation((0, 0, 1))
    sampled, found = Height().score(mesh), Height().prepare_scans(at="vertices").score(mesh)
    assert found.object_score == sampled.object_score
    assert isinstance(found.cloud, VertexCloud) and len(found.point_scores) == len(mesh.vertices)
    assert torch.allclose(found.point_scores, torch.tensor(mesh.vertices[:, 2]).float() / 10, atol=2e-3)
    assert torch.allclose(found.layers["height"], torch.tensor(mesh.vertices[:, 2]).float(), atol=2e-2)
    hint = 'at="vertices" (--at vertices) scores its vertices'
    assert sampled.notes == (f"100,000 points sampled on 1,280 triangles; {hint}",)
    assert found.notes == ("scores of 100,000 points on 1,280 triangles, at 642 vertices",)
    assert torch.equal(found.colored().faces, torch.tensor(mesh.faces))  # pyright: ignore[reportAttributeAccessIssue]


def test_a_coarse_mesh_is_scored_by_its_surface_and_told() -> None:
    found = Height().prepare_scans(at="vertices").score(trimesh.creation.box((2, 2, 2)))
    assert len(found.point_scores) == 8 and found.object_score == pytest.approx(0.1, abs=1e-4)
    assert found.notes[-1].endswith(
        "% of the surface lies far from any vertex: what is there, the object score alone tells"
    )


def test_vertices_of_a_table_have_no_score() -> None:
    mesh = trimesh.util.concatenate([trimesh.creation.icosphere(3, 1.0), trimesh.creation.box((8, 8, 0.001))])
    mesh.vertices[:642] += (0, 0, 1)
    mesh = mesh.subdivide()
    found = Height().prepare_scans(at="vertices", ground="remove").score(from_object(mesh, at="vertices"))
    flat = torch.tensor(np.abs(mesh.vertices[:, :2]).max(1) > 1.2)
    assert found.point_scores[flat].isnan().all() and not found.point_scores[:642][10:].isnan().all()
