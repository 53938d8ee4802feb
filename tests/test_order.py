"""Order and interference of three domains, against numbers worked out by hand, and losses that are called by name."""

import itertools
import json

import numpy as np
import pytest
from click.testing import CliRunner

from xferbench.analyse import order, wide
from xferbench.cli import main
from xferbench.results import Cell, Results, write_items

TABLE = """learnt,strategy,math,logic,code
base,none,10.5,20.25,30
math,single,50.5,21.25,35
logic,single,12.5,60.75,33
code,single,30.25,22.5,70.125
math>logic,sequential,41.25,58.5,34
logic>math,sequential,49.75,47.5,36
math>logic>code,sequential,33.125,40.5,71.5
code>logic>math,sequential,52.5,30.25,40.625
logic>math>code,sequential,35.5,33.25,68.375
math+logic,mixed,47.5,61.5,35
math:0.5+logic:0.25+code:0.25,mixed,45.5,44.5,60.5
"""


@pytest.fixture
def found(tmp_path):
    (tmp_path / "table.csv").write_text(TABLE)
    done = CliRunner().invoke(main, ["analyse", "order", str(tmp_path / "table.csv"), "--json", "--drop", "20"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def near(points):
    return pytest.approx(points / 100, abs=1e-9)


def values(rows, *keys):
    return {tuple(row[key] for key in keys): row["value"] for row in rows}


def test_order_of_two(found):
    assert values(found["order"], "first", "then", "target") == {
        ("math", "logic", "math"): near(41.25 - 49.75),
        ("math", "logic", "logic"): near(58.5 - 47.5),
        ("math", "logic", "code"): near(34 - 36),
    }


def test_what_came_afterwards_and_before_in_orders_of_two_and_three(found):
    assert values(found["interference"], "curriculum", "domain", "after") == {
        ("math>logic", "math", "logic"): near(41.25 - 50.5),
        ("logic>math", "logic", "math"): near(47.5 - 60.75),
        ("math>logic>code", "math", "logic>code"): near(33.125 - 50.5),
        ("math>logic>code", "logic", "code"): near(40.5 - 58.5),
        ("code>logic>math", "code", "logic>math"): near(40.625 - 70.125),
        ("logic>math>code", "logic", "math>code"): near(33.25 - 60.75),
        ("logic>math>code", "math", "code"): near(35.5 - 49.75),
    }
    assert values(found["initialising"], "first", "domain") == {
        ("math", "logic"): near(58.5 - 60.75),
        ("logic", "math"): near(49.75 - 50.5),
        ("math>logic", "code"): near(71.5 - 70.125),
        ("code>logic", "math"): near(52.5 - 50.5),
        ("logic>math", "code"): near(68.375 - 70.125),
    }


def test_the_mix_against_the_best_order(found):
    three = "math:0.5+logic:0.25+code:0.25"
    assert values(found["mixing"], "curriculum", "best_order", "target") == {
        ("math+logic", "logic>math", "math"): near(47.5 - 49.75),
        ("math+logic", "math>logic", "logic"): near(61.5 - 58.5),
        ("math+logic", "logic>math", "code"): near(35 - 36),
        (three, "code>logic>math", "math"): near(45.5 - 52.5),
        (three, "math>logic>code", "logic"): near(44.5 - 40.5),
        (three, "math>logic>code", "code"): near(60.5 - 71.5),
    }


def test_the_spread_over_the_orders_of_a_set(found):
    means = {"math>logic>code": 145.125 / 3, "code>logic>math": 123.375 / 3, "logic>math>code": 137.125 / 3}
    two, three = found["spread"]
    assert (two["curriculum"], two["against"], two["value"]) == (
        "math>logic",
        "logic>math",
        near((41.25 + 58.5) / 2 - (49.75 + 47.5) / 2),
    )
    assert (three["curriculum"], three["against"]) == ("math>logic>code", "code>logic>math")
    assert three["value"] == near(means["math>logic>code"] - means["code>logic>math"])
    assert (three["orders"], three["low"]) == (3, None)
    assert "no items" in three["reason"]


def test_the_strategy_for_each_domain_and_for_all(found):
    three = found["strategies"][1]
    assert three["best_by_target"] == {"math": "code>logic>math", "logic": "logic", "code": "math>logic>code"}
    rows = {row["curriculum"]: row for row in three["rows"]}
    assert rows["math:0.5+logic:0.25+code:0.25"]["mean"] == near(150.5 / 3)
    assert rows["logic>math>code"]["min"] == near(33.25)
    assert (three["balance"], three["worst_case"], three["peak"]) == (
        "math:0.5+logic:0.25+code:0.25",
        "math:0.5+logic:0.25+code:0.25",
        "math>logic>code",
    )


def test_losses_beyond_the_threshold_are_named_worst_first(found):
    named = [(row["kind"], row["curriculum"], row["target"], row["lost"]) for row in found["failures"]]
    assert named == [
        ("interference", "code>logic>math", "code", near(29.5)),
        ("interference", "logic>math>code", "logic", near(27.5)),
    ]
    assert {row["certain"] for row in found["failures"]} == {None}


def test_text_and_figure(tmp_path):
    (tmp_path / "table.csv").write_text(TABLE)
    picture = tmp_path / "order.png"
    done = CliRunner().invoke(main, ["analyse", "order", str(tmp_path / "table.csv"), "--plot", str(picture)])
    assert "interference: code>logic>math - code on code lost 29.5, no interval" in done.stdout
    assert "Losses of 5.0 points or more: 10" in done.stdout
    assert picture.stat().st_size > 10_000
    for wrong in ("0", "100", "nan"):
        done = CliRunner().invoke(main, ["analyse", "order", str(tmp_path / "table.csv"), "--drop", wrong])
        assert (done.exit_code, done.stdout) == (2, "")
        assert "must be a fraction between 0 and 1" in done.stderr


def test_the_mean_over_targets_of_a_run_has_an_interval_that_holds_the_truth(tmp_path):
    """Two orders whose true difference is 0.15 on one target and 0.05 on the other: 0.1 on average."""
    held = 0
    for draw in range(10):
        rng = np.random.default_rng(draw)
        easy = {target: rng.random(200) for target in ("a", "b")}
        lift = {("a>b", "a"): 0.0, ("a>b", "b"): 0.0, ("b>a", "a"): 0.15, ("b>a", "b"): 0.05}
        cells = []
        for (curriculum, target), seed in itertools.product(lift, (0, 1, 2)):
            chance = 0.4 + lift[curriculum, target] + rng.normal(0, 0.01)
            scores = (easy[target] < chance).astype(float)
            step = f"{draw}{curriculum.replace('>', '-')}{target}{seed}"
            rows = [{"id": str(i), "prompt": "p", "score": score} for i, score in enumerate(scores)]
            write_items(tmp_path / "items" / f"{step}.jsonl.gz", rows)
            cells.append(Cell("curriculum", curriculum, "sft", "", target, seed, "acc", scores.mean(), 0.03, 200, step))
        results = Results({"own_domains": {"a": "a", "b": "b"}}, cells, [], [], tmp_path)
        (row,) = order.order(results)["spread"]
        parts = {r["target"]: r["value"] for r in order.order(results)["order"]}
        assert row["value"] == pytest.approx(-(parts["a"] + parts["b"]) / 2)
        held += row["low"] < 0.1 < row["high"]
    assert held >= 9


def test_every_recipe_is_told_apart(tmp_path):
    (tmp_path / "table.csv").write_text(TABLE)
    table = wide.results(wide.read(tmp_path / "table.csv"))
    other = [Cell(**{**vars(cell), "recipe": "grpo", "value": cell.value / 2}) for cell in table.cells]
    found = order.order(Results({}, [*table.cells, *other], [], [], None))
    (first, second) = [row for row in found["order"] if row["target"] == "math"]
    assert (first["recipe"], second["recipe"]) == ("published", "grpo")
    assert second["value"] == pytest.approx(first["value"] / 2)
    assert "(grpo)" in order.text(found)
