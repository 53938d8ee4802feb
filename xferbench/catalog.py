"""All that plugins provide: one registry a kind. Each plugin is loaded alone, so a broken one is named and passed over.

Our own plugins come in by the same door as anyone's, the entry-point group `xferbench`. They are read first, so nobody
can take a name of theirs.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from types import ModuleType
from typing import Any

import pluggy

from xferbench import hookspecs
from xferbench.api import Domain, Suite
from xferbench.errors import PluginError, UsageError, XferbenchError, nearest, unknown
from xferbench.settings import convert, fields, kinds

LOSS, JUDGE = "loss:", "judge:"
"""loss:TARGET measures the loss of a target's queries; only the harness asks for it."""
KINDS = ("domain", "trainer", "scorer", "target", "suite", "executor")


@dataclass
class Plugin:
    """One plugin as it was found: `broken` says why, or is None."""

    name: str
    package: str
    version: str
    module: str
    seconds: float = 0.0
    hooks: tuple[str, ...] = ()
    provides: dict[str, list[str]] = field(default_factory=dict)
    broken: str | None = None

    @property
    def label(self) -> str:
        """Package and version, as every result records it."""
        return f"{self.package} {self.version}"


@dataclass(frozen=True)
class Entry:
    """One provided thing, and the plugin that provided it."""

    value: Any
    plugin: Plugin


class Catalog:
    """The registries: `get(kind, name)` gives the value, `names(kind)` what is known."""

    def __init__(self, plugins: list[Plugin], entries: Mapping[str, dict[str, Entry]]) -> None:
        self.plugins = plugins
        self.entries = entries

    def names(self, kind: str) -> list[str]:
        """Return the names of one kind, sorted."""
        return sorted(self.entries[kind])

    def entry(self, kind: str, name: str) -> Entry:
        """Return the entry of that name; UsageError with the nearest name when there is none."""
        if kind == "target" and name.startswith("lmeval:"):
            from importlib.metadata import version

            from xferbench.lmeval import stock_target

            return Entry(stock_target(name), Plugin("lmeval", "lm_eval", version("lm_eval"), "lm_eval"))
        if kind == "target" and name.startswith(JUDGE):
            from xferbench.judge import Judged

            inner = self.entry(kind, name.removeprefix(JUDGE))
            return Entry(Judged(inner.value, domain=inner.value.domain), inner.plugin)
        if kind == "target" and name.startswith(LOSS):
            from xferbench.loss import Loss

            inner = self.entry(kind, name.removeprefix(LOSS))
            return Entry(Loss(inner.value), inner.plugin)
        if name not in self.entries[kind]:
            raise unknown(kind, name, self.names(kind))
        return self.entries[kind][name]

    def make(self, kind: str, name: str, settings: Mapping[str, Any]) -> Any:
        """Build a trainer, scorer, executor or target with its settings, checked against its fields."""
        if kind == "target" and name.startswith(LOSS):
            from xferbench.loss import Loss

            return Loss(self.make(kind, name.removeprefix(LOSS), settings))
        value = self.entry(kind, name).value
        known, sorts = fields(value), kinds(value)
        typed = {}
        for key, given in settings.items():
            if key not in known:
                raise UsageError(
                    f"{kind} {name} has no setting {key!r}{nearest(key, known)} (it has: {', '.join(known) or 'none'})"
                )
            typed[key] = convert(f"{kind} {name}: {key}", given, known[key], sorts.get(key))
        return value(**typed) if isinstance(value, type) else dataclasses.replace(value, **typed)


def load() -> Catalog:
    """Find and load all plugins: only those of XFERBENCH_PLUGINS, if set; none of XFERBENCH_DISABLE_PLUGINS."""
    only, without = (frozenset(_listed(f"XFERBENCH_{name}PLUGINS")) for name in ("", "DISABLE_"))
    return loaded(only, without, os.environ.get("XFERBENCH_STRICT_PLUGINS") == "1")


@lru_cache(maxsize=1)
def loaded(only: frozenset[str], without: frozenset[str], strict: bool) -> Catalog:
    """Load the plugins called `only` (none given: all) but not those `without`, once while that stays so."""
    found: dict[tuple[str, str], EntryPoint] = {}
    for point in entry_points(group="xferbench"):
        found.setdefault((point.name, point.value), point)
    chosen = [p for p in found.values() if p.name not in without and (not only or p.name in only)]
    chosen.sort(key=lambda p: (_package(p)[0] != "xferbench", p.name, p.value))
    catalog = Catalog([], {kind: {} for kind in KINDS})
    for point in chosen:
        plugin = Plugin(point.name, *_package(point), point.value)
        started = time.perf_counter()
        try:
            add(catalog, plugin, point.load())
        except (Exception, SystemExit) as error:  # anything at all may be wrong with a stranger's module
            plugin.broken = _line(error)
        plugin.seconds = time.perf_counter() - started
        catalog.plugins.append(plugin)
    if strict:
        for plugin in catalog.plugins:
            if plugin.broken:
                raise PluginError(f"plugin {plugin.name} ({plugin.label}): {plugin.broken}")
    return catalog


def add(catalog: Catalog, plugin: Plugin, module: ModuleType | object) -> None:
    """Take what one plugin provides into the catalog: all of it or nothing."""
    api = getattr(module, "XFERBENCH_API", None)
    from xferbench import API_VERSION

    if api is not None and api != API_VERSION:
        raise PluginError(
            f"made for plugin API {api}; this xferbench speaks {API_VERSION}: install a version of the plugin that was "
            "made for it, or another xferbench"
        )
    manager = pluggy.PluginManager("xferbench")
    manager.add_hookspecs(hookspecs)
    manager.register(module, plugin.name)
    manager.check_pending()
    plugin.hooks = tuple(sorted(caller.name for caller in manager.get_hookcallers(module) or ()))
    if not plugin.hooks:
        raise PluginError("provides no hook; is a function missing its @hookimpl?")
    new: list[tuple[str, str, Any]] = []
    for hook in plugin.hooks:
        kind = hook.removeprefix("provide_").removesuffix("s")
        given = getattr(manager.hook, hook)()
        if not given:
            raise PluginError(f"{hook} returned nothing; is a return or yield missing?")
        for values in given:
            if not isinstance(values, Iterable):
                raise PluginError(f"{hook} gave one {type(values).__name__}: yield what it provides, or return a list")
            new += [(kind, _named(kind, hook, value), value) for value in values]
    for kind, name, _ in new:
        if name in catalog.entries[kind]:
            raise PluginError(f"{kind} {name!r} is already provided by {catalog.entries[kind][name].plugin.label}")
        if [(k, n) for k, n, _ in new].count((kind, name)) > 1:
            raise PluginError(f"{kind} {name!r} is provided twice")
    for kind, name, value in new:
        catalog.entries[kind][name] = Entry(value, plugin)
        plugin.provides.setdefault(kind, []).append(name)


CHECKS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "domain": ("a Domain", lambda v: isinstance(v, Domain)),
    "suite": ("a Suite", lambda v: isinstance(v, Suite)),
    "trainer": ("a class with name and train()", lambda v: isinstance(v, type) and hasattr(v, "train")),
    "scorer": ("a class with name and score()", lambda v: isinstance(v, type) and hasattr(v, "score")),
    "executor": ("a class with name and pool()", lambda v: isinstance(v, type) and hasattr(v, "pool")),
    "target": (
        "a target with name, measure() and queries()",
        lambda v: hasattr(v, "measure") and hasattr(v, "queries"),
    ),
}


def _named(kind: str, hook: str, value: Any) -> str:
    what, check = CHECKS[kind]
    name = getattr(value, "name", None)
    if not check(value) or not isinstance(name, str) or not name:
        raise PluginError(f"{hook} must give {what}; it gave {value!r}")
    if any(mark in name for mark in ">+~, \t\n"):
        raise PluginError(f"{hook}: the name {name!r} may not hold a space or one of > + ~ ,")
    return name


def _listed(variable: str) -> set[str]:
    return {name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()}


def _package(point: EntryPoint) -> tuple[str, str]:
    """Return the name and version of the package that a plugin came with; each package's metadata is read once."""
    return _about(point.dist) if point.dist else ("?", "?")


@lru_cache(maxsize=64)
def _about(dist: Distribution) -> tuple[str, str]:
    return dist.name, dist.version


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, XferbenchError) else f"{type(error).__name__}: {text}"


def summary(value: Any) -> str:
    """Return one line about a provided thing: its summary, or the first line of its docstring."""
    text = getattr(value, "summary", "") or (getattr(value, "__doc__", "") or "")
    return text.strip().splitlines()[0] if text.strip() else ""
