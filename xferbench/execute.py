"""Execute a plan: what is stored is not done again, the rest goes to an executor, what came out becomes rows."""

import json
from pathlib import Path

from xferbench import experiment as experiments
from xferbench.catalog import Catalog
from xferbench.gather import gather
from xferbench.plan import Plan, make
from xferbench.results import Results, write
from xferbench.schedule import Progress, Walk, Watch
from xferbench.store import Store, write_json

__all__ = ["Progress", "Watch", "ask", "execute", "fingerprints", "perform"]


def execute(plan: Plan, store: Store, catalog: Catalog, watch: Watch = lambda progress: None) -> Results:
    """Do what is not done of a plan and return all its rows; they are written to the store's folder as well.

    Raises UsageError, with nothing trained, when a target cannot be measured. A step that fails is in `not_done`, and
    so is all that needs it; the rest is done.
    """
    results = perform(plan, store, catalog, store.root, watch)
    (store.root / "experiment.yaml").write_text(experiments.text(plan.experiment), encoding="utf-8")
    write(store.root, results)
    return results


def perform(plan: Plan, store: Store, catalog: Catalog, root: Path, watch: Watch) -> Results:
    """Do what is not done of a plan and return all its rows; items and logs are laid into `root`."""
    store.prepare()
    todo = [step for step in plan.steps if not store.done(step)]
    failed: dict[str, str] = {}
    if todo:
        executor = catalog.make("executor", plan.experiment.executor, {})
        Walk(plan, store, executor, watch, failed).walk(todo)
    return gather(plan, store, failed, root)


def fingerprints(root: Path) -> dict[str, str]:
    """Read the digests of weight files that earlier runs in this folder noted, so that none is hashed twice."""
    try:
        found = json.loads((root / "fingerprints.json").read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def ask(asked: experiments.Experiment, catalog: Catalog, out: Path) -> tuple[Plan, Store]:
    """Plan an experiment against the store in `out`, without doing anything."""
    known = fingerprints(out)
    before = dict(known)
    plan = make(asked, catalog, known)
    store = Store(out)
    if known != before and out.is_dir():
        write_json(out / "fingerprints.json", known)
    return plan, store
