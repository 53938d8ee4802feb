"""The script that makes the mini world's model: a run that was stopped goes on to the very same bytes."""

import json

import pytest

from xferbench_mini import pretrain


def test_pretraining_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    monkeypatch.setitem(
        pretrain.SIZES,
        "small",
        {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
    )
    for name, value in {"CHUNK": 60, "SAVED": 2, "BATCH_TOKENS": 512}.items():
        monkeypatch.setattr(pretrain, name, value)
    monkeypatch.setattr(pretrain.shutil, "which", lambda _: None)  # compiling takes longer than the whole test
    asked = {"size": "small", "steps": 9, "seed": 3, "threads": 1, "start": None}
    pretrain.train(tmp_path / "one", **asked)
    loss, left = pretrain.loss_of, iter(range(5))

    def stops(*given):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return loss(*given)

    monkeypatch.setattr(pretrain, "loss_of", stops)
    with pytest.raises(KeyboardInterrupt):
        pretrain.train(tmp_path / "two", **asked)
    assert not (tmp_path / "two" / "model").exists()
    monkeypatch.setattr(pretrain, "loss_of", loss)
    pretrain.train(tmp_path / "two", **asked)
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name / "model").iterdir() if path.suffix != ".md"}
        for name in ("one", "two")
    )
    one.pop("SHA256SUMS.json"), two.pop("SHA256SUMS.json")  # hold the seconds of the card
    assert "model.safetensors" in one
    assert one == two


def test_two_runs_give_the_same_adapters_scores_and_tables(xferbench, tmp_path):
    """sft, then grpo, on mini itself, twice from nothing: all but the seconds is the same, byte for byte."""
    asked = ("run", "--source", "math", "--target", "gpqa", "--trainer", "sft>grpo:steps=1,batch_size=8,k=4")
    small = ("--conditions", "baseline,transfer", "--seeds", "0", "--train-limit", "32", "--eval-limit", "16")
    printed = []
    for name in ("one", "two"):
        done = xferbench(*asked, *small, "--scorer", "cosine,bm25", "--out", name, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found.pop("store") == name
        for row in (*found["cells"], *found["findings"]):
            del row["cost"]["seconds"]
        printed.append(found)
    assert printed[0] == printed[1]
    one, two = (
        {
            str(path.relative_to(tmp_path / name)): path.read_bytes()
            for pattern in ("**/*.safetensors", "**/scores.jsonl.gz", "**/step.json", "items/*")
            for path in (tmp_path / name).glob(pattern)
        }
        for name in ("one", "two")
    )
    assert one.keys() == two.keys()
    assert [path for path in one if one[path] != two[path]] == []
    assert sum(path.endswith("adapter_model.safetensors") for path in one) == 2
