"""Checkpoints trained elsewhere are measured as any other, and are rows of every analysis."""

import json

import pytest

from xferbench import ModelError, UsageError, catalog, execute
from xferbench.analyse import changes, document, drift, wide
from xferbench.compare import drift_command
from xferbench.drift import Settings
from xferbench.experiment import from_mapping, text
from xferbench.results import read


def asked(checkpoint, **more):
    values = {"suite": "tiny", "target": "quick", "executor": "inline", "jobs": 1, "scorer": [], "seeds": "0"}
    return from_mapping({**values, "checkpoint": checkpoint, **more})


def measured(out, checkpoint, **more):
    plan, store = execute.ask(asked(checkpoint, **more), catalog.load(), out)
    return execute.execute(plan, store, catalog.load())


def test_a_model_and_an_adapter_are_measured_beside_the_baseline(inside, tuned, tmp_path, capsys):
    both = [f"whole={tuned / 'model'},method=sft", f"part={tuned / 'adapter'},method=rl"]
    results = measured(tmp_path, both)
    assert results.not_done == []
    cells = {cell.curriculum: cell for cell in results.cells}
    assert {(c.condition, c.curriculum, c.recipe, c.seed) for c in results.cells} == {
        ("baseline", "", "", None), ("transfer", "whole", "sft", None), ("transfer", "part", "rl", None),
    }  # fmt: skip
    # one is the other, merged
    assert cells["whole"].value == pytest.approx(cells["part"].value, rel=1e-4)
    assert cells["whole"].value != cells[""].value
    assert cells["part"].cost["tokens"] is None
    findings = {row["source"]: row for row in document.document(results)["findings"]}
    assert findings["part"]["recipe"] == "rl"
    assert findings["part"]["gain"]["value"] == pytest.approx(cells["part"].value - cells[""].value)
    assert findings["part"]["relative_transfer"]["value"] is None
    assert set(wide.of(results).rows) == {"base", "whole", "part"}
    assert {row["curriculum"] for row in changes.changes(results)} == {"whole", "part"}
    # nothing is done again, and the experiment replays
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("steps/*/result.json")}
    again = from_mapping({"checkpoint": list(asked(both).checkpoint), "target": ["quick"], "suite": "tiny"})
    assert "checkpoint:" in text(again)
    measured(tmp_path, both)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("steps/*/result.json")} == before
    # how far each moved, kept beside the rows
    flags = {"base": None, "target": None, "suite": None, "conditions": None, "seeds": None}
    drift_command(str(tmp_path), flags, Settings(prompts=6, responses="answers"), True, None)
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["curriculum"] for row in rows} == {"whole", "part"}
    assert rows[0]["forward"]["value"] == pytest.approx(rows[1]["forward"]["value"], rel=1e-3)
    stored = {path: path.stat().st_mtime_ns for path in tmp_path.glob("drift/*.json")}
    drift_command(str(tmp_path), flags, Settings(prompts=6, responses="answers"), True, None)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("drift/*.json")} == stored
    capsys.readouterr()
    found = drift.drift(read(tmp_path), drift.read(tmp_path))
    assert "it takes 4 cells" in found["relation"][0]["reason"]
    with pytest.raises(UsageError, match="condition"):
        drift_command(str(tmp_path), {**flags, "conditions": "transfr"}, Settings(), True, None)
    with pytest.raises(UsageError, match="leave out --base"):
        drift_command(str(tmp_path), {**flags, "base": "x"}, Settings(), True, None)


@pytest.mark.parametrize(
    ("written", "error", "why"),
    [
        ("rl", UsageError, "NAME=PATH"),
        ("rl=", UsageError, "NAME=PATH"),
        ("a>b={model}", UsageError, "NAME=PATH"),
        ("rl={model},methd=rl", UsageError, "did you mean|method"),
        ("rl={model},method=", UsageError, "has no value"),
        ("rl={model},method=r l", UsageError, "one word"),
        ("tiny/even={model}", UsageError, "already"),
        ("rl={model},base={llama}", UsageError, "is no adapter"),
        ("rl={llama}", UsageError, "is the base model itself"),
        ("rl=/no/such/folder", ModelError, "does not exist"),
        ("rl={empty}", ModelError, "base_model_name_or_path|adapter_config"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_done(inside, tuned, llama, tmp_path, written, error, why):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "adapter_config.json").write_text("{}")
    written = written.format(model=tuned / "model", llama=llama, empty=tmp_path / "empty")
    with pytest.raises(error, match=why):
        execute.ask(asked([written]), catalog.load(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_same_name_twice_and_a_base_of_ones_own(inside, tuned, llama, tmp_path):
    one = f"rl={tuned / 'adapter'},base={llama}"
    plan, _ = execute.ask(asked([one]), catalog.load(), tmp_path)
    assert [step.base.adapter for step in plan.steps] == [None, str(tuned / "adapter")]
    with pytest.raises(UsageError, match="already"):
        execute.ask(asked([one, f"rl={tuned / 'model'}"]), catalog.load(), tmp_path)
