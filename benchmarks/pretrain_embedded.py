"""Train the embedded backbone. Resumes from its checkpoint; the numbered objects make the data the same every time.

python benchmarks/pretrain_embedded.py --run runs/embedded --keep runs/pictures
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import time
from dataclasses import asdict
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from pointadplus.clip.architecture import BackboneConfig
from pointadplus.clip.backbone import build_backbone
from pointadplus.clip.weights import save_backbone
from pointadplus.observation import ObservationConfig, Observer
from pointadplus.synthesis.corpus import CorpusConfig
from pointadplus.training.checkpoint import load_checkpoint, save_checkpoint
from pointadplus.training.pictures import PictureStream
from pointadplus.training.pretraining import (
    CHANNELS,
    Average,
    PretrainConfig,
    PretrainLoss,
    batches,
    first_object,
    learning_rate,
    parameter_groups,
)  # fmt: skip

TOWER = {"image_size": 96, "patch_size": 8, "vision_width": 128, "vision_layers": 6, "vision_heads": 2, "vv_start": 5,
         "embed_dim": 128, "text_width": 128, "text_heads": 2, "text_layers": 3, "conv_stem": True}  # fmt: skip


def export(run: Path, out: Path, trials: Path | None) -> None:
    """Write the averaged weights of a run's checkpoint as a backbone with its card."""
    notes = load_checkpoint(run / "checkpoint.safetensors", {}, None)
    tower = BackboneConfig.from_dict(notes["tower"])
    backbone = build_backbone(tower, name="embedded")
    load_checkpoint(run / "checkpoint.safetensors", {"average": backbone.model}, None)
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    card = {
        "data": "synthetic objects and defects made in code (pointadplus.synthesis); no scan and no data set",
        "objects": notes["step"] * notes["config"]["fresh"],
        "views": notes["step"] * notes["config"]["batch"],
        "steps": notes["step"],
        "hours": round(notes["seconds"] / 3600, 2),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, bfloat16",
        "command": f"python benchmarks/pretrain_embedded.py --steps {notes['config']['steps']} "
        f"--fresh {notes['config']['fresh']} --batch {notes['config']['batch']}",
        "training": notes["config"],
        "curve": log[:: max(1, len(log) // 24)] + log[-1:],
        "trials": [json.loads(line) for line in trials.read_text().splitlines()] if trials else [],
    }
    # A word that no caption held has the embedding it was born with: it is left out, and loads as zero.
    start = build_backbone(tower, seed=notes["config"]["seed"]).model.token_embedding.weight
    read = (backbone.model.token_embedding.weight != start).any(1).nonzero()[:, 0]
    digest = save_backbone(backbone, out, card, token_rows=read)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, digest {digest}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of the checkpoint and the log")
    parser.add_argument("--export", type=Path, help="write the weights of the checkpoint here, and train no more")
    parser.add_argument("--trials", type=Path, help="JSON lines of pretrain_trials.py, for the card")
    parser.add_argument("--keep", type=Path, help="folder for whole pictures, the corpus of the prompts' training")
    parser.add_argument("--keep-every", type=int, default=2, help="of how many pairs one is kept, some 8 MB an object")
    parser.add_argument("--steps", type=int, default=PretrainConfig.steps)
    parser.add_argument("--stop-at", type=int, help="end after this step, to be resumed")
    parser.add_argument("--batch", type=int, default=PretrainConfig.batch)
    parser.add_argument("--fresh", type=int, default=PretrainConfig.fresh)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--every", type=int, default=200, help="steps between checkpoints")
    arguments = parser.parse_args()
    if arguments.export:
        export(arguments.run, arguments.export, arguments.trials)
        return
    torch.set_num_threads(arguments.threads)

    config = PretrainConfig(steps=arguments.steps, batch=arguments.batch, fresh=arguments.fresh)
    tower = BackboneConfig(**TOWER, channels=CHANNELS, mean=(0.0,) * len(CHANNELS), std=(1.0,) * len(CHANNELS))
    backbone = build_backbone(tower, seed=config.seed).to(arguments.device)
    average = Average(backbone.model, config.ema)
    optimizer = torch.optim.AdamW(
        parameter_groups(backbone.model, config.weight_decay), lr=config.lr, betas=(0.9, 0.98), fused=True
    )
    checkpoint = arguments.run / "checkpoint.safetensors"
    notes = {"step": 0, "seconds": 0.0}
    if checkpoint.exists():
        notes = load_checkpoint(checkpoint, {"model": backbone.model, "average": average.state}, optimizer)
    observer = Observer(CHANNELS, tower.image_size, ObservationConfig())
    stream = PictureStream(
        observer,
        tower.patch_size,
        CorpusConfig(),
        seed=config.seed,
        first=first_object(config, notes["step"]),
        views=12,
        keep=arguments.keep,
        keep_every=arguments.keep_every,
    )
    loader = iter(DataLoader(stream, batch_size=None, num_workers=arguments.workers, prefetch_factor=8))
    loss = PretrainLoss(config)
    arguments.run.mkdir(parents=True, exist_ok=True)
    log = (arguments.run / "log.jsonl").open("a")
    start, sums, count = time.perf_counter() - notes["seconds"], {}, 0
    for step, batch in enumerate(batches(loader, config, notes["step"]), start=notes["step"]):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config)
        parts = loss(backbone, batch.to(arguments.device), random.Random(f"{config.seed}/{step}"), step)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(parts.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(backbone.model.parameters(), 1.0)
        optimizer.step()
        average.update(backbone.model.state_dict(), step)
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value.item()
        count += 1
        done = step + 1
        if count == 50 or done in (config.steps, arguments.stop_at):
            seconds = time.perf_counter() - start
            row = {
                "step": done,
                "seconds": round(seconds),
                **{name: round(value / count, 4) for name, value in sums.items()},
            }
            print(json.dumps(row), flush=True)
            print(json.dumps(row), file=log, flush=True)
            sums, count = {}, 0
        if done % arguments.every == 0 or done in (config.steps, arguments.stop_at):
            notes = {
                "step": done,
                "seconds": time.perf_counter() - start,
                "config": asdict(config),
                "tower": asdict(tower),
            }
            save_checkpoint(
                checkpoint, {"model": backbone.model.state_dict(), "average": average.state}, optimizer, notes
            )
        if done == arguments.stop_at:
            break


if __name__ == "__main__":
    main()
