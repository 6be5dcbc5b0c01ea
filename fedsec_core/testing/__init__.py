"""The conformance kit: what every component promises, as checks that a plugin's tests ask for.

    from fedsec_core.testing import Case, Check, contract

    @contract("fedsec-robust", Case("krum", {"f": 2}), Case("multi-krum", {"f": 2}))
    def test_contract(check: Check) -> None:
        check()

makes one test per promise, called `aggregate:krum-ignores_the_order_of_clients`. A promise is about
hooks: it is asked of every component that answers one of them, whatever its role. Nothing can be
skipped; a component without a case is a failing test of its own.

`checks` gives the same without pytest.
"""

from __future__ import annotations

from fedsec_core.testing.case import Case
from fedsec_core.testing.contract import Check, checks, contract
from fedsec_core.testing.promises import Broken

__all__ = ["Broken", "Case", "Check", "checks", "contract"]
