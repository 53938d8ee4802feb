"""xferbench: if I train on this, does it help with that? This is the door: the names a plugin imports, and no more.

Every name is imported on first use, so that `import xferbench` costs nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
API_VERSION = 1

_HOME = {
    "api": (
        "Checkpoint",
        "Domain",
        "Example",
        "Executor",
        "Item",
        "Measurement",
        "Output",
        "Reward",
        "Scorer",
        "Suite",
        "Target",
        "Trainer",
    ),
    "cuda": ("check_cuda",),
    "errors": ("DataError", "ModelError", "PluginError", "StepError", "UsageError", "XferbenchError"),
    "hookspecs": ("hookimpl",),
    "hub": ("rows", "table"),
    "lmeval": ("LmEvalTask",),
    "models": ("Encoded", "Model", "encode", "load"),
    "outcome": ("Outcome", "read", "run"),
    "problem": ("features",),
    "progress": ("report_progress",),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}
__all__ = ["API_VERSION", "__version__", *sorted(_WHERE)]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'xferbench' has no attribute {name!r}")
    value = getattr(import_module(f"xferbench.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
