"""Describes an aggregator in a module that imports what it runs on."""

from __future__ import annotations

import attrs
import torch

from fedsec_offenders.plugin import Sum
from fedsec_offenders.plugin_runtime import Mean

ZERO = torch.zeros(1)


@attrs.frozen(kw_only=True)
class Heavy(Sum):
    """Imports torch to be described."""

    def build(self) -> object:
        return Mean()
