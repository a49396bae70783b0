"""Score labelled real objects and print the table that the README shows.

    python benchmarks/real_objects.py --root DIR [--categories mug,bolt] [--methods pointad+,fpfh-memory-bank]
                                      [--out result.json] [--readme]

DIR holds `<category>/{train,test,GT}` in the layout of Anomaly-ShapeNet.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from baselines_reference import MemoryBank, SelfReference, SurfaceVariation, Symmetry

from baselines import MVR, FPFHMemoryBank, Reg2Inv, SurfaceDeviation
from pointadplus.data import Sample, open_dataset
from pointadplus.errors import PointADPlusError
from pointadplus.evaluation import BenchmarkResult, evaluate
from pointadplus.evaluation.benchmark import Scorer
from pointadplus.results.detector import FitProgress

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- benchmark:real-objects -->", "<!-- /benchmark:real-objects -->"


def zero_shot() -> Scorer:
    """PointAD+ as a user gets it."""
    from pointadplus import ZeroShotDetector

    return ZeroShotDetector()


class LearntReg2Inv(Reg2Inv):
    """Learns its features on the part itself, in place of the embedded ones."""

    def fit(self, normals: Iterable[Any], progress: FitProgress | None = None) -> LearntReg2Inv:
        super().fit(normals, progress, train=True)
        return self


METHODS: Mapping[str, Callable[[], Scorer]] = {
    "pointad+": zero_shot,
    "memory-bank": FPFHMemoryBank,
    "surface-deviation": SurfaceDeviation,
    "mvr": MVR,
    "reg2inv": Reg2Inv,
    "reg2inv-small": LearntReg2Inv,
    "surface-variation": SurfaceVariation,
    "fpfh-self-reference": SelfReference,
    "symmetry": Symmetry,
    "fpfh-memory-bank": MemoryBank,
}


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    torch.manual_seed(args.seed)
    notes = {"command": command(args), "seed": str(args.seed), "machine": machine()}
    try:
        dataset = open_dataset("anomaly-shapenet", args.root)
        results = {}
        for name in args.methods:
            result = evaluate(METHODS[name](), dataset, categories=args.categories, progress=show(name))
            results[name] = replace(result, notes={**result.notes, **notes})
    except PointADPlusError as error:
        sys.exit(f"real_objects.py: {error}")
    text = report(results)
    print(text)
    if args.out is not None:
        entries = {name: json.loads(result.to_json()) for name, result in results.items()}
        args.out.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    if args.readme:
        README.write_text(between_markers(README.read_text(encoding="utf-8"), text), encoding="utf-8")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", type=Path, required=True, help="folder of the categories")
    parser.add_argument("--categories", type=names, help="comma-separated subset")
    parser.add_argument("--methods", type=names, default=["pointad+"], help=f"any of {', '.join(METHODS)}")
    parser.add_argument("--seed", type=int, default=0, help="of torch's global generator")
    parser.add_argument("--out", type=Path, help="write every figure and score as JSON")
    parser.add_argument("--readme", action="store_true", help="write the table between the README's markers")
    args = parser.parse_args(argv)
    unknown = sorted(set(args.methods) - METHODS.keys())
    if unknown:
        parser.error(f"--methods: expected any of {', '.join(METHODS)}; found {', '.join(unknown)}")
    return args


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def command(args: argparse.Namespace) -> str:
    """The options that decide the figures; where the files lie does not."""
    parts = ["python benchmarks/real_objects.py --root DIR"]
    if args.categories:
        parts.append(f"--categories {','.join(args.categories)}")
    parts.append(f"--methods {','.join(args.methods)} --seed {args.seed}")
    return f"`{' '.join(parts)}`"


def machine() -> str:
    """Processor, cores and versions, without the host's name."""
    cuda = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    cores = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{platform.system()} {platform.machine()}, {cores}{cuda}, {versions}"


def report(results: Mapping[str, BenchmarkResult]) -> str:
    """All methods and their layers in one table, then the details of the first."""
    lines = [
        "| method | map | O-AUROC | P-AUROC | P-AP | O pooled | s / cloud |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, result in results.items():
        for key, figures in result.maps.items():
            mean = figures.mean
            values = (mean.object_auroc, mean.point_auroc, mean.point_ap, figures.pooled_object_auroc)
            cells = " | ".join("–" if value is None else f"{100 * value:.1f}" for value in values)
            lines.append(f"| {name} | {key} | {cells} | {result.seconds_per_cloud:.2f} |")
    name, first = next(iter(results.items()))
    return "\n".join(lines) + f"\n\nDetails of {name}:\n\n{first.to_markdown()}"


def between_markers(page: str, table: str) -> str:
    """The page with `table` in place of what stood between the markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"real_objects.py: {README.name}: no place for the table; expected: {BEGIN} and then {END}")
    return f"{before}{BEGIN}\n{table.strip()}\n{END}{after}"


def show(method: str) -> Callable[[int, int, Sample], None]:
    def progress(done: int, total: int, sample: Sample) -> None:
        print(f"\r\033[K{method} {done}/{total} {sample.path.stem}", end="\n" if done == total else "", file=sys.stderr)

    return progress


if __name__ == "__main__":
    main()
