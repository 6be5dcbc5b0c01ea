"""The core of fedsec: it runs federations; every method comes from a plugin.

Nothing heavy is imported before it is used: `import fedsec_core` costs neither torch nor numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedsec_core.component import Component, parameter
    from fedsec_core.markers import hookimpl
    from fedsec_core.runs.api import Result, open_run, resume, run, verify
    from fedsec_core.vocabulary import Capability, Knowledge, Role

__all__ = [
    "Capability",
    "Component",
    "Knowledge",
    "Result",
    "Role",
    "hookimpl",
    "open_run",
    "parameter",
    "resume",
    "run",
    "verify",
]

__version__ = "0.1.0"

_HOMES = {
    "Component": "component",
    "parameter": "component",
    "hookimpl": "markers",
    "Capability": "vocabulary",
    "Knowledge": "vocabulary",
    "Role": "vocabulary",
    "Result": "runs.api",
    "open_run": "runs.api",
    "resume": "runs.api",
    "run": "runs.api",
    "verify": "runs.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fedsec_core' has no attribute {name!r}")
    return getattr(import_module(f"fedsec_core.{_HOMES[name]}"), name)
