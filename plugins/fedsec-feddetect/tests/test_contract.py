"""The promises that every component keeps."""

from __future__ import annotations

from fedsec_core.testing import contract
from fedsec_core.testing.contract import Check


@contract("fedsec-feddetect")
def test_contract(check: Check) -> None:
    check()
