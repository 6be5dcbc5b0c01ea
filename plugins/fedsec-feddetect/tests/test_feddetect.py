"""FedDetect and its calibrated variant: the released rule written out apart, margins, forgiveness, lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest

from fedsec_core.course import Course
from fedsec_core.errors import FedsecError, ScenarioError
from fedsec_core.federation import Federation
from fedsec_core.rounds import Round
from fedsec_core.scenario import load
from fedsec_core.state import Layout
from fedsec_core.streams import Stream
from fedsec_core.updates import Rows, Verdict
from fedsec_feddetect import forest
from fedsec_feddetect.plugin.detect import CalibratedFedDetect, FedDetect

Losses = Sequence[float]


def round_of(number: int, losses: Losses, metric: str = "generator_loss") -> Round:
    n = len(losses)
    return Round(
        number=number,
        rounds=100,
        cohort=tuple(range(n)),
        layout=Layout((), ()),
        state=torch.zeros(0),
        make=lambda state: pytest.fail("reported losses need no networks"),
        train=lambda data, **_: pytest.fail("nothing is trained"),
        clients=tuple(range(n)),
        rows=Rows(torch.zeros(n, 1), tuple(range(n))),
        metrics=tuple({metric: loss} for loss in losses),
    )


def judged(detector: Any, number: int, losses: Losses, metric: str = "generator_loss") -> Verdict:
    verdict: Verdict = detector.detect_anomalies(round_of(number, losses, metric), Stream(0))
    return verdict


class Released:
    """The rule as the card of the released code tells it, weights summing to 1, in plain Python."""

    def __init__(self, clients: int, trees: int, gamma: float = 0.9, warm_up: int = 10) -> None:
        self.w, self.c = [1 / clients] * clients, [0] * clients
        self.trees, self.gamma, self.warm_up = trees, gamma, warm_up

    def round(self, t: int, losses: Losses) -> list[float]:
        k = len(losses)
        points = [[0.0, abs(loss)] for loss in losses]
        forest = IsolationForest(n_estimators=self.trees, max_samples=k, random_state=999)
        marks = forest.fit_predict(points)
        flagged = [client for client in range(k) if marks[client] == -1]
        if t > self.warm_up and len(flagged) < k // 2 and flagged:
            for client in flagged:
                self.c[client] += 1
            for client in flagged:
                self.w[client] *= self.gamma ** self.c[client]
            total = sum(self.w)
            self.w = [each / total for each in self.w]
        return self.w


@pytest.mark.parametrize(("clients", "rounds"), [(4, 60), (6, 20), (10, 20)])
def test_many_rounds_have_the_weights_of_the_rule_written_out(clients: int, rounds: int) -> None:
    generator = np.random.default_rng(clients)
    # fewer trees than by default, which take a fifth of the time; one round of all is compared below
    detector: Any = FedDetect(trees=20).build()
    rule = Released(clients, trees=20)
    for number in range(1, rounds + 1):
        losses = (1 + 0.2 * generator.standard_normal(clients)).tolist()
        losses[0] += 1.5 * (generator.random() < 0.6)
        verdict, weights = judged(detector, number, losses), rule.round(number, losses)
        np.testing.assert_allclose(verdict.trust, np.array(weights) / max(weights), rtol=1e-9)


def test_one_flag_gives_the_weights_that_the_released_log_shows() -> None:
    """Round 11 of the log flags the last of four clients: 0.256, 0.256, 0.256, 0.231."""
    detector: Any = FedDetect().build()
    for number in range(1, 11):
        assert not judged(detector, number, [1.0, 1.0, 1.0, 9.0]).flagged.any()
    verdict = judged(detector, 11, [1.0, 1.01, 0.99, 9.0])
    assert verdict.flagged.tolist() == [False, False, False, True]
    shares = verdict.trust / verdict.trust.sum()
    assert shares.round(3).tolist() == [0.256, 0.256, 0.256, 0.231]


@given(st.integers(1, 30))
def test_flags_add_up_to_a_triangular_power(flags: int) -> None:
    weights, counts = {0: 1.0, 1: 1.0}, {0: 0, 1: 0}
    for _ in range(flags):
        weights, counts = forest.fade(weights, counts, {1}, 0.9)
    assert weights[0] == 1.0
    assert weights[1] == pytest.approx(0.9 ** (flags * (flags + 1) / 2))
    assert counts == {0: 0, 1: flags}


def test_ten_flags_suppress_a_client_for_good() -> None:
    detector: Any = FedDetect(trees=20, warm_up=0).build()
    for number in range(1, 11):
        verdict = judged(detector, number, [1.0, 1.1, 0.9, 8.0])
    assert verdict.trust[3] < 0.01
    for number in range(11, 30):
        verdict = judged(detector, number, [1.0, 1.1, 1.05, 0.95])
    assert verdict.trust[3] < 0.01


@pytest.mark.parametrize(
    ("flags", "acting"),
    [
        ([1, 0, 0, 0], True),
        ([1, 1, 0, 0], False),
        ([0, 0, 0, 0], False),
        ([1, 1, 0, 0, 0, 0], True),
        ([1, 0, 0], False),
    ],
)
def test_the_rule_acts_on_fewer_than_half(flags: list[int], acting: bool) -> None:
    assert forest.acts(np.array(flags, dtype=bool), len(flags)) is acting


def test_who_reports_no_finite_loss_is_left_out_and_nobody_else_suffers() -> None:
    detector: Any = FedDetect(trees=20, warm_up=0).build()
    verdict = judged(detector, 1, [1.0, 1.0, math.nan, 1.0, math.inf])
    assert verdict.flagged.tolist() == [False, False, True, False, True]
    assert verdict.trust.tolist() == [1, 1, 0, 1, 0]
    assert verdict.score[[2, 4]].tolist() == [math.inf] * 2
    assert judged(detector, 2, [1.0] * 5).trust.tolist() == [1] * 5


def test_who_keeps_silent_shields_nobody() -> None:
    """Of four clients one reports nothing and one stands out among the other three."""
    detector: Any = FedDetect(trees=20, warm_up=0).build()
    for number in range(1, 11):
        verdict = judged(detector, number, [1.0, 1.1, 9.0, math.nan])
    assert verdict.flagged.tolist() == [False, False, True, True]
    assert verdict.trust[2] < 0.01


def test_a_loss_beyond_float32_is_none_and_no_honest_client_pays_for_it() -> None:
    detector: Any = FedDetect(trees=20, warm_up=0).build()
    for number in range(1, 8):
        verdict = judged(detector, number, [1.0, 1.1, 0.9, 1e39])
    assert verdict.trust.tolist() == [1, 1, 1, 0]
    assert verdict.flagged.tolist() == [False, False, False, True]


def test_a_round_in_which_nobody_has_a_finite_loss_leaves_nobody_and_is_no_fault() -> None:
    detector: Any = FedDetect(trees=20, warm_up=0).build()
    judged(detector, 1, [1.0, 2.0, 3.0])
    silent = evolve(round_of(2, [0.0] * 3), metrics=({"steps": 1.0},) * 3)
    verdict = detector.detect_anomalies(silent, Stream(0))
    assert verdict.trust.tolist() == [0, 0, 0]
    assert judged(detector, 3, [1.0, 2.0, 3.0]).trust.tolist() == [1, 1, 1]


def test_a_metric_that_nobody_reports_is_named() -> None:
    detector: Any = FedDetect(metric="generatr_loss").build()
    with pytest.raises(FedsecError) as refused:
        judged(detector, 1, [1.0, 2.0])
    assert str(refused.value) == "no client reports metric = 'generatr_loss'; they report generator_loss"


def test_deviations_are_robust_and_have_a_floor() -> None:
    # median 2.5, median absolute deviation 1
    found = forest.deviations(np.array([1.0, 2.0, 3.0, 100.0]), 0.1)
    assert found[3] == pytest.approx(97.5 / 1.4826)
    # all alike: a tenth of the median is the least
    assert forest.deviations(np.array([1.0, 1.0, 1.0, 1.4]), 0.1)[3] == pytest.approx(4.0)
    assert forest.deviations(np.zeros(3), 0.1).tolist() == [0, 0, 0]


def run(detector: Any, losses: Sequence[Losses], start: int = 1) -> list[Verdict]:
    return [
        judged(detector, number, each, "mean_generator_loss") for number, each in enumerate(losses, start)
    ]


def test_the_calibrated_variant_spares_clients_within_the_margin() -> None:
    generator = np.random.default_rng(0)
    honest = [(1 + 0.05 * generator.standard_normal(4)).tolist() for _ in range(30)]
    assert any(
        verdict.flagged.any()
        for verdict in run(FedDetect(trees=20, metric="mean_generator_loss").build(), honest)
    )
    assert not any(verdict.flagged.any() for verdict in run(CalibratedFedDetect(trees=20).build(), honest))


def test_the_calibrated_variant_suppresses_high_losses_and_not_low_ones() -> None:
    attacked = run(CalibratedFedDetect(trees=20).build(), [[1.0, 1.1, 0.9, 3.0]] * 20)
    assert [bool(verdict.flagged[3]) for verdict in attacked] == [False] * 10 + [True] * 10
    assert attacked[-1].trust[3] < 0.01
    low = run(CalibratedFedDetect(trees=20).build(), [[1.0, 1.1, 0.9, 0.01]] * 20)
    assert not any(verdict.flagged.any() for verdict in low)


def test_one_outlying_round_is_smoothed_away() -> None:
    quiet = [[1.0, 1.02, 0.98, 1.0]] * 12
    once = [*quiet, [1.0, 1.02, 0.98, 1.8], *quiet]
    assert not any(verdict.flagged.any() for verdict in run(CalibratedFedDetect(trees=20).build(), once))
    eager = run(CalibratedFedDetect(trees=20, smoothing=1.0).build(), once)
    assert [number for number, verdict in enumerate(eager, 1) if verdict.flagged.any()] == [13]


def test_a_client_is_forgiven_after_quiet_rounds() -> None:
    bad, good = [1.0, 1.1, 0.9, 3.0], [1.0, 1.1, 0.9, 1.0]
    detector: Any = CalibratedFedDetect(trees=20, warm_up=0, smoothing=1.0, forgive=3).build()
    trust = [verdict.trust[3] for verdict in run(detector, [bad] * 4 + [good] * 4)]
    assert trust[3] == pytest.approx(0.9**10)
    assert trust[4:6] == [trust[3]] * 2
    assert trust[6:] == [1.0, 1.0]
    assert detector.counts[3] == 0


def test_who_still_stands_out_is_not_forgiven_because_others_do_too() -> None:
    """With two of five standing out the rule does not act, but neither has been quiet."""
    one, two = [1.0, 1.1, 0.9, 1.0, 4.0], [1.0, 1.1, 0.9, 4.0, 4.0]
    detector: Any = CalibratedFedDetect(trees=20, warm_up=0, smoothing=1.0, forgive=3).build()
    verdicts = run(detector, [one] * 4 + [two] * 6)
    assert not any(verdict.flagged.any() for verdict in verdicts[4:])
    assert verdicts[-1].trust[4] == pytest.approx(0.9**10)


@pytest.mark.parametrize(
    "settings", [FedDetect(trees=20, warm_up=2), CalibratedFedDetect(trees=20, warm_up=2)]
)
def test_a_resumed_detector_says_what_an_uninterrupted_one_says(settings: Any) -> None:
    metric = settings.metric
    generator = np.random.default_rng(4)
    losses = [(1 + 0.3 * generator.standard_normal(5)).tolist() for _ in range(12)]
    whole, first, second = (settings.build() for _ in range(3))
    expected = [judged(whole, number, each, metric) for number, each in enumerate(losses, 1)]
    for number, each in enumerate(losses[:6], 1):
        judged(first, number, each, metric)
    second.restore(first.state())
    for number, each in enumerate(losses[6:], 7):
        verdict = judged(second, number, each, metric)
        assert verdict.trust.tolist() == expected[number - 1].trust.tolist()


def test_a_server_that_measures_needs_data_of_its_own(tables: dict[str, Any]) -> None:
    tables["detect"] = [{"use": "feddetect", "loss_source": "server_evaluated"}]
    with pytest.raises(ScenarioError, match="feddetect needs server_data: give the server some"):
        load(tables)


def test_the_server_finds_the_generator_that_draws_worse(tables: dict[str, Any]) -> None:
    """After some rounds of learning, a generator of plain grey has the largest loss of all."""
    tables["data"] |= {"train": 160, "server": 64}
    tables["scenario"]["rounds"] = 6
    tables["train"] |= {"steps": 8}
    tables["detect"] = [{"use": "feddetect", "loss_source": "server_evaluated", "server_steps": 20}]
    played, rounds = Federation(load(tables).main, 5), []
    original = played.hooks.observe_round

    def observed(round: Round) -> None:
        rounds.append(evolve(round, server_data=played.server_data))
        original(round)

    played.hooks.observe_round = observed  # type: ignore[method-assign]
    for _ in Course(played).run():
        pass
    judge: Any = next(each.runtime for each in played.hooks if each.label == "feddetect").judge
    before = {name: tensor.clone() for name, tensor in judge.weights.items()}
    last = rounds[-1]
    rows = last.rows.matrix.clone()
    # whatever the latent vector and the class: no weights but those of BatchNorm, so that tanh gives 0
    rows[2] = -last.state[: last.layout.d]
    losses = judge.losses(evolve(last, rows=Rows(rows, last.clients)), Stream(1))
    assert int(losses.argmax()) == 2
    assert any(not torch.equal(before[name], judge.weights[name]) for name in before)


@pytest.mark.parametrize("width", [3, 16])
def test_a_server_measures_networks_of_any_width_in_colour(
    width: int, tables: dict[str, Any], play: Any
) -> None:
    """Slopes of convolutions need not lie in memory as their weights do."""
    tables["scenario"]["rounds"] = 1
    tables["data"] |= {"server": 16, "channels": 3, "size": 32}
    tables["model"]["width"] = width
    tables["train"]["steps"] = 1
    tables["detect"] = [
        {"use": "feddetect", "loss_source": "server_evaluated", "server_steps": 2, "trees": 5}
    ]
    (verdict,) = (event["verdicts"]["feddetect"] for event in play(tables).rounds[1:])
    assert all(math.isfinite(score) for score in verdict["score"])


def test_a_server_that_measures_is_not_told_a_loss(tables: dict[str, Any], play: Any) -> None:
    """The trust of a liar and of one who tells the truth is the same: nobody listens to them."""
    tables["data"]["server"] = 16
    tables["detect"] = [
        {"use": "feddetect", "loss_source": "server_evaluated", "warm_up": 0, "server_steps": 3, "trees": 20}
    ]
    scores = []
    for lie in ("none", "constant"):
        tables["attack"] = [{"use": "fedgan-backdoor", "clients": {"count": 1}, "lie": lie, "samples": 8}]
        scores.append([event["verdicts"]["feddetect"]["score"] for event in play(tables).rounds[1:]])
    assert scores[0] == scores[1]
    assert len({score for scores in scores[0] for score in scores}) > 4
