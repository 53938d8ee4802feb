"""Tests of two conditions: did they differ, is one no worse, are they the same for all practical purposes?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, gammaln, xlogy

from xferbench.analyse.uncertainty import Estimate


@dataclass(frozen=True)
class McNemar:
    """Items that only the first (`b`) or only the second condition (`c`) got right, and what follows."""

    b: int
    c: int
    n: int
    effect: float
    """(b - c) / n, a fraction."""
    exact: float
    mid_p: float


def mcnemar(first: ArrayLike, second: ArrayLike) -> McNemar:
    """Test two right-or-wrong conditions, scores (items,) of 0 and 1 on the same items, for one seed each.

    Under no difference min(b, c) ~ Binomial(b + c, 1/2). exact = min(1, 2 P(X <= min(b, c))) (McNemar 1947); mid_p
    takes half of the probability of the outcome seen (Fagerland et al. 2013, BMC Med. Res. Methodol. 13:91), less
    cautious and still sound. ValueError for scores other than 0 and 1.
    """
    x, y = np.asarray(first, float), np.asarray(second, float)
    if x.shape != y.shape or x.ndim != 1 or x.size == 0:
        raise ValueError(f"scores of shape {x.shape} and {y.shape}: need the same items, one after another")
    if not (np.isin(x, (0, 1)).all() and np.isin(y, (0, 1)).all()):
        raise ValueError("McNemar's test is for scores of 0 and 1")
    b, c = int(((x == 1) & (y == 0)).sum()), int(((x == 0) & (y == 1)).sum())
    least, total = min(b, c), b + c
    if total == 0:
        return McNemar(b, c, x.size, 0.0, 1.0, 1.0)
    tail = float(bdtr(least, total, 0.5))
    here = float(np.exp(gammaln(total + 1) - gammaln(least + 1) - gammaln(total - least + 1) + xlogy(total, 0.5)))
    exact = min(1.0, 2 * tail)
    middle = 1.0 - here if b == c else 2 * tail - here
    return McNemar(b, c, x.size, (b - c) / x.size, exact, min(1.0, middle))


def not_inferior(gap: Estimate, margin: float) -> float:
    """Return the one-sided p-value of "the mean is `margin` or more below 0", for a gap = new - reference.

    Small: the new one is at most `margin` worse (Wellek 2010, ch. 2). At 0.025 it is the rule low > -margin of a
    two-sided 95 % interval. Fractions.
    """
    two_sided = gap.p(-margin)
    return two_sided / 2 if gap.value > -margin else 1 - two_sided / 2


def equivalent(gap: Estimate, margin: float) -> float:
    """Return the p-value of two one-sided tests that the mean lies outside (-margin, margin) (Schuirmann 1987, TOST).

    Small: no difference that matters. At 0.025 it is the rule that the two-sided 95 % interval lies inside the margin.
    """
    upper = gap.p(margin)
    return max(not_inferior(gap, margin), upper / 2 if gap.value < margin else 1 - upper / 2)
