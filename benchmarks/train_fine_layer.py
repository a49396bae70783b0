"""Learn the fine layer on dense synthetic scans with fine defects; judged on families that nothing is learnt from.

python benchmarks/train_fine_layer.py --lessons runs/fine --objects 600 --judged 60
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from real_objects import machine
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from pointadplus import ZeroShotDetector
from pointadplus.cloud import PointCloud
from pointadplus.evaluation import auroc, average_precision
from pointadplus.geometry.dense_surface import DenseSurface
from pointadplus.geometry.sampling import even_order
from pointadplus.io.tensors import write_tensors
from pointadplus.learning.synthesis.corpus import TRAINING_FAMILIES
from pointadplus.learning.synthesis.defects import KINDS
from pointadplus.learning.synthesis.fine import FINE_KINDS, SCALES, sample_fine
from pointadplus.learning.synthesis.shapes import HELD_OUT
from pointadplus.zero_shot.fine_layer import EMBEDDED, FORMAT, FineLayer, fine_odds, top_odds
from pointadplus.zero_shot.fusion import EPSILON

FIRST, JUDGED, JOINED = 7_000_000, 7_500_000, 7_800_000  # seeds
DAMAGED, OTHERS = 1200, 3000  # points of a scan
BATCH, RATE, DECAY, SMOOTHED, NOISE = 2048, 2e-3, 0.1, 0.04, 0.3


class Lesson(NamedTuple):
    """Points of one scan: features (Q, F) float16, kinds (Q,), −1 where healthy, and how many each stands for."""

    features: Tensor
    kinds: Tensor
    weights: Tensor


def lesson(folder: Path, seed: int, families: tuple[str, ...]) -> Lesson:
    path = folder / f"{seed}.safetensors"
    if not path.exists():
        scan = sample_fine(seed, families)
        order = even_order(scan.points)[0]
        kinds = scan.kinds[order]
        frame = PointCloud(scan.points[order[:8192]]).normalization()
        generator = torch.Generator().manual_seed(seed)
        parts = []
        for chosen, most in ((kinds >= 0, DAMAGED), (kinds < 0, OTHERS)):
            rows = chosen.nonzero()[:, 0]
            some = rows[torch.randperm(len(rows), generator=generator)[:most]]
            parts.append((some, torch.full((len(some),), len(rows) / max(1, len(some)))))
        rows, weights = (torch.cat(each) for each in zip(*parts, strict=True))
        points = frame.apply(scan.points[order])
        features = DenseSurface(points).describe(points[rows]).clamp(-6e4, 6e4).half()
        write_tensors(path, {"features": features, "kinds": kinds[rows], "weights": weights}, {})
    return Lesson(**load_file(path))


def lessons(folder: Path, first: int, count: int, families: tuple[str, ...]) -> list[Lesson]:
    folder.mkdir(parents=True, exist_ok=True)
    found, start = [], time.perf_counter()
    for number in range(count):
        found.append(lesson(folder, first + number, families))
        if number % 25 == 24:
            print(f"{number + 1} scans, {time.perf_counter() - start:.0f} s", flush=True)
    return found


def learn(known: Sequence[Lesson], steps: int, seed: int) -> FineLayer:
    """Cross-entropy with smoothed labels, AdamW, a cosine of the rate, and noise on the features.

    Few steps of a small layer: wider ones, or more steps, learn the training families by heart.
    """
    features = torch.cat([each.features for each in known])
    labels = torch.cat([each.kinds >= 0 for each in known]).float()
    torch.manual_seed(seed)
    layer = FineLayer()
    some = features[torch.randperm(len(features))[:50_000]].float()
    layer.center.copy_(some.median(0).values)
    layer.spread.copy_(1.4826 * (some - layer.center).abs().median(0).values.clamp_min(1e-3))
    optimizer = torch.optim.AdamW(layer.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        rows = torch.randint(len(features), (BATCH,))
        target = labels[rows] * (1 - SMOOTHED) + SMOOTHED / 2
        disturbed = features[rows].float() + NOISE * layer.spread * torch.randn(BATCH, features.shape[1])
        loss = binary_cross_entropy_with_logits(layer(disturbed), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 200 == 199:
            print(f"step {step + 1}, loss {float(loss):.4f}", flush=True)
    return layer.eval()


@torch.no_grad()
def judge(layer: FineLayer, known: Sequence[Lesson]) -> dict[str, float]:
    """P-AUROC and P-AP, mean over scans with damage, points weighted by how many they stand for; P-AP of each kind."""
    rows, kinds = [], {kind: [] for kind in FINE_KINDS}
    for each in known:
        odds = layer(each.features.float()).numpy()
        damaged = each.kinds.numpy() >= 0
        if not damaged.any():
            continue
        repeats = each.weights.round().long().clamp_min(1).numpy()
        labels, scores = np.repeat(damaged, repeats), np.repeat(odds, repeats)
        rows.append((auroc(labels, scores), average_precision(labels, scores)))
        for kind in FINE_KINDS:
            own = each.kinds.numpy() == KINDS.index(kind)
            if own.any():
                chosen = np.repeat(own | ~damaged, repeats)
                kinds[kind].append(average_precision(np.repeat(own, repeats)[chosen], scores[chosen]))
    told = dict(zip(("P", "AP"), np.mean(rows, 0), strict=True)) | {k: np.mean(v) for k, v in kinds.items() if v}
    return {name: round(100 * float(value), 1) for name, value in told.items()}


@torch.no_grad()
def looks(layer: FineLayer, detector: ZeroShotDetector, seed: int, families: tuple[str, ...]) -> dict[str, Tensor]:
    """Both looks at a scan: of three, one is healthy, one has a fine defect, and one a defect of the usual size."""
    scan = sample_fine(seed, families, defects=int(seed % 3 > 0), scales=(1.0, 1.0) if seed % 3 == 2 else SCALES)
    seen = detector.score_cloud(PointCloud.create(scan.points))
    order = even_order(scan.points)[0]
    frame = PointCloud(scan.points[order[:8192]]).normalization()
    return {
        "coarse": torch.logit(seen.layers["joined"][order], EPSILON),
        "total": torch.logit(torch.tensor(seen.object_score), EPSILON),
        "fine": fine_odds(layer, frame.apply(scan.points[order])),
        "damaged": scan.kinds[order] >= 0,
    }


@torch.no_grad()
def join(layer: FineLayer, found: Sequence[dict[str, Tensor]]) -> None:
    """Fit how both looks are joined: of points by logistic regression; of objects by halves, so that healthy ones score
    about what they do at the first look. Too few objects are scanned here to tell better weights from worse ones."""
    pairs = torch.cat([torch.stack([each["coarse"], each["fine"]], 1) for each in found]).numpy()
    labels = torch.cat([each["damaged"] for each in found]).numpy()
    regression = LogisticRegression().fit(pairs, labels)
    layer.point.weight.copy_(torch.from_numpy(regression.coef_))
    layer.point.bias.copy_(torch.from_numpy(regression.intercept_))
    healthy = [each for each in found if not each["damaged"].any()]
    more = [float(top_odds(each["fine"]) - each["total"]) for each in healthy]
    layer.whole.weight.fill_(0.5)
    layer.whole.bias.fill_(-0.5 * float(np.mean(more)))


def told_of(linear: torch.nn.Linear) -> list[float]:
    return [round(value, 3) for value in (*linear.weight[0].tolist(), *linear.bias.tolist())]


@torch.no_grad()
def judge_joined(layer: FineLayer, found: Sequence[dict[str, Tensor]]) -> dict[str, float]:
    """O-AUROC pooled, P-AUROC and P-AP (mean over damaged scans): of the first look, the fine layer, and both.

    Scans with a fine defect, and those with one of the usual size, each beside the healthy ones.
    """
    told = {}
    for size, number in (("fine", 1), ("usual", 2)):
        own = [each for place, each in enumerate(found) if (JOINED + place) % 3 in (0, number)]
        damaged = np.array([bool(each["damaged"].any()) for each in own])
        joined = [layer.joined(each["coarse"], each["fine"]) for each in own]
        totals = [float(layer.verdict(each["total"], each["fine"])) for each in own]
        for name, maps, scores in (
            ("coarse", [each["coarse"] for each in own], [float(each["total"]) for each in own]),
            ("fine", [each["fine"] for each in own], [float(top_odds(each["fine"])) for each in own]),
            ("joined", joined, totals),
        ):
            labels = [each["damaged"].numpy() for each in own]
            rows = [
                (auroc(truth, odds.numpy()), average_precision(truth, odds.numpy()))
                for truth, odds in zip(labels, maps, strict=True)
                if truth.any()
            ]
            values = (auroc(damaged, np.array(scores)), *np.mean(rows, 0))
            keys = (f"{size} defects, {name}: {key}" for key in ("O", "P", "AP"))
            told |= {key: round(100 * float(value), 1) for key, value in zip(keys, values, strict=True)}
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lessons", type=Path, required=True)
    parser.add_argument("--objects", type=int, default=600)
    parser.add_argument("--judged", type=int, default=60)
    parser.add_argument("--joined", type=int, default=60)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=EMBEDDED)
    arguments = parser.parse_args()
    held = lessons(arguments.lessons, JUDGED, arguments.judged, HELD_OUT)
    known = lessons(arguments.lessons, FIRST, arguments.objects, TRAINING_FAMILIES)
    layer = learn(known, arguments.steps, arguments.seed)
    judged = judge(layer, held)
    print(json.dumps({"learnt": judge(layer, known[:60]), "held out": judged}), flush=True)
    detector = ZeroShotDetector(resolution="coarse")
    join(layer, [looks(layer, detector, JOINED + number, TRAINING_FAMILIES) for number in range(arguments.joined)])
    others = [looks(layer, detector, JOINED + 99_999 + number, HELD_OUT) for number in range(arguments.judged)]
    judged |= judge_joined(layer, others)
    print(json.dumps({"joined": judged, "point": told_of(layer.point), "whole": told_of(layer.whole)}), flush=True)
    card = {
        "source": "synthetic scans only (pointadplus.learning.synthesis.fine)",
        "scans": arguments.objects, "steps": arguments.steps, "seed": arguments.seed,
        "joined scans": arguments.joined,
        "judged": judged, "judged scans": arguments.judged,
    }  # fmt: skip
    state = {name: value.half().contiguous() for name, value in layer.state_dict().items()}
    write_tensors(arguments.out, state, {FORMAT: json.dumps(card)})
    told = f"--objects {arguments.objects} --judged {arguments.judged} --joined {arguments.joined}"
    print(f"\n`python benchmarks/train_fine_layer.py --lessons DIR {told}`, seed {arguments.seed}, {machine()}")


if __name__ == "__main__":
    main()
