"""Evidence -> an entry: the scores of every item in, one sealed row and the bytes of its items file out."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from xferbench.errors import UsageError
from xferbench.leaderboard.entry import ORDER, VERSION, Condition, Entry, Measure, Method, Score, Step, plain, seal
from xferbench.leaderboard.itemfile import column, pack, prompts_digest, unpack
from xferbench.leaderboard.recompute import cost, finding, score
from xferbench.leaderboard.rules import Rules
from xferbench.leaderboard.text import wrong


@dataclass(frozen=True)
class Tried:
    """One condition with one training seed, and its scores (items,) in the order of Evidence.keys."""

    condition: str
    curriculum: str
    seed: int | None
    step: str
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """What was measured of one source, target and recipe."""

    source: str
    target: str
    recipe: str
    metric: str
    version: str | None
    fingerprint: str | None
    keys: Sequence[tuple[str, str]]
    """(item id, prompt hash)."""
    tried: Sequence[Tried]
    steps: Mapping[str, Mapping[str, Any]]
    """{id: {"content", "cost", "machine"}} of all steps beneath, as entry.Step."""
    attribution: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


def assemble(rules: Rules, evidence: Evidence, about: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return a sealed entry as plain values and its items file.

    `about` gives the sections that are not measured: suite, model, submitter, date, packages, hardware, price, notes.
    UsageError naming the field when a value may not stand in an entry.
    """
    tried = sorted(evidence.tried, key=_order)
    made = [_score(one) for one in tried]
    file = pack(evidence.keys, {column(cell): one.scores.tolist() for cell, one in zip(made, tried, strict=True)})
    prompts = prompts_digest(evidence.keys)
    count = len(evidence.keys)
    measure = Measure(evidence.metric, evidence.version, evidence.fingerprint, count, prompts)
    method = Method(rules.resamples, rules.seed, rules.margin)
    question = evidence.source, evidence.target, evidence.recipe
    price = about["price"]["dollars_per_hour"] if about["price"] else None
    row = {
        "schema": VERSION, "id": "0" * 16, **about, "origin": None,
        **dict(zip(("source", "target", "recipe"), question, strict=True)),
        "measure": plain(measure), "method": plain(method), "cells": plain(made),
        "seeds": sorted({cell.seed for cell in made if cell.seed is not None}),
        "steps": {name: dict(step) for name, step in evidence.steps.items()},
        "items": {"sha256": hashlib.sha256(file).hexdigest(), "bytes": len(file)},
        "finding": finding(*question, measure, made, unpack(file), method),
        "cost": cost(msgspec.convert(list(evidence.steps.values()), list[Step]), price),
        "attribution": [dict(one) for one in evidence.attribution], "checksums": {},
    }  # fmt: skip
    try:
        return seal(plain(msgspec.convert(row, Entry))), file
    except msgspec.ValidationError as error:
        raise UsageError(f"{' -> '.join(question[:2])}: cannot be an entry: {wrong(error)}") from None


def _order(one: Tried) -> tuple[int, str, int]:
    place = ORDER.index(one.condition) if one.condition in ORDER else len(ORDER)
    return place, one.condition, -1 if one.seed is None else one.seed


def _score(one: Tried) -> Score:
    value, stderr = score(one.scores)
    return Score(cast(Condition, one.condition), one.curriculum, one.seed, value, stderr, one.step)
