"""Scores from words alone. Everything is a sum over the words of one example, so the cost grows with the text read."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from xferbench import Example

_WORD = re.compile(r"\w+")


def _counts(example: Example) -> Counter[str]:
    return Counter(_WORD.findall(f"{example.prompt} {example.answer}".lower()))


def _total(group: Sequence[Example]) -> Counter[str]:
    total: Counter[str] = Counter()
    for example in group:
        total.update(_counts(example))
    return total


def jaccard(examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
    """Return the Jaccard similarity (examples, groups) of word sets; 0 where both sets are empty."""
    groups = [set(_total(group)) for group in queries]
    scores = np.zeros((len(examples), len(groups)))
    for row, example in enumerate(examples):
        own = set(_counts(example))
        for column, other in enumerate(groups):
            shared = len(own & other)
            scores[row, column] = shared / max(1, len(own) + len(other) - shared)
    return scores


def jensen_shannon(examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
    """Return 1 - JSD in bits (examples, groups) of word frequencies; 0 where one side has no word."""
    groups = [_total(group) for group in queries]
    scores = np.zeros((len(examples), len(groups)))
    for row, example in enumerate(examples):
        own = _counts(example)
        for column, other in enumerate(groups):
            scores[row, column] = similarity(own, other)
    return scores


def similarity(own: Counter[str], other: Counter[str]) -> float:
    """Return 1 - JSD in bits of two counts; 0 where one side is empty."""
    n, m = own.total(), other.total()
    if not n or not m:
        return 0.0
    # Words on one side only add their whole share, so 1 - JSD is a sum over the words that both sides use.
    similarity = 0.0
    for word in sorted(own.keys() & other.keys()):
        p, q = own[word] / n, other[word] / m
        similarity += (p + q - p * math.log2(2 * p / (p + q)) - q * math.log2(2 * q / (p + q))) / 2
    return similarity


def bm25(examples: Sequence[Example], queries: Sequence[Sequence[Example]], k1: float, b: float) -> Any:
    """Return the mean BM25 score (examples, groups) of each example over the queries of a group."""
    documents = [_counts(example) for example in examples]
    sizes = np.array([document.total() for document in documents], dtype=float)
    penalty = k1 * (1 - b + b * sizes / max(sizes.mean(), 1.0)) if len(documents) else sizes
    held = Counter(word for document in documents for word in document)
    idf = {word: math.log(1 + (len(documents) - n + 0.5) / (n + 0.5)) for word, n in held.items()}
    groups = [_total(group) for group in queries]
    scores = np.zeros((len(documents), len(groups)))
    for row, document in enumerate(documents):
        gains = {word: idf[word] * f * (k1 + 1) / (f + penalty[row]) for word, f in document.items()}
        for column, group in enumerate(groups):
            # The score is linear in how often the query holds a word, so a whole group is one sum.
            total = sum(gain * group[word] for word, gain in gains.items() if word in group)
            scores[row, column] = total / max(1, len(queries[column]))
    return scores


def lengths(examples: Sequence[Example], queries: Sequence[Sequence[Example]], whole: bool) -> Any:
    """Return the number of words (examples, groups) of the answer, or with `whole` of prompt and answer."""
    texts = (f"{e.prompt} {e.answer}" if whole else e.answer for e in examples)
    column = np.array([len(_WORD.findall(text)) for text in texts], dtype=float)
    return np.repeat(column[:, None], len(queries), axis=1)
