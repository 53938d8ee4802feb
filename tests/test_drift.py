"""Drift of a checkpoint from its base: against eigenvectors, naive loops over the vocabulary, and what must be 0."""

import json
import math

import numpy as np
import pytest
import torch

from xferbench import Checkpoint, Example, ModelError, UsageError, load, pca
from xferbench.analyse import drift as reading
from xferbench.analyse.menu import ANALYSES, Source
from xferbench.compare import drift_command
from xferbench.drift import Settings, drift, hidden, kind
from xferbench.models import encode
from xferbench.results import Cell, Results
from xferbench.tiny import make_model

QUERIES = [Example(f"q{n}", "Is " + "1" * (n % 5) + f"{n} odd or even?", "odd" if n % 2 else "even") for n in range(6)]
ANSWERS = Settings(prompts=6, responses="answers", max_tokens=4)


# The shift itself, on arrays.


def states(seed=0, layers=3, n=12, width=5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(layers, n, width)) * [4, 3, 1, 0.5, 0.2]


def test_the_shift_is_that_of_the_eigenvectors_of_the_covariance():
    base = states()
    moved = base + np.random.default_rng(1).normal(1, 0.2, base.shape)
    found = pca.shift(base, moved, "masked")
    steps, diffs = [], []
    for before, after in zip(base, moved, strict=True):
        values, vectors = np.linalg.eigh(np.cov(before.T))
        axes = vectors[:, np.argsort(values)[::-1][:2]]
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
        diffs.append((after @ axes).mean(axis=0) - (before @ axes).mean(axis=0))
        steps.append(np.linalg.norm(diffs[-1]))
        explained = np.sort(values)[::-1][:2].sum() / values.sum()
        assert found["layers"][len(steps) - 1]["explained"] == pytest.approx(explained)
    assert [layer["shift"] for layer in found["layers"]] == pytest.approx(steps)
    assert found["shift"] == pytest.approx(np.mean(steps))
    assert found["paper"] == pytest.approx(np.linalg.norm(np.mean(diffs, axis=0)))
    assert found["low"] < found["shift"] < found["high"]


def test_the_floor_is_the_distance_of_two_halves_of_the_base():
    base = states(n=4)
    found = pca.shift(base, base, "masked")
    distances = []
    for other in (1, 2, 3):  # the three ways to halve four prompts
        rest = [i for i in (1, 2, 3) if i != other]
        each = []
        for layer in base:
            _, vectors = np.linalg.eigh(np.cov(layer.T))
            points = layer @ vectors[:, -2:]
            gap = points[[0, other]].mean(axis=0) - points[rest].mean(axis=0)
            each.append(np.linalg.norm(gap) / np.linalg.norm(layer, axis=1).mean())
        distances.append(np.mean(each))
    assert found["floor"] == pytest.approx(np.mean(distances), rel=0.1)
    assert found["floor_high"] == pytest.approx(max(distances))


def test_a_shift_of_known_size_is_found_and_none_is_nought():
    base = states()
    assert pca.shift(base, base, "masked")["shift"] == 0
    along_first = base + np.linalg.svd(base[0] - base[0].mean(axis=0))[2][0] * 7
    found = pca.shift(base, along_first, "masked")
    assert found["layers"][0]["shift"] == pytest.approx(7)
    norm = np.linalg.norm(base[0], axis=1).mean()
    assert found["layers"][0]["relative"] == pytest.approx(7 / norm)
    assert found["layers"][0]["whole"] == pytest.approx(7 / norm)


@pytest.mark.parametrize(
    ("base", "tuned", "why"),
    [
        (states(n=3), states(n=3), "it takes 4 prompts"),
        (states(layers=2), states(layers=3), "different layers"),
        (np.ones((2, 6, 5)), np.zeros((2, 6, 5)), "do not differ"),
    ],
)
def test_what_has_no_plane_has_a_reason(base, tuned, why):
    found = pca.shift(base, tuned, "masked")
    assert why in found["reason"]
    assert found["shift"] is None
    json.dumps(found, allow_nan=False)


# Real networks.


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gpt2"])
def test_hidden_states_of_a_batch_are_those_of_each_prompt_alone(architecture, tmp_path):
    network = load(Checkpoint(str(make_model(tmp_path / architecture, architecture)))).network
    prompts = [[5, 6, 7], [9, 8, 7, 6, 5, 4, 3], [20]]
    found = hidden(network, prompts, "masked")
    for place, ids in enumerate(prompts):
        with torch.no_grad():
            alone = network(torch.tensor([ids]), output_hidden_states=True).hidden_states
        expected = np.stack([layer[0].mean(dim=0).numpy() for layer in alone])
        assert found[:, place] == pytest.approx(expected, abs=1e-5)


def test_padding_counts_in_the_papers_definition_alone(llama):
    network = load(Checkpoint(str(llama))).network
    prompts = [[5, 6, 7], [9, 8, 7, 6, 5, 4, 3]]
    masked, paper = (hidden(network, prompts, how) for how in ("masked", "paper"))
    assert masked[:, 1] == pytest.approx(paper[:, 1], abs=1e-5)  # the longest has no padding
    assert np.abs(masked[:, 0] - paper[:, 0]).max() > 1e-3
    pad = network.get_input_embeddings().weight[network.config.eos_token_id].numpy(force=True)
    assert paper[0, 0] == pytest.approx((3 * masked[0, 0] + 4 * pad) / 7, abs=1e-5)


def test_divergences_and_ranks_are_those_of_a_naive_loop(llama, tuned, monkeypatch):
    monkeypatch.setattr("xferbench.drift.POSITIONS", 2)
    model, base = load(Checkpoint(str(tuned / "model"))), load(Checkpoint(str(llama)))
    found = drift(model, Checkpoint(str(llama)), QUERIES, ANSWERS)
    tokens = {"shifted": 0, "all": 0}
    for number, query in enumerate(QUERIES):
        one = encode(model.tokenizer, query)
        with torch.no_grad():
            both = [m.network(torch.tensor([one.ids])).logits[0].double() for m in (base, model)]
        sums = dict.fromkeys(reading.ALONG, 0.0)
        for at in range(one.prompt, len(one.ids)):
            y = one.ids[at]
            q, p = ([float(x) for x in logits[at - 1].softmax(-1)] for logits in both)
            sums["forward"] += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
            sums["reverse"] += sum(b * math.log(b / a) for a, b in zip(p, q, strict=True))
            sums["k1"] += math.log(p[y] / q[y])
            sums["k3"] += q[y] / p[y] - 1 - math.log(q[y] / p[y])
            ranks = [1 + sum(x > d[y] for x in d) for d in (q, p)]
            sums["rank"] += ranks[0] - ranks[1]
            tokens["shifted"] += ranks[0] > 3 >= ranks[1]
            tokens["all"] += 1
        length = len(one.ids) - one.prompt
        for name, value in sums.items():
            assert found["responses"][name][number] == pytest.approx(value / length, rel=1e-4, abs=1e-7)
    assert sum(k["tokens"] for k in found["kinds"].values()) == tokens["all"] == found["tokens"]
    assert sum(k["shifted"] for k in found["kinds"].values()) == tokens["shifted"]


def test_an_adapter_drifts_as_its_merged_model_and_the_base_from_itself_not_at_all(llama, tuned):
    base = Checkpoint(str(llama))
    adapter = drift(load(Checkpoint(str(llama), str(tuned / "adapter"))), base, QUERIES, ANSWERS)
    merged = drift(load(Checkpoint(str(tuned / "model"))), base, QUERIES, ANSWERS)
    assert adapter["pca"]["shift"] == pytest.approx(merged["pca"]["shift"], rel=1e-3)
    assert adapter["responses"]["forward"] == pytest.approx(merged["responses"]["forward"], rel=1e-3)
    assert min(adapter["responses"]["forward"]) > 0
    same = drift(load(base), base, QUERIES, ANSWERS)
    assert same["pca"]["shift"] == 0
    assert set(same["responses"]["rank"]) | set(same["responses"]["forward"]) == {0.0}


def test_own_responses_come_again_with_their_seed_and_k1_estimates_forward_kl(llama, tuned):
    model = load(Checkpoint(str(llama), str(tuned / "adapter")))
    many = [Example(f"q{n}", f"Is {n} odd or even?", "odd") for n in range(32)]
    how = Settings(prompts=32, max_tokens=24)
    state = torch.get_rng_state()
    first, again = (drift(model, Checkpoint(str(llama)), many, how) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert first == again
    means = {name: np.array(values) for name, values in first["responses"].items()}
    for estimate in ("k1", "k3"):  # unbiased where tokens are drawn from the tuned model
        gap = means[estimate] - means["forward"]
        assert abs(gap.mean()) < 4 * gap.std(ddof=1) / math.sqrt(len(gap))
    other = drift(model, Checkpoint(str(llama)), many[:4], Settings(prompts=4, max_tokens=24, seed=1))
    assert other["responses"]["k1"] != first["responses"]["k1"][:4]
    greedy = drift(model, Checkpoint(str(llama)), many[:4], Settings(prompts=4, responses="greedy", max_tokens=4))
    assert greedy["tokens"] <= 16


def test_another_vocabulary_is_refused_and_another_depth_is_a_reason(llama, tmp_path):
    model = load(Checkpoint(str(llama)))
    other = make_model(tmp_path / "other", "llama")
    config = json.loads((other / "tokenizer.json").read_text())
    config["added_tokens"].append({**config["added_tokens"][0], "id": 400, "content": "<|new|>"})
    (other / "tokenizer.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="different vocabularies"):
        drift(model, Checkpoint(str(other)), QUERIES, ANSWERS)
    gpt = make_model(tmp_path / "gpt2", "gpt2")
    found = drift(model, Checkpoint(str(gpt)), QUERIES, ANSWERS)
    assert found["pca"]["reason"] is None or "different layers" in found["pca"]["reason"]


@pytest.mark.parametrize(
    ("token", "what"),
    [(" therefore", "logical"), (" So,", "logical"), ("42", "number"), ("\n\n", "structural"), (" =", "structural"),
     (" momentum", "content"), ("Ġx", "content")],
)  # fmt: skip
def test_tokens_are_sorted_by_their_text(token, what):
    assert kind(token) == what


# Reading, and the command.


def rows(drifts, kinds=None):
    found = []
    for (curriculum, target), value in drifts.items():
        base = states()
        pca_row = pca.shift(base, base + value, "masked")
        responses = {name: [value, value * 1.5, value * 0.9] for name in reading.ALONG}
        kinds = {"logical": {"tokens": 4, "shifted": 1}, "content": {"tokens": 6, "shifted": 0}}
        found.append({"train": f"train-{curriculum}", "curriculum": curriculum, "recipe": "sft", "seed": 0,
                      "condition": "transfer", "target": target, "settings": {}, "prompts": 12, "tokens": 10,
                      "pca": pca_row, "responses": responses, "kinds": kinds,
                      "shifted": [{"token": " so", "kind": "logical", "count": 1, "rank": 9.0}]})  # fmt: skip
    return found


def run_of(gains):
    cells = [Cell("baseline", "", "", "", t, None, "acc", 0.4, 0.0, 50, f"b-{t}") for t in ("t", "u")]
    for (curriculum, target), gain in gains.items():
        cells.append(Cell("transfer", curriculum, "sft", curriculum, target, 0, "acc", 0.4 + gain, 0.0, 50, "x"))
    return Results({}, cells, [], [], None)


def test_the_relation_to_transfer_is_a_rank_correlation_over_cells(tmp_path):
    from scipy.stats import spearmanr

    keys = [(s, t) for s in "abcd" for t in "tu"]
    drifts = {key: 0.1 * (n + 1) for n, key in enumerate(keys)}
    gains = dict(zip(keys, (0.3, 0.2, 0.25, 0.1, 0.05, 0.12, -0.1, 0.0), strict=True))
    found = reading.drift(run_of(gains), rows(drifts))
    json.dumps(found, allow_nan=False)
    (one,) = (row for row in found["relation"] if row["measure"] == "forward")
    assert one["cells"] == 8
    assert one["spearman"] == pytest.approx(spearmanr(list(drifts.values()), list(gains.values())).statistic)
    assert one["low"] < one["spearman"] < one["high"] < 0
    assert one["p_floor"] == pytest.approx(2 / 24)
    assert found["rows"][0]["forward"]["value"] == pytest.approx(0.1 * 3.4 / 3)
    assert found["rows"][0]["shifted_share"] == 0.1
    text = reading.text(found)
    assert "logical 8 of 32" in text
    assert "drift against gain" in text
    reading.draw(found, tmp_path / "drift.png")


def test_too_few_cells_or_settings_that_differ_have_a_reason():
    measured = rows({("a", "t"): 0.1, ("b", "t"): 0.2})
    found = reading.drift(run_of({("a", "t"): 0.1, ("b", "t"): 0.2}), measured)
    assert "it takes 4 cells" in found["relation"][0]["reason"]
    measured[0]["settings"] = {"prompts": 1}
    measured[1]["settings"] = {"prompts": 2}
    assert "different settings" in reading.drift(run_of({}), measured)["relation"][0]["reason"]
    with pytest.raises(UsageError, match="no drift was measured here"):
        ANALYSES["drift"](Source({"": Results({}, [], [], [])}))


def test_the_command_compares_an_adapter_with_its_base(inside, tuned, llama, tmp_path, capsys):
    flags = {"base": None, "target": "quick", "suite": "tiny", "conditions": None, "seeds": None}
    drift_command(str(tuned / "adapter"), flags, ANSWERS, True, tmp_path / "two.png")
    found = json.loads(capsys.readouterr().out)
    assert found["rows"][0]["pca"]["relative"] > 0
    assert found["rows"][0]["forward"]["low"] < found["rows"][0]["forward"]["value"]
    assert (tmp_path / "two.png").is_file()
    with pytest.raises(UsageError, match="--base MODEL"):
        drift_command(str(llama), flags, ANSWERS, True, None)
    with pytest.raises(UsageError, match="--target"):
        drift_command(str(llama), {**flags, "target": None}, ANSWERS, True, None)
    with pytest.raises(UsageError, match="the same"):
        drift_command(str(llama), {**flags, "base": str(llama)}, ANSWERS, True, None)
