"""What components that measure promise."""

from __future__ import annotations

from fedsec_core.measuring import Measuring
from fedsec_core.testing.bench import Bench
from fedsec_core.testing.marks import same_bits
from fedsec_core.testing.promises import promise, require
from fedsec_core.testing.refusals import may_refuse
from fedsec_core.vocabulary import Role

MEASURES = ("evaluate_model", "evaluate_run", "serve_model")


@promise(*MEASURES, roles=(Role.EVALUATE,))
def check_measures_something(bench: Bench) -> None:
    """A run that was evaluated has a figure, a table or a picture of it."""
    played = bench.play()
    last, end = played.records[-1], played.end
    found = [*last.metrics, *last.tables, *last.pictures, *end.metrics, *end.tables]
    require(any(name.startswith(f"{bench.slot.label}.") for name in found), "it finds nothing in a whole run")


@promise(*MEASURES, roles=(Role.EVALUATE,))
def check_does_not_move_what_it_measures(bench: Bench) -> None:
    """The federation is, bit for bit, the same without it."""
    measured, without = bench.play(), bench.play(present=False)
    for number, (one, other) in enumerate(zip(measured.states, without.states, strict=True)):
        require(same_bits(one, other), f"the state of round {number} is another when nobody measures")


@promise("evaluate_model")
def check_works_without_validation_samples(bench: Bench) -> None:
    """`val` may be empty: what needs it is None, or is refused with a reason that names a parameter."""
    with may_refuse(bench):
        bench.play({"data": {"val": 0}})


@promise("evaluate_model")
def check_works_with_one_sample(bench: Bench) -> None:
    """One test image defines few figures: the others are None, never NaN."""
    with may_refuse(bench):
        bench.play({"data": {"test": 1}})


@promise("evaluate_model")
def check_measures_models_with_large_logits(bench: Bench) -> None:
    """Finite logits of any size give finite figures, or None."""
    federation = bench.federation()
    federation.state = federation.state * 1e6
    Measuring(federation).round(0, ())
