"""Train the embedded backbone. Resumes from its checkpoint; the numbered objects make the data the same every time.

python benchmarks/pretrain_embedded.py --run runs/embedded --keep runs/pictures
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from pointadplus.clip.architecture import BackboneConfig
from pointadplus.clip.backbone import build_backbone
from pointadplus.clip.weights import save_backbone
from pointadplus.config import from_table
from pointadplus.learning.synthesis.corpus import CorpusConfig
from pointadplus.learning.training.pictures import PictureStream
from pointadplus.learning.training.pretraining import (
    CHANNELS,
    PretrainConfig,
    PretrainLoss,
    ViewBatch,
    batches,
    first_object,
)
from pointadplus.learning.training.steps import Run, train_steps
from pointadplus.zero_shot.observation import ObservationConfig, Observer

TOWER = {"image_size": 96, "patch_size": 8, "vision_width": 128, "vision_layers": 6, "vision_heads": 2, "vv_start": 5,
         "embed_dim": 128, "text_width": 128, "text_heads": 2, "text_layers": 3, "conv_stem": True}  # fmt: skip


def export(run: Path, out: Path, trials: Path | None) -> None:
    """Write the averaged weights of a run's checkpoint as a backbone with its card."""
    kept = Run(run)
    notes, log = kept.notes(), kept.log()
    tower = from_table(BackboneConfig, notes["tower"])
    backbone = build_backbone(tower, name="embedded")
    kept.load_average(backbone)
    card = {
        "data": "synthetic objects and defects made in code (pointadplus.learning.synthesis); no scan and no data set",
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
    parser.add_argument("--keep", type=Path, help="folder for whole pictures, the corpus of pretrain_trials.py")
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
    observer, loss = Observer(CHANNELS, tower.image_size, ObservationConfig()), PretrainLoss(config)

    def stream(step: int) -> Iterator[ViewBatch]:
        pictures = PictureStream(
            observer, tower.patch_size, CorpusConfig(), seed=config.seed, first=first_object(config, step), views=12,
            keep=arguments.keep, keep_every=arguments.keep_every,
        )  # fmt: skip
        loader = DataLoader(pictures, batch_size=None, num_workers=arguments.workers, prefetch_factor=8)
        return batches(iter(loader), config, step)

    def losses(batch: ViewBatch, step: int) -> dict[str, torch.Tensor]:
        return loss(backbone, batch, random.Random(f"{config.seed}/{step}"), step)

    train_steps(backbone, losses, stream, config, Run(arguments.run, arguments.every, arguments.stop_at))


if __name__ == "__main__":
    main()
