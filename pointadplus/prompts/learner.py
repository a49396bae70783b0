"""Learnable text prompts: one pair (normal, anomalous) for each of the two layers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..clip import Backbone
from ..clip.surgery import text_states
from ..config import Config, check_range, one_of, within
from ..errors import ConfigError
from .templates import ANOMALOUS_PHRASE, ANOMALOUS_WORDS, NORMAL_PHRASE, NORMAL_WORDS


@dataclass(frozen=True)
class PromptConfig(Config):
    """Learnt prompts; the defaults are PointAD's (arXiv 2410.00320).

    Attributes:
        context: context vectors before the words, of each prompt.
        deep_sets: sets that overwrite the first tokens of text blocks 2, 3, …; a shorter tower takes fewer.
        deep_tokens: vectors in each set, shared by the two prompts.
        init: `"random"`, N(0, std²); or `"words"`: the context starts as the embedding of a phrase and the deep
            prompts as what the text tower itself holds at their places, so that a frozen, unlearnt pair reads as the
            two sentences would. Small towers need this; it is our choice, not PointAD's.
        phrases: (normal, anomalous), for `init="words"`; the first word repeats to fill the context.
        std: of the random start.
        seed: of the random start.

    Raises:
        ConfigError: a value out of range.
    """

    context: int = within("[1, ∞)", 12)
    deep_sets: int = within("[0, ∞)", 8)
    deep_tokens: int = 4
    init: str = one_of("random", "words")
    phrases: tuple[str, str] = (NORMAL_PHRASE, ANOMALOUS_PHRASE)
    std: float = within("(0, ∞)", 0.02)
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self.deep_tokens, f"[0, {self.context}]", "PromptConfig.deep_tokens")


class PromptLearner(nn.Module):
    """`[V]×12 object.` and `[W]×12 damaged object.` with learnable V, W and deep prompts, read by a frozen text tower.

    At the text width 768 of ViT-L with 12 text blocks that is 2·12·768 + 8·4·768 = 43,008 parameters. The backbone
    is not a submodule: its weights are neither in `parameters()` nor in `state_dict()`.

    Raises:
        ConfigError: the prompt is longer than the context, or a word that the backbone's weights hold no embedding of.
    """

    words: Tensor
    eot: Tensor

    def __init__(self, backbone: Backbone, config: PromptConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PromptConfig()
        self._backbone = (backbone,)  # in a tuple, nn.Module does not register it
        tokens = torch.cat([backbone.tokenize(text) for text in (NORMAL_WORDS, ANOMALOUS_WORDS)])
        lengths = tokens.argmax(1) + 1  # with start and end of text
        room = backbone.config.text_context - int(lengths.max())
        if config.context > room:
            raise ConfigError(
                "the prompt is too long", where="PromptConfig.context", expected=f"at most {room}", found=config.context
            )
        self.register_buffer("eot", (lengths - 1 + config.context).to(backbone.device), persistent=False)
        embeddings = _embed(backbone, tokens[:, : int(lengths.max())])
        self.register_buffer("words", embeddings, persistent=False)

        shape = (min(config.deep_sets, backbone.config.text_layers - 1), config.deep_tokens, backbone.config.text_width)
        if config.init == "words":
            context = torch.stack([_phrase(backbone, text, config.context) for text in config.phrases])
            deep = _states(backbone, self._join(context), shape)
        else:
            generator = torch.Generator().manual_seed(config.seed)
            context = torch.randn(2, config.context, backbone.config.text_width, generator=generator) * config.std
            deep = torch.randn(shape, generator=generator) * config.std
        self.context = nn.Parameter(context.to(backbone.device))
        self.deep = nn.Parameter(deep.to(backbone.device))

    def forward(self) -> Float[Tensor, "2 d"]:
        """(2, D) unit text features: normal, anomalous."""
        return self._backbone[0].encode_prompts(self._join(self.context), self.eot, list(self.deep))

    def _join(self, context: Tensor) -> Tensor:
        return torch.cat([self.words[:, :1], context, self.words[:, 1:]], 1)


class HierarchicalPrompts(nn.Module):
    """Rendering prompts and geometry prompts: two learners that share the backbone and nothing else."""

    def __init__(self, backbone: Backbone, config: PromptConfig | None = None) -> None:
        super().__init__()
        config = config or PromptConfig()
        self.rendering = PromptLearner(backbone, config)
        self.geometry = PromptLearner(backbone, replace(config, seed=config.seed + 1))

    def forward(self) -> tuple[Float[Tensor, "2 d"], Float[Tensor, "2 d"]]:
        """Text features of the rendering prompts and of the geometry prompts, each (normal, anomalous)."""
        return self.rendering(), self.geometry()


def state_probabilities(
    features: Float[Tensor, "*batch d"], text: Float[Tensor, "2 d"], temperature: float = 0.07
) -> Float[Tensor, "*batch 2"]:
    """softmax of cosines over (normal, anomalous); index 1 is the anomaly score, sigmoid((cos_a − cos_n)/temperature).

    Args:
        features: (…, D) unit vectors.
        text: (2, D) unit vectors: normal, anomalous.
        temperature: 0.07 throughout PointAD (arXiv 2410.00320).
    """
    return (features @ text.T / temperature).softmax(-1)


def _embed(backbone: Backbone, tokens: Tensor) -> Tensor:
    table = backbone.model.token_embedding.weight.detach()
    embeddings = table[tokens.to(table.device)].clone()
    missing = tokens[(embeddings == 0).all(-1).cpu() & (tokens != 0)]
    if len(missing):
        raise ConfigError(
            "the weights hold no embedding of a word",
            where="prompt",
            expected="words that the text tower was trained on",
            found=backbone.tokenizer.decode(sorted(set(missing.tolist()))),
            hint="save the weights with the prompts' words among the captions",
        )
    return embeddings


def _phrase(backbone: Backbone, text: str, length: int) -> Tensor:
    """(length, width): the embedding of a phrase, cut at the front or filled there with its first word."""
    tokens = backbone.tokenize(text)
    words = _embed(backbone, tokens[0, 1 : int(tokens.argmax())])[-length:]
    return torch.cat([words[:1].expand(length - len(words), -1), words])


@torch.no_grad()
def _states(backbone: Backbone, embeddings: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """(sets, tokens, width): what enters text blocks 2, 3, … at the deep prompts' places, mean of the two prompts.

    The mean is exact where the two start with the same words: the tower is causal.
    """
    states = text_states(backbone.model, embeddings)[: shape[0]]
    return torch.stack([state[:, 1 : 1 + shape[1]].mean(0) for state in states]) if states else torch.zeros(shape)
