"""Numbers, lists and rounds in words, as the report writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fedsec_core.runs.table import Cell

NOTHING = "–"
MINUS = "−"


def number(value: object) -> str:
    """Write one value of a table: integers with separators, fractions with three digits, None as a dash."""
    if value is None:
        return NOTHING
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e6):
        # 0.0 and 1.0 are shares like their neighbours; larger whole floats are counts.
        return f"{value:.3f}" if isinstance(value, float) and abs(value) <= 1 else f"{int(value):,}"
    return f"{value:.3f}" if 1e-3 <= abs(value) < 1e6 else f"{value:.3g}"


def cell(value: Cell) -> str:
    """Write mean and spread of a metric over the seeds."""
    if value.mean is None:
        return NOTHING
    return number(value.mean) + (f" ± {value.spread:.3f}" if value.spread is not None else "")


def difference(value: float) -> str:
    """Write a signed difference: `+0.822`, `−0.032`."""
    sign = MINUS if round(value, 3) < 0 else "+" if round(value, 3) > 0 else "±"
    return f"{sign}{abs(value):.3f}"


def count(amount: int, one: str, many: str | None = None) -> str:
    """Write an amount with its noun: `1 seed`, `3 seeds`."""
    return f"{amount:,} {one if amount == 1 else many or one + 's'}"


def listing(items: Iterable[object]) -> str:
    """Write a list: `a`, `a and b`, `a, b and c`."""
    words = [str(item) for item in items]
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else "nothing"


def spans(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return the runs of consecutive numbers: 1, 2, 3, 7 as (1, 3), (7, 7)."""
    found: list[tuple[int, int]] = []
    for each in sorted(set(numbers)):
        if found and each == found[-1][1] + 1:
            found[-1] = (found[-1][0], each)
        else:
            found.append((each, each))
    return found


def ranges(numbers: Iterable[int]) -> str:
    """Write numbers with runs drawn together: `1–3, 7`."""
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in spans(numbers)) or "none"


def schedule(rounds: Mapping[str, Any]) -> str:
    """Write the schedule of an attack, as the resolved scenario has it, in words."""
    start, stop = rounds.get("start", 1), rounds.get("stop")
    words = f"from round {start} on" if stop is None else f"rounds {start}–{stop}"
    if stop is None and start == 1:
        words = "every round"
    if (every := rounds.get("every", 1)) > 1:
        words += f", 1 in {every}"
    if (chance := rounds.get("probability", 1.0)) < 1:
        words += f", with probability {chance:g}"
    return words


def choice(clients: Mapping[str, Any] | str) -> str:
    """Write which clients an attack was given, as the resolved scenario has it."""
    if isinstance(clients, str):
        return f"those of {clients}"
    if "fraction" in clients:
        return f"{clients['fraction']:.0%} of all, drawn"
    if "count" in clients:
        return f"{clients['count']}, drawn"
    return "named in the scenario"


def size(shape: Sequence[int]) -> str:
    """Write the shape [C, H, W] of an image."""
    channels, height, width = shape
    colour = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
    return f"{height} × {width} pixels, {colour}"


def binary(amount: float) -> str:
    """Write an amount of bytes: `512 B`, `12.3 MiB`, `412 MiB`."""
    if round(amount) < 1024:
        return f"{amount:.0f} B"
    units = ("KiB", "MiB", "GiB", "TiB")
    power = next((power for power in (1, 2, 3) if round(amount / 1024**power) < 1024), 4)
    scaled = amount / 1024**power
    return (
        f"{scaled:.1f} {units[power - 1]}" if round(scaled, 1) < 100 else f"{scaled:,.0f} {units[power - 1]}"
    )


def seconds(amount: float) -> str:
    """Write seconds without their unit, with three digits, but no finer than a millisecond."""
    decimals = next((places for places in (3, 2, 1) if round(amount, places) < 10 ** (3 - places)), 0)
    return f"{amount:,.{decimals}f}"


def duration(amount: float) -> str:
    """Write a time in seconds for people: `0.8 s`, `41 s`, `3 min 20 s`, `2 h 5 min`."""
    if round(amount, 1) < 10:
        return f"{amount:.1f} s"
    whole = round(amount)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"
