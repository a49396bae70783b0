"""Reg2Inv's choices one at a time, on parts made in code of families that nothing was learnt from; and its speed.

Each part is learnt from four normal scans and judged on five healthy ones and one of each defect. Scans are aligned
once, before all rows. A row that is in the file of `--out` already is not computed again.

    python benchmarks/reg2inv_ablation.py --table choices --parts 5 --out runs/reg2inv.jsonl
    python benchmarks/reg2inv_ablation.py --table learning --parts 3 --out runs/reg2inv.jsonl
    python benchmarks/reg2inv_ablation.py --table poses
    python benchmarks/reg2inv_ablation.py --table speed
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from few_shot_parts import FIRST, Rows, three
from real_objects import LearntReg2Inv, machine
from torch import Tensor

from baselines import Reg2Inv, Reg2InvConfig
from baselines.reg2inv.features import RIConv
from baselines.reg2inv.model import Reg2InvNet, neighborhoods
from baselines.reg2inv.pairs import random_rotation
from baselines.reg2inv.scan import read_scan, surface_normals, thinned
from baselines.reg2inv.training import train
from baselines.reg2inv.weights import EMBEDDED, load_network, save_network
from pointadplus.geometry.neighbors import knn
from pointadplus.learning.synthesis.parts import Part, PartConfig
from pointadplus.learning.synthesis.shapes import HELD_OUT
from pointadplus.results.detector import AnomalyDetector

RELEASED = {"relative": False, "level": 0.0}
POSE = "pose: as the scans come"
NETWORK = "pose: by the embedded network"
CHOICES: Mapping[str, Mapping[str, Any]] = {
    "as it is": {},
    "squared distances, as released": RELEASED,
    "level: 0": {"level": 0.0},
    "level: 0.75": {"level": 0.75},
    "bank: 2,500": {"bank": 2500},
    "bank: 40,000": {"bank": 40_000},
    "nearest: 3": {"nearest": 3},
    "rims never left out": {"partial": 1.1},
    "rims always left out, as released": {"partial": 0.0},
    "pooled: 16": {"pooled": 16},
    "pooled: 128": {"pooled": 128},
    "interpolated: 4": {"interpolated": 4},
    POSE: {},
    NETWORK: {},
}  # fmt: skip
STEPS = (50, 100)
POSES = 20


def posed(registration: str = "none", **scoring: Any) -> Reg2InvConfig:
    """The config of the embedded weights, for scans in one pose."""
    config = load_network(EMBEDDED).config
    return replace(config, registration=registration, scoring=replace(config.scoring, **scoring))


def choices(rows: Rows) -> str:
    lines = ["| choice | O-AUROC | P-AUROC | P-AP | fit, s | scan, s |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for name, options in CHOICES.items():
        config = posed("network" if name == NETWORK else "none", **options)
        how = {"shown": "loose"} if name in (POSE, NETWORK) else {}
        found = rows(name, options, lambda config=config: Reg2Inv(config), **how)
        lines.append(f"| {name} | {three(found, ' | ')} | {found['fit']:.1f} | {found['score']:.2f} |")
    return "\n".join(lines)


def untrained(config: Reg2InvConfig, path: Path) -> Path:
    """A network as it starts; its normalisation has seen an object, or features would not be about 0."""
    part = Part(FIRST - 1, PartConfig(family="mug"))
    still = replace(config, training=replace(config.training, steps=8, learning_rate=0.0, weight_decay=0.0))
    save_network(train([read_scan(part.scan(0).points, config)], still), path)
    return path


def learning(rows: Rows) -> str:
    """What learning is worth, on other objects and on the part itself."""
    lines = ["| features | O-AUROC | P-AUROC | P-AP | fit, s |", "| --- | ---: | ---: | ---: | ---: |"]
    with TemporaryDirectory() as folder:
        start = untrained(posed(), Path(folder) / "start.safetensors")
        makers: dict[str, Callable[[], AnomalyDetector]] = {
            "untrained": lambda: Reg2Inv(posed(), start),
            "embedded, learnt on other objects": lambda: Reg2Inv(posed()),
        }
        for steps in STEPS:
            training = Reg2InvConfig.small().with_steps(steps).training
            makers[f"small, {steps} steps on the part"] = lambda own=training: LearntReg2Inv(
                replace(posed(), training=own)
            )
        for name, make in makers.items():
            found = rows(name, {}, make)
            lines.append(f"| {name} | {three(found, ' | ')} | {found['fit']:.1f} |")
    return "\n".join(lines)


def poses() -> str:
    """One damaged scan in twenty poses: what changes of the features of its points, and of the scores."""
    part = Part(FIRST, PartConfig(family=HELD_OUT[FIRST % len(HELD_OUT)]))
    detector = Reg2Inv().fit([part.scan(number).points for number in range(4)])
    points, generator = part.scan(20, "bulge").points, torch.Generator().manual_seed(0)
    found = []
    for number in range(POSES):
        turn = torch.eye(3) if number == 0 else random_rotation(generator)
        moved = (points - points.mean(0)) @ turn.T + 50 * torch.randn(3, generator=generator) * bool(number)
        found.append((features_at(detector, moved), detector.score(moved)))
    lines = ["| | median change | largest change |", "| --- | ---: | ---: |"]
    first, still = found[0]
    norm = first.norm(dim=1).mean()
    features = torch.cat([(each - first).norm(dim=1) for each, _ in found[1:]]) / norm
    scores = torch.cat([(detection.point_scores - still.point_scores).abs() for _, detection in found[1:]])
    objects = torch.tensor([abs(detection.object_score - still.object_score) for _, detection in found[1:]])
    for name, each in {"features, of their mean length": features, "point scores": scores, "score": objects}.items():
        lines.append(f"| {name} | {float(each.median()):.1e} | {float(each.max()):.1e} |")
    lines.append(f"\n{POSES} poses; the scan scores {still.object_score:.3f}.")
    return "\n".join(lines)


def features_at(detector: Reg2Inv, points: Tensor) -> Tensor:
    """The network's features at each point of a scan, (N, 32), those of the nearest point of its grid."""
    assert detector.network is not None
    scan = read_scan(points, detector.config)
    grid, features = grid_features(detector.network, scan.points, scan.normals)
    return features[knn(grid, scan.apply(points), 1)[1][:, 0]]


@torch.no_grad()
def grid_features(network: Reg2InvNet, points: Tensor, normals: Tensor) -> tuple[Tensor, Tensor]:
    config = network.config
    grid, sides = thinned(points, normals, config.voxel)
    facing = surface_normals(grid, sides, config.network.normal_neighbors)
    return grid, network.riconv(neighborhoods(grid, facing, config))


def speed() -> str:
    """Seconds for 100,000 points, all of them centres of neighbourhoods, the median of five after one."""
    part = Part(FIRST, PartConfig(family="mug", points=120_000))
    points = part.scan(0).points[:100_000]
    config = Reg2InvConfig.paper()
    scan, riconv = read_scan(points, config), RIConv(config.network.feature_widths).eval()

    @torch.no_grad()
    def features() -> Tensor:
        return riconv(neighborhoods(scan.points, scan.normals, config))

    detector = Reg2Inv().fit([part.scan(number).points[:100_000] for number in range(4)])
    lines = [f"| {len(points):,} points | s |", "| --- | ---: |"]
    jobs: dict[str, Callable[[], object]] = {
        "neighbours and features at every point": features,
        "score, features at the grid": lambda: detector.score(points),
    }
    for name, job in jobs.items():
        lines.append(f"| {name} | {statistics.median(seconds(job) for _ in range(6)):.2f} |")
    return "\n".join(lines)


def seconds(job: Callable[[], object]) -> float:
    begun = time.perf_counter()
    job()
    return time.perf_counter() - begun


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    torch.manual_seed(0)
    if args.table in ("poses", "speed"):
        table, size = {"poses": poses, "speed": speed}[args.table](), ""
    else:
        rows = Rows(args.out, args.parts, few=True)
        table, size = {"choices": choices, "learning": learning}[args.table](rows), f" --parts {args.parts}"
    print(f"{table}\n\n`python benchmarks/reg2inv_ablation.py --table {args.table}{size}`; {machine()}")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", choices=("choices", "learning", "poses", "speed"), required=True)
    parser.add_argument("--parts", type=int, default=5, help="how many parts are learnt")
    parser.add_argument("--out", type=Path, default=Path("runs/reg2inv.jsonl"), help="JSON lines of the rows done")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
