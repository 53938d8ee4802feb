"""Checkpoints trained elsewhere: NAME=PATH,method=rl,base=MODEL, measured as if they were a run's own.

PATH is a model or an adapter. Nothing is known of how it was trained, so its cells have no seed and no cost; its method
stands where a training's recipe does.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from xferbench import models
from xferbench.errors import UsageError, unknown
from xferbench.steps import Base

SETTINGS = ("method", "base")
METHOD = "external"


@dataclass(frozen=True)
class External:
    """One checkpoint as it was asked for, and the model that it is."""

    name: str
    method: str
    model: Base


def read(texts: tuple[str, ...], base: Base, taken: set[str], known: dict[str, str]) -> tuple[External, ...]:
    """Read checkpoints as typed; `base` is the model that a run starts from, `taken` what names may not be.

    UsageError for another form, a name that is taken or twice, the base model itself; ModelError for a folder that is
    neither a model nor an adapter.
    """
    found: dict[str, External] = {}
    for text in texts:
        name, path, settings = _parts(text)
        if name in taken or name in found:
            raise UsageError(f"checkpoint {name}: there is a domain or checkpoint of that name already")
        model = _model(name, path, settings.get("base"), known)
        if model.fingerprint == base.fingerprint:
            raise UsageError(f"checkpoint {name} is the base model itself: {base.name}")
        found[name] = External(name, settings.get("method", METHOD), model)
    return tuple(found.values())


def _parts(text: str) -> tuple[str, str, dict[str, str]]:
    name, equals, rest = text.partition("=")
    path, *more = (part.strip() for part in rest.split(","))
    name = name.strip()
    if not equals or not path or not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", name):
        raise UsageError(f"--checkpoint takes NAME=PATH[,method=rl][,base=MODEL], not {text!r}")
    settings = {}
    for part in more:
        key, equals, value = part.partition("=")
        if key not in SETTINGS:
            raise unknown(f"setting of checkpoint {name}", key, SETTINGS)
        if not equals or not value:
            raise UsageError(f"checkpoint {name}: {key} has no value")
        settings[key] = value
    if not re.fullmatch(r"[\w.>-]+", settings.get("method", METHOD)):
        raise UsageError(f"checkpoint {name}: method takes one word, such as sft or rl, not {settings['method']!r}")
    return name, path, settings


def _model(name: str, path: str, base: str | None, known: dict[str, str]) -> Base:
    folder = Path(path).expanduser()
    if not (folder / "adapter_config.json").is_file():
        if base is not None:
            raise UsageError(f"checkpoint {name}: {path} is no adapter, so it takes no base")
        folder = models.locate(path)
        return Base(name, str(folder.absolute()), models.fingerprint(folder, known))
    under = models.locate(base or models.adapted(folder).base)
    both = f"{models.fingerprint(under, known)} {models.fingerprint(folder, known)}"
    return Base(name, str(under.absolute()), hashlib.sha256(both.encode()).hexdigest(), adapter=str(folder.absolute()))
