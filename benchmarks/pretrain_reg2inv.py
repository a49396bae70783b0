"""Learn the embedded features of Reg2Inv on objects made in code, with the method's own losses. Resumes.

Each object is scanned twice, with noise and points of its own each time; the network matches the second scan, turned
and cropped, to the first. No scan of a real object and no family that benchmarks are judged on is used.

python benchmarks/pretrain_reg2inv.py --run runs/reg2inv
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from real_objects import machine

from baselines.reg2inv.config import Reg2InvConfig
from baselines.reg2inv.scan import Scan, read_scan, scan_normals
from baselines.reg2inv.training import Checkpoints, train
from baselines.reg2inv.weights import EMBEDDED, save_network
from pointadplus.geometry.sampling import canonical_order
from pointadplus.learning.synthesis.corpus import TRAINING_FAMILIES
from pointadplus.learning.synthesis.scan import ScanArtifacts, add_scan_artifacts
from pointadplus.learning.synthesis.shapes import sample_shape

POINTS = (10_000, 60_000)  # of a scan, drawn log-uniformly
FITTINGS = 0.3  # share of objects that carry lone details


def pair(number: int, config: Reg2InvConfig) -> tuple[Scan, Scan]:
    """Two scans of an object, in the frame of the first."""
    generator = torch.Generator().manual_seed(number)
    low, high = POINTS
    counts = [round(low * (high / low) ** float(torch.rand((), generator=generator))) for _ in range(2)]
    family = TRAINING_FAMILIES[number % len(TRAINING_FAMILIES)]
    shape = sample_shape(generator, points=2 * high, family=family, fittings=FITTINGS)
    scans = []
    for count in counts:
        chosen = torch.randperm(len(shape.points), generator=generator)[:count]
        artifacts = ScanArtifacts(one_sided=0.0)
        scans.append(add_scan_artifacts(shape.points[chosen], shape.normals[chosen], generator, artifacts)[0])
    first = read_scan(scans[0], config)
    return first, in_frame(first, scans[1], config)


def in_frame(scan: Scan, points: torch.Tensor, config: Reg2InvConfig) -> Scan:
    """Another scan, normalised as the first was; its normals are its own."""
    points = scan.apply(points[canonical_order(points, config.seed)[: config.max_points]])
    return replace(scan, points=points, normals=scan_normals(points, config))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of the checkpoint and the log")
    parser.add_argument("--objects", type=int, default=144)
    parser.add_argument("--steps", type=int, default=1600, help="one pair of scans each")
    parser.add_argument("--rate", type=float, default=5e-4, help="of Adam, at its highest")
    parser.add_argument("--feature-rate", type=float, default=4.0, help="factor on it for the rotation-invariant layer")
    parser.add_argument("--first-seed", type=int, default=50_000, help="of the objects")
    parser.add_argument("--one-scan", action="store_true", help="match turned copies of the first scan, as released")
    parser.add_argument("--out", type=Path, default=EMBEDDED)
    args = parser.parse_args()
    small = Reg2InvConfig.small()
    training = replace(
        small.training, steps=args.steps, learning_rate=args.rate, feature_rate=args.feature_rate, warmup=100
    )
    config = replace(small, training=training)
    args.run.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    pairs = [pair(args.first_seed + number, config) for number in range(args.objects)]
    firsts, seconds = (list(each) for each in zip(*pairs, strict=True))
    print(f"{len(pairs)} objects made in {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    log = (args.run / "log.txt").open("a", encoding="utf-8")
    recent: list[float] = []

    def progress(done: int, steps: int, loss: float, left: float) -> None:
        recent.append(loss)
        if done % 50 == 0 or done == steps:
            line = f"{done}/{steps}: loss {sum(recent) / len(recent):.3f}, {left / 60:.1f} min left"
            print(line, file=log, flush=True)
            recent.clear()

    network = train(
        firsts,
        config,
        sources=None if args.one_scan else seconds,
        progress=progress,
        checkpoints=Checkpoints(args.run / "checkpoint.safetensors", every=100),
        device="cuda" if torch.cuda.is_available() else "cpu",
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_network(network, args.out)
    print(f"{args.out.name}: {args.out.stat().st_size / 1e6:.1f} MB; {machine()}")


if __name__ == "__main__":
    main()
