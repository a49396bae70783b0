"""Layouts, names and label files, with the quirks of real releases."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import trimesh

from pointadplus.data import Sample, open_dataset
from pointadplus.errors import DatasetError
from pointadplus.io import VertexCloud

POINTS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], dtype=np.float32)
LABELS = np.array([0, 1, 0, 0, 1])


PCD = """VERSION .7
FIELDS x y z
SIZE 4 4 4
TYPE F F F
COUNT 1 1 1
WIDTH {0}
HEIGHT 1
POINTS {0}
DATA ascii"""


def write(path: Path, rows: np.ndarray, delimiter: str = " ") -> Path:
    """A table of text; with the header of a cloud where the extension asks for one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = PCD.format(len(rows)) if path.suffix.lower() == ".pcd" else ""
    np.savetxt(path, rows, fmt="%.6g", delimiter=delimiter, header=header, comments="")
    return path


def labelled(points: np.ndarray = POINTS, labels: np.ndarray = LABELS) -> np.ndarray:
    return np.column_stack([points, labels])


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Two classes as Anomaly-ShapeNet lays them out; the second has neither train nor GT."""
    for i in range(2):
        write(tmp_path / f"bowl0/train/bowl0_template{i}.pcd", POINTS)
    for name in ("positive2", "positive10", "hole0"):
        write(tmp_path / f"bowl0/test/bowl0_{name}.pcd", POINTS)
    write(tmp_path / "bowl0/GT/bowl0_hole0.txt", labelled(), ",")
    write(tmp_path / "Cap3/test/CAP3_POSITIVE0.PCD", POINTS)
    write(tmp_path / "Cap3/test/Cap3_Scratch_1.pcd", POINTS)
    (tmp_path / "Cap3/test/._Cap3_hole0.pcd").write_text("left by an archiver")
    return tmp_path


def names(samples) -> list[str]:
    return [sample.path.stem for sample in samples]


def test_names_tell_label_and_kind(release):
    dataset = open_dataset("Anomaly_ShapeNet", release)
    assert dataset.name == "anomaly-shapenet"
    assert dataset.categories() == ("bowl0", "Cap3")
    assert names(dataset.select("bowl0", "train")) == ["bowl0_template0", "bowl0_template1"]
    assert names(dataset.select("bowl0", "test")) == ["bowl0_hole0", "bowl0_positive2", "bowl0_positive10"]
    assert [(s.label, s.kind) for s in dataset.select("Cap3")] == [(0, "good"), (1, "scratch")]
    assert len(dataset.select()) == 7


def test_missing_train_and_gt_leave_a_usable_data_set(release):
    dataset = open_dataset("anomaly-shapenet", release)
    assert dataset.select("Cap3", "train") == ()
    scratch = dataset.select("Cap3", "test")[1]
    assert scratch.gt_path is None
    assert scratch.load()[1] is None


@pytest.mark.parametrize("below", ["pcd", "dataset/pcd"])
def test_the_release_folder_is_opened_too(release, tmp_path_factory, below):
    top = tmp_path_factory.mktemp("release")
    (top / below).parent.mkdir(parents=True, exist_ok=True)
    (top / below).symlink_to(release, target_is_directory=True)
    assert open_dataset("anomaly-shapenet", top).categories() == ("bowl0", "Cap3")


def test_a_folder_named_gt_in_lower_case_is_found(release):
    (release / "bowl0/GT").rename(release / "bowl0/gt")
    assert open_dataset("anomaly-shapenet", release).select("bowl0", "test")[0].gt_path is not None


def test_a_normal_sample_has_all_labels_false(release):
    cloud, labels = open_dataset("anomaly-shapenet", release).select("bowl0", "test")[1].load()
    assert labels is not None
    assert len(labels) == len(cloud) == 5
    assert not labels.any()


def anomalous(tmp_path: Path, table: np.ndarray, delimiter: str = ",", cloud: np.ndarray = POINTS) -> Sample:
    return Sample(
        write(tmp_path / "bowl0_hole0.pcd", cloud),
        "bowl0",
        "test",
        1,
        "hole",
        write(tmp_path / "gt.txt", table, delimiter),
    )


@pytest.mark.parametrize("delimiter", [",", " ", "\t", ", "])
def test_the_delimiter_is_found_out(tmp_path, delimiter):
    cloud, labels = anomalous(tmp_path, labelled(), delimiter).load()
    assert labels.tolist() == LABELS.astype(bool).tolist()
    assert cloud.points.tolist() == POINTS.tolist()


def test_a_byte_order_mark_and_a_comment_are_skipped(tmp_path):
    sample = anomalous(tmp_path, labelled())
    sample.gt_path.write_text("\ufeff# point labels\n" + sample.gt_path.read_text(), encoding="utf-8")
    assert sample.load()[1].tolist() == LABELS.astype(bool).tolist()


def test_rounded_coordinates_keep_the_cloud_of_the_file(tmp_path):
    cloud, labels = anomalous(tmp_path, labelled(POINTS + 1e-5)).load()
    assert cloud.points.tolist() == POINTS.tolist()
    assert labels.tolist() == LABELS.astype(bool).tolist()


@pytest.mark.parametrize("rows", [[0, 1, 2], [4, 3, 2, 1, 0]], ids=["fewer", "another order"])
def test_points_come_from_the_label_file_where_the_two_differ(tmp_path, rows):
    cloud, labels = anomalous(tmp_path, labelled()[rows]).load()
    assert cloud.points.tolist() == POINTS[rows].tolist()
    assert labels.tolist() == LABELS[rows].astype(bool).tolist()


def test_labels_align_with_rows_that_hold_no_point(tmp_path):
    holes = POINTS.copy()
    holes[2] = np.nan
    cloud, labels = anomalous(tmp_path, labelled(), cloud=holes).load()
    assert (cloud.source_size, len(cloud), len(labels)) == (5, 4, 5)
    assert labels[cloud.valid_rows()].tolist() == [False, True, False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("0,0,0,1\n1,0,0\n", "cannot be read"),
        ("0,0,0,1\nx,y,z,0\n", "cannot be read"),
        ("0,0,0\n1,0,0\n", "wrong shape"),
        ("0,0,0,1\n1,0,0,2\n", "not binary"),
        ("0,0,0,nan\n", "not binary"),
        ("1\n0\n", "do not fit the cloud"),
    ],
    ids=["empty", "ragged", "words", "three columns", "label 2", "label nan", "another count"],
)
def test_a_broken_label_file_is_refused(tmp_path, text, message):
    sample = anomalous(tmp_path, labelled())
    sample.gt_path.write_text(text)
    with pytest.raises(DatasetError, match=message) as error:
        sample.load()
    assert error.value.where == sample.gt_path


def test_a_label_file_that_vanished_is_refused(tmp_path):
    sample = anomalous(tmp_path, labelled())
    sample.gt_path.unlink()
    with pytest.raises(DatasetError, match="cannot be read"):
        sample.load()


@pytest.mark.parametrize(
    ("name", "message"),
    [("test/bowl0_7.pcd", "tells no label"), ("train/bowl0_hole3.pcd", "among the training clouds")],
)
def test_names_that_contradict_the_layout_are_refused(release, name, message):
    write(release / "bowl0" / name, POINTS)
    with pytest.raises(DatasetError, match=message):
        open_dataset("anomaly-shapenet", release)


def test_unknown_name_missing_folder_and_wrong_layout(tmp_path):
    with pytest.raises(DatasetError, match=r"unknown data set.*anomaly-shapenet.*shapenot"):
        open_dataset("shapenot", tmp_path)
    with pytest.raises(DatasetError, match=r"no such folder.*found: nothing"):
        open_dataset("folder", tmp_path / "absent")
    with pytest.raises(DatasetError, match=r"not an Anomaly-ShapeNet folder.*found: an empty folder"):
        open_dataset("anomaly-shapenet", tmp_path)
    with pytest.raises(DatasetError, match=r"no cloud in good/"):
        open_dataset("folder", tmp_path)


def test_an_unknown_category_names_the_known_ones(release):
    with pytest.raises(DatasetError, match=r"bowl0, Cap3.*found: bowl1"):
        open_dataset("anomaly-shapenet", release).select("bowl1")


@pytest.fixture
def real3d(tmp_path: Path) -> Path:
    """One class of Real3D-AD, with a template among the test clouds and other files among the prototypes."""
    root = tmp_path / "Real3D-AD-PCD" / "airplane"
    for name in ("17_template", "204_template", "notes"):
        write(root / f"train/{name}.pcd", POINTS)
    for name in ("10_bulge", "2_good", "2_good_copy", "31_sink_cut", "4_template"):
        write(root / f"test/{name}.pcd", POINTS)
    write(root / "gt/10_bulge.txt", labelled())
    write(root / "gt/31_sink_cut.txt", labelled(POINTS[::-1] * 2, LABELS[::-1])[1:])
    return tmp_path


def test_real3d_ad_names_tell_label_and_kind(real3d):
    dataset = open_dataset("real3d-ad", real3d)
    assert dataset.categories() == ("airplane",)
    assert names(dataset.select(split="train")) == ["17_template", "204_template"]
    assert [(s.path.stem, s.label, s.kind, s.gt_path is not None) for s in dataset.select(split="test")] == [
        ("2_good", 0, "good", False), ("2_good_copy", 0, "good", False),
        ("10_bulge", 1, "bulge", True), ("31_sink_cut", 1, "sink", True),
    ]  # fmt: skip


def test_real3d_ad_scores_the_points_of_the_label_file_where_they_differ(real3d):
    bulge, sink = (sample.load() for sample in open_dataset("real3d-ad", real3d).select(split="test")[2:])
    assert len(bulge[0]) == 5 and bulge[1] is not None and bulge[1].tolist() == LABELS.astype(bool).tolist()
    cloud, labels = sink
    assert np.allclose(cloud.points.numpy(), (POINTS[::-1] * 2)[1:])
    assert labels is not None and labels.tolist() == LABELS[::-1][1:].astype(bool).tolist()


def test_what_is_no_real3d_ad_folder_is_refused(real3d, tmp_path_factory):
    write(real3d / "Real3D-AD-PCD/airplane/test/33.pcd", POINTS)
    with pytest.raises(DatasetError, match=r"tells no label.*33\.pcd"):
        open_dataset("real3d-ad", real3d)
    with pytest.raises(DatasetError, match=r"not a Real3D-AD folder.*found: an empty folder"):
        open_dataset("real3d-ad", tmp_path_factory.mktemp("empty"))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    root = tmp_path / "castings"
    for name in ("train/a.xyz", "good/b.xyz", "bad/dent_01.xyz", "bad/crack-2.xyz", "bad/0003.xyz"):
        write(root / name, POINTS)
    write(root / "masks/dent_01.txt", LABELS[:, None])
    np.save(root / "masks/CRACK-2.npy", LABELS.astype(bool))
    return root


def test_a_folder_of_good_and_bad(own):
    dataset = open_dataset("folder", own)
    assert dataset.categories() == ("castings",)
    assert [(s.path.stem, s.split, s.label, s.kind) for s in dataset.samples] == [
        ("a", "train", 0, "good"), ("b", "test", 0, "good"),
        ("0003", "test", 1, "bad"), ("crack-2", "test", 1, "crack"), ("dent_01", "test", 1, "dent"),
    ]  # fmt: skip
    loaded = [sample.load()[1] for sample in dataset.samples]
    assert loaded[2] is None
    assert loaded[3].tolist() == loaded[4].tolist() == LABELS.astype(bool).tolist()


def test_labels_of_a_meshs_vertices_are_read_at_its_vertices(own):
    """From its own file, or from a mask of as many rows as it has vertices; a mesh without labels is sampled."""
    mesh = trimesh.creation.icosphere(2)
    labels = mesh.vertices[:, 2] > 0.8
    mesh.vertex_attributes["label"] = labels.astype(np.int32)
    mesh.export(own / "bad/inside.ply")
    del mesh.vertex_attributes["label"]
    for name in ("good/plain", "bad/masked", "bad/unknown"):
        mesh.export(own / f"{name}.ply")
    write(own / "masks/masked.txt", labels[:, None].astype(int))
    loaded = {sample.path.stem: sample.load() for sample in open_dataset("folder", own).samples}
    for name in ("inside", "masked"):
        cloud, found = loaded[name]
        assert isinstance(cloud, VertexCloud) and len(cloud) == 162 and found.tolist() == labels.tolist()
    assert (len(loaded["plain"][0]), loaded["plain"][1].any()) == (100_000, False)
    assert (len(loaded["unknown"][0]), loaded["unknown"][1]) == (100_000, None)


def test_a_mask_without_a_cloud_is_refused(own):
    write(own / "masks/dent_02.txt", LABELS[:, None])
    with pytest.raises(DatasetError, match=re.escape("found: dent_02")):
        open_dataset("folder", own)


def test_a_pickled_mask_is_refused(own):
    np.save(own / "masks/dent_01.npy", np.array([{}], dtype=object), allow_pickle=True)
    (own / "masks/dent_01.txt").unlink()
    with pytest.raises(DatasetError, match="cannot be read"):
        open_dataset("folder", own).samples[-1].load()
