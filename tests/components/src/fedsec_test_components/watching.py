"""What the test component for evaluation finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import define

from fedsec_core.evaluation import LocalView, RunView, View
from fedsec_core.findings import Findings, Picture, Table
from fedsec_core.markers import hookimpl

if TYPE_CHECKING:
    from fedsec_test_components.plugin import Witness


@define(eq=False)
class Witnessing:
    asked: Witness

    @hookimpl
    def evaluate_model(self, view: View) -> Any:
        if view.number >= self.asked.since:
            match self.asked.awry:
                case "nan":
                    return Findings({"figure": float("nan")})
                case "raises":
                    raise LookupError("nothing there")
                case "interrupt":
                    raise KeyboardInterrupt
                case "kind":
                    return {"figure": 1.0}
                case "text":
                    return Findings({"figure": "abc"})  # type: ignore[dict-item]
                case "list":
                    return Findings([1.0])  # type: ignore[arg-type]
                case "cell":
                    return Findings(tables={"odd": Table({"a": [object()]})})  # type: ignore[list-item]
                case "picture":
                    return Findings(pictures={"odd": Picture(np.zeros((2, 2, 2, 2)))})
                case "name":
                    return Findings({"../figure": 1.0})
        logits = view.predict(view.data.x)
        metrics: dict[str, float | None] = {
            "accuracy": float((logits.argmax(1) == view.data.y).double().mean()),
            "samples": float(len(view.data)),
            "nothing": None,
        }
        tables = {}
        if self.asked.local:
            found = view.map(at_client, view.clients, 2)
            tables["clients"] = Table({"client": list(view.clients), "samples": [n for n, _ in found]})
            metrics["logits_apart"] = float(max(spread for _, spread in found))
        grey = np.full((4, 4), view.number / max(view.rounds, 1))
        return Findings(metrics, tables, {"grey": Picture(grey, "grey level: share of rounds")})

    @hookimpl
    def evaluate_run(self, run: RunView) -> Findings:
        return Findings({"rounds_measured": float(len(run.history))})


def at_client(local: LocalView, factor: int) -> tuple[int, float]:
    """Count the samples of a client, times `factor`, and see how far its model's logits lie apart."""
    logits = local.predict(local.data.x)
    return len(local.data) * factor, float(logits.max() - logits.min())
