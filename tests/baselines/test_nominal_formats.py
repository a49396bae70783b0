"""One part in each format of CAD gives the same deviations; what curves lose by tessellation stands in the LoD."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

pytest.importorskip("open3d")

from baselines import SurfaceDeviation
from baselines.nominal import NominalMesh
from pointadplus.io import TriangleMesh, as_mesh
from tests.baselines.nominal_parts import scan
from tests.io.cad_files import (
    CORNERS,
    FACES,
    MILLIMETRE,
    iges_patches,
    mesh_3mf,
    model_3mf,
    package_3mf,
    step_cylinder,
    step_solid,
)

LARGE = 10 * CORNERS


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same tetrahedron of 20, 30 and 50 mm in each format."""
    pytest.importorskip("cascadio")
    folder = tmp_path_factory.mktemp("part")
    paths = {suffix: folder / f"part.{suffix}" for suffix in ("step", "igs", "stl", "glb", "obj", "ply", "3mf")}
    paths["step"].write_text(step_solid(MILLIMETRE, LARGE))
    thirds = [LARGE[[face[k], face[(k + 1) % 3], face[(k + 2) % 3]]] for face in FACES for k in range(3)]
    patches = np.array(
        [[a, (a + b) / 2, (a + c) / 2, (a + b + c) / 3] for a, b, c in thirds]
    )  # triangles are no patches
    paths["igs"].write_text(iges_patches(2, "MM", patches))
    model = model_3mf(f'<object id="1">{mesh_3mf(LARGE)}</object>', '<item objectid="1"/>')
    paths["3mf"].write_bytes(package_3mf(model))
    mesh = trimesh.Trimesh(LARGE, FACES, process=False)
    for suffix in ("stl", "glb", "obj", "ply"):
        mesh.export(paths[suffix])
    return paths


@pytest.mark.parametrize("suffix", ["igs", "stl", "glb", "obj", "ply", "3mf"])
def test_every_format_gives_the_deviations_of_the_step(parts: dict[str, Path], suffix: str) -> None:
    points = scan(TriangleMesh.create(LARGE, FACES), 4000, noise=0.05, off=0.1)
    one, other = (SurfaceDeviation().fit(nominal=parts[name], align="none").score(points) for name in ("step", suffix))
    assert one.inspection is not None
    assert other.inspection is not None
    np.testing.assert_allclose(other.layers["deviation"], one.layers["deviation"], atol=2e-5)
    np.testing.assert_allclose(other.layers["lod"], one.layers["lod"], atol=2e-4)
    assert one.inspection.unit == "mm"
    assert other.inspection.unit == ("mm" if suffix in ("igs", "3mf") else None)


def test_what_a_cylinder_loses_by_tessellation_is_known(tmp_path: Path) -> None:
    pytest.importorskip("cascadio")
    path = tmp_path / "pin.step"
    path.write_text(step_cylinder(5.0, 10.0))
    mesh = NominalMesh.of(as_mesh(path))
    assert mesh.topology.notes() == ()
    assert mesh.unit == "mm"
    bulge = mesh.tessellation()
    side = np.abs(mesh.normals[:, 2]) < 0.5
    assert bulge[~side].max() == 0.0
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 20_000)
    points = np.c_[5 * np.cos(angle), 5 * np.sin(angle), np.random.default_rng(1).uniform(1, 9, 20_000)]
    found = mesh.closest((points - mesh.center).astype(np.float32))
    assert found.distance.max() == pytest.approx(bulge[side].max(), rel=0.05), "true points lie over the chords by it"
    assert (found.distance <= 1.05 * bulge[found.facet] + 2e-4).all()
    assert found.distance.min() > -2e-4, "on facets as long as these single precision is no better"
    detection = SurfaceDeviation().fit(nominal=path, align="none").score(points)
    assert (detection.layers["lod"] >= 1.95 * 0.5 * bulge[side].max()).all()
    path.with_suffix(".stl").write_bytes(trimesh.Trimesh(mesh.vertices, mesh.faces).export(file_type="stl"))
    assert NominalMesh.of(as_mesh(path.with_suffix(".stl"))).tessellation().max() == 0.0
