"""How well one ranking foretells another: correlations of ranks, and what it costs to trust the prediction."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from scipy.stats import kendalltau, rankdata


def spearman(x: ArrayLike, y: ArrayLike) -> float | None:
    """Return the correlation of the ranks of x and y (cells,), ties at their mean rank; None when one is constant."""
    a, b = rankdata(np.asarray(x, float)), rankdata(np.asarray(y, float))
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(np.clip(a @ b / scale, -1, 1)) if scale > 0 else None


def kendall(x: ArrayLike, y: ArrayLike) -> float | None:
    """Return Kendall's tau-b of x and y (cells,); None when one is constant."""
    tau = float(kendalltau(np.asarray(x, float), np.asarray(y, float)).statistic)
    return tau if math.isfinite(tau) else None


def spearman_interval(rho: float, n: int, alpha: float = 0.05) -> tuple[float, float] | None:
    """Return tanh(atanh(rho) -+ z sqrt((1 + rho^2 / 2) / (n - 3))) (Bonett and Wright 2000, Psychometrika 65, 23-28).

    n cells, at least 4 (else None), taken as independent. A perfect rho counts as half a step below 1, the distance to
    the next value that n untied ranks can take being 12 / (n (n^2 - 1)): the formula alone would claim certainty.
    """
    if n < 4:
        return None
    return _fisher(rho, math.sqrt((1 + rho * rho / 2) / (n - 3)), 6 / (n * (n * n - 1)), alpha)


def kendall_interval(tau: float, n: int, alpha: float = 0.05) -> tuple[float, float] | None:
    """Return tanh(atanh(tau) -+ z sqrt(0.437 / (n - 4))) (Fieller, Hartley and Pearson 1957), n at least 5."""
    return _fisher(tau, math.sqrt(0.437 / (n - 4)), 2 / (n * (n - 1)), alpha) if n > 4 else None


def _fisher(r: float, se: float, step: float, alpha: float) -> tuple[float, float]:
    inner = min(max(r, step - 1), 1 - step)
    z, width = math.atanh(inner), -float(ndtri(alpha / 2)) * se
    return min(math.tanh(z - width), r), max(math.tanh(z + width), r)


def trusted(predicted: ArrayLike, measured: ArrayLike) -> NDArray[np.intp]:
    """The order (best first) in which a prediction ranks sources; ties count against it (worse measured first)."""
    return np.lexsort((np.asarray(measured, float), -np.asarray(predicted, float)))


def regret(predicted: ArrayLike, measured: ArrayLike, k: int = 1) -> float:
    """Return max(measured) - max(measured among the k sources predicted best): what trusting it costs on one target.

    Arrays (sources,); in the units of `measured`; 0 is best.
    """
    gains = np.asarray(measured, float)
    return float(gains.max() - gains[trusted(predicted, gains)[:k]].max())


def ndcg(predicted: ArrayLike, measured: ArrayLike) -> float | None:
    """Return the normalised discounted cumulative gain of the predicted order (Jarvelin and Kekalainen 2002).

    sum_r g_(r) / log2(r + 1) over that of the best order, with g = measured - min(measured): 1 is perfect. None when
    all measured gains are equal. Arrays (sources,).
    """
    gains = np.asarray(measured, float)
    gains = gains - gains.min()
    weight = 1 / np.log2(np.arange(2, gains.size + 2))
    best = float(np.sort(gains)[::-1] @ weight)
    return float(gains[trusted(predicted, gains)] @ weight) / best if best > 0 else None
