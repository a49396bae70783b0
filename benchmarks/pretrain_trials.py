"""Short, equal runs that compare image channels, patch sizes and losses before a long run of `pretrain_embedded.py`.

python benchmarks/pretrain_trials.py --out runs/trials --variants base,plain --steps 120
"""

from __future__ import annotations

import argparse
import json
import random
import time
from dataclasses import replace
from pathlib import Path

import torch
from pretrain_embedded import TOWER
from sklearn.metrics import average_precision_score, roc_auc_score

from pointadplus.clip.architecture import BackboneConfig
from pointadplus.clip.backbone import Backbone, build_backbone
from pointadplus.cloud import PointCloud
from pointadplus.observation import Observer
from pointadplus.prompts.templates import ANOMALOUS_WORDS, NORMAL_WORDS
from pointadplus.synthesis.corpus import CorpusConfig, LabelledObject, sample_object
from pointadplus.synthesis.shapes import HELD_OUT
from pointadplus.training.cache import load_picture
from pointadplus.training.pictures import DrawnObject, draw
from pointadplus.training.pretraining import (
    CHANNELS,
    PretrainConfig,
    PretrainLoss,
    ViewBatch,
    learning_rate,
    parameter_groups,
    turned,
)

SIDE = TOWER["image_size"] // TOWER["patch_size"]
VARIANTS: dict[str, tuple[tuple[str, ...], dict, dict]] = {
    "base": (CHANNELS, {}, {}),
    "plain": (("headlight", "depth"), {}, {}),
    "shape": (("headlight", "depth", "variation_fine", "variation", "variation_wide"), {}, {}),
    "patch16": (CHANNELS, {"patch_size": 16, "vision_width": 192, "vision_heads": 3}, {}),
    "wide4": (CHANNELS, {"vision_width": 192, "vision_heads": 3, "vision_layers": 4, "vv_start": 3}, {}),
    "vv_all": (CHANNELS, {"vv_start": 2}, {}),
    "no_spread": (CHANNELS, {}, {"text_spread": 0.0}),
    "patches_only": (CHANNELS, {}, {"image_text": 0.0, "view_state": 0.0}),
    "state_only": (CHANNELS, {}, {"patch_kind": 0.0}),
    "no_stem": (CHANNELS, {"conv_stem": False}, {}),
}


def corpus(pictures: Path, count: int) -> tuple[ViewBatch, list[DrawnObject]]:
    """Views of the stored objects, and objects of held-out families made now."""
    patch, parts = TOWER["patch_size"], []
    for path in sorted(pictures.glob("*.safetensors")):
        stored = load_picture(path)
        thing = LabelledObject(
            stored.picture.nodes, stored.kinds >= 0, stored.kinds, stored.family, stored.family, stored.kind
        )
        parts.append(ViewBatch.of(draw(thing, stored.picture, patch, torch.arange(0, len(stored.picture.index), 2))))
    observer, test = Observer(CHANNELS, TOWER["image_size"]), []
    for seed in range(9_990_000_000, 9_990_000_000 + count):
        thing = sample_object(seed, CorpusConfig(families=HELD_OUT))
        picture = observer.picture(PointCloud.create(thing.points), features=False)
        test.append(draw(thing, picture, patch, torch.arange(len(picture.index))))
    return ViewBatch.cat(parts), test


def pick(batch: ViewBatch, channels: tuple[str, ...], patch: int) -> ViewBatch:
    """Only some channels, and targets pooled to a larger patch."""
    images = batch.images[:, [CHANNELS.index(name) for name in channels]]
    if patch == 8:
        return replace(batch, images=images)
    grid = lambda value: value.unflatten(1, (SIDE, SIDE))  # noqa: E731
    solid = torch.nn.functional.avg_pool2d(grid(batch.solid)[:, None], 2).flatten(1)
    labelled = torch.nn.functional.avg_pool2d(grid(batch.solid * batch.share)[:, None], 2).flatten(1)
    kind = torch.nn.functional.max_pool2d(grid(batch.kind)[:, None].float(), 2).flatten(1).long()
    return replace(batch, images=images, solid=solid, share=labelled / solid.clamp_min(1e-6), kind=kind)


@torch.no_grad()
def judge(backbone: Backbone, test: list[DrawnObject], channels: tuple[str, ...]) -> dict[str, float]:
    """Patch AUROC and AP within the object, on the 8-pixel grid, and AUROC of whole objects, on held-out families."""
    words = [NORMAL_WORDS, ANOMALOUS_WORDS, "a normal object", "a damaged object"]
    text = backbone.encode_text(backbone.tokenize(words)).view(2, 2, -1).sum(0)
    scores, labels, objects, damaged = [], [], [], []
    for thing in test:
        batch = pick(ViewBatch.of(thing), channels, 8)
        tokens = backbone.encode_image(backbone.normalize(batch.images.float()))
        logit = (tokens.patch_features @ (text[1] - text[0])).unflatten(1, tokens.grid)
        logit = torch.nn.functional.interpolate(logit[:, None], size=(SIDE, SIDE), mode="bilinear").flatten(1)
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
    parser.add_argument("--pictures", type=Path, required=True, help="folder that pretrain_embedded.py --keep wrote")
    parser.add_argument("--objects", type=int, default=40, help="of held-out families, to judge by")
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--batch", type=int, default=48)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    views, test = corpus(arguments.pictures, arguments.objects)
    print(
        f"{len(views)} views to train on, {len(test)} objects to judge by: {time.perf_counter() - start:.0f} s",
        flush=True,
    )
    for name in arguments.variants.split(","):
        channels, tower, losses = VARIANTS[name]
        config = replace(PretrainConfig(steps=arguments.steps, warmup=arguments.steps // 10), **losses)
        shape = BackboneConfig(
            **{**TOWER, **tower}, channels=channels, mean=(0.0,) * len(channels), std=(1.0,) * len(channels)
        )
        backbone = build_backbone(shape, seed=0)
        optimizer = torch.optim.AdamW(parameter_groups(backbone.model, config.weight_decay), betas=(0.9, 0.98))
        loss, start = PretrainLoss(config), time.perf_counter()
        for step in range(config.steps):
            rng = random.Random(step)
            batch = turned(views[[rng.randrange(len(views)) for _ in range(arguments.batch)]], rng)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, config)
            optimizer.zero_grad()
            total = torch.stack(list(loss(backbone, pick(batch, channels, shape.patch_size), rng).values())).sum()
            total.backward()
            torch.nn.utils.clip_grad_norm_(backbone.model.parameters(), 1.0)
            optimizer.step()
        seconds = time.perf_counter() - start
        row = {
            "variant": name,
            "steps": config.steps,
            "views_per_second": round(config.steps * arguments.batch / seconds, 1),
            **{key: round(value, 3) for key, value in judge(backbone, test, channels).items()},
        }
        print(json.dumps(row), flush=True)
        with (arguments.out / "trials.jsonl").open("a") as file:
            print(json.dumps(row), file=file)


if __name__ == "__main__":
    main()
