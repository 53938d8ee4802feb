"""Which items changed, how long the answers are, which class they name, on which inputs they err: by naive loops."""

import gzip
import itertools
import json

import numpy as np
import pytest

from xferbench.analyse import changes, outputs
from xferbench.analyse.answers import answers
from xferbench.analyse.classes import classes
from xferbench.analyse.lengths import interpolation
from xferbench.analyse.menu import ANALYSES, Source
from xferbench.errors import UsageError
from xferbench.results import Cell, Results

N = 40
LABELS = ("no", "yes")


def laid(root, seeds=2, n=N, learnt=20.0, named=True, equal=False, kept=True):
    """A run of one curriculum on one target with outputs and items on disk, and the rows in plain lists."""
    rng = np.random.default_rng(5)
    truth = [LABELS[i % 2] for i in range(n)]
    asked = [10 if equal else 10 + 3 * i for i in range(n)]
    told = {}
    for name, bias in (("base", 0.5), *((f"s{seed}", 0.85) for seed in range(seeds))):
        chosen = [None if i == 7 and name == "s0" else LABELS[int(rng.random() < bias)] for i in range(n)]
        length = [int(rng.integers(2, 8)) + (6 if name != "base" else 0) for _ in range(n)]
        told[name] = [
            {"id": f"i{i}", "prompt": f"p{i}", "asked": asked[i], "length": length[i],
             "chosen": chosen[i] if named else None, "truth": truth[i] if named else None,
             "score": float(chosen[i] == truth[i])} for i in range(n)
        ]  # fmt: skip
    cells, steps = [], []
    for name, rows in told.items():
        for kind, keys in (("items", ("id", "prompt", "score")),
                           ("outputs", ("id", "prompt", "asked", "length", "chosen", "truth"))):  # fmt: skip
            if kind == "outputs" and not kept:
                continue
            (root / kind).mkdir(exist_ok=True)
            text = "".join(json.dumps({key: row[key] for key in keys}) + "\n" for row in rows)
            (root / kind / f"evaluate-{name}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
        base = name == "base"
        value = float(np.mean([row["score"] for row in rows]))
        about = ("baseline", "", "", "") if base else ("transfer", "math", "sft", "math")
        seed = None if base else int(name[1:])
        cells.append(Cell(*about, "t", seed, "acc", value, 0.1, n, f"evaluate-{name}"))
        steps.append({"id": f"evaluate-{name}", "recipe": {"train": None if base else f"train-{name}"}})
        steps.append({"id": f"train-{name}", "recipe": {}, **({} if learnt is None else {"answer_tokens": learnt})})
    return Results({}, cells, [], [], root, steps=steps), told


def finite(found):
    json.dumps(found, allow_nan=False)
    return found


def test_items_that_changed_are_those_of_a_naive_count(tmp_path):
    results, told = laid(tmp_path)
    (row,) = finite(changes.changes(results))
    moves = {i: [told[f"s{seed}"][i]["score"] - told["base"][i]["score"] for seed in (0, 1)] for i in range(N)}
    assert row["gained"]["value"] == pytest.approx(np.mean([m > 0 for move in moves.values() for m in move]))
    assert row["lost"]["value"] == pytest.approx(np.mean([m < 0 for move in moves.values() for m in move]))
    assert row["net"]["value"] == pytest.approx(row["gained"]["value"] - row["lost"]["value"])
    assert row["always_lost"] == pytest.approx(np.mean([min(-m for m in move) > 0 for move in moves.values()]))
    assert row["between_seeds"] == pytest.approx(np.mean([move[0] != move[1] for move in moves.values()]))
    assert {item["id"]: (item["gained"], item["lost"]) for item in row["items"]} == {
        f"i{i}": (sum(m > 0 for m in move), sum(m < 0 for m in move)) for i, move in moves.items() if any(move)
    }
    assert row["gained"]["low"] <= row["gained"]["value"] <= row["gained"]["high"]
    assert "In every seed" in changes.text([row])


@pytest.mark.parametrize(("take", "why"), [("base", "baseline was not measured"), ("items", "no scores item by item")])
def test_no_baseline_or_no_items_is_a_reason(tmp_path, take, why):
    results, _ = laid(tmp_path)
    if take == "base":
        results.cells = results.cells[1:]
    else:
        results.root = None
    (row,) = finite(changes.changes(results))
    assert why in row["reason"]
    assert row["gained"] is None
    assert why in changes.text([row])
    with pytest.raises(UsageError, match="nothing to draw"):
        changes.draw([row], tmp_path / "none.png")


def test_lengths_are_those_of_scipy_and_of_pencil_and_paper(tmp_path):
    results, told = laid(tmp_path)
    (row,) = finite(outputs.outputs(results))["lengths"]
    before = [one["length"] for one in told["base"]]
    after = [one["length"] for seed in (0, 1) for one in told[f"s{seed}"]]
    # W1 in one dimension: the area between the two distribution functions
    grid = range(0, 40)
    area = sum(abs(np.mean([x <= g for x in after]) - np.mean([x <= g for x in before])) for g in grid)
    assert row["wasserstein"] == pytest.approx(area)
    assert row["ks"] == pytest.approx(
        max(abs(np.mean([x <= g for x in after]) - np.mean([x <= g for x in before])) for g in grid)
    )
    assert row["wasserstein_floor"] < row["wasserstein"]
    assert row["shift"]["value"] == pytest.approx(np.mean(after) - np.mean(before))
    assert row["shift"]["low"] < 6 < row["shift"]["high"]  # by construction
    wanted = (np.mean(after) - np.mean(before)) / (20 - np.mean(before))
    assert row["interpolation"]["value"] == pytest.approx(wanted)
    assert row["interpolation"]["low"] < wanted < row["interpolation"]["high"]


def test_a_training_on_shorter_answers_interpolates_too_and_one_as_long_does_not(tmp_path):
    results, told = laid(tmp_path, learnt=1.0)
    ratio = interpolation(answers(results)[0][0])
    before, after = (np.mean([one["length"] for one in told[name]]) for name in ("base", "s0"))
    assert ratio.value is not None
    assert ratio.value < 0 < after - before
    results.steps = [{**row, "answer_tokens": before} for row in results.steps]
    assert "denominator includes 0" in interpolation(answers(results)[0][0]).reason
    results.steps = []
    assert "not known" in interpolation(answers(results)[0][0]).reason


def test_confusion_and_class_shares_are_those_of_a_naive_loop(tmp_path):
    results, told = laid(tmp_path)
    (row,) = outputs.outputs(results)["classes"]
    assert row["columns"] == ["no", "yes", "(none)"]
    count = np.zeros((2, 3))
    for seed in (0, 1):
        for one in told[f"s{seed}"]:
            column = 2 if one["chosen"] is None else LABELS.index(one["chosen"])
            count[LABELS.index(one["truth"]), column] += 0.5
    assert np.array(row["confusion"]) == pytest.approx(count)
    assert row["predicted"] == pytest.approx(count.sum(axis=0) / N)
    assert row["bias"] == pytest.approx(np.abs(count.sum(axis=0) / N - [0.5, 0.5, 0]).sum() / 2)
    base = np.array([sum(one["chosen"] == c for one in told["base"]) / N for c in LABELS] + [0])
    assert row["shift"]["value"] == pytest.approx(np.abs(count.sum(axis=0) / N - base).sum() / 2)
    assert row["shift"]["p"] < 0.05
    assert row["shift"]["low"] < row["shift"]["value"] < row["shift"]["high"]


def test_the_p_value_of_a_shift_is_that_of_all_swaps(tmp_path):
    results, _ = laid(tmp_path, seeds=1, n=10)
    (one,), _ = answers(results)
    found = classes(one, resamples=20_000)
    moved = (one.chosen[0] == "yes").astype(int) - (one.base_chosen == "yes").astype(int)
    none = (one.chosen[0] == "(none)").astype(int)
    rows = np.stack([-moved - none, moved, none])
    every = [np.abs(rows @ np.array(signs)).sum() / 20 for signs in itertools.product((-1, 1), repeat=10)]
    wanted = np.mean(np.array(every) >= found["shift"]["value"] - 1e-12)
    assert found["shift"]["p"] == pytest.approx(wanted, abs=0.02)


def test_inputs_by_outcome_are_those_of_a_naive_loop(tmp_path):
    results, told = laid(tmp_path)
    rows = outputs.outputs(results)["inputs"]
    (yes,) = (row for row in rows if row["class"] == "yes")
    groups = {"tp": [], "fn": [], "fp": [], "tn": []}
    for seed in (0, 1):
        for one in told[f"s{seed}"]:
            true, called = one["truth"] == "yes", one["chosen"] == "yes"
            groups[("t" if true == called else "f") + ("p" if called else "n")].append(one["asked"])
    for name, lengths in groups.items():
        assert yes["outcomes"][name]["n"] == pytest.approx(len(lengths) / 2)
        assert yes["outcomes"][name]["mean"] == pytest.approx(np.mean(lengths))
    gap = yes["gaps"]["found"]
    assert gap["value"] == pytest.approx(np.mean(groups["fn"]) - np.mean(groups["tp"]))
    assert gap["low"] <= gap["value"] <= gap["high"]
    assert gap["change"]["value"] == pytest.approx(gap["value"] - gap["base"]["value"])


def test_without_classes_right_and_wrong_are_the_outcomes(tmp_path):
    results, told = laid(tmp_path, named=False)
    found = finite(outputs.outputs(results))
    assert "no classes" in found["classes"][0]["reason"]
    (row,) = found["inputs"]
    wrong = [one["asked"] for seed in (0, 1) for one in told[f"s{seed}"] if not one["score"]]
    assert row["outcomes"]["wrong"]["mean"] == pytest.approx(np.mean(wrong))
    assert set(row["gaps"]) == {"right"}
    assert "no classes" in outputs.text(found)


@pytest.mark.parametrize(
    ("how", "kind", "why"),
    [
        ({"kept": False}, "lengths", "not kept"),
        ({"equal": True}, "inputs", "all inputs are equally long"),
        ({"n": 1, "seeds": 1, "named": False}, "inputs", "one item"),
    ],
)
def test_what_cannot_be_said_has_a_reason(tmp_path, how, kind, why):
    found = finite(outputs.outputs(laid(tmp_path, **how)[0]))
    assert why in found[kind][0]["reason"]
    assert why in outputs.text(found)


def test_options_compared_have_no_length_and_one_class_for_all_is_no_error(tmp_path):
    results, _ = laid(tmp_path)
    for path in (tmp_path / "outputs").iterdir():
        rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        text = "".join(json.dumps({**row, "length": None, "chosen": "yes"}) + "\n" for row in rows)
        path.write_bytes(gzip.compress(text.encode()))
    found = finite(outputs.outputs(results))
    assert "nothing was written" in found["lengths"][0]["reason"]
    (row,) = found["classes"]
    assert row["shift"]["value"] == 0
    assert row["shift"]["p"] == 1
    assert row["bias"] == 0.5
    assert {one["gaps"]["found"]["reason"] for one in found["inputs"]} == {"an outcome is empty"}


def test_the_menu_has_both_and_draws_them(tmp_path):
    results, _ = laid(tmp_path)
    for what in ("errors", "outputs"):
        analysis = ANALYSES[what](Source({"": results}))
        assert "math → t" in analysis.text()
        analysis.draw(tmp_path / f"{what}.png")
        assert (tmp_path / f"{what}.png").stat().st_size > 10_000
    empty = Results({}, [], [], [])
    assert "nothing was trained" in ANALYSES["errors"](Source({"": empty})).text()
    assert "nothing was trained" in ANALYSES["outputs"](Source({"": empty})).text()
