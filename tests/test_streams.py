"""Every call draws from a stream of its own."""

from __future__ import annotations

import pickle
import random

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedsec_core.rounding import portion
from fedsec_core.streams import Stream

steps = st.one_of(st.none(), st.integers(), st.text(max_size=5))


@given(st.lists(steps, max_size=4).map(tuple), st.lists(steps, max_size=4).map(tuple))
def test_different_paths_draw_differently_and_equal_paths_alike(
    first: tuple[int | str | None, ...], second: tuple[int | str | None, ...]
) -> None:
    one, other = Stream(*first), Stream(*second)
    same = first == second
    assert (one.numpy.integers(2**62) == other.numpy.integers(2**62)) == same
    assert (one.seed == other.seed) == same


def test_a_number_and_the_text_of_it_are_two_paths() -> None:
    assert Stream(1).seed != Stream("1").seed
    assert Stream(None).seed != Stream("").seed


def test_children_do_not_depend_on_what_was_drawn_before() -> None:
    drawn, untouched = Stream(1, "a"), Stream(1, "a")
    drawn.numpy.random(10)
    drawn.torch.seed()
    assert drawn.child("b").seed == untouched.child("b").seed == Stream(1, "a", "b").seed


def test_a_stream_travels_between_processes() -> None:
    stream = Stream(3, "hook", None)
    copy = pickle.loads(pickle.dumps(stream))
    assert torch.equal(torch.rand(4, generator=copy.torch), torch.rand(4, generator=stream.torch))


def test_the_guard_seeds_all_global_generators_and_puts_them_back() -> None:
    before = torch.rand(1), np.random.get_state()[1].tolist(), random.getstate()
    torch.manual_seed(5)
    state = torch.get_rng_state()
    with Stream(1).guard():
        first = torch.rand(1).item(), np.random.rand(), random.random()
    with Stream(1).guard():
        assert first == (torch.rand(1).item(), np.random.rand(), random.random())
    assert torch.equal(torch.get_rng_state(), state)
    assert np.random.get_state()[1].tolist() == before[1]
    assert random.getstate() == before[2]


def test_shares_are_rounded_half_up_as_they_are_written() -> None:
    assert [portion(0.29, 50), portion(0.25, 30), portion(0.5, 5), portion(0.1, 4)] == [15, 8, 3, 0]
