"""From the store to rows: the cells of a plan, their items, what they cost, and the scores of training examples."""

import gzip
import json
import shutil
from collections.abc import Iterable
from typing import Any

from xferbench import __version__
from xferbench.plan import Plan
from xferbench.results import Cell, Results
from xferbench.steps import Evaluate, Step, Train, recipe
from xferbench.store import Store


def gather(plan: Plan, store: Store, failed: dict[str, str]) -> Results:
    """Read the rows of a plan from the store, and lay the items of each evaluation beside them."""
    results = Results(_about(plan, store), [], [], [], store.root)
    for cell in plan.cells:
        if not store.done(cell.step):
            continue
        found = store.result(cell.step)
        train = cell.step.train
        items = store.root / "items" / f"{cell.step.id}.jsonl.gz"
        if not items.is_file():
            items.parent.mkdir(exist_ok=True)
            shutil.copyfile(store.folder(cell.step) / "items.jsonl.gz", items)
        results.cells.append(
            Cell(
                condition=cell.condition,
                curriculum=train.curriculum if train else "",
                recipe=cell.recipe,
                source=cell.source,
                target=cell.target,
                seed=cell.seed,
                step=cell.step.id,
                cost=_cost(cell.step, store),
                **{key: found[key] for key in ("metric", "value", "stderr", "n")},
            )
        )
    for step in plan.attributions:
        if store.done(step):
            found = store.result(step)
            row = {"scorer": step.scorer.name, "target": step.target.name, "source": step.data.domain, "step": step.id}
            results.attribution.append({**row, **{key: found[key] for key in ("mean", "n", "null", "queries")}})
    _top_shares(results, store)
    results.steps += [_step(step, store.result(step)) for step in plan.steps if store.done(step)]
    results.run["notes"] += _fates(plan, store)
    results.not_done += [{"step": s.id, "title": s.title, "why": failed[s.id]} for s in plan.steps if s.id in failed]
    return results


def _about(plan: Plan, store: Store) -> dict[str, Any]:
    asked = plan.experiment
    model = {"name": plan.base.name, "fingerprint": plan.base.fingerprint}
    return {
        "suite": asked.suite,
        "model": model,
        "xferbench": __version__,
        "seeds": list(asked.seeds),
        "store": str(store.root),
        "notes": list(plan.notes),
    }


def _step(step: Step, found: dict[str, Any]) -> dict[str, Any]:
    """The whole recipe of a step, what it cost and on what machine: all that a published row needs to be run again."""
    cost = {key: found["cost"].get(key) for key in ("seconds", "tokens", "flops")}
    return {"id": step.id, "recipe": recipe(step), "cost": cost, "machine": found.get("machine")}


def _fates(plan: Plan, store: Store) -> list[str]:
    """Say how many examples were too long for the model, once for each curriculum."""
    found: dict[str, None] = {}
    for step in plan.steps:
        if isinstance(step, Train) and store.done(step):
            result = store.result(step)
            for fate in ("dropped", "cut"):
                if result[fate]:
                    count = f"{result[fate]} of {result['n']} examples"
                    found[f"{step.curriculum}: {count} were {fate}, too long for the model"] = None
    return list(found)


def _cost(step: Evaluate, store: Store) -> dict[str, float | None]:
    """Add up what the trainings beneath a cell and its evaluation took."""
    total: dict[str, float | None] = {
        "seconds": store.result(step)["cost"]["seconds"],
        "tokens": 0,
        "flops": 0,
        "dollars": None,
    }
    train = step.train
    while train is not None:
        cost = store.result(train)["cost"]
        for key in ("seconds", "tokens", "flops"):
            before, more = total[key], cost.get(key)
            total[key] = None if before is None or more is None else before + more
        train = train.start
    return total


def _top_shares(results: Results, store: Store, top: float = 0.2) -> None:
    """For each scorer and target, the share of each source among the `top` share of all sources' examples (S0-3)."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in results.attribution:
        groups.setdefault((row["scorer"], row["target"]), []).append(row)
    for rows in groups.values():
        if len(rows) < 2:
            rows[0] |= {"top_share": None, "reason": "one source: there is nothing to share with"}
            continue
        scores = {row["source"]: list(_scores(store, row["step"])) for row in rows}
        every = sorted((score for given in scores.values() for score in given), reverse=True)
        best = max(1, round(top * len(every)))
        least = every[best - 1]
        above, level = sum(score > least for score in every), every.count(least)
        for row in rows:
            given = scores[row["source"]]
            # Where the border falls among equal scores, each of them counts in part.
            part = (best - above) / level * given.count(least)
            row["top_share"] = (sum(score > least for score in given) + part) / best


def _scores(store: Store, step: str) -> Iterable[float]:
    with gzip.open(store.folder(step) / "scores.jsonl.gz", "rt", encoding="utf-8") as lines:
        found = [json.loads(line)["score"] for line in lines]
    return [score for score in found if score is not None]
