"""The scanner of synthesis: what eyes see and do not see, how far readings are off, and twins scanned alike."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pointadplus.errors import ConfigError
from pointadplus.learning.synthesis.corpus import LABELLED, CorpusConfig, sample_healthy, sample_pair
from pointadplus.learning.synthesis.parts import Part, PartConfig
from pointadplus.learning.synthesis.scanner import SCANS, Scanner, ScannerConfig, draw_scanner
from pointadplus.learning.synthesis.scanner.errors import Errors
from pointadplus.learning.synthesis.scanner.reading import Surface, read

UP = torch.tensor([0.0, 0.0, 1.0])
SMALL = ScannerConfig(points=(3000, 5000), surface=12_000)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def only(kind: str) -> ScannerConfig:
    return replace(SMALL, shares=tuple(float(kind == name) for name in SCANS))


def ball(count: int = 12_000) -> tuple[Tensor, Tensor]:
    normals = normalize(torch.randn(count, 3, generator=generator()), dim=1)
    return 29 * normals, normals


def plates() -> tuple[Tensor, Tensor, Tensor]:
    """A square over a larger one, both looking up; and which points the upper one hides from far above."""
    points = torch.rand(20_000, 3, generator=generator()) - 0.5
    lower = points * torch.tensor([100.0, 100.0, 0.0])
    upper = points[:5000] * torch.tensor([40.0, 40.0, 0.0]) + torch.tensor([0.0, 0.0, 30.0])
    under = torch.cat([lower[:, :2].abs().amax(1) < 17, torch.zeros(5000, dtype=torch.bool)])
    return torch.cat([lower, upper]), UP.expand(25_000, 3), under


def flawless(points: Tensor) -> Errors:
    drawn = Errors.draw(generator(), points)
    return replace(
        drawn, noise=0.0, correlated=0.0, bias=0.0, shift=0.0, grazing=0.0, fade=1e-3, baseline=0.0, dark=0.0,
        shiny=False, flying=0.0, step=0.0,
    )  # fmt: skip


def test_an_eye_sees_what_faces_it_and_is_not_hidden() -> None:
    points, normals = ball()
    eye = torch.tensor([0.0, 0.0, 400.0])
    everything = torch.ones(len(points), dtype=torch.bool)
    seen = read(Surface(points, normals, 1.0, everything), eye, flawless(points), 4000, generator(), grid=False)
    assert ((eye - seen.points) * seen.normals).sum(1).gt(0).all()
    torch.testing.assert_close(seen.points, points[seen.source], atol=1e-3, rtol=0)
    assert len(seen.source.unique()) == len(seen.source)
    assert 2000 < len(seen.points) <= 4000

    points, normals, under = plates()
    everything = torch.ones(len(points), dtype=torch.bool)
    eye = torch.tensor([0.0, 0.0, 2000.0])
    seen = read(Surface(points, normals, 0.7, everything), eye, flawless(points), 15_000, generator(), grid=False)
    assert not under[seen.source].any()
    assert (seen.points[:, 2] > 20).sum() > 1000 and (seen.points[:, 2] < 10).sum() > 5000


def test_a_projector_throws_shadows_of_its_own() -> None:
    points, normals, _ = plates()
    surface = Surface(points, normals, 0.7, torch.ones(len(points), dtype=torch.bool))
    errors, eye = flawless(points), torch.tensor([0.0, 0.0, 2000.0])
    one = read(surface, eye, errors, 12_000, generator(), grid=False)
    both = read(surface, eye, replace(errors, baseline=0.3), 12_000, generator(), grid=False)
    gone = torch.ones(len(points), dtype=torch.bool).index_fill(0, both.source, False)
    ring = (points[:, 2] < 10) & (points[:, :2].abs().amax(1) > 21) & (points[:, :2].abs().amax(1) < 28)
    seen_by_eye = torch.zeros_like(ring).index_fill(0, one.source, True)
    assert (gone & ring & seen_by_eye).sum() > 0.15 * (ring & seen_by_eye).sum()


def test_readings_are_as_far_off_as_the_errors_say() -> None:
    points, normals = plates()[0][:20_000], plates()[1][:20_000]
    surface, eye = Surface(points, normals, 0.7, torch.ones(20_000, dtype=torch.bool)), torch.tensor([0.0, 0.0, 3000.0])
    noisy = replace(flawless(points), noise=0.05)
    off = read(surface, eye, noisy, 12_000, generator(), grid=False).points[:, 2]
    assert float(off.std()) == pytest.approx(0.05, rel=0.08)
    steps = read(surface, eye, replace(flawless(points), step=0.25), 12_000, generator(), grid=False).points[:, 2]
    assert float(steps.abs().max()) <= 0.25 and len((steps / 0.01).round().unique()) < 60
    shifted = [
        float(
            read(surface, eye, replace(flawless(points), shift=0.4), 5000, generator(s), grid=False).points[:, 2].mean()
        )
        for s in range(30)
    ]
    assert 0.12 < float(torch.tensor(shifted).std()) < 0.4  # a third of the variance, and the tilt's share


def test_an_organised_scan_lies_on_the_rays_of_its_pixels() -> None:
    """Pixels of a plane seen head on stand in a square grid, one reading each."""
    points, normals = plates()[0][:20_000], plates()[1][:20_000]
    surface, eye = Surface(points, normals, 0.7, torch.ones(20_000, dtype=torch.bool)), torch.tensor([0.0, 0.0, 3000.0])
    seen = read(surface, eye, flawless(points), 6000, generator(), grid=True).points
    assert seen[:, 2].abs().max() < 1e-2
    apart = seen[:, 0].sort().values.diff()
    assert (apart < 0.02).float().mean() > 0.9 and apart.max() > 0.5  # columns, and nothing between


@pytest.mark.parametrize("kind", SCANS)
def test_scans_are_drawn_by_their_seed_alone(kind: str) -> None:
    points, normals = ball()
    scans = [draw_scanner(generator(5), only(kind), points, normals).scan(points, normals) for _ in range(2)]
    assert torch.equal(scans[0].points, scans[1].points)
    other = draw_scanner(generator(6), only(kind), points, normals).scan(points, normals)
    assert other.points.shape != scans[0].points.shape or not torch.equal(other.points, scans[0].points)
    assert torch.isfinite(scans[0].points).all() and len(scans[0].points) > 500
    near = (scans[0].points.norm(dim=1) - 29).abs()
    assert near.quantile(0.95) < 0.012 * 100  # the diagonal is about 100


def test_what_stands_on_the_table_is_never_seen() -> None:
    points, normals = ball()
    for seed in range(6):
        scanner = draw_scanner(generator(seed), only("table"), points, normals)
        seen = scanner.scan(points, normals)
        assert ((seen.normals @ scanner.up < -0.85) & (seen.source >= 0)).float().mean() < 0.01
        turned_over = draw_scanner(generator(seed), only("around"), points, normals)
        assert ((turned_over.scan(points, normals).normals @ turned_over.up) < -0.85).float().mean() > 0.02


def test_a_lone_eye_is_aimed_at_the_damage() -> None:
    points, normals = ball()
    labels = points[:, 0] > 28
    for seed in range(8):
        seen = draw_scanner(generator(seed), only("single"), points, normals, labels).scan(points, normals)
        assert labels[seen.source[seen.source >= 0]].sum() > 10


def test_twins_are_put_before_the_same_scanner_and_damage_shows() -> None:
    config = CorpusConfig(families=("bottle", "housing", "bracket"), scanner=SMALL)
    shown = []
    for seed in range(10):
        healthy, damaged = sample_pair(seed, config)
        assert (healthy.scan, healthy.family) == (damaged.scan, damaged.family)
        assert not healthy.damaged and healthy.points.shape == healthy.normals.shape
        assert 0.8 < len(damaged.points) / len(healthy.points) < 1.25
        shown.append(int(damaged.labels.sum()) >= LABELLED)
    assert sum(shown) >= 8
    assert torch.equal(sample_pair(3, config)[1].points, sample_pair(3, config)[1].points)
    assert sample_healthy(3, config).kind == "good"


def test_wrong_shares_are_refused() -> None:
    with pytest.raises(ConfigError, match="shares"):
        ScannerConfig(shares=(1.0,))
    with pytest.raises(ConfigError, match="points"):
        ScannerConfig(points=(200, 100))
    assert isinstance(draw_scanner(generator(), SMALL, *ball()), Scanner)


def test_a_scanner_that_scans_again_errs_anew_but_in_its_own_way() -> None:
    points, normals = ball()
    for kind in SCANS:
        scanner = draw_scanner(generator(2), only(kind), points, normals)
        first, again, other = (
            scanner.scan(points, normals),
            scanner.scan(points, normals),
            scanner.scan(points, normals, 1),
        )
        assert torch.equal(first.points, again.points)
        assert not torch.equal(first.points[:500], other.points[:500])
        if kind != "even":
            off = [
                (scan.points - points[scan.source])[scan.source >= 0].norm(dim=1).median() for scan in (first, other)
            ]
            assert 0.6 < float(off[0] / off[1]) < 1.7


def test_a_part_is_scanned_by_one_scanner_in_one_place() -> None:
    part = Part(5, PartConfig(family="wing_nut", points=6000))
    scans = [part.scan(1, scan="table"), part.scan(2, scan="table"), part.scan(1, "bulge", scan="table")]
    assert [scan.scan for scan in scans] == ["table"] * 3
    assert not scans[0].damaged and scans[2].damaged and scans[2].kind == "bulge"
    # What faces down is seen by none: the same is missing of all.
    lengths = [float(scan.normals.mean(0).norm()) for scan in scans]
    assert max(lengths) - min(lengths) < 0.1 < min(lengths)


def test_a_part_knows_which_scans_there_are() -> None:
    part = Part(5, PartConfig(family="brick", points=1000))
    with pytest.raises(ConfigError, match=r"no such scan; expected: even, around, table, few, single; found: fused"):
        part.scan(1, scan="fused")
    with pytest.raises(ConfigError, match="no such kind"):
        part.scan(1, "rust")
