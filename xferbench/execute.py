"""Execute a plan: what is stored is not done again, the rest goes to an executor, what came out becomes rows."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xferbench import experiment as experiments
from xferbench import licence
from xferbench.catalog import Catalog
from xferbench.errors import StepError, UsageError
from xferbench.gather import gather
from xferbench.plan import make
from xferbench.planned import Plan
from xferbench.results import Results, write
from xferbench.schedule import Progress, Walk, Watch
from xferbench.steps import Step, Train
from xferbench.store import Store, write_json, write_whole
from xferbench.upkeep import refer, sized

__all__ = ["Progress", "Watch", "ask", "execute", "fingerprints", "perform"]


def execute(plan: Plan, store: Store, catalog: Catalog, watch: Watch = lambda progress: None) -> Results:
    """Do what is not done of a plan and return all its rows; they are written to the store's folder as well.

    Raises UsageError, with nothing trained, when a target cannot be measured or the disk is too small. A step that
    fails is in `not_done`, and so is all that needs it; the rest is done. Raises StepError when the rows cannot be
    written.
    """
    results = perform(plan, store, catalog, store.root, watch)
    with _writing(store):
        write_whole(store.root / "experiment.yaml", experiments.text(plan.experiment).encode())
        write(store.root, results)
    return results


def perform(plan: Plan, store: Store, catalog: Catalog, root: Path, watch: Watch) -> Results:
    """Do what is not done of a plan and return all its rows; items and logs are laid into `root`.

    What is refused (UsageError) before a step begins leaves no folder that was not there.
    """
    new = not store.root.exists()
    store.prepare()
    try:
        return _performed(plan, store, catalog, root, watch)
    except UsageError:
        if new and not any((store.root / "steps").iterdir()):
            shutil.rmtree(store.root, ignore_errors=True)
        raise


def _performed(plan: Plan, store: Store, catalog: Catalog, root: Path, watch: Watch) -> Results:
    with store.in_use(), _writing(store):
        refer(store.root, experiments.text(plan.experiment), [step.id for step in plan.steps])  # before: gc reads it
        todo = [step for step in plan.steps if not store.done(step)]
        failed: dict[str, str] = {}
        if todo:
            _room(plan, todo, store, catalog)
            name, settings = experiments.spec(plan.experiment.executor)
            Walk(plan, store, catalog.make("executor", name, settings), watch, failed).walk(todo)
        return gather(plan, store, failed, root)


@contextmanager
def _writing(store: Store) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StepError(f"cannot write in {store.root}: {error.strerror}; the steps that are done are kept") from error


def _room(plan: Plan, todo: list[Step], store: Store, catalog: Catalog) -> None:
    """Refuse to start when the disk is smaller than what the trainings will leave on it.

    What a training leaves is what an earlier one of the same trainer left here, or what the trainer foretells (its
    method `checkpoint_bytes(base)`); of one that nothing is known about, one whole model is reckoned with.
    """
    known: dict[str, int] = {}
    for step in plan.steps:
        if isinstance(step, Train) and store.done(step):
            known[_maker(step)] = sized(store.folder(step))
    base = Path(plan.base.folder)
    need, whole = 0, sum(path.stat().st_size for path in base.glob("*.safetensors"))
    unknown: set[str] = set()
    for step in todo:
        if not isinstance(step, Train):
            continue
        maker = _maker(step)
        if maker not in known:
            trainer = catalog.make("trainer", step.trainer.name, step.trainer.settings)
            foretell = getattr(trainer, "checkpoint_bytes", None)
            known[maker] = foretell(base) if foretell else 0
            unknown |= set() if foretell else {maker}
        need += known[maker]
    need += len(unknown) * whole
    free = shutil.disk_usage(store.root).free
    if need > free:
        trainings = sum(isinstance(step, Train) for step in todo)
        raise UsageError(
            f"{trainings} trainings will leave about {need / 1e9:.3g} GB in {store.root}, where {free / 1e9:.3g} GB "
            "are free: make room (xferbench gc), or choose another folder with --out"
        )


def _maker(step: Train) -> str:
    return json.dumps([step.trainer.name, dict(step.trainer.settings)], sort_keys=True)


def _licensed(plan: Plan, catalog: Catalog) -> None:
    """Refuse data whose licence forbids what the experiment is for."""
    used: dict[str, Mapping[str, Any]] = {}
    for step in plan.steps:
        if isinstance(step, Train):
            for data in step.data:
                used[f"domain {data.domain}"] = catalog.entry("domain", data.domain).value.data
        else:
            used[f"target {step.target.name}"] = getattr(catalog.entry("target", step.target.name).value, "data", {})
    licence.check(used, plan.experiment.use)


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
    _licensed(plan, catalog)
    store = Store(out)
    if known != before and out.is_dir():
        write_json(out / "fingerprints.json", known)
    return plan, store
