"""Contestant c: fedsec, as a user runs it. Also times single federations for the other parts.

`python benchmarks/federated.py SCENARIO [KEY=VALUE ...]` prints the seconds of the rounds, and of each
phase, as JSON. They are the `seconds` of `run.json`: from before round 0, which evaluates the built
model, until after the final weights are written, with all checkpoints and events. `workers=N` is
taken as `--workers`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter

import fedsec_core
from fedsec_core.scenario.source import parse_setting


def main() -> None:
    """Run the scenario without a report, in a folder that is removed."""
    scenario, *settings = sys.argv[1:]
    given = dict(map(parse_setting, settings))
    workers = given.pop("workers", None)
    with tempfile.TemporaryDirectory() as out:
        result = fedsec_core.run(scenario, set=given, out=out, report=False, workers=workers).of()
    phases: Counter[str] = Counter()
    for event in result.rounds:
        phases.update(event["phases"])
    found = {
        "seconds": result.facts["seconds"],
        "status": result.status,
        "phases": dict(phases),
        "rounds": [{"seconds": event["seconds"], **event["phases"]} for event in result.rounds],
        "workers": result.facts.get("workers"),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
