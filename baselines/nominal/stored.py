"""A comparison as tensors and plain values, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .align import Pairs
from .compare import NominalComparison, Usual
from .mesh import NominalMesh

#: Tensors that are always there.
NEEDED = frozenset({"vertices", "faces", "center"})


def stored(nominal: NominalComparison) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors, and plain values beside them."""
    mesh, pairs = nominal.mesh, nominal.align
    arrays: dict[str, np.ndarray] = {"vertices": mesh.vertices, "faces": mesh.faces, "center": mesh.center}
    if isinstance(pairs, Pairs):
        arrays |= {"pairs_nominal": pairs.nominal, "pairs_scan": pairs.scan}
    if nominal.on is not None:
        arrays["on"] = nominal.on
    if nominal.usual is not None:
        arrays |= {"usual_mean": nominal.usual.mean, "usual_spread": nominal.usual.spread}
    told = {
        "name": mesh.name,
        "unit": mesh.unit,
        "align": "points" if isinstance(pairs, Pairs) else pairs,
        "tolerance": nominal.tolerance,
        "thickness": nominal.thickness,
    }
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}, told


def restored(tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> NominalComparison:
    """What `stored` took apart.

    Raises:
        KeyError: a tensor or a value is missing.
    """
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    mesh = NominalMesh(arrays["vertices"], arrays["faces"], told["name"], told["unit"], center=arrays["center"])
    align = Pairs(arrays["pairs_nominal"], arrays["pairs_scan"]) if told["align"] == "points" else told["align"]
    tolerance = None if told["tolerance"] is None else (told["tolerance"][0], told["tolerance"][1])
    usual = Usual(arrays["usual_mean"], arrays["usual_spread"]) if "usual_mean" in arrays else None
    return NominalComparison(mesh, align, arrays.get("on"), tolerance, usual, told.get("thickness", False))
