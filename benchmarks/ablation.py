"""Every choice of PointAD+ that is ours, one at a time: learnt anew on synthetic pairs, judged on unseen families.

The method is small here: `--nodes` points a cloud, `--pairs` of twins, `--steps` of one pair each, from
fresh prompts. What is joined or pooled at test time needs no learning: those rows share the first row's weights.
A row that is in `rows.jsonl` already is not computed again.

python benchmarks/ablation.py --work runs/ablation --pairs 160 --steps 480
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from fusion_ablation import Case, cases, figures
from real_objects import machine

from pointadplus.clip.backbone import Backbone
from pointadplus.clip.weights import load_backbone
from pointadplus.geometry.aggregation import build_graph
from pointadplus.learning.synthesis.corpus import TRAINING_FAMILIES, CorpusConfig
from pointadplus.learning.synthesis.shapes import HELD_OUT
from pointadplus.learning.training.config import OptimizationConfig
from pointadplus.learning.training.lessons import Lesson, LessonCache, load_lesson
from pointadplus.learning.training.objective import LossConfig
from pointadplus.learning.training.pairs import pairs_of
from pointadplus.learning.training.pretraining import Average
from pointadplus.learning.training.trainer import PromptTrainer, calibrate_descriptors, set_rates
from pointadplus.prompts.learner import PromptConfig
from pointadplus.zero_shot.fusion import FusionConfig
from pointadplus.zero_shot.model import ModelConfig, PointADPlus
from pointadplus.zero_shot.observation import ObservationConfig, Observer

TRAINED, JUDGED = 811, 812  # seeds of the streams of objects


@dataclass(frozen=True)
class Variant:
    """One row: what is other than in the first row, by field of `ModelConfig`, `LossConfig` or `ObservationConfig`."""

    choice: str
    value: str
    model: dict[str, Any] = field(default_factory=dict)
    losses: dict[str, Any] = field(default_factory=dict)
    views: str = "sphere12"


def variants() -> list[Variant]:
    hops = {"none": (), "1": (1,), "1, 4": (1, 4), "1, 4, 16": (1, 4, 16), "1, 1, 1, 1": (1, 1, 1, 1)}
    return [
        Variant("as it is", "k 12, hops 1, 4, 16, 1, width 64, alignment 0.1, ranking 0.5, 12 views"),
        *(Variant("k", str(k), {"neighbors": k}) for k in (6, 24)),
        *(Variant("strides of the hops", name, {"strides": strides}) for name, strides in hops.items()),
        *(Variant("width", str(width), {"hidden": width}) for width in (32, 128)),
        *(Variant("alignment", str(weight), losses={"alignment": weight}) for weight in (0.0, 0.5)),
        Variant("ranking", "0", losses={"ranking": 0.0}),
        Variant("first prompts", "random", {"prompts": PromptConfig()}),
        *(Variant("views", name, views=name) for name in ("faces6", "pointad9", "sphere20")),
    ]


def joined_otherwise() -> dict[tuple[str, str], FusionConfig]:
    base = FusionConfig()
    rows = {("geometry's share of the log-odds", str(g)): replace(base, geometry=g) for g in (0.0, 0.3, 0.8, 1.0)}
    rows |= {("smoothing", f"σ = {sigma:g}"): replace(base, sigma=sigma) for sigma in (0.0, 2.0, 4.0)}
    rows |= {("object: share of the top points", str(top)): replace(base, top=top) for top in (0.001, 0.03)}
    rows |= {("object: weight of the pooled feature", str(p)): replace(base, pooled=p) for p in (0.0, 1.0)}
    return rows | {("object: weight of the views", str(v)): replace(base, views=v) for v in (0.25, 0.5)}


class Lessons:
    """What the backbone sees of the objects through a view set, made once."""

    def __init__(self, work: Path, backbone: Backbone, nodes: int) -> None:
        self.work, self.backbone, self.nodes = work, backbone, nodes

    def of(self, seed: int, families: tuple[str, ...], pairs: int, views: str) -> list[Path]:
        config = ObservationConfig(nodes=self.nodes, support=4 * self.nodes, views=views)
        observer = Observer(self.backbone.channels, self.backbone.image_size, config)
        cache = LessonCache(self.work / "lessons", self.backbone, observer, PointADPlus(self.backbone, ModelConfig()))
        first = seed * 10_000_000
        return cache.of_pairs(range(first, first + pairs), CorpusConfig(families=families))


def with_graph(lessons: Sequence[Path], config: ModelConfig) -> list[Lesson]:
    """In memory, each with the graph of a config."""
    found = []
    for path in lessons:
        lesson = load_lesson(path)
        seen = lesson.observation
        graph = build_graph(seen.nodes, seen.normals, seen.view, config.neighbors, config.strides)
        found.append(replace(lesson, graph=graph))
    return found


def learn(backbone: Backbone, paths: Sequence[Path], variant: Variant, steps: int) -> PointADPlus:
    config = ModelConfig(**{"prompts": PromptConfig(init="words"), **variant.model})
    model = PointADPlus(backbone, config)
    calibrate_descriptors(model, paths)
    lessons = dict(zip(paths, with_graph(paths, config), strict=True))
    schedule = OptimizationConfig(warmup=50, ema=0.99)
    trainer, average = PromptTrainer(model, schedule, LossConfig(**variant.losses)), Average(model, schedule.ema)
    for step, (healthy, damaged) in enumerate(islice(_epochs(pairs_of(paths)), steps)):
        set_rates(trainer.optimizer, schedule, step, step / steps)
        trainer.step([[lessons[healthy], lessons[damaged]]])
        average.update(model.state_dict(), step)
    model.load_state_dict(average.state)
    return model.eval()


def _epochs(pairs: list[tuple[Path, Path]]) -> Iterator[tuple[Path, Path]]:
    generator = torch.Generator().manual_seed(0)
    while True:
        yield from (pairs[index] for index in torch.randperm(len(pairs), generator=generator).tolist())


def row(choice: str, value: str, judged: list[Case], fusion: FusionConfig, seconds: float | None) -> dict[str, Any]:
    layers = {"rendering": replace(fusion, geometry=0.0), "geometry": replace(fusion, geometry=1.0), "joined": fusion}
    values = {name: [round(float(v), 5) for v in figures(judged, config)] for name, config in layers.items()}
    return {"choice": choice, "value": value, "seconds": seconds, **values}


def table(rows: list[dict[str, Any]]) -> str:
    head = ["choice", "value", "rendering P", "geometry P", "joined P", "joined P-AP", "joined O", "s"]
    lines = ["| " + " | ".join(head) + " |", "| --- | --- |" + " ---: |" * 6]
    for found in rows:
        numbers = [found["rendering"][1], found["geometry"][1], found["joined"][1], found["joined"][3],
                   found["joined"][0]]  # fmt: skip
        cells = [f"{100 * number:.1f}" for number in numbers]
        spent = "" if found["seconds"] is None else f"{found['seconds']:.0f}"
        lines.append("| " + " | ".join([found["choice"], found["value"], *cells, spent]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for lessons and rows")
    parser.add_argument("--backbone", default="embedded")
    parser.add_argument("--pairs", type=int, default=160, help="to learn from; a third as many are judged")
    parser.add_argument("--steps", type=int, default=480)
    parser.add_argument("--nodes", type=int, default=2048)
    parser.add_argument("--only", nargs="*", help="choices to compute, beside the first row")
    arguments = parser.parse_args()
    backbone = load_backbone(arguments.backbone)
    lessons, judged = Lessons(arguments.work, backbone, arguments.nodes), max(2, arguments.pairs // 3)
    arguments.work.mkdir(parents=True, exist_ok=True)
    log = arguments.work / "rows.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    known = {(found["choice"], found["value"]) for found in rows}

    def keep(found: dict[str, Any]) -> None:
        rows.append(found)
        with log.open("a") as file:
            print(json.dumps(found), file=file)
        print(json.dumps(found), flush=True)

    for variant in variants():
        first = variant.choice == "as it is"
        chosen = first or arguments.only is None or variant.choice in arguments.only
        if not chosen or (variant.choice, variant.value) in known:
            continue
        train = lessons.of(TRAINED, TRAINING_FAMILIES, arguments.pairs, variant.views)
        test = lessons.of(JUDGED, HELD_OUT, judged, variant.views)
        start = time.perf_counter()
        model = learn(backbone, train, variant, arguments.steps)
        found = cases(model, with_graph(test, model.config))
        keep(row(variant.choice, variant.value, found, FusionConfig(), time.perf_counter() - start))
        if first:
            for (choice, value), fusion in joined_otherwise().items():
                keep(row(choice, value, found, fusion, None))
    scale = f"{arguments.pairs} pairs, {arguments.steps} steps, {arguments.nodes} nodes, {judged} pairs judged"
    print(f"\n{scale}; {machine()}; percent\n")
    print(table(rows))


if __name__ == "__main__":
    main()
