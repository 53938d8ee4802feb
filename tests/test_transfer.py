"""Findings from rows: paired by item and never by order, honest where something is missing, never a nan."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from xferbench.analyse import figure, table
from xferbench.analyse.label import LABELS, label
from xferbench.analyse.multiplicity import holm
from xferbench.analyse.transfer import findings
from xferbench.errors import UsageError
from xferbench.results import Cell, Results, write_items

ROWS = ("gain", "direct_gap", "sequential_gain", "joint_gain", "placebo_gain")


def build(root, scores, shuffle=0, **same):
    """Results of {(condition, curriculum, source, target, seed): item scores}; each file in an order of its own."""
    cells = []
    for number, ((condition, curriculum, source, target, seed), values) in enumerate(scores.items()):
        step = f"evaluate-{curriculum.replace('>', '_').replace('/', '-') or 'base'}-{target}-{seed}"
        values = np.asarray(values, float)
        rows = [{"id": f"q{i}", "prompt": f"hash{i}", "score": float(v)} for i, v in enumerate(values)]
        np.random.default_rng(shuffle + number).shuffle(rows)
        write_items(root / "items" / f"{step}.jsonl.gz", rows)
        error = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0
        fixed = {"recipe": "sft", "metric": "acc", "cost": {"seconds": 2.0, "dollars": None}} | same
        cells.append(
            Cell(condition=condition, curriculum=curriculum, source=source, target=target, seed=seed, step=step,
                 value=float(values.mean()), stderr=error, n=len(values), **fixed)
        )  # fmt: skip
    return Results({}, cells, [], [], root)


def world(rng, n=120, seeds=(0, 1, 2), source="math", own="science", target="gpqa", lift=0.2):
    """Random right-or-wrong scores of the six conditions of one pair."""
    chance = {"transfer": 0.4 + lift, "direct": 0.7, "sequential": 0.75, "joint": 0.7, "placebo": 0.4}
    trained = {"transfer": source, "direct": own, "sequential": f"{source}>{own}", "joint": f"{source}+{own}"}
    trained["placebo"] = f"placebo-{source}"
    scores = {("baseline", "", source, target, None): rng.random(n) < 0.4}
    for (name, p), seed in itertools.product(chance.items(), seeds):
        scores[name, trained[name], source, target, seed] = rng.random(n) < p
    return scores


def walk(value):
    if isinstance(value, dict):
        for part in value.values():
            yield from walk(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from walk(part)
    else:
        yield value


def test_one_seed_is_the_paired_difference_by_hand(tmp_path):
    scores = world(np.random.default_rng(0), seeds=(7,))
    (found,) = findings(build(tmp_path, scores), resamples=0)
    after, before = scores["transfer", "math", "math", "gpqa", 7], scores["baseline", "", "math", "gpqa", None]
    d = after.astype(float) - before
    assert found["gain"]["value"] == pytest.approx(d.mean())
    padded = np.concatenate([d, [1.0, -1.0]])  # Bonett and Price: one more of each kind of disagreement
    half = stats.t.ppf(0.975, 119) * math.sqrt((((d - d.mean()) ** 2).sum() + 2) * 120 / 119) / len(padded)
    assert (found["gain"]["low"], found["gain"]["high"]) == pytest.approx((d.mean() - half, d.mean() + half))
    assert found["seeds"] == 1
    assert found["n"] == 120
    assert "one seed" in found["gain"]["method"]
    assert found["cost"] == {"seconds": 12.0, "tokens": None, "flops": None, "dollars": None}


def test_all_conditions_and_ratios(tmp_path):
    scores = world(np.random.default_rng(1), n=400)
    (found,) = findings(build(tmp_path, scores), resamples=200)
    mean = {}
    for (condition, *_), values in scores.items():
        mean.setdefault(condition, []).append(np.mean(values))
    mean = {name: float(np.mean(values)) for name, values in mean.items()}
    for name, value in mean.items():
        assert found[name] == pytest.approx(value)
    assert found["gain"]["value"] == pytest.approx(mean["transfer"] - mean["baseline"])
    assert found["direct_gap"]["value"] == pytest.approx(mean["transfer"] - mean["direct"])
    assert found["sequential_gain"]["value"] == pytest.approx(mean["sequential"] - mean["direct"])
    assert found["joint_gain"]["value"] == pytest.approx(mean["joint"] - mean["direct"])
    assert found["placebo_gain"]["value"] == pytest.approx(mean["transfer"] - mean["placebo"])
    assert found["efficiency"]["value"] == pytest.approx(mean["transfer"] / mean["direct"])
    assert found["efficiency"]["floor"] == pytest.approx(mean["baseline"] / mean["direct"])
    share = (mean["transfer"] - mean["baseline"]) / (mean["direct"] - mean["baseline"])
    assert found["relative_transfer"]["value"] == pytest.approx(share)
    for name in (*ROWS, "efficiency", "relative_transfer"):
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]
    assert found["gain"]["bootstrap"]["low"] < found["gain"]["value"] < found["gain"]["bootstrap"]["high"]
    assert found["label"] == "weak"


def test_order_of_rows_never_matters(tmp_path):
    scores = world(np.random.default_rng(2))
    first = findings(build(tmp_path / "a", scores, shuffle=0), resamples=50)
    backwards = build(tmp_path / "b", dict(reversed(scores.items())), shuffle=999)
    assert findings(backwards, resamples=50) == first


def test_pairing_is_worth_something(tmp_path):
    """The same marginals, paired and not: only pairing can tell a gain of 5 items in 100."""
    base = np.zeros(100)
    base[:50] = 1
    gained = base.copy()
    gained[50:62] = 1
    key = ("math", "gpqa")
    cells = {("baseline", "", *key, None): base, ("transfer", "math", *key, 0): gained}
    results = build(tmp_path, cells)
    (paired,) = findings(results, resamples=0)
    (marginal,) = findings(replace(results, root=None), resamples=0)
    assert paired["gain"]["p"] < 0.01 < 0.05 < marginal["gain"]["p"]
    assert paired["gain"]["value"] == marginal["gain"]["value"]
    assert "unpaired" in marginal["gain"]["method"]


@pytest.mark.parametrize("change", ["prompt", "missing", "extra", "gone", "nan", "not gzip"])
def test_items_that_do_not_match_are_refused(tmp_path, change):
    results = build(tmp_path, world(np.random.default_rng(3), n=10))
    path = tmp_path / "items" / "evaluate-math-gpqa-1.jsonl.gz"
    rows = [{"id": f"q{i}", "prompt": f"hash{i}", "score": 1.0} for i in range(10)]
    if change == "prompt":
        rows[3]["prompt"] = rows[4]["prompt"] = "another"
    elif change == "missing":
        del rows[2]
    elif change == "extra":
        rows.append({"id": "q99", "prompt": "hash99", "score": 0.0})
    elif change == "nan":
        rows[0]["score"] = float("nan")
    write_items(path, rows)
    if change == "gone":
        path.unlink()
    elif change == "not gzip":
        path.write_bytes(b"hello")
    with pytest.raises(UsageError, match="gpqa") as error:
        findings(results)
    expected = {"prompt": "2 of 10 prompts differ", "missing": "1 items are missing", "extra": "1 are new"}
    expected |= {"gone": "are missing", "nan": "not a finite number", "not gzip": "cannot be read"}
    assert expected[change] in str(error.value)


def test_holm_leaves_out_the_targets_own_domain(tmp_path):
    rng = np.random.default_rng(4)
    base = rng.random(200) < 0.4
    scores = {}
    for source in ("math", "science", "code"):
        scores["baseline", "", source, "gpqa", None] = base
        for seed in (0, 1, 2):
            direct = scores.get(("direct", "science", "math", "gpqa", seed), rng.random(200) < 0.7)
            scores["direct", "science", source, "gpqa", seed] = direct
            scores["transfer", source, source, "gpqa", seed] = direct if source == "science" else rng.random(200) < 0.55
    found = {f["source"]: f for f in findings(build(tmp_path, scores), resamples=0)}
    own = found["science"]
    assert own["gain"]["p"] is not None
    assert own["gain"]["p_holm"] is None
    assert "no p_holm" in own["gain"]["reason"]
    assert own["efficiency"]["value"] == 1
    assert own["efficiency"]["low"] is None
    assert own["efficiency"]["reason"]
    assert own["label"] == "strong"
    others = [found["math"]["gain"], found["code"]["gain"]]
    assert [g["p_holm"] for g in others] == pytest.approx(holm([g["p"] for g in others]))
    assert others[0]["tests"] == 2


def test_seeds_that_only_one_condition_has_are_left_out_of_the_pair(tmp_path):
    scores = world(np.random.default_rng(5), seeds=(0, 1, 2, 3))
    for seed in (0, 1):
        del scores["direct", "science", "math", "gpqa", seed]
    (found,) = findings(build(tmp_path / "a", scores), resamples=0)
    mean = [np.mean(scores["transfer", "math", "math", "gpqa", s]) for s in (2, 3)]
    direct = [np.mean(scores["direct", "science", "math", "gpqa", s]) for s in (2, 3)]
    assert found["seeds"] == 4
    assert found["direct_gap"]["value"] == pytest.approx(np.mean(mean) - np.mean(direct))
    assert found["efficiency"]["value"] == pytest.approx(np.mean(mean) / np.mean(direct))
    for seed in (2, 3):
        scores["direct", "science", "math", "gpqa", seed + 10] = scores.pop(("direct", "science", "math", "gpqa", seed))
    (found,) = findings(build(tmp_path / "b", scores), resamples=0)
    assert found["direct_gap"]["value"] is None
    assert "in common" in found["direct_gap"]["reason"]
    assert "in common" in found["efficiency"]["reason"]


def test_shared_conditions_need_not_be_repeated_for_each_source(tmp_path):
    rng = np.random.default_rng(6)
    scores = {("baseline", "", "", "gpqa", None): rng.random(80) < 0.4}
    scores["direct", "science", "", "gpqa", 0] = np.ones(80)
    scores |= {("transfer", s, s, "gpqa", 0): rng.random(80) < 0.6 for s in ("math", "code")}
    found = findings(build(tmp_path, scores), resamples=0)
    assert [f["source"] for f in found] == ["math", "code"]
    assert all(f["baseline"] is not None and f["direct"] == 1 for f in found)


def test_two_cells_for_one_place_are_refused(tmp_path):
    results = build(tmp_path, world(np.random.default_rng(7)))
    results.cells.append(replace(results.cells[1], step="evaluate-other"))
    with pytest.raises(UsageError, match="two different cells"):
        findings(results)


def test_identical_outputs_are_no_certainty(tmp_path):
    base = np.array([0.0, 1.0] * 20)
    key = ("math", "gpqa")
    cells = {("baseline", "", *key, None): base, ("transfer", "math", *key, 0): base}
    (found,) = findings(build(tmp_path, cells), resamples=100)
    gain = found["gain"]
    assert gain["value"] == 0
    assert gain["p"] == 1
    assert gain["low"] < -0.05
    assert gain["high"] > 0.05
    assert found["label"] == "inconclusive"
    assert found["efficiency"]["value"] is None
    assert found["relative_transfer"]["reason"]


def test_what_was_not_measured_is_none_with_a_reason(tmp_path):
    key = ("math", "gpqa")
    (found,) = findings(build(tmp_path, {("transfer", "math", *key, 0): [0.0, 1.0, 1.0]}))
    for name in (*ROWS, "efficiency", "relative_transfer"):
        assert found[name]["value"] is None, name
        assert found[name]["reason"], name
    assert found["label"] == "inconclusive"
    assert found["baseline"] is None
    assert found["gain"]["p_holm"] is None
    assert findings(Results({}, [], [], [], None)) == []
    bare = Results({}, [Cell("transfer", "a", "sft", "a", "t", 0, "acc", 0.5, 0.0, 0, "x")], [], [], None)
    assert findings(bare)[0]["gain"]["reason"]
    with pytest.raises(UsageError, match="margin"):
        findings(bare, margin=0.0)


def test_without_items_a_count_gives_an_unpaired_interval():
    cell = Cell("baseline", "", "sft", "a", "t", None, "acc", 0.5, 0.0, 1000, "b")
    cells = [cell, replace(cell, condition="transfer", curriculum="a", seed=0, value=0.6, step="t")]
    cells.append(replace(cells[1], condition="direct", curriculum="b", value=0.8, step="d"))
    (found,) = findings(Results({}, cells, [], [], None))
    se = math.hypot(math.sqrt(0.25 / 1004), math.sqrt(0.6 * 0.4 / 1004))
    assert found["gain"]["high"] == pytest.approx(0.1 + 1.9623 * se, abs=1e-4)
    assert found["efficiency"]["value"] == pytest.approx(0.75)
    assert found["efficiency"]["low"] is None
    assert found["relative_transfer"]["value"] == pytest.approx(1 / 3)
    (bare,) = findings(Results({}, [replace(c, n=0) for c in cells], [], [], None))
    assert bare["gain"]["value"] == pytest.approx(0.1)
    assert bare["gain"]["low"] is None
    assert bare["gain"]["reason"]
    assert bare["relative_transfer"]["value"] is None


VALUES = st.sampled_from([0.0, 1.0, 0.5, 0.25, 1e-9, 3.0, -2.0])


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_input_gives_nan_or_an_interval_beside_its_value(tmp_path_factory, data):
    n, seeds = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 3))
    pool = data.draw(st.sampled_from([VALUES, st.sampled_from([0.0, 1.0]), st.just(1.0)]))
    scores = {}
    for key in world(np.random.default_rng(0), n=1, seeds=range(seeds)):
        if data.draw(st.integers(0, 5)):
            scores[key] = data.draw(st.lists(pool, min_size=n, max_size=n))
    found = findings(build(tmp_path_factory.mktemp("run"), scores), resamples=20)
    json.dumps(found, allow_nan=False)
    for f in found:
        for part in [f[name] for name in (*ROWS, "efficiency", "relative_transfer")]:
            assert part["low"] is None or part["low"] <= part["value"] <= part["high"]
            assert part["value"] is not None or part["reason"]
            assert part["low"] is not None or part["reason"]
        assert f["label"] in LABELS
        assert f["why"]
    assert "\n" in table.text(found) or not found


ENDS = [None, -0.2, -0.03, -0.01, 0.0, 0.01, 0.03, 0.2]


def test_every_label_follows_from_the_rule():
    seen = set()
    for low, high, gap in itertools.product(ENDS, repeat=3):
        if (low is None) != (high is None) or (low is not None and low > high):
            continue
        word, why = label(low, high, gap, 0.03, "no items")
        seen.add(word)
        if low is None:
            expected = "inconclusive"
        elif high < 0:
            expected = "negative"
        elif low > 0:
            expected = "strong" if gap is not None and gap > -0.03 else "weak"
        else:
            expected = "none" if max(-low, high) < 0.03 else "inconclusive"
        assert word == expected, (low, high, gap)
        assert why
        assert "None" not in why
    assert seen == set(LABELS)


def test_table_reads_at_a_glance(tmp_path):
    found = findings(build(tmp_path, world(np.random.default_rng(8))), resamples=0)
    shown = table.text(found)
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 120
    row = next(line for line in lines if line.startswith("math → gpqa"))
    gain = found[0]["gain"]
    for value in (found[0]["baseline"], found[0]["direct"], gain["mde"]):
        assert f"{100 * value:.1f}" in row
    assert f"{100 * gain['value']:+.1f}" in row
    assert f"[{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]" in row
    assert found[0]["label"] in row
    assert "training seeds: 3" in shown
    assert "test items: 120" in shown
    assert "no findings" in table.text([])


@pytest.mark.parametrize("suffix", [".png", ".svg"])
@pytest.mark.parametrize("sources", [1, 3])
def test_figures_are_the_same_bytes_every_time(tmp_path, suffix, sources):
    rng = np.random.default_rng(9)
    scores = {}
    for source, target in itertools.product(["math", "code", "law"][:sources], ["gpqa", "bar"][: sources + 1]):
        scores |= world(rng, n=20, seeds=(0, 1), source=source, target=target)
    shared = {k: v for k, v in scores.items() if k[0] not in ("baseline", "direct") or k[2] == "math"}
    results = build(tmp_path, shared)
    found = findings(results, resamples=0)
    for name in ("a", "b"):
        figure.draw(found, results.cells, tmp_path / f"{name}{suffix}")
    one, other = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("a", "b"))
    assert one == other
    assert len(one) > 5000
    with pytest.raises(UsageError, match=r"\.png or \.svg"):
        figure.draw(found, results.cells, tmp_path / "a.gif")
    with pytest.raises(UsageError, match="nothing to draw"):
        figure.draw([], [], tmp_path / "a.png")
