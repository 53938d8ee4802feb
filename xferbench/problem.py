"""What can be counted in the text of a problem: steps, operations, quantities; and with spaCy, how it is put together.

The features of "Latent Traits and Cross-Task Transfer" (Figures 9 and 16 to 21): steps = questions + sentences +
operations + comparisons + conditionals. Everything is read by plain patterns for English and arithmetic signs.
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from xferbench.api import Example
from xferbench.errors import UsageError

NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*")
SIGNS = {"additions": "+", "subtractions": "-−", "multiplications": "*×·", "divisions": "/÷"}
BETWEEN = re.compile(r"(?<=[\w)])\s*([+\-−*×·/÷])\s*(?=[\w(])")
"""An arithmetic sign between two operands. A word before or after it must hold a digit or be one letter: x * 3."""
COMPARISON = re.compile(r"\b(?:more|less|fewer|\w+er) than\b|\bas \w+ as\b|[<>≤≥]", re.I)
CONDITIONAL = re.compile(r"\b(?:if|unless|otherwise|suppose|assuming|given that|provided)\b", re.I)
SENTENCE = re.compile(r"[.!?](?=\s|$)")
NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+")
"""A capitalised word within a sentence."""
UNITS = (
    {"mm", "cm", "m", "km", "inch", "inches", "foot", "feet", "yard", "yards", "mile", "miles", "meters", "metres"},
    {"mg", "g", "kg", "ounce", "ounces", "pound", "pounds", "grams", "kilograms", "ton", "tons"},
    {"second", "seconds", "minute", "minutes", "hour", "hours", "day", "days", "week", "weeks", "month", "months"},
    {"cent", "cents", "dollar", "dollars", "penny", "pennies", "dime", "dimes"},
    {"ml", "l", "liter", "liters", "litre", "litres", "cup", "cups", "pint", "pints", "gallon", "gallons"},
)
"""Words for units of one quantity: two of one row in a problem ask for a conversion."""
COUNTED = (
    "words", "sentences", "questions", "quantities", *SIGNS, "operations", "comparisons", "conditionals", "names",
    "unit_conversion", "steps",
)  # fmt: skip


def features(example: Example) -> dict[str, float]:
    """Return {feature: count} of a problem, the keys of COUNTED; unit_conversion is 0 or 1.

    Operations are looked for in the prompt and the reference answer, everything else in the prompt alone.
    """
    prompt = example.prompt
    words = re.findall(r"[^\W_]+(?:'\w+)?", prompt.lower())
    signs = Counter(_signs(f"{prompt} {example.answer}"))
    found: dict[str, float] = {
        "words": len(words),
        "sentences": len(SENTENCE.findall(prompt)),
        "questions": prompt.count("?"),
        "quantities": len(NUMBER.findall(prompt)),
        **{name: sum(signs[sign] for sign in given) for name, given in SIGNS.items()},
        "comparisons": len(COMPARISON.findall(prompt)),
        "conditionals": len(CONDITIONAL.findall(prompt)),
        "names": len(NAME.findall(prompt)),
        "unit_conversion": float(any(len(units & set(words)) > 1 for units in UNITS)),
    }
    found["operations"] = sum(found[name] for name in SIGNS)
    found["sentences"] -= found["questions"] if found["sentences"] >= found["questions"] else 0  # a question ends one
    found["steps"] = sum(found[n] for n in ("questions", "sentences", "operations", "comparisons", "conditionals"))
    return {name: found[name] for name in COUNTED}


def _signs(text: str) -> Iterable[str]:
    for match in BETWEEN.finditer(text):
        before = re.search(r"[\w)]+$", text[: match.start()])
        after = re.match(r"[\w(]+", text[match.end() :])
        if all(one and (len(one[0]) == 1 or re.search(r"[\d()]", one[0])) for one in (before, after)):
            yield match[1]


@lru_cache(maxsize=1)
def pipeline(name: str) -> Any:
    """Load a spaCy pipeline by its package or folder; UsageError when spaCy or the pipeline is not there."""
    try:
        import spacy
    except ImportError:
        raise UsageError("features of grammar need spaCy: pip install xferbench[grammar]") from None
    try:
        return spacy.load(name)
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())[:160]
        raise UsageError(f"spaCy has no pipeline {name!r}: give an installed one or a folder ({why})") from None


def grammar(prompts: Iterable[str], name: str) -> list[dict[str, float]]:
    """Return for each prompt how often each part of speech (pos_NOUN) and dependency (dep_parataxis) occurs."""
    found = []
    for doc in pipeline(name).pipe(prompts):
        tags = Counter(f"pos_{token.pos_}" for token in doc if token.pos_)
        tags.update(f"dep_{token.dep_}" for token in doc if token.dep_)
        found.append({key: float(count) for key, count in sorted(tags.items())})
    return found
