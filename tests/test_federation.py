"""The round and its promises: the same bits, own streams, a twin that differs by the attack alone."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from attrs import evolve

from fedsec_basics.mean import MeanAggregator
from fedsec_core.course import Course
from fedsec_core.errors import FedsecError, MissingGrant
from fedsec_core.execution.executor import Training
from fedsec_core.execution.in_process import InProcess
from fedsec_core.federation import Federation
from fedsec_core.markers import hookimpl
from fedsec_core.measuring import Measuring
from fedsec_core.records import RoundRecord
from fedsec_core.scenario import load
from fedsec_core.tasks import Answer, Blueprint, Order, Task
from fedsec_core.updates import Rows
from fedsec_core.views import Grants


def play(
    tables: dict[str, Any], *, twin: bool = False, **options: Any
) -> tuple[Federation, list[RoundRecord]]:
    federation = Federation(load(tables).main, tables["scenario"]["seed"], twin=twin, **options)
    return federation, list(Course(federation).run())


def test_the_same_scenario_twice_gives_the_same_digest(
    tables: dict[str, Any], puppet: dict[str, Any]
) -> None:
    tables["attack"] = [puppet]
    (first, _), (second, _) = play(tables), play(tables)
    assert first.digest == second.digest
    assert torch.equal(first.state, second.state)


def test_a_hook_may_be_answered_under_a_private_name(
    tables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, _ = play(tables)
    original = MeanAggregator.aggregate_updates
    asked = []

    @hookimpl(specname="aggregate_updates")
    def merge(self: MeanAggregator, rows: Rows, weights: torch.Tensor) -> torch.Tensor:
        asked.append(len(rows))
        return original(self, rows, weights)

    monkeypatch.delattr(MeanAggregator, "aggregate_updates")
    monkeypatch.setattr(MeanAggregator, "_merge", merge, raising=False)
    named, _ = play(tables)
    assert asked
    assert torch.equal(plain.state, named.state)


def test_another_seed_gives_another_digest(tables: dict[str, Any]) -> None:
    first, _ = play(tables)
    tables["scenario"]["seed"] = 2
    assert play(tables)[0].digest != first.digest


def test_training_learns_the_task(tables: dict[str, Any]) -> None:
    tables["scenario"]["rounds"] = 12
    tables["train"] |= {"momentum": 0.9}
    _, records = play(tables)
    assert records[0].metrics["witness.accuracy"] < 0.5
    assert records[-1].metrics["witness.accuracy"] > 0.9


def test_changing_the_aggregator_leaves_split_cohorts_and_first_updates_as_they_were(
    tables: dict[str, Any], puppet: dict[str, Any]
) -> None:
    tables["attack"] = [{**puppet, "clients": {"count": 1}, "rounds": {"start": 1}}]
    tables["select"] = {"use": "uniform", "fraction": 0.9}
    mean, of_mean = play(tables)
    krum, of_krum = play({**tables, "aggregate": {"use": "krum", "f": 1}})
    assert [part.tolist() for part in mean.partition] == [part.tolist() for part in krum.partition]
    assert mean.attackers.clients == krum.attackers.clients
    assert [r.digests.get("cohort") for r in of_mean] == [r.digests.get("cohort") for r in of_krum]
    assert of_mean[0].digests["state"] == of_krum[0].digests["state"]
    assert of_mean[1].digests["honest_rows"] == of_krum[1].digests["honest_rows"]
    assert of_mean[1].digests["state"] != of_krum[1].digests["state"]
    assert of_mean[2].digests["honest_rows"] != of_krum[2].digests["honest_rows"]


def test_a_twin_differs_by_nothing_before_the_attack_starts(
    tables: dict[str, Any], puppet: dict[str, Any]
) -> None:
    tables["attack"] = [puppet]
    tables["select"] = {"use": "uniform", "fraction": 0.7, "dropout": 0.1}
    attacked, of_attacked = play(tables)
    clean, of_clean = play(tables, twin=True)
    assert clean.attackers.clients == attacked.attackers.clients
    assert [r.cohort for r in of_clean] == [r.cohort for r in of_attacked]
    for before in (0, 1):
        assert of_clean[before].digests == of_attacked[before].digests
    assert of_clean[2].digests["honest_rows"] != of_attacked[2].digests["honest_rows"]
    assert of_clean[2].attacking == ()
    assert of_clean[2].metrics.keys() == of_attacked[2].metrics.keys()


def test_honest_updates_of_the_first_attacked_round_are_those_of_the_twin(
    tables: dict[str, Any], puppet: dict[str, Any]
) -> None:
    class Keeping(InProcess):
        def train(self, order: Order, tasks: Sequence[Task], *, keep: bool) -> Training:
            training = super().train(order, tasks, keep=keep)

            def answers() -> Iterator[Answer]:
                for answer in training.answers:
                    kept[order.round, answer.client] = answer.digest
                    yield answer

            return evolve(training, answers=answers())

    tables["attack"] = [{**puppet, "moment": "client"}]
    kept: dict[tuple[int, int], str] = {}
    attacked, _ = play(tables, executor=Keeping)
    of_attacked, kept = dict(kept), {}
    play(tables, twin=True, executor=Keeping)
    malicious = attacked.attackers.malicious
    for client in attacked.clients:
        assert (of_attacked[2, client] == kept[2, client]) == (client not in malicious)


class Pickled(InProcess):
    """Everything that would travel between processes travels through pickle."""

    def __init__(self, blueprint: Blueprint) -> None:
        super().__init__(copy(blueprint))

    def train(self, order: Order, tasks: Sequence[Task], *, keep: bool) -> Training:
        training = super().train(copy(order), copy(tasks), keep=keep)
        return evolve(training, answers=map(copy, training.answers))

    def map(self, function: Any, askings: Any, label: str, args: Any) -> list[Any]:
        asked = copy((function, askings, label, args))
        return copy(super().map(*asked))


class Backwards(InProcess):
    """The last client trains first."""

    def train(self, order: Order, tasks: Sequence[Task], *, keep: bool) -> Training:
        training = super().train(order, [*tasks][::-1], keep=True)
        assert training.rows is not None
        assert training.buffers is not None
        answers = [*training.answers][::-1]
        return Training(iter(answers), training.rows.flip(0), training.buffers.flip(0))


def copy(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("executor", [Pickled, Backwards])
def test_workers_that_see_only_what_is_sent_give_the_same_bits(
    tables: dict[str, Any], puppet: dict[str, Any], executor: Any
) -> None:
    tables["attack"] = [{**puppet, "moment": "client"}]
    tables["protect"] = [{"use": "shield", "dim": 0.8, "offset": 0.01, "clip": 0.1, "shift": 0.1}]
    tables["model"] |= {"norm": True, "dropout": 0.2}
    tables["evaluate"] = [{"use": "witness", "local": True}]
    here, _ = play(tables)
    there, _ = play(tables, executor=executor)
    assert there.digest == here.digest


def test_the_callers_generators_are_neither_used_nor_moved(tables: dict[str, Any]) -> None:
    tables["model"] |= {"dropout": 0.5}
    torch.manual_seed(0)
    first, _ = play(tables)
    drawn = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(torch.rand(3), drawn)
    torch.manual_seed(123)
    assert play(tables)[0].digest == first.digest


def test_adding_a_detector_changes_nobody_elses_draws(tables: dict[str, Any]) -> None:
    _, alone = play(tables)
    _, watched = play({**tables, "detect": [{"use": "distrust", "ids": [2], "trust": 1.0}]})
    for number in (1, 2, 3):
        assert alone[number].digests["honest_rows"] == watched[number].digests["honest_rows"]


def test_trust_weighs_rows_and_a_trust_of_zero_removes_them(tables: dict[str, Any]) -> None:
    tables["scenario"]["rounds"] = 1
    tables["partition"] = {"use": "iid", "clients": 4}
    full, records = play(tables)
    assert records[1].weights == (40.0, 40.0, 40.0, 40.0)
    tables["detect"] = [{"use": "distrust", "ids": [0], "trust": 0.25}]
    _, records = play(tables)
    assert records[1].weights == (10.0, 40.0, 40.0, 40.0)
    tables["detect"] = [{"use": "distrust", "ids": [0, 1, 2, 3], "trust": 0.0}]
    stopped, records = play(tables)
    assert records[1].notes == ("no update of weight above zero",)
    assert torch.equal(stopped.state, stopped.executor.built())
    assert not torch.equal(full.state, stopped.state)


def test_equal_weights_ignore_the_number_of_examples(tables: dict[str, Any]) -> None:
    tables["partition"] = {"use": "quantity-skew", "clients": 4}
    tables["aggregate"] = {"use": "mean", "weights": "equal"}
    _, records = play(tables)
    assert records[1].weights == (1.0, 1.0, 1.0, 1.0)


def test_detectors_are_scored_by_the_core_on_clean_rounds_too(
    tables: dict[str, Any], puppet: dict[str, Any]
) -> None:
    tables["attack"] = [{**puppet, "clients": {"ids": [1, 4]}}]
    tables["detect"] = [{"use": "distrust", "ids": [1, 2], "trust": 1.0}]
    _, records = play(tables)
    scores = [
        {
            name.removeprefix("distrust."): value
            for name, value in record.metrics.items()
            if "distrust" in name
        }
        for record in records
    ]
    # round 1: nobody attacks, 2 of 6 honest clients are flagged; round 2: 1 and 4 attack, 1 and 2 are flagged
    assert scores[1] == {"precision": 0.0, "recall": None, "f1": 0.0, "false_positive_rate": 2 / 6}
    assert scores[2] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "false_positive_rate": 1 / 4}


def test_rows_may_be_fewer_after_a_before_component(tables: dict[str, Any]) -> None:
    plain, _ = play(tables)
    tables["aggregate"]["weights"] = "equal"
    paired, _ = play({**tables, "before": [{"use": "pairs"}]})
    assert torch.allclose(plain.state, paired.state, atol=1e-3)


def test_after_components_change_the_step(tables: dict[str, Any]) -> None:
    tables["scenario"]["rounds"] = 1
    plain, _ = play(tables)
    doubled, _ = play({**tables, "after": [{"use": "scale-step", "factor": 2.0}]})
    built = plain.executor.built()
    assert torch.allclose(doubled.state - built, 2 * (plain.state - built), atol=1e-6)


def test_too_few_rows_keep_the_state_and_count_the_round(tables: dict[str, Any]) -> None:
    tables["aggregate"] = {"use": "sum", "awry": "few", "since": 2}
    _, records = play(tables)
    assert records[2].notes == ("sum needs at least 7 rows (it is a test), got 6",)
    assert records[2].digests["state"] == records[1].digests["state"]


def test_a_step_that_overflows_ends_as_diverged(tables: dict[str, Any]) -> None:
    tables["aggregate"] = {"use": "sum", "awry": "explodes", "since": 2}
    federation, records = play(tables)
    assert [record.diverged for record in records] == ["", "", "step"]
    assert Course(federation).finish("diverged").status == "diverged"


def test_an_attacker_that_sends_nan_breaks_the_mean_and_is_counted(
    tables: dict[str, Any], puppet: dict[str, Any]
) -> None:
    tables["attack"] = [{**puppet, "clients": {"ids": [0]}, "scale": 1e39}]
    _, records = play(tables)
    assert records[2].diverged == "step"
    assert records[2].non_finite == (0,)


def test_buffers_follow_the_mean_under_a_linear_rule_and_the_median_otherwise(tables: dict[str, Any]) -> None:
    tables["model"]["norm"] = True
    linear, _ = play({**tables, "aggregate": {"use": "sum"}})
    other, _ = play({**tables, "aggregate": {"use": "sum", "linear": False}})
    d = linear.layout.d
    assert not torch.equal(linear.state[d:], other.state[d:])


def test_server_samples_are_held_by_no_client(tables: dict[str, Any]) -> None:
    tables["data"]["server"] = 20
    federation, _ = play(tables)
    assert federation.server_data is not None
    assert len(federation.server_data) == 20
    assert sum(len(part) for part in federation.partition) == 140


def test_local_tests_are_held_back_from_training(tables: dict[str, Any]) -> None:
    tables["partition"]["local_test"] = 0.25
    tables["evaluate"] = [{"use": "classification"}]
    federation, records = play(tables)
    # 160 samples over 6 clients: 27, 27, 27, 27, 26, 26; a quarter, rounded half up, is 7 of each
    assert federation.examples == [20, 20, 20, 20, 19, 19]
    assert records[-1].metrics["classification.worst_client_accuracy"] is not None


def test_exact_duplicates_across_splits_are_found(tables: dict[str, Any]) -> None:
    tables["data"]["copies"] = 3
    federation, _ = play(tables)
    assert federation.overlaps.test_in_train == 3
    assert federation.overlaps.warnings() == ["3 test images are exact duplicates of training images"]


def test_one_component_acts_in_many_places_and_its_sides_speak_by_announcement_and_extra(
    tables: dict[str, Any], tmp_path: Path
) -> None:
    tables["protect"] = [{"use": "herald"}]
    _, records = play(tables, reference=tmp_path)
    found = [
        {name.removeprefix("herald."): value for name, value in record.metrics.items() if "herald" in name}
        for record in records
    ]
    assert [each["heard"] for each in found] == [None, 1.0, 2.0, 3.0]
    # 160 samples over 6 clients in batches of 8: 4 batches each, counted in the clients' own stores
    assert [each["batches"] for each in found] == [0.0, 24.0, 48.0, 72.0]
    assert [each["observed"] for each in found] == [0.0, 1.0, 2.0, 3.0]
    assert len({each["accuracy_apart"] for each in found}) == 1
    assert len(list(tmp_path.glob("mean-image-*.safetensors"))) == 1


def test_private_parts_stay_with_their_clients(tables: dict[str, Any]) -> None:
    tables["train"]["shared"] = ["body"]
    tables["partition"]["local_test"] = 0.3
    tables["evaluate"] = [{"use": "classification"}]
    federation, records = play(tables)
    assert federation.layout.private == ("head",)
    assert federation.layout.d == 64 * 8 + 8
    assert records[-1].metrics["classification.accuracy"] is None
    assert records[-1].metrics["classification.mean_client_accuracy"] is not None
    heads = [Measuring(federation).view(3, ()).networks(client).head.weight for client in (0, 1)]
    assert not torch.equal(*heads)


def test_the_shared_parts_can_be_had_with_the_private_ones_as_built(tables: dict[str, Any]) -> None:
    tables["train"]["shared"] = ["body"]
    tables["evaluate"] = []
    federation, _ = play(tables)
    shared = Measuring(federation).view(3, ()).networks()
    built = federation.executor.module(federation.start())
    assert torch.equal(shared.head.weight, built.head.weight)
    names = [piece.name for piece in federation.layout.parameters]
    moved = torch.cat([shared.get_parameter(name).flatten() for name in names])
    assert torch.equal(moved, federation.state[: federation.layout.d])
    assert not torch.equal(federation.state, federation.start())


def test_evaluation_may_look_at_the_training_split(tables: dict[str, Any]) -> None:
    federation, _ = play(tables)
    view = Measuring(federation).view(3, ())
    assert len(view.training) == len(federation.splits.train)
    grants = Grants("thief", frozenset())
    with pytest.raises(MissingGrant, match="server_data"):
        _ = evolve(view, grants=grants).training


def test_asking_one_model_of_a_federation_with_private_parts_is_refused(tables: dict[str, Any]) -> None:
    tables["train"]["shared"] = ["body"]
    with pytest.raises(FedsecError, match="there is no one model: head never leaves the clients"):
        play(tables)


def test_evaluating_on_an_empty_validation_split_is_refused(tables: dict[str, Any]) -> None:
    tables["data"]["val"] = 0
    tables["evaluate"][0]["on"] = "val"
    with pytest.raises(FedsecError, match="evaluates on val, but the data have no validation split"):
        play(tables)


def test_a_variant_may_have_rounds_of_its_own_and_no_other_seed(tables: dict[str, Any]) -> None:
    longer = load({**tables, "variant": [{"as": "longer", "set": {"scenario.rounds": 5}}]})
    assert (longer.main.rounds, longer.variants["longer"].rounds) == (3, 5)
    with pytest.raises(FedsecError, match=r"a variant may change scenario\.rounds, nothing else"):
        load({**tables, "variant": [{"as": "other", "set": {"scenario.seed": 5}}]})
