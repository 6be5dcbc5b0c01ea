"""The attack: imitate, simulate the others, implant."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean
from typing import TYPE_CHECKING, Any

import torch
from attrs import define, evolve
from torch import Tensor

from fedsec_backdoors import measuring
from fedsec_backdoors.ahead import Drawing, LookAhead
from fedsec_backdoors.poisoning import poison
from fedsec_backdoors.runtime.budget import Budget, Train, poisoned
from fedsec_backdoors.runtime.lasting import after
from fedsec_backdoors.runtime.poisoning import TriggerAttack
from fedsec_backdoors.runtime.training import Masking, grown
from fedsec_backdoors.training import least_moved, project
from fedsec_core.data import Dataset, as_float
from fedsec_core.evaluation import LocalView, View
from fedsec_core.findings import Findings, Picture
from fedsec_core.markers import hookimpl
from fedsec_core.steps import Steps
from fedsec_core.streams import Stream
from fedsec_core.updates import Update
from fedsec_core.views import Broadcast, Client
from fedsec_durable_backdoor.guide import Guide, require_statistics
from fedsec_durable_backdoor.imitation import Imitator, require_size
from fedsec_durable_backdoor.synthetic import Synthetic, filling, of_each

if TYPE_CHECKING:
    from fedsec_durable_backdoor.plugin.attack import DurableBackdoor

COLUMNS = 10
"""Made images of each class in a picture."""


@define(eq=False, kw_only=True)
class DurableAttack(TriggerAttack):
    """Runtime of `durable-backdoor`.

    A client remembers its generator, how often it has attacked, a sheet of the images that it made last,
    and, of the temporal strategy, what its last clean training moved.
    """

    asked: DurableBackdoor
    budget: Budget

    @hookimpl
    def attack_client(self, client: Client, broadcast: Broadcast, train: Train, stream: Stream) -> Update:
        """Return the update of this round: clean and early, or with the backdoor."""
        attacked = client.state.get("attacked", 0)
        client.state["attacked"] = attacked + 1
        clean, harmful = self._data(client, broadcast, attacked, stream)
        start, moved = None, client.state.get("moved")
        if self.asked.two_step == "temporal" and attacked < self.asked.trust_rounds:
            update = train(data=clean)
            client.state["moved"] = update.row
            return evolve(update, examples=len(client.data))
        if self.asked.simulates:
            update = train(data=clean)
            moved = update.row
            start = after(update, broadcast) if self.asked.step_1 else None
        extension = self._extension(moved, clean, stream.child("ahead"))
        update = train(data=harmful, start=start, extend=extension, **self.budget.changes)
        if self.asked.sends == "implant" and moved is not None:
            update = evolve(update, row=update.row - moved)
        return self._sent(update, client, broadcast)

    def _data(
        self, client: Client, broadcast: Broadcast, attacked: int, stream: Stream
    ) -> tuple[Dataset, Dataset]:
        """Return the client's data with made images, clean and poisoned."""
        harmful = poisoned(client, broadcast)
        if not self.asked.gan or not len(client.data):
            return client.data, harmful
        made = self._imitate(client, broadcast, attacked, stream)
        client.state["made"] = {
            "sheet": of_each(made.data, made.classes, COLUMNS),
            "kept": len(made.data),
            "drawn": made.drawn,
            "by": client.id,
            "round": broadcast.round,
        }
        also = poison(
            made.data,
            self.place(tuple(client.data.pixels.shape[1:])),
            target=self.target,
            source=self.source,
            rate=self.poison_rate,
            generator=stream.child("poison").numpy,
        )
        return Dataset.concatenate(client.data, made.data), Dataset.concatenate(harmful, also)

    def _imitate(self, client: Client, broadcast: Broadcast, attacked: int, stream: Stream) -> Synthetic:
        """Train the generator some more, and let it fill the client's data."""
        asked, shape = self.asked, tuple(client.data.pixels.shape[1:])
        guide = Guide.of(broadcast.networks(), shape)
        memory = client.state.get("imitator")
        imitator = Imitator.of(asked, shape, guide.classes, memory, stream.child("weights"))
        steps = asked.gan_steps_later if attacked else asked.gan_steps
        imitator.train(client.data, guide, steps, stream.child("imitate"))
        client.state["imitator"] = imitator.memory()
        noise = stream.child("draw").torch
        return filling(
            client.data,
            guide,
            lambda y: imitator.draw(y, noise),
            per_class=asked.per_class,
            tries=asked.tries,
        )

    def _extension(self, moved: Tensor | None, clean: Dataset, stream: Stream) -> Steps:
        """Return what step 2 changes of a training step."""
        asked, masking, ahead = self.asked, None, None
        if asked.mask and moved is not None:
            masking = Masking(least_moved(moved, 1 - asked.quantile)).gradients
        if asked.look_ahead:
            drawing = Drawing(clean, asked.look_ahead_batch, stream)
            ahead = LookAhead(asked.look_ahead, asked.look_ahead_lr, asked.look_ahead_weight, drawing).loss
        return Steps(gradients=masking, loss=ahead)

    def _sent(self, update: Update, client: Client, broadcast: Broadcast) -> Update:
        """Return what is sent: scaled, within the bound, at the norm, of as many samples as are held."""
        update = grown(update, self.asked.scale, client, broadcast)
        if self.asked.bound is not None:
            row = project(update.row, torch.zeros_like(update.row), self.asked.bound)
            update = evolve(update, row=row)
        return evolve(self.budget.send(update), examples=len(client.data))

    @hookimpl
    def evaluate_model(self, view: View) -> Findings:
        """Try the trigger; in a round under attack also show what was made for it.

        Raises FedsecError before the first round for images and models that cannot be imitated.
        """
        if self.asked.gan and view.number == 0:
            require_size(tuple(view.data.pixels.shape[1:]))
            if self.asked.statistics:
                require_statistics(view.networks())
        found = measuring.try_trigger(view, self._whole(view), target=self.target, source=self.source)
        if not self.asked.gan or not view.truth.active:
            return found
        kept = view.map(last_made, view.truth.active)
        made = [each for each in kept if each is not None and each["round"] == view.number]
        if not made:
            return found
        drawn = sum(each["drawn"] for each in made)
        figures = {
            "synthetic": float(mean(each["kept"] for each in made)),
            "accepted": sum(each["kept"] for each in made) / drawn if drawn else None,
        }
        rows = [as_float(row) for row in made[0]["sheet"]]
        caption = f"Made by client {made[0]['by']} for this round, a row for each class"
        pictures = {**found.pictures, "synthetic": Picture(measuring.tile(rows), caption)}
        return evolve(found, metrics={**found.metrics, **figures}, pictures=pictures)


def last_made(local: LocalView) -> Mapping[str, Any] | None:
    """Return what a client made in its last attack; None if nothing."""
    return local.state.get("made")
