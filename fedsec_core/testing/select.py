"""What components that choose the cohort promise (that it holds candidates is checked where it comes in)."""

from __future__ import annotations

from fedsec_core.testing.bench import Bench
from fedsec_core.testing.promises import promise, require
from fedsec_core.views import Candidate

ROUNDS = range(1, 11)


def candidates(count: int) -> list[Candidate]:
    """Return clients with gaps between their ids, some of which took part before."""
    return [Candidate(3 * i + 1, 5 + i, i if i % 2 else None) for i in range(count)]


@promise("select_clients")
def check_chooses_as_many_as_it_says(bench: Bench) -> None:
    """`cohort_size` is the size of every cohort, where it is not None."""
    hooks = bench.server()
    for count in (1, 2, 10):
        told = bench.component.cohort_size(count)
        for number in ROUNDS:
            found = len(hooks.select_clients(candidates(count), number))
            require(told in (None, found), f"cohort_size({count}) is {told}, but round {number} has {found}")


@promise("select_clients")
def check_chooses_somebody(bench: Bench) -> None:
    """In ten rounds at least one client takes part."""
    hooks = bench.server()
    chosen = {client for number in ROUNDS for client in hooks.select_clients(candidates(10), number)}
    require(bool(chosen), "in ten rounds it chooses nobody")


@promise("select_clients")
def check_works_when_nobody_is_there(bench: Bench) -> None:
    """Of no candidates (all are absent) comes an empty cohort."""
    chosen = bench.server().select_clients([], 1)
    require(chosen == (), f"of no candidates it chooses {chosen}")
