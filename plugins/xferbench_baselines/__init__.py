"""Scorers that cost little: what a gradient scorer must beat before it is worth its computing time.

Only embedding and loss_reduction look at the network, forward. All are deterministic, independent of the order of the
examples, and positive where training on the example is guessed to help. A "word" is a run of letters and digits, in
lower case, of the prompt and the answer together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from xferbench import Example, UsageError, hookimpl


@dataclass(frozen=True)
class Random:
    """Draw each score from a normal distribution: the floor. It depends on the seed, the example's id and the group."""

    name: ClassVar[str] = "random"

    seed: int = 0
    """Another seed gives other scores."""

    def score(self, model: Any, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
        """Return a float array (examples, groups), standard normal."""
        from xferbench_baselines.chance import draws

        return draws(self.seed, examples, queries)


@dataclass(frozen=True)
class Vocabulary:
    """Compare an example's words with all words of the group, taken together.

    jaccard: |A & B| / |A | B| of the two sets of words. js: 1 - JSD(P, Q), the Jensen-Shannon divergence in bits
    (Lin, 1991) between the two distributions over words. Both lie in 0 ... 1; 1 means the same words.
    """

    name: ClassVar[str] = "vocabulary"
    similarity: ClassVar[str] = "vocabulary"

    measure: str = "jaccard"
    """jaccard (sets of words) or js (how often each word is used)."""

    def score(self, model: Any, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
        """Return a float array (examples, groups) in 0 ... 1. Raises UsageError for an unknown measure."""
        from xferbench_baselines import words

        measures = {"jaccard": words.jaccard, "js": words.jensen_shannon}
        if self.measure not in measures:
            raise UsageError(f"scorer vocabulary has no measure {self.measure!r} (known: jaccard, js)")
        return measures[self.measure](examples, queries)


@dataclass(frozen=True)
class BM25:
    """Rank the examples as documents for the group's queries with Okapi BM25; the mean over the group's queries.

    sum over words w of the query of  idf(w) * f (k1 + 1) / (f + k1 (1 - b + b |d| / mean |d|)),  f = how often w is
    in the example d, idf(w) = log(1 + (N - n + 1/2) / (n + 1/2)), n of the N examples hold w.
    Source: Robertson and Zaragoza, 2009, with the idf that cannot be negative.
    """

    name: ClassVar[str] = "bm25"

    k1: float = 1.2
    """How soon a repeated word stops counting; 0 counts each word once."""
    b: float = 0.75
    """How far long examples are marked down: 0 not at all, 1 in full."""

    def score(self, model: Any, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
        """Return a float array (examples, groups), 0 or more."""
        from xferbench_baselines.words import bm25

        return bm25(examples, queries, self.k1, self.b)


@dataclass(frozen=True)
class Length:
    """Score an example by its number of words, the same for each group: does a scorer only see length?"""

    name: ClassVar[str] = "length"

    part: str = "answer"
    """answer (what is learnt) or all (prompt and answer)."""

    def score(self, model: Any, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
        """Return a float array (examples, groups): words. Raises UsageError for an unknown part."""
        from xferbench_baselines.words import lengths

        if self.part not in ("answer", "all"):
            raise UsageError(f"scorer length has no part {self.part!r} (known: answer, all)")
        return lengths(examples, queries, self.part == "all")


@dataclass(frozen=True)
class Embedding:
    """Cosine of e(z) with the mean of e(z') over the group, each e of length 1: does the text mean something alike?

    e is the mean over tokens of the last hidden states: of a sentence encoder, or by default of the network itself.
    """

    name: ClassVar[str] = "embedding"
    similarity: ClassVar[str] = "meaning"

    encoder: str = ""
    """Folder of a sentence encoder (sentence-transformers, mean pooling); empty: the network that is scored."""

    def score(self, model: Any, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
        """Return a float array (examples, groups) in -1 ... 1. Raises UsageError for a folder without an encoder."""
        from xferbench_baselines.network import nearness

        return nearness(model, self.encoder, examples, queries)


@dataclass(frozen=True)
class Style:
    """Compare how an example is written with how the group's queries are, whatever they are about.

    Without an encoder: 1 - JSD, in bits, between the distributions of single signs and pairs of signs, where every word
    but the function words is distorted to its shape (Stamatatos 2017, text distortion). It lies in 0 ... 1.
    """

    name: ClassVar[str] = "style"
    similarity: ClassVar[str] = "style"

    encoder: str = ""
    """Folder of a style encoder (such as that of Wegmann et al., 2022): cosine as of scorer embedding; empty: none."""

    def score(self, model: Any, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
        """Return a float array (examples, groups). Raises UsageError for a folder without an encoder."""
        if self.encoder:
            from xferbench_baselines.network import nearness

            return nearness(model, self.encoder, examples, queries)
        from xferbench_baselines.style import alike

        return alike(examples, queries)


@dataclass(frozen=True)
class Structure:
    """Compare what is counted in a problem (questions, quantities, operations, ...) with the group's means.

    sum over features min(x, m) / sum max(x, m) (weighted Jaccard, Ruzicka 1958), in 0 ... 1; x of the example, m the
    mean over the group's queries. Words and steps, which count the others again, are left out.
    """

    name: ClassVar[str] = "structure"
    similarity: ClassVar[str] = "structure"

    def score(self, model: Any, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
        """Return a float array (examples, groups) in 0 ... 1; 0 where neither side has anything to count."""
        from xferbench_baselines.style import structures

        return structures(examples, queries)


@dataclass(frozen=True)
class LossReduction:
    """Loss before training minus loss after: mean over the group of l(z'; base) - l(z'; trained), in nats.

    l is the mean over answer tokens of -log p. It is measured on the target's queries, so it is the same for all
    examples of one source: a yardstick for which source helps, and not for which example. Before is the network with
    its adapter switched off.
    """

    name: ClassVar[str] = "loss_reduction"

    part: str = "target"
    """target, or example: l of the example itself, the same for each group: what was learnt most."""

    def score(self, model: Any, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
        """Return a float array (examples, groups), in nats. Raises UsageError where there is no adapter."""
        from xferbench_baselines.network import reductions

        if self.part not in ("target", "example"):
            raise UsageError(f"scorer loss_reduction has no part {self.part!r} (known: target, example)")
        return reductions(model, self.part, examples, queries)


@hookimpl
def provide_scorers() -> Iterable[type]:
    """Return the baselines."""
    return (Random, Vocabulary, BM25, Length, Embedding, Style, Structure, LossReduction)
