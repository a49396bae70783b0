"""Learn prompts and G-aggregation of the embedded detector on pairs of synthetic twins, made as they are needed.

Every so many steps the averaged weights are judged on pairs of families that no training saw.

python benchmarks/train_zero_shot.py --run runs/zero_shot --pairs 1000 --steps 1600
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from fusion_ablation import JUDGED, cases, figures, twins
from torch.utils.data import DataLoader, IterableDataset

from pointadplus.clip.backbone import Backbone
from pointadplus.clip.weights import load_backbone
from pointadplus.detector import ZeroShotConfig, ZeroShotDetector
from pointadplus.model import ModelConfig, PointADPlus
from pointadplus.observation import Observer
from pointadplus.prompts.learner import PromptConfig
from pointadplus.synthesis.corpus import CorpusConfig
from pointadplus.synthesis.shapes import HELD_OUT
from pointadplus.training.checkpoint import load_checkpoint, save_checkpoint
from pointadplus.training.config import OptimizationConfig
from pointadplus.training.lessons import LessonCache, load_lesson
from pointadplus.training.pairs import pair_stream, pairs_of
from pointadplus.training.pretraining import Average
from pointadplus.training.trainer import PromptTrainer, calibrate_descriptors, set_rates

FIGURES = "O", "P", "P pooled", "AP"  # in the order of `figures`


class Pairs(IterableDataset):
    """Pairs of lessons, read ahead by one worker."""

    def __init__(self, pairs: list, seed: int, first: int) -> None:
        self.pairs, self.seed, self.first = pairs, seed, first

    def __iter__(self):
        return itertools.islice(pair_stream(self.pairs, self.seed), self.first, None)


@torch.no_grad()
def judge(
    backbone: Backbone, config: ModelConfig, state: Mapping[str, torch.Tensor], lessons: Sequence[Path]
) -> dict[str, float]:
    """Figures of averaged weights on lessons of pairs: of the joined map, and of each layer's points."""
    model = PointADPlus(backbone, config)
    model.load_state_dict(dict(state))
    model.eval()
    found = cases(model, map(load_lesson, lessons))
    rows = {}
    for name, share in (("rendering", 0.0), ("geometry", 1.0), ("joined", config.fusion.geometry)):
        values = figures(found, replace(config.fusion, geometry=share))
        rows[f"{name} twins"] = round(100 * twins(found, replace(config.fusion, geometry=share)), 1)
        rows |= {f"{name} {key}": round(100 * value, 1) for key, value in zip(FIGURES, values, strict=True)}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of lessons, checkpoint and log")
    parser.add_argument("--pairs", type=int, default=1000, help="to learn from")
    parser.add_argument("--judged", type=int, default=40, help="pairs of held-out families, judged with one look each")
    parser.add_argument("--every", type=int, default=200, help="steps from one judgement, and checkpoint, to the next")
    parser.add_argument("--workers", type=int, default=2, help="processes that make the pairs")
    parser.add_argument("--backbone", default="embedded")
    parser.add_argument("--steps", type=int, default=1200, help="each over a healthy and a damaged twin")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e9, help="shorten the run to what fits in this time")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="where the detector's weights go")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    backbone = load_backbone(arguments.backbone)
    config = ZeroShotConfig(backbone=arguments.backbone, model=ModelConfig(prompts=PromptConfig(init="words")))
    observer = Observer(backbone.channels, backbone.image_size, config.observation)
    start = time.perf_counter()
    model = PointADPlus(backbone, config.model)
    cache = LessonCache(arguments.run / "lessons", backbone, observer, model)
    torch.set_num_threads(1)  # of each worker
    lessons = cache.of_objects(range(2 * arguments.pairs), CorpusConfig(), workers=arguments.workers)
    judged = range(JUDGED, JUDGED + 2 * arguments.judged)
    held_out = cache.of_objects(judged, CorpusConfig(families=HELD_OUT), workers=arguments.workers)
    torch.set_num_threads(arguments.threads)
    pairs = pairs_of(lessons)
    print(f"{len(pairs)} pairs observed in {time.perf_counter() - start:.0f} s", flush=True)
    training = OptimizationConfig(batch=2, warmup=50, ema=0.995)
    calibrate_descriptors(model, lessons)
    average = Average(model, training.ema)
    trainer = PromptTrainer(model, training)
    checkpoint, notes = arguments.run / "checkpoint.safetensors", {"step": 0}
    if checkpoint.exists():
        notes = load_checkpoint(checkpoint, {"model": model, "average": average.state}, trainer.optimizer)
    stream = iter(
        DataLoader(Pairs(pairs, arguments.seed, notes["step"]), batch_size=None, num_workers=1, prefetch_factor=4)
    )
    log = (arguments.run / "log.jsonl").open("a")
    start, sums, steps, done, judging = time.perf_counter(), {}, arguments.steps, notes["step"], 0.0
    for step in range(notes["step"], arguments.steps):
        elapsed = time.perf_counter() - start - judging
        progress = max((step + 1) / steps, elapsed / (60 * arguments.minutes))
        if progress >= 1 and step + 1 < steps and elapsed > 60 * arguments.minutes:
            break
        set_rates(trainer.optimizer, training, step, progress)
        for name, value in trainer.step([next(stream)]).items():
            sums[name] = sums.get(name, 0.0) + value
        average.update(model.state_dict(), step)
        done = step + 1
        if done % 50 == 0:
            row = {
                "step": done,
                "seconds": round(time.perf_counter() - start - judging),
                **{k: round(v / 50, 4) for k, v in sums.items()},
            }
            print(json.dumps(row), flush=True)
            print(json.dumps(row), file=log, flush=True)
            sums = {}
        if done % arguments.every == 0:
            before = time.perf_counter()
            row = {"step": done, "judged": judge(backbone, config.model, average.state, held_out)}
            judging += time.perf_counter() - before
            print(json.dumps(row), flush=True)
            print(json.dumps(row), file=log, flush=True)
            save_checkpoint(
                checkpoint,
                {"model": model.state_dict(), "average": average.state},
                trainer.optimizer,
                {"step": done},
            )
    model.load_state_dict(average.state)
    config = replace(config, digest=backbone.digest)
    detector = ZeroShotDetector.from_parts(backbone, model, config)
    card = {
        "training": asdict(training),
        "seed": arguments.seed,
        "pairs": len(pairs),
        "steps": done,
        "seconds": round(time.perf_counter() - start - judging),
        "judged": judge(backbone, config.model, average.state, held_out),
        "source": "synthetic objects only (pointadplus.synthesis)",
        "backbone_digest": backbone.digest,
    }
    detector.save(arguments.out or arguments.run / "zero_shot.safetensors", card)


if __name__ == "__main__":
    main()
