"""Was a plugin's code changed beneath the same version? Steps go by the version, so what was done before stands.

A step is not done again for every edit: nobody wants to train anew for a word in a docstring. But a result keeps the
hash of the code that made it, and a run says when what it reads was made by other code than is there now.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xferbench.catalog import Catalog, Plugin
from xferbench.errors import XferbenchError
from xferbench.steps import Attribute, Step, Train
from xferbench.store import Store

OURS = "xferbench"


def parts(step: Step) -> list[tuple[str, Any]]:
    """What a step is done by: (kind, name and settings) of its trainer, or of its target and scorer."""
    if isinstance(step, Train):
        return [("trainer", step.trainer)]
    scorer = [("scorer", step.scorer)] if isinstance(step, Attribute) else []
    return [("target", step.target), *scorer]


def codes(step: Step, catalog: Catalog) -> dict[str, str]:
    """Return {package: hash of its code} of the third parties that do a step."""
    plugins = [catalog.entry(kind, thing.name).plugin for kind, thing in parts(step)]
    return {plugin.package: found for plugin in plugins if (found := _code(plugin))}


def _code(plugin: Plugin) -> str | None:
    """Hash the Python files of a plugin's module, or of the package that it is; None for ours and lm-eval's."""
    if plugin.package == OURS or not plugin.hooks:
        return None
    module = sys.modules.get(plugin.module.partition(":")[0])
    place = Path(getattr(module, "__file__", None) or "")
    files = sorted(place.parent.rglob("*.py")) if place.name == "__init__.py" else [place]
    total = hashlib.sha256()
    try:
        for path in files:
            total.update(f"{path.relative_to(place.parent).as_posix()}\0".encode() + path.read_bytes())
    except OSError:
        return None
    return total.hexdigest()


def edited(steps: Iterable[Step], store: Store, catalog: Catalog) -> list[str]:
    """Say of each third party how many of `steps` were done by code of its that is not there any more."""
    other: Counter[str] = Counter()
    now: dict[tuple[str, ...], dict[str, str]] = {}
    for step in steps:
        before = store.result(step).get("code") if store.done(step) else None
        if not before:
            continue
        names = tuple(f"{kind} {thing.name}" for kind, thing in parts(step))
        if names not in now:
            try:
                now[names] = codes(step, catalog)
            except XferbenchError:  # it is not installed any more
                now[names] = {}
        other.update(package for package, code in before.items() if now[names].get(package, code) != code)
    return [
        f"{package} was changed since it did {count} of these steps, and its version was not, so they stand: raise the "
        "version and install it again, or take another --out"
        for package, count in sorted(other.items())
    ]
