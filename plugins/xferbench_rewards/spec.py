"""What all reward specifications say of themselves, and how they tell a wrong answer from none."""

import dataclasses
from typing import Any

from xferbench import Example


def identity(spec: Any) -> str:
    """Return name, version and settings of a specification in one line: "number 1 (where=####, wrong=0.0)"."""
    settings = ", ".join(f"{f.name}={getattr(spec, f.name)}" for f in dataclasses.fields(spec))
    return f"{spec.name} {spec.version} ({settings})"


def reference(example: Example, answer: str | None, what: str) -> str:
    """Return the example's own answer; ValueError, which is counted and told, when it has none."""
    if answer is None:
        raise ValueError(f"example {example.id}: its own answer holds no {what}")
    return answer
