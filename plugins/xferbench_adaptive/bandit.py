"""The rule that moves the ratios, on plain numbers: a learnability bandit, with or without the agreement of gradients.

m_d(r) is what domain d measures after round r, higher is better (held-out reward, or minus held-out loss; r = 0: before
training). With |D| domains,

    progress  P_d(r) = m_d(r) - m_d(r-1)
    smoothed  A_d(r) = (1 - s) A_d(r-1) + s P_d(r),  A_d(1) = P_d(1)
    score     S_d    = A_d                                                     method=learnability
              S_d    = A_d (1 + a / (|D| - 1) sum_{e != d} cos(g_d, g_e))      method=gradient
    ratio     p_d    = f / |D| + (1 - f) softmax_d( S_d / (tau max_e |S_e|) )

g_d is the gradient of d's held-out loss. The score is that of TAC (arXiv 2606.25178, equation as cited there) with
progress in place of the mean advantage, which supervised training lacks; dividing by the largest score is ours: it
frees tau of the unit of the measure, and leaves the agreement without effect where there are only two domains. Every
domain keeps f / |D|, so one that was given up can come back. s, tau, f, a: smoothing, temperature, floor, agreement.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

Measures = Mapping[str, float]
"""Domain -> what it measures; higher is better."""


def smoothed(history: Sequence[Measures], smoothing: float) -> dict[str, float]:
    """Return A_d after the last of `history` (one Measures a round, the first from before training)."""
    found: dict[str, float] = {}
    for before, after in pairwise(history):
        for domain, value in after.items():
            progress = value - before[domain]
            found[domain] = (1 - smoothing) * found[domain] + smoothing * progress if domain in found else progress
    return found


def aligned(progress: Measures, cosines: Mapping[tuple[str, str], float], agreement: float) -> dict[str, float]:
    """Return S_d with agreement; `cosines` has both orders of every pair of domains."""
    if len(progress) < 2:
        return dict(progress)
    others = {d: sum(cosines[d, e] for e in progress if e != d) / (len(progress) - 1) for d in progress}
    return {domain: value * (1 + agreement * others[domain]) for domain, value in progress.items()}


def ratios(scores: Measures, temperature: float, floor: float) -> dict[str, float]:
    """Return p_d, which sum to 1: equal where no score differs from 0."""
    largest = max(abs(score) for score in scores.values()) or 1.0
    exponents = {domain: math.exp(score / largest / temperature) for domain, score in scores.items()}
    total = sum(exponents.values())
    return {domain: floor / len(scores) + (1 - floor) * value / total for domain, value in exponents.items()}


def counts(ratios: Measures, total: int) -> dict[str, int]:
    """Split `total` draws by the ratios into whole numbers (largest remainders)."""
    exact = {domain: total * ratio for domain, ratio in ratios.items()}
    found = {domain: math.floor(value) for domain, value in exact.items()}
    order = sorted(found, key=lambda domain: (found[domain] - exact[domain], domain))
    for domain in order[: total - sum(found.values())]:
        found[domain] += 1
    return found
