"""Recipes compared: the difference of each pair, paired by item and seed, against a computation by hand."""

import itertools
import json
import math

import jsonschema
import numpy as np
import pytest
from scipy import stats

from xferbench.analyse import contamination, document, methods, table, transfer
from xferbench.analyse.schema import SCHEMA
from xferbench.errors import UsageError
from xferbench.results import Cell, Results, write_items

CHANCE = {"sft": 0.4, "grpo": 0.75, "sft>grpo": 0.77}
CONDITIONS = {"transfer": "math", "direct": "science", "placebo": "math~shuffled"}


def build(root, seeds=(0, 1, 2), n=150, sources=("math",), recipes=tuple(CHANCE), same=False):
    """Random right-or-wrong scores of three recipes on the same items; each file in an order of its own."""
    rng = np.random.default_rng(0)
    scores, cells = {}, []
    asked = [("", "baseline", "", "", None)]
    for recipe, (condition, curriculum), source, seed in itertools.product(recipes, CONDITIONS.items(), sources, seeds):
        asked.append((recipe, condition, curriculum.replace("math", source), source, seed))
    for recipe, condition, curriculum, source, seed in asked:
        step = f"evaluate-{recipe.replace('>', '_')}-{curriculum}-{seed}"
        key = (recipe, curriculum, 0 if same else seed)
        if key not in scores:
            scores[key] = (rng.random(n) < CHANCE.get(recipe, 0.4)).astype(float)
        values = scores[recipe, curriculum, seed] = scores[key]
        rows = [{"id": f"q{i}", "prompt": f"h{i}", "score": v} for i, v in enumerate(values)]
        rng.shuffle(rows)
        write_items(root / "items" / f"{step}.jsonl.gz", rows)
        cells.append(Cell(condition, curriculum, recipe, source, "gpqa", seed, "acc", values.mean(), 0.04, n, step))
    return Results({"suite": "t", "model": {"name": "m"}, "notes": []}, cells, [], [], root), scores


def by_key(rows):
    return {(row["condition"], row["recipe"], row["against"]): row for row in rows}


def test_every_pair_of_recipes_is_compared_in_every_condition(tmp_path):
    results, scores = build(tmp_path)
    found = by_key(methods.methods(results))
    pairs = [("grpo", "sft"), ("sft>grpo", "sft"), ("sft>grpo", "grpo")]
    assert set(found) == {(condition, *pair) for condition in CONDITIONS for pair in pairs}
    for (condition, recipe, against), row in found.items():
        a, b = ([scores[r, CONDITIONS[condition], s] for s in (0, 1, 2)] for r in (recipe, against))
        assert row["value"] == pytest.approx(np.mean(a) - np.mean(b))
        assert row["low"] < row["value"] < row["high"]
        assert (row["seeds"], row["n"], row["curriculum"]) == (3, 150, CONDITIONS[condition])


def test_the_interval_of_one_seed_is_the_paired_one_by_hand(tmp_path):
    results, scores = build(tmp_path, seeds=(4,))
    row = by_key(methods.methods(results))["transfer", "grpo", "sft"]
    d = scores["grpo", "math", 4] - scores["sft", "math", 4]
    spread = math.sqrt((((d - d.mean()) ** 2).sum() + 2) * 150 / 149) / 152  # Bonett and Price: two items more
    half = stats.t.ppf(0.975, 149) * spread
    assert (row["low"], row["high"]) == pytest.approx((d.mean() - half, d.mean() + half))
    assert row["p"] == pytest.approx(2 * stats.t.sf(abs(d.mean()) / spread, 149), rel=1e-6)
    unpaired = stats.t.ppf(0.975, 149) * math.sqrt(sum(scores[r, "math", 4].var() / 150 for r in ("sft", "grpo")))
    assert half != pytest.approx(unpaired, rel=0.01)


def test_seeds_that_agree_wholly_leave_the_variance_of_the_items(tmp_path):
    results, scores = build(tmp_path, same=True)
    row = by_key(methods.methods(results))["direct", "grpo", "sft"]
    d = scores["grpo", "science", 0] - scores["sft", "science", 0]
    spread = math.sqrt((((d - d.mean()) ** 2).sum() + 2 / 9) * 150 / 149) / 152
    half = stats.t.ppf(0.975, 149) * spread
    assert (row["low"], row["high"]) == pytest.approx((d.mean() - half, d.mean() + half))


def test_p_is_adjusted_over_all_comparisons_by_holm(tmp_path):
    rows = methods.methods(build(tmp_path)[0])
    p = sorted(row["p"] for row in rows)
    by_hand = [max(min(1.0, (len(p) - j) * p[j]) for j in range(k + 1)) for k in range(len(p))]
    assert sorted(row["p_holm"] for row in rows) == pytest.approx(by_hand)
    assert {row["tests"] for row in rows} == {9}


def test_what_two_sources_share_is_compared_once(tmp_path):
    rows = methods.methods(build(tmp_path, sources=("math", "code"))[0])
    assert sum(row["condition"] == "direct" for row in rows) == 3
    assert sum(row["condition"] == "transfer" for row in rows) == 6


def test_the_text_says_which_conditions_differ(tmp_path):
    results, _ = build(tmp_path)
    found = document.document(results)
    jsonschema.validate(json.loads(json.dumps(found)), SCHEMA)
    said = document.text(found)
    assert "transfer: sft>grpo is better than sft on gpqa after math." in said
    assert "Holm's correction for 9 tests" in " ".join(said.split())
    assert "sft>grpo is better than grpo" not in said
    methods.draw(found["methods"], tmp_path / "methods.png")
    assert (tmp_path / "methods.png").stat().st_size > 5000


def test_the_lines_below_a_run_name_the_recipe_where_there_are_several(tmp_path):
    def lines(recipes):
        results, _ = build(tmp_path / str(len(recipes)), recipes=recipes)
        below = table.text(transfer.findings(results, resamples=100))
        part = {"gain": {"value": 0.1, "low": None, "high": None, "mde": None}, "n": 3}
        rows = [
            {"source": "math", "target": "gpqa", "recipe": r, "items": 9, "dirty": part, "clean": part, "all": part}
            for r in recipes
        ]
        return below, contamination.line(rows)

    below, leaks = lines(("sft", "grpo"))
    assert "math → gpqa by sft is " in below
    assert "math → gpqa by grpo is " in below
    assert "gain by sft on the clean ones +10.0" in leaks
    below, leaks = lines(("sft",))
    assert "math → gpqa is " in below
    assert "gain on the clean ones +10.0" in leaks


def test_one_recipe_has_nothing_to_be_compared_with(tmp_path):
    results, _ = build(tmp_path, recipes=("sft",))
    assert methods.methods(results) == []
    assert "no two recipes" in methods.text([])
    with pytest.raises(UsageError, match="nothing to draw"):
        methods.draw([], tmp_path / "none.png")


def test_seeds_that_only_one_recipe_has_are_left_out(tmp_path):
    results, _ = build(tmp_path)
    results.cells = [c for c in results.cells if not (c.recipe == "grpo" and c.seed == 2)]
    assert by_key(methods.methods(results))["transfer", "grpo", "sft"]["seeds"] == 2
    results.cells = [c for c in results.cells if not (c.recipe == "grpo" and c.seed is not None)]
    assert {(row["recipe"], row["against"]) for row in methods.methods(results)} == {("sft>grpo", "sft")}
