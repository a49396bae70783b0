"""The metrics against their definitions, closed forms, and the properties that make them comparable."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from pointadplus.errors import ConfigError
from pointadplus.evaluation import auroc, average_precision, f1_max
from tests.reference import metrics as naive

METRICS = (auroc, average_precision, f1_max)
# Few distinct values, so that ties within and between the classes are common.
labelled = st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=40).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


@pytest.mark.parametrize("metric", METRICS)
@settings(deadline=None, max_examples=60)
@given(rows=labelled)
def test_equals_the_naive_twin(metric, rows):
    labels, scores = [int(label) for label, _ in rows], [float(score) for _, score in rows]
    assert metric(labels, scores) == pytest.approx(getattr(naive, metric.__name__)(labels, scores), abs=1e-12)


def test_equals_scikit_learn_on_many_points():
    rng = np.random.default_rng(0)
    labels = rng.random(50_000) < 0.02
    scores = np.round(rng.normal(size=50_000) + labels, 2).astype(np.float32)
    assert auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(labels, scores) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
@settings(deadline=None, max_examples=40)
@given(rows=labelled)
def test_only_the_order_of_scores_matters(metric, rows):
    labels = [label for label, _ in rows]
    scores = np.array([score for _, score in rows], dtype=float)
    for monotone in (np.exp(scores), 5 * scores - 7, scores**3, 1 / (1 + np.exp(-scores))):
        assert metric(labels, monotone) == metric(labels, scores)


@settings(deadline=None, max_examples=40)
@given(rows=labelled)
def test_inverted_scores_give_the_complementary_auroc(rows):
    labels, scores = [label for label, _ in rows], np.array([score for _, score in rows])
    assert auroc(labels, scores) + auroc(labels, -scores) == pytest.approx(1.0)


def test_perfect_inverted_and_constant_scores():
    labels = [0, 0, 0, 1]
    assert [metric(labels, [0.1, 0.2, 0.3, 0.4]) for metric in METRICS] == [1.0, 1.0, 1.0]
    # Worst order: the anomaly is found last, behind three false alarms.
    assert [metric(labels, [0.4, 0.3, 0.2, 0.1]) for metric in METRICS] == [0.0, 0.25, pytest.approx(0.4)]
    assert [metric(labels, [0.5] * 4) for metric in METRICS] == [0.5, 0.25, pytest.approx(0.4)]


def test_a_tie_across_the_classes_counts_half():
    assert auroc([0, 1], [0.5, 0.5]) == 0.5
    assert auroc([0, 0, 1], [0.2, 0.5, 0.5]) == 0.75


@pytest.mark.parametrize("metric", METRICS)
def test_tensors_arrays_and_lists_agree(metric):
    labels, scores = [0, 1, 0, 1, 1], [0.3, 0.2, 0.1, 0.9, 0.3]
    expected = metric(labels, scores)
    assert metric(np.array(labels), np.array(scores)) == expected
    assert metric(torch.tensor(labels, dtype=torch.bool), torch.tensor(scores, dtype=torch.float64)) == expected
    assert metric(torch.tensor(labels), torch.tensor(scores, dtype=torch.float64, requires_grad=True)) == expected


@pytest.mark.parametrize("metric", METRICS)
def test_the_input_is_left_as_it_was(metric):
    scores = np.array([0.3, 0.2, 0.1])
    metric([0, 1, 0], scores)
    assert scores.tolist() == [0.3, 0.2, 0.1]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("labels", [[0, 0], [1, 1], []])
def test_one_class_only_is_undefined(metric, labels):
    assert metric(labels, [0.5] * len(labels)) is None


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1], [0.1, float("nan")], "1 of 2 NaN or infinite"),
        ([0, 1], [float("inf"), 0.1], "not finite"),
        ([0, 2], [0.1, 0.2], "not binary"),
        ([0.0, 0.5], [0.1, 0.2], "not binary"),
        ([0, 1, 1], [0.1, 0.2], "do not match"),
        ([[0, 1]], [[0.1, 0.2]], "one axis"),
    ],
)
def test_bad_input_is_refused(metric, labels, scores, message):
    with pytest.raises(ConfigError, match=message):
        metric(np.array(labels), np.array(scores))
