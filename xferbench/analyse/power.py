"""What could have been seen: the smallest effect a design finds, and the items it takes to find a given one."""

import math

from scipy.special import ndtri


def detectable(variance: float, n: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the minimum detectable effect of a mean of n independent differences with this variance (one seed).

    delta = (z_{1-alpha/2} + z_power) sqrt(variance / n) (Miller 2024, arXiv 2411.00640, eq. 9 solved for delta), in
    the units of the scores. For a design with seeds use `Estimate.mde`, of which this is the limit.
    """
    if n < 1 or variance < 0:
        raise ValueError(f"variance {variance} over {n} items")
    return _factor(alpha, power) * math.sqrt(variance / n)


def detectable_binary(discordance: float, n: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the minimum detectable difference of two right-or-wrong conditions on the same n items.

    `discordance` is the share of items on which they differ. The variance of one difference is discordance - delta^2,
    so delta = f sqrt(discordance / (n + f^2)) with f = z_{1-alpha/2} + z_power, at most `discordance`. A fraction.
    """
    if n < 1 or not 0 <= discordance <= 1:
        raise ValueError(f"discordance {discordance} over {n} items")
    f = _factor(alpha, power)
    return min(f * math.sqrt(discordance / (n + f * f)), discordance) if discordance else 0.0


def items_needed(effect: float, variance: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Return how many items it takes to find `effect` when one difference has this variance (Miller 2024, eq. 9).

    n = (z_{1-alpha/2} + z_power)^2 variance / effect^2. For paired right-or-wrong scores the variance is
    discordance - effect^2.
    """
    if effect == 0 or variance < 0:
        raise ValueError(f"effect {effect}, variance {variance}")
    return max(1, math.ceil(_factor(alpha, power) ** 2 * variance / effect**2))


def _factor(alpha: float, power: float) -> float:
    return float(ndtri(1 - alpha / 2) + ndtri(power))
