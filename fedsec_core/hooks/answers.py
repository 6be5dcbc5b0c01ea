"""The boundary: what components answer is checked where it comes in, and its owner is named."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from numbers import Real
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from fedsec_core.data import METADATA, Dataset, Splits
from fedsec_core.errors import FedsecError, PluginError, one_line
from fedsec_core.findings import Findings
from fedsec_core.hooks.members import Member, wrong
from fedsec_core.state import Layout
from fedsec_core.updates import Rows, Update, Verdict
from fedsec_core.views import Broadcast

P = ParamSpec("P")
T = TypeVar("T")


def boundary(check: Callable[Concatenate[Member, P], T]) -> Callable[Concatenate[Member, P], T]:
    """Make whatever goes wrong while an answer is read the fault of the member that gave it."""

    @wraps(check)
    def checked(member: Member, *args: P.args, **options: P.kwargs) -> T:
        try:
            return check(member, *args, **options)
        except (TypeError, ValueError, AttributeError, LookupError, RuntimeError) as error:
            raise PluginError(f"{member.slot.title}: its answer cannot be read: {one_line(error)}") from error

    return cast("Callable[Concatenate[Member, P], T]", checked)


@boundary
def splits(member: Member, answer: Any) -> Splits:
    """Check what `load_data` gave."""
    if not isinstance(answer, Splits):
        raise wrong(member, "load_data", f"must give Splits, got {_kind(answer)}")
    if not answer.classes:
        raise wrong(member, "load_data", "gave no class names")
    for name in ("train", "val", "test"):
        split: Dataset = getattr(answer, name)
        if not len(split) and name != "val":
            raise wrong(member, "load_data", f"gave no {name} samples")
        _dataset(member, "load_data", f"the {name} split", split)
        if len(split) and split.pixels.shape[1:] != answer.train.pixels.shape[1:]:
            shapes = f"{tuple(split.pixels.shape[1:])}, train ones {tuple(answer.train.pixels.shape[1:])}"
            raise wrong(member, "load_data", f"gave {name} images of shape {shapes}")
        if len(split) and not 0 <= int(split.y.min()) <= int(split.y.max()) < len(answer.classes):
            low, high = int(split.y.min()), int(split.y.max())
            what = f"gave {name} labels from {low} to {high}, out of range for {len(answer.classes)} classes"
            raise wrong(member, "load_data", what)
    return answer


@boundary
def dataset(member: Member, hook: str, answer: Any, given: Dataset) -> Dataset:
    """Check a rewritten data set; None leaves `given`."""
    if answer is None:
        return given
    if not isinstance(answer, Dataset):
        raise wrong(member, hook, f"must give a Dataset or None, got {_kind(answer)}")
    _dataset(member, hook, "its answer", answer)
    if answer.pixels.shape[1:] != given.pixels.shape[1:]:
        shapes = f"{tuple(given.pixels.shape[1:])} to {tuple(answer.pixels.shape[1:])}"
        raise wrong(member, hook, f"changed the shape of images from {shapes}")
    if not len(answer):
        raise wrong(member, hook, "left no samples")
    return answer


def _dataset(member: Member, hook: str, name: str, data: Dataset) -> None:
    if data.pixels.ndim != 4 or data.pixels.dtype not in (torch.uint8, torch.float32):
        what = f"{tuple(data.pixels.shape)} {data.pixels.dtype}"
        raise wrong(member, hook, f"{name} must hold bytes or float32 images [n, C, H, W], got {what}")
    if data.y.shape != (len(data.pixels),) or data.y.dtype != torch.int64:
        what = f"{tuple(data.y.shape)} {data.y.dtype}"
        raise wrong(member, hook, f"{name} must hold one int64 label per image, got {what}")
    if data.pixels.dtype == torch.float32 and len(data):
        if not bool(torch.isfinite(data.pixels).all()):
            raise wrong(member, hook, f"{name} holds NaN or infinite pixels")
        if float(data.pixels.min()) < 0 or float(data.pixels.max()) > 1:
            span = f"{float(data.pixels.min()):g} to {float(data.pixels.max()):g}"
            raise wrong(member, hook, f"{name} holds pixels from {span}; images lie in [0, 1]")
    for key, values in data.metadata.items():
        if key not in METADATA or len(values) != len(data):
            raise wrong(member, hook, f"{name} has metadata {key!r} that is not known or not one per image")


@boundary
def module(member: Member, answer: Any) -> nn.Module:
    """Check what `build_networks` gave."""
    if not isinstance(answer, nn.Module):
        raise wrong(member, "build_networks", f"must give a torch Module, got {_kind(answer)}")
    return answer


@boundary
def partition(member: Member, answer: Any, samples: int) -> tuple[np.ndarray, ...]:
    """Check a partition: indices in range, no client empty, no index twice."""
    hook = "partition_data"
    if not isinstance(answer, Sequence) or not answer:
        raise wrong(member, hook, f"must give a list of index arrays, got {_kind(answer)}")
    parts = tuple(np.asarray(part) for part in answer)
    for client, part in enumerate(parts):
        if part.ndim != 1 or (part.size and not np.issubdtype(part.dtype, np.integer)):
            raise wrong(member, hook, f"gave client {client} {part.dtype} of shape {part.shape}, not indices")
        if not part.size:
            raise wrong(
                member, hook, f"left client {client} without data: use fewer clients, or another split"
            )
    index = np.concatenate(parts)
    if index.min() < 0 or index.max() >= samples:
        raise wrong(member, hook, f"gave an index outside of 0..{samples - 1}")
    if len(np.unique(index)) != len(index):
        raise wrong(member, hook, "gave a sample to more than one client")
    return tuple(part.astype(np.int64) for part in parts)


@boundary
def cohort(member: Member, answer: Any, known: Sequence[int]) -> tuple[int, ...]:
    """Check a selection; the cohort is sorted by id."""
    ids = [operator.index(client) for client in answer]
    if len(set(ids)) != len(ids) or not set(ids) <= set(known):
        raise wrong(member, "select_clients", f"must give ids of candidates, none twice, got {answer!r}")
    return tuple(sorted(ids))


@boundary
def tensors(member: Member, hook: str, answer: Any) -> Mapping[str, Tensor]:
    """Check named tensors; None is none."""
    found = {} if answer is None else answer
    if not isinstance(found, Mapping) or not all(isinstance(each, Tensor) for each in found.values()):
        raise wrong(member, hook, f"must give tensors by name, got {_kind(answer)}")
    return found


@boundary
def broadcast(member: Member, answer: Any, given: Broadcast) -> Broadcast:
    """Check a changed broadcast; None leaves `given`."""
    if answer is None:
        return given
    hook = "prepare_broadcast"
    if not isinstance(answer, Broadcast):
        raise wrong(member, hook, f"must give a Broadcast or None, got {_kind(answer)}")
    vector(member, hook, "state", answer._state, given.layout.size)
    vector(member, hook, "base", answer._base, given.layout.size)
    return answer


@boundary
def update(member: Member, hook: str, answer: Any, layout: Layout) -> Update:
    """Check an update; its values may be anything, its shape may not."""
    if not isinstance(answer, Update):
        raise wrong(member, hook, f"must give an Update, got {_kind(answer)}")
    row = vector(member, hook, "row", answer.row, layout.d).float()
    buffers = vector(member, hook, "buffers", answer.buffers, layout.size - layout.d).float()
    if type(answer.examples) is not int or answer.examples < 0:
        raise wrong(member, hook, f"must claim a whole number of examples >= 0, got {answer.examples!r}")
    tensors(member, hook, answer.extra)
    return attrs.evolve(answer, row=row.detach(), buffers=buffers.detach())


@boundary
def updates(member: Member, answer: Any, expected: int, layout: Layout) -> tuple[Update, ...]:
    """Check the updates with which an attack replaces those of its clients."""
    hook = "attack_updates"
    if not isinstance(answer, Sequence) or len(answer) != expected:
        raise wrong(
            member, hook, f"must give {expected} updates, one per client of its own, got {_kind(answer)}"
        )
    return tuple(update(member, hook, each, layout) for each in answer)


@boundary
def verdict(member: Member, answer: Any, n: int) -> Verdict:
    """Check a verdict."""
    hook = "detect_anomalies"
    if not isinstance(answer, Verdict):
        raise wrong(member, hook, f"must give a Verdict or None, got {_kind(answer)}")
    trust = np.asarray(answer.trust, dtype=np.float64)
    flagged = np.asarray(answer.flagged, dtype=bool)
    score = np.asarray(answer.score, dtype=np.float64)
    for name, values in (("trust", trust), ("flagged", flagged), ("score", score)):
        if values.shape != (n,):
            raise wrong(member, hook, f"gave {name} of shape {values.shape} for {n} clients")
    if not np.isfinite(trust).all():
        raise wrong(member, hook, "gave a trust that is not finite")
    if trust.min() < 0 or trust.max() > 1:
        raise wrong(member, hook, f"gave a trust outside of 0..1: {trust.min():g} to {trust.max():g}")
    return Verdict(trust, flagged, score)


@boundary
def rows(member: Member, answer: Any, given: tuple[Rows, Tensor]) -> tuple[Rows, Tensor]:
    """Check transformed rows and weights; None leaves `given`."""
    if answer is None:
        return given
    hook = "transform_updates"
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], Rows)):
        raise wrong(member, hook, f"must give (Rows, weights) or None, got {_kind(answer)}")
    changed, weights = answer
    if changed.d != given[0].d or not 1 <= len(changed) <= len(given[0]):
        shapes = f"{(len(given[0]), given[0].d)} to {(len(changed), changed.d)}"
        raise wrong(member, hook, f"turned rows from {shapes}: keep d, give 1 to as many rows as before")
    weights = vector(member, hook, "weights", weights, len(changed)).double()
    if not bool(torch.isfinite(weights).all()) or float(weights.min()) <= 0:
        raise wrong(member, hook, "must give finite weights > 0")
    return changed, weights


@boundary
def step(member: Member, hook: str, answer: Any, d: int) -> Tensor:
    """Check a step; float64 from here on. That it is finite is the federation's concern."""
    return vector(member, hook, "step", answer, d).detach().double()


@boundary
def findings(member: Member, hook: str, answer: Any) -> Findings:
    """Check findings; None is none."""
    found = Findings() if answer is None else answer
    if not isinstance(found, Findings):
        raise wrong(member, hook, f"must give Findings or None, got {_kind(answer)}")
    for part in ("metrics", "tables", "pictures"):
        if not isinstance(getattr(found, part), Mapping):
            raise wrong(member, hook, f"must give {part} by name, got {_kind(getattr(found, part))}")
    for name in (*found.metrics, *found.tables, *found.pictures):
        if not re.fullmatch(r"[\w.-]+", name):
            raise wrong(member, hook, f"named something {name!r}: use letters, digits, '.', '-' and '_'")
    for name, value in found.metrics.items():
        number: Any = value
        if number is not None and not (isinstance(number, Real) and math.isfinite(number)):
            raise wrong(member, hook, f"gave the metric {name!r} = {value!r}; give a finite number, or None")
    for name, table in found.tables.items():
        if len({len(column) for column in table.columns.values()}) > 1:
            raise wrong(member, hook, f"gave the table {name!r} columns of different lengths")
        cells = [cell for column in table.columns.values() for cell in column]
        if odd := [cell for cell in cells if not (cell is None or isinstance(cell, (Real, str, np.generic)))]:
            raise wrong(member, hook, f"gave the table {name!r} a cell that is {_kind(odd[0])}")
    for name, picture in found.pictures.items():
        shape, kind = np.shape(picture.pixels), getattr(picture.pixels, "dtype", None)
        image = isinstance(picture.pixels, np.ndarray) and (len(shape) == 2 or shape[2:] == (3,))
        if not image or not (kind == np.uint8 or np.issubdtype(kind, np.floating)):
            what = f"{_kind(picture.pixels)} of shape {shape}"
            raise wrong(member, hook, f"gave the picture {name!r} as {what}; give [H, W] or [H, W, 3]")
    return found


def vector(member: Member, hook: str, name: str, value: Any, length: int) -> Tensor:
    """Check a floating-point vector of a known length."""
    if not isinstance(value, Tensor):
        raise wrong(member, hook, f"must give {name} as a tensor, got {_kind(value)}")
    if value.shape != (length,):
        raise wrong(member, hook, f"gave {name} of shape {tuple(value.shape)}, expected ({length},)")
    if not value.is_floating_point():
        raise wrong(member, hook, f"gave {name} of {value.dtype}, expected floating point")
    return value


def _kind(value: object) -> str:
    if value is None:
        return "None"
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


def served(member: Member, answer: Any) -> Callable[[Tensor], Tensor]:
    """Check what stands between a model and who asks it: now that it can be called, later its logits."""
    if not callable(answer):
        raise wrong(member, "serve_model", f"must give a function or None, got {_kind(answer)}")

    def ask(x: Tensor) -> Tensor:
        try:
            logits = answer(x)
        except FedsecError:
            raise
        except Exception as error:
            raise wrong(member, "serve_model", f"gave a function that failed: {one_line(error)}") from error
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(x):
            raise wrong(member, "serve_model", f"gave a function that gives no logits [{len(x)}, classes]")
        return logits

    return ask
