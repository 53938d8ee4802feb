"""Recipes in one run, end to end: what was trained, what was counted, and which recipe is said to be better."""

import json

import pytest
from click.testing import CliRunner
from conftest import WORLD_PLUGINS, printed, within

from xferbench.cli import main

QUICK = "steps=2,k=2,batch_size=4,max_completion=3"
RECIPES = ("sft:max_steps=2", f"grpo:{QUICK}", f"sft:max_steps=2>grpo:{QUICK}")


@pytest.fixture(scope="module")
def done(world, tmp_path_factory):
    out = tmp_path_factory.mktemp("recipes") / "runs"
    asked = ("run", "--suite", "tiny", "--source", "even", "--target", "quick", "--scorer", "", "--json")
    more = ("--trainer", ",".join(RECIPES), "--seeds", "0,1", "--conditions", "transfer", "--executor", "inline")
    with within(world, f"{WORLD_PLUGINS},grpo"):
        found = CliRunner().invoke(main, [*asked, *more, "--out", str(out)])
    assert found.exit_code == 0, found.stderr
    return printed(found), out


def test_every_recipe_is_measured_and_every_two_are_compared(done):
    found, _ = done
    assert {cell["recipe"] for cell in found["cells"] if cell["condition"] == "transfer"} == set(RECIPES)
    assert {(row["recipe"], row["against"]) for row in found["methods"]} == {
        (RECIPES[1], RECIPES[0]),
        (RECIPES[2], RECIPES[0]),
        (RECIPES[2], RECIPES[1]),
    }
    assert {row["seeds"] for row in found["methods"]} == {2}
    scores = {name: [c["value"] for c in found["cells"] if c["recipe"] == name] for name in RECIPES}
    for row in found["methods"]:
        mean = {name: sum(values) / len(values) for name, values in scores.items()}
        assert row["value"] == pytest.approx(mean[row["recipe"]] - mean[row["against"]], abs=1e-9)


def test_the_second_trainer_of_a_recipe_goes_on_from_the_first(done):
    _, runs = done
    steps = [json.loads(path.read_text()) for path in runs.glob("steps/train-*/step.json")]
    assert len(steps) == 6  # for each seed: sft, grpo, and grpo from that same sft
    second = [step for step in steps if step["start"]]
    assert {step["start"]["id"] for step in second} <= {step["id"] for step in steps}
    assert {step["trainer"]["name"] for step in second} == {"grpo"}
    assert all(step["start"]["trainer"]["name"] == "sft" for step in second)
    assert all(set(step["trainer"]["aside"]) == {"save_every", "report_to", "processes"} for step in steps)


def test_responses_that_did_not_end_are_counted_in_the_result_and_told(done):
    found, runs = done
    results = [json.loads(path.read_text()) for path in runs.glob("steps/train-*/result.json")]
    counted = [result for result in results if "responses" in result]
    assert [result["responses"] for result in counted] == [8] * 4
    assert all(0 <= result["unended"] <= 8 for result in counted)
    unended = sum(result["unended"] for result in counted)
    told = [note for note in found["notes"] if "did not end and were cut" in note]
    assert sum(int(note.split(": ")[1].split()[0]) for note in told) == unended
    assert not list(runs.glob("steps/*/unfinished"))
