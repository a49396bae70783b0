"""The exported image tower says what the backbone says, on a runtime of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pointadplus.apps.cli import app
from pointadplus.clip import load_backbone
from pointadplus.clip.backbone import Backbone
from pointadplus.clip.onnx import export_image_tower
from pointadplus.errors import ConfigError, install_command

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone(precision="float32").freeze()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("onnx") / "new" / "tower.onnx"
    result = CliRunner().invoke(app, ["weights", "export-onnx", "--out", str(path)])
    assert result.exit_code == 0, result.output
    assert [entry.name for entry in path.parent.iterdir()] == ["tower.onnx"], "one file, with its weights inside"
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("views", [1, 2, 7])
def test_features_are_the_backbones(session, backbone: Backbone, views: int) -> None:
    images = torch.rand(views, len(backbone.channels), 96, 96, generator=torch.Generator().manual_seed(views))
    patches, whole = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        tokens = backbone.encode_image(backbone.normalize(images))
    np.testing.assert_allclose(patches, tokens.patch_features.numpy(), atol=2e-6)
    np.testing.assert_allclose(whole, tokens.global_features.numpy(), atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(patches, axis=-1), 1, atol=1e-5)


def test_the_file_says_what_it_is(session, backbone: Backbone) -> None:
    facts = session.get_modelmeta().custom_metadata_map
    assert facts["pointadplus.digest"] == backbone.digest
    assert tuple(json.loads(facts["pointadplus.channels"])) == backbone.channels
    assert (facts["pointadplus.image_size"], facts["pointadplus.patch_grid"]) == ("96", "[12, 12]")
    assert [given.name for given in session.get_inputs()] == ["images"]
    assert [given.name for given in session.get_outputs()] == ["patch_features", "global_features"]


def test_the_backbone_stays_as_it_was(tmp_path: Path) -> None:
    backbone = load_backbone(precision="bfloat16")
    digest, trainable = backbone.digest, [parameter.requires_grad for parameter in backbone.parameters()]
    export_image_tower(backbone, tmp_path / "tower.onnx")
    assert (backbone.digest, backbone.precision) == (digest, "bfloat16")
    assert [parameter.requires_grad for parameter in backbone.parameters()] == trainable


def test_what_is_not_installed_is_named(backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pointadplus.clip.onnx.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=re.escape(install_command("onnx"))):
        export_image_tower(backbone, tmp_path / "tower.onnx")
    assert not list(tmp_path.iterdir())
