"""The hooks: what a plugin may provide. Each returns values; none registers anything."""

from collections.abc import Iterable

import pluggy

from xferbench.api import Domain, Executor, Scorer, Suite, Target, Trainer

hookspec = pluggy.HookspecMarker("xferbench")
hookimpl = pluggy.HookimplMarker("xferbench")


@hookspec
def provide_domains() -> Iterable[Domain]:  # type: ignore[empty-body]
    """Return the kinds of problems that a model can be trained on."""


@hookspec
def provide_trainers() -> Iterable[type[Trainer]]:  # type: ignore[empty-body]
    """Return trainer classes: frozen dataclasses whose fields are their hyperparameters."""


@hookspec
def provide_scorers() -> Iterable[type[Scorer]]:  # type: ignore[empty-body]
    """Return scorer classes: frozen dataclasses whose fields are their settings."""


@hookspec
def provide_targets() -> Iterable[Target]:  # type: ignore[empty-body]
    """Return the benchmarks that a model can be measured on."""


@hookspec
def provide_suites() -> Iterable[Suite]:  # type: ignore[empty-body]
    """Return suites: short names, a model and budgets that belong together."""


@hookspec
def provide_executors() -> Iterable[type[Executor]]:  # type: ignore[empty-body]
    """Return executor classes: where steps run."""
