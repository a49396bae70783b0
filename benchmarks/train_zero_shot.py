"""Learn prompts and G-aggregation of the embedded detector on pairs of synthetic twins.

Every so many steps the averaged weights are judged on pairs of families that no training saw. A run that was killed
goes on from its last judgement. Runs may share a folder of lessons.

python benchmarks/train_zero_shot.py --run runs/zero_shot --pairs 1100 --steps 2000
python benchmarks/train_zero_shot.py --run runs/bare --lessons runs/zero_shot/lessons --without symmetry
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from fusion_ablation import JUDGED, cases, figures, twins
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from pointadplus.clip.backbone import Backbone
from pointadplus.clip.weights import load_backbone
from pointadplus.geometry.descriptors import DESCRIPTORS
from pointadplus.io.checkpoint import load_checkpoint, save_checkpoint
from pointadplus.io.tensors import read_safetensors
from pointadplus.learning.synthesis.corpus import CorpusConfig
from pointadplus.learning.synthesis.shapes import HELD_OUT
from pointadplus.learning.training.config import OptimizationConfig
from pointadplus.learning.training.lessons import Lesson, LessonCache, load_lesson
from pointadplus.learning.training.pairs import pair_stream, pairs_of
from pointadplus.learning.training.pretraining import Average
from pointadplus.learning.training.trainer import PromptTrainer, calibrate_descriptors, set_rates
from pointadplus.prompts.learner import PromptConfig
from pointadplus.zero_shot.detector import ZeroShotConfig, ZeroShotDetector
from pointadplus.zero_shot.model import ModelConfig, PointADPlus
from pointadplus.zero_shot.observation import ObservationConfig, Observer

FIGURES = "O", "P", "P pooled", "AP"  # in the order of `figures`
PARTS = "symmetry", "pool"  # that a trial can leave out


class Pairs(IterableDataset):
    """Pairs of lessons, read ahead by worker processes in one order, however many they are."""

    def __init__(self, pairs: list, seed: int, first: int) -> None:
        self.pairs, self.seed, self.first = pairs, seed, first

    def __iter__(self) -> Iterator[tuple[Lesson, Lesson]]:
        reader = get_worker_info()
        assert reader is not None
        return pair_stream(self.pairs, self.seed, self.first + reader.id, reader.num_workers)


@torch.no_grad()
def judge(
    backbone: Backbone, config: ModelConfig, state: Mapping[str, torch.Tensor], lessons: Sequence[Path]
) -> dict[str, float]:
    """Figures of averaged weights on lessons of pairs: of each layer, and of the joined map by kind of scan."""
    device = backbone.device
    model = PointADPlus(backbone, config).to(device)
    model.load_state_dict(dict(state))
    model.eval()
    found = cases(model, (load_lesson(path).to(device) for path in lessons))
    rows = {}
    for name, share in (("rendering", 0.0), ("geometry", 1.0), ("joined", config.fusion.geometry)):
        values = figures(found, replace(config.fusion, geometry=share))
        rows[f"{name} twins"] = round(100 * twins(found, replace(config.fusion, geometry=share)), 1)
        rows |= {f"{name} {key}": round(100 * value, 1) for key, value in zip(FIGURES, values, strict=True)}
    for scan in sorted({case.scan for case in found}):
        own = [case for case in found if case.scan == scan]
        if len({case.labels.any() for case in own}) == 2:
            values = figures(own, config.fusion)
            rows |= {f"{scan} {key}": round(100 * value, 1) for key, value in zip(FIGURES, values, strict=True)}
    return rows


def take_over(model: PointADPlus, path: Path) -> None:
    """Start from a detector's weights."""
    model.load_state_dict({name: value.float() for name, value in read_safetensors(path)[0].items()})


def leave_out(model: PointADPlus, part: str) -> None:
    """Take a part's say away, for good: symmetry's columns read as zero, or the pool stays at its start, zero."""
    if part == "symmetry":
        model.aggregation.spread[DESCRIPTORS:] = 6e4  # what half precision can keep
    else:
        model.aggregation.pool.requires_grad_(False)


def learn(
    arguments: argparse.Namespace,
    training: OptimizationConfig,
    backbone: Backbone,
    model: PointADPlus,
    lessons: Sequence[Path],
    held: Sequence[Path],
) -> dict[str, Any]:
    """Train the model in place; it ends with the averaged weights. Returns what the card says of the run."""
    pairs = pairs_of(lessons)
    average, trainer = Average(model, training.ema), PromptTrainer(model, training)
    checkpoint, first = arguments.run / "checkpoint.safetensors", 0
    if checkpoint.exists():
        first = load_checkpoint(checkpoint, {"model": model, "average": average.state}, trainer.optimizer)["step"]
    readers = DataLoader(
        Pairs(pairs, arguments.seed, first), batch_size=None, num_workers=arguments.readers, prefetch_factor=4
    )
    stream, log = iter(readers), (arguments.run / "log.jsonl").open("a")

    def tell(row: Mapping[str, Any]) -> None:
        print(json.dumps(row), flush=True)
        print(json.dumps(row), file=log, flush=True)

    start, judging, sums, steps, limit = time.perf_counter(), 0.0, {}, arguments.steps, 60 * arguments.minutes
    done = first
    while done < steps:
        elapsed = time.perf_counter() - start - judging
        if elapsed > limit:
            break
        set_rates(trainer.optimizer, training, done, max((done + 1) / steps, elapsed / limit))
        pair = [lesson.to(backbone.device) for lesson in next(stream)]
        for name, value in trainer.step([pair]).items():
            sums[name] = sums.get(name, 0.0) + value
        average.update(model.state_dict(), done)
        done += 1
        if done % 50 == 0:
            seconds = round(time.perf_counter() - start - judging)
            tell({"step": done, "seconds": seconds, **{k: round(v / 50, 4) for k, v in sums.items()}})
            sums = {}
        if done % arguments.every == 0:
            before = time.perf_counter()
            tell({"step": done, "judged": judge(backbone, model.config, average.state, held)})
            states = {"model": model.state_dict(), "average": average.state}
            save_checkpoint(checkpoint, states, trainer.optimizer, {"step": done})
            judging += time.perf_counter() - before
    model.load_state_dict(average.state)
    seconds = round(time.perf_counter() - start - judging)
    judged = judge(backbone, model.config, average.state, held)
    tell({"step": done, "judged": judged})
    return {"pairs": len(pairs), "steps": done, "seconds": seconds, "device": _name(backbone.device), "judged": judged}


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of lessons, checkpoint and log")
    parser.add_argument("--lessons", type=Path, help="another folder of the lessons")
    parser.add_argument("--only-lessons", action="store_true", help="make them, and stop")
    parser.add_argument("--pairs", type=int, default=1000, help="to learn from")
    parser.add_argument("--first", type=int, default=0, help="number of the first of them")
    parser.add_argument("--judged", type=int, default=40, help="pairs of held-out families, judged with one look each")
    parser.add_argument("--every", type=int, default=200, help="steps from one judgement, and checkpoint, to the next")
    parser.add_argument("--workers", type=int, default=2, help="processes that make the pairs")
    parser.add_argument("--readers", type=int, default=1, help="processes that read them")
    parser.add_argument("--backbone", default="embedded")
    parser.add_argument("--hidden", type=int, default=ModelConfig.hidden, help="width of the geometry layer")
    parser.add_argument("--without", choices=PARTS, help="a part that has no say")
    parser.add_argument("--start", type=Path, help="weights to start from")
    parser.add_argument("--rate", type=float, default=1.0, help="factor on the learning rates")
    parser.add_argument("--steps", type=int, default=1200, help="each over a healthy and a damaged twin")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e9, help="shorten the run to what fits in this time")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="that learns; lessons are made on the CPU")
    parser.add_argument("--out", type=Path, help="where the detector's weights go")
    arguments = parser.parse_args()

    backbone = load_backbone(arguments.backbone)
    sizes = ModelConfig(hidden=arguments.hidden, prompts=PromptConfig(init="words"))
    config = ZeroShotConfig(arguments.backbone, backbone.digest, ObservationConfig(framing="enclosing"), sizes)
    observer = Observer(backbone.channels, backbone.image_size, config.observation)
    model = PointADPlus(backbone, config.model)
    cache = LessonCache(arguments.lessons or arguments.run / "lessons", backbone, observer, model)
    start, kept = time.perf_counter(), len(list(cache.folder.iterdir()))
    arguments.run.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # of each worker
    judged = range(JUDGED, JUDGED + arguments.judged)
    held_out = cache.of_pairs(judged, CorpusConfig(families=HELD_OUT), workers=arguments.workers)
    pairs = range(arguments.first, arguments.first + arguments.pairs)
    lessons = cache.of_pairs(pairs, CorpusConfig(), workers=arguments.workers)
    made, seconds = len(list(cache.folder.iterdir())) - kept, time.perf_counter() - start
    print(f"{arguments.pairs} pairs; {made} objects made and observed in {seconds:.0f} s", flush=True)
    if arguments.only_lessons:
        return
    torch.set_num_threads(arguments.threads)
    plain = OptimizationConfig(batch=2, warmup=50, ema=0.995)
    rates = {"prompt_lr": plain.prompt_lr * arguments.rate, "aggregation_lr": plain.aggregation_lr * arguments.rate}
    training = replace(plain, **rates)
    calibrate_descriptors(model, lessons)
    if arguments.start:
        take_over(model, arguments.start)
    if arguments.without:
        leave_out(model, arguments.without)
    backbone.to(arguments.device)
    told = learn(arguments, training, backbone, model.to(arguments.device), lessons, held_out)
    card = {
        "training": asdict(training),
        "seed": arguments.seed,
        "started_from": hashlib.sha256(arguments.start.read_bytes()).hexdigest()[:16] if arguments.start else None,
        "corpus": asdict(CorpusConfig()),
        "objects_made": made,
        "objects_per_second": round(made / seconds, 2),
        "views_per_second": round(made * len(observer.renderer.rotations) / seconds, 1),
        "workers": arguments.workers,
        **told,
        "source": "synthetic objects only (pointadplus.learning.synthesis)",
        "backbone_digest": backbone.digest,
    }
    backbone.to("cpu")
    detector = ZeroShotDetector.from_parts(backbone, model.cpu(), config)
    detector.save(arguments.out or arguments.run / "zero_shot.safetensors", card)


if __name__ == "__main__":
    main()
