"""The published rules over the engine: TracIn, LESS and TRAK, each over all checkpoints that training kept."""

from collections.abc import Sequence
from typing import Any

import torch

from xferbench import Example, UsageError
from xferbench_gradients.engine import Engine
from xferbench_gradients.factored import projection
from xferbench_gradients.moments import FORMS, moments
from xferbench_gradients.scoring import Groups, compare, features, finished, trak
from xferbench_gradients.visits import visited


def tracin(scorer: Any, model: Any, examples: Sequence[Example], queries: Groups) -> Any:
    """Return TracIn-CP's score (examples, groups): the sum over checkpoints of rate * inner product."""
    total: Any = 0.0
    for there, rate in visited(model, scorer.checkpoints):
        with Engine(there, scorer.layers, scorer.batch_tokens) as engine:
            total = total + rate * compare(engine, examples, queries, cosine=False)
    return total


def less(scorer: Any, model: Any, examples: Sequence[Example], queries: Groups) -> Any:
    """Return LESS's score (examples, groups): max over subtasks of the checkpoints' mean, weighted by rates."""
    if scorer.form not in FORMS:
        raise UsageError(f"scorer less has no form {scorer.form!r} (known: {', '.join(FORMS)})")
    parts = [_subtasks(group) for group in queries]
    flat = [subtask for part in parts for subtask in part]
    total, weight = torch.zeros(len(examples), len(flat), dtype=torch.float64), 0.0
    for there, rate in visited(model, scorer.checkpoints):
        total += rate * _cosines(scorer, there, examples, flat)
        weight += rate
    best = [columns.amax(1) for columns in (total / weight).split([len(part) for part in parts], dim=1)]
    return torch.stack(best, 1).numpy()


def _cosines(scorer: Any, model: Any, examples: Sequence[Example], flat: Groups) -> Any:
    with Engine(model, scorer.layers, scorer.batch_tokens) as engine:
        change = moments(model, engine.blocks).change(scorer.form)
        if scorer.dimensions == 0:
            return torch.from_numpy(compare(engine, examples, flat, cosine=True, change=change))
        sketch = projection(scorer, engine.blocks)
        rows, target, learnt, _ = features(engine, examples, flat, sketch, change=change)
    lengths = torch.linalg.vector_norm(rows.double(), dim=1)[:, None], torch.linalg.vector_norm(target, dim=1)
    return torch.from_numpy(finished(rows.double() @ target.double().T / lengths[0] / lengths[1], learnt))


def _subtasks(group: Sequence[Example]) -> list[list[Example]]:
    kinds: dict[str, list[Example]] = {}
    for query in group:
        kinds.setdefault(query.domain, []).append(query)
    return list(kinds.values()) or [[]]


def trak_scores(scorer: Any, model: Any, examples: Sequence[Example], queries: Groups) -> Any:
    """Return TRAK's score (examples, groups): the mean over checkpoints of the kernel term times the mean of 1 - p.

    The projection of each checkpoint has a seed of its own, so that the error of projecting is averaged as well.
    """
    if scorer.damping <= 0:
        raise UsageError("scorer trak needs damping > 0: with fewer examples than dimensions nothing else is defined")
    kernel: Any = 0.0
    doubt: Any = 0.0
    for number, (there, _) in enumerate(visited(model, scorer.checkpoints)):
        with Engine(there, scorer.layers, scorer.batch_tokens) as engine:
            sketch = projection(scorer, engine.blocks, scorer.seed + number)
            rows, target, learnt, probability = features(engine, examples, queries, sketch, "margin")
            kernel = kernel + trak(rows, target, probability, scorer.damping)
            doubt = doubt + (1 - probability)
    return finished(kernel * doubt[:, None] / (number + 1) ** 2, learnt)
