"""The state of the federation: one flat float32 vector, and the layout that gives it names."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from attrs import define, frozen
from torch import Tensor, nn

from fedsec_core.errors import FedsecError, PluginError
from fedsec_core.suggest import did_you_mean


@frozen
class Slice:
    """A named piece of the flat vector."""

    name: str
    """As in the module's state dict: `body.0.weight`."""
    part: str
    """The direct child of the module that holds it: `body`."""
    start: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return torch.Size(self.shape).numel()

    @property
    def stop(self) -> int:
        return self.start + self.size


@frozen
class Layout:
    """Where everything lies in the state: first the shared parameters, then the shared buffers.

    `d` is the number of parameters, the length of a row; `size` that of the state.
    `private` are the parts that never leave the client; they are no part of the state.
    """

    parameters: tuple[Slice, ...]
    buffers: tuple[Slice, ...]
    private: tuple[str, ...] = ()

    @property
    def d(self) -> int:
        return self.parameters[-1].stop if self.parameters else 0

    @property
    def size(self) -> int:
        return self.buffers[-1].stop if self.buffers else self.d

    @property
    def parts(self) -> tuple[str, ...]:
        """The shared parts, in the order of the module."""
        return tuple(dict.fromkeys(piece.part for piece in (*self.parameters, *self.buffers)))

    def part(self, name: str) -> slice:
        """Return where the parameters of the part `name` lie in a row (a part is contiguous)."""
        pieces = [piece for piece in self.parameters if piece.part == name]
        if not pieces:
            raise KeyError(f"the shared state has no part {name!r}; it has {', '.join(self.parts)}")
        return slice(pieces[0].start, pieces[-1].stop)

    def pack(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return the state [size] that `tensors`, by their names in the module's state dict, hold.

        Integer buffers and tensors of private parts are passed over: those start as built. Raises
        FedsecError, naming the tensor, for one that is missing, has another shape, is not float32
        or not finite, and for a name that the network does not know.
        """
        pieces = (*self.parameters, *self.buffers)
        names = [piece.name for piece in pieces]
        for name in sorted(tensors.keys() - set(names)):
            if tensors[name].is_floating_point() and name.split(".", 1)[0] not in self.private:
                hint = did_you_mean(name, names) or f"; its parts are {', '.join(self.parts)}"
                raise FedsecError(f"the network has no {name!r}{hint}")
        for piece in pieces:
            _refuse_unfit(piece, tensors.get(piece.name))
        return torch.cat([tensors[name].reshape(-1) for name in names]) if names else torch.zeros(0)

    @classmethod
    def of(cls, module: nn.Module, shared: Sequence[str] | None = None) -> Layout:
        """Describe `module`, of which the parts `shared` travel (None: all).

        Raises PluginError for floating-point tensors that are not float32, for a module without
        named parts, and for a shared part that does not exist.
        """
        parts = [name for name, _ in module.named_children()]
        if unknown := set(shared or ()) - set(parts):
            raise PluginError(f"the network has no part {sorted(unknown)[0]!r}; it has {', '.join(parts)}")
        travels = set(parts if shared is None else shared)
        slices: dict[str, list[Slice]] = {"parameters": [], "buffers": []}
        start = 0
        for kind, tensors in (("parameters", module.named_parameters()), ("buffers", module.named_buffers())):
            for name, tensor in tensors:
                part = name.split(".", 1)[0]
                _refuse_dtype(name, tensor, kind)
                if part not in parts:
                    raise PluginError(f"{name} belongs to no part: put it into a direct child of the network")
                if part in travels and tensor.dtype == torch.float32:
                    slices[kind].append(Slice(name, part, start, tuple(tensor.shape)))
                    start += tensor.numel()
        private = tuple(part for part in parts if part not in travels)
        return cls(tuple(slices["parameters"]), tuple(slices["buffers"]), private)


def _refuse_unfit(piece: Slice, tensor: Tensor | None) -> None:
    expected = f"{piece.name!r} of shape {list(piece.shape)}"
    if tensor is None:
        raise FedsecError(f"the network needs {expected}, which is missing")
    if tuple(tensor.shape) != piece.shape:
        raise FedsecError(f"the network needs {expected}, got {list(tensor.shape)}")
    if tensor.dtype != torch.float32:
        raise FedsecError(f"the network needs {expected} in float32, got {tensor.dtype}")
    if not tensor.isfinite().all():
        raise FedsecError(f"{piece.name!r} holds values that are not finite")


def _refuse_dtype(name: str, tensor: Tensor, kind: str) -> None:
    wrong = tensor.dtype != torch.float32 and (kind == "parameters" or tensor.is_floating_point())
    if wrong:
        raise PluginError(f"{name} is {tensor.dtype}; networks must be float32")


@define(eq=False)
class Networks:
    """A module whose tensors are views of flat vectors, so that loading it is a copy.

    `parameters` and `gradients` [d + private] hold the shared parameters first, then those of
    private parts; the module's own parameters and their `.grad` are views of them. Setting
    `gradients` to zero and calling `backward` fills it; stepping `parameters` steps the module.
    """

    module: nn.Module
    layout: Layout
    parameters: Tensor
    gradients: Tensor
    _buffers: list[tuple[Slice, Tensor]]
    _built: dict[str, Tensor]
    _private: list[tuple[str, Tensor]]

    @classmethod
    def of(cls, module: nn.Module, layout: Layout) -> Networks:
        """Take over `module`: its parameters become views. Private parts start from what it holds now."""
        named = dict(module.named_parameters())
        shared = [piece.name for piece in layout.parameters]
        private = [name for name in named if name not in set(shared)]
        everything = (*module.named_parameters(), *module.named_buffers())
        built = {name: tensor.detach().clone() for name, tensor in everything}
        flat = torch.cat([named[name].detach().reshape(-1) for name in (*shared, *private)])
        gradients = torch.zeros_like(flat)
        start = 0
        views: dict[str, Tensor] = {}
        for name in (*shared, *private):
            tensor = named[name]
            stop = start + tensor.numel()
            tensor.data = flat[start:stop].view(tensor.shape)
            tensor.grad = gradients[start:stop].view(tensor.shape)
            views[name] = tensor.data
            start = stop
        buffers = dict(module.named_buffers())
        travelling = {piece.name for piece in layout.buffers}
        rest = [(name, tensor) for name, tensor in buffers.items() if name not in travelling]
        return cls(
            module=module,
            layout=layout,
            parameters=flat,
            gradients=gradients,
            buffers=[(piece, buffers[piece.name]) for piece in layout.buffers],
            built=built,
            private=[(name, views[name]) for name in private] + rest,
        )

    @torch.no_grad()
    def load(self, state: Tensor, private: dict[str, Tensor] | None = None) -> None:
        """Load a state [size]; private parts and integer buffers come from `private`, else as built."""
        self.parameters[: self.layout.d].copy_(state[: self.layout.d])
        for piece, buffer in self._buffers:
            buffer.copy_(state[piece.start : piece.stop].view(piece.shape))
        for name, tensor in self._private:
            kept = private.get(name) if private and tensor.is_floating_point() else None
            tensor.copy_(self._built[name] if kept is None else kept)
        self.gradients.zero_()
        self.module.train()

    def state(self) -> Tensor:
        """Return a copy of the shared state [size] as the module holds it now."""
        return torch.cat([self.parameters[: self.layout.d], self.buffers()])

    def built_state(self) -> Tensor:
        """Return the shared state as the module was built [layout.size]."""
        pieces = (*self.layout.parameters, *self.layout.buffers)
        return torch.cat([self._built[piece.name].reshape(-1) for piece in pieces])

    def buffers(self) -> Tensor:
        """Return a copy of the shared float buffers, flat."""
        pieces = [buffer.detach().reshape(-1) for _, buffer in self._buffers]
        return torch.cat(pieces) if pieces else torch.zeros(0)

    def private(self) -> dict[str, Tensor]:
        """Return copies of the floating-point tensors of private parts, by name."""
        return {name: tensor.detach().clone() for name, tensor in self._private if tensor.is_floating_point()}

    @torch.no_grad()
    def as_built(self) -> nn.Module:
        """Return an independent copy of the module as it was built."""
        module = self.fresh()
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            tensor.copy_(self._built[name])
        return module

    def fresh(self) -> nn.Module:
        """Return an independent copy of the module, parameters unshared with the flat vectors."""
        module = copy.deepcopy(self.module)
        for parameter in module.parameters():
            parameter.data = parameter.data.clone()
            parameter.grad = None
        return module
