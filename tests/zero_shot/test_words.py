"""Words for regions: what geometry says of a region, and the reader that takes it to the text tower."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from heights import MeanHeight, command, write_scan
from torch import Tensor
from torch.nn.functional import normalize

from baselines.reg2inv.pairs import random_rotation
from pointadplus import ZeroShotDetector
from pointadplus.cloud import PointCloud
from pointadplus.errors import ConfigError, WeightsError
from pointadplus.io.tensors import write_tensors
from pointadplus.learning.synthesis.shapes import HELD_OUT
from pointadplus.learning.synthesis.specimens import make_specimen
from pointadplus.prompts.templates import DEFECT_KINDS, DEFECT_STATES
from pointadplus.zero_shot.observation import NODE_FEATURES, ObservationConfig, Observer
from pointadplus.zero_shot.region_reader import FORMAT, REGION_FEATURES, RegionReader, reader_of, region_vector
from pointadplus.zero_shot.words import check_words, name_parts, part_vector


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ball(dent: float = 0.0) -> Tensor:
    """Nodes on a sphere of diagonal about 1; within 0.1 of its top they lie deeper."""
    points = normalize(torch.randn(3000, 3, generator=generator()), dim=1) * 0.3
    top = (points - torch.tensor([0.0, 0.0, 0.3])).norm(dim=1) < 0.1
    points[top, 2] -= dent
    return points


def around_top(radius: float = 0.1) -> Tensor:
    """Which nodes of the ball lie about its top."""
    return (ball() - torch.tensor([0.0, 0.0, 0.3])).norm(dim=1) < radius


def told(nodes: Tensor, own: Tensor, values: Tensor | None = None, turn: Tensor | None = None) -> Tensor:
    """The vector of a region, of nodes whose descriptors are random."""
    turn = torch.eye(3) if turn is None else turn
    values = torch.rand(len(nodes), NODE_FEATURES, generator=generator(1)) if values is None else values
    return region_vector(nodes @ turn.T, normalize(nodes, dim=1) @ turn.T, values, own)


def test_a_region_is_described_alike_in_every_pose() -> None:
    nodes, own = ball(0.03), around_top()
    still = told(nodes, own)
    assert still.shape == (REGION_FEATURES,)
    torch.testing.assert_close(told(nodes, own, turn=random_rotation(generator(3))), still, atol=2e-3, rtol=1e-3)


def test_descriptors_are_compared_with_those_close_by() -> None:
    nodes, own = ball(), around_top()
    values = torch.full((len(nodes), NODE_FEATURES), 1.0)
    values[own] = 3.0
    values[own.nonzero()[0]] = 9.0  # one of many: no quantile sees it
    values[nodes[:, 2] < 0] = 100.0  # far away
    mean, low, high, spread = told(nodes, own, values)[: 4 * NODE_FEATURES].view(4, -1)[:, 0].tolist()
    share = 1 / int(own.sum())
    assert mean == pytest.approx(2.0 + 6.0 * share, abs=1e-4) and low == high == pytest.approx(2.0)
    assert spread == pytest.approx(6.0 * (share * (1 - share)) ** 0.5, abs=1e-4)


def test_heights_tell_a_dent_from_a_bulge() -> None:
    own = around_top()
    heights = {depth: float(told(ball(depth), own)[-3]) for depth in (0.03, -0.03)}  # the median, in hundredths
    assert heights[-0.03] - heights[0.03] == pytest.approx(6.0, abs=0.3)


@pytest.mark.parametrize("count", [3000, 1])
def test_a_region_of_all_nodes_or_of_one_has_a_vector(count: int) -> None:
    own = torch.arange(3000) < count
    assert torch.isfinite(told(ball(), own)).all()


def test_a_reader_is_of_one_backbone(tmp_path: Path) -> None:
    reader = RegionReader(20, 6, 8).eval()
    path = tmp_path / "words.safetensors"
    write_tensors(path, reader.state_dict(), {FORMAT: "digest"})
    again = reader_of("digest", path)
    assert again is not None
    vectors = torch.randn(5, 20, generator=generator())
    torch.testing.assert_close(again(vectors), reader(vectors))
    torch.testing.assert_close(again(vectors).norm(dim=1), torch.ones(5))
    assert reader_of("another", path) is None and reader_of("digest", tmp_path / "none") is None
    state = reader.state_dict()
    state["exit.bias"] = state["exit.bias"][:3]
    write_tensors(tmp_path / "short.safetensors", state, {FORMAT: "digest"})
    with pytest.raises(WeightsError, match="does not load"):
        reader_of("digest", tmp_path / "short.safetensors")


@pytest.mark.slow
def test_defects_are_called_by_their_names() -> None:
    """Two of each kind, on families that nothing was learnt from, the true region given; chance is 2 of 16."""
    detector = ZeroShotDetector()
    assert reader_of(detector.backbone.digest) is not None
    words = [states[0] for states in DEFECT_STATES.values()]
    right = 0
    for number, kind in enumerate(2 * DEFECT_KINDS):
        specimen = make_specimen(300 + number, HELD_OUT[number % len(HELD_OUT)], (15_000, 15_000), (kind,))
        part = specimen.labels.nonzero()[:, 0]
        cloud = PointCloud(specimen.points)
        [(word, share)] = name_parts(cloud, detector.observer, detector.backbone, [part], words)
        assert 1 / len(words) <= share <= 1
        right += word == DEFECT_STATES[kind][0]
    assert right >= 8


def test_a_part_without_a_node_is_told_by_the_nearest() -> None:
    """Only every other point is a node; a part of one point that is none, and a part of its nearest node, are alike."""
    observer = Observer(("depth",), 64, ObservationConfig(nodes=1500, support=1500))
    cloud = PointCloud(ball())
    picture = observer.picture(cloud)
    point = int(picture.order[2000])
    places = picture.normalization.apply(cloud.points)
    nearest = picture.order[(picture.nodes - places[point]).norm(dim=1).argmin()]
    vectors = [part_vector(picture, cloud, torch.tensor([row])) for row in (point, int(nearest))]
    torch.testing.assert_close(*vectors)


def test_words_are_looked_at_before_any_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for all scans, not one for each; and words alone, of which nothing would be written, are refused."""
    scan, out, table = write_scan(tmp_path / "scans" / "a.ply", *[0.75] * 9), tmp_path / "run", tmp_path / "regions.csv"
    for arguments in ((scan,), (scan.parent, "--out", out)):
        failed = command(monkeypatch, "score", *arguments, "--regions-csv", table, "--words", "dented,wobbly")
        assert failed.code == 1 and failed.out == "" and len(failed.err.splitlines()) == 1
        assert "found: wobbly" in failed.err and "such as bulging, dented" in failed.err
        alone = command(monkeypatch, "score", *arguments, "--words", "dented")
        assert alone.code == 1 and alone.out == "" and "nobody asked for" in alone.err
        assert command(monkeypatch, "score", *arguments, "--regions", "--words", " , ").code == 1
        given = command(monkeypatch, "score", *arguments, "--regions-csv", table, "--words", "dented, bent")
        (row, *_) = csv.DictReader(table.read_text().splitlines())
        assert given.code == 0 and row["word"] in ("dented", "bent")
    with pytest.raises(ConfigError, match="wobbly"):
        check_words(("wobbly",), MeanHeight())
