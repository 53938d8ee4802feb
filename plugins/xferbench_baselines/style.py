"""How a text is written and what a problem is made of, without looking at what it is about."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from xferbench import Example, features
from xferbench_baselines.words import similarity

WORDS = """
a about above after again all also although am an and any are as at be because been before being below between both
but by can could did do does doing down during each either else ever every few for from further had has have having
he her here hers him his how however i if in into is it its itself just least less many may me might more most much
must my neither never no nor not now of off often on once one only or other our out over own perhaps quite rather
same shall she should since so some still such than that the their them then there therefore these they this those
though through thus to too under until up upon us very was we well were what when where whether which while who whom
whose why will with within without would yet you your
"""
FUNCTION = frozenset(WORDS.split())
"""Words that say how something is put, and not what it is about."""
SIGN = re.compile(r"\w+|[^\w\s]|\n")
AGAIN = ("words", "operations", "steps")
"""Features that count others again, or only length."""


def distorted(text: str) -> Counter[str]:
    """Count the signs of a text and its pairs of signs: function words and punctuation as they are, else the shape."""
    signs = ["\n" if one == "\n" else _shape(one) for one in SIGN.findall(text)]
    return Counter([*signs, *(f"{a} {b}" for a, b in pairwise(signs))])


def _shape(word: str) -> str:
    if word.lower() in FUNCTION or not word[0].isalnum():
        return word.lower()
    if word.isdigit():
        return "#" * min(len(word), 4)
    start = "X" if word[0].isupper() else "x"
    return start + ("" if len(word) < 4 else "x" if len(word) < 8 else "xx")


def alike(examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
    """Return 1 - JSD in bits (examples, groups) of distorted signs; 0 where one side has none."""
    groups = [sum((distorted(f"{q.prompt} {q.answer}") for q in group), Counter[str]()) for group in queries]
    own = [distorted(f"{one.prompt} {one.answer}") for one in examples]
    return np.array([[similarity(mine, other) for other in groups] for mine in own])


def structures(examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
    """Return the weighted Jaccard similarity (examples, groups) of counted features and their mean over each group."""
    own = _counted(examples)[:, None]
    means = np.stack([_counted(group).mean(axis=0) for group in queries])[None]
    whole = np.maximum(own, means).sum(axis=2)
    return np.divide(np.minimum(own, means).sum(axis=2), whole, out=np.zeros_like(whole), where=whole > 0)


def _counted(given: Sequence[Example]) -> Any:
    return np.array([[n for name, n in features(one).items() if name not in AGAIN] for one in given], dtype=float)
