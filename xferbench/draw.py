"""Which examples a step learns from: a recorded, repeatable draw from a domain, treated, and choices among them."""

import dataclasses
import hashlib
import json
import math
import random
from collections.abc import Mapping, Sequence
from itertools import islice

from xferbench.api import Domain, Example
from xferbench.errors import DataError, PluginError, UsageError, XferbenchError
from xferbench.treatments import treat


def draw(domain: Domain, limit: int | None, treatment: str = "", seed: int = 0) -> list[Example]:
    """Draw `limit` examples (None: all) from a domain, then treat them: the same ones for every training seed.

    A stream comes in random order, so its first ones are taken; anything else is sampled, since data sets lie sorted by
    source or size. A smaller limit draws the first ones of a larger. Raises DataError when the domain is empty or has
    fewer than `limit`.
    """
    if domain.stream and limit is None:
        raise UsageError(f"domain {domain.name} is an endless stream: say how many examples with --train-limit")
    try:
        found = list(islice(domain.examples(), limit) if domain.stream else domain.examples())
    except XferbenchError:
        raise
    except Exception as error:
        raise PluginError(f"domain {domain.name}: examples() failed: {type(error).__name__}: {error}") from error
    if not found:
        raise DataError(f"domain {domain.name} has no examples")
    if limit is not None and len(found) < limit:
        raise DataError(
            f"domain {domain.name} has {len(found)} examples at most; {limit} were asked for"
            f" (--train-limit {len(found)} takes them all)"
        )
    _check(domain, found)
    if not domain.stream:  # also where all are taken: the same n, asked for by number, must give the same order
        order = random.Random(f"draw {seed} {domain.name}").sample(range(len(found)), len(found))
        found = [found[index] for index in order[:limit]]
    found = [e if e.domain else dataclasses.replace(e, domain=domain.name) for e in found]
    return treat(found, treatment, seed)


RANKS = ("top", "bottom", "random")


def choose(
    examples: Sequence[Example], n: int, rank: str, scores: Mapping[str, float | None], seed: int = 0
) -> list[Example]:
    """Choose `n` examples, in their order: of the highest or lowest score ({id: score}), or at random by `seed`.

    Among equal scores those drawn first are taken; an example without a score is taken after all that have one.
    """
    if not 0 <= n <= len(examples):
        raise UsageError(f"{n} of {len(examples)} examples cannot be chosen")
    places = range(len(examples))
    if rank == "random":
        kept = random.Random(f"choose {seed}").sample(places, n)
    else:
        sign = {"top": -1.0, "bottom": 1.0}[rank]
        given = [scores.get(example.id) for example in examples]
        kept = sorted(places, key=lambda i: math.inf if (score := given[i]) is None else sign * score)[:n]
    return [examples[i] for i in sorted(kept)]


def fingerprint(examples: Sequence[Example]) -> str:
    """Hash ids, prompts and answers, in order: the identity of what is learnt."""
    total = hashlib.sha256()
    for one in examples:
        total.update(json.dumps([one.id, one.prompt, one.answer]).encode())
    return total.hexdigest()


def _check(domain: Domain, examples: Sequence[Example]) -> None:
    for one in examples:
        if not isinstance(one, Example):
            raise PluginError(f"domain {domain.name}: examples() gave {one!r}, not an Example")
        for what in (one.id, one.prompt, one.answer):
            if not isinstance(what, str):
                raise PluginError(
                    f"domain {domain.name}: example {one.id}: id, prompt and answer are texts, not {what!r}"
                )
        if not one.prompt.strip() or not one.answer.strip():
            raise DataError(
                f"domain {domain.name}: example {one.id} has an empty {'answer' if one.prompt.strip() else 'prompt'}"
            )
    if len({one.id for one in examples}) < len(examples):
        raise PluginError(f"domain {domain.name}: two examples have the same id")
