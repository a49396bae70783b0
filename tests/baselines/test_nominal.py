"""A scan against its nominal: signs, lengths and shares that are known beforehand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

pytest.importorskip("open3d")

from baselines import SurfaceDeviation
from baselines.nominal import NominalMesh
from baselines.nominal.align import _Fit
from pointadplus.cloud import PointCloud
from pointadplus.errors import ConfigError, WeightsError
from pointadplus.geometry.registration import rotation_from_axis_angle
from pointadplus.io import TriangleMesh, write_cloud
from pointadplus.results.detection import Detection
from pointadplus.results.inspection import Inspection
from tests.baselines.nominal_parts import bracket, mesh_of, scan, surface

TURN = rotation_from_axis_angle(torch.tensor([0.4, -1.1, 0.7], dtype=torch.float64)).numpy()


def compared(nominal: object, points: object, **how: object) -> Detection:
    found = SurfaceDeviation().fit(nominal=nominal, **{"align": "none", **how})  # type: ignore[arg-type]
    return found.score(points)


def inspected(detection: Detection) -> Inspection:
    assert detection.inspection is not None, detection.notes
    return detection.inspection


# The mesh.


def test_signs_at_faces_edges_and_corners() -> None:
    """Points all around a box, on all sides of its edges and corners, against the formula of a box's distance."""
    half = np.array([5.0, 3.0, 1.0])
    box = trimesh.creation.box(2 * half)
    mesh = NominalMesh(box.vertices, box.faces)
    points = np.random.default_rng(0).uniform(-7, 7, (50_000, 3)).astype(np.float32)
    over = np.abs(points) - half
    truth = np.linalg.norm(np.maximum(over, 0), axis=1) + np.minimum(over.max(1), 0)
    found = mesh.closest(points).distance
    np.testing.assert_allclose(found, truth, atol=3e-6)
    assert ((found > 0) == (truth > 0))[np.abs(truth) > 1e-5].all()


def test_signs_where_a_facet_alone_would_be_wrong() -> None:
    """Over the tip of a thin spike a facet's own normal points away from most of what is outside."""
    tip = np.array([[1, 0, 0], [-0.5, 0.8, 0], [-0.5, -0.8, 0], [0, 0, 10.0]])
    mesh = NominalMesh(tip, np.array([[0, 1, 3], [1, 2, 3], [2, 0, 3], [0, 2, 1]]))
    around = np.random.default_rng(1).normal(size=(2000, 3))
    around = around / np.linalg.norm(around, axis=1, keepdims=True)
    around = around[around[:, 2] > 0.3]
    points = (np.array([0, 0, 10.0]) + 0.5 * around - mesh.center).astype(np.float32)
    assert (mesh.closest(points).distance > 0).all()


def test_a_mesh_inside_out_is_turned() -> None:
    box = trimesh.creation.box((4, 4, 4))
    mesh = NominalMesh(box.vertices, box.faces[:, ::-1])
    assert mesh.closest(np.array([[0, 0, 3.0], [0, 0, 1.0]], np.float32)).distance.tolist() == [1.0, -1.0]


def test_copies_of_vertices_are_one_and_what_is_open_or_turned_or_apart_is_told() -> None:
    box = trimesh.creation.box((4, 4, 4))
    loose = box.vertices[box.faces].reshape(-1, 3)
    numbers = np.arange(36).reshape(-1, 3)
    shaken = loose + np.random.default_rng(0).uniform(-1e-6, 1e-6, loose.shape)
    assert NominalMesh(loose, numbers).topology.notes() == NominalMesh(shaken, numbers).topology.notes() == ()
    assert "is open (3 free edges)" in NominalMesh(loose, numbers[1:]).topology.notes()[0]
    turned = box.faces.copy()
    turned[0] = turned[0, ::-1]
    assert "disagree on which side is out (3 edges)" in NominalMesh(box.vertices, turned).topology.notes()[0]
    two = np.concatenate([box.vertices, box.vertices + 10]), np.concatenate([box.faces, box.faces + 8])
    assert NominalMesh(*two).topology.notes() == ("the nominal has 2 bodies that do not touch: they are one nominal",)


def test_the_size_is_that_of_an_even_sample() -> None:
    mesh = bracket()
    found = NominalMesh.of(mesh).size
    assert found == pytest.approx(mesh.sample(100_000).normalization().scale, rel=5e-3)


# Deviations.


@pytest.mark.parametrize("off", [0.3, -0.2])
def test_a_sphere_too_large_or_too_small_deviates_by_just_that(off: float) -> None:
    ball = trimesh.creation.icosphere(5, 20.0)
    directions = np.random.default_rng(0).normal(size=(20_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    found = compared(mesh_of(ball), directions * (20 + off))
    deviation = found.layers["deviation"]
    flat = 20 * (1 - np.cos(0.5 * 2.2 / 32))  # how far facets lie inside the sphere
    assert float(deviation.min()) >= off - 1e-4
    assert float(deviation.max()) <= off + 2 * flat
    stats = inspected(found)
    assert stats.mean == pytest.approx(off, abs=flat)
    assert stats.largest >= stats.high >= stats.mean >= stats.low >= stats.smallest
    assert stats.significant == 1.0, "it is no error of alignment that all of it is off"
    assert stats.coverage == 1.0
    assert stats.missing == 0.0


def test_shares_and_statistics_are_exact() -> None:
    """A plate whose points lie at known heights: a tenth too high, a fifth too low."""
    plate = trimesh.creation.box((100, 80, 10))
    rng = np.random.default_rng(0)
    flat = rng.uniform(-1, 1, (10_000, 2)) * [48, 38]
    height = np.zeros(10_000)
    height[flat[:, 0].argsort()[:1000]] = 0.4
    height[flat[:, 0].argsort()[-2000:]] = -0.25
    found = compared(mesh_of(plate), np.c_[flat, 5 + height], tolerance=(-0.1, 0.2))
    stats = inspected(found)
    assert (stats.within, stats.over, stats.under) == pytest.approx((0.7, 0.1, 0.2), abs=1e-9)
    assert stats.tolerance == (-0.1, 0.2)
    assert (stats.largest, stats.smallest) == pytest.approx((0.4, -0.25), abs=5e-6)
    assert stats.mean == pytest.approx(height.mean(), abs=5e-6)
    assert stats.rms == pytest.approx(np.sqrt((height**2).mean()), abs=5e-6)
    assert (stats.low, stats.high) == pytest.approx((-0.25, 0.4), abs=5e-6)
    np.testing.assert_allclose(found.layers["deviation"], height, atol=5e-6)
    assert stats.verdict == "out of tolerance"
    over = found.valid_scores > 0.5
    np.testing.assert_array_equal(over, (height > 0.2) | (height < -0.1))


def test_one_stray_reading_is_no_verdict_and_five_together_are() -> None:
    plate = trimesh.creation.box((100, 80, 10))
    rng = np.random.default_rng(0)
    points = np.c_[rng.uniform(-1, 1, (20_000, 2)) * [48, 38], np.full(20_000, 5.0)]
    points[:, 2] += 0.01 * rng.normal(size=20_000)
    stray, bump = points.copy(), points.copy()
    stray[rng.choice(20_000, 5, replace=False), 2] += 1.0
    bump[(bump[:, :2] ** 2).sum(1).argsort()[:8], 2] += 1.0
    alone, together = (inspected(compared(mesh_of(plate), each, tolerance=0.2)) for each in (stray, bump))
    assert alone.verdict == "in tolerance"
    assert alone.largest < 0.05
    assert together.verdict == "out of tolerance"
    assert together.largest == pytest.approx(1.0, abs=0.05)


def test_a_thin_scratch_keeps_its_depth() -> None:
    """0.4 deep and one point wide: averages would have half of it."""
    plate = trimesh.creation.box((100, 80, 10))
    x, y = np.meshgrid(np.linspace(-45, 45, 181), np.linspace(-35, 35, 141))
    points = np.stack([x.ravel(), y.ravel(), np.full(x.size, 5.0)], 1)
    points[np.isclose(points[:, 0], 10.0), 2] -= 0.4
    found = compared(mesh_of(plate), points, tolerance=0.2)
    assert inspected(found).smallest == pytest.approx(-0.4, abs=1e-5)
    assert int((found.layers["deviation"] < -0.39).sum()) == 141


def test_the_border_of_an_open_sheet_is_grey_and_so_is_what_is_far() -> None:
    sheet = TriangleMesh.create([[0, 0, 0], [10, 0, 0], [10, 10, 0], [0, 10, 0]], [[0, 1, 2], [0, 2, 3]])
    rng = np.random.default_rng(0)
    points = np.c_[rng.uniform(-0.3, 10.3, (4000, 2)), rng.uniform(-0.05, 0.05, 4000)]
    far = np.c_[rng.uniform(2, 8, (100, 2)), rng.uniform(3, 5, 100)]
    deviation = compared(sheet, np.concatenate([points, far])).layers["deviation"].numpy()
    inside = ((points[:, :2] > 1e-3) & (points[:, :2] < 10 - 1e-3)).all(1)
    beyond = ((points[:, :2] < -1e-3) | (points[:, :2] > 10 + 1e-3)).any(1)
    np.testing.assert_allclose(deviation[:4000][inside], points[inside, 2], atol=1e-6)
    assert np.isnan(deviation[:4000][beyond]).all()
    assert np.isnan(deviation[4000:]).all()


def test_the_level_of_detection_is_that_of_the_noise() -> None:
    """Of a flawless scan 95 % of the points lie under it, and few more; where noise is twice as large, so is it."""
    mesh = bracket()
    points, normals = surface(mesh, 40_000)
    sigma = np.where(points[:, :1] > 30, 0.06, 0.03)
    found = compared(mesh, points + normals * sigma * np.random.default_rng(2).normal(size=sigma.shape))
    lod = found.layers["lod"].numpy()
    calm, rough = points[:, 0] < 22, points[:, 0] > 38
    for part, deviation in ((calm, 0.03), (rough, 0.06)):
        assert 0.97 < np.median(lod[part]) / (1.96 * deviation) < 1.1
        assert np.quantile(lod[part], 0.9) / np.quantile(lod[part], 0.1) < 1.3
    assert inspected(found).significant == pytest.approx(0.05, abs=0.005)


# Units.


def test_units_are_brought_together_and_told(tmp_path: Path) -> None:
    """The same deviation, in the scan's own unit, whether units are declared or told by extents."""
    mesh = replace(bracket(), unit="mm")
    points = scan(mesh, off=0.3)
    plain = compared(mesh, PointCloud.create(points, unit="mm"), tolerance=0.5)
    told = compared(mesh, PointCloud.create(points / 1000, unit="m"), tolerance=0.5)
    guessed = compared(mesh, points / 1000, tolerance=0.5)
    bare = compared(mesh, points, tolerance=0.5)
    assert "the scan is in m, the nominal in mm" in told.notes
    assert "by their extents the scan is taken to be in m, the nominal in mm" in guessed.notes
    assert "the scan does not say its unit: both are taken to be in mm, by its extents" in bare.notes
    for one, per in ((told, 1000.0), (guessed, 1000.0), (bare, 1.0)):
        np.testing.assert_allclose(one.layers["deviation"] * per, plain.layers["deviation"], atol=2e-5)
        stats = inspected(one)
        assert stats.mean * per == pytest.approx(inspected(plain).mean, abs=1e-5)
        assert stats.tolerance == pytest.approx((-0.5 / per, 0.5 / per))
        assert stats.unit == ("m" if per == 1000 else "mm")
        assert stats.within == pytest.approx(inspected(plain).within, abs=1e-3)
    wrong = compared(mesh, PointCloud.create(points / 1000, unit="mm"), tolerance=0.5)
    assert wrong.verdict == "not measurable"
    assert "993 times as small as the nominal: both say mm; another part, or a wrong unit" in wrong.notes[-1]
    assert wrong.inspection is None
    odd = compared(mesh, points * 200)
    assert odd.verdict == "not measurable"
    assert "no mix of units explains it" in odd.notes[-1]


# Alignment.


def test_reference_points_are_laid_onto_each_other_exactly() -> None:
    mesh = bracket()
    points = scan(mesh, noise=0.0, off=0.1)
    shift = np.array([100.0, -40.0, 7.0])
    corners = mesh.vertices.double().numpy()[[0, 1, 5, 6]]
    found = compared(mesh, points @ TURN.T + shift, align=list(zip(corners, corners @ TURN.T + shift, strict=True)))
    np.testing.assert_allclose(found.layers["deviation"], compared(mesh, points).layers["deviation"], atol=2e-5)
    stats = inspected(found)
    assert stats.alignment == "reference points"
    assert stats.residual == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    "align",
    [
        "best fit",
        [((0, 0, 0), (0, 0, 0)), ((1, 0, 0), (1, 0, 0))],
        [((0, 0, 0), (0, 0, 0)), ((1, 0, 0), (1, 0, 0)), ((2, 0, 0), (2, 0, 0))],
        [((0, 0), (0, 0))] * 3,
    ],
)
def test_what_is_no_alignment_is_refused(align: object) -> None:
    with pytest.raises(ConfigError, match="align"):
        SurfaceDeviation().fit(nominal=bracket(), align=align)


@pytest.mark.parametrize("tolerance", [0, -1, (0.2, -0.1), (0.1,), float("nan")])
def test_what_is_no_tolerance_is_refused(tolerance: object) -> None:
    with pytest.raises(ConfigError, match="tolerance"):
        SurfaceDeviation().fit(nominal=bracket(), tolerance=tolerance)


@pytest.fixture(scope="module")
def fitted() -> SurfaceDeviation:
    return SurfaceDeviation().fit(nominal=bracket(), tolerance=0.2)


def test_the_best_fit_finds_the_place_to_a_fraction_of_the_noise(fitted: SurfaceDeviation) -> None:
    """A dent over a tenth of the part does not pull at it."""
    mesh = bracket()
    points, normals = surface(mesh, 20_000, 3)
    truth = 0.02 * np.random.default_rng(3).normal(size=20_000)
    truth[np.linalg.norm(points - [45, 0, 12], axis=1) < 8] -= 0.6
    placed = points + normals * truth[:, None]
    found = fitted.score(placed @ TURN.T + [5, 6, 7])
    error = found.layers["deviation"].numpy() - truth
    inner = np.abs(error) < 0.3  # beside an edge the other face is nearer
    assert inner.mean() > 0.99
    assert np.sqrt((error[inner] ** 2).mean()) < 0.006
    stats = inspected(found)
    assert stats.residual == pytest.approx(0.02, abs=0.003)
    assert 0.85 < stats.rests_on < 1.0
    assert stats.verdict == "out of tolerance"
    assert stats.smallest == pytest.approx(-0.62, abs=0.03)


def test_a_turned_part_that_any_turn_fits_finds_its_place() -> None:
    """Facets say next to nothing of a shaft's turn about its axis, and must not drive it off by it."""
    profile = [[0, 0], [15, 0], [15, 20], [22, 20], [22, 30], [17, 34], [17, 70], [9, 78], [9, 110], [0, 110]]
    shaft = mesh_of(trimesh.creation.revolve(np.array(profile, float), sections=192))
    detector = SurfaceDeviation().fit(nominal=shaft)
    for seed in (1, 2, 3):
        axis = torch.randn(3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        turn = rotation_from_axis_angle(axis).numpy()
        stats = inspected(detector.score(scan(shaft, 10_000, 0.03, seed) @ turn.T))
        assert stats.residual == pytest.approx(0.03, rel=0.05)


def test_a_fit_takes_no_wild_step_and_knows_a_pose_that_is_off() -> None:
    """0.2 off a shaft's axis all points lie within a per cent of its size, which is no proof of its place."""
    rod = trimesh.creation.cylinder(15.0, 100.0, sections=192)
    mesh = NominalMesh(rod.vertices, rod.faces)
    points = scan(mesh_of(rod), 5000, 0.03)
    fit, eye, nowhere = _Fit(mesh, points), torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    right = fit.refined(eye, nowhere)
    assert right.residual == pytest.approx(0.03, rel=0.05)
    assert fit.is_noise(right)
    off = right._replace(translation=right.translation + torch.tensor([0.2, 0.0, 0.0]))
    assert not fit.is_noise(off)
    turn, _, still = _Fit(mesh, points @ TURN.T)._step(points @ TURN.T, np.eye(3), np.zeros(3))
    assert not still
    assert np.arccos((np.trace(turn) - 1) / 2) <= 0.05 * 3**0.5 + 1e-9


def test_a_scan_that_only_nearly_lies_in_its_place_is_turned() -> None:
    """A plate whose top falls by 0.6 from end to end: turned by 180° all of it lies within half of that."""
    plate = trimesh.creation.box((100, 80, 10))
    corners = np.array(plate.vertices)
    corners[corners[:, 2] > 0, 2] += 0.006 * corners[corners[:, 2] > 0, 0]
    wedge = TriangleMesh.create(corners, plate.faces)
    stats = inspected(SurfaceDeviation().fit(nominal=wedge).score(scan(wedge, 20_000, 0.02) * [-1, -1, 1]))
    assert stats.residual == pytest.approx(0.02, rel=0.05)


def test_the_best_fit_may_be_of_a_part_of_the_surface() -> None:
    """The foot is bent up: fitted to the upright wall alone, it shows all of it."""
    mesh = bracket()
    points, _ = surface(mesh, 20_000, 3)
    bent = points.copy()
    bent[:, 1] += 0.02 * np.maximum(points[:, 0] - 10, 0)
    box = ((-1, -1, -1), (10.5, 41, 31))
    upright = points[(points[:, 0] < 10) & (points[:, 1] > 12)][::40]
    foot = points[:, 0] > 55
    for on in (box, upright):
        found = SurfaceDeviation().fit(nominal=mesh, on=on).score(bent)  # it nearly lies in its place already
        deviation = found.layers["deviation"].numpy()
        above = foot & (np.abs(points[:, 1] - 10) < 1e-6)
        np.testing.assert_allclose(deviation[above], 0.02 * (points[above, 0] - 10), atol=0.03)
        assert 0.1 < inspected(found).rests_on < 0.6
    nothing = SurfaceDeviation().fit(nominal=mesh, on=((200, 200, 200), (210, 210, 210))).score(points)
    assert nothing.verdict == "not measurable"
    assert "shows too little of what it is fitted to" in nothing.notes[0]


def test_a_wrong_part_a_mirrored_one_half_of_one_and_a_table_have_no_verdict(fitted: SurfaceDeviation) -> None:
    points = scan(bracket())
    other = scan(mesh_of(trimesh.creation.icosphere(4, 16.0)))
    table = np.random.default_rng(0).uniform(-90, 90, (30_000, 2))
    table = np.c_[table, np.full(30_000, 0.0)]
    cases = {
        "another part": other,
        "a mirror image": points * [-1, 1, 1],
        "is missing: half a part": points[points[:, 0] < 25],
        "lies on a table": np.concatenate([points[points[:, 2] > 0.2], table]),
    }
    for word, scanned in cases.items():
        found = fitted.score(scanned)
        assert found.verdict == "not measurable", (word, found.inspection)
        assert any(word in note for note in found.notes), found.notes
        assert found.inspection is None or found.inspection.in_tolerance is None
    cleared = SurfaceDeviation().prepare_scans(ground="remove").fit(nominal=bracket(), tolerance=0.2)
    assert inspected(cleared.score(cases["lies on a table"])).verdict == "in tolerance"


def test_what_a_scan_should_show_and_lacks_is_told(fitted: SurfaceDeviation) -> None:
    mesh = bracket()
    points = scan(mesh, 40_000)
    hole = np.linalg.norm(points - [45, 0, 12], axis=1) < 6
    whole, cut = inspected(fitted.score(points)), fitted.score(points[~hole])
    assert whole.missing == 0.0
    assert inspected(cut).missing == pytest.approx(np.pi * 36, rel=0.4)
    told = next(note for note in cut.notes if "is missing that the scan should show" in note)
    assert [float(number) for number in told.split("(")[1].split(")")[0].split(", ")] == pytest.approx(
        [45, 0, 12], abs=1
    )
    normals = surface(mesh, 40_000, 1)[1]
    side = points[normals @ [0.5, -0.5, 0.7] > 0.1]  # of one side, what looks away is not missing
    assert inspected(fitted.score(side)).missing < 30.0


# With normal scans beside it.


def test_what_the_process_usually_leaves_is_learnt_place_by_place() -> None:
    """Every part has a bulge of 0.5 on its foot: no alarm there, but one for a part that has none, and for another."""
    mesh = bracket()

    def made(seed: int, bulge: float = 0.5, at: float = 45.0) -> np.ndarray:
        points, normals = surface(mesh, 20_000, seed)
        rng = np.random.default_rng(seed)
        height = 0.02 * rng.normal(size=20_000) + 0.02 * rng.normal()
        near = (points[:, 0] - at) ** 2 + (points[:, 2] - 12) ** 2
        height += bulge * np.exp(-near / 18) * (points[:, 1] < 0.1)
        return points + normals * height[:, None]

    detector = SurfaceDeviation().fit([made(seed) for seed in range(5)], nominal=mesh, align="none")
    plain = SurfaceDeviation().fit(nominal=mesh, align="none")
    usual, without, elsewhere = (detector.score(made(*how)) for how in ((11,), (12, 0.0), (13, 0.5, 25.0)))
    assert plain.score(made(11)).object_score > 0.8
    assert usual.object_score < 0.6
    assert min(without.object_score, elsewhere.object_score) > max(0.65, usual.object_score + 0.2)
    peak = usual.layers["usual"][usual.layers["deviation"] > 0.45]
    assert float(peak.mean()) == pytest.approx(0.45, abs=0.06)
    assert inspected(usual).largest == pytest.approx(0.52, abs=0.05), "what is usual deviates still"


# As a detector.


def test_bodies_are_not_compared_alone(tmp_path: Path) -> None:
    """Before any scan is scored: one inspection cannot tell of several."""
    fitted = SurfaceDeviation().fit(nominal=bracket())
    fitted.save(tmp_path / "part.safetensors")
    for detector in (fitted, SurfaceDeviation.load(tmp_path / "part.safetensors")):
        with pytest.raises(ConfigError, match="a nominal is of one part"):
            detector.prepare_scans(parts="split")
        assert detector.preparation.parts == "whole"
    with pytest.raises(ConfigError, match="a nominal is of one part"):
        SurfaceDeviation().prepare_scans(parts="split").fit(nominal=bracket())


def test_it_is_saved_whole(tmp_path: Path) -> None:
    mesh = bracket()
    points = scan(mesh, off=0.1)
    corners = mesh.vertices.double().numpy()[[0, 1, 5]]
    kinds = (
        (0.0, {"tolerance": (-0.1, 0.3), "on": ((-1, -1, -1), (70, 20, 40))}),
        (1.0, {"align": list(zip(corners, corners + 1.0, strict=True))}),
    )
    for moved, how in kinds:
        detector = SurfaceDeviation().fit([points], nominal=mesh, **how)
        detector.save(tmp_path / "part.safetensors")
        again = SurfaceDeviation.load(tmp_path / "part.safetensors")
        one, other = detector.score(points + moved), again.score(points + moved)
        assert one.inspection == other.inspection
        assert torch.equal(one.point_scores, other.point_scores)
        assert torch.equal(one.layers["deviation"], other.layers["deviation"])
        assert detector.fingerprint() == again.fingerprint()
    (tmp_path / "no.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError):
        SurfaceDeviation.load(tmp_path / "no.safetensors")


def test_the_order_of_the_points_changes_nothing(fitted: SurfaceDeviation) -> None:
    points = torch.from_numpy(scan(bracket(), off=0.1)).float()
    shuffle = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))
    one, other = fitted.score(points), fitted.score(points[shuffle])
    assert torch.equal(one.layers["deviation"][shuffle], other.layers["deviation"])
    assert torch.equal(one.layers["lod"][shuffle], other.layers["lod"])
    assert torch.equal(one.point_scores[shuffle], other.point_scores)
    assert one.object_score == other.object_score
    assert one.inspection == other.inspection


def test_rows_without_a_point_and_places_far_away(fitted: SurfaceDeviation) -> None:
    points = scan(bracket())
    far = PointCloud.create(points + np.array([5_800_000.0, -4_100_000.0, 300.0]))
    near = fitted.score(points)
    assert inspected(fitted.score(far)).rms == pytest.approx(inspected(near).rms, abs=2e-4)
    points[7] = np.nan
    found = fitted.score(points)
    assert found.point_scores.isnan().nonzero().flatten().tolist() == [7]
    assert len(found.layers["deviation"]) == len(points) - 1


@pytest.mark.parametrize("count", [1, 2, 40, 499])
def test_too_few_points_have_no_verdict(fitted: SurfaceDeviation, count: int) -> None:
    for points in (scan(bracket(), count), np.zeros((count, 3)) + 1.0):
        found = fitted.score(points)
        assert found.verdict == "not measurable"
        assert any("are too few to judge a part by" in note for note in found.notes)
    same = fitted.score(np.ones((600, 3)))
    assert (same.verdict, same.notes[-1]) == ("not measurable", "all points coincide")


def test_a_sheet_does_not_slide_along_itself() -> None:
    """An angle of two open sheets: only their borders tell where it lies along the fold."""
    corners = [[0, 0, 0], [10, 0, 0], [10, 6, 0], [0, 6, 0], [10, 6, 3], [10, 0, 3]]
    sheet = TriangleMesh.create(corners, [[0, 1, 2], [0, 2, 3], [1, 4, 2], [1, 5, 4]])
    found = SurfaceDeviation().fit(nominal=sheet).score(scan(sheet, 5000, 0.01) @ TURN.T)
    stats = inspected(found)
    assert stats.not_measured < 0.03
    assert stats.rms == pytest.approx(0.01, rel=0.1)
    assert any("is open (6 free edges)" in note for note in found.notes)


def test_a_file_of_a_mesh_is_a_nominal_and_a_cloud_is_none(tmp_path: Path) -> None:
    mesh = bracket()
    path = tmp_path / "part.obj"
    trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces.numpy()).export(path)
    named = inspected(compared(path, scan(mesh)))
    assert named.nominal == "part.obj"
    assert inspected(compared(trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces.numpy()), scan(mesh))).rms == named.rms
    write_cloud(tmp_path / "cloud.ply", PointCloud.create(scan(mesh)))
    with pytest.raises(Exception, match=r"cloud.ply: the file has no face"):
        compared(tmp_path / "cloud.ply", scan(mesh))
