"""`TrainConfig`: a training run on labelled objects, as a TOML file tells it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...errors import ConfigError
from ...zero_shot.model import ModelConfig
from ...zero_shot.observation import ObservationConfig
from .objective import LossConfig


@dataclass(frozen=True)
class DataConfig:
    """The labelled objects to learn from.

    Attributes:
        dataset: name of the layout, see `data.open_dataset`.
        root: its folder.
        categories: the auxiliary classes; empty means all.
        split: `"test"`, which holds anomalous objects in the published data sets, or `"train"`.
    """

    dataset: str
    root: str
    categories: tuple[str, ...] = ()
    split: str = "test"

    def __post_init__(self) -> None:
        if self.split not in ("train", "test"):
            raise ConfigError("unknown split", where="DataConfig.split", expected="'train' or 'test'", found=self.split)


@dataclass(frozen=True)
class OptimizationConfig:
    """The optimiser and its schedule; prompts learn as in PointAD (arXiv 2410.00320), the rest is ours.

    Attributes:
        epochs: passes over the objects; 15 in PointAD.
        batch: objects a step; 4 in PointAD.
        prompt_lr: of the prompts, Adam with betas (0.5, 0.999).
        aggregation_lr, weight_decay: of G-aggregation.
        warmup: steps over which the learning rates rise.
        decay: whether they fall linearly to a fiftieth by the last step.
        ema: decay of the averaged weights, which are the ones that are kept; 0 keeps the last ones.
        clip: largest norm of a step's gradient; 0 for any.
    """

    epochs: int = 15
    batch: int = 4
    prompt_lr: float = 1e-3
    aggregation_lr: float = 2e-3
    weight_decay: float = 0.02
    warmup: int = 20
    decay: bool = True
    ema: float = 0.98
    clip: float = 1.0

    def __post_init__(self) -> None:
        holds = {
            "epochs": self.epochs >= 1,
            "batch": self.batch >= 1,
            "prompt_lr": self.prompt_lr > 0,
            "aggregation_lr": self.aggregation_lr > 0,
            "weight_decay": self.weight_decay >= 0,
            "warmup": self.warmup >= 0,
            "ema": 0 <= self.ema < 1,
            "clip": self.clip >= 0,
        }
        for name in (name for name, good in holds.items() if not good):
            raise ConfigError(
                "option out of range",
                where=f"OptimizationConfig.{name}",
                expected="epochs, batch ≥ 1; rates > 0; weight_decay, warmup, clip ≥ 0; 0 ≤ ema < 1",
                found=getattr(self, name),
            )


PUBLISHED = OptimizationConfig(warmup=0, decay=False, ema=0.0, weight_decay=0.0, clip=0.0)
"""PointAD's schedule: a constant rate, and the weights of the last step."""


@dataclass(frozen=True)
class TrainConfig:
    """A run.

    Attributes:
        data: to learn from.
        start: weights of a detector to start from, `"embedded"` or a file, whose backbone, observation and model hold
            then; empty to start from fresh prompts and an identical G-aggregation.
        backbone: to learn on, see `load_backbone`; not with `start`.
        supervision: `"points"`, or `"objects"` to use the objects' labels alone. Normal objects are known to be normal
            all over either way.
        seed: of fresh prompts and of the order of the objects.
        precision: of the backbone, see `Backbone`.
        save_every: steps between checkpoints.
        observation: how clouds are looked at.
        model: the method; `mode = "pointad"` is the published one.
        optimization: None for what suits the mode: `PUBLISHED` for "pointad".
        losses: of mode "pointad+".
    """

    data: DataConfig
    start: str = ""
    backbone: str = "embedded"
    supervision: str = "points"
    seed: int = 0
    precision: str = "auto"
    save_every: int = 50
    observation: ObservationConfig = field(default_factory=ObservationConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimization: OptimizationConfig | None = None
    losses: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        if self.supervision not in ("points", "objects"):
            raise ConfigError(
                "unknown supervision",
                where="TrainConfig.supervision",
                expected="'points' or 'objects'",
                found=self.supervision,
            )
        if self.save_every < 1:
            raise ConfigError(
                "option out of range", where="TrainConfig.save_every", expected="≥ 1", found=self.save_every
            )

    @property
    def schedule(self) -> OptimizationConfig:
        """`optimization`, or what suits the mode."""
        return self.optimization or (PUBLISHED if self.model.mode == "pointad" else OptimizationConfig())
