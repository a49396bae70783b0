"""`train`: from a config to a detector's weights, on one device or many, resumable after a kill at any moment."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ...clip.backbone import Backbone
from ...clip.weights import load_backbone
from ...data import Sample, open_dataset
from ...errors import ConfigError, install_command
from ...io.checkpoint import load_checkpoint, save_checkpoint
from ...zero_shot.detector import ZeroShotConfig, ZeroShotDetector
from ...zero_shot.model import PointAD, PointADPlus, build_model
from ...zero_shot.observation import Observer
from .config import DataConfig, TrainConfig
from .lessons import LessonCache, load_lesson
from .objective import Objective
from .pretraining import Average
from .trainer import calibrate_descriptors, make_optimizer, set_rates, total

Report = Callable[[str, int, int], None]  # stage, done, total


def train(config: TrainConfig, run: Path, *, cache: Path | None = None, report: Report | None = None) -> Path:
    """Learn prompts and, in mode "pointad+", G-aggregation; the backbone stays frozen.

    What the backbone sees of each object is computed once and kept in `cache`, so that an epoch costs the text encoder
    and the graph layer. A run that was killed goes on where its last checkpoint stands, and ends at the same weights.

    Args:
        config: of the run.
        run: folder for `checkpoint.safetensors`, `log.jsonl` and the result, `detector.safetensors`.
        cache: folder for lessons, `run / "lessons"` if None; runs may share it.
        report: called as report(stage, done, total).

    Returns:
        The path of the detector's weights, for `ZeroShotDetector`.

    Raises:
        ConfigError: no anomalous or no normal object to learn from, accelerate is not installed, or the folder holds a
            run of another config.
        DatasetError, WeightsError: what is to be read cannot be.
    """
    result = run / "detector.safetensors"
    if _is_done(result, config):
        return result
    accelerator = _accelerator()
    samples = labelled_samples(config.data)
    parts = _Parts.of(config)
    parts.backbone.to(accelerator.device)
    run.mkdir(parents=True, exist_ok=True)
    lesson_cache = LessonCache(cache or run / "lessons", parts.backbone, parts.observer, parts.model)
    with accelerator.main_process_first():
        tell = None if report is None else lambda done, count: report("observing", done, count)
        lessons = lesson_cache.of_samples(samples, objects_only=config.supervision == "objects", progress=tell)
    if isinstance(parts.model, PointADPlus) and not config.start:
        calibrate_descriptors(parts.model, lessons)
    seconds, steps = _learn(config, parts, lessons, run, accelerator, report)
    if accelerator.is_main_process:
        detector = ZeroShotDetector.from_parts(parts.backbone, parts.model, parts.config)
        detector.save(result, _card(config, samples, steps, seconds))
    accelerator.wait_for_everyone()
    return result


def untrained(config: TrainConfig) -> ZeroShotDetector:
    """The detector that a run starts from."""
    parts = _Parts.of(config)
    return ZeroShotDetector.from_parts(parts.backbone, parts.model, parts.config)


def labelled_samples(data: DataConfig) -> list[Sample]:
    """The labelled objects that a config names, in the data set's order.

    Raises:
        ConfigError: none that is normal, or none that is anomalous.
        DatasetError: no such data set or category.
    """
    dataset = open_dataset(data.dataset, data.root)
    names = data.categories or dataset.categories()
    samples = [
        sample
        for name in names
        for sample in dataset.select(name, "train" if data.split == "train" else "test")
        if sample.label is not None
    ]
    counts = _counts(samples)
    if 0 in counts.values():
        raise ConfigError(
            "training takes normal and anomalous objects",
            where=f"{data.root}, {', '.join(names)}, {data.split}",
            expected="at least one of each",
            found=", ".join(f"{count} {name}" for name, count in counts.items()),
        )
    return samples


@dataclass(frozen=True)
class _Parts:
    """What learns, and what it learns on."""

    backbone: Backbone
    model: PointAD
    observer: Observer
    config: ZeroShotConfig

    @classmethod
    def of(cls, config: TrainConfig) -> _Parts:
        if config.start:
            detector = ZeroShotDetector(config.start, precision=config.precision)
            model = detector.model.requires_grad_(True)
            return cls(detector.backbone, model, detector.observer, detector.config)
        backbone = load_backbone(config.backbone, precision=config.precision)
        prompts = replace(config.model.prompts, seed=config.seed)
        kept = ZeroShotConfig(
            config.backbone, backbone.digest, config.observation, replace(config.model, prompts=prompts)
        )
        observer = Observer(backbone.channels, backbone.image_size, config.observation)
        return cls(backbone, build_model(backbone, kept.model), observer, kept)


def _learn(
    config: TrainConfig, parts: _Parts, lessons: Sequence[Path], run: Path, accelerator: Any, report: Report | None
) -> tuple[float, int]:
    """Run all steps that are left; returns the seconds that they took and the steps of the whole run."""
    schedule, model = config.schedule, parts.model.to(accelerator.device)
    objective, optimizer = accelerator.prepare(Objective(model, config.losses).train(), make_optimizer(model, schedule))
    average = Average(model, schedule.ema)
    batches = -(-len(lessons) // schedule.batch)
    steps = schedule.epochs * batches
    checkpoint, told = run / "checkpoint.safetensors", json.dumps(asdict(config), sort_keys=True)
    first = 0
    if checkpoint.exists():
        notes = load_checkpoint(checkpoint, {"model": model, "average": average.state}, optimizer)
        if notes["config"] != told:
            raise ConfigError(
                "the folder holds a run of another config",
                where=run,
                expected=told,
                found=notes["config"],
                hint="choose another folder, or remove this one",
            )
        first = notes["step"]
    log = _Log(run / "log.jsonl", first) if accelerator.is_main_process else None
    start = time.perf_counter()
    for step in range(first, steps):
        epoch, number = divmod(step, batches)
        order = torch.randperm(len(lessons), generator=torch.Generator().manual_seed(config.seed * 100_003 + epoch))
        batch = order[number * schedule.batch : (number + 1) * schedule.batch].tolist()
        if isinstance(model, PointADPlus):  # so that a step does not depend on how many were made before it
            model.aggregation.generator.manual_seed(config.seed * 1_000_003 + step)
        set_rates(optimizer, schedule, step, step / steps)
        optimizer.zero_grad(set_to_none=True)
        with accelerator.split_between_processes(batch, apply_padding=True) as mine:
            losses = objective([load_lesson(lessons[index]).to(accelerator.device) for index in mine])
        accelerator.backward(total(losses))
        if schedule.clip:
            accelerator.clip_grad_norm_(model.parameters(), schedule.clip)
        optimizer.step()
        average.update(model.state_dict(), step)
        if log is not None:
            log.add(
                {
                    "step": step,
                    "epoch": epoch,
                    **{name: round(value.detach().item(), 5) for name, value in losses.items()},
                }
            )
            if (step + 1) % config.save_every == 0 or step + 1 == steps:
                states = {"model": model.state_dict(), "average": average.state}
                save_checkpoint(checkpoint, states, optimizer, {"step": step + 1, "config": told})
        if report is not None:
            report("learning", step + 1, steps)
    if schedule.ema:
        model.load_state_dict(average.state)
    return time.perf_counter() - start, steps


class _Log:
    """One JSON line a step; what a killed run wrote after its last checkpoint is written anew."""

    def __init__(self, path: Path, first: int) -> None:
        rows = path.read_text().splitlines() if path.exists() else []
        kept = [row for row in rows if row.endswith("}") and json.loads(row)["step"] < first]
        path.write_text("".join(f"{row}\n" for row in kept))
        self.path = path

    def add(self, row: dict[str, Any]) -> None:
        with self.path.open("a") as file:
            print(json.dumps(row), file=file)


def _is_done(result: Path, config: TrainConfig) -> bool:
    """Whether the file holds the result of this very config."""
    if not (result.exists() and result.with_suffix(".json").exists()):
        return False
    card = json.loads(result.with_suffix(".json").read_text())
    return card.get("training") == json.loads(json.dumps(asdict(config)))


def _accelerator() -> Any:
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise ConfigError("training needs accelerate", found=error, hint=install_command("train")) from error
    # Precision is the backbone's own business: similarities stay in float32.
    return Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="no")


def _counts(samples: Sequence[Sample]) -> dict[str, int]:
    anomalous = sum(bool(sample.label) for sample in samples)
    return {"normal": len(samples) - anomalous, "anomalous": anomalous}


def _card(config: TrainConfig, samples: Sequence[Sample], steps: int, seconds: float) -> dict[str, Any]:
    """What a reader of the weights needs to know, and what evaluation must leave out."""
    return {
        "training": asdict(config),
        "trained_on": {"dataset": config.data.dataset, "categories": list(dict.fromkeys(s.category for s in samples))},
        "objects": _counts(samples),
        "seed": config.seed,
        "steps": steps,
        "seconds": round(seconds),
        "version": version("pointadplus"),
    }
