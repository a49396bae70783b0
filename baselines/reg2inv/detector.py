"""`Reg2Inv`: distance of each point, registered, to a bank of positions and rotation-invariant features."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from pointadplus.cloud import PointCloud
from pointadplus.errors import ConfigError, WeightsError
from pointadplus.io.tensors import read_safetensors, write_tensors
from pointadplus.results.detection import Detection
from pointadplus.results.detector import AnomalyDetector, FitProgress, normal_clouds, tracked

from ..gate import PartSize, judge
from .config import Reg2InvConfig
from .memory import Memory, Observation
from .model import Reg2InvNet, neighborhoods
from .pairs import random_rotation
from .pose import Prototype
from .scan import Scan, read_scan, surface_normals, thinned
from .scoring import neighbor_means
from .training import Checkpoints, train
from .weights import EMBEDDED, load_network, network_from_state, read_config

if TYPE_CHECKING:
    from typing_extensions import Self

_FORMAT = "pointadplus.reg2inv"
_NETWORK = "network/"
_REACH = 2.0  # voxels within which a scan has a place of the prototypes
_TENSORS = {"bank", "usual", "points", "normals", "center", "rotation"}


class Reg2Inv(AnomalyDetector):
    """Registration-induced, rotation-invariant features (Yu, Chen et al., NeurIPS 2025), learned on a few normal scans.

    Args:
        config: of the method; None: the one that the weights come with, else `Reg2InvConfig.small()` on a CPU and
            `Reg2InvConfig.paper()` on CUDA.
        weights: of a network that `weights.save_network` or `convert.convert_checkpoint` wrote; None: those inside the
            package, if it has any, until `fit` learns others.
        device: of the network; None: CUDA where there is one.

    Raises:
        WeightsError: the weights cannot be read, or are of another network than the config's.

    Example:
        >>> Reg2Inv().fit(["good1.ply", "good2.ply"], train=True).score("scan.ply")  # doctest: +SKIP
    """

    few_shot = True
    Config = Reg2InvConfig

    def __init__(
        self,
        config: Reg2InvConfig | None = None,
        weights: str | os.PathLike[str] | None = None,
        *,
        device: str | None = None,
    ) -> None:
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._asked, self._weights = config, weights
        network = None if weights is None else load_network(weights, config).to(self.device)
        if config is None:
            config = network.config if network else default_config(self.device)
        self.config, self.network = config, network
        self.memory: Memory | None = None
        self._prototype: Prototype | None = None
        self._size = PartSize()

    def fit(
        self,
        normals: Iterable[Any],
        progress: FitProgress | None = None,
        train: bool | None = None,
        *,
        checkpoints: Checkpoints | None = None,
    ) -> Self:
        """Remember normal scans (anything that `score` takes), the first of which is the prototype.

        Args:
            normals: scans of one part.
            progress: told of each step.
            train: learn the network on the scans; False takes the weights that were given, or those inside the
                package; None learns only where there are neither, or where the config asks for another network.
            checkpoints: a file that the training goes on from and writes to.

        Raises:
            ConfigError: no scan given, or no weights where there shall be no training.
            WeightsError: a checkpoint of another run, or a training that diverged.
        """
        clouds = normal_clouds(normals, "Reg2Inv", self.preparation)
        self._size = PartSize.of(clouds[0])
        learn = not self._has_weights() if train is None else train
        network = None if learn else self._ready_network()
        scans = self._read(clouds)
        if network is None:
            network = self._learn(scans, progress, checkpoints)
        registration = self.config.registration
        if registration == "auto":
            registration = "network" if learn or self._weights is not None else "library"
        self.network, prototype = network, Prototype(scans[0], network, registration)
        observed = [self._observe(scan, prototype) for scan in tracked(scans, "describing", progress)]
        again = self._sampled_anew(scans[0], prototype) if len(scans) == 1 else None
        self.memory = Memory.of(observed, again, self.config.scoring, self.config.seed)
        self._prototype = prototype
        return self

    def score_cloud(self, cloud: PointCloud) -> Detection:
        """Score one cloud.

        Raises:
            ConfigError: not fitted yet.
            CloudError: a scan of another size than the part.
        """
        memory, prototype = self._fitted("score")
        seen = self._size.seen(cloud, "Reg2Inv")
        start, scoring = time.perf_counter(), self.config.scoring
        scan = read_scan(seen.points, self.config, prototype.scan.radius, seen.offset)
        read = time.perf_counter()
        found = self._observe(scan, prototype)
        observed = time.perf_counter()
        lacking = memory.lacking(found.positions, _REACH * self.config.voxel)
        if lacking >= scoring.partial:
            found = found.inside(scoring.boundary_neighbors)
        residuals = memory.residuals(found, scoring)
        pooled = neighbor_means(residuals, found.points, found.points, scoring.pooled)
        spread = neighbor_means(residuals, found.points, scan.apply(seen.positions()), scoring.interpolated)
        highest = float(pooled.max())
        seconds = {
            "normals": read - start,
            "features and registration": observed - read,
            "scores": time.perf_counter() - observed,
        }
        notes, measurable = judge(cloud, 1 - lacking)
        return Detection(
            highest / (highest + memory.scale),
            cloud.to_rows(spread / (spread + memory.scale)),
            cloud,
            seconds=seconds,
            notes=notes,
            measurable=measurable,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network, the bank and the prototype as safetensors, the config in the metadata.

        Raises:
            ConfigError: not fitted yet.
        """
        memory, prototype = self._fitted("save")
        scan, network = prototype.scan, prototype.network
        tensors = {"bank": memory.items, "usual": memory.usual, "points": scan.points, "normals": scan.normals}
        tensors |= {"center": scan.center, "rotation": scan.rotation}
        tensors |= {_NETWORK + key: value.detach().cpu() for key, value in network.state_dict().items()}
        card = {
            "config": asdict(self.config),
            "radius": scan.radius,
            "norms": (memory.position_norm, memory.feature_norm),
            "scale": memory.scale,
            "registration": prototype.registration,
            "size": asdict(self._size),
        }
        write_tensors(Path(path), tensors, {_FORMAT: json.dumps(card)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises:
            WeightsError: not such a file.
        """
        state, metadata = read_safetensors(Path(path))
        if _FORMAT not in metadata or not state.keys() >= _TENSORS:
            raise WeightsError(
                "not a Reg2Inv detector", where=path, expected=f"metadata {_FORMAT!r}", found=sorted(metadata)
            )
        try:
            card = json.loads(metadata[_FORMAT])
            config = read_config(json.dumps(card["config"]), path)
            radius, registration = float(card["radius"]), str(card["registration"])
            position_norm, feature_norm = (float(each) for each in card["norms"])
            own = PointCloud(state["points"]).normalization().scale * radius
            size = PartSize(**card.get("size", {"size": own}))  # older files have none
            memory = Memory(state["bank"], state["usual"], position_norm, feature_norm, float(card["scale"]))
        except (ValueError, KeyError, TypeError) as error:
            raise WeightsError("the card of the detector cannot be read", where=path, found=error) from error
        detector = cls(config)
        weights = {key.removeprefix(_NETWORK): value for key, value in state.items() if key.startswith(_NETWORK)}
        network = network_from_state(weights, config, path).to(detector.device)
        scan = Scan(state["points"], state["normals"], radius, state["center"], state["rotation"])
        detector.network, detector.memory = network, memory
        detector._prototype, detector._size = Prototype(scan, network, registration), size
        return detector

    def _has_weights(self) -> bool:
        """Whether weights were given, or those inside the package are of the network that was asked for."""
        if self._weights is not None:
            return True
        if self._asked is None or not EMBEDDED.is_file():
            return EMBEDDED.is_file()
        inside = load_network(EMBEDDED).config
        return (self._asked.network, self._asked.voxel) == (inside.network, inside.voxel)

    def _ready_network(self) -> Reg2InvNet:
        """The network that was given, or the embedded one; the config becomes the one it comes with."""
        if self._weights is None and not EMBEDDED.is_file():
            raise ConfigError(
                "there are no weights to take features from",
                where="Reg2Inv.fit",
                expected="train=True, or weights",
                found="neither",
            )
        network = load_network(self._weights or EMBEDDED, self._asked).to(self.device)
        self.config = network.config
        return network

    def _read(self, clouds: list[PointCloud]) -> list[Scan]:
        """Normalise scans, all by the radius of the first."""
        first, *others = (self._size.seen(cloud, "Reg2Inv") for cloud in clouds)
        scan = read_scan(first.points, self.config, offset=first.offset)
        return [scan, *(read_scan(cloud.points, self.config, scan.radius, cloud.offset) for cloud in others)]

    def _learn(self, scans: list[Scan], progress: FitProgress | None, checkpoints: Checkpoints | None) -> Reg2InvNet:
        # In training each scan fills the unit ball by itself, as released.
        own = [scan.points.square().sum(1).max().sqrt().clamp_min(1e-30) for scan in scans]
        filled = [replace(scan, points=scan.points / norm) for scan, norm in zip(scans, own, strict=True)]
        return train(filled, self.config, progress=progress, checkpoints=checkpoints, device=self.device)

    def _fitted(self, name: str) -> tuple[Memory, Prototype]:
        if self.memory is None or self._prototype is None:
            raise ConfigError(
                "the memory bank is empty", where=f"Reg2Inv.{name}", hint="call fit with normal scans first"
            )
        return self.memory, self._prototype

    @torch.no_grad()
    def _observe(self, scan: Scan, prototype: Prototype, turn: Float[Tensor, "3 3"] | None = None) -> Observation:
        """The points at the network's resolution, where the prototype has them, and their features.

        With a turn the scan is turned before the grid thins it, and turned back after, so that other points are seen.
        """
        config = self.config
        turn = torch.eye(3) if turn is None else turn
        points, sides = thinned(scan.points @ turn.T, scan.normals @ turn.T, config.voxel)
        points, sides = points @ turn, sides @ turn
        normals = surface_normals(points, sides, config.network.normal_neighbors)
        features = prototype.network.riconv(neighborhoods(points, normals, config).to(self.device)).cpu()
        if scan is prototype.scan:
            return Observation(points, points, features)
        return Observation(points, prototype.motion(scan, points, normals).apply(points), features)

    def _sampled_anew(self, scan: Scan, prototype: Prototype) -> Observation:
        return self._observe(scan, prototype, random_rotation(torch.Generator().manual_seed(self.config.seed)))


def default_config(device: str) -> Reg2InvConfig:
    """The paper's size on CUDA, the small one elsewhere."""
    return Reg2InvConfig.paper() if device.startswith("cuda") else Reg2InvConfig.small()
