"""Reg2Inv's network: naive twins, closed forms, and the paper's size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from baselines.reg2inv.config import NetworkConfig, Reg2InvConfig, TrainingConfig
from baselines.reg2inv.kpconv import KPConv, influences, kernel_disposition
from baselines.reg2inv.losses import circle_loss, transport_labels, transport_loss
from baselines.reg2inv.matching import (
    LearnedTransport,
    Patches,
    coarse_matches,
    correspondences,
    dual_normalized,
    partition,
    superpoint_overlaps,
)
from baselines.reg2inv.model import Reg2InvNet, build_network
from baselines.reg2inv.transformer import Attention, StructureEmbedding, sinusoids, triplet_angles
from tests.reference.reg2inv_network import circle, kernel_convolution, overlap, sinkhorn, sinusoid, structure

TINY = NetworkConfig(
    neighbors=8, feature_widths=(8, 8, 8), width=8, groups=2, fine_dim=8, hidden=8, heads=2, blocks=1, coarse_dim=8
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def parameters(module: torch.nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


@pytest.fixture(scope="module")
def paper() -> Reg2InvNet:
    state = torch.get_rng_state()
    network = build_network(Reg2InvConfig.paper(), (38, 36, 36))
    assert torch.equal(state, torch.get_rng_state())
    return network.eval()


def test_the_papers_network_has_the_papers_size(paper: Reg2InvNet) -> None:
    assert parameters(paper.riconv) == 4_736
    assert parameters(paper.riconv) + parameters(paper.backbone) == 1_555_904
    assert parameters(paper.transformer) == 3_688_704
    assert parameters(paper) == 5_244_610


def test_kernel_points_are_a_centre_and_an_even_shell() -> None:
    points = kernel_disposition(15, 0.66, generator())
    assert torch.equal(points, kernel_disposition(15, 0.66, generator()))
    radii = points.norm(dim=1)
    assert radii[0] < 0.06 and (radii[1:] - 0.66).abs().max() < 0.06
    apart = torch.cdist(points[1:], points[1:]) + 9 * torch.eye(14)
    assert apart.min() > 0.5  # 14 random points come as near as 0.1


def test_the_influence_falls_linearly() -> None:
    kernel = torch.tensor([[0.0, 0, 0], [1, 0, 0]])
    found = influences(torch.tensor([[[0.0, 0, 0], [0.5, 0, 0], [3, 0, 0]]]), kernel, 2.0)
    torch.testing.assert_close(found, torch.tensor([[[1.0, 0.75, 0], [0.5, 0.75, 0]]]), atol=1e-4, rtol=0)


def test_the_convolution_is_its_naive_twin() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = KPConv((3, 4), 0.5, 0.4, kernel_disposition(5, 0.66, generator()))
        support, features, queries = torch.rand(30, 3), torch.randn(30, 3), torch.rand(7, 3)
    lists = [[j for j in range(30) if (support[j] - query).norm() < 0.5] for query in queries]
    assert min(map(len, lists)) > 0
    longest = max(map(len, lists)) + 2
    table = torch.tensor([near + [30] * (longest - len(near)) for near in lists])
    weights = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    weights |= {"kernel": layer.kernel.numpy(), "sigma": 0.4}
    slow = kernel_convolution(features.numpy(), queries.numpy(), support.numpy(), lists, weights)
    np.testing.assert_allclose(layer(features, queries, support, table).detach().numpy(), slow, atol=1e-4)


def test_the_structure_embedding_is_its_naive_twin_and_forgets_the_pose() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        embedding = StructureEmbedding(TINY)
        points = torch.rand(9, 3)
        turn = torch.linalg.qr(torch.randn(3, 3))[0]
    layers = {name: value.detach().numpy() for name, value in embedding.named_parameters()}
    layers = {name.replace(".weight", "").replace(".bias", "_bias"): value for name, value in layers.items()}
    slow = structure(points.numpy(), 3, TINY.sigma_distance, TINY.sigma_angle, layers, TINY.hidden)
    np.testing.assert_allclose(embedding(points).detach().numpy(), slow, atol=2e-4)
    torch.testing.assert_close(embedding(points @ turn.T + 3), embedding(points), atol=1e-3, rtol=0)
    torch.testing.assert_close(sinusoids(torch.tensor(1.7), 8), torch.from_numpy(sinusoid(1.7, 8)).float())


def test_angles_of_a_right_triangle() -> None:
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 2, 0]])
    found = torch.rad2deg(triplet_angles(points, 1))[..., 0]
    torch.testing.assert_close(found[0], torch.tensor([0.0, 0, 90]))  # the nearest of the origin is the second
    torch.testing.assert_close(found[2], torch.tensor([0, 26.565, 0]), atol=1e-3, rtol=0)


def test_attention_adds_what_the_pair_says() -> None:
    """Against keys with the embedding's projection added pair by pair (GeoTransformer, eq. 5)."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = Attention(8, 2, relative=True)
        features, embedding = torch.randn(5, 8), torch.randn(5, 5, 8)
    assert layer.relative is not None
    query, key, value, pair = (
        layer.query(features),
        layer.key(features),
        layer.value(features),
        layer.relative(embedding),
    )
    heard = torch.zeros(5, 8)
    for i in range(5):
        for head in (slice(0, 4), slice(4, 8)):
            scores = torch.stack([query[i, head] @ (key[j, head] + pair[i, j, head]) for j in range(5)]) / 2
            heard[i, head] = scores.softmax(0) @ value[:, head]
    slow = layer.norm(features + layer.linear(heard))
    slow = layer.output_norm(slow + layer.squeeze(layer.expand(slow).relu()))
    torch.testing.assert_close(layer(features, features, embedding), slow, atol=1e-5, rtol=0)


def test_each_point_goes_to_its_nearest_superpoint() -> None:
    points, nodes = torch.rand(80, 3, generator=generator()), torch.rand(6, 3, generator=generator(1))
    patches = partition(points, nodes, 10)
    table = torch.cdist(points, nodes)
    for node in range(6):
        own = [i for i in table[:, node].argsort().tolist() if table[i].argmin() == node][:10]
        assert patches.index[node].tolist() == own + [80] * (10 - len(own))
        assert patches.mask[node].sum() == len(own)
        assert (patches.owner[own] == node).all()
    assert (patches.owner >= 0).sum() == patches.mask.sum()


def test_overlaps_are_those_of_every_pair_of_patches() -> None:
    points = torch.rand(150, 3, generator=generator()), torch.rand(120, 3, generator=generator(1))
    nodes = points[0][:7] + 0.01, points[1][:5] + 0.01
    patches = partition(points[0], nodes[0], 15), partition(points[1], nodes[1], 15)
    fast = superpoint_overlaps(points, nodes, patches, 0.02, 0.5)
    for i in range(7):
        for j in range(5):
            first = points[0][patches[0].index[i][patches[0].mask[i]]]
            second = points[1][patches[1].index[j][patches[1].mask[j]]]
            assert fast[i, j].item() == pytest.approx(overlap(first.numpy(), second.numpy(), 0.02), abs=1e-5)
    assert (fast > 0).any() and (fast == 0).any()


def test_dual_normalisation_and_the_best_pairs() -> None:
    first, second = (normalize(torch.randn(n, 4, generator=generator(n)), dim=1) for n in (5, 4))
    plain = torch.exp(-torch.cdist(first, second).square())
    torch.testing.assert_close(dual_normalized(first, second, dual=False), plain)
    both = dual_normalized(first, second)
    torch.testing.assert_close(both, plain.square() / (plain.sum(1, keepdim=True) * plain.sum(0)))
    filled = torch.tensor([True, True, False, True, True]), torch.tensor([True] * 4)
    pairs = coarse_matches(both, filled, 3)
    values = both[pairs[:, 0], pairs[:, 1]]
    usable = both[filled[0]].flatten()
    torch.testing.assert_close(values, usable.sort(descending=True).values[:3])
    assert len(coarse_matches(both, filled, 99)) == 16 and 2 not in pairs[:, 0]


def test_the_transport_keeps_its_marginals_and_is_its_naive_twin() -> None:
    scores = torch.randn(2, 4, 5, generator=generator())
    rows, columns = torch.ones(2, 4, dtype=torch.bool), torch.ones(2, 5, dtype=torch.bool)
    rows[1, 3], columns[1, 4], columns[1, 3] = False, False, False
    layer = LearnedTransport(100)
    found = layer(scores, rows, columns).detach().exp()
    np.testing.assert_allclose(found[0].numpy(), sinkhorn(scores[0].numpy(), 1.0, 100), atol=1e-4)
    np.testing.assert_allclose(
        found[1][:, :3][:3].numpy(), sinkhorn(scores[1, :3, :3].numpy(), 1.0, 100)[:3, :3], atol=1e-4
    )
    torch.testing.assert_close(found[0, :-1].sum(1), torch.ones(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(found[0, :, :-1].sum(0), torch.ones(5), atol=1e-4, rtol=0)
    assert found[0, -1].sum().item() == pytest.approx(5, abs=1e-3) and found[0, :, -1].sum().item() == pytest.approx(4)
    assert found[1, 3].sum() == 0 and found[1, :, 3:5].sum() == 0


def test_correspondences_are_mutual_likely_and_real() -> None:
    probabilities = torch.tensor([[0.6, 0.3, 0.0], [0.5, 0.02, 0.1], [0.2, 0.06, 0.9]])
    log_scores = torch.full((1, 4, 4), -9.0)
    log_scores[0, :3, :3] = probabilities.clamp_min(1e-9).log()
    mask = torch.tensor([[True, True, True]])
    patches = (
        Patches(torch.tensor([[10, 11, 12]]), mask, torch.zeros(13, dtype=torch.int64)),
        Patches(torch.tensor([[5, 6, 7]]), mask, torch.zeros(8, dtype=torch.int64)),
    )
    zero = torch.zeros(1, 2, dtype=torch.int64)
    found = correspondences(log_scores, patches, zero, 1, 0.05)
    assert found.tolist() == [[10, 5], [12, 7]]
    expected = [[10, 5], [10, 6], [11, 5], [11, 7], [12, 7]]
    assert correspondences(log_scores, patches, zero, 2, 0.05).tolist() == expected
    hidden = replace(patches[1], mask=torch.tensor([[True, True, False]]))
    assert correspondences(log_scores, (patches[0], hidden), zero, 1, 0.05).tolist() == [[10, 5]]


def test_the_circle_loss_is_its_naive_twin_and_learns_the_right_way() -> None:
    config = TrainingConfig()
    first, second = (normalize(torch.randn(n, 3, generator=generator(n)), dim=1) for n in (6, 5))
    overlaps = torch.rand(6, 5, generator=generator())
    overlaps[overlaps < 0.6] = 0
    overlaps[0] = 0  # a row without positives
    overlaps[1, 1] = 0.05  # neither
    distances = torch.cdist(first, second).numpy()
    slow = (
        circle(distances, overlaps.numpy(), (0.1, 1.4), 24.0)
        + circle(distances.T, overlaps.numpy().T, (0.1, 1.4), 24.0)
    ) / 2
    first.requires_grad_()
    loss = circle_loss(first, second, overlaps, 0.1, config)
    assert loss.item() == pytest.approx(slow, rel=1e-4)
    (gradient,) = torch.autograd.grad(loss, first)
    better = normalize(first - 0.01 * normalize(gradient, dim=1), dim=1)
    assert circle_loss(better, second, overlaps, 0.1, config) < loss
    assert circle_loss(first, second, torch.zeros(6, 5), 0.1, config) == 0


def test_labels_name_partners_and_dustbins() -> None:
    reference = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [9, 9, 9]]])
    source = torch.tensor([[[0.01, 0, 0], [5, 0, 0]]])
    masks = torch.tensor([[True, True, False]]), torch.tensor([[True, True]])
    labels = transport_labels((reference, source), masks, 0.01)
    assert labels[0].int().tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0]]
    log_scores = torch.zeros(1, 4, 3)
    log_scores[0, 0, 0], log_scores[0, 1, 2], log_scores[0, 3, 1] = -1.0, -2.0, -6.0
    assert transport_loss(log_scores, labels).item() == pytest.approx(3.0)
    assert transport_loss(log_scores, torch.zeros_like(labels)).item() == 0


def test_the_paper_sized_state_has_the_released_number_of_tensors(paper: Reg2InvNet) -> None:
    """Every block of the released naming exists in the paper's size; six transformer layers, of which two are named."""
    assert {name for name in paper.state_dict() if name.startswith("transformer.layers.5")}
    assert all(torch.isfinite(value).all() for value in paper.state_dict().values())
