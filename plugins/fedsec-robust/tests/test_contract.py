"""The rules keep the promises of all components."""

from __future__ import annotations

from fedsec_core.testing import Case, Check, contract


@contract(
    "fedsec-robust",
    Case("krum", {"f": 2}),
    Case("krum", {"f": "true"}),
    Case("multi-krum", {"f": 2}),
    Case("multi-krum", {"f": 0, "m": 1}),
    Case("median"),
    Case("trimmed-mean", {"f": 2}),
    Case("trimmed-mean", {"f": 0}),
    Case("trimmed-mean", {"f": "true"}),
)
def test_contract(check: Check) -> None:
    check()
