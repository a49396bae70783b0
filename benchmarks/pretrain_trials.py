"""Short, equal runs that compare channels, resolutions, towers and losses before a long run of `pretrain_embedded.py`.

python benchmarks/pretrain_trials.py --pictures runs/pictures --out runs/trials --steps 640
"""

from __future__ import annotations

import argparse
import json
import random
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from pretrain_embedded import TOWER
from sklearn.metrics import average_precision_score, roc_auc_score
from torch.nn.functional import interpolate

from pointadplus.clip.architecture import BackboneConfig
from pointadplus.clip.backbone import Backbone, build_backbone
from pointadplus.cloud import PointCloud
from pointadplus.learning.synthesis.corpus import CorpusConfig, sample_object
from pointadplus.learning.synthesis.shapes import HELD_OUT
from pointadplus.learning.training.cache import LabelledPicture, load_picture
from pointadplus.learning.training.pictures import DrawnObject, draw
from pointadplus.learning.training.pretraining import (
    CHANNELS,
    PretrainConfig,
    PretrainLoss,
    ViewBatch,
    learning_rate,
    parameter_groups,
    turned,
)
from pointadplus.prompts.templates import ANOMALOUS_WORDS, NORMAL_WORDS
from pointadplus.zero_shot.observation import Observer

SIDE = TOWER["image_size"] // TOWER["patch_size"]


@dataclass(frozen=True)
class Variant:
    """What differs from the first one: the channels, fields of `BackboneConfig`, fields of `PretrainConfig`."""

    channels: tuple[str, ...] = CHANNELS
    tower: dict = field(default_factory=dict)
    losses: dict = field(default_factory=dict)

    @property
    def shape(self) -> BackboneConfig:
        """The whole tower."""
        count = len(self.channels)
        values = {**TOWER, **self.tower, "channels": self.channels, "mean": (0.0,) * count, "std": (1.0,) * count}
        return BackboneConfig(**values)

    @property
    def patch(self) -> int:
        """Side of a patch in pixels of the stored views, which are `TOWER["image_size"]` wide."""
        return self.shape.patch_size * TOWER["image_size"] // self.shape.image_size

    def see(self, images: torch.Tensor) -> torch.Tensor:
        """The variant's channels, at its size."""
        images, size = images[:, [CHANNELS.index(name) for name in self.channels]].float(), self.shape.image_size
        return images if images.shape[-1] == size else interpolate(images, size=(size, size), mode="area")


SELF_REFERENCE = tuple(name for name in CHANNELS if name.startswith("self_reference"))
RIMS = ("roughness_wide", "rim_fine", "rim", "crease", "crease_wide")
VARIANTS = {
    "base": Variant(),
    "plain": Variant(("headlight", "depth")),
    "without_self_reference": Variant(tuple(name for name in CHANNELS if name not in SELF_REFERENCE)),
    "version_0": Variant(tuple(name for name in CHANNELS if name not in SELF_REFERENCE + RIMS)),
    "patch16": Variant(tower={"patch_size": 16, "vision_width": 192, "vision_heads": 3}),
    "size64": Variant(tower={"image_size": 64}),
    "size64_patch4": Variant(tower={"image_size": 64, "patch_size": 4}),
    "wide4": Variant(tower={"vision_width": 192, "vision_heads": 3, "vision_layers": 4, "vv_start": 3}),
    "no_stem": Variant(tower={"conv_stem": False}),
    "vv_early": Variant(tower={"vv_start": 2}),
    "no_spread": Variant(losses={"text_spread": 0.0}),
    "patches_only": Variant(losses={"image_text": 0.0, "view_state": 0.0}),
    "state_only": Variant(losses={"patch_kind": 0.0}),
}


def corpus(pictures: Path, patch: int) -> ViewBatch:
    """Every other view of the stored objects."""
    parts = []
    for path in sorted(pictures.glob("*.safetensors")):
        labelled = load_picture(path)
        parts.append(ViewBatch.of(draw(labelled, patch, torch.arange(0, len(labelled.picture.index), 2))))
    return ViewBatch.cat(parts)


def held_out(count: int) -> list[DrawnObject]:
    """Objects of families that no stored object is of, made now."""
    observer, test = Observer(CHANNELS, TOWER["image_size"]), []
    for seed in range(9_990_000_000, 9_990_000_000 + count):
        thing = sample_object(seed, CorpusConfig(families=HELD_OUT))
        labelled = LabelledPicture.of(thing, observer.picture(PointCloud.create(thing.points)))
        test.append(draw(labelled, TOWER["patch_size"], torch.arange(len(labelled.picture.index))))
    return test


@torch.no_grad()
def judge(backbone: Backbone, test: list[DrawnObject], variant: Variant) -> dict[str, float]:
    """Patch AUROC and AP on the first variant's grid, and AUROC of whole objects, pooled over held-out families."""
    words = [NORMAL_WORDS, ANOMALOUS_WORDS, "a normal object", "a damaged object"]
    text = backbone.encode_text(backbone.tokenize(words)).view(2, 2, -1).sum(0)
    scores, labels, objects, damaged = [], [], [], []
    for thing in test:
        batch = ViewBatch.of(thing)
        tokens = backbone.encode_image(backbone.normalize(variant.see(batch.images)))
        logit = (tokens.patch_features @ (text[1] - text[0])).unflatten(1, tokens.grid)
        logit = interpolate(logit[:, None], size=(SIDE, SIDE), mode="bilinear").flatten(1)
        solid = batch.solid > 0.5
        scores.append(logit[solid])
        labels.append(batch.share[solid] > 0.1)
        objects.append(logit[solid].topk(8).values.mean())
        damaged.append(bool((batch.view_kinds >= 0).any()))
    y, s = torch.cat(labels).numpy(), torch.cat(scores).numpy()
    return {
        "patch_auroc": roc_auc_score(y, s),
        "patch_ap": average_precision_score(y, s),
        "object_auroc": roc_auc_score(damaged, torch.stack(objects).numpy()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--pictures", type=Path, required=True, help="folder that `pretrain_embedded.py --keep` wrote")
    parser.add_argument("--objects", type=int, default=80, help="of held-out families, to judge by")
    parser.add_argument("--steps", type=int, default=640)
    parser.add_argument("--batch", type=int, default=48)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    test = held_out(arguments.objects)
    print(f"{len(test)} objects to judge by: {time.perf_counter() - start:.0f} s", flush=True)
    views, patch = None, 0
    for name in arguments.variants.split(","):
        variant = VARIANTS[name]
        if views is None or patch != variant.patch:
            patch = variant.patch
            views = corpus(arguments.pictures, patch)
        config = PretrainConfig(steps=arguments.steps, warmup=arguments.steps // 10, text_spread_from=0)
        config = replace(config, **variant.losses)
        backbone = build_backbone(variant.shape, seed=0)
        optimizer = torch.optim.AdamW(
            parameter_groups(backbone.model, config.weight_decay), betas=(0.9, 0.98), fused=True
        )
        loss, start = PretrainLoss(config), time.perf_counter()
        for step in range(config.steps):
            rng = random.Random(step)
            batch = turned(views[[rng.randrange(len(views)) for _ in range(arguments.batch)]], rng)
            batch = replace(batch, images=variant.see(batch.images))
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, config)
            optimizer.zero_grad()
            torch.stack(list(loss(backbone, batch, rng, step).values())).sum().backward()
            torch.nn.utils.clip_grad_norm_(backbone.model.parameters(), 1.0)
            optimizer.step()
        seconds = time.perf_counter() - start
        row = {
            "variant": name,
            "steps": config.steps,
            "views_per_second": round(config.steps * arguments.batch / seconds, 1),
            **{key: round(value, 3) for key, value in judge(backbone, test, variant).items()},
        }
        print(json.dumps(row), flush=True)
        with (arguments.out / "trials.jsonl").open("a") as file:
            print(json.dumps(row), file=file)


if __name__ == "__main__":
    main()
