"""The formulas behind the scorers: what is added up over the gradients that the engine hands out."""

import warnings
from collections.abc import Sequence
from typing import Any

import torch

from xferbench import DataError, Example
from xferbench_gradients.batches import Plan
from xferbench_gradients.engine import Engine
from xferbench_gradients.factored import Factored
from xferbench_gradients.sinks import Change, Dots, Means, Sketched
from xferbench_gradients.sketch import Sketch

Groups = Sequence[Sequence[Example]]
BROKEN = "have no finite, non-zero gradient"


def compare(
    engine: Engine, examples: Sequence[Example], queries: Groups, cosine: bool, change: Change | None = None
) -> Any:
    """Return <g(z), mean g(z')> for each example z and group of z', or its cosine: float64 (examples, groups).

    `change` is applied to the examples' gradients and not to the queries'. Two passes, nothing stored but one mean
    gradient a group. A score that is not finite is nan, and its example is named in a warning.
    """
    asked, learnt = engine.plan([q for group in queries for q in group]), engine.plan(examples)
    bank = means(engine, asked, shares(queries, asked))
    sink = Dots(bank, len(examples), change)
    engine.run(learnt, sink)
    scores = sink.dots
    if cosine:
        scores = scores / (sink.squares[:, None] * _squares(bank)).sqrt()
    return finished(scores, learnt)


def _squares(bank: dict[str, Any]) -> Any:
    return torch.stack([torch.linalg.vector_norm(rows, dim=1).double().square() for rows in bank.values()]).sum(0)


def compare_domains(engine: Engine, examples: Sequence[Example], queries: Groups) -> Any:
    """Return, for each example, the cosine of the mean gradients of its domain and of each group of queries."""
    domains = sorted({example.domain for example in examples})
    asked, learnt = engine.plan([q for group in queries for q in group]), engine.plan(examples)
    inside = torch.tensor([[e.domain == name for e in examples] for name in domains], dtype=torch.float64)
    inside[:, list(learnt.skipped)] = 0
    left = means(engine, learnt, inside / inside.sum(1, keepdim=True).clamp(min=1), what="examples")
    right = means(engine, asked, shares(queries, asked))
    dots = torch.stack([(left[block] @ right[block].mT).double() for block in left]).sum(0)
    lengths = [_squares(bank).sqrt() for bank in (left, right)]
    place = torch.tensor([domains.index(example.domain) for example in examples], device=dots.device)
    return finished((dots / lengths[0][:, None] / lengths[1])[place], learnt)


def features(
    engine: Engine,
    examples: Sequence[Example],
    queries: Groups,
    sketch: Sketch | Factored,
    output: str = "loss",
    change: Change | None = None,
) -> tuple[Any, Any, Plan, Any]:
    """Return sketches of the examples' gradients (examples, k) and of the groups' mean gradients (groups, k).

    Beside them the examples' plan and their mean token probability. Sketches are linear, so the mean is sketched once.
    """
    asked, learnt = engine.plan([q for group in queries for q in group]), engine.plan(examples)
    bank = means(engine, asked, shares(queries, asked), output)
    target = sum(sketch.apply(block, rows) for block, rows in bank.items())
    sink = Sketched(sketch, len(examples), engine.device, change)
    tally = engine.run(learnt, sink, output)
    return sink.out, target, learnt, tally.probability


def trak(rows: Any, target: Any, probability: Any, damping: float) -> Any:
    """Return target (Phi^T Phi + lambda I)^-1 Phi^T of the features Phi (n, k), as (n, groups), float64.

    lambda is `damping` times the mean of the diagonal of Phi^T Phi, so gradients of any scale give the same. A row
    that is not finite, or without a finite probability, takes no part and scores nan.
    """
    fine = rows.isfinite().all(1) & probability.isfinite()
    phi, aim = rows[fine].double(), target.double()
    n, k = phi.shape
    weight = damping * float(phi.square().sum()) / k
    if n < k:
        # The same product from the smaller side: (Phi^T Phi + lambda)^-1 Phi^T = Phi^T (Phi Phi^T + lambda)^-1.
        kernel = phi @ phi.T + weight * torch.eye(n, dtype=phi.dtype, device=phi.device)
        found = torch.linalg.solve(kernel, phi @ aim.T)
    else:
        kernel = phi.T @ phi + weight * torch.eye(k, dtype=phi.dtype, device=phi.device)
        found = phi @ torch.linalg.solve(kernel, aim.T)
    scores = found.new_full((len(rows), len(aim)), torch.nan)
    scores[fine] = found
    return scores


def shares(queries: Groups, asked: Plan) -> Any:
    """Return weights (groups, queries), float64: 1/n for the n queries of a group that can be used, else 0.

    Raises DataError for a group with no usable query.
    """
    weights = torch.zeros(len(queries), len(asked.ids), dtype=torch.float64)
    start = 0
    for row, group in enumerate(queries):
        weights[row, start : start + len(group)] = 1
        start += len(group)
    weights[:, list(asked.skipped)] = 0
    counts = weights.sum(1, keepdim=True)
    if not bool((counts > 0).all()):
        raise DataError(f"group {int((counts[:, 0] == 0).nonzero()[0])} of the queries has none that can be used")
    return weights / counts


def means(engine: Engine, asked: Plan, weights: Any, output: str = "loss", what: str = "queries") -> dict[str, Any]:
    """Return the weighted sum of the planned examples' gradients for each row of weights: block -> (rows, size).

    One whose gradient is not finite is left out, with a warning, and the pass is done again without it. Raises
    DataError for a row of which nothing is left.
    """
    sink = Means(weights.to(engine.device))
    engine.run(asked, sink, output)
    broken = sink.broken.cpu()
    if not bool(broken.any()):
        return sink.bank
    warn(what, [asked.ids[row] for row in broken.nonzero()[:, 0].tolist()], f"{BROKEN} (left out)")
    kept = weights.masked_fill(broken, 0)
    if not bool((kept.any(1) | ~weights.any(1)).all()):
        raise DataError(f"a group of {what} has none with a finite gradient")
    kept = kept * (weights.sum(1, keepdim=True) / kept.sum(1, keepdim=True))
    sink = Means(kept.to(engine.device))
    engine.total += len(asked.batches)
    engine.run(asked, sink, output)
    return sink.bank


def finished(scores: Any, learnt: Plan) -> Any:
    """Return scores as a float64 numpy array, nan for what was skipped or is not finite, which a warning names."""
    scores = scores.cpu()
    scores[list(learnt.skipped)] = torch.nan
    broken = ~scores.isfinite().all(1)
    broken[list(learnt.skipped)] = False
    if bool(broken.any()):
        scores = scores.where(scores.isfinite(), torch.nan)
        warn("examples", [learnt.ids[row] for row in broken.nonzero()[:, 0].tolist()], f"{BROKEN} (score nan)")
    return scores.numpy()


def warn(what: str, ids: Sequence[str], fate: str) -> None:
    """Say what became of some examples, and name the first ten."""
    shown = ", ".join(ids[:10]) + (", ..." if len(ids) > 10 else "")
    warnings.warn(f"{len(ids)} {what} {fate}: {shown}", stacklevel=3)
