"""One step done by one worker, from its folder alone: the same function under every executor.

What the libraries print goes to the step's log.txt. A step that fails leaves failed.json with the reason; it is tried
again by the next run.
"""

import contextlib
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xferbench import models
from xferbench.api import Checkpoint, Example, Reward
from xferbench.attribute import attribute
from xferbench.catalog import Catalog
from xferbench.catalog import load as load_catalog
from xferbench.draw import draw, fingerprint
from xferbench.errors import DataError, XferbenchError
from xferbench.evaluate import check_changed, evaluate
from xferbench.machine import machine
from xferbench.progress import reporting
from xferbench.results import write_items
from xferbench.steps import Attribute, Data, Evaluate, Named, Step, Train, from_json
from xferbench.store import Store, write_json
from xferbench.train import train


def work(root: str, row: dict[str, Any]) -> dict[str, Any]:
    """Do the step that `row` describes (steps.to_json) in the store at `root`; return {"ok", "why", "usage"}."""
    store, step = Store(Path(root)), from_json(row)
    with store.held(step):
        if store.done(step):
            return {"ok": True}
        folder = store.begin(step)
        with _logged(folder / "log.txt"), reporting(folder):
            began = time.perf_counter()
            try:
                outcome = perform(step, store, load_catalog(), folder)
            except Exception as error:
                traceback.print_exc()
                why = _line(error)
                write_json(folder / "failed.json", {"step": step.id, "why": why})
                return {"ok": False, "why": why, "usage": isinstance(error, XferbenchError) and error.exit_code == 2}
            took = round(time.perf_counter() - began, 3)
            store.finish(step, {**outcome, "wall_seconds": took, "machine": machine()})
    return {"ok": True}


def perform(step: Step, store: Store, catalog: Catalog, folder: Path) -> dict[str, Any]:
    """Do a step in `folder` and return what its result says."""
    if isinstance(step, Train):
        return _train(step, store, catalog, folder)
    model = models.load(checkpoint(step.train, step.base.folder, store))
    if isinstance(step, Evaluate):
        return _evaluate(step, model, catalog, folder)
    return _attribute(step, model, catalog, folder)


def checkpoint(step: Train | None, base: str, store: Store) -> Checkpoint:
    """Return the checkpoint that a training left, or the base model itself."""
    if step is None:
        return Checkpoint(base)
    result = store.result(step)
    folder = store.folder(step)
    adapter = str(folder / result["adapter"]) if result["adapter"] else None
    return Checkpoint(str(folder / result["base"]) if result["base"] else base, adapter)


def _train(step: Train, store: Store, catalog: Catalog, folder: Path) -> dict[str, Any]:
    trainer = catalog.make("trainer", step.trainer.name, step.trainer.settings)
    examples: list[Example] = []
    rewards: dict[str, Reward] = {}
    for data in step.data:
        examples += _examples(data, catalog)
        reward = catalog.entry("domain", data.domain).value.reward
        if reward is not None:
            rewards[data.domain] = reward
    start = checkpoint(step.start, step.base.folder, store)
    made, cost = train(trainer, start, examples, _by_domain(rewards) if rewards else None, folder, step.seed)
    return {
        "adapter": _within(made.adapter, folder),
        "base": None if made.base == step.base.folder else _within(made.base, folder),
        "cost": cost,
        "n": len(examples),
        "dropped": cost.pop("dropped"),
        "cut": cost.pop("cut"),
    }


def _by_domain(rewards: dict[str, Reward]) -> Reward:
    def reward(example: Example, completion: str) -> float | None:
        return rewards[example.domain](example, completion) if example.domain in rewards else None

    return reward


def _within(path: str | None, folder: Path) -> str | None:
    if path is None:
        return None
    whole = Path(path)
    return str(whole.relative_to(folder) if whole.is_relative_to(folder) else whole)


def _evaluate(step: Evaluate, model: models.Model, catalog: Catalog, folder: Path) -> dict[str, Any]:
    if step.train is not None:
        check_changed(model, step.base.folder)
    began = time.perf_counter()
    found = evaluate(model, _target(step.target, catalog), step.limit)
    write_items(folder / "items.jsonl.gz", (asdict(item) for item in found.items))
    values = {key: getattr(found, key) for key in ("metric", "value", "stderr", "n")}
    return {**values, "cost": {"seconds": round(time.perf_counter() - began, 3)}}


def _attribute(step: Attribute, model: models.Model, catalog: Catalog, folder: Path) -> dict[str, Any]:
    scorer = catalog.make("scorer", step.scorer.name, step.scorer.settings)
    examples = _examples(step.data, catalog)
    queries = _target(step.target, catalog).queries(step.queries)
    if not queries:
        raise DataError(f"target {step.target.name} has no queries for a scorer to aim at")
    began = time.perf_counter()
    scores = attribute(scorer, model, examples, queries)
    seconds = round(time.perf_counter() - began, 3)
    rows = ({"id": one.id, "source": one.source, "score": score} for one, score in zip(examples, scores, strict=True))
    write_items(folder / "scores.jsonl.gz", rows)
    known = [score for score in scores if score is not None]
    mean = sum(known) / len(known) if known else None
    return {
        "mean": mean,
        "n": len(scores),
        "null": len(scores) - len(known),
        "queries": len(queries),
        "cost": {"seconds": seconds},
    }


def _examples(data: Data, catalog: Catalog) -> list[Example]:
    domain = catalog.entry("domain", data.domain).value
    examples = draw(domain, data.n, data.treatment)
    if fingerprint(examples) != data.fingerprint:
        raise DataError(f"domain {data.domain} gives other examples now than when this step was planned: run again")
    return examples


def _target(named: Named, catalog: Catalog) -> Any:
    settings = {key: value for key, value in named.settings.items() if key != "fingerprint"}
    return catalog.make("target", named.name, settings)


def preflight(base: str, target: dict[str, Any], limit: int | None, weights: bool) -> dict[str, Any]:
    """Look for what would make measuring on a target fail, before anything is trained: data, context, tokenizer.

    `weights`: load the whole model as well; once a run is enough.
    """
    try:
        with _logged(Path(os.devnull)):
            found = _target(Named(**target), load_catalog())
            if weights:
                models.load(Checkpoint(base))
            if hasattr(found, "check"):
                config = json.loads((Path(base) / "config.json").read_text(encoding="utf-8"))
                found.check(models.tokenizer(base), models.context(config), limit)
    except Exception as error:
        return {"ok": False, "why": _line(error), "usage": True}
    return {"ok": True}


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())[:500]
    if type(error).__name__ == "OutOfMemoryError" or "out of memory" in text:
        return f"out of memory: lower the batch size or the length ({text[:120]})"
    return text if isinstance(error, XferbenchError) else f"{type(error).__name__}: {text}"


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[None]:
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
