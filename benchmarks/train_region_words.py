"""Learn to call regions by name: geometry of damaged regions, read into the text tower's space.

Damaged objects are those of `train_zero_shot.py`, from its folder of lessons, where they have one kind of defect. Those
of families that nothing is learnt from say what it is worth: the share of regions that are called by a word of their
kind, with the true region given, and with the one that the detector finds.

    python benchmarks/train_region_words.py --lessons runs/zero_shot/lessons --pairs 1100 [--real DIR]

DIR holds labelled real objects in the layout of Anomaly-ShapeNet; they are named, too, and nothing is learnt from them.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from fusion_ablation import JUDGED
from real_objects import machine
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from pointadplus import ZeroShotDetector
from pointadplus.cloud import PointCloud
from pointadplus.data import Sample, open_dataset
from pointadplus.geometry.neighbors import knn
from pointadplus.io.tensors import write_tensors
from pointadplus.learning.synthesis.corpus import CorpusConfig
from pointadplus.learning.synthesis.defects import KINDS
from pointadplus.learning.synthesis.shapes import HELD_OUT
from pointadplus.learning.synthesis.specimens import GOOD
from pointadplus.learning.training.lessons import LessonCache, load_lesson
from pointadplus.prompts.templates import CAPTION, DEFECT_KINDS, DEFECT_STATES
from pointadplus.results.regions import find_regions
from pointadplus.zero_shot.observation import Observation
from pointadplus.zero_shot.region_reader import EMBEDDED, FORMAT, RegionReader, region_vector
from pointadplus.zero_shot.words import TEMPERATURE

GROWN = (4, 8, 16)  # neighbours of a true region's nodes that join it
LEVELS = (0.5, 0.3, 0.7)  # scores from which on a found region reaches; the first is the default of `regions`
SHARE = 0.98  # quantile of the scores that takes the place of a level that no node reaches
LIES = 0.3  # least share of a found region's nodes that is defect, for it to be called one
FEWEST = 5  # nodes of a region
REAL_KINDS = {"sink": "dent"}  # of the yardstick, where they go by another name


@dataclass(frozen=True)
class Described:
    """Regions of one damaged object.

    Attributes:
        vectors: (K, R): the true region; the one found at the default level; then, to learn from, others.
        lifted: (2, D), what the tower sees in the first two.
        found: whether one was found; if not, the second row repeats the first.
        kind: index into `DEFECT_KINDS`.
    """

    vectors: Tensor
    lifted: Tensor
    found: bool
    kind: int


@lru_cache(maxsize=1)
def detector() -> ZeroShotDetector:
    """The embedded one, once in a process."""
    return ZeroShotDetector()


@torch.no_grad()
def describe(seen: Observation, labels: Tensor, kind: str, seed: int) -> Described | None:
    """Regions of the nodes of one damaged object; None where too few show the damage."""
    true = labels.nonzero()[:, 0]
    if len(true) < FEWEST:
        return None
    judge, nodes = detector(), PointCloud(seen.nodes)
    scores = judge.model.verdict(judge.model(seen, texts=judge.texts)).layers["joined"].float()
    rows = []
    for level in LEVELS:
        regions = find_regions(nodes, scores, level) or find_regions(nodes, scores, float(scores.quantile(SHARE)))
        rows.append(regions[0].rows if regions and labels[regions[0].rows].float().mean() >= LIES else None)
    grown = GROWN[seed % len(GROWN)]
    parts = [true, true if rows[0] is None else rows[0], knn(seen.nodes, seen.nodes[true], grown)[1].flatten().unique()]
    parts += [part for part in rows[1:] if part is not None]
    own = [torch.zeros_like(labels).index_fill(0, part, True) for part in parts]
    vectors = torch.stack([region_vector(seen.nodes, seen.normals, seen.descriptors, part) for part in own])
    lifted = torch.stack([seen.features[part].mean(0) for part in parts[:2]])
    return Described(vectors, normalize(lifted, dim=1), rows[0] is not None, DEFECT_KINDS.index(kind))


def gather(folder: Path, numbers: Sequence[int], corpus: CorpusConfig) -> list[Described]:
    """The damaged ones of pairs, where they have defects of one kind."""
    judge = detector()
    cache = LessonCache(folder, judge.backbone, judge.observer, judge.model)
    found = []
    for number, path in zip(numbers, cache.of_pairs(numbers, corpus)[1::2], strict=True):
        lesson = load_lesson(path)
        kinds = lesson.kinds[lesson.labels].unique().tolist()
        if len(kinds) == 1:
            found.append(describe(lesson.observation, lesson.labels, KINDS[kinds[0]], number))
    return [each for each in found if each is not None]


def damaged(samples: Iterable[Sample]) -> Iterator[tuple[PointCloud, Tensor, str]]:
    """Cloud, labels and kind, one of `DEFECT_KINDS`, of those that are not normal."""
    for sample in samples:
        if sample.kind != GOOD:
            cloud, labels = sample.load()
            assert labels is not None
            yield cloud, labels, REAL_KINDS.get(sample.kind, sample.kind)


def real(root: Path) -> Iterator[Described]:
    """The damaged objects of a folder."""
    judge = detector()
    for number, (cloud, labels, kind) in enumerate(
        damaged(open_dataset("anomaly-shapenet", root).select(split="test"))
    ):
        picture = judge.observer.picture(cloud)
        seen = judge.observer.observe(picture, judge.backbone)
        told = describe(seen, labels[picture.order[: len(picture.nodes)]], kind, number)
        if told is not None:
            yield told


@torch.no_grad()
def texts_of(states: Mapping[str, Sequence[str]]) -> tuple[Tensor, Tensor]:
    """(W, D) features of the words and (W,) the kind of each."""
    words = [(word, number) for number, kind in enumerate(states) for word in states[kind]]
    backbone = detector().backbone
    tokens = backbone.tokenize([CAPTION.format(state=word, shape="object") for word, _ in words])
    return backbone.encode_text(tokens).cpu(), torch.tensor([number for _, number in words])


def learn(described: list[Described], words: tuple[Tensor, Tensor], args: argparse.Namespace) -> RegionReader:
    """The reader after all epochs. Each object counts once in an epoch, by any of its regions."""
    texts, owners = words
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    vectors = torch.cat([each.vectors for each in described])
    reader = RegionReader(vectors.shape[1], texts.shape[1], args.hidden)
    reader.center.copy_(vectors.median(0).values)
    reader.spread.copy_((vectors.quantile(0.9, 0) - vectors.quantile(0.1, 0)).clamp_min(1e-4) / 2)
    optimizer = torch.optim.AdamW(reader.parameters(), args.rate, weight_decay=args.decay)
    steps = args.epochs * math.ceil(len(described) / args.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.rate, steps)
    reader.train()
    for _ in range(args.epochs):
        order = rng.sample(described, len(described))
        for start in range(0, len(order), args.batch):
            batch = order[start : start + args.batch]
            known = torch.stack([each.vectors[rng.randrange(len(each.vectors))] for each in batch])
            shares = (reader(known) @ texts.T / TEMPERATURE).softmax(1)
            kinds = torch.zeros(len(batch), len(DEFECT_KINDS)).index_add(1, owners, shares)
            loss = cross_entropy(kinds.clamp_min(1e-9).log(), torch.tensor([each.kind for each in batch]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return reader.eval()


@torch.no_grad()
def judge(reader: RegionReader | None, described: list[Described], words: tuple[Tensor, Tensor]) -> Iterator[str]:
    """Rows of a table: how many regions get a word of their kind, by kind, for the true and for the found region."""
    texts, owners = words
    who = "tower" if reader is None else "reader"
    for row, name in enumerate(("true", "found")):
        cases = [each for each in described if each.found or row == 0]
        features = torch.stack([each.lifted[row] if reader is None else each.vectors[row] for each in cases])
        features = features if reader is None else reader(features)
        kinds = torch.tensor([each.kind for each in cases])
        right = owners[(features @ texts.T).argmax(1)] == kinds
        cells = [f"{int(right[kinds == k].sum())} of {int((kinds == k).sum())}" for k in range(len(DEFECT_KINDS))]
        yield f"| {name} | {who} | {right.float().mean():.0%} | {' | '.join(cells)} |"


def report(reader: RegionReader, described: list[Described], words: tuple[Tensor, Tensor]) -> str:
    """The table of some objects."""
    head = f"| region | read by | all | {' | '.join(DEFECT_KINDS)} |"
    rule = "| --- | --- |" + " ---: |" * (1 + len(DEFECT_KINDS))
    return "\n".join([head, rule, *judge(None, described, words), *judge(reader, described, words)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lessons", type=Path, required=True, help="folder of `train_zero_shot.py`")
    parser.add_argument("--real", type=Path, help="folder of real ones")
    parser.add_argument("--pairs", type=int, default=1100, help="whose damaged ones are learnt from")
    parser.add_argument("--judged", type=int, default=80, help="pairs of families that nothing is learnt from")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=EMBEDDED)
    args = parser.parse_args()
    learnt = gather(args.lessons, range(args.pairs), CorpusConfig())
    judged = gather(args.lessons, range(JUDGED, JUDGED + args.judged), CorpusConfig(families=HELD_OUT))
    words = texts_of(DEFECT_STATES)
    reader = learn(learnt, words, args)
    print(f"Synthetic objects of other families:\n\n{report(reader, judged, words)}\n")
    if args.real is not None:
        print(f"Real objects:\n\n{report(reader, list(real(args.real)), words)}\n")
    state = {name: value.half() for name, value in reader.state_dict().items()}
    write_tensors(args.out, state, {FORMAT: detector().backbone.digest})
    print(f"{len(learnt)} objects learnt from, {args.out.stat().st_size / 1e3:.0f} kB; {machine()}")


if __name__ == "__main__":
    main()
