"""Runs: from a config to weights, killed and gone on with, on object labels alone, and as PointAD has it."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pointadplus import ZeroShotDetector
from pointadplus.clip import load_backbone
from pointadplus.config import from_table, read_toml
from pointadplus.data import open_dataset
from pointadplus.errors import ConfigError, DatasetError, WeightsError, install_command
from pointadplus.evaluation import evaluate
from pointadplus.geometry.neighbors import smooth
from pointadplus.learning.protocols import Source, keep_apart, run_protocol
from pointadplus.learning.synthesis.corpus import CorpusConfig, sample_object
from pointadplus.learning.synthesis.scanner import ScannerConfig
from pointadplus.learning.training import run as run_module
from pointadplus.learning.training.config import PUBLISHED, DataConfig, OptimizationConfig, TrainConfig
from pointadplus.learning.training.lessons import Lesson, LessonCache, load_lesson
from pointadplus.learning.training.losses import dice, focal
from pointadplus.learning.training.objective import Objective, pointad_losses
from pointadplus.learning.training.run import labelled_samples, train
from pointadplus.prompts.learner import PromptConfig
from pointadplus.zero_shot.model import PUBLISHED_SIGMA, ModelConfig, PointAD, PointADPlus, build_model
from pointadplus.zero_shot.observation import Observer
from tests.small import MODEL, OBSERVATION, small_backbone_file

PLAIN = replace(MODEL, mode="pointad")
SCANNER = ScannerConfig(shares=(1.0, 0.0, 0.0, 0.0, 0.0), points=(1500, 2000), surface=2000)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of four synthetic objects in the layout of Anomaly-ShapeNet, half of them damaged."""
    root = tmp_path_factory.mktemp("shapes")
    for number, family in enumerate(("bolt", "vase", "bracket")):
        corpus = CorpusConfig(families=(family,), scanner=SCANNER, fittings=0.0)
        (root / family / "test").mkdir(parents=True)
        (root / family / "GT").mkdir()
        for index in range(4):
            thing = sample_object(100 * number + 3 * index, corpus)
            name = f"{family}_{'sink' if thing.damaged else 'positive'}{index}"
            np.savetxt(root / family / "test" / f"{name}.xyz", thing.points.numpy(), fmt="%.5f")
            if thing.damaged:
                rows = np.column_stack([thing.points.numpy(), thing.labels.numpy()])
                np.savetxt(root / family / "GT" / f"{name}.txt", rows, fmt="%.5f", delimiter=",")
    return root


@pytest.fixture(scope="module")
def backbone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_backbone_file(tmp_path_factory.mktemp("backbone"))


def small_config(root: Path, backbone: Path, **options: object) -> TrainConfig:
    """Two epochs of two steps over one class."""
    config = TrainConfig(
        data=DataConfig("anomaly-shapenet", str(root), ("bolt",)),
        backbone=str(backbone),
        precision="float32",
        save_every=1,
        observation=replace(OBSERVATION, samples=1),
        model=MODEL,
        optimization=OptimizationConfig(epochs=2, batch=2),
    )
    return replace(config, **options)  # type: ignore[arg-type]


def weights_of(path: Path) -> dict[str, Tensor]:
    return ZeroShotDetector(path, precision="float32").model.state_dict()


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


# Runs


def test_a_run_gives_a_detector_that_tells_what_it_learnt_on(root: Path, backbone_file: Path, tmp_path: Path) -> None:
    stages: list[tuple[str, int, int]] = []
    config = small_config(root, backbone_file)
    path = train(config, tmp_path / "run", report=lambda *stage: stages.append(stage))
    assert stages == [*(("observing", n, 4) for n in range(1, 5)), *(("learning", n, 4) for n in range(1, 5))]
    detector = ZeroShotDetector(path)
    card = detector.card
    assert card["trained_on"] == {"dataset": "anomaly-shapenet", "categories": ["bolt"]}
    assert card["objects"] == {"normal": 2, "anomalous": 2} and card["seed"] == 0 and card["steps"] == 4
    assert from_table(TrainConfig, card["training"]) == config
    assert json.loads(path.with_suffix(".json").read_text())["trained_on"] == card["trained_on"]
    fresh = build_model(detector.backbone, detector.config.model).state_dict()
    learnt = detector.model.state_dict()
    for part in ("prompts.rendering.context", "prompts.geometry.deep", "aggregation.out.weight"):
        assert not torch.equal(fresh[part], learnt[part])
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [(row["step"], row["epoch"]) for row in rows] == [(0, 0), (1, 0), (2, 1), (3, 1)]
    assert all(math.isfinite(row["g_point"]) for row in rows)
    detection = detector.score(open_dataset("anomaly-shapenet", root).samples[0].path)
    assert 0 <= detection.object_score <= 1
    again = tmp_path / "copy.safetensors"
    detector.save(again)
    assert ZeroShotDetector.load(again).card == card


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_killed_run_ends_at_the_same_weights(
    root: Path, backbone_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    config = small_config(root, backbone_file)
    whole = train(config, tmp_path / "whole", cache=tmp_path / "lessons")
    original, done = run_module.save_checkpoint, []

    def dies(*arguments: object) -> None:
        if len(done) == steps:
            raise KeyboardInterrupt
        done.append(1)
        original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(run_module, "save_checkpoint", dies)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "cut", cache=tmp_path / "lessons")
    monkeypatch.setattr(run_module, "save_checkpoint", original)
    cut = train(config, tmp_path / "cut", cache=tmp_path / "lessons")
    assert equal(weights_of(cut), weights_of(whole))
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("whole", "cut")]
    assert logs[0] == logs[1]


def test_a_run_killed_by_a_signal_goes_on(root: Path, backbone_file: Path, tmp_path: Path) -> None:
    config = small_config(root, backbone_file)
    toml = tmp_path / "run.toml"
    toml.write_text(_toml(config))
    assert read_toml(TrainConfig, toml) == config
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from pointadplus.config import read_toml\n"
        "from pointadplus.learning.training.config import TrainConfig\n"
        "from pointadplus.learning.training.run import train\n"
        "kill = lambda stage, n, _: os.kill(os.getpid(), signal.SIGKILL) if (stage, n) == ('learning', 3) else None\n"
        "train(read_toml(TrainConfig, Path(sys.argv[1])), Path(sys.argv[2]), report=kill)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(toml), str(tmp_path / "cut")], capture_output=True)
    assert done.returncode == -9 and not (tmp_path / "cut" / "detector.safetensors").exists()
    assert len((tmp_path / "cut" / "log.jsonl").read_text().splitlines()) == 3
    cut = train(config, tmp_path / "cut")
    assert equal(weights_of(cut), weights_of(train(config, tmp_path / "whole", cache=tmp_path / "cut" / "lessons")))


def _toml(config: TrainConfig) -> str:
    """Only what differs from the defaults here."""
    lines = [
        f"backbone = {json.dumps(config.backbone)}", 'precision = "float32"', "save_every = 1",
        "[data]", 'dataset = "anomaly-shapenet"', f"root = {json.dumps(config.data.root)}", 'categories = ["bolt"]',
        "[observation]", "nodes = 256", "support = 900", 'views = "sphere4"',
        "[model]", "hidden = 16", "neighbors = 6", "strides = [1, 4]", "[model.prompts]", "context = 4",
        "[optimization]", "epochs = 2", "batch = 2",
    ]  # fmt: skip
    return "\n".join(lines)


def test_a_folder_of_another_run_is_refused(root: Path, backbone_file: Path, tmp_path: Path) -> None:
    config = small_config(root, backbone_file)
    train(config, tmp_path)
    with pytest.raises(ConfigError, match="another config"):
        train(replace(config, seed=1), tmp_path)


def test_seeds_differ_and_repeat(root: Path, backbone_file: Path, tmp_path: Path) -> None:
    config = small_config(root, backbone_file)
    runs = [
        weights_of(train(replace(config, seed=seed), tmp_path / name, cache=tmp_path / "lessons"))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert equal(runs[0], runs[1]) and not equal(runs[0], runs[2])


def test_what_is_observed_is_kept_by_content(
    root: Path, backbone_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = load_backbone(backbone_file)
    model = PointADPlus(backbone, MODEL)
    samples = open_dataset("anomaly-shapenet", root).select("bolt", "test")
    cache = LessonCache(tmp_path, backbone, Observer(backbone.channels, 32, OBSERVATION), model)
    paths = cache.of_samples(samples)
    assert len(set(paths)) == 4
    lessons = [load_lesson(path) for path in paths]
    assert [lesson.damaged for lesson in lessons] == [bool(sample.label) for sample in samples]
    assert all(lesson.labelled and lesson.labels.any() == lesson.damaged for lesson in lessons)
    untold = [load_lesson(path) for path in cache.of_samples(samples, objects_only=True)]
    assert [lesson.labelled for lesson in untold] == [not bool(sample.label) for sample in samples]
    assert not any(lesson.labels.any() or lesson.mask.any() for lesson in untold)
    other = LessonCache(tmp_path, backbone, Observer(backbone.channels, 32, replace(OBSERVATION, seed=1)), model)
    assert not set(other.of_samples(samples)) & set(paths)
    longer = LessonCache(tmp_path, backbone, cache.observer, PointADPlus(backbone, replace(MODEL, neighbors=7)))
    assert not set(longer.of_samples(samples)) & set(paths)

    def refuse(*_: object) -> None:
        raise AssertionError("observed again")

    monkeypatch.setattr(Observer, "observe", refuse)
    assert cache.of_samples(samples) == paths


def test_object_labels_are_enough(root: Path, backbone_file: Path, tmp_path: Path) -> None:
    config = small_config(root, backbone_file, supervision="objects")
    detector = ZeroShotDetector(train(config, tmp_path))
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert all({"views", "g_pool", "g_top", "align"} <= row.keys() for row in rows)
    learnt = detector.model.state_dict()
    fresh = build_model(detector.backbone, detector.config.model).state_dict()
    assert not torch.equal(learnt["prompts.geometry.context"], fresh["prompts.geometry.context"])
    # Where the defects are changes nothing: the losses of an anomalous object do not see its labels.
    lessons = [load_lesson(path) for path in sorted((tmp_path / "lessons").glob("*.safetensors"))]
    damaged = next(lesson for lesson in lessons if lesson.damaged)
    strange = replace(damaged, kinds=torch.zeros_like(damaged.kinds), mask=~damaged.mask, share=1 - damaged.share)
    objective = Objective(detector.model.eval())
    for one, other in zip(objective([damaged]).values(), objective([strange]).values(), strict=True):
        assert torch.equal(one, other)


def test_a_run_can_start_from_weights(root: Path, backbone_file: Path, tmp_path: Path) -> None:
    first = train(small_config(root, backbone_file), tmp_path / "first")
    still = OptimizationConfig(epochs=1, batch=4, prompt_lr=1e-12, aggregation_lr=1e-12, ema=0.0)
    config = small_config(root, backbone_file, start=str(first), optimization=still)
    second = train(config, tmp_path / "second")
    assert equal(weights_of(second), weights_of(first))


def test_normal_and_anomalous_objects_are_asked_for(root: Path, backbone_file: Path, tmp_path: Path) -> None:
    for path in (root / "vase").rglob("*.xyz"):
        if "positive" in path.name:
            (tmp_path / "vase" / "test").mkdir(parents=True, exist_ok=True)
            (tmp_path / "vase" / "test" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ConfigError, match=r"at least one of each.*2 normal, 0 anomalous"):
        labelled_samples(DataConfig("anomaly-shapenet", str(tmp_path)))


def test_without_accelerate_it_is_named(
    root: Path, backbone_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ConfigError, match=re.escape(install_command("train"))):
        train(small_config(root, backbone_file), tmp_path)


@pytest.mark.slow
def test_two_processes_learn_as_one_does(root: Path, backbone_file: Path, tmp_path: Path) -> None:
    """The mean over the halves of a batch is the mean over the batch; only the losses between objects differ."""
    config = small_config(root, backbone_file, model=PLAIN, optimization=replace(PUBLISHED, epochs=1, batch=4))
    (tmp_path / "run.toml").write_text(_toml(config).replace("[model]", '[model]\nmode = "pointad"').replace(
        "[optimization]\nepochs = 2\nbatch = 2",
        "[optimization]\nepochs = 1\nbatch = 4\nwarmup = 0\ndecay = false\nema = 0\nweight_decay = 0\nclip = 0",
    ))  # fmt: skip
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1",
        "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0", "-m", "pointadplus",
        "train", str(tmp_path / "run.toml"), "--run", str(tmp_path / "two"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    one = weights_of(train(config, tmp_path / "one", cache=tmp_path / "two" / "lessons"))
    two = weights_of(tmp_path / "two" / "detector.safetensors")
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, atol=1e-3, rtol=0)


# PointAD as published


def lesson_of(root: Path, backbone_file: Path, folder: Path) -> tuple[PointAD, Lesson]:
    backbone = load_backbone(backbone_file, precision="float32")
    model = PointAD(backbone, PLAIN)
    samples = [s for s in open_dataset("anomaly-shapenet", root).select("bolt", "test") if s.label]
    cache = LessonCache(folder, backbone, Observer(backbone.channels, 32, OBSERVATION), model)
    return model, load_lesson(cache.of_samples(samples[:1])[0])


def test_pointads_losses_are_as_the_paper_has_them(root: Path, backbone_file: Path, tmp_path: Path) -> None:
    model, lesson = lesson_of(root, backbone_file, tmp_path)
    seen = lesson.observation
    with torch.no_grad():
        evidence = model(seen, lesson.graph)
        text = model.texts()[0]
        losses = pointad_losses(evidence, lesson)
        logits = seen.views @ text.T / 0.07
        state = torch.ones(1, dtype=torch.int64)
        mean = torch.nn.functional.cross_entropy(logits.mean(0, keepdim=True), state)
        shown = lesson.mask.flatten(1).any(1).long()
        each = torch.nn.functional.cross_entropy(logits, shown)
        patches = (seen.patches @ text.T / 0.07).softmax(-1)[..., 1].view(4, 1, *seen.grid)
        pixels = interpolate(patches, (32, 32), mode="bilinear", align_corners=False)[:, 0]
        mask = lesson.mask.float()
        local = focal(pixels, mask) + dice(pixels, mask) + dice(1 - pixels, 1 - mask)
        labels = lesson.labels.float()
        points = dice(evidence.rendering, labels) + dice(1 - evidence.rendering, 1 - labels)
    assert 0 < lesson.mask.float().mean() < 0.5
    for name, expected in {"views": mean, "view": each, "pixel": local, "point": points}.items():
        torch.testing.assert_close(losses[name], expected, atol=1e-4, rtol=1e-4)
    assert losses.keys() == {"views", "view", "pixel", "point"}


def test_pointads_verdict_is_as_the_paper_has_it(root: Path, backbone_file: Path, tmp_path: Path) -> None:
    model, lesson = lesson_of(root, backbone_file, tmp_path)
    with torch.no_grad():
        evidence = model(lesson.observation, lesson.graph)
        verdict = model.verdict(evidence)
    assert list(verdict.layers) == ["rendering", "joined"]
    graph = lesson.graph
    expected = smooth(evidence.rendering, graph.neighbors, graph.distances, PUBLISHED_SIGMA)
    torch.testing.assert_close(verdict.layers["joined"], expected)
    torch.testing.assert_close(verdict.total, 0.5 * expected.max() + 0.5 * evidence.views.mean())


def test_pointad_learns_one_pair_of_prompts_and_scores(root: Path, backbone_file: Path, tmp_path: Path) -> None:
    config = small_config(root, backbone_file, model=PLAIN, optimization=None)
    assert config.schedule == PUBLISHED and (PUBLISHED.epochs, PUBLISHED.batch, PUBLISHED.prompt_lr) == (15, 4, 1e-3)
    detector = ZeroShotDetector(train(replace(config, optimization=replace(PUBLISHED, epochs=2)), tmp_path))
    assert detector.model.state_dict().keys() == {"prompts.context", "prompts.deep"}
    detection = detector.score(open_dataset("anomaly-shapenet", root).samples[0].path)
    assert detection.layers.keys() == {"rendering", "joined"}
    assert detector.saliency(detection.cloud).max() == 1
    with pytest.raises(WeightsError, match="another backbone"):
        ZeroShotDetector(tmp_path / "detector.safetensors", backbone=small_backbone_file(tmp_path, seed=3))


def test_modes_are_named() -> None:
    with pytest.raises(ConfigError, match=r"'pointad\+' or 'pointad'"):
        ModelConfig(mode="pointad++")


# Configs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sead = 1", "unknown option.*sead"),
        ("[data]\nroot = 'x'", "missing"),
        ("data = 3", "a table of DataConfig"),
        ("seed = 1.5\n[data]\ndataset = 'folder'\nroot = 'x'", "expected: int"),
        ("[data]\ndataset = 'folder'\nroot = 'x'\n[optimization]\nepochs = 0", "epochs"),
        ("[data]\ndataset = 'folder'\nroot = 'x'\nsplit = 'both'", "split"),
        ("supervision = 'none'\n[data]\ndataset = 'folder'\nroot = 'x'", "supervision"),
        ("seed = ", "TOML"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_toml(TrainConfig, path)


def test_a_config_survives_its_table(root: Path, backbone_file: Path) -> None:
    for config in (small_config(root, backbone_file), small_config(root, backbone_file, optimization=None)):
        assert from_table(TrainConfig, json.loads(json.dumps(asdict(config)))) == config
    prompts = PromptConfig(phrases=("a", "b"))
    assert from_table(PromptConfig, {"phrases": ["a", "b"]}) == prompts


# Protocols


def test_no_class_is_on_both_sides(root: Path) -> None:
    roots = {"anomaly-shapenet": root}
    every = [Source("anomaly-shapenet")]
    left, excluded = keep_apart(Source("anomaly-shapenet", ("bolt",)), every, roots)
    assert left == [Source("anomaly-shapenet", ("bracket", "vase"))] and excluded == ("anomaly-shapenet:bolt",)
    left, excluded = keep_apart(Source("real3d-ad", ("bolt",)), every, roots)  # another data set's class of that name
    assert left == [Source("anomaly-shapenet", ("bolt", "bracket", "vase"))] and excluded == ()
    with pytest.raises(ConfigError, match="nothing is left"):
        keep_apart(every[0], every, roots)
    with pytest.raises(ConfigError, match="no root"):
        keep_apart(every[0], [Source("eyecandies")], roots)


@pytest.mark.parametrize("text", ["", ":x", "a:", "a:b,,c"])
def test_sources_are_named(text: str) -> None:
    assert Source.parse("MVTec_3D-AD: cookie, dowel") == Source("mvtec-3d-ad", ("cookie", "dowel"))
    with pytest.raises(ConfigError, match="DATASET:CLASS"):
        Source.parse(text)


def test_what_was_learnt_on_is_not_measured(root: Path, backbone_file: Path, tmp_path: Path) -> None:
    detector = ZeroShotDetector(train(small_config(root, backbone_file), tmp_path))
    dataset = open_dataset("anomaly-shapenet", root)
    assert detector.trained_on("anomaly-shapenet") == ("bolt",) and detector.trained_on("real3d-ad") == ()
    result = evaluate(detector, dataset)
    assert result.joined.categories.keys() == {"bracket", "vase"} and "bolt" in "".join(result.notes.values())
    with pytest.raises(DatasetError, match="trained on what it is to be measured on"):
        evaluate(detector, dataset, categories=["bolt", "vase"])


def test_a_protocol_averages_over_auxiliary_classes_and_seeds(
    root: Path, backbone_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(root, backbone_file)
    sources = [Source("anomaly-shapenet", (name,)) for name in ("bolt", "vase")]
    roots = {"anomaly-shapenet": root}
    arguments = config, sources, [Source("anomaly-shapenet")], roots, tmp_path
    result = run_protocol(*arguments, seeds=(0, 1))
    assert [(row.trained_on, row.seed) for row in result.rows] == [
        (f"anomaly-shapenet:{name}", seed) for seed in (0, 1) for name in ("bolt", "vase")
    ]
    assert result.rows[0].tested_on == "anomaly-shapenet:bracket,vase"
    assert result.rows[0].excluded == ("anomaly-shapenet:bolt",)
    values = [row.layers["joined"].point_auroc or 0.0 for row in result.rows]
    mean, spread = result.mean()
    means = [(values[0] + values[1]) / 2, (values[2] + values[3]) / 2]
    assert mean.point_auroc == pytest.approx(sum(means) / 2)
    assert spread.point_auroc == pytest.approx(abs(means[0] - means[1]) / math.sqrt(2))
    table = result.to_markdown()
    assert "| anomaly-shapenet:bolt | 0 | anomaly-shapenet:bracket,vase | anomaly-shapenet:bolt | joined |" in table
    assert table.count("**mean**") == 3 and " ± " in table
    assert json.loads(result.to_json())["rows"][0]["seed"] == 0
    monkeypatch.setattr(run_module, "make_optimizer", None)  # what is done is not done again
    again = run_protocol(*arguments, seeds=(0, 1))
    assert again.to_json() == result.to_json()
