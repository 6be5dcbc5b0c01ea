"""What components that protect clients, or what is asked of a model, promise."""

from __future__ import annotations

import torch

from fedsec_core.steps import METHODS
from fedsec_core.testing.bench import Bench, seat, worker
from fedsec_core.testing.marks import difference, fingerprint
from fedsec_core.testing.promises import promise, require
from fedsec_core.testing.refusals import may_refuse


@promise("transform_data")
def check_transforms_evaluation_data_too(bench: Bench) -> None:
    """It is asked with `client` None for each evaluation split and gives images of the same shape."""
    federation = bench.federation()
    transform = worker(federation).hooks.transform_data
    for split in (federation.splits.val, federation.splits.test):
        answer = transform(split, None)
        same = answer.pixels.shape[1:] == split.pixels.shape[1:]
        require(same, "it changes the shape of evaluation images")


@promise("transform_data")
def check_transforms_the_same_way_each_time(bench: Bench) -> None:
    """A worker that is restarted transforms a client's data again: to the same bits."""
    first, second = (worker(bench.federation()).sites.of(0).data for _ in range(2))
    changed = difference(fingerprint(first), fingerprint(second))
    require(not changed, f"the {changed} of a client's data differ when they are transformed again")


@promise("training_steps")
def check_names_the_steps_that_it_extends(bench: Bench) -> None:
    """`extends` holds names of `Steps`, and within a run each of them is answered with.

    (That nothing else is answered with is checked where it comes in.)
    """
    extends = bench.component.extends
    unknown = extends - set(METHODS)
    require(not unknown, f"it extends {', '.join(sorted(unknown))}, which Steps does not have")
    require(bool(extends), "it answers training_steps, but its `extends` is empty")


@promise("training_steps", "transform_data", "prepare_broadcast")
def check_works_for_a_client_with_one_sample(bench: Bench) -> None:
    """A client with one sample is protected like others, or refused with a reason that names a parameter."""
    federation = bench.federation()
    at = worker(federation)
    one = at.sites.of(0).data.subset(torch.arange(1))
    with may_refuse(bench):
        at.hooks.transform_data(one, 0)
        client, broadcast = seat(federation, 0, one)
        at.hooks.prepare_broadcast(broadcast, 0, None, [bench.slot.label])
        at.hooks.training_steps(client, broadcast, {}, [bench.slot.label], protected=True)


@promise("serve_model")
def check_serves_logits_of_the_same_shape(bench: Bench) -> None:
    """What stands before a model gives finite logits [n, classes], for one image and for several."""
    federation = bench.federation()
    at, x = worker(federation), federation.splits.test.x
    classes = len(federation.splits.classes)
    module = at.models.module(federation.state).eval()
    for client in (None, 0):
        served = at.hooks.serve_model(lambda images: module(images).detach(), client, 1)
        for count in (1, 3):
            logits = served(x[:count])
            shape = tuple(logits.shape)
            require(shape == (count, classes), f"of {count} images it serves logits of shape {shape}")
            require(bool(logits.isfinite().all()), "it serves logits that are not finite")
