"""Train: a trainer turns examples into a checkpoint; what came out is checked before anyone measures it."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xferbench.api import Checkpoint, Example, Reward, Trainer
from xferbench.errors import ModelError, PluginError, StepError
from xferbench.models import locate

LOGGED = ("tokens", "steps", "flops", "dropped", "cut")
"""Tokens learnt from (repeats counted), optimiser steps, floating-point operations; examples left out, and cut."""
COUNTED = ("answer_tokens", "responses", "unended", "kept", "reward_errors")
"""Mean tokens of the answers learnt from, end token left out; and where the model answered itself: its answers, those
that did not end, those kept to learn from, those on which the reward raised, {"count", "examples": {id: what}}."""


def train(
    trainer: Trainer, start: Checkpoint, examples: Sequence[Example], reward: Reward | None, out: Path, seed: int
) -> tuple[Checkpoint, dict[str, Any]]:
    """Train in folder `out`; return the checkpoint and what it cost: seconds, and the trainer's log (LOGGED, COUNTED).

    A trainer logs by writing training.jsonl into `out`: a curve, and these keys in the last line. What it keeps in
    `out`/unfinished is there again when an interrupted step is taken up; "seconds_before" says what that had taken.
    Raises UsageError where the trainer cannot train on this machine, StepError when weights are not finite,
    PluginError when the trainer returned no checkpoint of its own.
    """
    if hasattr(trainer, "check"):
        trainer.check()
    began = time.perf_counter()
    checkpoint = trainer.train(start, examples, reward, out, seed)
    seconds = time.perf_counter() - began
    if not isinstance(checkpoint, Checkpoint):
        raise PluginError(f"trainer {trainer.name} returned {checkpoint!r}, not a Checkpoint")
    if checkpoint == start:
        raise PluginError(f"trainer {trainer.name} returned the checkpoint that it started from")
    _whole(trainer.name, start, checkpoint, out)
    _finite(Path(checkpoint.adapter or checkpoint.base))
    cost: dict[str, Any] = {"seconds": round(seconds, 3), **dict.fromkeys(LOGGED)}
    log = out / "training.jsonl"
    if log.is_file():
        rows = _rows(trainer.name, log)
        cost |= {key: rows[-1][key] for key in LOGGED + COUNTED if rows and key in rows[-1]}
        cost["seconds"] = round(seconds + (rows[-1].get("seconds_before", 0.0) if rows else 0.0), 3)
    return checkpoint, cost


def _whole(name: str, start: Checkpoint, made: Checkpoint, out: Path) -> None:
    """Refuse a checkpoint that cannot be loaded, or lies where the next training may write over it."""
    new = [str(place) for place in (made.adapter, None if made.base == start.base else made.base) if place is not None]
    for place in new:
        if not Path(place).resolve().is_relative_to(out.resolve()):
            raise PluginError(f"trainer {name} returned {place}, which is not in the folder `out` that it was given")
    try:
        if made.base != start.base:
            locate(str(made.base))
        if made.adapter is not None and not Path(made.adapter).is_dir():
            raise ModelError(f"there is no folder {made.adapter}")
    except ModelError as error:
        raise PluginError(f"trainer {name} returned a checkpoint that cannot be loaded: {error}") from None


def _rows(name: str, log: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(log.read_text(encoding="utf-8").splitlines(), 1):
        try:
            rows.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            raise PluginError(f"trainer {name}: line {number} of its training.jsonl is no JSON object") from None
    return rows


def _finite(folder: Path) -> None:
    for path in sorted(folder.glob("*.safetensors")):
        from safetensors.torch import load_file

        for name, weight in load_file(path).items():
            if not bool(weight.isfinite().all()):
                raise StepError(f"training diverged: {name} is not finite; lower the learning rate")
