"""What geometry knows of an anomalous region, read into the space of the text tower."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize

from ..clip.files import check_finite, read_safetensors
from ..errors import WeightsError
from ..geometry.neighbors import knn
from ..geometry.normals import local_frames
from ..observation import Observation

FORMAT = "pointadplus.region_reader"
EMBEDDED = Path(__file__).resolve().parent.parent / "assets" / "region_words.safetensors"

# Ours. How far from a region its surroundings reach: so many spacings of the nodes, and so much of its radius.
SPACINGS, RADII = 3.0, 0.5
LEAST = 16  # nodes that surroundings have, however small the region
HEIGHTS = (0.02, 0.1, 0.5, 0.9, 0.98)  # quantiles of a region's heights over the plane of its surroundings
SHAPE = 6 + len(HEIGHTS)


def region_vector(observation: Observation, own: Bool[Tensor, "m"]) -> Float[Tensor, "r"]:
    """What a region is like: descriptors inside, how they vary, how they differ from those around, and its shape.

    The shape is told by the logarithms of its three principal radii and of its share of the nodes, by how its normals
    and those around agree, and by quantiles of its height over the plane through its surroundings; all in the frame
    where the object's diagonal is 1, so that neither pose nor unit matters.

    Args:
        observation: of the cloud.
        own: which of its nodes belong to the region, at least one.

    Returns:
        (3 F + `SHAPE`,) float32, F being `NODE_FEATURES`.
    """
    nodes, normals, descriptors = observation.nodes, observation.normals, observation.descriptors
    inside = nodes[own]
    near = _surroundings(nodes, own)
    within, around = descriptors[own], descriptors[near]
    spread = within.std(0, correction=0)
    centre = inside.mean(0)
    offsets = inside - centre
    radii = torch.linalg.eigvalsh((offsets.T @ offsets / len(inside)).double()).clamp_min(1e-10).log().float() / 2
    frame = local_frames((nodes[near] - nodes[near].mean(0))[None])
    up = frame.normals[0]
    up = up * (1.0 if float((normals[near] @ up).sum()) >= 0 else -1.0)
    heights = (inside - nodes[near].mean(0)) @ up
    share = torch.tensor([len(inside) / len(nodes)]).log()
    agreeing = torch.stack([(normals[own] @ up).mean(), (normals[near] @ up).mean()])
    quantiles = heights.quantile(torch.tensor(HEIGHTS)) * 100
    return torch.cat([within.mean(0), spread, within.mean(0) - around.mean(0), radii, share, agreeing, quantiles])


def _surroundings(nodes: Tensor, own: Tensor) -> Tensor:
    """Indices of the nodes around a region."""
    others = (~own).nonzero()[:, 0]
    if len(others) == 0:
        return own.nonzero()[:, 0]
    distance = knn(nodes[own], nodes[others], 1)[0][:, 0]
    spacing = float(knn(nodes, nodes[own], 2)[0][:, -1].median())
    radius = float((nodes[own] - nodes[own].mean(0)).square().sum(1).mean().sqrt())
    reach = max(SPACINGS * spacing, RADII * radius, float(distance.kthvalue(min(LEAST, len(others))).values))
    return others[distance <= reach]


class RegionReader(nn.Module):
    """A small perceptron whose output is compared with features of texts, beside what the image tower says.

    Args:
        inputs: R, length of `region_vector`.
        embed_dim: D, of the tower's features.
        hidden: its width.
    """

    center: Tensor
    spread: Tensor

    def __init__(self, inputs: int, embed_dim: int, hidden: int = 96) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(inputs))
        self.register_buffer("spread", torch.ones(inputs))
        self.entry = nn.Linear(inputs + embed_dim, hidden)
        self.middle = nn.Linear(hidden, hidden)
        self.exit = nn.Linear(hidden, embed_dim)
        self.dropout = nn.Dropout(0.3)

    def forward(self, vectors: Float[Tensor, "k r"], lifted: Float[Tensor, "k d"]) -> Float[Tensor, "k d"]:
        """Unit features to compare with those of texts.

        Args:
            vectors: `region_vector` of K regions.
            lifted: unit means of their lifted patch features.
        """
        known = ((vectors - self.center) / self.spread).clamp(-5, 5)
        hidden = self.dropout(gelu(self.entry(torch.cat([known, lifted * lifted.shape[1] ** 0.5], 1))))
        hidden = self.dropout(gelu(self.middle(hidden)))
        return normalize(self.exit(hidden), dim=1)


@lru_cache(maxsize=4)
def reader_of(digest: str, path: Path = EMBEDDED) -> RegionReader | None:
    """The reader that was learnt on a backbone, in evaluation mode, or None.

    Args:
        digest: of the backbone.
        path: of a file that `benchmarks/train_region_words.py` wrote.

    Raises:
        WeightsError: the file is damaged.
    """
    if not path.is_file():
        return None
    state, metadata = read_safetensors(path)
    if metadata.get(FORMAT) != digest:
        return None
    check_finite(state, path)
    try:
        hidden = len(state["middle.bias"])
        reader = RegionReader(len(state["center"]), len(state["exit.bias"]), hidden)
        reader.load_state_dict(state)
    except (KeyError, RuntimeError) as error:
        raise WeightsError("the reader of regions does not load", where=path, found=error) from error
    return reader.eval()
