"""From the cases of a distribution to its checks, as plain calls or as tests of pytest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from attrs import frozen

from fedsec_core.catalogue import Catalogue, Offer
from fedsec_core.errors import FedsecError, PluginError, one_line
from fedsec_core.suggest import did_you_mean
from fedsec_core.testing.case import Case
from fedsec_core.testing.promises import DUTIES, Broken, Promise, promises

if TYPE_CHECKING:
    import pytest

    from fedsec_core.component import Component
    from fedsec_core.testing.bench import Kept


SAID = (AssertionError, FedsecError)
"""What a promise that is broken raises; any other exception is a fault that no deviation covers."""


@frozen
class Check:
    """One promise of one component; calling it raises if the promise is broken."""

    subject: str
    """`aggregate:krum`; the distribution for the check that every component has a case."""
    promise: str
    """`ignores_the_order_of_clients`."""
    run: Callable[[], None]
    deviation: str = ""
    """Why this component does not keep the promise; empty if it does."""

    @property
    def title(self) -> str:
        """`aggregate:krum-ignores_the_order_of_clients`."""
        return f"{self.subject}-{self.promise}"

    def __call__(self) -> None:
        self.run()


def contract(distribution: str, *cases: Case) -> pytest.MarkDecorator:
    """Turn a test function of one argument, `check`, into one test per promise of `distribution`.

    Without `cases` they are those of its module `contract`, as in `fedsec test-plugin`. A deviation
    is a strict xfail: it fails once the promise is kept.
    """
    import pytest

    parameters = []
    for check in checks(distribution, *(cases or cases_of(distribution) or ())):
        marks = [pytest.mark.xfail(reason=check.deviation, strict=True, raises=SAID)]
        parameters.append(pytest.param(check, id=check.title, marks=marks if check.deviation else ()))
    return pytest.mark.parametrize("check", parameters)


def cases_of(distribution: str) -> tuple[Case, ...] | None:
    """Return `CASES` of the module `contract` beside the components of `distribution`; None without one.

    Raises PluginError where that module cannot be imported or holds something else.
    """
    offered = (offer for offer in Catalogue.installed().offers if offer.distribution == distribution)
    for module in dict.fromkeys(f"{offer.module}.contract" for offer in offered):
        try:
            if find_spec(module) is None:
                continue
            cases = getattr(import_module(module), "CASES", None)
        except Exception as error:
            raise PluginError(f"{module} could not be imported: {one_line(error)}") from error
        if not (isinstance(cases, tuple) and all(isinstance(case, Case) for case in cases)):
            raise PluginError(f"{module} must hold CASES, a tuple of Case")
        return cases
    return None


def checks(distribution: str, *cases: Case) -> list[Check]:
    """Return the checks of `distribution`: first that it is covered by its cases, then their promises."""
    offers = [offer for offer in Catalogue.installed().offers if offer.distribution == distribution]
    found = [(case, _offers_of(case, offers)) for case in cases]
    gaps = partial(_require_cover, distribution, offers, found)
    made = [Check(distribution, "every_component_has_a_case", gaps)]
    pairs = [(case, of[0]) for case, of in found if len(of) == 1]
    for case, offer in pairs:
        title = _title(case, offer, [other for other, of in pairs if of is offer])
        made += _promises_of(title, case, offer)
    return made


def _offers_of(case: Case, offers: Sequence[Offer]) -> list[Offer]:
    named = [offer for offer in offers if offer.name == case.name]
    return [offer for offer in named if case.role in (None, offer.role.value)]


def _require_cover(
    distribution: str, offers: Sequence[Offer], found: Sequence[tuple[Case, Sequence[Offer]]]
) -> None:
    if not offers:
        raise Broken(f"{distribution} offers no component: it is not installed, or has no entry points")
    names = [offer.name for offer in offers]
    wrong = []
    for case, of in found:
        if not of:
            as_role = f"as {case.role} " if case.role else ""
            hint = did_you_mean(case.name, names)
            wrong.append(f"the case {case.name!r} is no component {as_role}of {distribution}{hint}")
        elif len(of) > 1:
            roles = " and ".join(offer.role.value for offer in of)
            wrong.append(f"the case {case.name!r} may be of role {roles}: give it role = ...")
    covered = [of[0] for _, of in found if len(of) == 1]
    wrong += [f"{offer.role.value}:{offer.name} has no case" for offer in offers if offer not in covered]
    if wrong:
        raise Broken("; ".join(wrong))


def _title(case: Case, offer: Offer, others: Sequence[Case]) -> str:
    """Name a case by its component; where that has several, by its settings or its place too."""
    name = f"{offer.role.value}:{offer.name}"
    if len(others) == 1:
        return name
    if callable(case.settings) or not case.settings:
        return f"{name}#{others.index(case) + 1}"
    return f"{name}({', '.join(f'{key}={value}' for key, value in case.settings.items())})"


def _promises_of(title: str, case: Case, offer: Offer) -> list[Check]:
    made = promises()
    answered, component = _declared(case, offer)
    if unknown := case.deviations.keys() - {each.name for each in made}:
        name = sorted(unknown)[0]
        hint = did_you_mean(name, [each.name for each in made])
        raise ValueError(f"{title}: there is no promise {name!r} to deviate from{hint}")
    concerned = [each for each in made if each.concerns(offer.role, answered, component)]
    if idle := case.deviations.keys() - {each.name for each in concerned}:
        raise ValueError(f"{title} does not make the promise {sorted(idle)[0]!r}: drop the deviation")
    kept: Kept = {}
    return [
        Check(title, each.name, partial(_keep, each, case, offer, kept), case.deviations.get(each.name, ""))
        for each in concerned
    ]


def _declared(case: Case, offer: Offer) -> tuple[frozenset[str], Component | None]:
    """Return the hooks that a case answers, and its configured component."""
    from fedsec_core.testing.bench import Bench

    try:
        with Bench.of(case, offer, {}) as bench:
            return bench.answered(), bench.component
    except Exception:
        # what is wrong with one that cannot be built, the promises of its role will say
        return DUTIES[offer.role], None


def _keep(promise: Promise, case: Case, offer: Offer, kept: Kept) -> None:
    from fedsec_core.testing.bench import Bench

    with Bench.of(case, offer, kept) as bench:
        promise.check(bench)
