"""Neighbours, frames, descriptors and G-aggregation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pointadplus.geometry.aggregation import (
    SHARES,
    AggregationConfig,
    EvidencePool,
    GAggregation,
    GeometryHop,
    build_graph,
    edge_features,
)
from pointadplus.geometry.descriptors import (
    ATTRIBUTES,
    COLUMNS,
    DESCRIPTORS,
    describe,
    outward_normals,
    self_reference,
)
from pointadplus.geometry.histograms import BINS, fast_histograms, simplified_histograms
from pointadplus.geometry.neighbors import interpolate, knn, smooth
from pointadplus.geometry.normals import estimate_normals, local_frames
from pointadplus.geometry.sampling import canonical_order, select_points
from tests.reference.geometry import histogram, hop


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rotation(seed: int) -> torch.Tensor:
    q, r = torch.linalg.qr(torch.randn(3, 3, generator=generator(seed), dtype=torch.float64))
    q = q * torch.sign(torch.diagonal(r))
    return (q * torch.sign(torch.linalg.det(q))).float()


def ellipsoid(count: int, seed: int = 0) -> torch.Tensor:
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator(seed)), dim=1)
    return directions * torch.tensor([0.3, 0.25, 0.4])


def test_knn_is_brute_force():
    support, queries = torch.rand(200, 3, generator=generator()), torch.rand(50, 3, generator=generator(1))
    distance, index = knn(support, queries, 7)
    table = torch.cdist(queries.double(), support.double())
    expected, order = table.sort(1)
    assert torch.equal(index, order[:, :7])
    torch.testing.assert_close(distance.double(), expected[:, :7], atol=1e-6, rtol=0)


def test_knn_repeats_the_last_neighbour_of_a_small_support():
    distance, index = knn(torch.tensor([[0.0, 0, 0], [1, 0, 0]]), torch.tensor([[0.2, 0, 0]]), 4)
    assert index.tolist() == [[0, 1, 1, 1]]
    torch.testing.assert_close(distance, torch.tensor([[0.2, 0.8, 0.8, 0.8]]))


def test_interpolation_keeps_sources_and_stays_in_range():
    sources, values = torch.rand(100, 3, generator=generator()), torch.rand(100, 2, generator=generator(1))
    torch.testing.assert_close(interpolate(values, sources, sources), values)
    between = interpolate(values, sources, torch.rand(500, 3, generator=generator(2)))
    assert between.min() >= values.min() and between.max() <= values.max()
    middle = interpolate(
        torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0, 0, 0], [1, 0, 0]]), torch.tensor([[0.25, 0, 0]]), k=2
    )
    torch.testing.assert_close(middle, torch.tensor([[0.25]]))


def test_smoothing_follows_the_graph_and_not_the_order():
    points = ellipsoid(800)
    distances, near = knn(points, points, 9)
    values = torch.rand(800, generator=generator(3))
    smoothed = smooth(values, near, distances, 1.0)
    assert smoothed.std() < 0.7 * values.std()
    torch.testing.assert_close(smooth(torch.full((800,), 0.4), near, distances, 1.0), torch.full((800,), 0.4))
    order = torch.randperm(800, generator=generator(4))
    moved_distances, moved_near = knn(points[order], points[order], 9)
    torch.testing.assert_close(smooth(values[order], moved_near, moved_distances, 1.0), smoothed[order])
    assert torch.equal(smooth(values, near, distances, 0.0), values)


def test_frames_of_a_plane_and_normals_of_a_sphere():
    plane = torch.cat([torch.rand(1, 60, 2, generator=generator()), torch.zeros(1, 60, 1)], 2)
    frame = local_frames(plane)
    torch.testing.assert_close(frame.normals.abs(), torch.tensor([[0.0, 0.0, 1.0]]), atol=1e-6, rtol=0)
    assert frame.variances[0, 2] == pytest.approx(0.0, abs=1e-12)
    covariance = torch.from_numpy(np.cov(plane[0].numpy().T, bias=True)).float()
    torch.testing.assert_close(frame.variances[0], torch.linalg.eigvalsh(covariance).flip(0), atol=1e-6, rtol=0)
    sphere = torch.nn.functional.normalize(torch.randn(5000, 3, generator=generator()), dim=1)
    cosine = (estimate_normals(sphere) * sphere).sum(1).abs()
    assert cosine.min() > 0.97


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_canonical_order_starts_from_positions_sorted_by_x_then_y_then_z(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randint(-2, 3, (4000, 3), generator=generator).to(dtype)  # ties of one, two and three coordinates
    points[:1000] += torch.randn(1000, 3, generator=generator).to(dtype)
    points[1000:2000][points[1000:2000] == 0] = -0.0
    expected = torch.tensor(sorted(range(4000), key=lambda row: (*points[row].tolist(), row)))
    drawn = torch.randperm(4000, generator=torch.Generator().manual_seed(3))
    assert torch.equal(canonical_order(points, 3), expected[drawn])


def test_canonical_order_forgets_the_callers_order():
    points = torch.rand(1000, 3, generator=generator())
    shuffle = torch.randperm(1000, generator=generator(1))
    assert torch.equal(points[canonical_order(points)], points[shuffle][canonical_order(points[shuffle])])
    assert not torch.equal(canonical_order(points, 0), canonical_order(points, 1))


def test_histograms_are_their_naive_twin():
    rng = generator()
    offsets = torch.randn(20, 12, 3, generator=rng)
    offsets[:, 0] = 0
    normals = torch.nn.functional.normalize(torch.randn(20, 3, generator=rng), dim=1)
    others = torch.nn.functional.normalize(torch.randn(20, 12, 3, generator=rng), dim=2)
    fast = simplified_histograms(offsets, normals, others)
    slow = np.stack(
        [histogram(o, n, m, BINS) for o, n, m in zip(offsets.numpy(), normals.numpy(), others.numpy(), strict=True)]
    )
    np.testing.assert_allclose(fast.numpy(), slow, atol=1e-5)
    torch.testing.assert_close(fast.view(20, 3, BINS).sum(2), torch.ones(20, 3))
    near = torch.stack([torch.arange(20), torch.arange(20).roll(1), torch.arange(20).roll(2)], 1)
    weights = torch.tensor([0.0, 1.0, 3.0]).expand(20, 3)
    joined = fast_histograms(fast, near, weights)
    torch.testing.assert_close(joined[5], (fast[5] + 0.75 * fast[4] + 0.25 * fast[3]) / 2)


def test_descriptors_do_not_change_when_the_object_is_turned():
    cloud = ellipsoid(6000)
    cloud = cloud * (1 + 0.03 * torch.sin(20 * cloud[:, :1]))
    still = describe(cloud, 2000)
    assert still.features.shape == (2000, DESCRIPTORS)
    for seed in range(3):
        turned = describe(cloud @ rotation(seed).T, 2000)
        error = (turned.features - still.features).abs() / still.features.std(0).clamp_min(1e-3)
        assert error.median() < 1e-3
        assert (error > 0.1).float().mean() < 0.01  # ties of the k-th neighbour and of near-flat normals' signs
        for name, value in still.attributes.items():
            assert (turned.attributes[name] - value).abs().median() < 1e-3, name


def test_attributes_are_bounded_and_show_their_descriptors():
    found = describe(ellipsoid(3000), 1000)
    assert found.attributes.keys() == ATTRIBUTES.keys()
    for name, (column, unit) in ATTRIBUTES.items():
        shown = found.attributes[name]
        assert shown.shape == (1000,) and shown.abs().max() <= 1
        torch.testing.assert_close(shown, (found.features[:, COLUMNS.index(column)] / unit).tanh())


def test_columns_are_named_in_their_order():
    """Each name stands where its values are: relations that hold between the columns of any cloud."""
    found = dict(zip(COLUMNS, describe(ellipsoid(3000), 1000).features.unbind(1), strict=True))
    assert len(found) == DESCRIPTORS
    for scale in (1, 2, 3):
        torch.testing.assert_close(found[f"residual_size_{scale}"], found[f"residual_{scale}"].abs())
    assert found["turn_0"].abs().max() < 1e-6 and (found["log_size_4"] > found["log_size_0"]).all()
    for name in ("thickness_1", "shift_4", "roughness_3", "relative_self_0_1", "relative_self_1_9"):
        plain = name.removeprefix("relative_")
        ratio = found[plain] / found[plain].median() if "self" in name else found[plain] - found[plain].median()
        assert torch.corrcoef(torch.stack([found[f"relative_{plain}"], ratio]))[0, 1] > 0.999, name
    for scale in (0, 1):
        blocks = torch.stack([found[f"fpfh_{scale}_{bin}"] for bin in range(33)], 1).view(-1, 3, 11)
        torch.testing.assert_close(blocks.sum(2), torch.ones(1000, 3))
        assert (found[f"self_{scale}_1"] <= found[f"self_{scale}_3"]).all()


def test_outward_normals_point_out_as_those_of_the_descriptors_do():
    cloud = ellipsoid(6000)
    plain, described = outward_normals(cloud, 1000), describe(cloud, 1000).normals
    assert (plain * cloud[:1000]).sum(1).gt(0).all() and (described * cloud[:1000]).sum(1).gt(0).all()
    assert (plain * described).sum(1).quantile(0.05) > 0.95


def test_self_reference_points_at_what_is_unlike_the_rest():
    rng = generator()
    flat = torch.rand(6000, 3, generator=rng) * torch.tensor([1.0, 1.0, 0.0])
    bump = (flat[:, :2] - torch.tensor([0.5, 0.5])).norm(dim=1)
    cloud = flat.clone()
    cloud[:, 2] = 0.03 * torch.exp(-(bump**2) / (2 * 0.03**2)) + 0.0005 * torch.randn(6000, generator=rng)
    descriptors = describe(cloud, 6000)
    first_match = descriptors.features[:, -12]
    inside, outside = first_match[(bump > 0.015) & (bump < 0.06)], first_match[(bump > 0.15) & (bump < 0.35)]
    assert inside.median() > 3 * outside.median()
    few = self_reference([torch.rand(5, 33)], torch.rand(5, 3))
    assert torch.equal(few, torch.zeros(5, 3))


VIEW = torch.tensor([0.6, 0.0, 0.8])


def make_graph(count: int = 300, k: int = 6, strides: tuple[int, ...] = (1, 4)):
    points = ellipsoid(count)
    normals = torch.nn.functional.normalize(points, dim=1)
    return points, normals, build_graph(points, normals, VIEW, k, strides)


def test_edges_do_not_change_when_the_object_is_turned_or_mirrored():
    points, normals, graph = make_graph()
    for motion in (rotation(1), rotation(2) @ torch.diag(torch.tensor([1.0, 1.0, -1.0]))):
        moved = edge_features(points @ motion.T, normals @ motion.T, motion @ VIEW, graph.index[1])
        torch.testing.assert_close(moved, graph.edges[1], atol=1e-3, rtol=0)


def test_edges_tell_where_a_neighbour_lies_in_the_nodes_frame():
    """A node on the floor that is seen from the slanting front: x is uphill to the view, z up, y beside, unsigned."""
    points = torch.tensor([[0.0, 0, 0], [0.02, 0, 0], [0, -0.02, 0], [0, 0, 0.02]])
    normals = torch.tensor([[0.0, 0, 1], [0, 0, 1], [0, 0, 1], [1, 0, 0]])
    view = torch.nn.functional.normalize(torch.tensor([1.0, 0, 1]), dim=0)
    edges = edge_features(points, normals, view, torch.tensor([[1, 2, 3], [0, 0, 0]]))
    place = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    torch.testing.assert_close(edges[:, 2:5], place, atol=1e-6, rtol=0)
    torch.testing.assert_close(edges[:, 0], torch.ones(3))
    torch.testing.assert_close(edges[:, 1], torch.full((3,), math.log(2.0)))
    torch.testing.assert_close(edges[:, 5:], torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 0, -1]]), atol=1e-6, rtol=0)


def test_graph_lists_k_neighbours_of_every_node_in_a_row():
    _, _, graph = make_graph()
    for stride in (1, 4):
        source, target = graph.index[stride]
        assert torch.equal(target, torch.arange(300).repeat_interleave(6))
        assert (source % stride == 0).all()
    assert not (graph.index[1][0] == graph.index[1][1]).any()
    assert torch.equal(graph.neighbors[:, 0], torch.arange(300))


def test_hop_is_its_naive_twin():
    _, _, graph = make_graph(40, 4, (1,))
    layer = GeometryHop(8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in layer.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        state = torch.randn(40, 8)
    named = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    weights = {
        "own": named["own.weight"],
        "own_bias": named["own.bias"],
        "difference": named["difference.weight"],
        "edge": named["edge.weight"],
        "edge_bias": named["edge.bias"],
        "attention": named["attention.weight"],
        "attention_bias": named["attention.bias"],
    }
    neighbors = graph.index[1][0].view(40, 4).tolist()
    slow = hop(state.numpy(), neighbors, graph.edges[1].numpy(), weights)
    spread = layer.difference(state)
    fast = layer.propagate(
        graph.index[1], own=layer.own(state) - spread, spread=spread, edges=layer.edge(graph.edges[1])
    )
    np.testing.assert_allclose(fast.detach().numpy(), slow, atol=1e-4)


def test_untrained_aggregation_is_the_identity_on_clip_features():
    _, _, graph = make_graph()
    layer = GAggregation(AggregationConfig(feature_dim=16, descriptor_dim=5, strides=(1, 4))).eval()
    features = torch.nn.functional.normalize(torch.randn(300, 16, generator=generator()), dim=1)
    aware, whole = layer(features, torch.randn(300, 5, generator=generator(1)), graph)
    torch.testing.assert_close(aware, features, atol=1e-6, rtol=0)
    # The whole is a mean of unit features, made a unit: it lies among them.
    assert whole.norm().item() == pytest.approx(1.0, abs=1e-5)
    assert (features @ whole).mean().item() > 0


def test_evidence_pool_means_over_the_highest_shares():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pool = EvidencePool(hidden=6, out=3)
        state = torch.randn(250, 6)
    channels = pool.read(state).detach().numpy()
    rows = []
    for share in SHARES:
        count = max(1, math.ceil(share * len(channels)))
        rows += [np.sort(channels[:, column])[::-1][:count].mean() for column in range(channels.shape[1])]
    expected = pool.mix(torch.tensor(np.array(rows, dtype=np.float32)))
    torch.testing.assert_close(pool(state), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(pool(state[torch.randperm(250)]), pool(state), atol=1e-5, rtol=1e-5)


def test_aggregation_learns_from_geometry_alone():
    _, _, graph = make_graph()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = GAggregation(AggregationConfig(feature_dim=8, descriptor_dim=3, hidden=16, strides=(1, 4))).eval()
    features = torch.nn.functional.normalize(torch.ones(300, 8), dim=1)
    descriptors = torch.randn(300, 3, generator=generator())
    target = (descriptors[graph.neighbors].mean(1)[:, 0] > 0).float()  # needs the neighbours
    direction = torch.nn.functional.normalize(torch.tensor([1.0, -1, 1, -1, 1, -1, 1, -1]), dim=0)
    optimizer = torch.optim.Adam(layer.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        logit = (layer(features, descriptors, graph)[0] @ direction) / 0.07
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(math.log(2), abs=0.01)
    assert losses[-1] < 0.3


@pytest.mark.parametrize("limit", [1, 9, 50, 999])
def test_the_highest_scores_always_stay(limit: int) -> None:
    scores = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    kept = select_points(scores, limit)
    assert len(kept) == limit == len(kept.unique())
    top = scores.topk(max(1, limit // 10)).indices
    assert torch.isin(top, kept).all()


def test_thinning_is_even_and_repeatable() -> None:
    scores = torch.zeros(100_000)
    state = torch.get_rng_state()
    kept = select_points(scores, 10_000)
    assert torch.equal(kept, select_points(scores, 10_000))
    assert torch.equal(state, torch.get_rng_state())
    counts = torch.bincount(kept[kept >= 1000] // 9900, minlength=11)[1:10]  # beyond the tenth that ties put first
    assert counts.min() > 800
    assert counts.max() < 1000


def test_small_clouds_stay_whole() -> None:
    assert torch.equal(select_points(torch.rand(1000), 1000), torch.arange(1000))
