"""`MVR`: a student that learnt to restore views of normal parts fails where a scan is not normal."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from pointadplus.clip.files import check_finite, read_safetensors, write_tensors
from pointadplus.cloud import Normalization, PointCloud
from pointadplus.config import from_table
from pointadplus.detection import AnomalyDetector, Detection, FitProgress, as_cloud
from pointadplus.errors import ConfigError, WeightsError
from pointadplus.fusion import top_mean
from pointadplus.geometry.alignment import Reference
from pointadplus.geometry.neighbors import interpolate, knn, smooth
from pointadplus.geometry.sampling import canonical_order
from pointadplus.observation import Stopwatch
from pointadplus.render import fill_unseen, lift_to_points

from .config import MVRConfig
from .encoders import Encoder, load_encoder
from .looks import Look, Looker, camera_tensors, cameras_from, small_turn
from .training import new_student, patches, train_student

if TYPE_CHECKING:
    from typing_extensions import Self

_FORMAT = "pointadplus.mvr"
_REFERENCE = 32_768  # points of the first normal scan that are kept to align others to
_CALM = 0.98  # quantile of the residuals of normal scans that scores 0.5
_STUDENT = "student."


@dataclass(frozen=True, eq=False)
class _Part:
    """What was learnt of a part, beside the student.

    Attributes:
        points: (N, 3) of the first normal scan, in its own frame.
        looker: with its cameras, unit and density.
        nodes: (M, 3) in the normalised frame, and usual: (M,) what a normal scan's residual is there, on average.
        scale: the residual that scores 0.5.
    """

    points: Float[Tensor, "n 3"]
    looker: Looker
    nodes: Float[Tensor, "m 3"]
    usual: Float[Tensor, "m"]
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

    def fit(self, normals: Iterable[Any], progress: FitProgress | None = None) -> Self:
        """Learn a part from normal scans (anything that `score` takes); the first gives pose, unit and density.

        Args:
            normals: one or more.
            progress: told of each step of training.

        Raises:
            ConfigError: no scan given.
        """
        clouds = [as_cloud(scan) for scan in normals]
        if not clouds:
            raise ConfigError(
                "nothing to learn from", where="MVR.fit", expected="at least one normal scan", found="none"
            )
        config, first = self.config, clouds[0]
        looker = Looker.at(first, config, self.encoder.channels)
        kept = first.points[canonical_order(first.points, config.seed)[:_REFERENCE]]
        self._reference = Reference(kept) if config.align else None
        generator = torch.Generator().manual_seed(config.seed)
        looks: list[list[Look]] = []  # of each scan; the last one is kept from training
        for index, cloud in enumerate(clouds):
            points = cloud.points if index == 0 else self._posed(cloud.points)
            turns = [small_turn(config.turn, generator) for _ in range(config.looks)]
            looks.append([looker.look(points, sample=k, turn=turn) for k, turn in enumerate([None, *turns])])
        tokens = [self.encoder(look.images).half() for own in looks for look in own[:-1]]
        self.student = new_student(self.encoder, config)
        self.losses = train_student(self.student, self.encoder, tokens, config, progress)

        nodes = looks[0][0].nodes
        learnt = [interpolate(self._residuals(own[0])[:, None], own[0].nodes, nodes)[:, 0] for own in looks]
        usual = torch.stack(learnt).mean(0)
        part = _Part(kept, looker, nodes, usual, 1.0)
        calm = torch.cat([self._excess(self._residuals(own[-1]), own[-1], part) for own in looks])
        self._part = _Part(kept, looker, nodes, usual, max(float(calm.quantile(_CALM)), 1e-6))
        return self

    def score_cloud(self, cloud: PointCloud) -> Detection:
        """Score one cloud.

        Raises:
            ConfigError: not fitted yet.
        """
        part = self._fitted("score")
        watch = Stopwatch()
        with watch.stage("align"):
            points = self._posed(cloud.points)
        with watch.stage("render"):
            look = part.looker.look(points)
        with watch.stage("networks"):
            residuals = self._excess(self._residuals(look), look, part)
        with watch.stage("to points"):
            near, index = knn(look.nodes, look.nodes, 13)
            scores = smooth(residuals / (residuals + part.scale), index, near, self.config.sigma).clamp(0, 1)
            total = float(top_mean(scores, self.config.top))
            local = part.looker.normalization.apply(points)
            spread = interpolate(scores[:, None], look.nodes, local)[:, 0].clamp(0, 1)
        return Detection(total, cloud.to_rows(spread), cloud, seconds=dict(watch.seconds))

    def _posed(self, points: Tensor) -> Tensor:
        return points if self._reference is None else self._reference.align(points).apply(points)

    @torch.no_grad()
    def _residuals(self, look: Look) -> Float[Tensor, "m"]:
        """1 − cos between what teacher and student say of each node, means over the views (eqs. 5 to 15), in [0, 2]."""
        tokens = self.encoder(look.images).float()
        with self.encoder.autocast():
            restored = self.student(tokens)
        grid = look.images.shape[2] // self.encoder.patch, look.images.shape[3] // self.encoder.patch
        visible = look.visible if self.config.visible_only else torch.ones_like(look.visible)
        distances, seen = [], visible.any(0)
        for pair in zip(*(patches(each, self.encoder, self.config) for each in (tokens, restored)), strict=True):
            features = [
                lift_to_points(maps.mT.unflatten(2, grid), look.pixels, visible, look.image_size)[0] for maps in pair
            ]
            distances.append(1 - cosine_similarity(*features, dim=1))
        return fill_unseen(torch.stack(distances).mean(0)[:, None], seen, look.nodes)[:, 0].clamp_min(0)

    def _excess(self, residuals: Tensor, look: Look, part: _Part) -> Tensor:
        if not self.config.relative:
            return residuals
        return (residuals - interpolate(part.usual[:, None], part.nodes, look.nodes)[:, 0]).clamp_min(0)

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
        state |= {"points": part.points, "nodes": part.nodes, "usual": part.usual}
        state |= camera_tensors(part.looker.cameras) | {"center": part.looker.normalization.center}
        header = {
            "config": asdict(self.config),
            "encoder": self.encoder.name,
            "unit": part.looker.normalization.scale,
            "spacing": part.looker.spacing,
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
            detector.student.load_state_dict(student)
            looker = Looker(
                detector.config, detector.encoder.channels, Normalization(state["center"], header["unit"]),
                header["spacing"], cameras_from(state, detector.config),
            )  # fmt: skip
            detector._part = _Part(state["points"], looker, state["nodes"], state["usual"], header["scale"])
        except (RuntimeError, KeyError) as error:
            raise WeightsError("the file is not whole", where=path, found=error) from error
        detector._reference = Reference(state["points"]) if detector.config.align else None
        return detector
