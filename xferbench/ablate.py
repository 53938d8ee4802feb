"""The same question with less data, or of other base models: one ordinary run for each, in one store.

The rows of each go to OUT/ablation/NAME, where `xferbench analyse ablation OUT/ablation` compares them.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from xferbench import experiment as experiments
from xferbench import results as rows
from xferbench.catalog import Catalog
from xferbench.errors import UsageError
from xferbench.execute import Watch, fingerprints, perform
from xferbench.experiment import Experiment
from xferbench.plan import make
from xferbench.planned import Plan
from xferbench.results import Results
from xferbench.store import Store, write_whole

FOLDER = "ablation"


def sizes(text: str) -> tuple[int | None, ...]:
    """Read numbers of examples as typed, "64,250,all"; `all` is None. UsageError for anything else, or one twice."""
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if part != "all" and not (part.isdigit() and int(part) > 0):
            raise UsageError(
                f"--train-limit takes numbers of examples joined by commas, such as 64,250,all, not {part!r}"
            )
    if len(set(parts)) < len(parts):
        raise UsageError(f"--train-limit names a size twice: {text}")
    return tuple(None if part == "all" else int(part) for part in parts)


def plans(
    asked: Experiment, limits: Sequence[int | None], models: Sequence[str | None], catalog: Catalog,
    known: dict[str, str],
) -> dict[str, Plan]:  # fmt: skip
    """Plan each run: {its name: its plan}. UsageError for what cannot be asked, or for a single run."""
    if len(limits) * len(models) < 2:
        raise UsageError(
            "an ablation compares several runs: give two or more sizes (--train-limit) or models (--model)"
        )
    found: dict[str, Plan] = {}
    for model, limit in product(models, limits):
        name = "-".join([*([Path(model).name] if model and len(models) > 1 else []), str(limit or "all")])
        if name in found:
            raise UsageError(f"two models are called {Path(model or '').name}: rename the folder of one")
        found[name] = make(dataclasses.replace(asked, model=model, train_limit=limit), catalog, known)
    return found


def ablate(
    asked: Experiment, limits: Sequence[int | None], models: Sequence[str | None], catalog: Catalog, out: Path,
    watch: Watch,
) -> Mapping[str, Results]:  # fmt: skip
    """Do what is not done of an ablation in the store at `out` and return the rows of each run, by its name."""
    planned = plans(asked, limits, models, catalog, fingerprints(out))
    found = {}
    for name, plan in planned.items():
        root = out / FOLDER / name
        found[name] = perform(plan, Store(out), catalog, root, watch)
        root.mkdir(parents=True, exist_ok=True)
        write_whole(root / "experiment.yaml", experiments.text(plan.experiment).encode())
        rows.write(root, found[name])
    return found
