"""`ZeroShotDetector`: PointAD+ from weights to scores, with no training on the object at hand."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..clip.backbone import Backbone
from ..clip.weights import load_backbone
from ..cloud import PointCloud
from ..config import Config, from_table, one_of
from ..errors import WeightsError
from ..geometry.neighbors import interpolate
from ..io import as_cloud
from ..io.tensors import check_finite, read_safetensors, write_tensors
from ..results.detection import Detection
from ..results.detector import AnomalyDetector
from ..results.preparation import score_prepared
from .colors import observe_colors
from .explanation import saliency
from .fine_layer import DENSE, embedded_fine_layer, fine_digest, fine_odds
from .fusion import EPSILON, FusionConfig
from .model import ModelConfig, PointAD, PointADPlus, build_model
from .notes import scan_notes
from .observation import ObservationConfig, Observer, Picture, Stopwatch

EMBEDDED = "assets/zero_shot.safetensors"
_FORMAT = "pointadplus.zero_shot"


@dataclass(frozen=True)
class ZeroShotConfig(Config):
    """What the weights of a detector were made with.

    Attributes:
        backbone: source of the backbone, see `load_backbone`.
        digest: of the backbone's weights that the prompts were learnt on; empty means any.
        observation: how clouds are looked at.
        model: the two layers.
        resolution: of the second look, at a scan's own density. `"auto"`: of scans of over 120,000 points, 12,288 that
            are spread evenly get one, and 24,576 about the oddest of them; `"full"`: every point does, where there are
            more than the first look takes in; `"coarse"`: none does. Mode "pointad" has no second look.
        fine: digest of the weights of that second look, as `save` wrote it; it is part of the fingerprint.

    Raises:
        ConfigError: an unknown resolution.
    """

    backbone: str = "embedded"
    digest: str = ""
    observation: ObservationConfig = field(default_factory=ObservationConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    resolution: str = one_of("auto", "coarse", "full")
    fine: str = ""


class _Look(NamedTuple):
    """Log-odds of one look at a cloud.

    `order` (N,) is the cloud's canonical order, the same in every look, and `points` (N, 3) lie in it, in the
    normalised frame; `odds` (N, L) stand in that order, too, one column a layer, in the order of `names`; `total` () is
    of the object, and `notes` are what `scan_notes` says.
    """

    order: Tensor
    points: Tensor
    odds: Tensor
    total: Tensor
    names: tuple[str, ...]
    notes: tuple[tuple[str, ...], bool]


class ZeroShotDetector(AnomalyDetector):
    """Scores scans of objects it has never seen.

    Args:
        weights: `"embedded"`, the small weights inside the package, or a file that `save` or training wrote.
        backbone: where to find the backbone, when not where the weights say.
        fusion: how the layers are joined, when not as the weights say.
        precision: `"auto"` (bfloat16 where the processor has it), `"float32"` or `"bfloat16"`.
        resolution: of dense scans, see `ZeroShotConfig`, when not as the weights say.

    Raises:
        WeightsError: weights that are missing, unsafe, damaged, or learnt on another backbone.
        ConfigError: an unknown resolution.

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
        resolution: str | None = None,
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
        header = json.loads(metadata[_FORMAT])
        card = header.pop("card", {})
        config = from_table(ZeroShotConfig, header)
        if fusion is not None:
            config = replace(config, model=replace(config.model, fusion=fusion))
        if resolution is not None:
            config = replace(config, resolution=resolution)
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
        model = build_model(tower, config.model)
        try:
            model.load_state_dict({key: value.float() for key, value in state.items()})
        except RuntimeError as error:
            raise WeightsError("the weights do not fit the model", where=path, found=error) from error
        self._assemble(tower, model, config)
        self.card = card

    @classmethod
    def from_parts(cls, backbone: Backbone, model: PointAD, config: ZeroShotConfig) -> ZeroShotDetector:
        """A detector from a backbone and a model at hand, for instance right after training."""
        detector = cls.__new__(cls)
        detector._assemble(backbone, model, config)
        return detector

    def _assemble(self, backbone: Backbone, model: PointAD, config: ZeroShotConfig) -> None:
        self.backbone, self.model, self.config = backbone, model.eval().requires_grad_(False), config
        self.card: dict[str, Any] = {}  # of the weights: data, classes, seed, version
        self.observer = Observer(backbone.channels, backbone.image_size, config.observation)
        with torch.no_grad():
            self.texts = model.texts()

    def score(self, source: Any, *, rgb: Any = False) -> Detection:
        """Score a path, an (N, 3) array or tensor, a `PointCloud`, or an Open3D or trimesh object.

        Args:
            source: what to score.
            rgb: the image that is aligned with an organised scan: a path, a Pillow image, or (H, W, 3) uint8 or floats
                in [0, 1]; or True to use the points' own colours, where the scan has any. The prompts read colours as
                they are, nothing is learnt anew; the map `colors` of the detection is what colours alone say.

        Raises:
            CloudError: the source cannot be read as a cloud, or the image does not fit it.
            ConfigError: colours are asked for, and the backbone sees none.
        """
        cloud = self.preparation.read(source)
        detection = score_prepared(cloud, self.preparation, lambda part: self.score_cloud(part, rgb))
        return self.judged(detection) if rgb is False else detection  # calibration scans were scored without colours

    @torch.no_grad()
    def score_cloud(self, cloud: PointCloud, rgb: Any = False) -> Detection:
        """Score one cloud; `layers` holds `rendering`, `joined`, and in mode "pointad+" `geometry`, and of a dense scan
        `fine`. See `score`."""
        watch = Stopwatch()
        pictures = self.observer.pictures(cloud, watch)
        looks = [self._look(cloud, sample, picture, watch, rgb) for sample, picture in enumerate(pictures)]
        # In canonical order to the end, layer by layer: a vectorised sigmoid rounds by an element's place in memory,
        # and neither the order of the points nor a layer beside may matter.
        first, names = looks[0], looks[0].names
        odds = torch.stack([look.odds for look in looks]).mean(0)
        total = torch.stack([look.total for look in looks]).mean(0)
        if self._looks_closer(len(cloud)):
            with watch.stage("fine"):
                odds, total = self._looked_closer(first, odds, total)
                names = (*names, "fine")
        columns = torch.empty_like(odds)
        columns[first.order] = torch.stack([column.contiguous().sigmoid() for column in odds.unbind(1)], 1)
        layers: dict[str, Tensor] = dict(zip(names, columns.unbind(1), strict=True))
        notes, measurable = first.notes
        return Detection(
            float(total.sigmoid()),
            cloud.to_rows(layers["joined"]),
            cloud,
            layers,
            dict(watch.seconds),
            notes=notes,
            measurable=measurable,
        )

    def _looks_closer(self, points: int) -> bool:
        resolution, support = self.config.resolution, self.config.observation.support
        enough = points > (support if resolution == "full" else DENSE)
        return resolution != "coarse" and enough and isinstance(self.model, PointADPlus)

    def _looked_closer(self, look: _Look, odds: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
        """Log-odds with a column of the fine layer's, which `joined` is joined with, and those of the object."""
        layer, place = embedded_fine_layer(), look.names.index("joined")
        fine = fine_odds(layer, look.points, full=self.config.resolution == "full")
        joined = layer.joined(odds[:, place], fine)
        odds = torch.cat([odds, fine[:, None]], 1)
        odds[:, place] = joined
        return odds, layer.verdict(total, fine)

    def saliency(self, source: Any) -> Float[Tensor, "m"]:
        """Which points move this detector's object score, up or down: (M,) float32 in [0, 1], the largest 1.

        One value for each row of the source; rows without a finite point hold NaN. How it is found stands at
        `explanation.saliency`; it takes about twice the seconds that scoring takes.

        Args:
            source: anything that `score` takes, such as a detection's `cloud`.

        Raises:
            CloudError: the source cannot be read as a cloud.
        """
        cloud = as_cloud(source)
        fusion = self.config.model.fusion
        return cloud.to_rows(saliency(cloud, self.observer, self.backbone, self.model, self.texts, fusion))

    def _look(self, cloud: PointCloud, sample: int, picture: Picture, watch: Stopwatch, rgb: Any) -> _Look:
        observation = self.observer.observe(picture, self.backbone, stopwatch=watch)
        colored = None
        if rgb is not False:
            with watch.stage("colors"):
                colored = observe_colors(cloud, picture, rgb, self.observer, self.backbone)
        with watch.stage("layers"):
            evidence = self.model(observation, texts=self.texts)
            colors = None if colored is None else self.model.read_colors(colored, evidence)
            verdict = self.model.verdict(evidence, self.config.model.fusion, colors)
            maps = torch.stack([torch.logit(values, EPSILON) for values in verdict.layers.values()], 1)
        with watch.stage("to points"):
            order = picture.order.roll(sample * len(picture.nodes))
            points = picture.normalization.apply(cloud.points[order])
            odds = interpolate(maps, picture.nodes, points)
        notes = scan_notes(picture, len(cloud))
        return _Look(order, points, odds, torch.logit(verdict.total, EPSILON), tuple(verdict.layers), notes)

    def trained_on(self, dataset: str) -> tuple[str, ...]:
        """The classes of a data set that the weights were learnt on, as their card tells."""
        known = self.card.get("trained_on", {})
        return tuple(known.get("categories", ())) if known.get("dataset") == dataset else ()

    def save(self, path: str | os.PathLike[str], card: dict[str, Any] | None = None) -> None:
        """Write prompts and G-aggregation as one safetensors file, with its card inside and, as JSON, beside it.

        The backbone is named by its source and its digest, not copied.

        Args:
            path: of the file.
            card: what a reader should know of how the weights came about; None keeps the card that was read.
        """
        card = self.card if card is None else card
        path = Path(path)
        state = {key: value.detach().cpu().half().contiguous() for key, value in self.model.state_dict().items()}
        check_finite(state, path)
        config = asdict(replace(self.config, digest=self.backbone.digest, fine=fine_digest()))
        write_tensors(path, state, {_FORMAT: json.dumps({**config, "card": card})})  # one entry: they have no order
        path.with_suffix(".json").write_text(json.dumps({"config": config, **card}, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ZeroShotDetector:
        """Read what `save` wrote."""
        return cls(path)
