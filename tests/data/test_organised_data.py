"""MVTec 3D-AD and Eyecandies in their layouts: the table goes, the object stays, image and mask fall on its pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from pointadplus import PointCloud
from pointadplus.data import open_dataset
from pointadplus.data.background import foreground, largest_cluster
from pointadplus.data.check import check_dataset, find_dataset
from pointadplus.errors import CloudError, DatasetError
from pointadplus.geometry.ground import fit_plane

SIZE = 120


def scan(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A dome of 24 mm radius and a crumb on a tilted table, 0.8 mm a pixel; and which pixels show the dome."""
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[:SIZE, :SIZE]
    x, y = (u - SIZE / 2) * 0.0008, (v - SIZE / 2) * 0.0008
    z = 0.4 + 0.2 * x - 0.1 * y + rng.normal(0, 0.0003, (SIZE, SIZE))
    dome = np.sqrt(np.clip(0.024**2 - x**2 - y**2, 0, None))
    crumb = (np.abs(x - 0.035) < 0.0025) & (np.abs(y - 0.035) < 0.0025)
    z = z - dome - 0.012 * crumb
    xyz = np.stack([x, y, z], -1).astype(np.float32)
    xyz[:3, :40] = 0  # no return
    xyz[60, 60] = 0
    return xyz, dome > 0.0051  # 5 mm from the table, whose normal is 0.98 along z


@pytest.fixture
def mvtec(tmp_path: Path) -> Path:
    """A class with two training scans, one good and one bad test scan, and a file that an archiver left."""
    xyz, dome = scan()
    for i, below in enumerate(("train/good", "train/good", "validation/good", "test/good", "test/hole")):
        folder = tmp_path / "bagel" / below
        for part in ("xyz", "rgb", "gt"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / f"xyz/{i:03d}.tiff", xyz, photometric="rgb")
        color = np.stack([255 * dome, np.arange(SIZE)[:, None] * np.ones((1, SIZE)), 0 * dome], -1).astype(np.uint8)
        Image.fromarray(color).save(folder / f"rgb/{i:03d}.png")
        mask = np.zeros((SIZE, SIZE), np.uint8)
        mask[50:56, 50:70] = 255 * (below == "test/hole")
        Image.fromarray(mask).save(folder / f"gt/{i:03d}.png")
    (tmp_path / "bagel/test/hole/xyz/._004.tiff").write_bytes(b"left by an archiver")
    (tmp_path / "bagel/calibration").mkdir()
    return tmp_path


def test_mvtec_lists_train_and_test(mvtec):
    dataset = open_dataset("mvtec-3d-ad", mvtec)
    assert dataset.categories() == ("bagel",)
    found = [(s.path.stem, s.split, s.label, s.kind, s.gt_path is not None) for s in dataset.samples]
    assert found == [
        ("000", "train", 0, "good", False), ("001", "train", 0, "good", False),
        ("003", "test", 0, "good", False), ("004", "test", 1, "hole", True),
    ]  # fmt: skip


def test_mvtec_keeps_the_object_with_its_colours_and_labels(mvtec):
    _, dome = scan()
    cloud, labels = open_dataset("mvtec-3d-ad", mvtec).samples[-1].load()
    assert cloud.grid == (SIZE, SIZE) and cloud.source_size == SIZE**2 and labels is not None
    expected = torch.from_numpy(dome).flatten()
    expected[60 * SIZE + 60] = False  # no return
    shown = torch.zeros(SIZE**2, dtype=torch.bool)
    shown[cloud.valid_rows()] = True
    assert (shown & ~expected).sum() < 0.02 * expected.sum() and (expected & ~shown).sum() < 0.02 * expected.sum()
    assert cloud.colors is not None
    torch.testing.assert_close(cloud.colors[:, 1] * 255, (cloud.valid_rows() // SIZE).float())
    assert labels.sum() == 6 * 20 and labels.view(SIZE, SIZE)[50:56, 50:70].all()
    healthy = open_dataset("mvtec-3d-ad", mvtec).samples[0].load()[1]
    assert healthy is not None and not healthy.any()


def test_the_check_notices_a_unit_that_is_off_and_a_table_that_stays(mvtec):
    assert not check_dataset(find_dataset(mvtec)).problems
    first, second = mvtec / "bagel/train/good/xyz/000.tiff", mvtec / "bagel/test/good/xyz/003.tiff"
    tifffile.imwrite(first, scan()[0] * 1000, photometric="rgb")
    rough = scan()[0]
    rough[..., 2] += np.random.default_rng(1).uniform(-0.05, 0.05, (SIZE, SIZE)).astype(np.float32)
    tifffile.imwrite(second, rough, photometric="rgb")
    problems = check_dataset(find_dataset(mvtec)).problems
    assert any("000.tiff" in each and "unit is not a metre" in each for each in problems)
    assert any("003.tiff" in each and "no plane was found" in each for each in problems)
    assert any("000.tiff" in each and "times as large as most clouds of bagel" in each for each in problems)


def test_the_same_seed_takes_the_same_points(mvtec):
    cloud = PointCloud.create(np.where(scan()[0] == 0, np.nan, scan()[0]))
    state = torch.random.get_rng_state()
    assert torch.equal(foreground(cloud, seed=3), foreground(cloud, seed=3))
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_plane_is_found_under_outliers():
    rng = torch.Generator().manual_seed(0)
    flat = torch.rand(2000, 3, generator=rng, dtype=torch.float64) * torch.tensor([0.2, 0.2, 0.002]).double()
    clutter = torch.rand(40, 3, generator=rng, dtype=torch.float64) * 0.2
    normal, center = fit_plane(torch.cat([flat, clutter]), rng, inlier=0.004)
    assert abs(normal[2]) > 0.9999 and abs(float(((flat - center) @ normal).mean())) < 1e-4


def test_the_largest_cluster_wins_and_sparse_points_are_kept_whole():
    rng = torch.Generator().manual_seed(0)
    ball = lambda count, x: torch.rand(count, 3, generator=rng, dtype=torch.float64) * 0.02 + x  # noqa: E731
    points = torch.cat([ball(800, 0.0), ball(3000, 0.1), ball(500, 0.2)])
    kept = largest_cluster(points)
    assert kept[800:3800].all() and not kept[:800].any() and not kept[3800:].any()
    assert largest_cluster(torch.rand(50, 3, generator=rng, dtype=torch.float64)).all()


def test_a_scan_of_nothing_but_a_table_is_kept_whole():
    v, u = torch.meshgrid(torch.arange(40.0), torch.arange(40.0), indexing="ij")
    assert foreground(PointCloud.create(torch.stack([u, v, 0 * u + 500], -1) / 1000)).all()


def test_what_is_no_organised_scan_is_refused():
    with pytest.raises(CloudError, match="not organised"):
        foreground(PointCloud.create(np.zeros((4, 3))))


def test_what_does_not_fit_is_refused(mvtec, tmp_path_factory):
    with pytest.raises(DatasetError, match=r"not an MVTec 3D-AD folder.*an empty folder"):
        open_dataset("mvtec-3d-ad", tmp_path_factory.mktemp("empty"))
    sample = open_dataset("mvtec-3d-ad", mvtec).samples[-1]
    Image.new("L", (SIZE, SIZE - 1)).save(mvtec / "bagel/test/hole/gt/004.png")
    with pytest.raises(DatasetError, match=r"does not fit the scan.*\(120, 120\).*\(119, 120\)"):
        sample.load()
    (mvtec / "bagel/test/hole/gt/004.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match="cannot be read"):
        sample.load()
    tifffile.imwrite(mvtec / "bagel/test/hole/xyz/004.tiff", np.zeros((5, 3), np.float32) + 1, photometric="minisblack")
    with pytest.raises(DatasetError, match="not an organised scan"):
        sample.load()
    (mvtec / "bagel/train/bent/xyz").mkdir(parents=True)
    with pytest.raises(DatasetError, match="anomalous kind among the training scans"):
        open_dataset("mvtec-3d-ad", mvtec)


@pytest.fixture
def eyecandies(tmp_path: Path) -> Path:
    """A class with a training sample, a good one, and one with a bump and a dent; depth in the camera's unit."""
    v, u = np.mgrid[:SIZE, :SIZE]
    radius = np.hypot(u - SIZE / 2 + 0.5, v - SIZE / 2 + 0.5)
    depth = 1.3 - np.sqrt(np.clip(0.08**2 - (radius * 1.3 / 711.11) ** 2, 0, None))
    for below, number, kinds in (("train", "000", ""), ("test_public", "00", ""), ("test_public", "01", "bumps dents")):
        folder = tmp_path / "Marshmallow" / below / "data"
        folder.mkdir(parents=True, exist_ok=True)
        values = np.round((depth - 1.0) / 0.5 * 65535).astype(np.uint16)
        Image.fromarray(values).save(folder / f"{number}_depth.png")
        (folder / f"{number}_info_depth.yaml").write_text("normalization:\n  max: 1.5\n  min: 1.0\n")
        Image.new("RGB", (SIZE, SIZE), (255, 0, 51)).save(folder / f"{number}_image_4.png")
        for kind in ("bumps", "dents", "colors", "normals"):
            mask = np.zeros((SIZE, SIZE), np.uint8)
            mask[60:64, 60:70] = kind in kinds
            Image.fromarray(mask).save(folder / f"{number}_{kind}_mask.png")
            if kind == "bumps":
                Image.fromarray(mask).save(folder / f"{number}_mask.png")
    (tmp_path / "Marshmallow/test_private/data").mkdir(parents=True)
    return tmp_path


def test_eyecandies_lists_samples_by_their_masks(eyecandies):
    found = open_dataset("eyecandies", eyecandies).samples
    assert [(s.path.name, s.split, s.label, s.kind) for s in found] == [
        ("000_depth.png", "train", 0, "good"), ("00_depth.png", "test", 0, "good"),
        ("01_depth.png", "test", 1, "bumps+dents"),
    ]  # fmt: skip


def test_eyecandies_depth_becomes_points_before_the_camera(eyecandies):
    cloud, labels = open_dataset("eyecandies", eyecandies).samples[-1].load()
    assert cloud.grid == (SIZE, SIZE) and labels is not None and int(labels.sum()) == 40
    x, y, z = cloud.points.unbind(1)
    # A dome of radius 0.08 on a table at 1.3: what stands over 0.02 above the table is kept.
    assert abs(float(z.max()) + 1.22) < 1e-3 and float(z.min()) > -1.29 and float(z.min()) < -1.27
    assert (torch.hypot(x * 1.3 / -z, y * 1.3 / -z) - (0.08**2 - (1.3 + z) ** 2).clamp_min(0).sqrt()).abs().max() < 2e-3
    rows = cloud.valid_rows()
    assert (y[rows // SIZE < 50] > 0).all() and (x[rows % SIZE > 70] > 0).all()  # the first row is up
    assert cloud.colors is not None
    torch.testing.assert_close(cloud.colors[0], torch.tensor([1.0, 0.0, 0.2]))


@pytest.mark.parametrize("text", ["normalization: {min: 2.0, max: 1.0}", "- a list", "normalization: {min: a}", "{"])
def test_a_malformed_range_of_depths_is_refused(eyecandies, text):
    (eyecandies / "Marshmallow/test_public/data/01_info_depth.yaml").write_text(text)
    with pytest.raises(DatasetError, match=r"01_info_depth\.yaml: .*range"):
        open_dataset("eyecandies", eyecandies).samples[-1].load()


def test_what_is_no_eyecandies_folder_is_refused(eyecandies, tmp_path_factory):
    with pytest.raises(DatasetError, match=r"not an Eyecandies folder.*an empty folder"):
        open_dataset("eyecandies", tmp_path_factory.mktemp("empty"))
    data = eyecandies / "Marshmallow/test_public/data"
    Image.new("RGB", (SIZE, SIZE)).save(data / "00_depth.png")
    with pytest.raises(DatasetError, match="not a depth image"):
        open_dataset("eyecandies", eyecandies).samples[1].load()
    (data / "00_depth.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"00_depth\.png: the image cannot be read"):
        open_dataset("eyecandies", eyecandies).samples[1].load()
    (data / "00_mask.png").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"00_mask\.png: the image cannot be read"):
        open_dataset("eyecandies", eyecandies)
