"""A language model as a judge: asked through a real server, its verdicts kept, read and held against exact match."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, cohen_kappa_score

from xferbench import DataError, Example, Item, StepError, UsageError
from xferbench.analyse import judged
from xferbench.judge import PROMPT, Judged, verdict
from xferbench.results import Cell, Results

SERVER = ("fastapi", "uvicorn", "openai", "pydantic")
TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"


def grader(folder: Path) -> Path:
    """Save a Llama made by hand: it writes "no" where the text holds the mark @@, else "yes", and ends."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from xferbench.tiny import byte_level_tokenizer

    tokenizer = byte_level_tokenizer(TEMPLATE)
    tokenizer.add_tokens(["yes", "no", "@@"])
    yes, no, mark = (tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no", "@@"))
    end = tokenizer.eos_token_id
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
            num_key_value_heads=1, max_position_embeddings=4096, tie_word_embeddings=False, bos_token_id=None,
            eos_token_id=end, pad_token_id=end,
        )
    )  # fmt: skip
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.fill_(1.0 if "norm" in name else 0.0)
        words = network.model.embed_tokens.weight
        words[:, 0] = 1.0  # what every word has: yes
        words[mark, 1] = 1.0  # the mark, which attention (even over all words, q = k = 0) carries to the last place
        words[yes, 3] = words[no, 3] = 1e3  # a verdict is followed by the end
        attention = network.model.layers[0].self_attn
        attention.v_proj.weight[1, 1] = 1.0
        attention.o_proj.weight[2, 1] = 1e5
        head = network.lm_head.weight
        head[yes, 0], head[no, 2], head[end, 3] = 10.0, 10.0, 1e4
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of `transformers serve` with the model made by hand."""
    for module in SERVER:
        pytest.importorskip(module)
    folder = grader(tmp_path_factory.mktemp("grader"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (folder / "server.log").open("w")
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder), "--device", "cpu"]
    process = subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                with urllib.request.urlopen(f"{url}/health", timeout=5):
                    break
            except OSError:
                assert process.poll() is None, (folder / "server.log").read_text()[-2000:]
                time.sleep(0.3)
        yield SimpleNamespace(url=f"{url}/v1", model=str(folder))
    finally:
        process.terminate()
        process.wait(20)


def wrote(*responses):
    """A target whose answers are there already: 1 where exact match holds, and what was written."""
    rows = [
        (Item(f"i{n}", f"p{n}", float(text == "4")), Example(f"i{n}", f"What is 2 + 2, and {n} - {n}?", "4"), text)
        for n, text in enumerate(responses)
    ]
    return SimpleNamespace(name="sums", group="math", version="1", domain=None, data={},
                           fingerprint=lambda: "sums", answers=lambda model, limit: rows[:limit])  # fmt: skip


def test_a_real_server_grades_and_is_not_asked_twice(server, tmp_path, monkeypatch):
    monkeypatch.setenv("XFERBENCH_JUDGE_CACHE", str(tmp_path))
    of = wrote("4", "four", "@@ 5", "I cannot @@ say")
    judge = Judged(of, server.model, server.url)
    judge.check(None, 0, None)
    found = judge.measure(None, None)
    assert [item.score for item in found.items] == [1, 1, 0, 0]
    assert (found.value, found.n, found.metric) == (0.5, 4, "judge")
    assert found.stderr == pytest.approx(np.std([1, 1, 0, 0], ddof=1) / 2)
    assert [item.id for item in found.items] == ["i0", "i1", "i2", "i3"]
    nowhere = replace(judge, url="http://127.0.0.1:9/v1")
    assert nowhere.measure(None, None) == found
    assert replace(judge, votes=3).measure(None, 2).value == 1.0
    kept = sorted(path.read_text() for path in tmp_path.glob("*.json"))
    assert kept == ['{"said": "no"}'] * 2 + ['{"said": "yes"}'] * 8
    with pytest.raises(StepError, match=r"judge:sums: no verdict from http://127\.0\.0\.1:\d+/v1/chat/completions: 4"):
        replace(judge, model="no-such-model").measure(None, 1)


def test_a_judge_that_is_not_there_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("XFERBENCH_JUDGE_CACHE", str(tmp_path))
    monkeypatch.setattr("xferbench.judge.WAIT", 0.0)
    with pytest.raises(StepError, match=r"^judge:sums: no verdict from http://127\.0\.0\.1:9/v1/chat/completions: \S+"):
        Judged(wrote("4"), "m", "http://127.0.0.1:9/v1").measure(None, None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "say who judges"),
        ({"model": "m", "votes": 0}, "1 or more"),
        ({"model": "m", "url": "ftp://x"}, "no address"),
    ],
)
def test_what_cannot_judge_is_refused_before_anything_is_trained(settings, why):
    with pytest.raises(UsageError, match=why):
        Judged(wrote("4"), **settings).check(None, 0, None)
    with pytest.raises(UsageError, match="gives no written answers"):
        Judged(SimpleNamespace(name="choices"), "m").check(None, 0, None)


def keep(judge, tmp_path, said):
    """Lay verdicts into the cache as if they had been said."""
    import hashlib

    for (_, question, response), words in zip(judge.of.answers(None, None), said, strict=True):
        prompt = PROMPT.format(question=question.prompt, reference=question.answer, response=response)
        key = json.dumps(["1", judge.model, prompt, judge.max_tokens, None]).encode()
        (tmp_path / f"{hashlib.sha256(key).hexdigest()}.json").write_text(json.dumps({"said": words}))


def test_a_verdict_that_is_none_counts_as_wrong_and_is_told_unless_it_is_most_of_them(monkeypatch, tmp_path):
    monkeypatch.setenv("XFERBENCH_JUDGE_CACHE", str(tmp_path))
    judge = Judged(wrote("4", "5", "6"), "m")
    keep(judge, tmp_path, ["Yes.", "hmm", "no"])
    with pytest.warns(UserWarning, match="1 of 3 verdicts are neither yes nor no"):
        assert [item.score for item in judge.measure(None, None).items] == [1, 0, 0]
    keep(judge, tmp_path, ["Yes.", "hmm", "4"])
    with pytest.raises(DataError, match="m said neither yes nor no in 2 of 3"):
        judge.measure(None, None)


@pytest.mark.parametrize(
    ("said", "read"),
    [("yes", True), (" **Yes**, it is.", True), ("No", False), ("no.", False), ("", None), ("not sure", None),
     ("The answer is yes", None), ("yesterday", None)],
)  # fmt: skip
def test_a_verdict_is_its_first_word(said, read):
    assert verdict(said) is read


def test_the_identity_follows_who_judges_and_how():
    judge = Judged(wrote("4"), "m")
    others = [replace(judge, model="n"), replace(judge, votes=3), replace(judge, max_tokens=9)]
    assert len({one.fingerprint() for one in [judge, *others]}) == 4
    assert replace(judge, url="http://other").fingerprint() == judge.fingerprint()
    assert os.environ.get("XFERBENCH_JUDGE_CACHE") is None  # no test leaves its own behind


def measured(votes, right):
    """Results of two measurements of one target by a judge and exactly: base, and after training with two seeds."""
    cells, held = [], {}
    for place, (curriculum, seed) in enumerate([("", None), ("a", 0), ("a", 1)][: len(votes)]):
        for target, scores in (("judge:t:model=m,url=http://x:1/v1", votes[place]), ("t", right[place])):
            step = f"{target[:5]}{place}"
            condition = "transfer" if curriculum else "baseline"
            mean, n = float(np.mean(scores)), len(scores)
            cells.append(Cell(condition, curriculum, "sft", curriculum, target, seed, "acc", mean, 0.01, n, step))
            held[step] = {(f"i{n}", "p"): float(score) for n, score in enumerate(scores)}
    return Results({}, cells, [], [], None, held=held)


def test_agreement_kappa_and_brier_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    right = (rng.random((3, 80)) < 0.5).astype(float)
    votes = np.clip(right + rng.choice([-0.6, -0.2, 0, 0.2, 0.6], (3, 80)), 0, 1)
    whole, base, trained = judged.judged(measured(votes, right), resamples=200)
    yes = (votes > 0.5).astype(int)
    assert (whole["of"], whole["cells"], whole["n"], whole["curriculum"]) == ("t", 3, 80, None)
    assert whole["kappa"] == pytest.approx(cohen_kappa_score(yes.ravel(), right.ravel().astype(int)))
    assert whole["agreement"] == pytest.approx((yes == right).mean())
    assert whole["brier"] == pytest.approx(brier_score_loss(right.ravel(), votes.ravel()))
    assert base["leniency"] == pytest.approx(votes[0].mean() - right[0].mean())
    assert (trained["curriculum"], trained["cells"]) == ("a", 2)
    assert whole["kappa_low"] < whole["kappa"] < whole["kappa_high"]
    assert sum(whole["counts"].values()) == 240
    assert sum(row["n"] for row in whole["calibration"]) == 240
    one = whole["calibration"][-1]
    mine = votes.ravel() >= 0.9
    assert one["exact"] == pytest.approx(right.ravel()[mine].mean())
    assert whole["ece"] == pytest.approx(sum(r["n"] * abs(r["vote"] - r["exact"]) for r in whole["calibration"]) / 240)


@pytest.mark.parametrize(
    ("votes", "right", "why"),
    [
        ([[1, 1, 1]], [[1, 1, 1]], "always say the same one thing"),
        ([[1]], [[0]], "one item is too few"),
        ([[1, 0]], [[0.5, 1]], "not right or wrong"),
    ],
)
def test_what_cannot_be_compared_is_null_with_a_reason(votes, right, why, tmp_path):
    found = judged.judged(measured(np.array(votes, float), np.array(right, float)), resamples=20)
    assert why in found[0]["reason"]
    assert "NaN" not in json.dumps(found, allow_nan=False)
    assert why in judged.text(found)


def test_a_judge_alone_and_no_judge_say_what_is_missing(tmp_path):
    found = measured(np.ones((2, 3)), np.ones((2, 3)))
    found.cells = [cell for cell in found.cells if cell.target != "t"]
    (row,) = judged.judged(found)
    assert row["reason"] == "t was not measured beside it (add it to --target)"
    assert "no target was graded" in judged.text([])
    with pytest.raises(UsageError, match="nothing to draw"):
        judged.draw([row], tmp_path / "f.png")
