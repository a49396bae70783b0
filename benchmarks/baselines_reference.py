"""Four plain methods to compare with: no learning, only local shape, through Open3D and SciPy, and symmetry.

Each has the `score` of an `AnomalyDetector`, so that `pointadplus.evaluation.evaluate` measures all alike. Lengths are
those of a cloud about 100 units across; other data is to be scaled first.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pointadplus.cloud import PointCloud
from pointadplus.geometry.descriptors import describe
from pointadplus.geometry.neighbors import interpolate
from pointadplus.geometry.sampling import canonical_order
from pointadplus.geometry.symmetry import SUPPORT, find_symmetries
from pointadplus.geometry.symmetry_descriptors import SYMMETRY_COLUMNS, describe_symmetry
from pointadplus.results.detection import Detection

TOP_SHARE = 0.01  # an object's score is the mean of this share of its highest point scores
CHUNK = 1000  # rows of a distance matrix held at once


class SurfaceVariation:
    """λ₀ / (λ₀ + λ₁ + λ₂) of the neighbourhood's covariance (Pauly et al., 2002), the mean over several sizes."""

    scales = (16, 32, 64)

    def score(self, cloud: PointCloud) -> Detection:
        points = cloud.points.numpy().astype(np.float64)
        _, index = cKDTree(points).query(points, k=max(self.scales))
        variation = np.zeros(len(points))
        for k in self.scales:
            near = points[index[:, :k]]
            near -= near.mean(1, keepdims=True)
            values = np.linalg.eigvalsh(near.transpose(0, 2, 1) @ near)
            variation += values[:, 0] / values.sum(1).clip(1e-12) / len(self.scales)
        return _detection(cloud, variation, _top_mean(variation), half=0.1)


class SelfReference:
    """How far a point's FPFH (Rusu et al., 2009) is from the features of the same object elsewhere.

    The third-smallest feature distance among points more than 8 units away, over a sample of the cloud: a part that
    repeats has close matches, a defect has none.
    """

    reference_size = 6000
    apart = 8.0

    def score(self, cloud: PointCloud) -> Detection:
        points, features = cloud.points, fpfh(cloud)
        picked = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))[: self.reference_size]
        query = torch.arange(0, len(points), 2)
        distances = []
        for rows in query.split(CHUNK):
            gap = torch.cdist(features[rows], features[picked])
            gap[torch.cdist(points[rows], points[picked]) <= self.apart] = torch.inf
            distances.append(gap.topk(3, largest=False).values[:, 2])
        scores = _spread(points.numpy(), query.numpy(), torch.cat(distances).nan_to_num(posinf=0.0).numpy())
        return _detection(cloud, scores, _top_mean(scores) / np.median(scores), half=50.0)


class Symmetry:
    """How far a point's counterparts under the object's symmetries lie from its surface, the least of them.

    This is one column of what the zero-shot detector's geometry layer reads, alone and without learning.
    """

    nodes = 8192

    def score(self, cloud: PointCloud) -> Detection:
        frame = cloud.normalization()
        support = frame.apply(cloud.points[canonical_order(cloud.points, 0)])[:SUPPORT]
        nodes = support[: self.nodes]
        rows = describe_symmetry(find_symmetries(support), nodes, describe(support, len(nodes)))
        column = rows[:, [SYMMETRY_COLUMNS.index("height_near_least")]]
        scores = interpolate(column, nodes, frame.apply(cloud.points))[:, 0].numpy()
        return _detection(cloud, scores, _top_mean(scores), half=1.0)


class MemoryBank:
    """Distance of a point's FPFH to the nearest feature of the training scans; needs `fit`, for each category."""

    few_shot = True
    bank_size = 20_000

    def __init__(self) -> None:
        self.bank: Tensor | None = None

    def fit(self, clouds: Iterable[PointCloud]) -> MemoryBank:
        features = torch.cat([fpfh(cloud) for cloud in clouds])
        kept = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))[: self.bank_size]
        self.bank = features[kept]
        return self

    def score(self, cloud: PointCloud) -> Detection:
        if self.bank is None:
            raise RuntimeError("MemoryBank: fit it on normal scans first")
        query = torch.arange(0, len(cloud), 2)
        nearest = [torch.cdist(rows, self.bank).amin(1) for rows in fpfh(cloud)[query].split(CHUNK)]
        scores = _spread(cloud.points.numpy(), query.numpy(), torch.cat(nearest).numpy())
        return _detection(cloud, scores, _top_mean(scores), half=50.0)


def fpfh(cloud: PointCloud) -> Tensor:
    """(N, 33) float32 fast point feature histograms; normals over a radius of 2.5 units, features over 5."""
    import open3d as o3d  # takes a second; only these features need it

    scan = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(cloud.points.double().numpy()))
    scan.estimate_normals(o3d.geometry.KDTreeSearchParamHybrid(radius=2.5, max_nn=30))
    feature = o3d.pipelines.registration.compute_fpfh_feature(
        scan, o3d.geometry.KDTreeSearchParamHybrid(radius=5.0, max_nn=100)
    )
    return torch.from_numpy(np.asarray(feature.data).T.astype(np.float32))


def _spread(points: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A value for every point: the mean over its 8 nearest points that have one."""
    _, index = cKDTree(points[known]).query(points, k=min(8, len(known)))
    return values[index].reshape(len(points), -1).mean(1)


def _top_mean(scores: np.ndarray) -> float:
    return float(np.sort(scores)[-max(1, round(TOP_SHARE * len(scores))) :].mean())


def _detection(cloud: PointCloud, scores: np.ndarray, object_score: float, half: float) -> Detection:
    """Scores from [0, ∞) to [0, 1) by x / (x + half): an increasing map leaves every ranking as it was."""
    values = torch.from_numpy(scores / (scores + half)).float()
    return Detection(object_score / (object_score + half), cloud.to_rows(values), cloud)
