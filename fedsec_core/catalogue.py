"""The components that are installed: found in entry points, imported only when a scenario names them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata
from typing import TYPE_CHECKING

from attrs import frozen

from fedsec_core import registry
from fedsec_core.errors import PluginError, one_line
from fedsec_core.suggest import did_you_mean
from fedsec_core.vocabulary import Role

if TYPE_CHECKING:
    from fedsec_core.component import Component


@frozen
class Offer:
    """A component as its distribution announces it, not yet imported."""

    role: Role
    name: str
    target: str
    """`module:Class`."""
    distribution: str
    version: str

    @property
    def title(self) -> str:
        """How messages name it: `aggregate:krum (fedsec-robust 0.1.0)`."""
        return f"{self.role.value}:{self.name} ({self.distribution} {self.version})"

    @property
    def module(self) -> str:
        """The top-level module of the distribution."""
        return self.target.split(":")[0].split(".")[0]

    def load(self) -> type[Component]:
        """Import the component's class.

        Raises PluginError, naming the component, if that fails or gives something else.
        """
        from fedsec_core.component import Component

        try:
            loaded = metadata.EntryPoint(self.name, self.target, self.role.group).load()
        except Exception as error:
            raise PluginError(
                f"{self.title} could not be loaded from {self.target}: {one_line(error)}"
            ) from error
        if not (isinstance(loaded, type) and issubclass(loaded, Component)):
            raise PluginError(f"{self.title}: {self.target} is not a subclass of fedsec_core.Component")
        return loaded


def _identity(distribution: metadata.Distribution | None) -> tuple[str, str]:
    """Return the name and the version of the distribution of an entry point."""
    assert distribution is not None, "an entry point that was found, not made"
    return distribution.name, distribution.version


@frozen
class Catalogue:
    """The offers that scenarios can name."""

    offers: tuple[Offer, ...]

    @classmethod
    def installed(cls) -> Catalogue:
        """List what is installed; reads metadata only."""
        # an older copy further down the path is left out here, as it is for an import
        every = metadata.entry_points()
        points = [(role, point) for role in Role for point in every.select(group=role.group)]
        # of those alone: to read the names of all that is installed takes a fifth of a second
        distributions = {id(point.dist): point.dist for _, point in points}
        named = {key: _identity(distribution) for key, distribution in distributions.items()}
        found = [Offer(role, point.name, point.value, *named[id(point.dist)]) for role, point in points]
        return cls(tuple(sorted(found, key=lambda offer: (list(Role).index(offer.role), offer.name))))

    def of(self, role: Role) -> tuple[Offer, ...]:
        """Return the offers of one role, by name."""
        return tuple(offer for offer in self.offers if offer.role is role)

    def find(self, role: Role, use: str) -> Offer:
        """Return the offer that `use` names: `krum`, or `fedsec-robust:krum` to choose a distribution.

        Raises PluginError that suggests what was meant, or what to install.
        """
        distribution, _, name = use.rpartition(":")
        named = [offer for offer in self.of(role) if offer.name == name]
        found = [offer for offer in named if not distribution or offer.distribution == distribution]
        if len(found) == 1:
            return found[0]
        if found:
            raise PluginError(_ambiguous(name, found))
        raise PluginError(self._missing(role, name, distribution, named))

    def _missing(self, role: Role, name: str, distribution: str, named: Iterable[Offer]) -> str:
        if owners := [offer.distribution for offer in named]:
            return (
                f"{role.value} component {name!r} is offered by {', '.join(owners)}, not by {distribution!r}"
            )
        message = f"no {role.value} component is called {name!r}"
        if elsewhere := [offer.role.value for offer in self.offers if offer.name == name]:
            return f"{message}; {name!r} is a component of role {' and '.join(elsewhere)}"
        if entry := registry.offering(role, name):
            return f"{name} is offered by {entry.distribution}, which is not installed: {entry.install}"
        known = [offer.name for offer in self.of(role)]
        if hint := did_you_mean(name, known):
            return message + hint
        everywhere = {n for entry in registry.entries() for n in entry.offers.get(role.value, ())}
        return message + (did_you_mean(name, everywhere) or f"; installed: {', '.join(known) or 'none'}")


def _ambiguous(name: str, found: list[Offer]) -> str:
    owners = " and ".join(f"{offer.distribution} {offer.version}" for offer in found)
    return f"{name!r} is offered by {owners}; choose one with use = {f'{found[0].distribution}:{name}'!r}"
