"""Train the embedded backbone's stem for colours; all else stays as it is, bit for bit. Resumes from its checkpoint.

python benchmarks/pretrain_colors.py --run runs/colors
python benchmarks/pretrain_colors.py --run runs/colors --export pointadplus/assets/embedded.safetensors
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors import safe_open
from torch.utils.data import DataLoader

from pointadplus import ZeroShotDetector
from pointadplus.clip.architecture import BackboneConfig
from pointadplus.clip.backbone import Backbone, build_backbone
from pointadplus.clip.files import ROWS
from pointadplus.clip.weights import load_backbone, save_backbone
from pointadplus.config import from_table
from pointadplus.geometry.color_descriptors import COLOR_CHANNELS
from pointadplus.learning.synthesis.corpus import CorpusConfig
from pointadplus.learning.training.colored import ColorLoss, PaintedStream
from pointadplus.learning.training.pretraining import PretrainConfig, ViewBatch, batches, first_object
from pointadplus.learning.training.steps import Run, train_steps
from pointadplus.zero_shot.detector import EMBEDDED as PROMPTS
from pointadplus.zero_shot.observation import ObservationConfig, Observer


def with_color_stem(tower: Backbone, seed: int) -> Backbone:
    """The same tower with a fresh stem for colours, which alone can be trained."""
    config = from_table(BackboneConfig, {**asdict(tower.config), "color_channels": tuple(COLOR_CHANNELS)})
    backbone = build_backbone(config, seed=seed, name=tower.name)
    own = {key: value for key, value in tower.model.state_dict().items() if ".color_stem." not in key}
    backbone.model.load_state_dict({**backbone.model.state_dict(), **own})
    backbone.requires_grad_(False)
    backbone.model.visual.get_submodule("color_stem").requires_grad_(True)
    return backbone


def export(run: Run, out: Path, prompts: Path) -> None:
    """Write the tower with its averaged stem over the old one, and its new digest into the prompts' file."""
    notes = run.notes()
    tower = load_backbone(out)
    backbone = with_color_stem(tower, 0)
    run.load_average(backbone)
    card = json.loads(out.with_suffix(".json").read_text())
    card = {key: value for key, value in card.items() if key not in ("config", "digest", "name", "colors")}
    log = run.log()
    card["colors"] = {
        "data": "objects made and painted in code, with stains, discolourations and print errors (learning.synthesis)",
        "objects": notes["step"] * notes["config"]["fresh"],
        "steps": notes["step"],
        "hours": round(notes["seconds"] / 3600, 2),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, bfloat16",
        "command": f"python benchmarks/pretrain_colors.py --steps {notes['config']['steps']}",
        "training": notes["config"],
        "curve": log[:: max(1, len(log) // 24)] + log[-1:],
    }
    detector = ZeroShotDetector(prompts)
    known = json.loads(prompts.with_suffix(".json").read_text())
    detector.card = {key: value for key, value in known.items() if key != "config"}
    with safe_open(out, "pt") as file:
        rows = file.get_tensor(ROWS)
    digest = save_backbone(backbone, out, card, token_rows=rows)
    detector.backbone = backbone
    detector.config = replace(detector.config, digest=digest)
    backbone.model.load_state_dict(load_backbone(out).model.state_dict())  # as it loads, through float16
    detector.save(prompts, detector.card | {"backbone_digest": digest})
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, digest {digest}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of the checkpoint and the log")
    parser.add_argument("--export", type=Path, help="write the stem of the checkpoint into this tower; no training")
    parser.add_argument("--prompts", type=Path, default=Path("pointadplus") / PROMPTS, help="learnt on the tower")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--stop-at", type=int, help="end after this step, to be resumed")
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--every", type=int, default=100, help="steps between checkpoints")
    arguments = parser.parse_args()
    run = Run(arguments.run, arguments.every, arguments.stop_at)
    if arguments.export:
        export(run, arguments.export, arguments.prompts)
        return
    torch.set_num_threads(arguments.threads)

    config = PretrainConfig(steps=arguments.steps, batch=arguments.batch, fresh=2, warmup=40, ema=0.99)
    learnt = ZeroShotDetector(arguments.prompts)
    backbone = with_color_stem(learnt.backbone, config.seed).to(arguments.device)
    observer, loss = Observer(backbone.channels, backbone.image_size, ObservationConfig()), ColorLoss(config)
    texts = loss.texts(backbone, [learnt.texts[0].to(backbone.device)])

    def stream(step: int) -> Iterator[ViewBatch]:
        painted = PaintedStream(
            observer, backbone.config.patch_size, CorpusConfig(), seed=config.seed, first=first_object(config, step)
        )
        loader = DataLoader(painted, batch_size=None, num_workers=arguments.workers, prefetch_factor=8)
        return batches(iter(loader), config, step)

    def losses(batch: ViewBatch, step: int) -> dict[str, torch.Tensor]:
        return loss.read(backbone, batch, texts, random.Random(f"{config.seed}/{step}"))

    train_steps(backbone, losses, stream, config, run)


if __name__ == "__main__":
    main()
