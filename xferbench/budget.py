"""How much each stage of a curriculum learns from, so that training in turn and mixed is compared at equal cost.

additive        every domain brings all its examples: a>b and a+b learn from as many as a and b together.
matched_steps   every curriculum learns from as many examples as the smallest domain of the experiment has, so that all
                take as many optimiser steps: a>b half of them from each, in turn; a+b half from each, mixed.
matched_tokens  the same with tokens of the examples for examples.
"""

import math
from collections.abc import Sequence

from xferbench.errors import UsageError, unknown

BUDGETS = ("additive", "matched_steps", "matched_tokens")


def check(budget: str) -> str:
    """Return the name of a budget; UsageError for an unknown one."""
    if budget not in BUDGETS:
        raise unknown("budget", budget, BUDGETS)
    return budget


def apportion(total: int, shares: Sequence[float]) -> list[int]:
    """Split `total` by `shares` (which sum to 1) into whole numbers that sum to it (largest remainders)."""
    exact = [total * share for share in shares]
    found = [math.floor(value + 1e-9) for value in exact]
    order = sorted(range(len(shares)), key=lambda i: (found[i] - exact[i], i))
    for i in order[: total - sum(found)]:
        found[i] += 1
    return found


def additive(sizes: Sequence[int], shares: Sequence[float] | None) -> list[int]:
    """Return the examples of each domain of a mix: all of its `sizes`, or as many as keep the shares."""
    if shares is None:
        return list(sizes)
    total = min(size / share for size, share in zip(sizes, shares, strict=True))
    return [min(size, round(total * share)) for size, share in zip(sizes, shares, strict=True)]


def matched(total: int, stages: int, stage: int, shares: Sequence[float]) -> list[int]:
    """Return the part of `total` (examples, or tokens) that each domain brings to one of the stages.

    UsageError when that leaves a domain with nothing.
    """
    found = apportion(apportion(total, [1 / stages] * stages)[stage], shares)
    if min(found) < 1:
        raise UsageError(f"a budget of {total} leaves nothing for one of {len(shares)} domains in {stages} stages")
    return found


def fitting(lengths: Sequence[int], tokens: int) -> int:
    """Return how many examples of these `lengths` (tokens each), taken in order, come nearest to `tokens`; 1 at least.

    The first k and the first k + 1 lie on both sides of `tokens`: the nearer one is taken.
    """
    total = 0
    for count, length in enumerate(lengths):
        if total + length > tokens:
            return max(1, count + (total + length - tokens < tokens - total))
        total += length
    return max(1, len(lengths))
