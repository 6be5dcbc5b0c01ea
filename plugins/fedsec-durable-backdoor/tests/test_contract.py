"""The promises that every component keeps."""

from __future__ import annotations

from fedsec_core.testing import contract
from fedsec_core.testing.contract import Check


@contract("fedsec-durable-backdoor")
def test_contract(check: Check) -> None:
    check()
