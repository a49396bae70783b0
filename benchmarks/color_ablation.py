"""What colours are worth at test time, and how their map should join: painted objects of families never trained on.

Every object is scored once, with colours; the rows join the same maps in other ways.

python benchmarks/color_ablation.py --layout synthetic --normal 5 --damaged 11 --seed 0
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from real_objects import machine
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from pointadplus import ZeroShotDetector
from pointadplus.data import open_dataset
from pointadplus.learning.synthesis.dataset import SyntheticConfig, write_dataset
from pointadplus.learning.synthesis.defects import KINDS
from pointadplus.learning.synthesis.paint import COLOR_KINDS
from pointadplus.zero_shot.fusion import EPSILON, top_mean


@dataclass(frozen=True, eq=False)
class Case:
    """One object: what shape says and what colours say, before they are joined.

    Attributes:
        category, kind: of the object.
        labels: (N,) of its points; None for a healthy one.
        shape, colors: (N,) maps in [0, 1].
        total, colors_total: object scores in [0, 1].
    """

    category: str
    kind: str
    labels: np.ndarray | None
    shape: Tensor
    colors: Tensor
    total: float
    colors_total: float


Rule = Callable[[Tensor, Tensor], Tensor]


def log_odds(share: float) -> Rule:
    """The weighted mean of log-odds."""
    return lambda shape, colors: torch.sigmoid(
        (1 - share) * torch.logit(shape, EPSILON) + share * torch.logit(colors, EPSILON)
    )


RULES: dict[str, Rule] = {
    "shape alone": lambda shape, colors: shape,
    "colours alone": lambda shape, colors: colors,
    "mean of probabilities (PointAD)": lambda shape, colors: (shape + colors) / 2,
    "larger of the two": torch.maximum,
    "either, as if independent": lambda shape, colors: 1 - (1 - shape) * (1 - colors),
    **{f"log-odds, {share:g} for colours": log_odds(share) for share in (0.25, 0.5, 0.75)},
}


def score(detector: ZeroShotDetector, layout: str, config: SyntheticConfig) -> list[Case]:
    """Make a data set, score its test objects, and take the joined score apart again."""
    share, top, found = detector.config.model.fusion.colors, detector.config.model.fusion.top, []
    with tempfile.TemporaryDirectory() as folder:
        for sample in open_dataset(layout, write_dataset(Path(folder) / "set", config, layout)).samples:
            if sample.split != "test":
                continue
            cloud, rows = sample.load()
            detection = detector.score(cloud, rgb=getattr(sample, "rgb_path", None) or True)
            colors = detection.layers["colors"].clamp(EPSILON, 1 - EPSILON)
            joined = detection.layers["joined"].clamp(EPSILON, 1 - EPSILON)
            colors_total = top_mean(colors, top)
            apart = lambda both, own: torch.sigmoid(  # noqa: E731
                (torch.logit(both) - share * torch.logit(own)) / (1 - share)
            )
            total = apart(torch.tensor(detection.object_score).clamp(EPSILON, 1 - EPSILON), colors_total)
            labels = None if rows is None or not sample.label else rows[cloud.valid_rows()].numpy()
            found.append(
                Case(
                    sample.category, sample.kind, labels, apart(joined, colors), colors,
                    float(total), float(colors_total),
                )
            )  # fmt: skip
    return found


def figures(cases: list[Case], kinds: tuple[str, ...] | None, rule: Rule) -> list[float]:
    """Pooled object AUROC against all healthy objects, mean point AUROC and mean point AP over damaged ones."""
    chosen = [case for case in cases if case.labels is None or kinds is None or case.kind in kinds]
    totals = [float(rule(torch.tensor(case.total), torch.tensor(case.colors_total))) for case in chosen]
    damaged = [case for case in chosen if case.labels is not None and case.labels.any()]
    maps = [rule(case.shape, case.colors).numpy() for case in damaged]
    pairs = [(case.labels, scores) for case, scores in zip(damaged, maps, strict=True)]
    return [
        roc_auc_score([case.labels is not None for case in chosen], totals),
        float(np.mean([roc_auc_score(labels, scores) for labels, scores in pairs])),
        float(np.mean([average_precision_score(labels, scores) for labels, scores in pairs])),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="embedded")
    parser.add_argument("--layout", default="synthetic", help="synthetic, folder, mvtec-3d-ad or eyecandies")
    parser.add_argument("--normal", type=int, default=5)
    parser.add_argument("--damaged", type=int, default=11)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    config = SyntheticConfig(
        seed=arguments.seed, train=0, normal=arguments.normal, damaged=arguments.damaged, painted=True,
        kinds=(*KINDS, *COLOR_KINDS),
    )  # fmt: skip
    cases = score(ZeroShotDetector(arguments.weights), arguments.layout, config)
    groups = {"defects of shape": KINDS, "defects of colour": COLOR_KINDS, "all": None}
    print(f"{len(cases)} objects, layout {arguments.layout}, seed {arguments.seed}, {machine()}; percent\n")
    print("| joined by | " + " | ".join(f"{name}: O | P | P-AP" for name in groups) + " |")
    print("| --- |" + " ---: |" * 9)
    for name, rule in RULES.items():
        values = [value for kinds in groups.values() for value in figures(cases, kinds, rule)]
        print(f"| {name} | " + " | ".join(f"{100 * value:.1f}" for value in values) + " |")


if __name__ == "__main__":
    main()
