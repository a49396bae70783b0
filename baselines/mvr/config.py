"""`MVRConfig`: what the paper fixes, what Dinomaly's code fixes, and what was left to us."""

from __future__ import annotations

from dataclasses import dataclass

from pointadplus.config import Config, check_range, one_of, within


@dataclass(frozen=True)
class MVRConfig(Config):
    """How parts are looked at, learnt and scored. docs/mvr.md says of each field where its default comes from.

    Attributes:
        encoder: the frozen teacher: `"waves"`, which needs no weights; `"embedded"`, the image tower inside the
            package; `"timm:NAME"`, for instance `"timm:vit_base_patch14_reg4_dinov2.lvd142m"` from the hub; or
            `"timm:NAME@FILE"`, its weights from a file.
        views: name of the view set; the paper's 27 are taken to be `"cpmf27"`, which sees one side.
        image_size: side of the pictures in pixels.
        supersample: pictures are drawn that many times larger and reduced by area; 3 as in the paper.
        orthographic: parallel rays.
        align: bring each scan into the pose of the first normal one, see `geometry.alignment`.
        nodes, support: points that are drawn, the support, and those of them that scores are given to first. For an
            encoder that sees descriptors only the nodes are drawn, with the support around them.
        partial: share of the first normal scan from which on what a scan lacks was not scanned: it is drawn as that one
            has it, and is no defect.
        layers: blocks of the encoder to reconstruct, from 0; empty for the encoder's own choice.
        groups: into how many neighbouring groups the layers are averaged; 2 as in Dinomaly.
        dropout: of the noisy bottleneck.
        places: the decoder has a query of its own for each patch of each view, which starts as the mean of the normal
            scans' tokens; False for the paper's student, which has only the scan itself to go by.
        pooled: with queries, the bottleneck sees means over so many patches a side, which show the scan but no defect.
        visibility: which views a node takes its evidence from: `"mutual"`, those that see it, and normal scans there as
            well; `"seen"`, those that see it; `"all"`, as CPMF does.
        fusion: over views, `"median"` or `"mean"` of the scores, or `"features"`: means of the features, which are
            scored afterwards (eqs. 9, 10 and 15).
        distance: between two features, `"cosine"`, 1 − cos, or `"chord"`, the root of it.
        relative: scores of views count by what normal scans leave each other at the same patch; not with `"features"`.
        level: quantile of a scan's own residuals that they count by, so that noise all over is no defect; 0 takes them
            as they are.
        looks: at each normal scan, turned a little, to learn from besides the one in its own pose.
        turn: largest such turn, in degrees.
        steps, batch: of training; a batch is of views.
        learning_rate, final_rate, weight_decay, warmup, clip: of StableAdamW: linear warm-up, then half a cosine.
        hard: share of the points, in the end, whose gradient shrinks for being restored well.
        hard_warmup: steps until then.
        shrink: by what it shrinks.
        sigma: smoothing of the map over the point graph, in mean neighbour distances.
        top: share of the nodes whose mean is the object score.
        seed: of every draw.
        precision: of the networks, see `Backbone`.

    Raises:
        ConfigError: an option out of range.
    """

    encoder: str = "waves"
    views: str = "sphere27"
    image_size: int = within("[8, 4096]", 224)
    supersample: int = within("[1, 8]", 1)
    orthographic: bool = False
    align: bool = True
    nodes: int = within("[64, 1048576]", 8192)
    support: int = 65_536
    partial: float = within("[0, 1]", 0.1)
    layers: tuple[int, ...] = ()
    groups: int = within("[1, 64]", 2)
    dropout: float = within("[0, 0.9]", 0.2)
    places: bool = True
    pooled: int = within("[1, 4096]", 4)
    visibility: str = one_of("mutual", "seen", "all")
    fusion: str = one_of("median", "mean", "features")
    distance: str = one_of("chord", "cosine")
    relative: bool = True
    level: float = within("[0, 1]", 0.75)
    looks: int = within("[0, 1000]", 1)
    turn: float = within("[0, 180]", 0.25)
    steps: int = within("[0, 1000000]", 100)
    batch: int = within("[1, 4096]", 16)
    learning_rate: float = within("[0, 1]", 2e-3)
    final_rate: float = 2e-4
    weight_decay: float = within("[0, 1]", 1e-5)
    warmup: int = within("[0, 1000000]", 30)
    clip: float = within("[1e-06, 1000000]", 0.1)
    hard: float = within("[0, 1]", 0.9)
    hard_warmup: int = within("[0, 1000000]", 100)
    shrink: float = within("[0, 1]", 0.1)
    sigma: float = within("[0, 100]", 1.0)
    top: float = within("[1e-06, 1]", 0.01)
    seed: int = 0
    precision: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self.support, f"[{self.nodes}, 4194304]", "MVRConfig.support")
        check_range(self.final_rate, f"[0, {self.learning_rate}]", "MVRConfig.final_rate")

    @classmethod
    def paper(cls, size: str = "base") -> MVRConfig:
        """The setting that the paper names, with DINOv2-reg ViT-`small`, -`base` or -`large` from the hub.

        Views, resolution, encoder, optimiser, rate, decay and steps are the paper's; what it leaves open is as above.
        """
        return cls(
            encoder=f"timm:vit_{size}_patch14_reg4_dinov2.lvd142m", views="cpmf27", image_size=224, supersample=3,
            places=False, visibility="all", fusion="features", distance="cosine", relative=False, level=0.0, looks=4,
            turn=2.0,
            steps=300, learning_rate=2e-4, final_rate=2e-5,
        )  # fmt: skip
