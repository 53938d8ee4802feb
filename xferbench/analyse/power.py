"""What could have been seen: the smallest effect a design finds, and the items it takes to find a given one."""

import dataclasses
import math

from scipy.special import ndtri

from xferbench.analyse.uncertainty import Estimate


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


def needed(estimate: Estimate, effect: float, seeds: int = 100, items: int = 1_000_000) -> dict[str, int | None]:
    """Return {"seeds": with these items, "items": with these seeds} that would find `effect` with 80 % power.

    The variances seen are taken as they are: that between seeds falls as 1 / seeds, that of the items as 1 / items
    (`Estimate.mde` of the larger design). None where `seeds` or `items` would not do, and for seeds where one seed was
    run, whose spread is not known.
    """

    def enough(many_seeds: int, many_items: int) -> bool:
        larger = dataclasses.replace(
            estimate, seeds=many_seeds, n=many_items, item_df=max(estimate.item_df, many_items - 1),
            seed_variance=estimate.seed_variance * estimate.seeds / many_seeds,
            item_variance=estimate.item_variance * estimate.n / many_items,
        )  # fmt: skip
        return larger.mde() <= effect

    known = range(estimate.seeds, seeds + 1) if estimate.seeds > 1 else ()
    least = next((many for many in known if enough(many, estimate.n)), None)
    low, high = estimate.n - 1, items
    if not enough(estimate.seeds, high):
        return {"seeds": least, "items": None}
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(estimate.seeds, middle) else (middle, high)
    return {"seeds": least, "items": high}


def _factor(alpha: float, power: float) -> float:
    return float(ndtri(1 - alpha / 2) + ndtri(power))
