"""Evaluate: a target measures a model; a tuned model that answers exactly as its base is an error, not a zero."""

import math
from typing import Any

from xferbench.api import Checkpoint, Measurement, Output, Target
from xferbench.errors import PluginError, StepError
from xferbench.models import Model, load


def evaluate(model: Model, target: Target, limit: int | None) -> Measurement:
    """Measure `model` on the first `limit` items of `target` (None: all); PluginError when that breaks the contract."""
    found = target.measure(model, limit)
    wrong = _wrong(found, limit)
    if wrong:
        raise PluginError(f"target {target.name}: {wrong}")
    return found


def _wrong(found: Any, limit: int | None) -> str:
    """Say what a measurement lacks to be stored and compared item by item; "" where it lacks nothing."""
    if not isinstance(found, Measurement) or not found.items or found.n != len(found.items):
        return "measure() must give a Measurement with one score for each item"
    if limit is not None and found.n > limit:
        return f"{found.n} items where the first {limit} were asked for"
    for item in found.items:
        if not (isinstance(item.id, str) and isinstance(item.prompt, str)):
            return f"item {item.id!r}: its id and the hash of its prompt are texts"
        if not isinstance(item.score, int | float) or not math.isfinite(item.score):
            return f"item {item.id}: its score is {item.score!r}, not a finite float"
    for what in ("value", "stderr"):
        if not isinstance(getattr(found, what), int | float):
            return f"its {what} is {getattr(found, what)!r}, not a float"
    mean = math.fsum(item.score for item in found.items) / found.n
    if not math.isclose(mean, found.value, rel_tol=1e-9, abs_tol=1e-9):
        return f"its value {found.value} is not the mean of its items, {mean}"
    if found.outputs and len(found.outputs) != found.n:
        return f"{len(found.outputs)} outputs for {found.n} items"
    for output in found.outputs:
        if not isinstance(output, Output):
            return f"an output is {output!r}, not an Output"
    if len({(item.id, item.prompt) for item in found.items}) < found.n:
        return "two items have the same id and prompt"
    return ""


def check_changed(model: Model, base: str, **loading: Any) -> None:
    """Raise StepError when `model` gives exactly the base model's logits: it was never trained, or not loaded.

    Silent loss of an adapter is a known failure of evaluation backends; it would be read as "no transfer". `loading` is
    how the model is held, and so the base.
    """
    import torch

    tuned = _logits(model.network)
    if model.checkpoint.adapter is not None:
        with model.network.disable_adapter():
            untuned = _logits(model.network)
    else:
        untuned = _logits(load(Checkpoint(base), **loading).network)
    if torch.equal(tuned, untuned):
        raise StepError(
            "the outputs of the trained model are identical to the base model's: its training had no effect"
        )


def _logits(network: Any) -> Any:
    import torch

    ids = torch.arange(16, device=network.device)[None] % network.config.vocab_size
    with torch.no_grad():
        return network(input_ids=ids).logits.float().cpu()
