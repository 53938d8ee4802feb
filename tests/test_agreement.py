"""Predicted against measured transfer: scipy, brute force and published intervals as witnesses."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from xferbench.analyse import agreement as agreeing
from xferbench.analyse import rank
from xferbench.analyse.agreement import agreement, draw, text
from xferbench.analyse.qap import qap
from xferbench.errors import UsageError
from xferbench.results import Cell, Results

SOME = st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=4, max_size=30)


def rows(predicted, measured, own=True, scorer="cosine"):
    """Results whose attribution is `predicted` and whose gains are `measured` (sources, targets)."""
    k, m = np.shape(measured)
    cell = Cell("baseline", "", "sft", "", "", None, "acc", 0.3, 0.01, 100, "")
    cells, attribution = [], []
    for j in range(m):
        cells.append(replace(cell, target=f"t{j}", step=f"b{j}"))
        if own:
            cells.append(replace(cell, condition="direct", curriculum=f"s{j}", target=f"t{j}", seed=0, step=f"d{j}"))
        for i in range(k):
            step = f"d{j}" if own and i == j else f"x{i}-{j}"
            value = cells[-1].value if own and i == j else 0.3 + measured[i][j]
            cells.append(
                replace(cell, condition="transfer", curriculum=f"s{i}", source=f"s{i}", target=f"t{j}", seed=0,
                        step=step, value=value)
            )  # fmt: skip
            attribution.append({"scorer": scorer, "source": f"s{i}", "target": f"t{j}", "mean": predicted[i][j]})
    return Results({}, cells, attribution, [], None)


@given(SOME)
@settings(deadline=None)
def test_spearman_is_that_of_scipy(pairs):
    x, y = zip(*pairs, strict=True)
    expected = None if len(set(x)) == 1 or len(set(y)) == 1 else stats.spearmanr(x, y).statistic
    assert rank.spearman(x, y) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("n", "low", "high"), [(6, -0.20, 0.98), (12, 0.33, 0.95), (20, 0.50, 0.93), (30, 0.58, 0.91), (90, 0.69, 0.87)]
)
def test_interval_of_a_rho_of_eight_tenths(n, low, high):
    assert rank.spearman_interval(0.8, n) == pytest.approx((low, high), abs=0.005)


@given(st.floats(-1, 1), st.integers(4, 60))
@settings(deadline=None)
def test_intervals_hold_the_value_and_stay_within_one(rho, n):
    for interval in (rank.spearman_interval(rho, n), rank.kendall_interval(rho, n)):
        if interval is not None:
            assert -1 <= interval[0] <= rho <= interval[1] <= 1
            assert interval[0] < 1
            assert interval[1] > -1
    assert rank.spearman_interval(rho, 3) is None


@given(SOME)
@settings(deadline=None)
def test_choices_by_brute_force(pairs):
    x, y = (np.array(v) for v in zip(*pairs, strict=True))
    order = sorted(range(len(x)), key=lambda i: (-x[i], y[i]))
    for k in (1, 3):
        assert rank.regret(x, y, k) == pytest.approx(max(y) - max(y[i] for i in order[:k]))
    gains = y - y.min()
    ideal = sum(g / math.log2(r + 2) for r, g in enumerate(sorted(gains, reverse=True)))
    found = sum(gains[i] / math.log2(r + 2) for r, i in enumerate(order))
    assert rank.ndcg(x, y) == (pytest.approx(found / ideal) if ideal > 0 else None)
    assert rank.ndcg(y, y) in (None, pytest.approx(1))
    assert rank.regret(y, y) == 0


def test_qap_by_enumeration():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 4)), rng.normal(size=(4, 4))
    np.fill_diagonal(x, np.nan)
    off = ~np.eye(4, dtype=bool)
    rho = [
        stats.spearmanr(x[np.ix_(order, order)][off], y[off]).statistic for order in itertools.permutations(range(4))
    ]
    found = qap(x, y, paired=True)
    assert found.p == pytest.approx(np.mean([r >= rho[0] - 1e-12 for r in rho]))
    assert (found.floor, found.exact, found.permutations) == (1 / 24, True, 24)
    beyond = [np.hstack([m, rng.normal(size=(4, 2))]) for m in (x, y)]  # two targets more, which no source is
    used = np.hstack([off, np.ones((4, 2), bool)])
    rho = [
        stats.spearmanr(beyond[0][np.ix_(order, [*order, 4, 5])][used], beyond[1][used]).statistic
        for order in itertools.permutations(range(4))
    ]
    assert qap(*beyond, paired=True).p == pytest.approx(np.mean([r >= rho[0] - 1e-12 for r in rho]))
    rows_only = qap(y[:, :3], y[:, :3], paired=False)
    assert rows_only.p == 1 / 24
    assert rows_only.permuted == "rows"


@pytest.mark.parametrize(("k", "floor"), [(3, 1 / 6), (4, 1 / 24), (5, 1 / 120), (6, 1 / 720), (8, 1 / 2001)])
def test_floor_of_the_permutation_test(k, floor):
    perfect = np.random.default_rng(k).normal(size=(k, k))
    found = qap(perfect, perfect, paired=True, resamples=2000)
    assert found.floor == pytest.approx(floor)
    assert found.p == pytest.approx(floor)


def test_qap_keeps_its_size_where_cells_share_rows():
    """A scorer that knows nothing, on gains with strong source effects: 5 %, where cells as such give far more."""
    rng = np.random.default_rng(1)
    wrong = naive = 0
    for _ in range(100):
        effect = rng.normal(size=(5, 1)) + 0.2 * rng.normal(size=(5, 4))
        guess = rng.normal(size=(5, 1)) + 0.2 * rng.normal(size=(5, 4))
        wrong += qap(guess, effect, paired=False).p <= 0.05
        naive += stats.spearmanr(guess.ravel(), effect.ravel(), alternative="greater").pvalue <= 0.05
    assert wrong / 100 <= 0.1 < 0.15 < naive / 100


def test_targets_of_no_source_stay_where_they_are():
    """The permuted labels are the domains': a further target is a column of its own, whatever the targets' order."""
    rng = np.random.default_rng(6)
    gains, guess = rng.normal(0, 0.1, (5, 6)), rng.normal(0, 0.1, (5, 6))
    results = rows(guess, gains)
    (found,) = agreement(results)
    turned = replace(results, cells=sorted(results.cells, key=lambda cell: cell.target, reverse=True))
    (other,) = agreement(turned)
    np.fill_diagonal(guess, np.nan)
    assert found["cells"] == 25
    assert found["p_qap"] == other["p_qap"] == pytest.approx(qap(guess, gains, paired=True).p)
    assert found["permuted"] == "rows and columns"


def test_a_perfect_scorer_over_a_square_matrix():
    gains = np.random.default_rng(2).normal(0, 0.1, (5, 5))
    (found,) = agreement(rows(100 * gains + 3, gains))
    assert found["spearman"] == 1
    assert found["kendall"] == 1
    assert found["low"] < 1 <= found["high"]
    assert found["cells"] == 20
    assert found["p_qap"] == pytest.approx(1 / 120)
    assert found["permuted"] == "rows and columns"
    assert (found["top1"], found["regret1"], found["ndcg"]) == (1, 0, 1)
    assert found["scorer"] == "cosine"
    assert found["recipe"] == "sft"
    assert found["reason"] is None
    (against,) = agreement(rows(-gains, gains))
    assert against["spearman"] == -1
    assert against["p_qap"] == 1
    assert against["top1"] == 0
    off = [[gains[i, j] for i in range(5) if i != j] for j in range(5)]
    assert against["regret1"] == pytest.approx(np.mean([max(c) - min(c) for c in off]))
    assert against["regret1_chance"] == pytest.approx(np.mean([max(c) - np.mean(c) for c in off]))


def test_rectangular_rows_only():
    gains = np.random.default_rng(3).normal(0, 0.1, (4, 2))
    (found,) = agreement(rows(gains, gains, own=False))
    assert found["cells"] == 8
    assert found["permuted"] == "rows"
    assert found["p_floor"] == pytest.approx(1 / 24)
    assert found["cluster_low"] <= found["spearman"]
    assert found["by_target"] == {"t0": 1.0, "t1": 1.0}
    assert found["points"][0]["source"] == "s0"
    assert found["points"][0]["target"] == "t0"


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=4, max_size=12))
def test_kendall_with_ties_by_counting_pairs(pairs):
    x, y = (np.array(v, float) for v in zip(*pairs, strict=True))
    both = list(itertools.combinations(range(len(x)), 2))
    signs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i, j in both]
    scale = math.sqrt(sum(a != 0 for a, _ in signs) * sum(b != 0 for _, b in signs))
    right = sum(a * b for a, b in signs) / scale if scale else None
    assert rank.kendall(x, y) == (None if right is None else pytest.approx(right, abs=1e-12))


@pytest.mark.parametrize("rho", [-0.6, 0.0, 0.3])
def test_intervals_by_hand(rho):
    """Bonett and Wright's, and Fieller's, written out with the logarithm that atanh is."""
    z, n = 0.5 * math.log((1 + rho) / (1 - rho)), 25
    for found, width in (
        (rank.spearman_interval(rho, n), 1.959964 * math.sqrt((1 + rho**2 / 2) / 22)),
        (rank.kendall_interval(rho, n), 1.959964 * math.sqrt(0.437 / 21)),
    ):
        right = [(math.exp(2 * end) - 1) / (math.exp(2 * end) + 1) for end in (z - width, z + width)]
        assert found == pytest.approx(right, abs=1e-6)


def test_the_cluster_bootstrap_draws_whole_sources():
    """Against a plain loop over sources with scipy's correlations; and no surer than what the cells alone claim."""
    rng = np.random.default_rng(7)
    effect = rng.normal(size=(6, 1))
    gains = 0.05 * (effect + 0.5 * rng.normal(size=(6, 5)))
    guess = effect + 0.7 * rng.normal(size=(6, 5))
    (found,) = agreement(rows(guess, gains, own=False), resamples=400)
    for statistic, low, high in (
        (stats.spearmanr, found["cluster_low"], found["cluster_high"]),
        (stats.kendalltau, found["kendall_cluster_low"], found["kendall_cluster_high"]),
    ):
        draw, right = np.random.default_rng(0), []
        for _ in range(400):
            cells = [(guess[i][j], gains[i][j]) for i in draw.integers(0, 6, 6) for j in range(5)]
            right.append(statistic(*zip(*cells, strict=True)).statistic)
        assert (low, high) == pytest.approx(tuple(np.percentile(right, [2.5, 97.5])), abs=1e-9)


@pytest.mark.parametrize(
    ("predicted", "measured", "reason"),
    [
        (np.ones((3, 3)), np.eye(3), "all predictions are equal"),
        (np.eye(3) + np.arange(3), np.zeros((3, 3)), "all measured gains are equal"),
        ([[1.0]], [[0.1]], "there are 1"),
        ([[None, 1.0, 2.0, 3.0]], [[0.1, 0.2, 0.3, 0.1]], "there are 3"),
    ],
)
def test_too_little_is_none_with_a_reason(predicted, measured, reason):
    (found,) = agreement(rows(predicted, measured, own=False))
    assert found["spearman"] is None
    assert found["p_qap"] is None
    assert reason in found["reason"]
    json.dumps(found, allow_nan=False)


def test_agreement_as_text_and_picture(tmp_path):
    gains = np.random.default_rng(6).normal(0, 0.1, (4, 4))
    results = rows(gains, gains)
    results.attribution.extend(rows(np.zeros((4, 4)), gains, scorer="random").attribution)
    found = agreement(results)
    shown = text(found).splitlines()
    assert shown[2].split()[0] == "cosine"
    assert "+1.00" in shown[2]
    assert "random: all predictions are equal." in shown
    assert max(map(len, shown)) <= 120
    for name in ("a", "b"):
        draw(found, tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert text([]) == "no scorer was run"
    with pytest.raises(UsageError, match="nothing to draw"):
        draw([], tmp_path / "a.svg")


def test_the_diagonal_is_left_out_where_direct_was_not_asked_for_too():
    gains = np.random.default_rng(8).normal(0, 0.1, (4, 4))
    measured = rows(gains, gains + np.diag([9.0] * 4))
    bare = rows(gains, gains + np.diag([9.0] * 4), own=False)
    assert agreement(bare)[0]["cells"] == 16
    known = replace(bare, run={"own_domains": {f"t{i}": f"s{i}" for i in range(4)}})
    numbers = ("cells", "spearman", "p_qap", "permuted", "top1", "regret1")
    (one,), (other,) = agreement(measured), agreement(known)
    assert [one[key] for key in numbers] == [other[key] for key in numbers]
    assert one["cells"] == 12


def test_many_scorers_share_a_picture_of_two_panels(monkeypatch):
    kept = []
    monkeypatch.setattr(agreeing, "save", lambda figure, path: kept.append(figure))
    gains = np.random.default_rng(6).normal(0, 0.1, (4, 4))
    results = rows(gains, gains)
    for place in range(agreeing.PANELS):
        results.attribution.extend(rows(np.roll(gains, place + 1), gains, scorer=f"s{place}").attribution)
    found = agreement(results, resamples=50)
    for row in found[:-1]:
        row |= {"lds": 0.1, "lds_low": 0.0, "lds_high": 0.2, "lds_points": [{}]}
    draw(found, None)
    first, second = kept[0].axes
    best = sorted(found, key=lambda row: -row["spearman"])
    assert [text.get_text() for text in first.get_yticklabels()] == [row["scorer"] for row in best]
    assert len(second.get_yticklabels()) == len(found) - 1
    few = rows(gains[:1], gains[:1], own=False)
    for place in range(agreeing.PANELS):
        few.attribution.extend(rows(gains[:1], gains[:1], own=False, scorer=f"s{place}").attribution[:3])
    few.attribution = [row for row in few.attribution if row["target"] != "t3"]  # three pairs have no correlation
    draw(agreement(few, resamples=50), None)
    assert len(kept[1].axes) == agreeing.PANELS + 1


def test_three_domains_can_never_be_significant():
    gains = np.random.default_rng(4).normal(0, 0.1, (3, 3))
    (found,) = agreement(rows(gains, gains))
    assert found["p_qap"] == pytest.approx(1 / 6)
    assert "too few sources" in found["reason"]
    assert agreement(replace(rows(gains, gains), attribution=[])) == []


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, -3.0, None]), min_size=3, max_size=3), min_size=1, max_size=4))
@settings(deadline=None)
def test_no_prediction_gives_nan(predicted):
    gains = np.round(np.random.default_rng(5).normal(0, 0.1, (len(predicted), 3)), 1)
    found = agreement(rows(predicted, gains, own=len(predicted) == 3), resamples=150)
    json.dumps(found, allow_nan=False)
    for row in found:
        assert row["spearman"] is not None or row["reason"]
        if row["spearman"] is not None:
            assert row["low"] <= row["spearman"] <= row["high"]


def test_each_recipe_is_held_against_the_scores_taken_after_its_own_training():
    gains = np.arange(16.0).reshape(4, 4) / 40
    results = rows(gains, gains, own=False)
    other = rows(-gains, gains, own=False)
    cells = [replace(one, recipe="grpo", step=f"g{one.step}") for one in other.cells if one.condition == "transfer"]
    results.cells += cells
    after = {"sft": results.attribution, "grpo": other.attribution}
    results.attribution = [{**row, "recipe": name} for name, given in after.items() for row in given]
    found = {row["recipe"]: row["spearman"] for row in agreement(results, resamples=50)}
    assert found == {"sft": pytest.approx(1), "grpo": pytest.approx(-1)}
    results.attribution = [{**row, "recipe": None} for row in after["sft"]]  # scored at the base model: of both
    assert [row["spearman"] for row in agreement(results, resamples=50)] == [pytest.approx(1)] * 2
