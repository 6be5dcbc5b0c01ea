"""What lies between processes: messages, the plan of who trains whom, the server that forks workers."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from fedsec_core.errors import FedsecError
from fedsec_core.execution.computing import one_thread
from fedsec_core.execution.frames import Closed
from fedsec_core.execution.homes import Homes
from fedsec_core.execution.launching import Nursery
from fedsec_core.execution.wire import Channel


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    """The two ends of a connection."""
    one, other = (Channel(each) for each in socket.socketpair())
    yield one, other
    one.close()
    other.close()


TENSORS = [
    torch.arange(12, dtype=torch.float32).reshape(3, 4),
    torch.arange(12, dtype=torch.float64).reshape(3, 4).T,
    torch.tensor(3.5),
    torch.zeros(0),
    torch.from_numpy(np.arange(3)[3:]),
    torch.ones(1).expand(1),
    torch.zeros(2, 0, 3, dtype=torch.int64),
    torch.tensor([True, False]),
    torch.tensor([1, 2], dtype=torch.uint8),
    torch.tensor([1.5], dtype=torch.bfloat16),
    torch.tensor([float("nan"), float("inf"), -0.0]),
    torch.ones(3, requires_grad=True),
    torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last),
]


@pytest.mark.parametrize("tensor", TENSORS, ids=lambda tensor: f"{tensor.dtype}-{tuple(tensor.shape)}")
def test_a_tensor_arrives_with_its_bits_type_and_shape(ends: tuple[Channel, Channel], tensor: Any) -> None:
    one, other = ends
    one.send({"it": tensor})
    found = other.receive()["it"]
    assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
    plain = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    assert torch.equal(found.reshape(-1).view(torch.uint8), plain)
    # it is the receiver's own: the next message does not change it
    one.send({"it": torch.full((100,), 7.0)})
    other.receive()
    assert torch.equal(found.reshape(-1).view(torch.uint8), plain)


def test_messages_of_all_sizes_follow_each_other(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    for size in (1, 100_000, 3, 1_000_000, 0, 1_000_001):
        one.send([torch.arange(size), np.arange(size), size])
        tensor, array, number = other.receive()
        assert torch.equal(tensor, torch.arange(size))
        assert np.array_equal(array, np.arange(size))
        other.send((number, tensor))
        assert torch.equal(one.receive()[1], tensor)


def test_a_message_that_cannot_be_sent_leaves_the_connection_as_it_was(
    ends: tuple[Channel, Channel],
) -> None:
    one, other = ends
    with pytest.raises((AttributeError, TypeError)):
        one.send([torch.ones(3), lambda: None])
    one.send("next")
    assert other.receive() == "next"


def test_an_end_that_is_gone_is_noticed_by_the_other(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    other.close()
    with pytest.raises(Closed):
        one.receive()
    with pytest.raises(Closed):
        one.send(torch.ones(3))


@given(
    workers=st.integers(1, 5),
    sizes=st.lists(st.integers(0, 50), min_size=1, max_size=20),
    lines=st.integers(1, 8),
    seed=st.integers(0, 2**16),
)
def test_every_client_is_trained_once_and_where_its_memory_is(
    workers: int, sizes: list[int], lines: int, seed: int
) -> None:
    random = Random(seed)
    clients = list(range(len(sizes)))
    homes = Homes(workers, {client: random.randrange(workers) for client in clients if random.random() < 0.7})
    bound = {client for client in homes.home if random.random() < 0.7}
    plan, moves = homes.plan(clients, sizes, bound)
    at = {move.client: move.new for move in moves}
    assert at.keys() <= bound
    assert len(at) == len(moves)
    taken: dict[int, int] = {}
    busy: dict[int, int] = {}
    due = 0
    while due < len(clients):
        for worker in range(workers):
            position = None if worker in busy else plan.take(worker, due + lines)
            if position is not None:
                assert position not in taken
                assert position < due + lines
                taken[position] = worker
                busy[worker] = position
        # somebody always works, or the round would never end
        assert busy
        del busy[random.choice(list(busy))]
        while due in taken and due not in busy.values():
            due += 1
    assert sorted(taken) == clients
    assert all(taken[client] == homes.home[client] for client in bound)


@given(sizes=st.lists(st.integers(1, 50), min_size=4, max_size=20))
def test_memory_moves_where_one_worker_would_do_everything(sizes: list[int]) -> None:
    clients = list(range(len(sizes)))
    homes = Homes(2, dict.fromkeys(clients, 0))
    _, moves = homes.plan(clients, sizes, clients)
    load = [sum(size for client, size in enumerate(sizes) if homes.home[client] == at) for at in (0, 1)]
    assert moves
    assert max(load) < sum(sizes)
    assert max(load) <= max(1.1 * sum(sizes) / 2, min(load) + max(sizes))


def test_a_fork_server_that_is_gone_is_reported() -> None:
    with Nursery.start() as nursery:
        nursery.process.kill()
        nursery.process.wait()
        with pytest.raises(FedsecError) as error:
            nursery.fork(2)
    assert str(error.value) == (
        "the fork server of the workers ended unexpectedly; what it wrote to stderr says why, "
        "and [execute] workers = 1 does without it"
    )


def test_workers_are_asked_for_without_importing_torch() -> None:
    code = (
        "import sys, fedsec_core.execution.launching; print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_a_machine_of_many_cores_gets_all_its_workers(nursery: Nursery) -> None:
    newborn = nursery.fork(40)
    channels = [Channel(each.socket) for each in newborn]
    for channel in channels:
        channel.send(("peak", ()))
    answers = [channel.receive() for channel in channels]
    for channel in channels:
        channel.close()
    assert len({each.pid for each in newborn}) == 40
    assert all(fine and value > 0 for fine, value in answers)


def test_numpy_computes_in_one_thread_too_and_gets_its_threads_back() -> None:
    def threads() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    with threadpool_limits(2, user_api="blas"):
        before = threads()
        with one_thread():
            assert set(threads()) == {1}
        assert threads() == before
        assert set(before) == {2}
