"""`TrainConfig`: a training run on labelled objects, as a TOML file tells it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...config import Config, one_of, within
from ...zero_shot.model import ModelConfig
from ...zero_shot.observation import ObservationConfig
from .objective import LossConfig


@dataclass(frozen=True)
class DataConfig(Config):
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
    split: str = one_of("test", "train")


@dataclass(frozen=True)
class OptimizationConfig(Config):
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

    epochs: int = within("[1, ∞)", 15)
    batch: int = within("[1, ∞)", 4)
    prompt_lr: float = within("(0, ∞)", 1e-3)
    aggregation_lr: float = within("(0, ∞)", 2e-3)
    weight_decay: float = within("[0, ∞)", 0.02)
    warmup: int = within("[0, ∞)", 20)
    decay: bool = True
    ema: float = within("[0, 1)", 0.98)
    clip: float = within("[0, ∞)", 1.0)


PUBLISHED = OptimizationConfig(warmup=0, decay=False, ema=0.0, weight_decay=0.0, clip=0.0)
"""PointAD's schedule: a constant rate, and the weights of the last step."""


@dataclass(frozen=True)
class TrainConfig(Config):
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
    supervision: str = one_of("points", "objects")
    seed: int = 0
    precision: str = "auto"
    save_every: int = within("[1, ∞)", 50)
    observation: ObservationConfig = field(default_factory=ObservationConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimization: OptimizationConfig | None = None
    losses: LossConfig = field(default_factory=LossConfig)

    @property
    def schedule(self) -> OptimizationConfig:
        """`optimization`, or what suits the mode."""
        return self.optimization or (PUBLISHED if self.model.mode == "pointad" else OptimizationConfig())
