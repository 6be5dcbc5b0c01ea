"""Which errors are a component's right: those that say what to change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from fedsec_core.errors import DataError, FedsecError, PluginError, ScenarioError, TooFewRows
from fedsec_core.testing.bench import Bench
from fedsec_core.testing.promises import Broken


@contextmanager
def may_refuse(bench: Bench) -> Iterator[None]:
    """Let pass an error that was raised on purpose and tells a person what to change.

    That is TooFewRows, DataError, a scenario refused because of this component, and any other
    FedsecError that names a parameter (or anything at all, if there are none). Raises Broken in place
    of every other error.
    """
    try:
        yield
    except (TooFewRows, DataError):
        return
    except FedsecError as error:
        if not on_purpose(error):
            raise Broken(f"it breaks where it may only refuse: {error}") from error
        if isinstance(error, ScenarioError) and bench.offer.name in str(error):
            return
        parameters = [field.alias for field in attrs.fields(bench.kind)]
        named = any(re.search(rf"\b{re.escape(name)}\b", str(error)) for name in parameters)
        if parameters and not named:
            raise Broken(f"its refusal names no parameter ({', '.join(parameters)}): {error}") from error


def on_purpose(error: FedsecError) -> bool:
    """Tell whether an error that came out of the facade was raised as a FedsecError by a component."""
    if isinstance(error, PluginError):
        return isinstance(error.__cause__, FedsecError)
    return isinstance(error, (ScenarioError, TooFewRows, DataError))
