"""Strict structuring: from plain TOML values to attrs objects, gathering every fault on the way."""

from __future__ import annotations

import math
import os
import pathlib
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar, get_args, get_origin

import attrs
import cattrs
from cattrs.errors import BaseValidationError, IterableValidationNote

from fedsec_core.scenario.positions import Path
from fedsec_core.suggest import did_you_mean

T = TypeVar("T")


class Wrong(Exception):
    """What is wrong inside one value: `(path below it, message)` for each fault."""

    def __init__(self, faults: list[tuple[Path, str]]) -> None:
        super().__init__(str(faults))
        self.faults = faults


class Structurer:
    """Structures tables of one scenario. Nothing is coerced: `"5"` is no number, `true` is no 1.

    Relative paths are taken from `base`, the folder of the scenario file; what is not there is
    looked for in the folder that the environment variable FEDSEC_DATA names.
    """

    def __init__(self, base: pathlib.Path) -> None:
        self._converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)

        def path(value: object) -> pathlib.Path:
            given = pathlib.Path(_instance(str, "a path", value)).expanduser()
            here, shared = base / given, pathlib.Path(os.environ.get("FEDSEC_DATA") or base) / given
            return (here if here.exists() or not shared.exists() else shared).resolve()

        hooks: dict[Any, Callable[[Any], Any]] = {
            int: _whole,
            float: _number,
            bool: partial(_instance, bool, "true or false"),
            str: partial(_instance, str, "a text"),
            pathlib.Path: path,
        }
        for kind, hook in hooks.items():
            self._converter.register_structure_hook(kind, _ignoring_type(hook))
        self._converter.register_structure_hook_func(_is_union, self._union)
        self._converter.register_structure_hook_func(_is_literal, _literal)
        self._converter.register_structure_hook_func(_is_sequence, self._sequence)
        self._converter.register_structure_hook_func(attrs.has, self.table)

    def value(self, raw: object, kind: Any) -> Any:
        """Structure one value; raises Wrong."""
        try:
            return self._converter.structure(raw, kind)
        except Wrong:
            raise
        except BaseValidationError as error:
            raise Wrong(_walk(error)) from error
        except (ValueError, TypeError, KeyError) as error:
            raise Wrong([((), str(error))]) from error

    def table(self, raw: object, kind: type[T], *, also: frozenset[str] = frozenset()) -> T:
        """Structure a table as the attrs class `kind`; raises Wrong with every fault in it.

        `also` are further keys that are allowed and left alone.
        """
        if not isinstance(raw, Mapping):
            raise Wrong([((), f"expected a table, got {raw!r}")])
        attrs.resolve_types(kind)  # type: ignore[type-var]
        fields = {field.alias: field for field in attrs.fields(kind)}  # type: ignore[arg-type]
        faults: list[tuple[Path, str]] = [
            ((key,), _unknown_key(key, [*fields, *also]))
            for key in raw
            if key not in fields and key not in also
        ]
        values: dict[str, Any] = {}
        for name, field in fields.items():
            if name in raw:
                self._field(raw[name], field, values, faults)
            elif field.default is attrs.NOTHING:
                faults.append(((), f"missing key {name!r}: {field.metadata.get('doc', 'it has no default')}"))
        if faults:
            raise Wrong(faults)
        try:
            return kind(**values)
        except ValueError as error:
            raise Wrong([((), str(error))]) from error

    def _field(self, raw: object, field: Any, values: dict[str, Any], faults: list[tuple[Path, str]]) -> None:
        try:
            values[field.alias] = self.value(raw, field.type)
            if field.validator is not None:
                field.validator(SimpleNamespace(**values), field, values[field.alias])
        except Wrong as wrong:
            faults.extend(((field.alias, *path), message) for path, message in wrong.faults)
        except ValueError as error:
            faults.append(((field.alias,), str(error)))

    def _union(self, raw: object, kind: Any) -> Any:
        options = [option for option in get_args(kind) if option is not type(None)]
        meant = [option for option in options if _looks_like(raw, option)]
        if len(meant) == 1:
            return self.value(raw, meant[0])
        for option in options:
            try:
                return self.value(raw, option)
            except Wrong:
                continue
        raise Wrong([((), f"expected {' or '.join(map(describe, options))}, got {raw!r}")])

    def _sequence(self, raw: object, kind: Any) -> Any:
        if not isinstance(raw, (list, tuple)):
            raise Wrong([((), f"expected a list, got {raw!r}")])
        arguments = get_args(kind)
        variadic = len(arguments) == 2 and arguments[1] is Ellipsis
        if not variadic and get_origin(kind) is tuple and len(arguments) != len(raw):
            raise Wrong([((), f"expected a list of {len(arguments)} values, got {len(raw)}")])
        kinds = [arguments[0]] * len(raw) if variadic or get_origin(kind) is not tuple else list(arguments)
        values: list[Any] = []
        faults: list[tuple[Path, str]] = []
        for index, (item, option) in enumerate(zip(raw, kinds, strict=True)):
            try:
                values.append(self.value(item, option))
            except Wrong as wrong:
                faults.extend(((index, *path), message) for path, message in wrong.faults)
        if faults:
            raise Wrong(faults)
        return (get_origin(kind) or tuple)(values)


def _ignoring_type(hook: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda value, _: hook(value)


def describe(kind: Any) -> str:
    """Name a type as a person would: `a whole number`, `'true'`, `a list of numbers`."""
    words = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "a text",
        pathlib.Path: "a path",
    }
    if kind in words:
        return words[kind]
    if kind is type(None):
        return "nothing"
    if _is_union(kind):
        return " or ".join(describe(option) for option in get_args(kind) if option is not type(None))
    if _is_literal(kind):
        return " or ".join(map(repr, get_args(kind)))
    if _is_sequence(kind):
        arguments = get_args(kind)
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return f"a list, each {describe(arguments[0])}"
        return f"a list of {len(arguments)} ({', '.join(map(describe, arguments))})"
    return "a table"


def _looks_like(raw: object, kind: Any) -> bool:
    """Tell whether the shape of `raw` shows that `kind` was meant: then its faults are the ones to tell."""
    if isinstance(raw, Mapping):
        return attrs.has(kind)
    return _is_sequence(kind) if isinstance(raw, (list, tuple)) else False


def _is_union(kind: Any) -> bool:
    import types
    from typing import Union

    return get_origin(kind) in (Union, types.UnionType)


def _is_literal(kind: Any) -> bool:
    from typing import Literal

    return get_origin(kind) is Literal


def _is_sequence(kind: Any) -> bool:
    return get_origin(kind) in (tuple, list, frozenset)


def _instance(kind: type, words: str, value: object) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"expected {words}, got {value!r}")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"expected a whole number, got {value!r}")
    return value


def _number(value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"expected a number, got {value!r}")
    return float(value)


def _literal(value: object, kind: Any) -> object:
    choices = get_args(kind)
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        hint = did_you_mean(str(value), map(str, choices))
        raise ValueError(f"expected {describe(kind)}, got {value!r}{hint}")
    return value


def _unknown_key(key: str, known: list[str]) -> str:
    return "unknown key" + (did_you_mean(key, known) or f"; known: {', '.join(known) or 'none'}")


def _walk(error: BaseException) -> list[tuple[Path, str]]:
    """Flatten cattrs' groups of exceptions to paths and messages."""
    if isinstance(error, Wrong):
        return error.faults
    if not isinstance(error, BaseExceptionGroup):
        return [((), str(error))]
    found: list[tuple[Path, str]] = []
    for part in error.exceptions:
        notes = [note for note in getattr(part, "__notes__", ()) if isinstance(note, IterableValidationNote)]
        prefix: Path = (notes[0].index,) if notes else ()
        found.extend(((*prefix, *path), message) for path, message in _walk(part))
    return found


def contains_path(kind: Any) -> bool:
    """Tell whether a parameter of this type is a path, or may be one."""
    return kind is pathlib.Path or any(contains_path(option) for option in get_args(kind))
