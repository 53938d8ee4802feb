"""From the store to rows: the cells of a plan, their items, what they cost, and the scores of training examples."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xferbench import __version__, leakage
from xferbench.catalog import load
from xferbench.edited import edited
from xferbench.models import parameters
from xferbench.planned import Plan
from xferbench.results import Cell, Results, read_scores, under_recipes
from xferbench.steps import Data, Evaluate, Step, Train, recipe
from xferbench.store import Store, write_whole
from xferbench.treatments import HALF, half


def gather(plan: Plan, store: Store, failed: dict[str, str], root: Path) -> Results:
    """Read the rows of a plan from the store; lay the items of evaluations and the logs of trainings into `root`."""
    results = Results(_about(plan, store), [], [], [], root)
    for cell in plan.cells:
        if not store.done(cell.step):
            continue
        found = store.result(cell.step)
        train, unknown = cell.step.train, {"tokens": None, "flops": None}
        _beside(store, root, cell.step.id, "items")
        if (store.folder(cell.step) / "outputs.jsonl.gz").is_file():
            _beside(store, root, cell.step.id, "outputs")
        results.cells.append(
            Cell(
                condition=cell.condition,
                curriculum=train.curriculum if train else cell.source,  # a checkpoint from elsewhere: its name
                recipe=cell.recipe,
                source=cell.source,
                target=cell.target,
                seed=cell.seed,
                step=cell.step.id,
                cost=_cost(cell.step, store, plan.experiment.price) | (unknown if cell.source and not train else {}),
                **{key: found[key] for key in ("metric", "value", "stderr", "n")},
            )
        )
    for step in plan.attributions:
        if store.done(step):
            found = store.result(step)
            _beside(store, root, step.id, "scores")
            named = {"scorer": plan.scorer(step), "target": step.target.name, "source": step.data.label}
            row = {**named, "step": step.id}
            row |= {key: found[key] for key in ("mean", "n", "null", "notes", "queries")}
            if step.scorer.name in plan.similarities:
                row["similarity"] = plan.similarities[step.scorer.name]
            if row["mean"] is None:
                row["reason"] = "no example has a finite score"
            results.attribution.append(row)
    results.points = _points(plan, store, root)
    results.training = _logs(plan, store, root)
    results.contamination = leakage.rows(plan, store, root)
    results.subsets += _subsets(plan, store)
    results.steps += [_step(step, store.result(step)) for step in plan.steps if store.done(step)]
    results.attribution = under_recipes(results)
    _top_shares(results, store)
    results.run["notes"] += _fates(plan, store) + _unscored(results) + edited(plan.steps, store, load())
    results.not_done += [{"step": s.id, "title": s.title, "why": failed[s.id]} for s in plan.steps if s.id in failed]
    return results


def _points(plan: Plan, store: Store, root: Path) -> list[dict[str, Any]]:
    """The cells that were measured on the way of their trainings, and their items."""
    rows = []
    for cell in plan.along:
        if store.done(cell.step) and cell.step.train is not None:
            found = store.result(cell.step)
            _beside(store, root, cell.step.id, "items")
            named = {key: getattr(cell, key) for key in ("condition", "recipe", "source", "target", "seed")}
            values = {key: found[key] for key in ("at", "of", "metric", "value", "stderr", "n")}
            rows.append({**named, "curriculum": cell.step.train.curriculum, **values, "step": cell.step.id})
    return rows


def _beside(store: Store, root: Path, step: str, kind: str) -> None:
    """Lay a step's items or scores beside the rows, where the analyses look for them."""
    place = root / kind / f"{step}.jsonl.gz"
    if not place.is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, (store.folder(step) / f"{kind}.jsonl.gz").read_bytes())


def _logs(plan: Plan, store: Store, root: Path) -> list[dict[str, Any]]:
    """Copy the log of every training that kept one, and say which training it is."""
    found = []
    for step in plan.steps:
        log = store.folder(step) / "training.jsonl"
        if isinstance(step, Train) and store.done(step) and log.is_file():
            (root / "training").mkdir(parents=True, exist_ok=True)
            write_whole(root / "training" / f"{step.id}.jsonl", log.read_bytes())
            row = {"step": step.id, "curriculum": step.curriculum, "recipe": step.recipe, "trainer": step.trainer.name}
            found.append({**row, "seed": step.seed, "start": step.start.id if step.start else None})
    return found


def _subsets(plan: Plan, store: Store) -> list[dict[str, Any]]:
    """For each random half that was learnt from: the target's loss, and each scorer's sum over its examples.

    An example without a score adds nothing; `null` counts them.
    """
    rows = []
    for one in plan.subsets:
        if not store.done(one.step):
            continue
        sums: dict[str, float] = {}
        null: dict[str, int] = {}
        for step in one.scored:
            if store.done(step):
                scores = list(_by_id(store, step.id).items())
                mine = [scores[place][1] for place in half([name for name, _ in scores], one.number)]
                name = plan.scorer(step)
                sums[name] = sum(score for score in mine if score is not None)
                null[name] = mine.count(None)
        found = store.result(one.step)
        names = {"source": one.source, "target": one.target, "recipe": one.recipe, "seed": one.seed}
        values = {"number": one.number, "value": found["value"], "stderr": found["stderr"], "n": found["n"]}
        rows.append({**names, **values, "step": one.step.id, "scores": sums, "null": null})
    return rows


def _about(plan: Plan, store: Store) -> dict[str, Any]:
    asked = plan.experiment
    weights = parameters(Path(plan.base.folder))
    model = {"name": plan.base.name, "fingerprint": plan.base.fingerprint, "parameters": weights}
    return {
        "suite": asked.suite,
        "model": model,
        "xferbench": __version__,
        "seeds": list(asked.seeds),
        "budget": plan.budget,
        "price": asked.price,
        "own_domains": dict(plan.own_domains),
        "learns": dict(plan.learns),
        "groups": dict(plan.groups),
        "store": str(store.root),
        "notes": list(plan.notes),
    }


def _step(step: Step, found: dict[str, Any]) -> dict[str, Any]:
    """The whole recipe of a step, what it cost and on what machine: all that a published row needs to be run again."""
    cost = {key: found["cost"].get(key) for key in ("seconds", "tokens", "flops")}
    row = {"id": step.id, "recipe": recipe(step), "cost": cost, "machine": found.get("machine")}
    return row | {key: found[key] for key in ("answer_tokens", "data") if found.get(key) is not None}


def _fates(plan: Plan, store: Store) -> list[str]:
    """Say how many examples a treatment left, and how many were too long for the model, once for each curriculum."""
    found: dict[str, None] = {}
    for step in plan.steps:
        if isinstance(step, Train) and store.done(step):
            result = store.result(step)
            for fate in ("dropped", "cut"):
                if result[fate]:
                    count = f"{result[fate]} of {result['n']} examples"
                    found[f"{step.curriculum}: {count} were {fate}, too long for the model"] = None
            drawn = sum(data.chosen.n if data.chosen else data.n for data in step.data)
            if result["n"] < drawn and not any(f"~{HALF}" in data.label for data in step.data):
                found[f"{step.curriculum}: learns from {result['n']} of the {drawn} examples drawn"] = None
            for data in step.data:
                if without := _unranked(data, store):
                    count = f"{without} of the examples of {data.label}"
                    found[f"{step.curriculum}: {count} have no score, and were taken after all that have one"] = None
    return [*found, *_answers(plan, store)]


def _unranked(data: Data, store: Store) -> int:
    """Count the examples without a score in a choice by score, which takes them where the others are too few."""
    if data.chosen is None or data.chosen.by is None:
        return 0
    scored = store.result(data.chosen.by)
    return max(0, data.chosen.n - (scored["n"] - scored["null"]))


def _answers(plan: Plan, store: Store) -> list[str]:
    """Say what became of the answers that the model gave in training, seeds taken together."""
    counts: dict[str, Counter[str]] = {}
    errors: dict[str, dict[str, str]] = {}
    for step in plan.steps:
        if isinstance(step, Train) and store.done(step) and "responses" in (result := store.result(step)):
            name = f"{step.curriculum} by {step.recipe}"
            failed = result["reward_errors"]
            seen = {key: result.get(key, 0) for key in ("responses", "unended", "kept")}
            counts.setdefault(name, Counter()).update({**seen, "failed": failed["count"]})
            errors.setdefault(name, {}).update(failed["examples"])
    lines = []
    for name, count in counts.items():
        if count["unended"]:
            lines.append(f"{name}: {count['unended']} of {count['responses']} responses did not end and were cut")
        if count["kept"]:
            lines.append(f"{name}: learnt from {count['kept']} right ones of its own {count['responses']} answers")
        if count["failed"]:
            first, text = next(iter(errors[name].items()))
            lines.append(f"{name}: the reward raised on {count['failed']} responses, first on {first}: {text}")
    return lines


def _unscored(results: Results) -> list[str]:
    """Say what scorers warned of, examples that were cut, skipped or without a finite score: each warning once."""
    told: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in results.attribution:
        for note in row["notes"]:
            told.setdefault((row["source"], note), []).append(row)
    lines = []
    for (source, note), rows in told.items():
        scorers, targets = (list(dict.fromkeys(row[end] for row in rows)) for end in ("scorer", "target"))
        toward = targets[0] if len(targets) == 1 else f"{len(targets)} targets"
        lines.append(f"{', '.join(scorers)}, {source} toward {toward}: {note}")
    return lines


def _cost(step: Evaluate, store: Store, price: float | None) -> dict[str, float | None]:
    """Add up what the trainings beneath a cell and its evaluation took, at `price` dollars an hour."""
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
    if price is not None and total["seconds"] is not None:
        total["dollars"] = total["seconds"] / 3600 * price
    return total


def _top_shares(results: Results, store: Store, top: float = 0.2) -> None:
    """For each scorer, target and recipe, the share of each source among the `top` share of all examples (S0-3)."""
    groups: dict[tuple[str, str, str | None], list[dict[str, Any]]] = {}
    for row in results.attribution:
        groups.setdefault((row["scorer"], row["target"], row.get("recipe")), []).append(row)
    for rows in groups.values():
        if len(rows) < 2:
            rows[0]["top_share"] = None
            rows[0].setdefault("reason", "one source: there is nothing to share with")
            continue
        scores = {row["source"]: _scores(store, row["step"]) for row in rows}
        every = sorted((score for given in scores.values() for score in given), reverse=True)
        if not every:
            for row in rows:
                row["top_share"] = None
            continue
        best = max(1, round(top * len(every)))
        least = every[best - 1]
        above, level = sum(score > least for score in every), every.count(least)
        for row in rows:
            given = scores[row["source"]]
            # Where the border falls among equal scores, each of them counts in part.
            part = (best - above) / level * given.count(least)
            row["top_share"] = (sum(score > least for score in given) + part) / best


def _scores(store: Store, step: str) -> list[float]:
    return [score for score in _by_id(store, step).values() if score is not None]


def _by_id(store: Store, step: str) -> dict[str, float | None]:
    return read_scores(store.folder(step) / "scores.jsonl.gz")
