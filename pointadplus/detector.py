"""`ZeroShotDetector`: PointAD+ from weights to scores, with no training on the object at hand."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

from .clip.backbone import Backbone
from .clip.files import check_finite, read_safetensors
from .clip.weights import load_backbone
from .cloud import PointCloud
from .detection import AnomalyDetector, Detection
from .errors import ConfigError, WeightsError
from .explanation import saliency
from .fusion import EPSILON, FusionConfig, join_layers, object_score
from .geometry.neighbors import interpolate
from .model import ModelConfig, PointADPlus
from .observation import ObservationConfig, Observer, Stopwatch
from .prompts.learner import PromptConfig

EMBEDDED = "assets/zero_shot.safetensors"
_FORMAT = "pointadplus.zero_shot"


@dataclass(frozen=True)
class ZeroShotConfig:
    """What the weights of a detector were made with.

    Attributes:
        backbone: source of the backbone, see `load_backbone`.
        digest: of the backbone's weights that the prompts were learnt on; empty means any.
        observation: how clouds are looked at.
        model: the two layers.
    """

    backbone: str = "embedded"
    digest: str = ""
    observation: ObservationConfig = field(default_factory=ObservationConfig)
    model: ModelConfig = field(default_factory=ModelConfig)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ZeroShotConfig:
        """The config that `asdict` gave; an unknown key is an error.

        Raises:
            ConfigError: a key that no field has.
        """
        try:
            rest = {key: value for key, value in values.items() if key not in ("model", "observation")}
            parts = {"prompts": PromptConfig, "fusion": FusionConfig}
            model = {
                key: _options(parts[key], value) if key in parts else value for key, value in values["model"].items()
            }
            return cls(
                **rest,
                observation=_options(ObservationConfig, values["observation"]),
                model=_options(ModelConfig, model),
            )
        except (KeyError, TypeError) as error:
            raise ConfigError("unknown or missing option", where="ZeroShotConfig", found=error) from error


class _Look(NamedTuple):
    """Log-odds of one look at a cloud.

    `order` (N,) is the cloud's canonical order, the same in every look; `odds` (N, 3) stand in that order, of the
    rendering, the geometry and the joined map; `total` () is of the object.
    """

    order: Tensor
    odds: Tensor
    total: Tensor


class ZeroShotDetector(AnomalyDetector):
    """Scores scans of objects it has never seen.

    Args:
        weights: `"embedded"`, the small weights inside the package, or a file that `save` or training wrote.
        backbone: where to find the backbone, when not where the weights say.
        fusion: how the layers are joined, when not as the weights say.
        precision: `"auto"` (bfloat16 where the processor has it), `"float32"` or `"bfloat16"`.

    Raises:
        WeightsError: weights that are missing, unsafe, damaged, or learnt on another backbone.

    Example:
        >>> detection = ZeroShotDetector().score("scan.ply")  # doctest: +SKIP
        >>> detection.object_score, detection.point_scores.shape  # doctest: +SKIP
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] = "embedded",
        *,
        backbone: str | os.PathLike[str] | None = None,
        fusion: FusionConfig | None = None,
        precision: str = "auto",
    ) -> None:
        path = Path(str(files("pointadplus"))) / EMBEDDED if os.fspath(weights) == "embedded" else Path(weights)
        state, metadata = read_safetensors(path)
        if _FORMAT not in metadata:
            raise WeightsError(
                "not the weights of a zero-shot detector",
                where=path,
                expected=f"metadata {_FORMAT!r}",
                found=sorted(metadata),
            )
        config = ZeroShotConfig.from_dict(json.loads(metadata[_FORMAT]))
        if fusion is not None:
            config = replace(config, model=replace(config.model, fusion=fusion))
        tower = load_backbone(backbone or config.backbone, precision=precision)
        if config.digest and tower.digest != config.digest:
            raise WeightsError(
                "prompts and G-aggregation were learnt on another backbone",
                where=path,
                expected=config.digest,
                found=f"{tower.digest} ({tower.name})",
                hint="pass backbone= with the one that they were learnt on",
            )
        check_finite(state, path)
        model = PointADPlus(tower, config.model)
        try:
            model.load_state_dict({key: value.float() for key, value in state.items()})
        except RuntimeError as error:
            raise WeightsError("the weights do not fit the model", where=path, found=error) from error
        self._assemble(tower, model, config)

    @classmethod
    def from_parts(cls, backbone: Backbone, model: PointADPlus, config: ZeroShotConfig) -> ZeroShotDetector:
        """A detector from a backbone and a model at hand, for instance right after training."""
        detector = cls.__new__(cls)
        detector._assemble(backbone, model, config)
        return detector

    def _assemble(self, backbone: Backbone, model: PointADPlus, config: ZeroShotConfig) -> None:
        self.backbone, self.model, self.config = backbone, model.eval().requires_grad_(False), config
        self.observer = Observer(backbone.channels, backbone.image_size, config.observation)
        with torch.no_grad():
            self.texts = model.prompts()

    @torch.no_grad()
    def score_cloud(self, cloud: PointCloud) -> Detection:
        """Score one cloud; see `Detection`. `layers` holds `rendering`, `geometry` and `joined`."""
        watch = Stopwatch()
        looks = [self._look(cloud, sample, watch) for sample in range(self.observer.samples(cloud))]
        # In canonical order to the end: a vectorised sigmoid rounds by an element's place, and places must not matter.
        maps = torch.stack([look.odds for look in looks]).mean(0).sigmoid()
        total = torch.stack([look.total for look in looks]).mean(0).sigmoid()
        columns = torch.empty_like(maps)
        columns[looks[0].order] = maps
        layers: dict[str, Tensor] = dict(zip(("rendering", "geometry", "joined"), columns.unbind(1), strict=True))
        parts = self.observer, self.backbone, self.model, self.texts, self.config.model.fusion
        explain = partial(saliency, cloud, *parts)
        return Detection(float(total), cloud.to_rows(layers["joined"]), cloud, layers, dict(watch.seconds), explain)

    def _look(self, cloud: PointCloud, sample: int, watch: Stopwatch) -> _Look:
        picture = self.observer.picture(cloud, sample=sample, stopwatch=watch)
        observation = self.observer.observe(picture, self.backbone, stopwatch=watch)
        fusion = self.config.model.fusion
        with watch.stage("layers"):
            evidence = self.model(observation, texts=self.texts)
            layers = evidence.rendering, evidence.geometry, evidence.graph
            shares = (0.0, 1.0, fusion.geometry)
            maps = torch.stack([join_layers(*layers, replace(fusion, geometry=share)) for share in shares], 1)
            total = object_score(maps[:, 2], evidence.pooled, evidence.views, fusion)
        with watch.stage("to points"):
            order = picture.order.roll(sample * self.config.observation.nodes)
            points = picture.normalization.apply(cloud.points[order])
            odds = interpolate(torch.logit(maps, EPSILON), picture.nodes, points)
        return _Look(order, odds, torch.logit(total, EPSILON))

    def save(self, path: str | os.PathLike[str], card: dict[str, Any] | None = None) -> None:
        """Write prompts and G-aggregation as one safetensors file with a JSON card beside it.

        The backbone is named by its source and its digest, not copied.
        """
        path = Path(path)
        state = {key: value.detach().cpu().half().contiguous() for key, value in self.model.state_dict().items()}
        check_finite(state, path)
        config = asdict(replace(self.config, digest=self.backbone.digest))
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".tmp")
        save_file(state, temporary, {_FORMAT: json.dumps(config)})
        os.replace(temporary, path)
        path.with_suffix(".json").write_text(json.dumps({"config": config, **(card or {})}, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ZeroShotDetector:
        """Read what `save` wrote."""
        return cls(path)


def _options(kind: type, values: dict[str, Any]) -> Any:
    """A config record from what JSON kept of it, where tuples became lists."""
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
