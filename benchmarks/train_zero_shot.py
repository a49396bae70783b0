"""Learn prompts and G-aggregation of the embedded detector on the pictures that the pretraining kept.

python benchmarks/train_zero_shot.py --pictures runs/pictures --run runs/zero_shot --steps 1200
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch.utils.data import DataLoader, IterableDataset

from pointadplus.clip.weights import load_backbone
from pointadplus.detector import ZeroShotConfig, ZeroShotDetector
from pointadplus.model import ModelConfig, PointADPlus
from pointadplus.observation import Observer
from pointadplus.prompts.learner import PromptConfig
from pointadplus.training.checkpoint import load_checkpoint, save_checkpoint
from pointadplus.training.config import OptimizationConfig
from pointadplus.training.lessons import LessonCache
from pointadplus.training.pairs import pair_stream, pairs_of
from pointadplus.training.pretraining import Average
from pointadplus.training.trainer import PromptTrainer, calibrate_descriptors, set_rates


class Pairs(IterableDataset):
    """Pairs of lessons, read ahead by one worker."""

    def __init__(self, pairs: list, seed: int, first: int) -> None:
        self.pairs, self.seed, self.first = pairs, seed, first

    def __iter__(self):
        return itertools.islice(pair_stream(self.pairs, self.seed), self.first, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
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
    lessons = LessonCache(arguments.run / "lessons", backbone, observer, model).of_pictures(
        sorted(arguments.pictures.glob("*.safetensors"))
    )
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
    start, sums, steps, done = time.perf_counter(), {}, arguments.steps, notes["step"]
    for step in range(notes["step"], arguments.steps):
        elapsed = time.perf_counter() - start
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
                "seconds": round(time.perf_counter() - start),
                **{k: round(v / 50, 4) for k, v in sums.items()},
            }
            print(json.dumps(row), flush=True)
            print(json.dumps(row), file=log, flush=True)
            sums = {}
        if done % 200 == 0:
            save_checkpoint(
                checkpoint,
                {"model": model.state_dict(), "average": average.state},
                trainer.optimizer,
                {"step": done},
            )
    model.load_state_dict(average.state)
    detector = ZeroShotDetector.from_parts(backbone, model, replace(config, digest=backbone.digest))
    card = {
        "training": asdict(training),
        "seed": arguments.seed,
        "pairs": len(pairs),
        "steps": done,
        "seconds": round(time.perf_counter() - start),
        "source": "synthetic objects only (pointadplus.synthesis)",
        "backbone_digest": backbone.digest,
    }
    detector.save(arguments.out or arguments.run / "zero_shot.safetensors", card)


if __name__ == "__main__":
    main()
