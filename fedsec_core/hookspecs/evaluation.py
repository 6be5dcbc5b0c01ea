"""After a round and after the run: serve, evaluate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fedsec_core.markers import hookspec

if TYPE_CHECKING:
    from torch import Tensor

    from fedsec_core.evaluation import RunView, View
    from fedsec_core.findings import Findings
    from fedsec_core.streams import Stream


@hookspec
def serve_model(
    predict: Callable[[Tensor], Tensor], client: int | None, stream: Stream
) -> Callable[[Tensor], Tensor] | None:
    """Put something between a model and who asks it.

    Called for every prediction that is `served`, on a worker; `client` tells whose model it is,
    None the server's. A chain, protections first. The answer maps images [n, C, H, W] to logits
    [n, classes] like `predict`. None: ask the model itself.
    """


@hookspec
def evaluate_model(view: View, stream: Stream) -> Findings | None:
    """Measure the model after a round.

    Called after round 0 (the built model), after every `every`-th round and after the last, of
    evaluate, attack and protect components; of attacks also on the clean twin. Metrics are finite
    floats, or None where undefined; the core puts the label in front of their names. A metric
    that is not finite although the logits are is the component's fault. None: nothing to say.
    """


@hookspec
def evaluate_run(run: RunView, stream: Stream) -> Findings | None:
    """Measure the finished run.

    Called once after the last round, of any component. A rule that selects rows gives its
    selection as a table here. An attack's `run.view` holds what it was granted. None: nothing to
    say.
    """
