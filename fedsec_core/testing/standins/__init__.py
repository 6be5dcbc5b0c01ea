"""Stand-ins: the plainest component of each required role, so that a case can take part in a federation."""

from __future__ import annotations

from fedsec_core.catalogue import Offer
from fedsec_core.vocabulary import Role

DISTRIBUTION = "fedsec-core"

_CLASSES = {
    Role.DATA: "Spots",
    Role.MODEL: "Linear",
    Role.PARTITION: "Turns",
    Role.TRAIN: "Descent",
    Role.AGGREGATE: "Average",
    Role.AFTER: "Observer",
}

OFFERS = tuple(
    Offer(role, f"kit-{role.value}", f"fedsec_core.testing.standins.described:{name}", DISTRIBUTION, "kit")
    for role, name in _CLASSES.items()
)
"""No entry points: only the kit's own scenarios find them."""
