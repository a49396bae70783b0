"""`MVR`: a student that learnt to restore views of normal parts fails where a scan is not normal."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from pointadplus.cloud import PointCloud
from pointadplus.config import from_table
from pointadplus.errors import ConfigError, WeightsError
from pointadplus.geometry.alignment import Reference
from pointadplus.geometry.neighbors import interpolate, knn, smooth
from pointadplus.geometry.sampling import canonical_order
from pointadplus.io.tensors import check_finite, read_safetensors, write_tensors
from pointadplus.normalization import Normalization
from pointadplus.results.detection import Detection
from pointadplus.results.detector import AnomalyDetector, FitProgress, normal_clouds, tracked
from pointadplus.zero_shot.fusion import top_mean
from pointadplus.zero_shot.observation import Stopwatch

from ..gate import PartSize, coverage, judge
from .config import MVRConfig
from .encoders import Encoder, load_encoder
from .looks import Look, Looker, camera_tensors, cameras_from, not_scanned, small_turn
from .residuals import Usual, node_residuals, patch_residuals
from .training import new_student, patches, train_student

if TYPE_CHECKING:
    from typing_extensions import Self

_FORMAT = "pointadplus.mvr"
_REFERENCE = 32_768  # points of the first normal scan that are kept to align others to
_CALM = 0.98  # quantile of the residuals of normal scans that scores 0.5
_STUDENT = "student."
_USUAL = ("nodes", "seen", "usual")


@dataclass(frozen=True, eq=False)
class _Part:
    """What was learnt of a part, beside the student.

    Attributes:
        points: (N, 3) of the first normal scan, in its own frame.
        looker: with its cameras and unit.
        usual: what is normal of it.
        scale: the residual that scores 0.5.
    """

    points: Float[Tensor, "n 3"]
    looker: Looker
    usual: Usual
    scale: float


class MVR(AnomalyDetector):
    """Few-shot detection by multi-view reconstruction (Sun et al., 2025), on any of several frozen encoders.

    Args:
        config: see `MVRConfig`; `MVRConfig.paper()` for what the paper names.
        encoder: a teacher at hand, in place of the one that the config names.

    Example:
        >>> MVR().fit(["good1.ply", "good2.ply"]).score("scan.ply")  # doctest: +SKIP
    """

    few_shot = True
    Config = MVRConfig

    def __init__(self, config: MVRConfig | None = None, encoder: Encoder | None = None) -> None:
        self.config = config or MVRConfig()
        self.encoder = encoder or load_encoder(
            self.config.encoder, self.config.image_size, self.config.layers, self.config.precision
        )
        self.student = new_student(self.encoder, self.config).eval()
        self.losses: list[float] = []  # of the steps of the last fit
        self._part: _Part | None = None
        self._reference: Reference | None = None
        self._offset = torch.zeros(3, dtype=torch.float64)  # that the reference is about
        self._size = PartSize()

    def fit(self, normals: Iterable[Any], progress: FitProgress | None = None) -> Self:
        """Learn a part from normal scans (anything that `score` takes); the first gives pose and unit.

        Args:
            normals: one or more.
            progress: told of each step.

        Raises:
            ConfigError: no scan given.
            CloudError: a scan of another size than the first.
        """
        clouds = normal_clouds(normals, "MVR", self.preparation)
        self._offset, self._size = clouds[0].offset, PartSize.of(clouds[0])
        clouds = [self._size.seen(cloud, "MVR") for cloud in clouds]
        config, first = self.config, clouds[0]
        looker = Looker.at(first, config, self.encoder.channels)
        kept = first.points[canonical_order(first.points, config.seed)[:_REFERENCE]]
        self._reference = Reference(kept) if config.align else None
        scans = [first.points, *(self._posed(cloud) for cloud in tracked(clouds[1:], "aligning", progress))]
        turn = partial(small_turn, config.turn, torch.Generator().manual_seed(config.seed))
        lacks = [not_scanned(scan, kept, config.partial) for scan in scans]
        extra = [
            looker.look(scan, sample=k + 1, turn=turn(), beside=lack)
            for scan, lack in zip(scans, lacks, strict=True)
            for k in range(config.looks)
        ]
        if len(scans) == 1:  # it takes two to leave each other something
            scans, lacks = _halves(first.points, config.seed), [None, None]
        looks = [looker.look(scan, beside=lack) for scan, lack in zip(scans, lacks, strict=True)]

        tokens = [self.encoder(look.images).half() for look in tracked((*looks, *extra), "encoding", progress)]
        own = tokens[: len(looks)]
        total = torch.stack(own).float().sum(0)
        places = (total / len(looks)).mean(0) if config.places else None
        self.student = new_student(self.encoder, config, places)
        self.losses = train_student(self.student, self.encoder, tokens, config, progress)

        others = [(total - each) / (len(looks) - 1) for each in own]
        pairs = [(self._patches(rest), self._patches(each)) for rest, each in zip(others, own, strict=True)]
        left = torch.stack([patch_residuals(*pair, config.distance) for pair in pairs]).mean(0)
        usual = Usual(torch.cat([look.nodes for look in looks]), torch.cat([look.visible for look in looks], 1), left)
        calm = [node_residuals(*pair, look, usual, config) for pair, look in zip(pairs, looks, strict=True)]
        self._part = _Part(kept, looker, usual, max(float(torch.cat(calm).quantile(_CALM)), 1e-6))
        return self

    def score_cloud(self, cloud: PointCloud) -> Detection:
        """Score one cloud.

        Raises:
            ConfigError: not fitted yet.
            CloudError: a scan of another size than the part.
        """
        part = self._fitted("score")
        watch = Stopwatch()
        with watch.stage("align"):
            points = self._posed(self._size.seen(cloud, "MVR"))
        with watch.stage("render"):
            look = part.looker.look(points, beside=not_scanned(points, part.points, self.config.partial))
        with watch.stage("networks"):
            residuals = self._residuals(look, part.usual)
        with watch.stage("to points"):
            near, index = knn(look.nodes, look.nodes, 13)
            scores = smooth(residuals / (residuals + part.scale), index, near, self.config.sigma).clamp(0, 1)
            total = float(top_mean(scores, self.config.top))
            local = part.looker.normalization.apply(points)
            spread = interpolate(scores[:, None], look.nodes, local)[:, 0].clamp(0, 1)
        notes, measurable = judge(cloud, coverage(points, part.points))
        seconds = dict(watch.seconds)
        return Detection(total, cloud.to_rows(spread), cloud, seconds=seconds, notes=notes, measurable=measurable)

    def _posed(self, cloud: PointCloud) -> Tensor:
        points = cloud.about(self._offset)
        return points if self._reference is None else self._reference.align(points).apply(points)

    @torch.no_grad()
    def _residuals(self, look: Look, usual: Usual) -> Float[Tensor, "m"]:
        """How teacher and student differ about each node (eqs. 5 to 15)."""
        tokens = self.encoder(look.images).float()
        with self.encoder.autocast():
            restored = self.student(tokens)
        return node_residuals(self._patches(restored), self._patches(tokens), look, usual, self.config)

    def _patches(self, layers: Tensor) -> Float[Tensor, "groups v n d"]:
        return patches(layers, self.encoder, self.config)

    def _fitted(self, what: str) -> _Part:
        if self._part is None:
            raise ConfigError("no part was learnt", where=f"MVR.{what}", hint="call fit with normal scans first")
        return self._part

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write student and part as safetensors; the encoder is named, not copied.

        Raises:
            ConfigError: not fitted yet.
        """
        part = self._fitted("save")
        state = {_STUDENT + key: value.half() for key, value in self.student.state_dict().items()}
        state |= dict(zip(_USUAL, (part.usual.nodes, part.usual.seen, part.usual.maps), strict=True))
        state |= {"points": part.points, "center": part.looker.normalization.center, "offset": self._offset}
        state |= camera_tensors(part.looker.cameras)
        header = {
            "config": asdict(self.config),
            "encoder": self.encoder.name,
            "unit": part.looker.normalization.scale,
            "size": asdict(self._size),
            "scale": part.scale,
        }
        write_tensors(Path(path), {key: value.clone() for key, value in state.items()}, {_FORMAT: json.dumps(header)})

    @classmethod
    def load(cls, path: str | os.PathLike[str], encoder: Encoder | None = None) -> Self:
        """Read what `save` wrote.

        Args:
            path: of the file.
            encoder: a teacher at hand, in place of the one that the file names.

        Raises:
            WeightsError: not such a file, or learnt with another encoder.
        """
        state, metadata = read_safetensors(Path(path))
        if _FORMAT not in metadata:
            raise WeightsError("not a part that MVR learnt", where=path, expected=_FORMAT, found=sorted(metadata))
        check_finite({key: value for key, value in state.items() if value.is_floating_point()}, Path(path))
        header = json.loads(metadata[_FORMAT])
        detector = cls(from_table(MVRConfig, header["config"]), encoder)
        if detector.encoder.name != header["encoder"]:
            raise WeightsError(
                "learnt with another encoder", where=path, expected=header["encoder"], found=detector.encoder.name
            )
        student = {key.removeprefix(_STUDENT): v.float() for key, v in state.items() if key.startswith(_STUDENT)}
        try:
            detector.student = new_student(detector.encoder, detector.config, student.get("places"))
            detector.student.eval().load_state_dict(student)
            looker = Looker(
                detector.config, detector.encoder.channels, Normalization(state["center"], header["unit"]),
                cameras_from(state, detector.config),
            )  # fmt: skip
            detector._part = _Part(state["points"], looker, Usual(*(state[key] for key in _USUAL)), header["scale"])
        except (RuntimeError, KeyError) as error:
            raise WeightsError("the file is not whole", where=path, found=error) from error
        detector._size = PartSize(**header.get("size", {"size": header["unit"]}))
        detector._offset = state.get("offset", detector._offset)  # older files have none
        detector._reference = Reference(state["points"]) if detector.config.align else None
        return detector


def _halves(points: Float[Tensor, "n 3"], seed: int) -> list[Float[Tensor, "m 3"]]:
    """Two scans that one is made of, of different points."""
    mixed = points[canonical_order(points, seed)]
    return [mixed[::2], mixed[1::2]]
