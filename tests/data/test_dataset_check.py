"""`datasets check`: what a folder holds, and each thing that is wrong with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pointadplus.apps import cli
from pointadplus.data.check import check_dataset, find_dataset
from pointadplus.errors import DatasetError
from tests.data.test_data import LABELS, POINTS, labelled, write


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """Two categories of Anomaly-ShapeNet's layout, the first complete, the second with four things wrong."""
    write(tmp_path / "bowl0/train/bowl0_template0.pcd", POINTS)
    for name in ("positive0", "hole0", "hole1", "crack0"):
        write(tmp_path / f"bowl0/test/bowl0_{name}.pcd", np.repeat(POINTS, 1 + (name == "crack0"), 0))
    for name in ("hole0", "hole1"):
        write(tmp_path / f"bowl0/GT/bowl0_{name}.txt", labelled(), ",")
    write(tmp_path / "bowl0/GT/bowl0_crack0.txt", labelled(np.repeat(POINTS, 2, 0), np.repeat(LABELS, 2)), ",")
    return tmp_path


def spoiled(root: Path) -> Path:
    for name in ("crack0", "dent0", "sink0"):
        write(root / f"cap0/test/cap0_{name}.pcd", POINTS)
    write(root / "cap0/GT/cap0_crack0.txt", labelled(labels=0 * LABELS), ",")
    (root / "cap0/test/cap0_sink0.pcd").write_bytes(b"VERSION .7")
    return root


def test_a_complete_folder_has_no_problem(shapes):
    steps: list[tuple[int, int]] = []
    found = check_dataset(find_dataset(shapes), lambda *step: steps.append(step))
    assert found.name == "anomaly-shapenet" and not found.problems
    bowl = found.categories["bowl0"]
    assert (bowl.train, bowl.good, bowl.bad, bowl.points) == (1, 1, 3, (5, 10))
    assert bowl.kinds == {"hole": 2, "crack": 1} and bowl.anomalous == (8, 20)
    assert steps == [(i, 5) for i in range(1, 6)]
    assert "| bowl0 | 1 | 1 | 3 | 5–10 | 40.0% | crack 1, hole 2 |" in found.to_markdown()


def test_each_problem_is_named(shapes):
    found = check_dataset(find_dataset(spoiled(shapes), "anomaly-shapenet"))
    expected = [
        "cap0_crack0.pcd: an anomalous cloud without an anomalous point",
        "cap0_sink0.pcd",
        "cap0_dent0.pcd: no point labels, though others of cap0 have some",
    ]
    assert found.absent == ("cap0: no training clouds", "cap0: no normal test clouds")
    assert len(found.problems) == len(expected)
    assert all(part in problem for part, problem in zip(expected, found.problems, strict=True))
    assert found.categories["cap0"].bad == 3 and "3 problems" in found.to_markdown()
    assert "absent, which is no problem by itself:\n- cap0: no training clouds" in found.to_markdown()


def test_labels_that_are_missing_for_all_are_merely_absent(tmp_path):
    for name in ("positive0", "hole0", "hole1"):
        write(tmp_path / f"bowl0/test/bowl0_{name}.pcd", POINTS)
    found = check_dataset(find_dataset(tmp_path))
    assert not found.problems
    assert found.absent == (
        "bowl0: no training clouds", "bowl0: no point labels; points cannot be measured, objects can",
    )  # fmt: skip
    assert CliRunner().invoke(cli.app, ["datasets", "check", str(tmp_path)]).exit_code == 0


@pytest.mark.parametrize(("factor", "word"), [
    (1000, "1000 times as large as most clouds of bowl0: millimetres for metres?"),
    (1 / 25.4, "25.4 times as small as most clouds of bowl0: millimetres for inches?"), (7, "another unit?"), (2, ""),
])  # fmt: skip
def test_a_cloud_in_another_unit_is_a_problem(shapes, factor, word):
    write(shapes / "bowl0/test/bowl0_positive7.pcd", POINTS * factor)
    problems = check_dataset(find_dataset(shapes)).problems
    assert len(problems) == bool(word)
    assert not word or ("bowl0_positive7.pcd" in problems[0] and word in problems[0])


def test_kinds_may_have_dots_in_their_names(tmp_path):
    for name in ("good/a", "bad/dent.deep_1", "bad/crack.2", "bad/1.5mm.hole.v2.03"):
        write(tmp_path / f"{name}.xyz", POINTS)
        if name.startswith("bad"):
            write(tmp_path / f"masks/{name[4:]}.txt", LABELS)
    kinds = {sample.kind: sample for sample in find_dataset(tmp_path).samples if sample.label}
    assert set(kinds) == {"dent.deep", "crack", "1.5mm.hole.v"}
    assert all(sample.gt_path is not None for sample in kinds.values())


def test_a_folder_of_no_known_layout_says_what_each_lacks(tmp_path):
    (tmp_path / "notes").mkdir()
    with pytest.raises(DatasetError, match=r"no known layout.*folder: no cloud in good/"):
        find_dataset(tmp_path)


def test_layouts_are_told_apart(shapes, tmp_path_factory):
    assert find_dataset(shapes).name == "anomaly-shapenet"
    root = tmp_path_factory.mktemp("real3d")
    for name in ("1_template", "2_good", "3_sink"):
        write(root / f"duck/{'train' if 'template' in name else 'test'}/{name}.pcd", POINTS)
    assert find_dataset(root).name == "real3d-ad"


def test_on_the_command_line(shapes):
    good = CliRunner().invoke(cli.app, ["datasets", "check", str(shapes)])
    assert good.exit_code == 0 and "no problem found" in good.stdout
    bad = CliRunner().invoke(cli.app, ["datasets", "check", str(spoiled(shapes)), "--dataset", "anomaly-shapenet"])
    assert bad.exit_code == 1 and "3 problems" in bad.stdout
    unknown = CliRunner().invoke(cli.app, ["datasets", "check", str(shapes), "--dataset", "folder"])
    assert unknown.exit_code == 1 and "no cloud in good/" in unknown.stderr
    listed = CliRunner().invoke(cli.app, ["datasets", "list"])
    assert {"anomaly-shapenet", "real3d-ad", "mvtec-3d-ad", "folder"} <= set(listed.stdout.split())
