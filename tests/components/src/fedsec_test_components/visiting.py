"""What the component does that evaluates at the clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from attrs import define

from fedsec_core.errors import TooFewRows
from fedsec_core.evaluation import LocalView, View
from fedsec_core.findings import Findings, Table
from fedsec_core.markers import hookimpl
from fedsec_test_components.keeping import die_if_told

if TYPE_CHECKING:
    from pathlib import Path

    from fedsec_test_components.plugin import Visitor


class Strange(Exception):
    """An exception that pickles, and cannot be put together again."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")


@define(eq=False)
class Visiting:
    asked: Visitor

    @hookimpl
    def evaluate_model(self, view: View) -> Findings:
        visited = view.clients[::2]
        found = view.map(visit, visited, view.number, self.asked.deaths, self.asked.awry)
        metrics: dict[str, float | None] = {}
        for client in visited:
            logits = view.predict(view.data.x, client=client)
            metrics[f"asked_{client}"] = float(logits.double().sum())
            metrics[f"raw_{client}"] = float(view.predict(view.data.x, client, served=False).double().sum())
            weights = [tensor.double().sum() for tensor in view.networks(client).state_dict().values()]
            metrics[f"weights_{client}"] = float(torch.stack(weights).sum())
        if self.asked.shared:
            metrics["asked"] = float(view.predict(view.data.x).double().sum())
        apart = view.train(view.val, epochs=1).eval()
        with torch.no_grad():
            metrics["apart"] = float(apart(view.data.x).double().sum())
        return Findings(metrics, {"visits": Table({"client": list(visited), "logits": found})})


def visit(local: LocalView, number: int, deaths: Path | None, awry: str) -> Any:
    """Return the sum of a client's logits on its own samples."""
    die_if_told(deaths, f"visit-{local.id}-{number}")
    if local.id == 2:
        match awry:
            case "raises":
                raise LookupError("nobody home")
            case "strange":
                raise Strange("the door", "is locked")
            case "few":
                raise TooFewRows("visitor", 1, 2)
            case "lambda":
                return lambda: local.id
    with torch.no_grad():
        own = local.networks().eval()(local.data.x)
    return float((local.predict(local.data.x) + own).double().sum())
