"""Words for regions: what geometry says of a region, and the reader that takes it to the text tower."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from baselines.reg2inv.pairs import random_rotation
from pointadplus import ZeroShotDetector
from pointadplus.clip.files import write_tensors
from pointadplus.cloud import PointCloud
from pointadplus.errors import WeightsError
from pointadplus.geometry.descriptors import DESCRIPTORS
from pointadplus.naming import name_parts
from pointadplus.naming.reader import FORMAT, SHAPE, RegionReader, reader_of, region_vector
from pointadplus.observation import NODE_FEATURES, Observation
from pointadplus.prompts.templates import DEFECT_KINDS, DEFECT_STATES
from pointadplus.synthesis.shapes import HELD_OUT
from pointadplus.synthesis.specimens import make_specimen


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ball(dent: float = 0.0) -> Tensor:
    """Nodes on a sphere of diagonal about 1; within 0.1 of its top they lie deeper."""
    points = normalize(torch.randn(3000, 3, generator=generator()), dim=1) * 0.3
    top = (points - torch.tensor([0.0, 0.0, 0.3])).norm(dim=1) < 0.1
    points[top, 2] -= dent
    return points


def observed(nodes: Tensor, turn: Tensor | None = None) -> Observation:
    turn = torch.eye(3) if turn is None else turn
    count, nothing = len(nodes), torch.zeros(1, len(nodes))
    values = torch.rand(count, NODE_FEATURES, generator=generator(1))
    return Observation(
        nodes @ turn.T, normalize(nodes, dim=1) @ turn.T, values, torch.zeros(count, 4),
        torch.zeros(1, count, 2), nothing > 1, torch.zeros(1, 4, 4), (2, 2), torch.zeros(1, 4), 8,
    )  # fmt: skip


def test_a_region_is_described_alike_in_every_pose() -> None:
    nodes = ball(0.03)
    own = (nodes - torch.tensor([0.0, 0.0, 0.27])).norm(dim=1) < 0.1
    still = region_vector(observed(nodes), own)
    assert still.shape == (3 * NODE_FEATURES + SHAPE,) and NODE_FEATURES > DESCRIPTORS
    turned = region_vector(observed(nodes, random_rotation(generator(3))), own)
    torch.testing.assert_close(turned, still, atol=2e-3, rtol=1e-3)
    inside = observed(nodes).descriptors[own]
    torch.testing.assert_close(still[:NODE_FEATURES], inside.mean(0))
    torch.testing.assert_close(still[NODE_FEATURES : 2 * NODE_FEATURES], inside.std(0, correction=0))


def test_heights_tell_a_dent_from_a_bulge() -> None:
    heights = {}
    for depth in (0.03, -0.03):
        nodes = ball(depth)
        own = (ball() - torch.tensor([0.0, 0.0, 0.3])).norm(dim=1) < 0.1
        heights[depth] = float(region_vector(observed(nodes), own)[-3])  # the median, in hundredths
    assert heights[-0.03] - heights[0.03] == pytest.approx(6.0, abs=0.3)


def test_a_region_of_all_nodes_or_of_one_has_a_vector() -> None:
    nodes = ball()
    own = torch.ones(len(nodes), dtype=torch.bool)
    assert torch.isfinite(region_vector(observed(nodes), own)).all()
    own[1:] = False
    assert torch.isfinite(region_vector(observed(nodes), own)).all()


def test_a_reader_is_of_one_backbone(tmp_path: Path) -> None:
    reader = RegionReader(20, 6, 8).eval()
    path = tmp_path / "words.safetensors"
    write_tensors(path, reader.state_dict(), {FORMAT: "digest"})
    again = reader_of("digest", path)
    assert again is not None
    vectors, lifted = torch.randn(5, 20, generator=generator()), normalize(torch.ones(5, 6), dim=1)
    torch.testing.assert_close(again(vectors, lifted), reader(vectors, lifted))
    torch.testing.assert_close(again(vectors, lifted).norm(dim=1), torch.ones(5))
    assert reader_of("another", path) is None and reader_of("digest", tmp_path / "none") is None
    state = reader.state_dict()
    state["exit.bias"] = state["exit.bias"][:3]
    write_tensors(tmp_path / "short.safetensors", state, {FORMAT: "digest"})
    with pytest.raises(WeightsError, match="does not load"):
        reader_of("digest", tmp_path / "short.safetensors")


@pytest.mark.slow
def test_defects_are_called_by_their_names() -> None:
    """One of each kind, on families that nothing was learnt from, the true region given; chance is one of eight."""
    detector = ZeroShotDetector()
    assert reader_of(detector.backbone.digest) is not None
    words = [states[0] for states in DEFECT_STATES.values()]
    right = 0
    for number, kind in enumerate(DEFECT_KINDS):
        specimen = make_specimen(300 + number, HELD_OUT[number % len(HELD_OUT)], (15_000, 15_000), (kind,))
        part = specimen.labels.nonzero()[:, 0]
        cloud = PointCloud.create(specimen.points)
        [(word, share)] = name_parts(cloud, detector.observer, detector.backbone, [part], words)
        assert 1 / len(words) <= share <= 1
        right += word == DEFECT_STATES[kind][0]
    assert right >= 4
