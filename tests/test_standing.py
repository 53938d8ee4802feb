"""Ranks with ties: Holm by another road, simultaneous coverage of the rank intervals, and the crossed jackknife."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t

from xferbench.analyse.multiplicity import holm
from xferbench.analyse.standing import above, crossed, order, ranks
from xferbench.analyse.uncertainty import half_width, marginal

NUMBER = st.floats(-3, 3, allow_nan=False).map(lambda x: round(x, 3))


def normal(errors):
    """Half-widths of differences of independent normal means."""
    spread = np.hypot(np.array(errors)[:, None], np.array(errors)[None, :])
    return lambda alpha: norm.isf(alpha / 2) * spread


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NUMBER, st.floats(0.05, 2)), min_size=2, max_size=7))
def test_the_separated_pairs_are_those_that_holm_rejects(rivals):
    values, errors = zip(*rivals)
    found = above(values, normal(errors))
    pairs = [(i, j) for i in range(len(values)) for j in range(i)]
    z = [abs(values[i] - values[j]) / np.hypot(errors[i], errors[j]) for i, j in pairs]
    adjusted = holm(2 * norm.sf(z))
    for (i, j), p in zip(pairs, adjusted):
        if abs(p - 0.05) > 1e-9:
            assert (found[i, j] or found[j, i]) == (p < 0.05)
            assert not found[i, j] or values[i] > values[j]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NUMBER, st.floats(0.01, 2)), min_size=2, max_size=7))
def test_rank_intervals_hold_the_observed_rank_and_better_values_never_rank_worse_in_equal_noise(rivals):
    values, errors = zip(*rivals)
    intervals = ranks(above(values, normal(errors)))
    for i, (best, worst) in enumerate(intervals):
        higher, equal = sum(v > values[i] for v in values), sum(v == values[i] for v in values)
        assert best <= higher + equal
        assert worst >= higher + 1
    even = ranks(above(values, normal([0.5] * len(values))))
    by_value = [even[i] for i in np.argsort(values)[::-1]]
    assert [b for b, _ in by_value] == sorted(b for b, _ in by_value)


def test_nothing_known_separates_nothing():
    assert ranks(above([1.0, np.nan, 3.0], lambda a: np.full((3, 3), np.nan))) == [(1, 3)] * 3
    assert order([0.1, 0.3, 0.3], [(1, 3)] * 3, ["c", "b", "a"]) == [2, 1, 0]


@pytest.mark.parametrize(("truth", "seeds"), [((0.4, 0.4, 0.4, 0.4, 0.4), 3), ((0.5, 0.5, 0.4, 0.3, 0.3), 2)])
def test_true_ranks_lie_in_the_intervals_though_sources_share_items_and_baseline(truth, seeds):
    """Independent half-widths on scores of the same items: wrong separations in at most 5.5 % of boards."""
    rng = np.random.default_rng(0)
    items, boards, wrong = 200, 400, 0
    equal = np.equal.outer(truth, truth)
    for _ in range(boards):
        hard = rng.normal(0, 0.15, items)
        drift = rng.normal(0, 0.02, (len(truth), seeds, 1))
        scores = rng.random((len(truth), seeds, items)) < np.array(truth)[:, None, None] + hard + drift
        made = [marginal(one.mean(axis=1), one.std(axis=1, ddof=1) / items**0.5, items) for one in scores]
        a, b = (np.array([getattr(one, part) for one in made]) for part in ("seed_variance", "item_variance"))

        def half(alpha, a=a, b=b):
            return half_width(a[:, None] + a[None, :], seeds - 1, b[:, None] + b[None, :], items - 1, alpha)

        found = above([one.value for one in made], half)
        wrong += bool((found & (equal | np.less.outer(truth, truth))).any())
    assert wrong / boards <= 0.055


def test_the_crossed_jackknife_of_a_mean_is_the_spread_of_row_means_and_of_column_means():
    rng = np.random.default_rng(1)
    table = rng.normal(size=(2, 6, 8))
    used = np.ones((6, 8), bool)
    found = crossed(lambda mask: np.array([one[mask].mean() for one in table]), used)
    for place, one in enumerate(table):
        right = one.mean(axis=1).var(ddof=1) / 6 + one.mean(axis=0).var(ddof=1) / 8
        assert found.errors[place] ** 2 == pytest.approx(right)
    gap = table[0] - table[1]
    right = gap.mean(axis=1).var(ddof=1) / 6 + gap.mean(axis=0).var(ddof=1) / 8
    assert found.differences[0, 1] ** 2 == pytest.approx(right)
    assert found.half(0.05)[0, 1] == pytest.approx(t.isf(0.025, 5) * right**0.5)


def test_the_crossed_jackknife_covers_at_least_as_often_as_it_says():
    """Random sources and targets: the 95 % interval of a difference of two recipes holds the truth."""
    rng = np.random.default_rng(2)
    hits, tries = 0, 400
    used = np.ones((6, 7), bool)
    for _ in range(tries):
        gap = 0.1 + rng.normal(0, 0.05, (6, 1)) + rng.normal(0, 0.05, (1, 7)) + rng.normal(0, 0.03, (6, 7))
        table = np.stack([gap, np.zeros((6, 7))])
        found = crossed(lambda mask, table=table: np.array([one[mask].mean() for one in table]), used)
        hits += abs(gap.mean() - 0.1) <= found.half(0.05)[0, 1]
    assert 0.94 <= hits / tries <= 0.995


def test_one_source_and_one_target_have_no_spread_and_many_are_left_out_by_groups():
    assert crossed(lambda mask: np.array([1.0]), np.ones((1, 1), bool)) is None
    rng = np.random.default_rng(3)
    table = rng.normal(size=(120, 2))
    found = crossed(lambda mask: np.array([table[mask].mean()]), np.ones((120, 2), bool))
    assert found.df == 1  # two targets
    rows = crossed(lambda mask: np.array([table[:, :1][mask].mean()]), np.ones((120, 1), bool))
    assert rows.df == 49
    assert rows.errors[0] == pytest.approx(table[:, 0].std(ddof=1) / 120**0.5, rel=0.3)
