"""Every command of docs/reproduce.md runs as it stands there, on small data of these layouts and a small backbone."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pointadplus.apps import cli
from pointadplus.clip import build_backbone, save_backbone
from pointadplus.config import read_toml
from pointadplus.learning.synthesis.dataset import SyntheticConfig, write_dataset
from pointadplus.learning.training.config import PUBLISHED, TrainConfig
from tests.zero_shot.test_colors import COLORED

PAGE = Path(__file__).parents[2] / "docs" / "reproduce.md"
CLASSES = {
    "mvtec-3d-ad": ("carrot", "cookie", "dowel", "potato"),
    "eyecandies": ("PeppermintCandy", "LicoriceSandwich", "Confetto", "GummyBear"),
    "real3d-ad": ("shell", "starfish", "seahorse", "duck"),
}


def config_text() -> str:
    found = re.search(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def commands() -> list[str]:
    """Those of the table; one row changes the row before it."""
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|") and "`" in line]
    found: list[str] = []
    for row in rows:
        parts = re.findall(r"`([^`]*)`", row)
        if parts[0].startswith("pointadplus "):
            found.append(parts[0])
        else:
            assert parts[0] == "--rgb" and parts[1].startswith("--out ")
            found.append(f"{found[-1].rpartition(' --out ')[0]} {parts[1]} --rgb")
    return found


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Four classes of each data set, under the names of published ones."""
    found = {}
    for layout, names in CLASSES.items():
        root = tmp_path_factory.mktemp(layout)
        families = ("brick", "wing_nut", "pitcher", "bird")
        size = {"image_size": 96} if layout != "real3d-ad" else {"points": (1000, 1500)}
        kinds = ("bulge", "dent")
        made = SyntheticConfig(families=families, train=0, normal=1, damaged=1, kinds=kinds, **size)  # type: ignore[arg-type]
        write_dataset(root, made, layout)
        for family, name in zip(families, names, strict=True):
            (root / family).rename(root / name)
        found[layout] = root
    return found


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's config but for sizes."""
    folder = tmp_path_factory.mktemp("config")
    backbone = folder / "backbone.safetensors"
    save_backbone(build_backbone(COLORED), backbone, {"data": "none"})
    text = config_text()
    for name, value in {"nodes": 256, "support": 700, "rendered": 700}.items():
        text, count = re.subn(rf"^{name} = .*$", f"{name} = {value}", text, flags=re.MULTILINE)
        assert count == 1
    text, count = re.subn(r'^backbone = "[^"]*"', f"backbone = {json.dumps(str(backbone))}", text, flags=re.MULTILINE)
    assert count == 1
    path = folder / "pointad.toml"
    path.write_text(text + "\n[optimization]\nepochs = 1\nwarmup = 0\ndecay = false\nema = 0.0\n")
    return path


def test_the_config_is_pointads(tmp_path: Path) -> None:
    path = tmp_path / "pointad.toml"
    path.write_text(config_text())
    config = read_toml(TrainConfig, path)
    assert config.model.mode == "pointad" and config.schedule == PUBLISHED
    assert (config.observation.views, config.observation.framing) == ("pointad9", "box")
    assert (config.model.prompts.context, config.model.prompts.deep_sets, config.model.prompts.init) == (
        12,
        8,
        "random",
    )


@pytest.mark.parametrize("command", commands())
def test_each_command_runs(command: str, roots: dict[str, Path], config: Path, tmp_path: Path) -> None:
    words = shlex.split(command)
    assert words[:3] == ["pointadplus", "protocol", "pointad.toml"]
    words = [str(config) if word == "pointad.toml" else word for word in words[1:]]
    for number, word in enumerate(words):
        if "=DIR" in word:
            words[number] = f"{word.partition('=')[0]}={roots[word.partition('=')[0]]}"
        if words[number - 1] == "--out":
            words[number] = str(tmp_path / word)
        if words[number - 1] == "--seeds":
            assert word == "0,1,2"
            words[number] = "0"
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    table = json.loads((tmp_path / words[words.index("--out") + 1] / "protocol.json").read_text())
    learnt = [words[n + 1] for n, word in enumerate(words) if word == "--train-on"]
    assert [row["trained_on"] for row in table["rows"]] == learnt and len(learnt) == 3
    scored = words[words.index("--test-on") + 1]
    for row in table["rows"]:
        dataset, _, own = row["trained_on"].partition(":")
        others = {name for name in CLASSES[scored] if dataset != scored or name != own}
        assert row["tested_on"].partition(":")[0] == scored
        assert set(row["tested_on"].partition(":")[2].split(",")) == others
        assert ("colors" in row["layers"]) == ("--rgb" in words)
        assert row["layers"]["joined"]["object_auroc"] is not None
    assert "**mean**" in result.output


def test_what_the_page_says_of_the_paper_is_told_as_the_papers() -> None:
    text = PAGE.read_text("utf-8")
    assert "figures beside them are the paper's" in text.replace("\n", " ")
