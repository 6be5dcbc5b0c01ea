"""In every round, on the side of the clients: broadcast, local training, attack."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fedsec_core.markers import hookspec

if TYPE_CHECKING:
    from fedsec_core.data import Dataset
    from fedsec_core.steps import Steps
    from fedsec_core.streams import Stream
    from fedsec_core.updates import Update
    from fedsec_core.views import Broadcast, Client


@hookspec
def prepare_broadcast(
    broadcast: Broadcast, client_id: int, server_data: Dataset | None, stream: Stream
) -> Broadcast | None:
    """Change what the server sends to one client.

    Called for each client of the cohort, on a worker on the server's behalf: there is no data
    and no store of the client. `server_data` is handed to who declares the need of it (an attack:
    knows it), others get None. A chain: protections first, then the other components, attacks (a
    malicious server) last. Answer `attrs.evolve(broadcast, state=...)`; rows are measured from
    `broadcast.base`, which only a malicious server sets. None leaves the broadcast as it is.
    """


@hookspec
def training_steps(client: Client, broadcast: Broadcast, stream: Stream) -> object | None:
    """Extend the local training of a client that follows the protocol.

    Called before each client trains, on its worker. The answer is an object with any of the
    methods of `fedsec_core.steps.Steps`: `batches`, `batch`, `loss`, `per_sample_gradients`,
    `gradients`, `parameters`, `update`; the component's `extends` names them. The answers of all
    components are composed method by method, protections first, an attack's own last. None: this
    client trains as it is.
    """


@hookspec
def train_client(client: Client, broadcast: Broadcast, steps: Steps, stream: Stream) -> Update:  # type: ignore[empty-body]
    """Train one client and return its update.

    Called for each client of the cohort, on its worker, of the train component. `client.data` is
    what to train on, `client.networks()` the loaded networks, `steps` the composed extensions (those
    that the component `honours` are the only ones set). The row is the shared parameters after
    training minus `broadcast.base`. The broadcast is not modified. One answer.
    """


@hookspec
def attack_client(
    client: Client, broadcast: Broadcast, train: Callable[..., Update], stream: Stream
) -> Update | None:
    """Answer in place of a malicious client's local training.

    Called in active rounds for each malicious client of the attack, on its worker.
    `train()` is what an honest client would send; `train(data=client.poisoned, extend=..., start=...,
    protected=True, steps=60)` changes what it likes: the data, an extension of its training (as
    `training_steps` gives), the state to start from (the base of the row stays), whether the
    protections of honest clients act, and parameters of the trainer (`epochs` also where it
    counts in `steps`). Each call starts from the
    stores as the round began; only the last call's are kept. The answer is a complete update:
    `attrs.evolve` one from `train`, or `Update.zeros(broadcast)`. None: the client trains like the
    honest, on `client.poisoned` if the attack made that, and is then protected like all.
    """
