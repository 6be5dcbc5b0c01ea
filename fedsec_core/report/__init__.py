"""The report: one offline file that shows what was run and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedsec_core.runs.api import Result

__all__ = ["write"]


def write(result: Result) -> Path:
    """Write the report of `result` into its folder and return the file.

    It is one page without scripts that loads nothing. Only the run folder is read.
    """
    # Whoever wants the costs in words alone does not wait for matplotlib.
    from fedsec_core.report import page

    return page.write(result)
