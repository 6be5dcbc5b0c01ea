"""Scenarios: read, type and check the TOML file that describes a federation."""

from __future__ import annotations

from fedsec_core.scenario.execute import Execute, worker_count
from fedsec_core.scenario.load import load
from fedsec_core.scenario.model import Claim, Experiment, Scenario, Slot

__all__ = ["Claim", "Execute", "Experiment", "Scenario", "Slot", "load", "worker_count"]
