"""Training of GANs in a federation: what travels, what stays, what is reported, and the same bits."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import fedsec_core
from fedsec_core.course import Course
from fedsec_core.data import Spec
from fedsec_core.errors import ScenarioError
from fedsec_core.federation import Federation
from fedsec_core.rounds import Round
from fedsec_core.runs.plan import Silent
from fedsec_core.runs.reading import FederationResult, read_federation
from fedsec_core.scenario import load
from fedsec_core.state import Layout, Networks
from fedsec_core.steps import Steps
from fedsec_core.streams import Stream
from fedsec_core.testing.bench import worker
from fedsec_feddetect.plugin.model import ConditionalDcgan
from fedsec_feddetect.plugin.train import FedGan
from fedsec_feddetect.runtime.fedgan import Losses, Pair

Play = Any


class Interrupt(Silent):
    """Interrupts a run after a round, as Ctrl-C does."""

    def __init__(self, after: int) -> None:
        self.after = after

    def round(self, record: Any) -> None:
        if record.number == self.after:
            raise KeyboardInterrupt


def federation(tables: dict[str, Any]) -> Federation:
    """Play a federation to its end in this process."""
    played = Federation(load(tables).main, 5)
    for _ in Course(played).run():
        pass
    return played


def test_only_the_generator_travels_and_every_client_has_a_discriminator_of_its_own(
    tables: dict[str, Any],
) -> None:
    played = federation(tables)
    assert played.layout.parts == ("generator",)
    assert played.layout.private == ("discriminator",)
    stores = [worker(played).sites.store(client)["fedgan"] for client in range(4)]
    names = [name for name in stores[0]["parts"] if name.endswith("weight")]
    assert all(name.startswith("discriminator.") for name in stores[0]["parts"])
    weights = [torch.cat([store["parts"][name].flatten() for name in names]) for store in stores]
    assert not any(torch.equal(weights[0], other) for other in weights[1:])


def test_optimisers_remember_from_round_to_round_or_not(tables: dict[str, Any]) -> None:
    kept = worker(federation(tables)).sites.store(0)["fedgan"]["optimisers"]
    # three rounds of three batches
    assert {part: memory["steps"] for part, memory in kept.items()} == {"generator": 9, "discriminator": 9}
    tables["train"]["keep_optimiser"] = False
    assert "optimisers" not in worker(federation(tables)).sites.store(0)["fedgan"]


def test_both_networks_may_travel(tables: dict[str, Any]) -> None:
    tables["train"]["shared"] = ["generator", "discriminator"]
    played = federation(tables)
    assert played.layout.parts == ("generator", "discriminator")
    assert not played.layout.private
    assert "parts" not in worker(played).sites.store(0)["fedgan"]


@pytest.mark.parametrize("shared", [["discriminator"], ["head"], []])
def test_other_parts_are_refused(tables: dict[str, Any], shared: list[str]) -> None:
    tables["train"]["shared"] = shared
    with pytest.raises(ScenarioError) as refused:
        load(tables)
    expected = f"must be ['generator'] or ['generator', 'discriminator'], got {tuple(shared)!r}"
    assert expected in str(refused.value)


class Plain:
    """An optimiser that follows the gradient at a rate; 0 leaves everything as it is."""

    def __init__(self, rate: float = 0.0) -> None:
        self.rate = rate

    def step(self, parameters: Tensor, gradients: Tensor) -> None:
        parameters.sub_(gradients, alpha=self.rate)

    def memory(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("still", ["generator", "discriminator"])
@pytest.mark.parametrize("shared", [("generator",), None])
def test_a_step_moves_the_network_that_it_is_about_and_no_other(
    still: str, shared: tuple[str, ...] | None
) -> None:
    module = ConditionalDcgan(width=4, latent=3).build().build_networks(Spec((1, 28, 28), 2), Stream(0))  # type: ignore[attr-defined]
    flat = Networks.of(module, Layout.of(module, shared))
    pair = Pair.of(flat, FedGan(), Steps(), {})
    pair.optimisers[still] = Plain()
    before = flat.parameters.clone()
    pair.learn(torch.rand(4, 1, 28, 28), torch.tensor([0, 1, 0, 1]), torch.Generator())
    moved = {
        part for part, place in pair.places.items() if not torch.equal(before[place], flat.parameters[place])
    }
    assert moved == {"generator", "discriminator"} - {still}
    # and the next step finds parameters that take part in derivatives again
    assert all(parameter.requires_grad for parameter in module.parameters())


def reported(tables: dict[str, Any]) -> list[dict[str, float]]:
    """Return what client 0 reports, by round."""
    seen: list[dict[str, float]] = []

    played = Federation(load(tables).main, 5)
    original = played.hooks.observe_round

    def observed(round: Round) -> None:
        seen.append(dict(round.metrics[0]))
        original(round)

    played.hooks.observe_round = observed  # type: ignore[method-assign]
    for _ in Course(played).run():
        pass
    return seen


def test_clients_report_the_losses_of_the_last_batch_and_their_means(tables: dict[str, Any]) -> None:
    names = {
        "steps",
        "generator_loss",
        "discriminator_loss",
        "mean_generator_loss",
        "mean_discriminator_loss",
    }
    for metrics in reported(tables):
        assert set(metrics) == names
        assert metrics["steps"] == 3.0
    tables["train"]["steps"] = 1
    for metrics in reported(tables):
        assert metrics["generator_loss"] == metrics["mean_generator_loss"]


def test_means_are_over_all_batches_of_the_round(tables: dict[str, Any]) -> None:
    """Also where an epoch ends in the middle: with 24 samples in batches of 8, four steps are one more."""
    seen: list[tuple[float, float]] = []
    original = Losses.add

    def add(self: Losses, generator: float, discriminator: float) -> None:
        seen.append((generator, discriminator))
        original(self, generator, discriminator)

    tables["train"]["steps"] = 4
    tables["scenario"]["rounds"] = 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Losses, "add", add)
        (metrics,) = reported(tables)
    of_client_0 = seen[:4]
    assert metrics["mean_generator_loss"] == pytest.approx(np.mean([each[0] for each in of_client_0]))
    assert metrics["generator_loss"] == of_client_0[-1][0]


def test_losses_are_of_the_last_batch_and_means() -> None:
    losses = Losses()
    losses.add(1.0, 2.0)
    losses.add(3.0, 4.0)
    assert losses.metrics() == {
        "generator_loss": 3.0,
        "discriminator_loss": 4.0,
        "mean_generator_loss": 2.0,
        "mean_discriminator_loss": 3.0,
    }
    losses.add(math.inf, 1.0)
    assert "generator_loss" not in losses.metrics()
    assert Losses().metrics() == {}


def test_wgan_gp_trains_and_needs_a_critic_that_does_not_mix_samples(tables: dict[str, Any]) -> None:
    tables["train"]["objective"] = "wgan-gp"
    with pytest.raises(ScenarioError) as refused:
        load(tables)
    assert "cdcgan needs batch_statistics, which train:fedgan" in str(refused.value)
    tables["model"]["discriminator_norm"] = "instance"
    kept = worker(federation(tables)).sites.store(0)["fedgan"]["optimisers"]
    # RMSprop, which keeps no mean
    assert set(kept["generator"]) == {"square"}


def test_a_step_of_wgan_gp_is_the_one_written_out() -> None:
    """One step of plain descent, beside the losses of Gulrajani et al. in torch's own words."""
    builder: Any = ConditionalDcgan(width=4, latent=3, discriminator_norm="none").build()
    module, twin = (builder.build_networks(Spec((1, 28, 28), 2), Stream(0)) for _ in range(2))
    flat = Networks.of(module, Layout.of(module, ("generator",)))
    pair = Pair.of(flat, FedGan(objective="wgan-gp", penalty=7.0), Steps(), {})
    pair.optimisers = {part: Plain(0.1) for part in pair.optimisers}
    x, y = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 0, 1])
    losses = pair.learn(x, y, torch.Generator().manual_seed(2))

    noise = torch.Generator().manual_seed(2)
    fake = twin.generator(torch.randn(4, 3, generator=noise), y)
    share = torch.rand(4, generator=noise).view(-1, 1, 1, 1)
    # in the scale in which the discriminator sees images
    seen = (share * (2 * x - 1) + (1 - share) * (2 * fake.detach() - 1)).requires_grad_(True)
    (slope,) = torch.autograd.grad(twin.discriminator((seen + 1) / 2, y).sum(), seen, create_graph=True)
    penalty = 7.0 * (slope.flatten(1).norm(dim=1) - 1).square().mean()
    judged = twin.discriminator(fake.detach(), y).mean() - twin.discriminator(x, y).mean() + penalty
    optimisers = [torch.optim.SGD(part.parameters(), lr=0.1) for part in (twin.discriminator, twin.generator)]
    judged.backward()
    optimisers[0].step()
    made = -twin.discriminator(fake, y).mean()
    made.backward()
    optimisers[1].step()

    assert losses == pytest.approx((float(made.detach()), float(judged.detach())), rel=1e-4)
    for (name, ours), theirs in zip(module.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.detach(), theirs.detach(), rtol=1e-4, atol=1e-6, msg=name)


def test_classification_of_a_gan_is_refused(tables: dict[str, Any]) -> None:
    tables["evaluate"] = [{"use": "classification"}]
    with pytest.raises(ScenarioError, match="classification needs classifier: the model gives no logits"):
        load(tables)


def test_a_classifier_is_no_gan(tables: dict[str, Any]) -> None:
    tables["model"] = {"use": "small-cnn"}
    with pytest.raises(ScenarioError, match="fedgan needs generator: the model has no generator"):
        load(tables)


def fingerprint(found: FederationResult) -> tuple[Any, ...]:
    lines = (found.folder / "metrics.jsonl").read_text().splitlines()
    digests = [event["digests"] for event in map(json.loads, lines) if event["event"] == "round"]
    return found.facts["digest"], digests


def test_two_workers_and_a_resume_in_the_middle_give_the_same_digest(
    tables: dict[str, Any], play: Play, tmp_path: Path
) -> None:
    tables["attack"] = [{"use": "fedgan-backdoor", "clients": {"count": 1}, "size": 4, "samples": 16}]
    tables["detect"] = [{"use": "feddetect", "warm_up": 0}]
    tables["scenario"]["rounds"] = 4
    whole = fingerprint(play(tables))
    assert fingerprint(play(tables, workers=2)) == whole
    with pytest.raises(KeyboardInterrupt):
        play(tables, watcher=Interrupt(2))
    (begun,) = [path for path in tmp_path.glob("*/main/5") if not (path / "final.safetensors").exists()]
    fedsec_core.resume(begun.parent.parent, workers=1)
    assert fingerprint(read_federation(begun)) == whole


def test_skewed_clients_train_on_the_classes_that_they_hold(tables: dict[str, Any], play: Play) -> None:
    tables["partition"] = {"use": "dirichlet", "clients": 4, "alpha": 0.1}
    found = play(tables)
    assert found.status == "done"
    columns = found.end["tables"]["generation.losses"]["columns"]
    losses = [each for name, each in columns.items() if name.startswith("mean_generator_loss ")]
    assert len(losses) == 4
    assert np.isfinite(np.array(losses, dtype=float)).all()
