"""What geometry knows of an anomalous region, read into the space of the text tower."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize

from ..errors import WeightsError
from ..geometry.neighbors import knn
from ..geometry.normals import local_frames
from ..io.tensors import check_finite, read_safetensors
from .observation import NODE_FEATURES

FORMAT = "pointadplus.region_reader"
EMBEDDED = Path(__file__).resolve().parent.parent / "assets" / "region_words.safetensors"

# Ours. How far from a region its surroundings reach: so many spacings of the nodes, and so much of its radius.
SPACINGS, RADII = 3.0, 0.5
LEAST = 16  # nodes that surroundings have, however small the region
LOW, HIGH = 0.1, 0.9  # quantiles of the descriptors inside a region
HEIGHTS = (0.02, 0.1, 0.5, 0.9, 0.98)  # quantiles of a region's heights over the plane of its surroundings
SHAPE = 6 + len(HEIGHTS)
REGION_FEATURES = 4 * NODE_FEATURES + SHAPE
"""Length of `region_vector`, R."""


def region_vector(
    nodes: Float[Tensor, "m 3"], normals: Float[Tensor, "m 3"], features: Float[Tensor, "m f"], own: Bool[Tensor, "m"]
) -> Float[Tensor, "r"]:
    """What a region is like: how its descriptors differ from those around it, and its shape.

    Of every descriptor it holds the region's mean and its 10 % and 90 % quantiles, less the mean around, and its
    standard deviation, less the one around. The shape is told by the logarithms of the three principal radii and of the
    share of the nodes, by how the normals and those around agree, and by quantiles of the height over the plane through
    the surroundings; all in the frame where the object's diagonal is 1, so that neither pose nor unit matters.

    Args:
        nodes, normals, features: of a cloud, as `Picture` has them.
        own: which nodes belong to the region, at least one.

    Returns:
        (R,) float32.
    """
    near = _surroundings(nodes, own)
    inside, around = features[own], features[near]
    low, high = inside.quantile(torch.tensor([LOW, HIGH]), 0)
    mean = around.mean(0)
    spread = inside.std(0, correction=0) - around.std(0, correction=0)
    return torch.cat([inside.mean(0) - mean, low - mean, high - mean, spread, _shape(nodes, normals, own, near)])


def _shape(nodes: Tensor, normals: Tensor, own: Tensor, near: Tensor) -> Float[Tensor, "s"]:
    inside, around = nodes[own], nodes[near]
    offsets = inside - inside.mean(0)
    spread = torch.linalg.eigvalsh((offsets.T @ offsets / len(inside)).double())
    up = local_frames((around - around.mean(0))[None]).normals[0]
    up = up * (1.0 if float((normals[near] @ up).sum()) >= 0 else -1.0)
    heights = (inside - around.mean(0)) @ up
    return torch.cat(
        [
            spread.clamp_min(1e-10).log().float() / 2,
            torch.tensor([len(inside) / len(nodes)]).log(),
            torch.stack([(normals[own] @ up).mean(), (normals[near] @ up).mean()]),
            heights.quantile(torch.tensor(HEIGHTS)) * 100,
        ]
    )


def _surroundings(nodes: Tensor, own: Tensor) -> Tensor:
    """Indices of the nodes around a region; of the region itself where there is nothing else."""
    others = (~own).nonzero()[:, 0]
    if len(others) == 0:
        return own.nonzero()[:, 0]
    distance = knn(nodes[own], nodes[others], 1)[0][:, 0]
    spacing = float(knn(nodes, nodes[own], 2)[0][:, -1].median())
    radius = float((nodes[own] - nodes[own].mean(0)).square().sum(1).mean().sqrt())
    reach = max(SPACINGS * spacing, RADII * radius, float(distance.kthvalue(min(LEAST, len(others))).values))
    return others[distance <= reach]


class RegionReader(nn.Module):
    """A small perceptron whose output is compared with features of texts.

    It sees no picture: the embedded tower tells normal from damaged, not one kind of damage from another.

    Args:
        inputs: R, length of `region_vector`.
        embed_dim: D, of the tower's features.
        hidden: its width.
    """

    center: Tensor
    spread: Tensor

    def __init__(self, inputs: int, embed_dim: int, hidden: int = 256) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(inputs))
        self.register_buffer("spread", torch.ones(inputs))
        self.entry = nn.Linear(inputs, hidden)
        self.middle = nn.Linear(hidden, hidden)
        self.exit = nn.Linear(hidden, embed_dim)
        self.dropout = nn.Dropout(0.3)

    def forward(self, vectors: Float[Tensor, "k r"]) -> Float[Tensor, "k d"]:
        """Unit features to compare with those of texts, from the `region_vector` of K regions."""
        known = ((vectors - self.center) / self.spread).clamp(-5, 5)
        hidden = self.dropout(gelu(self.entry(known)))
        hidden = self.dropout(gelu(self.middle(hidden)))
        return normalize(self.exit(hidden), dim=1)


@lru_cache(maxsize=4)
def reader_of(digest: str, path: Path = EMBEDDED) -> RegionReader | None:
    """The reader that was learnt for the text tower of a backbone, in evaluation mode; None where there is none.

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
        state = {name: value.float() for name, value in state.items()}
        reader = RegionReader(len(state["center"]), len(state["exit.bias"]), len(state["middle.bias"]))
        reader.load_state_dict(state)
    except (KeyError, RuntimeError) as error:
        raise WeightsError("the reader of regions does not load", where=path, found=error) from error
    return reader.eval()
