"""What is counted in a problem, and on which items training helps."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import spearmanr

from xferbench import Example, UsageError, problem
from xferbench.analyse import features as described
from xferbench.results import Cell, Results, features_path, write_items

COUNTS = [
    ("If Tom has 3 apples and Ann has 5 more than Tom, how many are there?", "3 + 5 = 8 8+3=11 #### 11",
     {"quantities": 2, "questions": 1, "sentences": 0, "comparisons": 1, "conditionals": 1, "additions": 2,
      "operations": 2, "steps": 5, "names": 3}),
    ("A rope is 2 m. Another is 50 cm. How long are both?", "200 + 50 = 250",
     {"quantities": 2, "questions": 1, "sentences": 2, "unit_conversion": 1, "operations": 1, "steps": 4}),
    ("What is x * 3 - 6 / 2?", "",
     {"multiplications": 1, "subtractions": 1, "divisions": 1, "operations": 3, "steps": 4}),
    ("a well-known state-of-the-art and/or thing", "", {"operations": 0, "steps": 0, "words": 10}),
    ("1,200.50 is > 7", "", {"quantities": 2, "comparisons": 1}),
    ("", "", {"words": 0, "steps": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("prompt", "answer", "counts"), COUNTS)
def test_what_is_counted_is_what_a_reader_counts(prompt, answer, counts):
    found = problem.features(Example("x", prompt, answer))
    assert {name: found[name] for name in counts} == counts
    assert tuple(found) == problem.COUNTED


def test_grammar_is_counted_by_a_real_pipeline(tmp_path):
    spacy = pytest.importorskip("spacy")
    made = spacy.blank("en")
    rules = made.add_pipe("attribute_ruler")
    rules.add([[{"LOWER": "apples"}]], {"POS": "NOUN"})
    rules.add([[{"IS_DIGIT": True}]], {"POS": "NUM", "DEP": "nummod"})
    made.to_disk(tmp_path / "rules")
    found = problem.grammar(["3 apples and 4 apples", "nothing"], str(tmp_path / "rules"))
    assert found == [{"dep_nummod": 2.0, "pos_NOUN": 2.0, "pos_NUM": 2.0}, {}]
    with pytest.raises(UsageError, match="spaCy has no pipeline 'no_such'"):
        problem.grammar(["x"], "no_such")


def run(tmp_path, base, trained, table, seeds=1):
    """Results of one pair: scores of each item before and after, and what is counted in it."""
    held = {"b": {(f"i{n}", "p"): float(x) for n, x in enumerate(base)}}
    plain = Cell("baseline", "", "", "", "t", None, "acc", float(np.mean(base)), 0.01, len(base), "b")
    cells = [plain]
    for seed in range(seeds):
        held[f"x{seed}"] = {(f"i{n}", "p"): float(x) for n, x in enumerate(trained)}
        values = {"condition": "transfer", "curriculum": "s", "source": "s", "recipe": "sft", "seed": seed}
        cells.append(Cell(**{**vars(plain), **values, "step": f"x{seed}"}))
    write_items(features_path(tmp_path, "t"), ({"id": f"i{n}", "features": row} for n, row in enumerate(table)))
    return Results({}, cells, [], [], tmp_path, held=held)


def test_correlations_and_ratios_are_those_of_the_items(tmp_path):
    rng = np.random.default_rng(0)
    steps = rng.integers(1, 5, 200)
    base = (rng.random(200) < 0.5).astype(float)
    trained = (rng.random(200) < 0.3 + 0.15 * steps).astype(float)
    table = [{"steps": float(s), "same": 1.0} for s in steps]
    (row,) = described.features(run(tmp_path, base, trained, table, seeds=2), resamples=500)
    one = row["correlations"]["steps"]
    expected = spearmanr(steps, trained - base)
    assert (row["n"], row["seeds"]) == (200, 2)
    assert one["spearman"] == pytest.approx(expected.statistic)
    assert one["p"] == one["p_holm"] == pytest.approx(expected.pvalue)
    assert row["correlations"]["same"]["reason"] == "it is the same in all items"
    assert [(level["from"], level["n"]) for level in row["levels"]["steps"]] == [
        (s, int((steps == s).sum())) for s in range(1, 5)
    ]
    for level in row["levels"]["steps"]:
        mine = steps == level["from"]
        assert level["ratio"] == pytest.approx(trained[mine].sum() / base[mine].sum())
        assert level["low"] < level["ratio"] < level["high"]
        assert level["base_low"] < level["base"] < level["base_high"]
    assert "steps" in described.text([row])
    described.draw([row], tmp_path / "f.png")


def test_a_feature_of_many_values_is_shown_in_four_groups(tmp_path):
    base = np.tile([0.0, 1.0], 50)
    (row,) = described.features(run(tmp_path, base, 1 - base, [{"words": float(n)} for n in range(100)]), resamples=50)
    assert [(one["from"], one["to"], one["n"]) for one in row["levels"]["words"]] == [
        (0, 24, 25), (25, 49, 25), (50, 74, 25), (75, 99, 25)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("base", "trained", "table", "why"),
    [
        ([1], [0], [{"steps": 1.0}], "1 of 1 items at hand are described: too few"),
        ([1, 0], [1, 0], [], "the items are not described here"),
        (
            [0, 0, 0],
            [1, 1, 1],
            [{"steps": 1.0}, {"steps": 2.0}, {"steps": 3.0}],
            "no feature and gain that both",
        ),
    ],
    ids=["one item", "not described", "all alike"],
)
def test_what_cannot_be_said_is_null_with_a_reason(tmp_path, base, trained, table, why):
    results = run(tmp_path, base, trained, table)
    if not table:
        features_path(tmp_path, "t").unlink()
    found = described.features(results, resamples=20)
    assert why in described.text(found)
    assert "NaN" not in json.dumps(found, allow_nan=False)
    with pytest.raises(UsageError, match="nothing to draw"):
        described.draw(found, tmp_path / "f.png")
    for level in found[0]["levels"].get("steps", ()):
        assert level["ratio"] is None
        assert level["reason"] == "the base model solves none of these items"


def test_the_items_of_an_installed_target_are_described_by_id_and_without_text(tmp_path, monkeypatch, capsys):
    from xferbench import describe, results

    made = SimpleNamespace(questions=lambda: [Example("i0", "How many is 2 + 3?", "5"), Example("i1", "Why?", "so")])

    def make(kind, name, settings):
        if name == "gone":
            raise UsageError("unknown target 'gone'")
        return made

    monkeypatch.setattr(describe, "load", lambda: SimpleNamespace(make=make))
    cells = [Cell("baseline", "", "", "", target, None, "acc", 0.5, 0.1, 2, "b") for target in ("t", "gone")]
    results.write(tmp_path, Results({}, cells, [], [], tmp_path))
    describe.describe(tmp_path)
    found = results.read(tmp_path).features("t")
    assert (found["i0"]["operations"], found["i1"]["questions"]) == (1, 1)
    assert all(isinstance(value, float | int) for row in found.values() for value in row.values())
    assert "the items of gone are not described: unknown target 'gone'" in capsys.readouterr().err
