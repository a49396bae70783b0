"""Prompts: their words, and the learnable ones."""

from __future__ import annotations

from .learner import HierarchicalPrompts, PromptConfig, PromptLearner, state_probabilities
from .templates import DEFECT_KINDS, DEFECT_STATES, NORMAL_STATES, captions, vocabulary

__all__ = [
    "DEFECT_KINDS",
    "DEFECT_STATES",
    "NORMAL_STATES",
    "HierarchicalPrompts",
    "PromptConfig",
    "PromptLearner",
    "captions",
    "state_probabilities",
    "vocabulary",
]
