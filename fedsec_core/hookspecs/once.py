"""Before the first round: load, build, split, protect, poison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fedsec_core.markers import hookspec

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from fedsec_core.data import Dataset, Spec, Splits
    from fedsec_core.streams import Stream
    from fedsec_core.views import Client


@hookspec
def load_data(stream: Stream) -> Splits:  # type: ignore[empty-body]
    """Load the data set, with its official split into train, val and test.

    Called once on the server, of the data component. Images are bytes or float32 in [0, 1],
    channels first, the same shape in all splits; labels are int64 class indices below the number
    of classes. `val` may be empty, `train` and `test` may not. Raise `DataError` for a file that
    cannot be used. One answer, never None.
    """


@hookspec
def build_networks(spec: Spec, stream: Stream) -> nn.Module:  # type: ignore[empty-body]
    """Build the networks with their initial weights.

    Called once on every worker, of the model component; all get the same stream and must build
    the same. The direct children of the module are its named parts
    (`body` and `head`, `generator` and `discriminator`); called on images [n, C, H, W] float32 in
    [0, 1] a classifier gives logits [n, classes]. Everything that floats is float32. One answer.
    """


@hookspec
def partition_data(  # type: ignore[empty-body]
    labels: np.ndarray, metadata: Mapping[str, np.ndarray], stream: Stream
) -> list[np.ndarray]:
    """Split the training samples between the clients.

    Called once on the server, of the partition component. `labels` [N] int64 and `metadata` are
    those of the training split (less what `[data] server` keeps). The answer is one array of
    indices into it per client, in order of client id; every index at most once, no client empty.
    Raise `FedsecError` when the split that was asked for is impossible. One answer.
    """


@hookspec
def transform_data(data: Dataset, client: int | None, stream: Stream) -> Dataset | None:
    """Rewrite the data of a client before anything is trained on it.

    Called per client, on its worker, and for each evaluation split with `client` None; again where
    another worker or a resumed run needs the data.
    A chain, protections first: each component gets what the one before it gave. The number of
    samples may change, the shape of images may not. None leaves the data as they are.
    """


@hookspec
def attack_data(data: Dataset, client: Client, stream: Stream) -> Dataset | None:
    """Make the poisoned data of a malicious client: a second data set, used in active rounds only.

    Called for each malicious client of the attack, on its worker, after `transform_data`, when it
    is first active; again where another worker or a resumed run needs it, so `client.state` is empty
    and not kept. `data` are the client's own and need the knowledge `own_data`. The answer becomes
    `client.poisoned`. None: this attack does not poison data.
    """
