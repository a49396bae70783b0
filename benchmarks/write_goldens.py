"""Write the golden scores that tests/zero_shot/test_embedded.py compares with; run after the weights changed.

python benchmarks/write_goldens.py
"""

from __future__ import annotations

import json
from pathlib import Path

from pointadplus import ZeroShotDetector
from pointadplus.learning.synthesis.corpus import CorpusConfig, sample_pair
from pointadplus.learning.synthesis.scanner import ScannerConfig
from pointadplus.learning.synthesis.shapes import HELD_OUT


def main() -> None:
    detector = ZeroShotDetector()
    scanner = ScannerConfig(shares=(1.0, 0.0, 0.0, 0.0, 0.0), points=(16_000, 17_000))
    corpus = CorpusConfig(families=HELD_OUT, scanner=scanner)
    scores = [
        [round(detector.score(half.points).object_score, 5) for half in sample_pair(440_000_008 + i, corpus)]
        for i in range(6)
    ]
    path = Path(__file__).resolve().parent.parent / "tests" / "goldens" / "embedded.json"
    path.write_text(json.dumps({"digest": detector.backbone.digest, "object_scores": scores}, indent=1) + "\n")
    print(path.read_text())


if __name__ == "__main__":
    main()
