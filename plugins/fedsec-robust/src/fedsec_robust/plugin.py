"""Describes the components: Krum and Multi-Krum, median and trimmed mean by coordinate."""

from __future__ import annotations

from typing import ClassVar, Literal

import attrs

from fedsec_core.component import Component, parameter
from fedsec_core.vocabulary import Capability, Knowledge

YIN = (
    "Yin, Chen, Ramchandran, Bartlett: "
    "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates, ICML 2018"
)


def _refuse_other_words(value: object) -> str | None:
    wrong = isinstance(value, str) and value != "true"
    return f'must be a whole number or "true", got {value!r}' if wrong else None


@attrs.frozen(kw_only=True)
class _ToldF(Component):
    """What rules with a number of malicious clients share: f, guessed or true."""

    f: int | Literal["true"] = parameter(
        doc='How many malicious clients to expect in a cohort; "true" is told the real number.',
        at_least=0,
        check=_refuse_other_words,
    )

    @property
    def needs(self) -> frozenset[Capability]:
        told = {Capability.TRUE_F} if self.f == "true" else set()
        return frozenset({Capability.INDIVIDUAL_UPDATES} | told)

    @property
    def knows(self) -> frozenset[Knowledge]:
        return frozenset({Knowledge.TRUE_F} if self.f == "true" else ())

    @property
    def _guess(self) -> int | None:
        return None if self.f == "true" else self.f


@attrs.frozen(kw_only=True)
class _KrumFamily(_ToldF):
    """What Krum and Multi-Krum share: the paper, and the cohort that it asks for."""

    paper: ClassVar[str] = (
        "Blanchard, El Mhamdi, Guerraoui, Stainer: "
        "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent, NeurIPS 2017"
    )

    def refuse_cohort(self, rows: int) -> str | None:
        least = 3 if self.f == "true" else 2 * self.f + 3
        if rows >= least:
            return None
        return f"f = {self.f} needs at least 2 f + 3 = {least} rows"


@attrs.frozen(kw_only=True)
class Krum(_KrumFamily):
    """The one update that lies closest to its n - f - 2 nearest others.

    Weights are ignored: the rule is defined on rows alone, so neither the number of examples nor
    a detector's partial trust moves the choice. (A row of trust 0 never arrives here.)
    """

    def build(self) -> object:
        from fedsec_robust.runtime import KrumAggregator

        return KrumAggregator("krum", self._guess, 1)


@attrs.frozen(kw_only=True)
class MultiKrum(_KrumFamily):
    """The plain mean of the m updates with the best Krum scores.

    Weights are ignored, as by `krum`. The paper leaves m open, between 1 (Krum) and n (the mean).
    The default n - f - 2 is that of the authors' code, and the largest m that their AggregaThor
    (Damaskinos et al., MLSys 2019) admits; n - f is the other common choice.
    """

    m: int | None = parameter(None, doc="How many rows to average; n - f - 2 if not given.", at_least=1)

    def refuse_cohort(self, rows: int) -> str | None:
        if reason := super().refuse_cohort(rows):
            return reason
        if self.m is not None and self.m > rows:
            return f"m = {self.m} rows are to be averaged"
        return None

    def build(self) -> object:
        from fedsec_robust.runtime import KrumAggregator

        return KrumAggregator("multi-krum", self._guess, self.m)


@attrs.frozen(kw_only=True)
class Median(Component):
    """The median of each coordinate; of an even number of rows the mean of the middle two.

    Weights are ignored, as by `krum`.
    """

    paper: ClassVar[str] = YIN

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset({Capability.INDIVIDUAL_UPDATES})

    def build(self) -> object:
        from fedsec_robust.runtime import MedianAggregator

        return MedianAggregator()


@attrs.frozen(kw_only=True)
class TrimmedMean(_ToldF):
    """The mean of each coordinate without its f smallest and its f largest values.

    Weights are ignored, as by `krum`. The paper counts in shares: its beta is f / n.
    """

    paper: ClassVar[str] = YIN

    def refuse_cohort(self, rows: int) -> str | None:
        least = 1 if self.f == "true" else 2 * self.f + 1
        if rows >= least:
            return None
        return f"f = {self.f} needs at least 2 f + 1 = {least} rows"

    def build(self) -> object:
        from fedsec_robust.runtime import TrimmedMeanAggregator

        return TrimmedMeanAggregator(self._guess)
