"""The phantom: chest radiographs drawn from a seed, so that everything runs without a download."""

from __future__ import annotations

from fedsec_basics.phantom.generate import PhantomData

__all__ = ["PhantomData"]
