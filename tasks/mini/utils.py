"""What the YAMLs of the mini world call: test items made on the spot, and their scoring."""

from typing import Any

import datasets

from xferbench_mini import gpqa
from xferbench_mini.family import final
from xferbench_mini.worlds import take

ITEMS = 500
"""Test items a target."""
TEMPLATES = (
    "Question: {question} Options: {options}\nAnswer:",
    "Question: {options} {question}\nAnswer:",
    "Problem: {question} {options}\nAnswer:",
)
"""Other ways to put the same gpqa question, in turn."""


def _load(target: str, **_: Any) -> dict[str, datasets.Dataset]:
    rows = [{"id": item.id, "prompt": item.prompt, "answer": item.answer} for item in take(target, "test", ITEMS)]
    return {"test": datasets.Dataset.from_list(rows)}


def load_math(**kw: Any) -> dict[str, datasets.Dataset]:
    """Load the test of math."""
    return _load("math", **kw)


def load_science(**kw: Any) -> dict[str, datasets.Dataset]:
    """Load the test of science."""
    return _load("science", **kw)


def load_code(**kw: Any) -> dict[str, datasets.Dataset]:
    """Load the test of code."""
    return _load("code", **kw)


def load_logic(**kw: Any) -> dict[str, datasets.Dataset]:
    """Load the test of logic."""
    return _load("logic", **kw)


def load_puzzle(**kw: Any) -> dict[str, datasets.Dataset]:
    """Load the test of puzzle."""
    return _load("puzzle", **kw)


def load_rewrite(**kw: Any) -> dict[str, datasets.Dataset]:
    """Load the test of rewrite."""
    return _load("rewrite", **kw)


def load_alchemy(**kw: Any) -> dict[str, datasets.Dataset]:
    """Load the test of alchemy."""
    return _load("alchemy", **kw)


def _choices(robust: bool) -> dict[str, datasets.Dataset]:
    rows = []
    for number, (problem, _) in enumerate(zip(gpqa.items("test"), range(ITEMS), strict=False)):
        prompt = problem.prompt
        if robust:
            bare, _, options = problem.question.partition(" A) ")
            prompt = TEMPLATES[number % len(TEMPLATES)].format(question=bare, options=f"A) {options}")
        row = {"id": gpqa.example(problem).id, "prompt": prompt, "answer": problem.worked}
        rows.append({**row, "options": list(problem.options)})
    return {"test": datasets.Dataset.from_list(rows)}


def load_gpqa(**_: Any) -> dict[str, datasets.Dataset]:
    """Load gpqa in the template that the base model knows."""
    return _choices(False)


def load_gpqa_robust(**_: Any) -> dict[str, datasets.Dataset]:
    """Load the same items of gpqa in other templates."""
    return _choices(True)


def score(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Exact match of what stands after the last "####"."""
    return {"exact_match": float(final(results[0]) == final(doc["answer"]))}


def score_choice(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Whether the last "####" is followed by the right option: its value, or its letter."""
    return {"acc": float(gpqa.right(results[0], final(doc["answer"]), tuple(doc["options"])))}
