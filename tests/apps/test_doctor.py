"""What `doctor` finds, and weights by name: import, list, pull."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pointadplus.apps import cli, doctor
from pointadplus.clip.store import HOME, named_file, stored_names, stored_weights
from pointadplus.clip.weights import load_backbone
from pointadplus.errors import ConfigError, WeightsError, install_command
from tests.small import small_backbone_file


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME, str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "home"


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def by_name() -> dict[str, doctor.Finding]:
    return {finding.what: finding for finding in doctor.examine()}


def test_this_installation_is_well() -> None:
    found = by_name()
    assert doctor.is_well(list(found.values())), [one for one in found.values() if one.state == "bad"]
    assert found["torch"].found == metadata.version("torch")
    assert load_backbone().digest in found["embedded weights"].found
    assert found["method mvr"].found.startswith("baselines.mvr")


def test_every_declared_requirement_is_looked_at() -> None:
    names = set(by_name())
    assert {"numpy", "open-clip-torch", "safetensors", "scipy", "torch-geometric", "typer"} <= names
    assert "beartype" not in names  # an extra's


def test_a_requirement_that_is_missing_or_old_comes_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["no-such-package>=2", "numpy>=999", "torch>=1"]
    monkeypatch.setattr(metadata, "requires", lambda name: wanted)
    missing, old, good = doctor._requirements()
    assert missing.state == old.state == "bad"
    assert missing.mend == "pip install 'no-such-package>=2'"
    assert ">=999" in old.found
    assert good.state == "good"
    assert good.mend == ""


def test_an_extra_that_is_missing_is_no_illness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_EXTRAS", {"some": "no_such_module"})
    found = by_name()["extra some"]
    assert found.state == "missing"
    assert found.mend == install_command("some")
    assert doctor.is_well([found])


def test_broken_weights_are_bad_and_end_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise WeightsError("the weights are damaged", where="embedded")

    monkeypatch.setattr(doctor, "_embedded", broken)
    output = run("doctor", code=1)
    assert "bad     embedded weights: embedded: the weights are damaged\n        pip install" in output
    assert "ViT-L-14-336 weights: not in the cache" in output


def test_imported_weights_are_found_by_name(tmp_path: Path, home: Path) -> None:
    file = small_backbone_file(tmp_path)
    output = run("weights", "import", file, "--name", "mine")
    kept, given = load_backbone("mine"), load_backbone(file)
    assert kept.digest == given.digest
    assert kept.digest in output
    assert stored_names() == ("mine",)
    assert stored_weights("mine") == home / "weights" / "mine.safetensors" == named_file("mine")
    listed = run("weights", "list")
    assert f"mine\timported\tdigest {given.digest}" in listed
    assert "hub:ViT-L-14-336\tnot here" in listed


def test_other_weights_than_expected_are_not_imported(tmp_path: Path) -> None:
    run("weights", "import", small_backbone_file(tmp_path), "--name", "mine", "--digest", "0" * 16, code=1)
    assert stored_names() == ()


@pytest.mark.parametrize("name", ["embedded", "../mine", "", "a/b", ".hidden", "x" * 65])
def test_names_that_cannot_be_given(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a name"):
        named_file(name)
    assert stored_weights(name) is None


def test_a_state_dict_must_tell_its_architecture(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from pointadplus.clip import build_backbone

    plain = tmp_path / "plain.safetensors"
    save_file(build_backbone(load_backbone(small_backbone_file(tmp_path)).config).model.state_dict(), plain)
    output = run("weights", "import", plain, "--name", "mine", code=1)
    assert "architecture" in output


def test_pull_without_a_network_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*where: str) -> str:
        raise OSError("offline mode is enabled")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    output = run("weights", "pull", "ViT-L-14-336", code=1)
    assert "weights import FILE" in output.replace("\n", " ")
    assert "offline mode is enabled" in output
