"""Judges an answer to a HumanEval problem by the problem's own tests, in the sandbox."""

from collections.abc import Mapping, Sequence
from typing import Any

SECONDS = 10.0
"""Processor time for all tests of one problem."""


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Return {"pass@1": 1.0} when prompt and answer together pass the tests, else 0.0.

    Raises UsageError where running code is not allowed, StepError where the sandbox cannot be put up.
    """
    from xferbench_rewards.sandbox import run_tests

    tests = f"{doc['test']}\ncheck({doc['entry_point']})"
    return {"pass@1": float(run_tests(doc["prompt"] + results[0], tests, seconds=SECONDS).passed)}
