"""`fedsec_core.run`: the whole platform as one function, and the result that it gives."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from attrs import define, field

from fedsec_core.errors import FedsecError
from fedsec_core.runs import claims
from fedsec_core.runs.experiment import SCENARIO, Playing, Silent, Watcher
from fedsec_core.runs.reading import FederationResult, Found, read_all
from fedsec_core.runs.table import ResultTable, tabulate
from fedsec_core.runs.writing import replace
from fedsec_core.scenario import Experiment, load
from fedsec_core.suggest import did_you_mean

if TYPE_CHECKING:
    from torch import nn

SUMMARY = "summary.json"


@define(eq=False)
class Result:
    """What an experiment found: read from its folder, which is all there is to it."""

    folder: Path
    found: Found
    claims: tuple[claims.Checked, ...] = field(default=())

    @property
    def federations(self) -> list[FederationResult]:
        """Every federation: main, its twin, the variants, for each seed."""
        return self.found.federations

    def of(self, variant: str = "main", *, seed: int | None = None, twin: bool = False) -> FederationResult:
        """Return one federation; of several seeds the first, unless `seed` says which.

        Raises FedsecError if there is none.
        """
        runs = [each for each in self.found.of(variant, twin=twin) if seed is None or each.seed == seed]
        if not runs:
            names = sorted({each.variant for each in self.federations})
            hint = did_you_mean(variant, names) or f"; there are {', '.join(names)}"
            raise FedsecError(f"{self.folder}: no such run: {variant!r}{hint}")
        return runs[0]

    @property
    def metrics(self) -> dict[str, dict[int, float | None]]:
        """The metrics of the main run, first seed: full name -> value by round.

        Raises FedsecError if `main` was not among the variants that were run.
        """
        return self.of().metrics

    def table(self) -> ResultTable:
        """Return final metrics of all variants, mean and spread over the seeds; print it to see it."""
        return tabulate(self.found)

    def networks(self, variant: str = "main", *, seed: int | None = None, twin: bool = False) -> nn.Module:
        """Return the trained module of a federation, in evaluation mode."""
        from fedsec_core.runs.rebuilding import rebuild

        return rebuild(self.folder / SCENARIO, self.of(variant, seed=seed, twin=twin))

    def summary(self, *, within: Path | None = None) -> dict[str, Any]:
        """Return everything a script wants, as plain values; folders relative to `within` if given."""

        def place(folder: Path) -> str:
            return str(folder if within is None else folder.relative_to(within))

        return {
            "folder": place(self.folder),
            "runs": [
                {
                    "variant": each.variant,
                    "seed": each.seed,
                    "twin": each.twin,
                    "folder": place(each.folder),
                    "status": each.status,
                    "key": each.facts.get("key"),
                    "digest": each.facts.get("digest"),
                    "metrics": each.final,
                }
                for each in self.federations
            ],
            "claims": [attrs.asdict(claim) for claim in self.claims],
        }


def run(
    scenario: str | Path | Mapping[str, Any] | Experiment,
    *,
    set: Mapping[str, Any] | None = None,
    out: str | Path = "runs",
    seeds: Sequence[int] | None = None,
    twin: bool | None = None,
    variants: Sequence[str] | None = None,
    report: bool = True,
    watcher: Watcher | None = None,
) -> Result:
    """Run a scenario - a path, the name of one that a plugin ships, or a dict - and return its results.

    `set` overrides single values by dotted key, `seeds` and `twin` what the file says, `variants`
    limits what is run. Raises FedsecError for anything that a person can mend.
    """
    experiment = (
        scenario if isinstance(scenario, Experiment) else load(scenario, set=set, seeds=seeds, twin=twin)
    )
    if unknown := [name for name in variants or () if name not in experiment.scenarios()]:
        names = experiment.scenarios()
        hint = did_you_mean(unknown[0], names) or f"; there are {', '.join(names)}"
        raise FedsecError(f"no variant is called {unknown[0]!r}{hint}")
    playing = Playing(experiment, Path(out), watcher or Silent(), variants)
    try:
        playing.play()
    finally:
        result = _conclude(playing, report=report)
    assert result is not None
    return result


def open_run(folder: str | Path) -> Result:
    """Open a run folder again. Raises FedsecError if it is none."""
    folder = Path(folder)
    found = read_all(folder)
    checked: tuple[claims.Checked, ...] = ()
    if (folder / SUMMARY).exists():
        saved = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        checked = tuple(claims.Checked(**claim) for claim in saved["claims"])
    return Result(folder, found, checked)


def _conclude(playing: Playing, *, report: bool) -> Result | None:
    """Write table, claims and report of whatever was finished; None if nothing was."""
    folder = playing.folder
    if folder is None or not any(folder.glob("*/*/run.json")):
        return None
    found = read_all(folder)
    checked = tuple(claims.check(claim, found) for claim in playing.experiment.claims)
    result = Result(folder, found, checked)
    replace(folder / SUMMARY, json.dumps(result.summary(within=folder), indent=1) + "\n")
    replace(folder / "table.txt", f"{result.table()}\n")
    if report:
        from fedsec_core.report import write

        write(result)
    return result
