"""Taking the table away from an organised scan: the plane under the object, and what is not connected to it.

The steps and their constants are those of BTF's preprocessing of MVTec 3D-AD (Horwitz and Hoshen, 2023), which others
took over. There they rewrite the files; here they run in memory when a scan is read.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from sklearn.cluster import DBSCAN
from torch import Tensor

from ..cloud import PointCloud
from ..errors import CloudError
from ..geometry.ground import fit_plane

BORDER = 10  # pixels at the rim of the image, which show the table
DRAWN, DRAWS = 50, 1000  # points a hypothesis of the plane, and hypotheses
INLIER = 0.004  # metres from the plane, for a point to support it
REMOVED = 0.005  # metres from the plane, for a point to be removed
REACH, CROWD = 0.006, 30  # DBSCAN's radius in metres, and the points within it that make a core point
VOXELS = 4  # across REACH: the cells that are clustered in place of their points


def foreground(cloud: PointCloud, unit: float = 1.0, seed: int = 0) -> Bool[Tensor, "n"]:
    """Which points belong to the object on the table of an organised scan.

    Args:
        cloud: with a grid; the table shows at the rim of the image.
        unit: length of a metre in the cloud's unit.
        seed: of the plane's hypotheses.

    Returns:
        (N,) bool, at least one of them true: a scan of nothing but a table is kept whole.

    Raises:
        CloudError: the cloud has no grid.
    """
    if cloud.grid is None:
        raise CloudError("the cloud is not organised", where="foreground", expected="a grid", found="none")
    height, width = cloud.grid
    row, column = cloud.valid_rows() // width, cloud.valid_rows() % width
    rim = (row < BORDER) | (row >= height - BORDER) | (column < BORDER) | (column >= width - BORDER)
    points = cloud.points.double() / unit
    keep = torch.ones(len(points), dtype=torch.bool)
    if int(rim.sum()) >= DRAWN:
        normal, center = fit_plane(
            points[rim], torch.Generator().manual_seed(seed), inlier=INLIER, drawn=DRAWN, draws=DRAWS
        )
        keep = ((points - center) @ normal).abs() > REMOVED
    if not keep.any():
        return ~keep
    keep[keep.nonzero()[:, 0]] = largest_cluster(points[keep])
    return keep


def largest_cluster(points: Float[Tensor, "n 3"]) -> Bool[Tensor, "n"]:
    """The largest of DBSCAN's clusters (Ester et al., 1996); all points where none is dense enough.

    Points are clustered by the cells of a grid `VOXELS` times as fine as the radius, each as heavy as its points: scans
    have thousands of points within the radius, and the lists of them would fill the memory.
    """
    cells, inverse, counts = torch.unique(
        (points / (REACH / VOXELS)).floor().long(), dim=0, return_inverse=True, return_counts=True
    )
    centers = torch.zeros(len(cells), 3, dtype=points.dtype).index_add_(0, inverse, points) / counts[:, None]
    found = DBSCAN(eps=REACH, min_samples=CROWD).fit_predict(centers.numpy(), sample_weight=counts.numpy())
    label = torch.from_numpy(found)[inverse]
    clustered = label[label >= 0]
    return label == clustered.mode().values if len(clustered) else torch.ones(len(points), dtype=torch.bool)
