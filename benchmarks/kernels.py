"""Times the aggregation kernels beside the torch expression that one would write: one thread each.

`python benchmarks/kernels.py` prints a table, with `--quick` for small matrices only.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from attrs import field, frozen
from torch import Tensor

from fedsec_core.kernels import BLOCK
from fedsec_core.updates import weighted_mean
from fedsec_robust.coordinates import coordinate_median, trimmed_mean
from fedsec_robust.krum import krum

Row = dict[str, str | int | float]
Kernel = Callable[[Tensor], object]

COHORTS = (20, 100, 1000)
SIZES = (10**5, 10**6, 10**7)
GIB = 1 << 30


@frozen
class Case:
    """A rule, and the expression that stands for the usual way to write it."""

    rule: str
    plain_name: str
    ours: Kernel
    plain: Kernel
    copies: int = field(default=1)
    """The memory that the plain expression takes, in sizes of the matrix, the matrix included."""


def cases() -> list[Case]:
    """Return what is compared. A fifth of the clients is expected to be malicious."""
    return [
        Case("mean", "weights @ matrix, float32", _our_mean, _plain_mean),
        Case("median", "torch.median (lower of the middle two)", coordinate_median, _plain_median),
        Case("median", "torch.sort, mean of the middle two", coordinate_median, _sorted_median, copies=5),
        Case("trimmed mean", "torch.sort, mean of a slice", _our_trimmed_mean, _plain_trimmed_mean, copies=5),
        Case("krum", "Gram product alone, float64, by blocks", _our_krum, _plain_gram),
    ]


def measure(
    cohorts: Sequence[int] = COHORTS,
    sizes: Sequence[int] = SIZES,
    *,
    pairs: int = 5,
    budget: int = 4 * GIB,
    patience: float = 60.0,
) -> Iterator[Row]:
    """Yield a row per rule, expression, n and d: medians of seconds, and of the ratio ours / plain.

    Ours and the expression alternate. After `patience` seconds no new pair is begun, so slow
    comparisons have fewer than `pairs`; there is no warm-up, the first pair counts. A comparison
    that takes more than `budget` bytes, the matrix included, is skipped: its row holds `skipped`,
    the reason, and no times.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for n in cohorts:
            for d in sizes:
                yield from _of_size(n, d, pairs, budget, patience)
    finally:
        torch.set_num_threads(threads)


def _of_size(n: int, d: int, pairs: int, budget: int, patience: float) -> Iterator[Row]:
    size = 4 * n * d
    fitting = [case for case in cases() if case.copies * size <= budget]
    matrix = torch.randn(n, d, generator=torch.Generator().manual_seed(n)) if fitting else torch.empty(0)
    for case in cases():
        if case in fitting:
            yield _timed(case, matrix, pairs, patience)
        else:
            yield _skipped(case, n, d, f"takes {_gib(case.copies * size)}, budget {_gib(budget)}")


def _skipped(case: Case, n: int, d: int, why: str) -> Row:
    return {"rule": case.rule, "plain": case.plain_name, "n": n, "d": d, "skipped": why}


def _timed(case: Case, matrix: Tensor, pairs: int, patience: float) -> Row:
    ours: list[float] = []
    plain: list[float] = []
    began = time.perf_counter()
    while len(ours) < pairs and (not ours or time.perf_counter() - began < patience):
        ours.append(_seconds(case.ours, matrix))
        plain.append(_seconds(case.plain, matrix))
    return {
        "rule": case.rule,
        "plain": case.plain_name,
        "n": matrix.shape[0],
        "d": matrix.shape[1],
        "ours_seconds": statistics.median(ours),
        "plain_seconds": statistics.median(plain),
        "ratio": statistics.median(one / other for one, other in zip(ours, plain, strict=True)),
        "pairs": len(ours),
    }


def _seconds(kernel: Kernel, matrix: Tensor) -> float:
    began = time.perf_counter()
    kernel(matrix)
    return time.perf_counter() - began


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"


def _examples(n: int) -> Tensor:
    return torch.arange(1, n + 1, dtype=torch.float64)


def _our_mean(matrix: Tensor) -> Tensor:
    return weighted_mean(matrix, _examples(len(matrix)))


def _plain_mean(matrix: Tensor) -> Tensor:
    weights = _examples(len(matrix)).float()
    return (weights / weights.sum()) @ matrix


def _plain_median(matrix: Tensor) -> Tensor:
    return torch.median(matrix, dim=0).values


def _sorted_median(matrix: Tensor) -> Tensor:
    ordered = torch.sort(matrix, dim=0).values
    return (ordered[(len(matrix) - 1) // 2] + ordered[len(matrix) // 2]) / 2


def _our_trimmed_mean(matrix: Tensor) -> Tensor:
    return trimmed_mean(matrix, len(matrix) // 5)


def _plain_trimmed_mean(matrix: Tensor) -> Tensor:
    f = len(matrix) // 5
    return torch.sort(matrix, dim=0).values[f : len(matrix) - f].mean(dim=0)


def _our_krum(matrix: Tensor) -> Tensor:
    return krum(matrix, len(matrix) // 5)


def _plain_gram(matrix: Tensor) -> Tensor:
    total = torch.zeros(len(matrix), len(matrix), dtype=torch.float64)
    for start in range(0, matrix.shape[1], BLOCK):
        block = matrix[:, start : start + BLOCK].double()
        total += block @ block.T
    return total


def line(row: Row) -> str:
    """Return a row of `measure` as a line of the printed table."""
    head = f"{row['rule']:<13} {row['n']:>5} {row['d']:>9}  {row['plain']:<39}"
    if "skipped" in row:
        return f"{head} skipped: {row['skipped']}"
    figures = f"{row['ours_seconds']:9.4f} {row['plain_seconds']:10.4f} {row['ratio']:7.3f} {row['pairs']:>6}"
    return f"{head} {figures}"


def main() -> None:
    """Print a line per comparison, as it is made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="n up to 100, d up to 10^6, 3 pairs")
    parser.add_argument("--gib", type=float, default=4.0, help="memory that a comparison may take")
    asked = parser.parse_args()
    budget = int(asked.gib * GIB)
    rows = measure(COHORTS[:2], SIZES[:2], pairs=3, budget=budget) if asked.quick else measure(budget=budget)
    print(
        f"{'rule':<13} {'n':>5} {'d':>9}  {'beside':<39} {'ours [s]':>9} {'plain [s]':>10} {'ratio':>7} pairs"
    )
    for row in rows:
        print(line(row), flush=True)


if __name__ == "__main__":
    main()
