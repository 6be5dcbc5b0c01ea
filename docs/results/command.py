"""The command of a page: runs what is missing, then writes the page."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import ledger
import sweep
from ledger import Line
from sweep import Item

from fedsec_core.errors import FedsecError
from fedsec_core.runs.reading import FederationResult

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
Writing = Callable[[Sequence[Item], Mapping[Item, Line]], Iterable[str]]
"""Gives the paragraphs of a page, of all its federations and of what was found."""


def run(
    folder: Path,
    about: str | None,
    scenarios: Iterable[str],
    items: Callable[[], Iterable[Item]],
    measured: Callable[[Item, FederationResult], Line],
    writing: Callable[[], Writing],
) -> int:
    """Read the command line, run what has no line in `folder`/results.jsonl yet, and write its page.

    `writing` is called last, so that matplotlib is not needed while federations are run. Returns 1 if
    something cannot be run.
    """
    options = _parsed(folder, about, scenarios)
    results = folder / "results.jsonl"
    # ended by the system, it ends its workers and takes its temporary folder away
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        everything = list(items())
        if not options.page:
            sweep.run(chosen(everything, options.only, options.variant), results, measured)
    except FedsecError as error:
        print(error, file=sys.stderr)
        return 1
    replace(folder / "index.md", writing()(everything, sweep.finished(ledger.read(results), everything)))
    return 0


def _parsed(folder: Path, about: str | None, scenarios: Iterable[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python docs/results/{folder.name}", description=about)
    parser.add_argument("--only", action="append", choices=[*scenarios], help="run this scenario alone")
    parser.add_argument("--variant", action="append", metavar="NAME", help="run this variant alone")
    parser.add_argument("--page", action="store_true", help="run nothing, write the page only")
    return parser.parse_args()


def chosen(
    everything: Sequence[Item], scenarios: Sequence[str] | None, variants: Sequence[str] | None
) -> list[Item]:
    """Return the federations of some scenarios and variants; raises FedsecError for an unknown variant."""
    found = [item for item in everything if scenarios is None or item.name in scenarios]
    known = {item.variant for item in found}
    if unknown := [name for name in variants or () if name not in known]:
        raise FedsecError(f"no variant {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return [item for item in found if variants is None or item.variant in variants]


def replace(page: Path, paragraphs: Iterable[str]) -> None:
    """Put `paragraphs` in place of the measured part of a page."""
    body = "\n\n".join(paragraphs)
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{body}\n{END}{after}", encoding="utf-8")


def rounded(value: float | None) -> float | None:
    """Return a figure as lines keep it."""
    return None if value is None else round(value, 4)
