"""The published rules over the engine: LESS and TRAK at one checkpoint."""

from collections.abc import Sequence
from typing import Any

import torch

from xferbench import Example, UsageError
from xferbench_gradients.engine import Engine
from xferbench_gradients.moments import FORMS, moments
from xferbench_gradients.scoring import Groups, compare, features, finished, trak
from xferbench_gradients.sketch import Sketch


def less(scorer: Any, model: Any, examples: Sequence[Example], queries: Groups) -> Any:
    """Return LESS's score (examples, groups) with the settings of `scorer`."""
    if scorer.form not in FORMS:
        raise UsageError(f"scorer less has no form {scorer.form!r} (known: {', '.join(FORMS)})")
    parts = [_subtasks(group) for group in queries]
    flat = [subtask for part in parts for subtask in part]
    with Engine(model, scorer.layers, scorer.batch_tokens) as engine:
        change = moments(model, engine.blocks).change(scorer.form)
        if scorer.dimensions == 0:
            scores = torch.from_numpy(compare(engine, examples, flat, cosine=True, change=change))
        else:
            sketch = Sketch(scorer.dimensions, scorer.seed, scorer.projection)
            rows, target, learnt, _ = features(engine, examples, flat, sketch, change=change)
            lengths = torch.linalg.vector_norm(rows.double(), dim=1)[:, None], torch.linalg.vector_norm(target, dim=1)
            scores = torch.from_numpy(finished(rows.double() @ target.double().T / lengths[0] / lengths[1], learnt))
    best = [columns.amax(1) for columns in scores.split([len(part) for part in parts], dim=1)]
    return torch.stack(best, 1).numpy()


def _subtasks(group: Sequence[Example]) -> list[list[Example]]:
    kinds: dict[str, list[Example]] = {}
    for query in group:
        kinds.setdefault(query.domain, []).append(query)
    return list(kinds.values()) or [[]]


def trak_scores(scorer: Any, model: Any, examples: Sequence[Example], queries: Groups) -> Any:
    """Return TRAK's score (examples, groups) with the settings of `scorer`."""
    if scorer.damping <= 0:
        raise UsageError("scorer trak needs damping > 0: with fewer examples than dimensions nothing else is defined")
    sketch = Sketch(scorer.dimensions, scorer.seed, scorer.projection)
    with Engine(model, scorer.layers, scorer.batch_tokens) as engine:
        rows, target, learnt, probability = features(engine, examples, queries, sketch, "margin")
        return finished(trak(rows, target, probability, scorer.damping), learnt)
