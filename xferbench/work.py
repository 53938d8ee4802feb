"""What it takes to do a step of each kind, with nothing but the step itself and the store."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xferbench import hub, models, shelf
from xferbench.api import Checkpoint, Example, Reward
from xferbench.attribute import attribute
from xferbench.catalog import Catalog
from xferbench.catalog import load as load_catalog
from xferbench.draw import choose, draw, fingerprint
from xferbench.errors import FULL, DataError, StepError, XferbenchError
from xferbench.evaluate import evaluate
from xferbench.launch import launch
from xferbench.results import read_scores, write_items
from xferbench.steps import Attribute, Data, Evaluate, Named, Step, Train
from xferbench.store import Store, faults
from xferbench.train import COUNTED, train

NO_SCORE = "the scorer found no finite score"


def perform(step: Step, store: Store, catalog: Catalog, folder: Path) -> dict[str, Any]:
    """Do a step in `folder` and return what its result says."""
    if isinstance(step, Evaluate):
        return _evaluate(step, store, catalog, folder)
    shelf.clear()
    if isinstance(step, Train):
        return _train(step, store, catalog, folder)
    model = models.load(checkpoint(step.train, step.base.folder, store))
    return _attribute(step, model, catalog, folder, store)


def checkpoint(step: Train | None, base: str, store: Store) -> Checkpoint:
    """Return the checkpoint that a training left, or the base model itself."""
    if step is None:
        return Checkpoint(base)
    result = store.result(step)
    folder = store.folder(step)
    adapter = str(folder / result["adapter"]) if result["adapter"] else None
    found = Checkpoint(str(folder / result["base"]) if result["base"] else base, adapter)
    damaged = [] if shelf.holds(found) else faults(folder)
    if damaged:
        why = f"{', '.join(damaged)} of {step.id} was damaged after it was trained; the next run trains it again"
        with store.held(step, wait=False) as mine:
            if mine and faults(folder):  # it may have been trained again since
                store.fail(step, why)
        raise StepError(why)
    return found


def _train(step: Train, store: Store, catalog: Catalog, folder: Path) -> dict[str, Any]:
    processes = int(getattr(_trainer(step, catalog), "processes", 1))
    return launch(folder / "step.json", processes) if processes > 1 else learn(step, store, catalog, folder)


def _trainer(step: Train, catalog: Catalog) -> Any:
    return catalog.make("trainer", step.trainer.name, {**step.trainer.settings, **step.trainer.aside})


def learn(step: Train, store: Store, catalog: Catalog, folder: Path, first: bool = True) -> dict[str, Any]:
    """Train in `folder` and return what the result says; `first`: of the processes that do it together, or alone."""
    examples: list[Example] = []
    rewards: dict[str, Reward] = {}
    for data in step.data:
        examples += _examples(data, catalog, store)
        given = catalog.entry("domain", data.domain).value.reward
        if given is not None:
            rewards[data.domain] = given
    if first:
        write_items(folder / "examples.jsonl.gz", ({"id": one.id, "domain": one.domain} for one in examples))
    start = checkpoint(step.start, step.base.folder, store)
    reward = _by_domain(rewards) if rewards else None
    made, cost = train(_trainer(step, catalog), start, examples, reward, folder, step.seed)
    return {
        "adapter": _within(made.adapter, folder),
        "base": None if made.base == step.base.folder else _within(made.base, folder),
        "cost": cost,
        "n": len(examples),
        "dropped": cost.pop("dropped"),
        "cut": cost.pop("cut"),
        **{key: cost.pop(key) for key in COUNTED if key in cost},
        **_read(*(catalog.entry("domain", data.domain).value for data in step.data)),
    }


def _read(*provided: Any) -> dict[str, Any]:
    """Return {"data": {id: commit}} of the data sets that were read from the hub; nothing where none was."""
    ids = [(getattr(one, "data", None) or {}).get("id") for one in provided]
    found = {id: hub.READ[id] for id in ids if id in hub.READ}
    return {"data": found} if found else {}


def _by_domain(rewards: dict[str, Reward]) -> Reward:
    def reward(example: Example, completion: str) -> float | None:
        return rewards[example.domain](example, completion) if example.domain in rewards else None

    return reward


def _within(path: str | None, folder: Path) -> str | None:
    if path is None:
        return None
    whole = Path(path)
    return os.path.relpath(whole, folder) if whole.is_relative_to(folder.parent) else str(whole)


def _changed(model: models.Model, step: Evaluate, store: Store) -> None:
    """Refuse a trained model that answers as its base does, and say why where that is known."""
    try:
        shelf.check(model, step.base.folder)
    except StepError as error:
        why = _idle(step, store)
        if why is None:
            raise
        raise StepError(f"{error}; {why}") from None


def _idle(step: Evaluate, store: Store) -> str | None:
    """Say why a training changed nothing, where its result or its log tells; None where they do not."""
    if step.train is None:
        return None
    if store.result(step.train)["cost"].get("steps") == 1:
        return (
            "it was one optimiser step, at rate 0 where a warm-up begins: more examples, or a smaller batch, make more"
        )
    log = store.folder(step.train) / "training.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    shares = [row["zero_variance"] for row in map(json.loads, lines) if "zero_variance" in row]
    if shares and min(shares) == 1:
        return (
            "in no group did the rewards differ, and only their differences teach (analyse training shows the rewards)"
        )
    return None


def _evaluate(step: Evaluate, store: Store, catalog: Catalog, folder: Path) -> dict[str, Any]:
    target = _target(step.target, catalog)
    where = checkpoint(step.train, step.base.folder, store)
    at: dict[str, int] = {}
    if step.part is not None:
        where, at = along(where, step)
    if step.train is None:
        where = Checkpoint(step.base.folder, step.base.adapter)
    if hasattr(target, "check_device"):
        target.check_device()
    if getattr(target, "needs_model", True):
        model = shelf.take(where, **getattr(target, "loading", {}))
        if step.train is not None or step.base.adapter is not None:
            _changed(model, step, store)
    else:
        model = models.Model(None, None, where)
    began = time.perf_counter()
    found = evaluate(model, target, step.limit)
    write_items(folder / "items.jsonl.gz", (asdict(item) for item in found.items))
    if found.outputs:
        both = zip(found.items, found.outputs, strict=True)
        write_items(folder / "outputs.jsonl.gz", ({"id": i.id, "prompt": i.prompt, **asdict(o)} for i, o in both))
    values = {key: getattr(found, key) for key in ("metric", "value", "stderr", "n")}
    cost = {"seconds": round(time.perf_counter() - began, 3)}
    return {**values, **at, "cost": cost, **_read(target)}


def along(end: Checkpoint, step: Evaluate) -> tuple[Checkpoint, dict[str, int]]:
    """Return the checkpoint that a training kept at a part of its way, and {"at": its step, "of": all of them}."""
    assert step.train is not None
    assert step.part is not None
    folder, parts = Path(str(end.adapter)), step.train.trainer.settings["save_checkpoints"]
    listed = json.loads((folder / "checkpoints.json").read_text(encoding="utf-8"))
    last = listed[-1]["step"]
    wanted = round(step.part * last / parts)
    kept = next((row["folder"] for row in listed[:-1] if row["step"] == wanted), None)
    if kept is None:
        raise StepError(f"a training of {last} steps has no point {step.part} of {parts}: ask for fewer --eval-points")
    return Checkpoint(end.base, str(folder / kept)), {"at": wanted, "of": last}


def _attribute(step: Attribute, model: models.Model, catalog: Catalog, folder: Path, store: Store) -> dict[str, Any]:
    scorer = catalog.make("scorer", step.scorer.name, step.scorer.settings)
    examples = _examples(step.data, catalog, store)
    queries = _target(step.target, catalog).queries(step.queries)
    if not queries:
        raise DataError(f"target {step.target.name} has no queries for a scorer to aim at")
    began = time.perf_counter()
    scores, notes = attribute(scorer, model, examples, queries)
    seconds = round(time.perf_counter() - began, 3)
    print(*notes, sep="\n", file=sys.stderr)  # to the step's log
    rows = [{"id": one.id, "source": one.source, "score": score} for one, score in zip(examples, scores, strict=True)]
    write_items(folder / "scores.jsonl.gz", (r if r["score"] is not None else {**r, "reason": NO_SCORE} for r in rows))
    known = [score for score in scores if score is not None]
    mean = sum(known) / len(known) if known else None
    return {
        "mean": mean,
        "n": len(scores),
        "null": len(scores) - len(known),
        "notes": notes,
        "queries": len(queries),
        "cost": {"seconds": seconds},
        **_read(catalog.entry("domain", step.data.domain).value, _target(step.target, catalog)),
    }


def _examples(data: Data, catalog: Catalog, store: Store) -> list[Example]:
    domain = catalog.entry("domain", data.domain).value
    examples = draw(domain, data.n, data.treatment)
    if fingerprint(examples) != data.fingerprint:
        raise DataError(f"domain {data.domain} gives other examples now than when this step was planned: run again")
    chosen = data.chosen
    if chosen is None:
        return examples
    scores = read_scores(store.folder(chosen.by) / "scores.jsonl.gz") if chosen.by is not None else {}
    return choose(examples, chosen.n, chosen.rank, scores, chosen.seed)


def _target(named: Named, catalog: Catalog) -> Any:
    settings = {key: value for key, value in named.settings.items() if key != "fingerprint"}
    return catalog.make("target", named.name, settings)


def preflight(base: str, target: dict[str, Any], limit: int | None, weights: bool, here: bool = True) -> dict[str, Any]:
    """Look for what would make measuring on a target fail, before anything is trained: data, context, tokenizer.

    `weights`: load the whole model as well; once a run is enough. `here`: it is this machine that will measure.
    """
    try:
        with logged(Path(os.devnull)):
            found = _target(Named(**target), load_catalog())
            if here and hasattr(found, "check_device"):
                found.check_device()
            if weights and getattr(found, "needs_model", True):
                shelf.take(Checkpoint(base), **getattr(found, "loading", {}))  # the first measurement takes it over
            if hasattr(found, "check"):
                config = json.loads((Path(base) / "config.json").read_text(encoding="utf-8"))
                found.check(models.tokenizer(base), models.context(config), limit)
    except Exception as error:
        return {"ok": False, "why": line(error), "usage": True}
    return {"ok": True}


def line(error: BaseException) -> str:
    """Say in one line what went wrong."""
    text = " ".join(str(error).split())[:500]
    if isinstance(error, XferbenchError):
        return text
    if isinstance(error, OSError) and error.errno in FULL:
        return f"{FULL[error.errno]}: {text}"
    if type(error).__name__ == "OutOfMemoryError" or "out of memory" in text:
        return f"out of memory: lower the batch size or the length ({text[:120]})"
    return f"{type(error).__name__}: {text}"


@contextlib.contextmanager
def logged(path: Path) -> Iterator[None]:
    """Send all that this process prints, also from C libraries, to a file; to where it went before, afterwards."""
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("a", encoding="utf-8") as log:
        before = os.dup(1), os.dup(2)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for fd, old in zip((1, 2), before, strict=True):
                os.dup2(old, fd)
                os.close(old)
