"""The words that prompts and captions are made of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# What follows the learnt context (PointAD, arXiv 2410.00320): no word names the class of the object.
NORMAL_WORDS = "object."
ANOMALOUS_WORDS = "damaged object."

# Phrases that start the context when it is not random; chosen here, `init="words"`.
NORMAL_PHRASE = "a normal"
ANOMALOUS_PHRASE = "a"

CAPTION = "a {state} {shape}"

NORMAL_STATES = ("normal", "flawless", "perfect", "intact", "undamaged")

ANOMALOUS_STATES = ("damaged", "defective", "flawed")

# State words of each kind of defect, for captions in pretraining and for naming what was found.
DEFECT_STATES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "bulge": ("bulging", "swollen", "bulged"),
        "dent": ("dented", "sunken", "concave"),
        "hole": ("pierced", "punctured", "perforated"),
        "crack": ("cracked", "split", "fractured"),
        "scratch": ("scratched", "scraped", "grooved"),
        "broken": ("broken", "chipped", "incomplete"),
        "bending": ("bent", "twisted", "warped"),
        "roughness": ("rough", "pitted", "corroded"),
    }
)

DEFECT_KINDS = tuple(DEFECT_STATES)


def captions(shape: str, kind: str | None = None) -> list[str]:
    """Captions of a normal shape, or of one with a kind of defect: `"a dented sphere"`.

    Defects are also called by the words for any of them, so that "damaged" is learnt as what they share.

    Args:
        shape: a noun, such as `"sphere"`.
        kind: one of `DEFECT_KINDS`, or None for a normal shape.

    Raises:
        KeyError: an unknown kind.
    """
    states = NORMAL_STATES if kind is None else DEFECT_STATES[kind] + ANOMALOUS_STATES
    return [CAPTION.format(state=state, shape=shape) for state in states]


def vocabulary(shapes: tuple[str, ...] = ()) -> list[str]:
    """Every text that the package itself may tokenise: captions of the shapes and of "object", and the prompts' words.

    The text of weights stored with few token rows must come from here.
    """
    texts = [NORMAL_WORDS, ANOMALOUS_WORDS, NORMAL_PHRASE, ANOMALOUS_PHRASE]
    for shape in ("object", *shapes):
        texts += captions(shape)
        for kind in DEFECT_KINDS:
            texts += captions(shape, kind)
    return texts
