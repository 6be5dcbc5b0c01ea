"""`classification`: its figures by hand, equal to MedMNIST's, and what becomes of them in a federation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from medmnist.evaluator import getACC, getAUC  # type: ignore[import-untyped]
from torch import Tensor, nn

from fedsec_basics import scores
from fedsec_basics.plugin.evaluate import Classification
from fedsec_core.data import Dataset
from fedsec_core.evaluation import LocalView, Truth, View
from fedsec_core.findings import Findings
from fedsec_core.state import Layout
from fedsec_core.vocabulary import Capability

# Figures as functions


@st.composite
def scored(draw: st.DrawFn, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels in which every class occurs, and probabilities with ties."""
    extra = draw(st.lists(st.integers(0, classes - 1), max_size=30))
    y = np.array(draw(st.permutations([*range(classes), *extra])))
    weights = st.lists(st.integers(1, 4), min_size=classes, max_size=classes)
    p = np.array(draw(st.lists(weights, min_size=len(y), max_size=len(y))), dtype=np.float64)
    return y, p / p.sum(axis=1, keepdims=True)


@settings(deadline=None)
@given(st.sampled_from(["multi-class", "ordinal-regression"]), st.integers(2, 5).flatmap(scored))
def test_accuracy_and_auc_are_those_of_medmnist(task: str, sample: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = sample
    assert scores.accuracy(y, scores.predict(p, task)) == pytest.approx(getACC(y, p, task), abs=1e-12)
    assert scores.auc(y, p, task) == pytest.approx(getAUC(y, p, task), abs=1e-12)


@settings(deadline=None)
@given(scored(2))
def test_binary_accuracy_and_auc_are_those_of_medmnist(sample: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = sample
    task = "binary-class"
    assert scores.accuracy(y, scores.predict(p, task)) == pytest.approx(getACC(y, p, task), abs=1e-12)
    assert scores.auc(y, p, task) == pytest.approx(getAUC(y, p, task), abs=1e-12)


def test_the_auc_counts_ties_half() -> None:
    # Pairs (positive, negative): .5 > .2, .5 = .5, .9 > .2, .9 > .5 make (1 + 1/2 + 1 + 1) / 4.
    positive = np.array([False, False, True, True])
    assert scores.rank_auc(positive, np.array([0.2, 0.5, 0.5, 0.9])) == 0.875


@pytest.mark.parametrize("labels", [[0, 0], [1, 1]])
def test_the_auc_of_one_class_alone_is_undefined(labels: list[int]) -> None:
    p = np.array([[0.4, 0.6], [0.7, 0.3]])
    assert scores.auc(np.array(labels), p, "binary-class") is None
    assert scores.auc(np.array(labels), p, "multi-class") is None


def test_the_auc_is_undefined_where_one_of_three_classes_is_absent() -> None:
    p = np.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3]])
    assert scores.auc(np.array([0, 1]), p, "multi-class") is None


COUNTS = scores.confusion(np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 2]), 3)


def test_the_confusion_matrix_has_a_row_per_true_class() -> None:
    assert COUNTS.tolist() == [[3, 1, 0], [0, 1, 1], [0, 0, 0]]


def test_sensitivity_is_the_share_found_of_a_class() -> None:
    assert scores.sensitivities(COUNTS) == [3 / 4, 1 / 2, None]


def test_specificity_is_the_share_spared_of_the_others() -> None:
    # Class 0: both others spared. Class 1: 3 of 4 others. Class 2: 5 of 6 others.
    assert scores.specificities(COUNTS) == [1.0, 3 / 4, 5 / 6]


def test_specificity_is_undefined_where_there_are_no_others() -> None:
    assert scores.specificities(np.array([[4, 1], [0, 0]])) == [None, 4 / 5]


def test_balanced_accuracy_is_the_mean_sensitivity_of_the_classes_present() -> None:
    assert scores.balanced_accuracy(COUNTS) == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_the_calibration_error_weighs_the_gap_of_each_bin() -> None:
    # Two bins. (0, .5]: confidence .5, right: gap .5, weight 1/4. (.5, 1]: confidences .6, .8, 1.0,
    # two of three right: |2/3 - .8|, weight 3/4. Together .125 + .1 = .225.
    p = np.array([[0.5, 0.5], [0.6, 0.4], [0.8, 0.2], [1.0, 0.0]])
    y, predicted = np.array([0, 1, 0, 0]), np.zeros(4, dtype=np.int64)
    assert scores.calibration_error(y, predicted, p, bins=2) == pytest.approx(0.225)


def test_a_sure_and_right_classifier_is_calibrated() -> None:
    y = np.array([0, 1, 1])
    assert scores.calibration_error(y, y, np.eye(2)[y]) == 0.0


def test_the_threshold_is_the_smallest_with_the_specificity() -> None:
    # Ten negatives .0, .1, ... .9: at threshold .6 seven of them, 0.7, are not above it.
    score = np.array([*(np.arange(10) / 10), 0.95])
    positive = np.array([False] * 10 + [True])
    assert scores.threshold_at_specificity(positive, score, 0.7) == 0.6
    assert scores.threshold_at_specificity(positive, score, 0.71) == 0.7
    assert scores.threshold_at_specificity(positive, score, 1.0) == 0.9


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=20), st.floats(0.01, 1.0))
def test_the_threshold_keeps_the_specificity_and_none_below_does(
    samples: list[tuple[bool, int]], target: float
) -> None:
    positive, score = (np.array(column) for column in zip(*samples, strict=True))
    threshold = scores.threshold_at_specificity(positive, score, target)
    negative = score[~positive]
    if threshold is None:
        assert not len(negative)
    else:
        assert (negative <= threshold).mean() >= target
        assert (negative <= threshold - 0.5).mean() < target


def test_sensitivity_counts_positives_above_the_threshold() -> None:
    positive = np.array([True, True, True, False])
    assert scores.sensitivity_at(positive, np.array([0.5, 0.6, 0.9, 0.9]), 0.5) == pytest.approx(2 / 3)


# The component, on a federation whose images are their own logits


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(1, 1), nn.Linear(1, 1)


def dataset(logits: Sequence[Sequence[float]], labels: Sequence[int], **metadata: np.ndarray) -> Dataset:
    pixels = torch.tensor(logits, dtype=torch.float32).reshape(len(labels), -1, 1, 1)
    return Dataset(pixels, torch.tensor(labels, dtype=torch.int64), metadata)


def read_off(x: Tensor, client: int | None = None) -> Tensor:
    """The model: it reads its logits off the image; those of odd clients are swapped."""
    logits = x.flatten(1)
    return logits.flip(1) if client is not None and client % 2 else logits


EMPTY = Dataset(torch.zeros(0, 2, 1, 1), torch.zeros(0, dtype=torch.int64))
DATA = dataset([[2, 0], [1, 0], [0, 1], [0, 3]], [0, 1, 1, 1])
VAL = dataset([[3, 0], [0, 0], [0, 2]], [0, 0, 1])


def evaluate(
    data: Dataset = DATA,
    val: Dataset = EMPTY,
    *,
    classes: tuple[str, ...] = ("Normal", "Basal Cell"),
    task: str = "binary-class",
    local_tests: Sequence[Dataset | None] = (),
    predict: Callable[[Tensor, int | None], Tensor] = read_off,
    shared: tuple[str, ...] | None = None,
    local_test: float = 0.2,
    **parameters: Any,
) -> Findings:
    def local(client: int) -> LocalView:
        return LocalView(
            id=client,
            data=data,
            local_test=local_tests[client],
            state={},
            predict=lambda x: predict(x, client),
            networks=Net,
        )

    def shared_only(x: Tensor, client: int | None, served: bool) -> Tensor:
        assert client is not None or shared is None, "there is no shared model"
        return predict(x, client)

    def unused(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("classification asks for nothing but predictions")

    view = View(
        number=1,
        rounds=1,
        classes=classes,
        task=task,
        layout=Layout.of(Net(), shared),
        clients=tuple(range(len(local_tests))),
        data=data,
        val=val,
        test=data,
        training=data,
        truth=Truth({}, (), ()),
        twin=False,
        predict=shared_only,
        networks=unused,
        map=lambda function, clients, *args: [function(local(client), *args) for client in clients],
        train=unused,
        cached=unused,
        local_test=local_test,
    )
    runtime: Any = Classification(**parameters).build()
    findings: Findings = runtime.evaluate_model(view)
    return findings


def test_the_names_of_metrics_are_an_interface() -> None:
    assert set(evaluate().metrics) == {
        "accuracy",
        "auc",
        "balanced_accuracy",
        "ece",
        "loss",
        "sensitivity.normal",
        "sensitivity.basal-cell",
        "specificity.normal",
        "specificity.basal-cell",
        "sensitivity_at_specificity",
        "mean_client_accuracy",
        "worst_client_accuracy",
    }


def test_the_shared_model_is_measured_on_the_evaluation_samples() -> None:
    # Predicted 0, 0, 1, 1 of true 0, 1, 1, 1.
    metrics = evaluate().metrics
    assert metrics["accuracy"] == 3 / 4
    assert metrics["auc"] == 1.0
    assert metrics["balanced_accuracy"] == pytest.approx((1 + 2 / 3) / 2)
    assert metrics["sensitivity.normal"] == metrics["specificity.basal-cell"] == 1.0
    assert metrics["sensitivity.basal-cell"] == metrics["specificity.normal"] == pytest.approx(2 / 3)


def test_the_loss_is_the_mean_cross_entropy() -> None:
    # ln(1 + e^-2), ln(1 + e^1), ln(1 + e^-1), ln(1 + e^-3)
    expected = sum(math.log1p(math.exp(margin)) for margin in (-2, 1, -1, -3)) / 4
    assert evaluate().metrics["loss"] == pytest.approx(expected)


def test_the_calibration_error_has_the_bins_asked_for() -> None:
    # One bin: mean confidence against the accuracy of 3/4.
    confidence = sum(1 / (1 + math.exp(-margin)) for margin in (2, 1, 1, 3)) / 4
    assert evaluate(bins=1).metrics["ece"] == pytest.approx(abs(0.75 - confidence))


def test_confident_logits_keep_their_order() -> None:
    # Both probabilities round to 1 in float32, which would make the AUC 1/2.
    assert evaluate(dataset([[0, 20], [0, 30]], [0, 1])).metrics["auc"] == 1.0


def test_the_threshold_of_the_sensitivity_comes_from_val() -> None:
    # Margins of class 1. Val: -3 and 0 negative; specificity 0.9 of 2 takes both: threshold at 0.
    # Data: positives -1, 1, 3 of which two lie above.
    assert evaluate(val=VAL).metrics["sensitivity_at_specificity"] == pytest.approx(2 / 3)
    # Specificity 0.5 takes one of two: threshold at -3, all three lie above.
    assert evaluate(val=VAL, specificity=0.5).metrics["sensitivity_at_specificity"] == 1.0


def test_without_val_there_is_no_threshold() -> None:
    assert evaluate(val=EMPTY).metrics["sensitivity_at_specificity"] is None


def test_without_a_negative_in_val_there_is_no_threshold() -> None:
    assert evaluate(val=dataset([[0, 1]], [1])).metrics["sensitivity_at_specificity"] is None


THREE = dataset([[2, 0, 0], [0, 2, 0], [0, 0, 2]], [0, 1, 2])


def test_more_than_two_classes_have_no_sensitivity_at_a_specificity() -> None:
    metrics = evaluate(THREE, THREE, classes=("a", "b", "c"), task="multi-class").metrics
    assert metrics["accuracy"] == metrics["auc"] == 1.0
    assert metrics["sensitivity_at_specificity"] is None


def test_the_sensitivity_of_an_absent_class_is_undefined() -> None:
    metrics = evaluate(dataset([[2, 0], [0, 1]], [0, 0])).metrics
    assert metrics["sensitivity.basal-cell"] is None
    assert metrics["specificity.basal-cell"] == 1 / 2
    assert metrics["auc"] is None


def test_the_confusion_table_names_true_and_predicted_classes() -> None:
    columns = evaluate().tables["confusion"].columns
    assert {name: list(column) for name, column in columns.items()} == {
        "true class": ["Normal", "Basal Cell"],
        "Normal": [1, 1],
        "Basal Cell": [0, 2],
    }


def test_each_client_is_measured_on_its_own_samples_with_its_own_model() -> None:
    # Client 0 is right on 3 of 4. Client 1's model is swapped: right on 1 of 4.
    findings = evaluate(local_tests=[DATA, DATA, None])
    assert findings.metrics["worst_client_accuracy"] == 1 / 4
    assert findings.metrics["mean_client_accuracy"] == 1 / 2
    columns = findings.tables["clients"].columns
    assert {name: list(column) for name, column in columns.items()} == {
        "client": [0, 1],
        "accuracy": [3 / 4, 1 / 4],
        "examples": [4, 4],
    }


@pytest.mark.parametrize("local_tests", [(), (None, None), (EMPTY,)])
def test_without_local_tests_there_is_no_worst_client(local_tests: Sequence[Dataset | None]) -> None:
    findings = evaluate(local_tests=local_tests)
    assert findings.metrics["worst_client_accuracy"] is None
    assert findings.metrics["mean_client_accuracy"] is None
    assert "clients" not in findings.tables


def test_clients_that_hold_nothing_back_are_not_asked() -> None:
    asked: list[int] = []

    def predict(x: Tensor, client: int | None) -> Tensor:
        if client is not None:
            asked.append(client)
        return read_off(x)

    findings = evaluate(local_tests=[DATA, DATA], predict=predict, local_test=0.0)
    assert asked == []
    assert findings.metrics == evaluate(local_tests=[None, None]).metrics
    assert evaluate(local_tests=[DATA, DATA], predict=predict).metrics["worst_client_accuracy"] == 3 / 4
    assert asked == [0, 1]


def test_a_broken_client_is_not_passed_over() -> None:
    def predict(x: Tensor, client: int | None) -> Tensor:
        return x.flatten(1) * (math.nan if client == 1 else 1)

    findings = evaluate(local_tests=[DATA, DATA], predict=predict)
    assert findings.metrics["worst_client_accuracy"] is None
    assert list(findings.tables["clients"].columns["accuracy"]) == [3 / 4, None]


def test_with_private_parts_only_the_clients_own_models_are_measured() -> None:
    findings = evaluate(local_tests=[DATA, DATA], shared=("body",))
    assert findings.metrics["accuracy"] is None
    assert findings.metrics["worst_client_accuracy"] == 1 / 4


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_leave_every_figure_undefined(broken: float) -> None:
    group = np.array(["a", "b"])
    findings = evaluate(dataset([[2, 0], [broken, 0]], [0, 1], group=group), VAL, local_tests=[None])
    assert set(findings.metrics) == {*evaluate().metrics, "worst_group_accuracy"}
    assert set(findings.metrics.values()) == {None}


def test_huge_logits_give_finite_figures() -> None:
    metrics = evaluate(dataset([[3e38, -3e38], [3e38, -3e38]], [0, 1]), VAL).metrics
    assert all(math.isfinite(value) for value in metrics.values() if value is not None)
    assert metrics["accuracy"] == 1 / 2


def test_the_worst_group_is_reported_where_samples_have_groups() -> None:
    # Right, wrong, right, right.
    group = np.array(["a", "b", "b", "a"])
    data = Dataset(DATA.pixels, DATA.y, {"group": group})
    findings = evaluate(data)
    assert findings.metrics["worst_group_accuracy"] == 1 / 2
    columns = findings.tables["groups"].columns
    assert {name: list(column) for name, column in columns.items()} == {
        "group": ["a", "b"],
        "accuracy": [1.0, 1 / 2],
        "examples": [2, 2],
    }


def test_the_figures_are_plain_floats() -> None:
    findings = evaluate(val=VAL, local_tests=[DATA])
    assert {type(value) for value in findings.metrics.values()} == {float}


def test_it_needs_a_classifier() -> None:
    assert Classification().needs == {Capability.CLASSIFIER}


@pytest.mark.parametrize("wrong", [{"specificity": 0.0}, {"specificity": 1.1}, {"bins": 0}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Classification(**wrong)
