"""The results on stdout: a table over variants and seeds, the claims, and where everything is."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from fedsec_core.runs.api import Result


def show_results(results: Sequence[Result]) -> None:
    """Print every result; several scenarios stand side by side in one table."""
    console = Console()
    several = len(results) > 1
    tables = [result.table() for result in results]
    names = list(dict.fromkeys(name for table in tables for name in table.brief()))
    seeds = max(table.seeds for table in tables)
    shown = Table(title=f"at the end, mean ± spread of {seeds} seeds" if seeds > 1 else "at the end")
    shown.add_column("metric")
    for result, table in zip(results, tables, strict=True):
        for column in table.columns:
            shown.add_column(f"{result.folder.name}\n{column}" if several else column, justify="right")
    for name in names:
        cells = [str(cell) for table in tables for cell in table.rows.get(name, ["-"] * len(table.columns))]
        shown.add_row(name, *cells)
    console.print(shown)
    for result in results:
        for claim in result.claims:
            console.print(f"[bold]{claim.verdict}[/bold]: {claim.says}", highlight=False)
            console.print(f"    {claim.why}", highlight=False, style="dim")
        for each in result.federations:
            if each.status not in ("done",):
                console.print(f"{each.variant} seed {each.seed}: {each.status}: {each.facts.get('why', '')}")
        report = result.folder / "report.html"
        console.print(
            f"results: {report if report.exists() else result.folder}", highlight=False, soft_wrap=True
        )
