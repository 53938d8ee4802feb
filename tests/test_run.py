"""A whole run, as a user starts it: every condition, nothing done twice, and whatever happens, what is done is kept."""

import gzip
import json
import resource
from collections import Counter

import jsonschema
import pytest
from click.testing import CliRunner
from conftest import kept, kinds

from xferbench.analyse.schema import SCHEMA
from xferbench.experiment import CONDITIONS

FULL = ("run", "--suite", "tiny", "--source", "letters", "--target", "pick", "--seeds", "0,1", "--jobs", "1")
FULL += ("--scorer", "random,vocabulary", "--json")
LIGHT = ("run", "--suite", "feather", "--source", "f/d0", "--target", "f/t1", "--scorer", "", "--json")


@pytest.fixture(scope="module")
def whole(world, xferbench, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    done = xferbench(*FULL, "--out", "runs", env=world.env, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture(scope="module")
def found(whole):
    return json.loads(whole[1].stdout)


@pytest.fixture(scope="module")
def again(whole, world, xferbench):
    """The same command again: what it printed, what it did, and the processor's seconds that it took."""
    folder, _ = whole
    before, spent = kept(folder / "runs"), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = xferbench(*FULL, "--out", "runs", env=world.env, cwd=folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, before == kept(folder / "runs"), after.ru_utime - spent.ru_utime


def test_the_printed_object_keeps_the_published_schema(found):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(found, SCHEMA)


def test_every_condition_is_measured_with_every_seed(found):
    cells = Counter((cell["condition"], cell["seed"]) for cell in found["cells"])
    expected = {("baseline", None)} | {(name, seed) for name in CONDITIONS[1:] for seed in (0, 1)}
    assert cells == Counter(expected)
    assert not found["not_done"]


def test_each_cell_says_what_was_trained_on(found):
    curricula = {cell["condition"]: cell["curriculum"] for cell in found["cells"]}
    assert curricula == {
        "baseline": "",
        "transfer": "tiny/letters",
        "direct": "tiny/picks",
        "sequential": "tiny/letters>tiny/picks",
        "joint": "tiny/letters+tiny/picks",
        "placebo": "tiny/letters~shuffled",
    }


def test_a_finding_holds_the_mean_over_the_seeds_of_each_condition(found):
    (finding,) = found["findings"]
    for condition in CONDITIONS:
        values = [cell["value"] for cell in found["cells"] if cell["condition"] == condition]
        assert finding[condition] == pytest.approx(sum(values) / len(values), abs=1e-6)
    assert finding["gain"]["value"] == pytest.approx(finding["transfer"] - finding["baseline"], abs=1e-6)
    assert (finding["seeds"], finding["n"]) == (2, 12)


def test_nothing_is_trained_or_measured_twice(whole):
    folder, _ = whole
    assert kinds(kept(folder / "runs")) == {"train": 10, "evaluate": 11, "attribute": 2}


def test_the_source_is_trained_on_once_for_transfer_and_for_sequential(whole):
    folder, _ = whole
    recipes = [json.loads(path.read_text()) for path in (folder / "runs" / "steps").glob("train-*/step.json")]
    after = [row["start"]["id"] for row in recipes if row["start"]]
    alone = [row["id"] for row in recipes if [data["domain"] for data in row["data"]] == ["tiny/letters"]]
    assert len(after) == 2
    assert set(after) <= set(alone)


def test_results_and_items_and_a_picture_lie_in_the_folder(whole, found):
    runs = whole[0] / "runs"
    assert {path.name for path in runs.iterdir()} >= {"experiment.yaml", "results.jsonl", "items", "steps"}
    for cell in found["cells"]:
        text = gzip.decompress((runs / "items" / f"{cell['step']}.jsonl.gz").read_bytes())
        lines = [json.loads(line) for line in text.splitlines()]
        assert sum(line["score"] for line in lines) / len(lines) == pytest.approx(cell["value"])
        assert set(lines[0]) == {"id", "prompt", "score"}
    assert list(runs.glob("*.png"))


def test_data_goes_to_stdout_and_what_it_really_measured_to_stderr(whole):
    _, done = whole
    assert done.stdout.startswith("{")
    assert "suite tiny, model tiny/model: tiny/letters -> tiny/pick" in done.stderr
    assert "%|" not in done.stderr  # no progress bar of a library


def test_the_scorers_score_every_example(found):
    assert {row["scorer"] for row in found["attribution"]} == {"random", "vocabulary"}
    assert {row["n"] for row in found["attribution"]} == {8}


def test_the_same_command_again_does_no_step(again):
    assert again[1]


def test_the_same_command_again_prints_the_same_bytes(whole, again):
    assert again[0].returncode == 0
    assert again[0].stdout == whole[1].stdout


def test_the_same_command_again_is_quick(again):
    assert again[2] < 10


def test_a_run_is_replayed_from_its_own_folder(whole, world, xferbench):
    folder, first = whole
    before = kept(folder / "runs")
    done = xferbench("run", "runs/experiment.yaml", "--out", "runs", "--json", env=world.env, cwd=folder)
    assert done.stdout == first.stdout, done.stderr
    assert kept(folder / "runs") == before


def test_status_says_that_all_is_done(whole, world, xferbench):
    done = xferbench("status", "runs", "--json", env=world.env, cwd=whole[0])
    assert json.loads(done.stdout)["counts"] == {"done": 23, "running": 0, "failed": 0, "interrupted": 0, "waiting": 0}


# Small runs of the feather world inside this process.


@pytest.fixture
def ask(light, tmp_path, monkeypatch):
    """Ask the command line inside this process; steps go to runs/ in a folder of the test."""
    from xferbench.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments, env=None):
        return CliRunner().invoke(main, [*arguments], env=env)

    return run


def steps_of(shown):
    assert shown.exit_code == 0, shown.stderr
    return json.loads(shown.stdout)["steps"]


INLINE = (*LIGHT, "--executor", "inline", "--jobs", "1", "--trainer", "quill", "--seeds", "0,1")


def test_another_target_trains_nothing_new(ask, tmp_path):
    assert ask(*INLINE).exit_code == 0
    before = kept(tmp_path / "runs")
    shown = ask(*INLINE, "--target", "f/t1,f/twin")
    assert shown.exit_code == 0, shown.stderr
    new = set(kept(tmp_path / "runs")) - set(before)
    assert kinds(new) == {"evaluate": 11}
    assert {step: kept(tmp_path / "runs")[step] for step in before} == before


def test_another_source_measures_the_baseline_and_direct_no_second_time(ask, tmp_path):
    assert ask(*INLINE).exit_code == 0
    before = set(kept(tmp_path / "runs"))
    assert ask(*INLINE, "--source", "f/d1", "--conditions", "transfer,direct").exit_code == 0
    assert set(kept(tmp_path / "runs")) == before


def test_a_dry_run_shows_the_steps_and_does_nothing(ask, tmp_path):
    steps = steps_of(ask(*INLINE, "--dry-run"))
    assert kinds(step["step"] for step in steps) == {"train": 10, "evaluate": 11}
    assert not any(step["done"] for step in steps)
    assert not (tmp_path / "runs").exists()
    assert ask(*INLINE).exit_code == 0
    assert all(step["done"] for step in steps_of(ask(*INLINE, "--dry-run")))


def test_what_a_step_needs_comes_before_it(ask):
    titles = [step["title"] for step in steps_of(ask(*INLINE, "--dry-run"))]
    assert titles.index("train f/d0 by quill, seed 1") < titles.index("train f/d0>f/d1 by quill, seed 1")


def test_conditions_that_do_not_exist_are_left_out_with_a_note(ask):
    shown = ask(*INLINE, "--source", "f/d1", "--dry-run")
    notes = json.loads(shown.stdout)["notes"]
    assert notes == ["f/d1 is what DIRECT trains on for f/t1: sequential and joint are left out"]


def test_a_step_that_fails_is_named_the_rest_is_done_and_it_is_done_when_mended(ask, tmp_path, monkeypatch):
    monkeypatch.setenv("FEATHER_WRONG", "raises:1")
    shown = ask(*INLINE)
    assert shown.exit_code == 1
    found = json.loads(shown.stdout)
    jsonschema.validate(found, SCHEMA)
    assert {cell["seed"] for cell in found["cells"]} == {None, 0}
    why = {row["step"]: row["why"] for row in found["not_done"]}
    assert kinds(why) == {"train": 5, "evaluate": 5}
    assert any(text == "RuntimeError: the quill broke" for text in why.values())
    assert all("the quill broke" in text for text in why.values())
    assert "not done: train f/d0 by quill, seed 1: RuntimeError: the quill broke" in shown.stderr
    before = kept(tmp_path / "runs")
    monkeypatch.delenv("FEATHER_WRONG")
    mended = ask(*INLINE)
    assert mended.exit_code == 0, mended.stderr
    assert {cell["seed"] for cell in json.loads(mended.stdout)["cells"]} == {None, 0, 1}
    assert {step: kept(tmp_path / "runs")[step] for step in before} == before


def test_status_says_which_step_failed_and_why(ask, monkeypatch):
    monkeypatch.setenv("FEATHER_WRONG", "raises:0")
    assert ask(*INLINE, "--seeds", "0", "--conditions", "transfer").exit_code == 1
    shown = ask("status", "runs")
    assert "1 failed" in shown.stdout
    assert "the quill broke" in shown.stdout


def test_a_truncated_result_is_done_again_and_comes_out_the_same(ask, tmp_path):
    first = ask(*INLINE)
    (path, *_) = sorted((tmp_path / "runs" / "steps").glob("evaluate-*/result.json"))
    path.write_text(path.read_text()[:20])
    second = ask(*INLINE)
    assert second.exit_code == 0
    assert values(second) == values(first)


def values(shown):
    return [(cell["step"], cell["value"], cell["stderr"]) for cell in json.loads(shown.stdout)["cells"]]


def test_a_flag_goes_before_the_environment_before_the_yaml_before_the_default(ask, tmp_path):
    """Told by the seeds: how many trainings are planned."""
    (tmp_path / "asked.yaml").write_text(
        "source: f/d0\ntarget: f/t1\nsuite: feather\ntrainer: quill\nconditions: transfer\nseeds: [7]\n"
    )

    def trained(*arguments, env=None):
        steps = steps_of(ask("run", "asked.yaml", "--scorer", "", "--dry-run", "--json", *arguments, env=env))
        return [step["title"].rpartition(" ")[2] for step in steps if step["title"].startswith("train")]

    env = {"XFERBENCH_RUN_SEEDS": "4,5"}
    assert trained() == ["7"]
    assert trained(env=env) == ["4", "5"]
    assert trained("--seeds", "1", env=env) == ["1"]
    asked = (tmp_path / "asked.yaml").read_text()
    (tmp_path / "asked.yaml").write_text(asked.replace("seeds: [7]\n", ""))
    assert trained() == ["0", "1", "2"]


def test_a_flag_may_mend_what_is_wrong_in_the_yaml_only_if_it_can_be_read(ask, tmp_path):
    (tmp_path / "asked.yaml").write_text("source: f/d0\ntarget: f/t1\nsuite: feather\nseed: [7]\n")
    shown = ask("run", "asked.yaml", "--dry-run")
    assert shown.exit_code == 2
    assert "asked.yaml: unknown key 'seed'; did you mean 'seeds'?" in shown.stderr
