"""Contamination: which test items stand, whole or in part, in the text that a model is trained on.

Word n-grams (Brown et al. 2020, appendix C): coverage_n is the share of an item's words that lie in an n-gram which a
training document holds as well. An item is dirty when more than half of it is covered by 8-grams (the rule of Lambert
et al. 2024, Tulu 3), or when one document holds three fifths of its 3-grams (a near-duplicate). Nothing is sampled:
n-grams are compared by 64-bit hashes, and prefix filtering (Bayardo et al. 2007) misses no near-duplicate.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

VERSION = "1"
LENGTHS = (8, 13)
RULE = 8
"""The n-gram by whose coverage an item is called dirty."""
COVERED = 0.5
SHINGLE = 3
NEAR = 0.6
"""The share of an item's 3-grams that a near-duplicate holds: still so when one word in eight is another."""
AT_ONCE = 5_000
"""Documents looked through together."""

Words = NDArray[np.uint64]


@dataclass(frozen=True)
class Overlap:
    """How much of one item the documents hold: shares from 0 to 1; None where it has too few words to be judged."""

    coverage_8: float | None
    coverage_13: float | None
    near: float | None
    """The largest share of its distinct 3-grams in one document, where that is NEAR or more; else 0."""

    @property
    def dirty(self) -> bool | None:
        """True or False; None when the item is shorter than a 3-gram."""
        if self.near is None:
            return None
        return self.near >= NEAR or (self.coverage_8 or 0.0) > COVERED


def words(text: str) -> list[str]:
    """Return the words of a text: lower case, punctuation left out."""
    return re.findall(r"\w+", text.lower())


def overlaps(items: Sequence[str], documents: Iterable[str]) -> list[Overlap]:
    """Hold every item against all documents, in one pass over them; return one Overlap an item, in their order.

    The memory is that of the items and of AT_ONCE documents.
    """
    known: dict[str, int] = {}
    texts = [[known.setdefault(word, len(known) + 1) for word in words(item)] for item in items]
    codes = np.array([0, *(_code(word) for word in known)], dtype=np.uint64)
    grams = {n: _Grams([codes[text] for text in texts], n) for n in LENGTHS}
    near = _Near([codes[text] for text in texts])
    for batch in _batches(documents):
        # A word that no item has is 0: no n-gram that holds it can be an item's.
        found = [[known.get(word, 0) for word in words(document)] for document in batch]
        lengths = np.array([len(one) for one in found])
        flat = np.fromiter((word for one in found for word in one), dtype=np.int64, count=int(lengths.sum()))
        owner = np.repeat(np.arange(len(found)), lengths)
        stream = codes[flat]
        for gram in grams.values():
            gram.look(stream, flat, owner)
        near.look(stream, flat, owner)
    covered = {n: gram.coverage() for n, gram in grams.items()}
    return [Overlap(a, b, c) for a, b, c in zip(covered[8], covered[13], near.best(), strict=True)]


def _code(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little") | 1


def _batches(documents: Iterable[str]) -> Iterator[list[str]]:
    left = iter(documents)
    while batch := list(islice(left, AT_ONCE)):
        yield batch


def _hashes(stream: Words, n: int) -> Words:
    """Return the hash of each n-gram of a stream of word codes: a polynomial modulo 2^64, its terms mixed."""
    if len(stream) < n:
        return np.empty(0, dtype=np.uint64)
    total = np.zeros(len(stream) - n + 1, dtype=np.uint64)
    for place in range(n):
        total = total * np.uint64(0x9E3779B97F4A7C15) + stream[place : place + len(total)]
        total ^= total >> np.uint64(29)
    return total


def _whole(flat: NDArray[Any], owner: NDArray[Any], n: int) -> NDArray[Any]:
    """Return where the n-grams begin that lie in one document and have no unknown word."""
    if len(flat) < n:
        return np.empty(0, dtype=np.int64)
    unknown = np.concatenate([[0], np.cumsum(flat == 0)])
    starts = np.arange(len(flat) - n + 1)
    return starts[(unknown[starts + n] == unknown[starts]) & (owner[starts] == owner[starts + n - 1])]


class _Grams:
    """The n-grams of all items, and which of them were seen in a document."""

    def __init__(self, texts: Sequence[Words], n: int) -> None:
        self.n = n
        self.places = [_hashes(text, n) for text in texts]
        self.lengths = [len(text) for text in texts]
        self.all = np.unique(np.concatenate([*self.places, np.empty(0, dtype=np.uint64)]))
        self.seen = np.zeros(len(self.all), dtype=bool)

    def look(self, stream: Words, flat: NDArray[Any], owner: NDArray[Any]) -> None:
        starts = _whole(flat, owner, self.n)
        if len(starts) and len(self.all):
            found = _hashes(stream, self.n)[starts]
            place = np.minimum(np.searchsorted(self.all, found), len(self.all) - 1)
            self.seen[place[self.all[place] == found]] = True

    def coverage(self) -> list[float | None]:
        """Return the share of each item's words that lie in a seen n-gram."""
        shares: list[float | None] = []
        for hashes, length in zip(self.places, self.lengths, strict=True):
            if length < self.n:
                shares.append(None)
                continue
            hit = self.seen[np.searchsorted(self.all, hashes)]
            edges = np.zeros(length + 1, dtype=np.int64)
            np.add.at(edges, np.flatnonzero(hit), 1)
            np.add.at(edges, np.flatnonzero(hit) + self.n, -1)
            shares.append(float((np.cumsum(edges[:-1]) > 0).mean()))
        return shares


class _Near:
    """The 3-grams of all items: a document that is near one holds at least one of that item's rarest."""

    def __init__(self, texts: Sequence[Words]) -> None:
        self.sets = [np.unique(_hashes(text, SHINGLE)) for text in texts]
        self.shares = np.zeros(len(texts))
        often = Counter(int(one) for shingles in self.sets for one in shingles)
        postings: dict[int, list[int]] = {}
        for item, shingles in enumerate(self.sets):
            # NEAR of k shingles in common leaves at most k - ceil(NEAR k) out, so one of so many and one more is in.
            prefix = len(shingles) - math.ceil(NEAR * len(shingles) - 1e-9) + 1
            for one in sorted(map(int, shingles), key=lambda one: (often[one], one))[:prefix]:
                postings.setdefault(one, []).append(item)
        self.keys = np.array(sorted(postings), dtype=np.uint64)
        self.items = [np.array(postings[int(key)]) for key in self.keys]

    def look(self, stream: Words, flat: NDArray[Any], owner: NDArray[Any]) -> None:
        starts = _whole(flat, owner, SHINGLE)
        if not len(starts) or not len(self.keys):
            return
        found, whose = _hashes(stream, SHINGLE)[starts], owner[starts]
        place = np.minimum(np.searchsorted(self.keys, found), len(self.keys) - 1)
        hit = np.flatnonzero(self.keys[place] == found)
        pairs = {(int(whose[at]), int(item)) for at in hit for item in self.items[place[at]]}
        held: dict[int, Words] = {}
        for document, item in sorted(pairs):
            if document not in held:
                first, last = np.searchsorted(whose, [document, document + 1])
                held = {document: np.unique(found[first:last])}
            mine = self.sets[item]
            share = np.isin(mine, held[document], assume_unique=True).mean()
            self.shares[item] = max(self.shares[item], share)

    def best(self) -> list[float | None]:
        """Return the best share of each item, 0 below NEAR, None for an item without a 3-gram."""
        kept = np.where(self.shares >= NEAR - 1e-9, self.shares, 0.0)
        return [float(share) if len(mine) else None for share, mine in zip(kept, self.sets, strict=True)]
