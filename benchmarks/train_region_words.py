"""Learn to call regions by name: geometry and patch features of damaged regions, read into the text tower's space.

Objects and defects are made in code. Those of families that nothing is learnt from say what it is worth: the share of
regions that are called by a word of their kind, with the true region given and with the region that the detector finds.
Objects are described once and kept, so that a run that was stopped goes on.

python benchmarks/train_region_words.py --keep runs/region_words
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from real_objects import machine
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from pointadplus import ZeroShotDetector
from pointadplus.clip.files import read_safetensors, write_tensors
from pointadplus.cloud import PointCloud
from pointadplus.errors import ConfigError
from pointadplus.geometry.neighbors import interpolate, knn
from pointadplus.naming import TEMPERATURE, part_vector
from pointadplus.naming.reader import EMBEDDED, FORMAT, RegionReader
from pointadplus.prompts.templates import CAPTION, DEFECT_KINDS, DEFECT_STATES
from pointadplus.synthesis.scan import ScanArtifacts, add_scan_artifacts
from pointadplus.synthesis.shapes import FAMILIES, HELD_OUT
from pointadplus.synthesis.specimens import make_specimen

LEARNT = tuple(family for family in FAMILIES if family not in HELD_OUT)
POINTS = (10_000, 20_000)
GROWN = (0, 4, 12)  # neighbours of a region's points that join it: a detector's regions are no more exact than that
FOUND = 0.3  # least share of the highest-scored points that lies on the defect, for a region to count as found


@dataclass(frozen=True)
class Described:
    """Regions around one defect.

    Attributes:
        vectors, lifted: (K, R) and (K, D), the true region first, then grown ones, then, last, the one that was found.
        found: whether there is one of these.
        kind: index into `DEFECT_KINDS`.
    """

    vectors: Tensor
    lifted: Tensor
    found: bool
    kind: int


@torch.no_grad()
def describe(detector: ZeroShotDetector, number: int, held_out: bool) -> Described | None:
    """The regions of one damaged object; None where its kind finds no place on it."""
    kind = DEFECT_KINDS[number % len(DEFECT_KINDS)]
    families = HELD_OUT if held_out else LEARNT
    family = families[(number // len(DEFECT_KINDS)) % len(families)]
    try:
        specimen = make_specimen(number, family, POINTS, (kind,))
    except ConfigError:
        return None
    generator = torch.Generator().manual_seed(number)
    points, _, kept = add_scan_artifacts(specimen.points, specimen.normals, generator, ScanArtifacts())
    labels = specimen.labels[kept]
    if int(labels.sum()) < 10:
        return None
    cloud = PointCloud.create(points)
    picture = detector.observer.picture(cloud)
    observation = detector.observer.observe(picture, detector.backbone)
    places = picture.normalization.apply(cloud.points)
    true = labels.nonzero()[:, 0]
    parts = [true]
    for grown in GROWN[1:]:
        parts.append(knn(places, places[true], grown)[1].flatten().unique())
    found = found_region(detector, cloud, labels)
    if found is not None:
        parts.append(found)
    vectors = torch.stack([part_vector(observation, picture, places, part) for part in parts])
    means = [interpolate(observation.features, picture.nodes, places[part]).mean(0) for part in parts]
    return Described(vectors, normalize(torch.stack(means), dim=1), found is not None, DEFECT_KINDS.index(kind))


def found_region(detector: ZeroShotDetector, cloud: PointCloud, labels: Tensor) -> Tensor | None:
    """The region with the highest peak, if enough of it is defect."""
    detection = detector.score(cloud)
    level = float(detection.valid_scores.quantile(0.98))
    regions = detection.regions(min(level, 0.5))
    if not regions or float(labels[regions[0].rows].float().mean()) < FOUND:
        return None
    return regions[0].rows


def keep(path: Path, made: Described | None) -> None:
    """Write what is known of an object; nothing of one that could not be made."""
    if made is None:
        write_tensors(path, {}, {"found": "no place"})
        return
    note = {"found": "yes" if made.found else "no", "kind": str(made.kind)}
    write_tensors(path, {"vectors": made.vectors, "lifted": made.lifted}, note)


def gather(detector: ZeroShotDetector, folder: Path, numbers: range, held_out: bool) -> list[Described]:
    """Described objects, from the folder where they are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    for number in numbers:
        path = folder / f"{number}.safetensors"
        if not path.exists():
            keep(path, describe(detector, number, held_out))
        state, note = read_safetensors(path)
        if state:
            out.append(Described(state["vectors"], state["lifted"], note["found"] == "yes", int(note["kind"])))
        if number % 50 == 0:
            print(f"{folder.name}: {number - numbers.start}/{len(numbers)}", file=sys.stderr, flush=True)
    return out


@torch.no_grad()
def texts_of(detector: ZeroShotDetector, states: dict[str, tuple[str, ...]]) -> tuple[Tensor, Tensor]:
    """(W, D) features of the words and (W,) the kind of each."""
    words = [(word, number) for number, kind in enumerate(states) for word in states[kind]]
    tokens = detector.backbone.tokenize([CAPTION.format(state=word, shape="object") for word, _ in words])
    return detector.backbone.encode_text(tokens).cpu(), torch.tensor([number for _, number in words])


def learn(described: list[Described], words: tuple[Tensor, Tensor], args: argparse.Namespace) -> RegionReader:
    """The reader after all epochs."""
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
            rows = [rng.randrange(len(each.vectors)) for each in batch]
            known = torch.stack([each.vectors[row] for each, row in zip(batch, rows, strict=True)])
            lifted = torch.stack([each.lifted[row] for each, row in zip(batch, rows, strict=True)])
            shares = (reader(known, lifted) @ texts.T / TEMPERATURE).softmax(1)
            kinds = torch.zeros(len(batch), len(DEFECT_KINDS)).index_add_(1, owners, shares)
            loss = cross_entropy(kinds.clamp_min(1e-9).log(), torch.tensor([each.kind for each in batch]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return reader.eval()


@torch.no_grad()
def judge(reader: RegionReader | None, described: list[Described], words: tuple[Tensor, Tensor]) -> str:
    """How many regions get a word of their kind, by kind, for the true and for the found region."""
    texts, owners = words
    rows = {"true region": [(each, 0) for each in described],
            "found region": [(each, -1) for each in described if each.found]}  # fmt: skip
    lines = [f"| | all | {' | '.join(DEFECT_KINDS)} |", "| --- |" + " ---: |" * (1 + len(DEFECT_KINDS))]
    for name, cases in rows.items():
        lifted = torch.stack([each.lifted[row] for each, row in cases])
        features = lifted if reader is None else reader(torch.stack([e.vectors[row] for e, row in cases]), lifted)
        said = owners[(features @ texts.T).argmax(1)]
        kinds = torch.tensor([each.kind for each, _ in cases])
        right = said == kinds
        cells = [f"{int(right[kinds == k].sum())} of {int((kinds == k).sum())}" for k in range(len(DEFECT_KINDS))]
        lines.append(f"| {name} | {int(right.sum())} of {len(right)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, required=True, help="folder of described objects")
    parser.add_argument("--objects", type=int, default=1200, help="learnt from")
    parser.add_argument("--judged", type=int, default=240, help="of families that nothing is learnt from")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--hidden", type=int, default=96)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=EMBEDDED)
    args = parser.parse_args()
    detector = ZeroShotDetector()
    first = 7_000_000
    learnt = gather(detector, args.keep / "learnt", range(first, first + args.objects), False)
    judged = gather(detector, args.keep / "judged", range(first, first + args.judged), True)
    words = texts_of(detector, dict(DEFECT_STATES))
    reader = learn(learnt, words, args)
    print(f"The tower alone:\n\n{judge(None, judged, words)}\n\nThe reader:\n\n{judge(reader, judged, words)}")
    write_tensors(args.out, reader.state_dict(), {FORMAT: detector.backbone.digest})
    size = args.out.stat().st_size / 1e3
    print(f"\n{len(learnt)} objects learnt from, {size:.0f} kB; {machine()}")


if __name__ == "__main__":
    main()
