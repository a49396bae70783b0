"""PointAD as published, on the embedded backbone: its prompts learnt on synthetic objects of the training families.

    python benchmarks/train_pointad.py --run runs/pointad [--seed 0] [--normal 1] [--damaged 2]

Prints the path of the weights, for `pointadplus evaluate --weights`, and what an epoch takes with and without what the
backbone saw being kept.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from real_objects import machine

from pointadplus.data import open_dataset
from pointadplus.learning.synthesis.corpus import TRAINING_FAMILIES
from pointadplus.learning.synthesis.dataset import SyntheticConfig, write_dataset
from pointadplus.learning.training.config import DataConfig, TrainConfig
from pointadplus.learning.training.run import train
from pointadplus.zero_shot.model import ModelConfig
from pointadplus.zero_shot.observation import ObservationConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--normal", type=int, default=1, help="objects a family")
    parser.add_argument("--damaged", type=int, default=2, help="objects a family")
    arguments = parser.parse_args()

    data = arguments.run / "data"
    if not data.exists():
        made = SyntheticConfig(
            seed=arguments.seed,
            families=TRAINING_FAMILIES,
            train=0,
            normal=arguments.normal,
            damaged=arguments.damaged,
            points=(16_000, 24_000),
            training_families=True,
        )
        write_dataset(data, made, "synthetic")
    config = TrainConfig(
        DataConfig("synthetic", str(data)),
        seed=arguments.seed,
        observation=ObservationConfig(views="pointad9", framing="box"),
        model=ModelConfig(mode="pointad"),
    )
    marks: dict[str, float] = {}

    def note(stage: str, done: int, total: int) -> None:
        marks[f"{stage} {'last' if done == total else 'first' if done == 1 else 'inner'}"] = time.perf_counter()

    start = time.perf_counter()
    weights = train(config, arguments.run, report=note)
    observing = marks["observing last"] - start
    epoch = (marks["learning last"] - marks["learning first"]) / config.schedule.epochs
    count = len(open_dataset("synthetic", data).samples)
    print(weights)
    print(f"{count} objects; observing them {observing:.1f} s; an epoch {epoch:.2f} s with what was seen kept, and")
    print(f"{observing + epoch:.1f} s without: {(observing + epoch) / epoch:.0f} times as long; {machine()}")


if __name__ == "__main__":
    main()
