"""`evaluate` with detectors whose figures are known in closed form."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pointadplus.cloud import PointCloud
from pointadplus.data import Dataset, Sample
from pointadplus.errors import ConfigError, DatasetError
from pointadplus.evaluation import BenchmarkResult, Figures, evaluate
from pointadplus.io import write_cloud
from pointadplus.results.detection import Detection

SIZE = 200
POINTS = torch.rand(SIZE, 3, generator=torch.Generator().manual_seed(0))
MASK = torch.arange(SIZE) < 4  # 2 % anomalous, as real defects are


PERFECT = Figures(1.0, 1.0, 1.0, 1.0, 1.0, 1.0)


class MemorySample(Sample):
    """A sample whose cloud needs no file: its object score is told by its name, as `<kind>_<percent>`."""

    def load(self):
        cloud = replace(PointCloud.create(POINTS), source=str(self.path))
        if self.label and self.gt_path is None:
            return cloud, None
        return cloud, MASK if self.label else torch.zeros(SIZE, dtype=torch.bool)


def sample(category: str, kind: str, percent: int, split="test", masked: bool = True) -> Sample:
    path = Path(category) / split / f"{kind}_{percent}"
    label = 0 if kind == "good" else 1
    return MemorySample(path, category, split, label, kind, path if label and masked else None)


def dataset(*samples: Sample) -> Dataset:
    return Dataset("memory", Path("root"), samples)


# Within a category every anomaly outscores every normal cloud; `b`'s normal clouds outscore `a`'s anomalies.
SPREAD = (
    sample("a", "good", 10), sample("a", "good", 20), sample("a", "hole", 30), sample("a", "dent", 40),
    sample("b", "good", 50), sample("b", "good", 60), sample("b", "hole", 70), sample("b", "hole", 80),
    sample("a", "good", 0, split="train"), sample("b", "good", 0, split="train"),
)  # fmt: skip


class Named:
    """Scores a cloud by the number in its name and marks the anomalous points, in every cloud."""

    def __init__(self, layers: Mapping[str, torch.Tensor] | None = None) -> None:
        self.layers = layers or {}

    def score(self, source: PointCloud) -> Detection:
        return Detection(int(source.source.rsplit("_")[-1]) / 100, MASK.float(), source, self.layers)


def test_figures_known_in_closed_form():
    joined = evaluate(Named(), dataset(*SPREAD)).joined
    assert joined.categories["a"].object_auroc == joined.categories["b"].object_auroc == 1.0
    assert joined.mean.object_auroc == 1.0
    # 16 pairs over all clouds; `a`'s two anomalies lose to `b`'s two normal clouds.
    assert joined.pooled_object_auroc == 12 / 16
    # Pooled points of `a`: 8 anomalous at 1; of the 792 normal ones the 8 marked in the normal clouds tie with them.
    points = joined.categories["a"]
    assert points.point_auroc == pytest.approx((784 + 8 / 2) / 792)
    assert points.point_ap == pytest.approx(0.5)
    # A kind's points are measured on its own clouds, where the map is perfect.
    assert joined.kinds["hole"] == PERFECT
    assert points.aupro == pytest.approx(1.0, abs=0.02)  # only the marked points of the normal clouds tie with them


def test_a_kind_is_compared_with_the_normal_clouds_of_its_category():
    inverted = (sample("a", "good", 50), sample("a", "hole", 60), sample("a", "dent", 40),
                sample("b", "good", 55), sample("b", "hole", 45))  # fmt: skip
    joined = evaluate(Named(), dataset(*inverted)).joined
    assert joined.kinds["hole"].object_auroc == 0.5  # right in `a`, wrong in `b`
    assert joined.kinds["dent"].object_auroc == 0.0
    assert list(joined.kinds) == ["dent", "hole"]


def test_layers_have_figures_of_their_own():
    layers = {"rendering": MASK.float(), "geometry": 1 - MASK.float()}
    result = evaluate(Named(layers), dataset(*SPREAD))
    assert set(result.maps) == {"rendering", "geometry", "joined"}
    assert result.maps["rendering"].kinds["hole"].point_auroc == 1.0
    assert result.maps["geometry"].kinds["hole"].point_auroc == 0.0
    # A layer's object score is the mean of its top 1 %, here the same in every cloud.
    assert result.maps["rendering"].mean.object_auroc == 0.5
    assert result.clouds[0].scores == {"rendering": 1.0, "geometry": 1.0, "joined": 0.1}


def test_a_layer_called_joined_gives_way_to_the_detection():
    result = evaluate(Named({"joined": 1 - MASK.float()}), dataset(*SPREAD))
    assert list(result.maps) == ["joined"]
    assert result.joined.kinds["hole"] == PERFECT


def test_the_object_score_of_a_layer_is_the_mean_of_its_top_percent():
    ramp = torch.arange(SIZE).float() / SIZE
    result = evaluate(Named({"ramp": ramp}), dataset(*SPREAD))
    assert result.clouds[0].scores["ramp"] == pytest.approx((199 + 198) / 2 / SIZE)


def test_rows_without_a_point_count_nowhere():
    class Holed(MemorySample):
        def load(self):
            points = POINTS.clone()
            points[0] = float("nan")
            cloud = PointCloud.create(points, source=str(self.path))
            return cloud, MASK if self.label else torch.zeros(SIZE, dtype=torch.bool)

    class Spread:
        def score(self, source: PointCloud) -> Detection:
            scores = source.to_rows(MASK.float()[source.valid_rows()])
            return Detection(0.5, scores, source, {"layer": MASK.float()[1:]})

    samples = [Holed(Path("x"), "a", "test", 1, "hole", Path("x")), Holed(Path("y"), "a", "test", 0, "good")]
    result = evaluate(Spread(), dataset(*samples))
    assert result.joined.kinds["hole"] == replace(PERFECT, object_auroc=0.5, object_ap=0.5, object_f1=2 / 3)
    assert result.maps["layer"].kinds["hole"].point_auroc == 1.0


def test_every_region_has_its_share_of_aupro():
    """Of two regions in one cloud the map shows one; on an organised scan they are told apart by their pixels."""

    class TwoRegions(MemorySample):
        def load(self):
            grid = torch.stack(
                [*torch.meshgrid(torch.arange(20.0), torch.arange(10.0), indexing="ij"), torch.zeros(20, 10)], -1
            )
            labels = torch.zeros(20, 10, dtype=torch.bool)
            labels[:4, :4] = labels[18, 8] = True
            cloud = PointCloud.create(grid if self.kind == "hole" else grid.flatten(0, 1), source=str(self.path))
            return cloud, labels.flatten()

    class ShowsTheLarge:
        def score(self, source: PointCloud) -> Detection:
            x, y = source.points[:, 0], source.points[:, 1]
            return Detection(0.5, ((x < 4) & (y < 4)).float(), source)

    for kind in ("hole", "dent"):
        samples = dataset(TwoRegions(Path("x"), "a", "test", 1, kind, Path("x")))
        found = evaluate(ShowsTheLarge(), samples).joined.kinds[kind]
        # Half at once, and the other half on the straight line from there to (1, 1): ½ + ½ · 0.3 / 2 up to 0.3.
        assert found.aupro == pytest.approx(0.575)
        assert found.point_auroc == pytest.approx(1 - 0.5 / 17)


def test_clouds_without_labels_count_where_they_can():
    masked, bare = sample("a", "hole", 30), sample("a", "dent", 20, masked=False)
    unknown = replace(sample("a", "good", 99), label=None)
    result = evaluate(Named(), dataset(sample("a", "good", 10), masked, bare, unknown))
    assert len(result.clouds) == 3
    assert result.joined.kinds["dent"] == replace(PERFECT, point_auroc=None, point_ap=None, aupro=None)
    assert result.joined.categories["a"].object_auroc == 1.0
    assert "| dent | 100.0 | 100.0 | 100.0 | – | – | – |" in result.to_markdown()


def test_a_figure_that_a_category_lacks_is_left_out_of_the_mean():
    result = evaluate(Named(), dataset(*SPREAD[:4], sample("c", "hole", 1)))
    assert result.joined.categories["c"].object_auroc is None
    assert result.joined.mean.object_auroc == 1.0


class FewShot(Named):
    few_shot = True

    def __init__(self) -> None:
        super().__init__()
        self.fitted: list[list[str]] = []

    def fit(self, clouds):
        self.fitted.append([cloud.source for cloud in clouds])
        return self


def test_few_shot_detectors_are_fitted_on_each_category():
    detector = FewShot()
    evaluate(detector, dataset(*SPREAD))
    assert detector.fitted == [["a/train/good_0"], ["b/train/good_0"]]


def test_few_shot_without_training_clouds_is_refused():
    with pytest.raises(DatasetError, match="no training cloud"):
        evaluate(FewShot(), dataset(*SPREAD[:4]))


def test_categories_and_progress():
    seen = []
    result = evaluate(Named(), dataset(*SPREAD), categories=["b"], progress=lambda *args: seen.append(args))
    assert set(result.joined.categories) == {"b"}
    assert [(done, total, step.path.name) for done, total, step in seen] == [
        (1, 4, "good_50"), (2, 4, "good_60"), (3, 4, "hole_70"), (4, 4, "hole_80"),
    ]  # fmt: skip
    with pytest.raises(DatasetError, match="no such category"):
        evaluate(Named(), dataset(*SPREAD), categories=["c"])
    with pytest.raises(DatasetError, match="no labelled test cloud"):
        evaluate(Named(), dataset(SPREAD[-1]))


def test_scores_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="layer does not fit"):
        evaluate(Named({"short": torch.zeros(3)}), dataset(*SPREAD))

    class Sampled:
        def score(self, source):
            return Detection(0.5, torch.zeros(10), PointCloud.create(source.points[:10]))

    with pytest.raises(ConfigError, match="point scores do not fit"):
        evaluate(Sampled(), dataset(*SPREAD))

    class Fickle(Named):
        def score(self, source):
            return Detection(0.5, MASK.float(), source, {} if "hole" in source.source else {"layer": MASK.float()})

    with pytest.raises(ConfigError, match="changed its layers"):
        evaluate(Fickle(), dataset(*SPREAD))


def test_json_round_trip():
    result = replace(evaluate(Named({"layer": MASK.float()}), dataset(*SPREAD)), notes={"seed": "0"})
    text = result.to_json()
    assert BenchmarkResult.from_json(text) == result
    row = json.loads(text)["clouds"][2]
    assert row.pop("seconds") >= 0
    scores = {"layer": 1.0, "joined": 0.3}
    assert row == {"stem": "hole_30", "category": "a", "kind": "hole", "label": 1, "scores": scores}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"maps": {"joined": {}}}'])
def test_other_json_is_refused(text):
    with pytest.raises(ConfigError, match="not a benchmark result"):
        BenchmarkResult.from_json(text)


def test_markdown_holds_every_table():
    result = replace(evaluate(Named(), dataset(*SPREAD)), notes={"command": "python x.py"})
    lines = result.to_markdown().splitlines()
    assert lines[0] == "| map | O-AUROC | O-AP | O-F1 | P-AUROC | P-AP | AUPRO | O pooled |"
    aupro = f"{100 * (result.joined.mean.aupro or 0):.1f}"
    assert lines[2] == f"| joined | 100.0 | 100.0 | 100.0 | 99.5 | 50.0 | {aupro} | 75.0 |"
    assert f"| a | 100.0 | 100.0 | 100.0 | 99.5 | 50.0 | {aupro} |" in lines
    assert "| hole | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 |" in lines
    assert lines[-1] == "- command: python x.py"
    assert any(line.startswith("- clouds: 8, ") for line in lines)


@pytest.fixture
def script(monkeypatch, tmp_path):
    """The script that writes the README's table, with a README of its own."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    real_objects = importlib.import_module("real_objects")
    monkeypatch.setattr(real_objects, "README", tmp_path / "README.md")
    return real_objects


@pytest.fixture
def objects(tmp_path) -> Path:
    """Two spheres, one with a spike of 10 points."""
    root = tmp_path / "objects"
    (root / "ball/test").mkdir(parents=True)
    (root / "ball/GT").mkdir()
    points = torch.nn.functional.normalize(POINTS - 0.5) * 50
    write_cloud(root / "ball/test/ball_positive0.pcd", PointCloud.create(points))
    points[:10] *= torch.linspace(1.1, 1.5, 10)[:, None]
    write_cloud(root / "ball/test/ball_spike0.pcd", PointCloud.create(points))
    rows = [f"{x},{y},{z},{int(i < 10)}" for i, (x, y, z) in enumerate(points.tolist())]
    (root / "ball/GT/ball_spike0.txt").write_text("\n".join(rows))
    return root


def test_the_script_writes_the_readme_between_its_markers(script, objects, tmp_path, capsys):
    script.README.write_text(f"before\n{script.BEGIN}\nold\n{script.END}\nafter\n")
    out = tmp_path / "out.json"
    arguments = ["--root", str(objects), "--methods", "surface-variation", "--out", str(out), "--readme"]
    script.main(arguments)
    script.main(arguments)
    page = script.README.read_text()
    assert page.startswith(f"before\n{script.BEGIN}\n| method | map |")
    assert page.endswith(f"\n{script.END}\nafter\n")
    assert page.count("| ball |") == 1  # written over, not below
    assert str(objects) not in page
    assert "| surface-variation | joined | " in capsys.readouterr().out
    result = BenchmarkResult.from_json(json.dumps(json.loads(out.read_text())["surface-variation"]))
    assert [cloud.kind for cloud in result.clouds] == ["good", "spike"]
    # The spike's points lie off every neighbourhood's plane.
    assert result.joined.kinds["spike"].point_auroc > 0.8


def test_the_script_says_what_is_wrong(script, objects):
    with pytest.raises(SystemExit, match="not an Anomaly-ShapeNet folder"):
        script.main(["--root", str(objects / "ball"), "--methods", "surface-variation"])
    with pytest.raises(SystemExit, match="no place for the table"):
        script.between_markers("no marker", "table")
