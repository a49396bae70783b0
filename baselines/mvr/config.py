"""`MVRConfig`: what the paper fixes, what Dinomaly's code fixes, and what was left to us."""

from __future__ import annotations

from dataclasses import dataclass

from pointadplus.errors import ConfigError


@dataclass(frozen=True)
class MVRConfig:
    """How parts are looked at, learnt and scored. docs/mvr.md says of each field where its default comes from.

    Attributes:
        encoder: the frozen teacher: `"embedded"`, the image tower inside the package; `"timm:NAME"`, for instance
            `"timm:vit_base_patch14_reg4_dinov2.lvd142m"` from the hub; or `"timm:NAME@FILE"`, its weights from a file.
        views: name of the view set; the paper's is `"cpmf27"`, which sees one side.
        image_size: side of the pictures in pixels; the paper's 224 in patches of 14 are as many as 128 in patches of 8.
        supersample: pictures are drawn that many times larger and reduced by area; 3 as in the paper.
        orthographic: parallel rays.
        align: bring each scan into the pose of the first normal one, see `geometry.alignment`.
        nodes, support: points of the first normal scan that features are lifted to, and that give them surroundings; a
            scan that shows less of the part gets fewer, so that it is as dense.
        layers: blocks of the encoder to reconstruct, from 0; empty for the encoder's own choice.
        groups: into how many neighbouring groups the layers are averaged; 2 as in Dinomaly.
        dropout: of the noisy bottleneck.
        visible_only: a node takes its features from the views that see it; False takes all views, as CPMF does.
        looks: at each normal scan, with other nodes and turned a little, to learn from.
        turn: largest such turn, in degrees.
        steps, batch: of training; a batch is of views.
        learning_rate, final_rate, weight_decay, warmup, clip: of StableAdamW: linear warm-up, then half a cosine.
        hard: share of the points, in the end, whose gradient shrinks for being restored well.
        hard_warmup: steps until then.
        shrink: by what it shrinks.
        sigma: smoothing of the map over the point graph, in mean neighbour distances.
        top: share of the nodes whose mean is the object score.
        relative: residuals count by how far they exceed what normal scans leave at the same place of the part.
        seed: of every draw.
        precision: of the networks, see `Backbone`.
    """

    encoder: str = "embedded"
    views: str = "sphere16"
    image_size: int = 128
    supersample: int = 3
    orthographic: bool = False
    align: bool = True
    nodes: int = 8192
    support: int = 20_000
    layers: tuple[int, ...] = ()
    groups: int = 2
    dropout: float = 0.2
    visible_only: bool = True
    looks: int = 4
    turn: float = 2.0
    steps: int = 300
    batch: int = 16
    learning_rate: float = 2e-3
    final_rate: float = 2e-4
    weight_decay: float = 1e-5
    warmup: int = 30
    clip: float = 0.1
    hard: float = 0.9
    hard_warmup: int = 100
    shrink: float = 0.1
    sigma: float = 1.0
    top: float = 0.01
    relative: bool = False
    seed: int = 0
    precision: str = "auto"

    def __post_init__(self) -> None:
        ranges = {
            "image_size": (8, 4096),
            "supersample": (1, 8),
            "nodes": (64, 1 << 20),
            "support": (self.nodes, 1 << 22),
            "groups": (1, 64),
            "dropout": (0.0, 0.9),
            "looks": (1, 1000),
            "turn": (0.0, 180.0),
            "steps": (1, 1_000_000),
            "batch": (1, 4096),
            "learning_rate": (0.0, 1.0),
            "final_rate": (0.0, self.learning_rate),
            "weight_decay": (0.0, 1.0),
            "warmup": (0, 1_000_000),
            "clip": (1e-6, 1e6),
            "hard": (0.0, 1.0),
            "hard_warmup": (0, 1_000_000),
            "shrink": (0.0, 1.0),
            "sigma": (0.0, 100.0),
            "top": (1e-6, 1.0),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(
                    "option out of range", where=f"MVRConfig.{name}", expected=f"{low:g} to {high:g}", found=value
                )

    @classmethod
    def paper(cls, size: str = "base") -> MVRConfig:
        """The setting that the paper names, with DINOv2-reg ViT-`small`, -`base` or -`large` from the hub.

        Views, resolution, encoder, optimiser, rate, decay and steps are the paper's; what it leaves open is as above.
        """
        return cls(
            encoder=f"timm:vit_{size}_patch14_reg4_dinov2.lvd142m", views="cpmf27", image_size=224,
            learning_rate=2e-4, final_rate=2e-5,
        )  # fmt: skip
