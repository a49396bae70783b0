"""The synthetic benchmark: every layout opens with its loader, and one seed gives one data set."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from pointadplus.apps import cli
from pointadplus.cloud import PointCloud
from pointadplus.data import Dataset, open_dataset
from pointadplus.data.background import foreground
from pointadplus.data.check import check_dataset, find_dataset
from pointadplus.data.synthetic import RECIPE
from pointadplus.errors import ConfigError, DatasetError
from pointadplus.learning.synthesis import layouts
from pointadplus.learning.synthesis.dataset import LAYOUT_NAMES, SyntheticConfig, write_dataset
from pointadplus.learning.synthesis.defects import KINDS
from pointadplus.learning.synthesis.depth_scan import DepthCamera, scan_on_table
from pointadplus.learning.synthesis.shapes import HELD_OUT
from pointadplus.learning.synthesis.specimens import Specimen, make_specimen, scan_cloud

CLOUDS = SyntheticConfig(families=("brick", "wing_nut"), train=2, normal=2, damaged=3, points=(1500, 2500))
SCANS = SyntheticConfig(
    families=("brick",), train=1, normal=1, damaged=2, image_size=96, kinds=("bulge", "broken", "dent")
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small data set in each layout, by the layout's name."""
    folder = tmp_path_factory.mktemp("made")
    return {
        name: write_dataset(folder / name, SCANS if name in ("mvtec-3d-ad", "eyecandies") else CLOUDS, name)
        for name in LAYOUT_NAMES
    }


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def counts(dataset: Dataset) -> Counter[tuple[str, str, int | None]]:
    return Counter((sample.category, sample.split, sample.label) for sample in dataset.samples)


def expected(config: SyntheticConfig) -> Counter[tuple[str, str, int | None]]:
    each = (("train", 0, config.train), ("test", 0, config.normal), ("test", 1, config.damaged))
    return Counter({(family, split, label): count for family in config.families for split, label, count in each})


@pytest.mark.parametrize("name", ["synthetic", "anomaly-shapenet", "real3d-ad", "mvtec-3d-ad", "eyecandies"])
def test_each_layout_opens_as_it_was_made(made: dict[str, Path], name: str) -> None:
    config = SCANS if name in ("mvtec-3d-ad", "eyecandies") else CLOUDS
    dataset = open_dataset(name, made[name])
    assert dataset.categories() == config.families
    assert counts(dataset) == expected(config)
    found = find_dataset(made[name])
    assert found.name == ("synthetic" if name == "anomaly-shapenet" else name)
    assert check_dataset(found).problems == ()


def test_each_family_is_a_folder_of_its_own(made: dict[str, Path]) -> None:
    for family in CLOUDS.families:
        dataset = open_dataset("folder", made["folder"] / family)
        assert dataset.categories() == (family,) and check_dataset(dataset).problems == ()
        assert {key[1:]: count for key, count in counts(dataset).items()} == {
            ("train", 0): 2, ("test", 0): 2, ("test", 1): 3,
        }  # fmt: skip


@pytest.mark.parametrize("name", ["synthetic", "real3d-ad", "folder"])
def test_points_kinds_and_labels_are_those_that_were_made(
    made: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[tuple[PointCloud, torch.Tensor, str]] = []
    inner = layouts._cloud
    monkeypatch.setattr(layouts, "_cloud", lambda *given, **named: seen.append(inner(*given, **named)) or seen[-1])
    root = write_dataset(tmp_path / "again", CLOUDS, name)
    roots = [root / family for family in CLOUDS.families] if name == "folder" else [root]
    samples = [sample for below in roots for sample in open_dataset(name, below).samples]
    kinds = Counter((sample.category, sample.kind) for sample in samples)
    for family in CLOUDS.families:
        assert sum(kinds[family, kind] for kind in KINDS) == 3 and kinds[family, "good"] == 4
    left = list(seen)
    for sample in samples:
        cloud, labels = sample.load()
        match = [i for i, (made_one, _, _) in enumerate(left) if torch.equal(made_one.points, cloud.points)]
        assert len(match) == 1 and labels is not None  # no two clouds are alike
        _, own, kind = left.pop(match[0])
        assert torch.equal(labels, own) and kind == sample.kind
        assert bool(labels.any()) == (sample.label == 1)
    assert not left


def test_units_and_sides_of_the_layouts(made: dict[str, Path]) -> None:
    for sample in open_dataset("synthetic", made["synthetic"]).samples:
        reach = sample.load()[0].points.norm(dim=1).max()
        assert 0.5 < reach < 1.2  # a diagonal of 2, about the origin
    sides: dict[str, list[int]] = {"train": [], "test": []}
    for sample in open_dataset("real3d-ad", made["real3d-ad"]).select("brick"):
        cloud = sample.load()[0].points
        assert 10 < cloud.norm(dim=1).max() < 20  # a diagonal of 35 mm
        sides[sample.split].append(len(cloud))
    assert max(sides["test"]) < 2500 * 0.75 and min(sides["train"]) > 500


def test_one_seed_gives_one_data_set(made: dict[str, Path], tmp_path: Path) -> None:
    state = torch.get_rng_state()
    threads = torch.get_num_threads()
    torch.set_num_threads(3 - min(threads, 2))  # one where there are more, two where there is one
    try:
        for name, config in (("real3d-ad", CLOUDS), ("mvtec-3d-ad", SCANS)):
            assert files(write_dataset(tmp_path / name, config, name)) == files(made[name])
        assert torch.get_num_threads() == 3 - min(threads, 2)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), state)
    fewer = SyntheticConfig(families=("wing_nut",), train=1, normal=1, damaged=2, points=(1500, 2500))
    part = files(write_dataset(tmp_path / "part", fewer))
    whole = files(made["synthetic"])
    assert all(whole[name] == data for name, data in part.items() if name != RECIPE)
    other = SyntheticConfig(seed=1, families=("wing_nut",), train=1, normal=1, damaged=1, points=(1500, 2500))
    templates = [data for name, data in files(write_dataset(tmp_path / "other", other)).items() if "template" in name]
    assert templates[0] not in whole.values()


def test_no_object_has_a_twin() -> None:
    items = SyntheticConfig().items()
    assert len(items) == 10 * 19 and len({item.seed for item in items}) == len(items)
    assert {item.family for item in items} == set(HELD_OUT)
    for family in HELD_OUT:
        first = [item.kinds[0] for item in items if item.family == family and item.kinds]
        assert set(first) == set(KINDS) and len(first) == 10  # the kinds go round
    assert all(item.kinds == () for item in items if item.split == "train")


def test_scans_lie_on_a_table_and_labels_on_the_object(made: dict[str, Path]) -> None:
    for name, unit in (("mvtec-3d-ad", 1.0), ("eyecandies", 4.0)):
        for sample in open_dataset(name, made[name]).samples:
            cloud, labels = sample.load()
            assert cloud.grid == (96, 96) and cloud.colors is not None and labels is not None
            assert 300 < len(cloud) < 0.6 * 96 * 96  # the table is gone
            size = (cloud.points.amax(0) - cloud.points.amin(0)).norm() / unit
            assert 0.03 < size < 0.13
            assert bool(labels[cloud.valid_rows()].any()) == (sample.label == 1)
    kinds = [sample.kind for sample in open_dataset("mvtec-3d-ad", made["mvtec-3d-ad"]).select(split="test")]
    assert kinds[0] == "good" and set(kinds[1:]) <= {"bulge", "broken", "dent"}
    kinds = [sample.kind for sample in open_dataset("eyecandies", made["eyecandies"]).select(split="test")]
    assert kinds[0] == "good" and set(kinds[1:]) <= {"bumps", "bad", "dents"}


def ball(count: int = 20_000) -> Specimen:
    """Of diameter 1/√3, with the upper half labelled."""
    points = torch.nn.functional.normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    return Specimen(points / 12**0.5, points, points[:, 2] > 0, "bulge")


def test_the_depth_of_a_ball_on_a_table_is_exact() -> None:
    camera = DepthCamera(image_size=128, focal=180.0, tilt=(20.0, 20.0), diagonal=0.1, gaps=False)
    scan = scan_on_table(ball(), torch.Generator().manual_seed(1), camera)
    points = scan.points().flatten(0, 1)
    cloud = scan.cloud()
    kept = cloud.points[foreground(cloud)].double()
    radius = 0.1 / 12**0.5
    # The centre from the points themselves: |p|² = 2 p·c + (r² − |c|²), linear in the unknowns.
    system = torch.cat([2 * kept, torch.ones(len(kept), 1).double()], 1)
    found = torch.linalg.lstsq(system, kept.square().sum(1)).solution[:3]
    assert ((kept - found).norm(dim=1) - radius).abs().quantile(0.95) < 2e-4  # noise is up to 8e-5 along the ray
    rim = torch.ones(128, 128, dtype=torch.bool)
    rim[10:-10, 10:-10] = False
    table = points[rim.flatten()]
    normal = torch.linalg.svd(table - table.mean(0))[2][2]
    assert ((table - table.mean(0)) @ normal).abs().max() < 5e-4
    assert abs(abs(float((found - table.mean(0)) @ normal)) - radius) < 5e-4  # it touches the table
    assert abs(float(normal[2])) == pytest.approx(np.cos(np.radians(20.0)), abs=1e-2)
    assert len(kept) * 0.3 < int(scan.mask.sum()) <= len(kept) * 1.1  # half of the ball, which lies any way


def test_gaps_have_no_point() -> None:
    camera = DepthCamera(image_size=96, focal=130.0, tilt=(0.0, 5.0), diagonal=0.08, gaps=True)
    specimen = make_specimen(3, "brick", (20_000, 20_000))
    scan = scan_on_table(specimen, torch.Generator().manual_seed(1), camera)
    assert not scan.mask.any() and not specimen.damaged
    assert scan.cloud().grid == (96, 96)


def test_a_scan_shows_half_of_the_defect_or_what_it_can() -> None:
    specimen = make_specimen(5, "brick", (2000, 2000), ("dent",))
    one_sided = layouts.ScanArtifacts(one_sided=1.0)
    for seed in range(5):
        _, labels = scan_cloud(specimen, seed, one_sided)
        assert labels.sum() >= 0.5 * specimen.labels.sum()
    none = Specimen(specimen.points, specimen.normals, torch.zeros_like(specimen.labels), "dent")
    with pytest.raises(ConfigError, match="no scan shows the defect"):
        scan_cloud(none, 0, one_sided)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"families": ("bolt",)}, "unknown families|training draws"),
        ({"families": ("unicorn",)}, "unknown families"),
        ({"families": ()}, "no families"),
        ({"families": ("brick", "brick")}, "twice"),
        ({"kinds": ("rust",)}, "unknown kinds"),
        ({"seed": -1}, "out of range"),
        ({"normal": 0}, "out of range"),
        ({"damaged": 0}, "out of range"),
        ({"train": -1}, "out of range"),
        ({"image_size": 32}, "out of range"),
        ({"points": (100, 2000)}, "out of range"),
        ({"points": (3000, 2000)}, "out of range"),
    ],
)
def test_options_out_of_range_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SyntheticConfig(**options)


def test_training_families_need_a_word() -> None:
    from pointadplus.learning.synthesis.corpus import TRAINING_FAMILIES

    family = TRAINING_FAMILIES[0]
    with pytest.raises(ConfigError, match=f"training draws from these families.*found: {family}"):
        SyntheticConfig(families=("brick", family))
    assert SyntheticConfig(families=("brick", family), training_families=True).families == ("brick", family)


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(DatasetError, match=r"not empty.*found: mine\.txt"):
        write_dataset(tmp_path, CLOUDS)
    with pytest.raises(DatasetError, match="not a folder"):
        write_dataset(tmp_path / "mine.txt", CLOUDS)
    assert files(tmp_path) == {"mine.txt": b"precious"}
    with pytest.raises(ConfigError, match="unknown layout"):
        write_dataset(tmp_path / "new", CLOUDS, "visa")


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    """The disk is full at the n-th file: no half of one, no recipe, and the error says which."""
    import os

    real, calls = os.replace, []

    def full(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == nth:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr("os.replace", full)
    config = SyntheticConfig(families=("brick",), train=1, normal=1, damaged=1, points=(600, 700))
    with pytest.raises(DatasetError, match=r"cannot be written.*No space left"):
        write_dataset(tmp_path / "set", config)
    assert len(files(tmp_path / "set")) == nth - 1
    with pytest.raises(DatasetError, match="not a synthetic data set"):
        open_dataset("synthetic", tmp_path / "set")


def copied(root: Path, target: Path) -> Path:
    for name, data in files(root).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(data)
    return target


def test_a_folder_without_a_recipe_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"not a synthetic data set.*hint: .*pointadplus datasets make .* --seed 0"):
        open_dataset("synthetic", tmp_path)


@pytest.mark.parametrize(
    "change", [{"seed": "one"}, {"families": "brick"}, {"colour": 1}, {"points": 3}, None], ids=str
)
def test_a_malformed_recipe_is_refused(made: dict[str, Path], tmp_path: Path, change: dict | None) -> None:
    root = copied(made["synthetic"], tmp_path / "set")
    recipe = json.loads((root / RECIPE).read_text())
    (root / RECIPE).write_text("[1, 2" if change is None else json.dumps(recipe | change))
    with pytest.raises(DatasetError, match=r"synthetic\.json: the recipe cannot be read"):
        open_dataset("synthetic", root)
    assert find_dataset(root).name == "anomaly-shapenet"


def test_other_clouds_than_the_recipe_names_are_refused(made: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"another layout.*found: real3d-ad.*open it as 'real3d-ad'"):
        open_dataset("synthetic", made["real3d-ad"])
    root = copied(made["synthetic"], tmp_path / "set")
    next((root / "brick" / "train").iterdir()).unlink()
    with pytest.raises(DatasetError, match=r"not the clouds of its recipe.*found: brick 6, wing_nut 7"):
        open_dataset("synthetic", root)


def run(*arguments: object):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def test_on_the_command_line(tmp_path: Path) -> None:
    root = tmp_path / "set"
    options = ("--train", 1, "--normal", 1, "--damaged", 2, "--points", 900, 1000)
    result = run("datasets", "make", root, "--seed", 3, "--families", "brick, bird", *options)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"8 objects of 2 families: {root}\n"
    recipe = json.loads((root / RECIPE).read_text())
    assert (recipe["seed"], recipe["families"], recipe["layout"]) == (3, ["brick", "bird"], "anomaly-shapenet")
    checked = run("datasets", "check", root)
    assert checked.exit_code == 0 and "synthetic: 2 categories" in checked.stdout
    again = run("datasets", "make", root)
    assert again.exit_code == 1 and "not empty" in again.stderr
    unknown = run("datasets", "make", tmp_path / "new", "--families", "bolt,brick")
    assert unknown.exit_code == 1 and "families" in unknown.stderr
    assert "synthetic" in run("datasets", "list").stdout.split()


def test_a_scan_without_the_defect_is_no_test_object(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(layouts, "MIN_PIXELS", 10**6)
    monkeypatch.setattr(layouts, "OBJECTS", 1)
    monkeypatch.setattr(layouts, "POSES", 1)
    with pytest.raises(ConfigError, match="no scan shows the defect"):
        write_dataset(tmp_path / "set", SCANS, "eyecandies")


def test_pictures_are_of_the_scan(made: dict[str, Path]) -> None:
    for sample in open_dataset("mvtec-3d-ad", made["mvtec-3d-ad"]).samples:
        image = np.array(Image.open(sample.path.parent.parent / "rgb" / f"{sample.path.stem}.png")).astype(float)
        cloud = sample.load()[0]
        assert isinstance(cloud, PointCloud)
        on = np.zeros(96 * 96, bool)
        on[cloud.valid_rows().numpy()] = True
        colours = image.reshape(-1, 3)
        assert np.abs(colours[on].mean(0) - colours[~on].mean(0)).max() > 5  # the object stands out from the table
