"""The trained networks of a finished run, built again from its scenario and weights."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from fedsec_core.data import Spec
from fedsec_core.errors import FedsecError
from fedsec_core.hooks import ClientHooks
from fedsec_core.runs.names import WEIGHTS
from fedsec_core.runs.reading import FederationResult
from fedsec_core.scenario import load


def rebuild(scenario: Path, result: FederationResult) -> nn.Module:
    """Return the module with the final weights, in evaluation mode; private parts are as built.

    Raises FedsecError if the run left no weights.
    """
    from safetensors.torch import load_file

    file = result.folder / WEIGHTS
    if not file.exists():
        raise FedsecError(f"{result.folder}: the run left no weights ({result.status})")
    data = result.facts["data"]
    spec = Spec(tuple(data["shape"]), len(data["classes"]), data["task"])
    slots = load(scenario, check_start=False).scenarios()[result.variant].slots
    module = ClientHooks(slots, result.seed).build_networks(spec).fresh()
    module.load_state_dict(load_file(file), strict=False)
    return module.eval()
