"""The linear datamodeling score: by its definition, on made-up rows; and a small real run with its random halves."""

import json
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from scipy.stats import spearmanr

from xferbench.analyse.agreement import agreement, draw, text
from xferbench.analyse.lds import lds
from xferbench.errors import UsageError
from xferbench.experiment import from_mapping
from xferbench.results import Results, read, write
from xferbench.treatments import half


def rows(losses, sums, source="s", target="t", scorer="cosine", recipe="sft"):
    return [
        {"source": source, "target": target, "recipe": recipe, "seed": 0, "number": j, "value": loss, "stderr": 0.1,
         "n": 16, "step": f"{source}{target}{j}", "scores": {scorer: total}, "null": {scorer: 0}}
        for j, (loss, total) in enumerate(zip(losses, sums, strict=True))
    ]  # fmt: skip


def results(*subsets):
    scorers = dict.fromkeys(name for row in list(chain(*subsets)) for name in row["scores"])
    attribution = [{"scorer": name, "source": "s", "target": "t", "mean": 0.0} for name in scorers]
    return Results({}, [], attribution, [], None, list(chain(*subsets)))


def test_it_is_the_rank_correlation_of_sums_and_minus_the_loss():
    rng = np.random.default_rng(0)
    losses, sums = rng.normal(size=12), rng.normal(size=12)
    found, points = lds(results(rows(losses, sums)), "cosine", "sft")
    assert found["lds"] == pytest.approx(spearmanr(sums, -losses).statistic)
    assert found["lds_low"] < found["lds"] < found["lds_high"]
    assert (found["lds_subsets"], found["lds_pairs"], len(points)) == (12, 1, 12)
    perfect, _ = lds(results(rows(losses, -losses)), "cosine", "sft")
    assert perfect["lds"] == 1


def test_it_is_the_mean_over_pairs_and_pairs_of_one_source_share_their_draws():
    rng = np.random.default_rng(1)
    a, b, sums = rng.normal(size=8), rng.normal(size=8), rng.normal(size=8)
    both = results(rows(a, sums), rows(b, sums, target="u"), rows(a, -a, source="s2"))
    found, _ = lds(both, "cosine", "sft")
    right = [spearmanr(sums, -a).statistic, spearmanr(sums, -b).statistic, 1]
    assert found["lds"] == pytest.approx(np.mean(right))
    assert found["lds_pairs"] == 3
    twice, _ = lds(results(rows(a, sums), rows(a, sums, target="u")), "cosine", "sft")
    once, _ = lds(results(rows(a, sums)), "cosine", "sft")
    # The same trainings measured twice are no more certain than once.
    assert (twice["lds_low"], twice["lds_high"]) == pytest.approx((once["lds_low"], once["lds_high"]))


@pytest.mark.parametrize(
    ("losses", "sums", "reason"),
    [([1, 2, 3], [1, 2, 3], "fewer than 4"), ([1, 1, 1, 1], [1, 2, 3, 4], "equal"), ([1, 2, 3, 4], [0] * 4, "equal")],
)
def test_too_little_is_none_with_a_reason(losses, sums, reason):
    found, _ = lds(results(rows(losses, sums)), "cosine", "sft")
    assert found["lds"] is found["lds_low"] is None
    assert reason in found["lds_reason"]
    json.dumps(found, allow_nan=False)


def test_a_linear_world_is_foretold_and_a_random_scorer_is_not(tmp_path):
    """Losses that are the sum of what each example does: the true effects score 1, a permutation of them about 0."""
    rng = np.random.default_rng(2)
    effect = rng.normal(size=60)
    guess = rng.permutation(effect)
    halves = [half(names(60), j) for j in range(40)]
    losses = [3 - effect[h].sum() / 60 for h in halves]
    found = results(rows(losses, [effect[h].sum() for h in halves]))
    for row, h in zip(found.subsets, halves, strict=True):
        row["scores"]["random"] = guess[h].sum()
    found.attribution.append({"scorer": "random", "source": "s", "target": "t", "mean": 0.0})
    by = {row["scorer"]: row for row in agreement(found)}
    assert by["cosine"]["lds"] == pytest.approx(1)
    assert by["random"]["lds_low"] < 0 < by["random"]["lds_high"]
    shown = text(list(by.values())).splitlines()
    assert any(line.split()[:1] == ["cosine"] and "+1.00" in line and " 40 " in line for line in shown)
    assert max(map(len, shown)) <= 120
    draw(list(by.values()), tmp_path / "a.png")
    write(tmp_path, found)
    assert read(tmp_path).subsets == found.subsets


def names(count):
    return [f"e{number}" for number in range(count)]


def test_all_answers_to_one_question_are_in_the_same_half():
    many = [f"q{number % 10}#{number}" for number in range(40)]
    for number in range(8):
        kept = half(many, number)
        questions = [many[place].partition("#")[0] for place in kept]
        assert len(set(questions)) == 5
        assert len(kept) == 20


def test_halves_are_halves_each_its_own_and_always_the_same():
    first = half(names(50), 0)
    assert first == half(names(50), 0)
    assert len(first) == 25 == len(set(first))
    assert first == sorted(first)
    assert first != half(names(50), 1)
    counts = np.bincount(list(chain(*(half(names(50), j) for j in range(400)))), minlength=50)
    assert 150 < counts.min() <= counts.max() < 250
    assert len(half(names(7), 0)) == 3


@pytest.mark.parametrize("given", [3, 0, "four", True])
def test_too_few_halves_are_refused(given):
    with pytest.raises(UsageError, match="lds takes"):
        from_mapping({"lds": given})


def test_a_run_trains_on_halves_and_says_what_each_scorer_foretold(inside, tmp_path):
    pytest.importorskip("torch")
    from xferbench.execute import execute
    from xferbench.experiment import Experiment
    from xferbench.plan import make
    from xferbench.store import Store

    asked = Experiment(
        ("picks",), ("quick",), "tiny", trainer=("nudge",), conditions=("transfer",), scorer=("length", "random"),
        seeds=(0,), train_limit=20, query_limit=5, lds=4, executor="inline",
    )  # fmt: skip
    store = Store(tmp_path)
    plan = make(asked, inside)
    trained = [step for step in plan.steps if step.kind == "train"]
    assert [step.curriculum for step in trained] == ["tiny/picks", *(f"tiny/picks~half{j}" for j in range(4))]
    found = execute(plan, store, inside)
    assert not found.not_done
    assert {cell.condition for cell in found.cells} == {"baseline", "transfer"}
    assert [store.result(step)["n"] for step in trained] == [20, 10, 10, 10, 10]

    from xferbench import load
    from xferbench.draw import draw as drawn
    from xferbench.work import checkpoint
    from xferbench_baselines import Random

    given = drawn(inside.entry("domain", "tiny/picks").value, 20)
    queries = inside.entry("target", "tiny/quick").value.queries(5)
    right = Random().score(None, given, [queries])[:, 0]
    for row, step in zip(found.subsets, trained[1:], strict=True):
        assert row["scores"]["random"] == pytest.approx(right[half(names(20), row["number"])].sum())
        assert (row["n"], row["null"]) == (5, {"length": 0, "random": 0})
        model = load(checkpoint(step, step.base.folder, store))
        assert row["value"] == pytest.approx(loss_of(model, queries), rel=1e-5)
    by = {row["scorer"]: row for row in agreement(read(tmp_path))}
    sums, losses = zip(*((row["scores"]["random"], row["value"]) for row in found.subsets), strict=True)
    assert by["random"]["lds"] == pytest.approx(spearmanr(sums, [-x for x in losses]).statistic)
    assert by["random"]["lds_subsets"] == 4
    assert by["length"]["lds_reason"] == "all sums of scores, or all losses, are equal"
    assert all(store.done(step) for step in make(replace(asked, lds=None), inside).steps)


def loss_of(model, queries):
    """By the network's own loss, one query at a time."""
    import torch

    from xferbench import encode

    losses = []
    for one in queries:
        encoded = encode(model.tokenizer, one)
        ids = torch.tensor([encoded.ids])
        labels = ids.clone()
        labels[:, : encoded.prompt] = -100
        with torch.no_grad():
            losses.append(float(model.network(input_ids=ids, labels=labels).loss))
    return sum(losses) / len(losses)
