"""The report: one offline file that shows what was run and what came of it."""

from __future__ import annotations

from fedsec_core.report.page import write

__all__ = ["write"]
