"""What the protection of the tests does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import define, evolve
from torch import Tensor

from fedsec_core.data import Dataset
from fedsec_core.markers import hookimpl
from fedsec_core.views import Broadcast, Client

if TYPE_CHECKING:
    from fedsec_test_components.plugin import Shield


@define(eq=False)
class Clipping:
    bound: float

    def gradients(self, g: Tensor) -> Tensor:
        return g.clamp_(-self.bound, self.bound)


@define(eq=False)
class Failing:
    awry: str

    def __getattr__(self, name: str) -> Any:
        wanted = {"steps": "gradients", "no-steps": "gradients", "update": "update"}
        if wanted.get(self.awry) != name:
            raise AttributeError(name)
        return self._nothing if self.awry.startswith("no-") else self._fail

    def _fail(self, value: Any) -> Any:
        raise OverflowError("too much")

    def _nothing(self, value: Any) -> Any:
        return None


@define(eq=False)
class Shielding:
    asked: Shield

    @hookimpl
    def transform_data(self, data: Dataset) -> Dataset | None:
        return data.with_pixels(data.x * self.asked.dim) if self.asked.dim < 1 else None

    @hookimpl
    def prepare_broadcast(self, broadcast: Broadcast) -> Broadcast | None:
        return evolve(broadcast, state=broadcast.state + self.asked.offset) if self.asked.offset else None

    @hookimpl
    def training_steps(self, client: Client) -> object | None:
        client.state["rounds"] = client.state.get("rounds", 0) + 1
        if self.asked.remembers:
            client.state["odd"] = {client.id}
        if self.asked.awry in ("steps", "no-steps", "update"):
            return Failing(self.asked.awry)
        return Clipping(self.asked.clip) if self.asked.clip else None

    @hookimpl
    def serve_model(self, predict: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor] | None:
        if self.asked.awry == "no-serve":
            return 3  # type: ignore[return-value]
        if self.asked.awry == "serve":
            return lambda x: x
        if not self.asked.shift:
            return None

        def shifted(x: Tensor) -> Tensor:
            logits = predict(x).clone()
            logits[:, 0] += self.asked.shift
            return logits

        return shifted
