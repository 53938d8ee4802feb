"""Settings: the fields of a trainer, scorer, executor or target, and how what a user types becomes their values."""

import dataclasses
import math
import types
import typing
from typing import Any

from xferbench.errors import UsageError

KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", tuple: "names joined by |"}


def fields(value: Any) -> dict[str, Any]:
    """Return {setting: default} of a trainer, scorer or executor class, or of a target (what its `settable` names)."""
    if not dataclasses.is_dataclass(value):
        return {}
    if not isinstance(value, type):
        return {name: getattr(value, name) for name in getattr(value, "settable", ())}
    missing = dataclasses.MISSING
    return {
        one.name: one.default_factory() if one.default_factory is not missing else one.default
        for one in dataclasses.fields(value)
    }


def identity(made: Any) -> dict[str, Any]:
    """Return the settings of a trainer or scorer as a step's identity says them, tuples as lists.

    A field that its class names in `added` is said only where it differs from its default: a step that does not use
    it keeps the id that it had before there was such a field.
    """
    added = getattr(made, "added", ())
    values = {key: getattr(made, key) for key, default in fields(type(made)).items()
              if key not in added or getattr(made, key) != default}  # fmt: skip
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def kinds(value: Any) -> dict[str, type]:
    """Return {setting: bool, int or float} of the fields of a class that may be left out (`float | None = None`)."""
    if not (isinstance(value, type) and dataclasses.is_dataclass(value)):
        return {}
    try:
        hints = typing.get_type_hints(value)
    except (NameError, TypeError):  # a stranger's annotations may name what is there for type checkers alone
        return {}
    found = {}
    for name, default in fields(value).items():
        inner = [one for one in typing.get_args(hints.get(name)) if one is not types.NoneType]
        if default is None and len(inner) == 1 and inner[0] in (bool, int, float):
            found[name] = inner[0]
    return found


def convert(what: str, given: Any, default: Any, kind: type | None = None) -> Any:
    """Turn a setting as typed ("1e-4", "true") or as stored into a value of the default's type.

    A default of None says that the setting may be left out: then "none" gives None, and anything else a number, a
    truth or a text (`kind`: bool, int or float alone). UsageError, naming `what`, when it is of another kind or not
    finite.
    """
    if default is None:
        found = _guess(given)
        if kind is not None and found is not None:
            convert(what, found, kind())
        return found
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[str(given).lower()]
        if isinstance(default, tuple):
            return tuple(given.split("|")) if isinstance(given, str) else tuple(given)
        if isinstance(given, bool) or (isinstance(default, str) and not isinstance(given, str)):
            raise ValueError
        if isinstance(default, int) and isinstance(given, float) and not given.is_integer():
            raise ValueError
        made = type(default)(given)
        if isinstance(made, float) and not math.isfinite(made):
            raise ValueError
        return made
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{what} takes {KINDS.get(type(default), 'a value')}, not {given!r}") from None


def spelled(value: Any) -> str:
    """Write the value of a setting so that `convert` reads it back, always in the same way."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return "|".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _guess(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    word = given.lower()
    if word in ("none", "null", "true", "false"):
        return {"true": True, "false": False}.get(word)
    for number in (int, float):
        try:
            return number(given)
        except ValueError:
            continue
    return given
