"""A whole run, as a user starts it: every condition, nothing done twice, and whatever happens, what is done is kept."""

import gzip
import hashlib
import json
import os
import resource
import signal
import subprocess
import time
from collections import Counter

import jsonschema
import psutil
import pytest
from click.testing import CliRunner
from conftest import command, environment

from xferbench.analyse.schema import SCHEMA
from xferbench.experiment import CONDITIONS

FULL = ("run", "--suite", "tiny", "--source", "letters", "--target", "pick", "--seeds", "0,1", "--jobs", "1")
FULL += ("--scorer", "random,vocabulary", "--json")
LIGHT = ("run", "--suite", "tiny", "--source", "letters", "--target", "quick", "--scorer", "", "--json")


def kept(folder):
    """Return {step: the bytes of its result} of all steps that are done."""
    return {path.parent.name: path.read_bytes() for path in (folder / "steps").glob("*/result.json")}


def kinds(steps):
    return Counter(step.split("-")[0] for step in steps)


def rows(folder):
    """The rows of a run without what may differ: how long it took, and where it lies."""
    found = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    for row in found:
        row.pop("store", None)
        row.get("cost", {}).pop("seconds", None)
    return found


def items(folder):
    return {path.name: gzip.decompress(path.read_bytes()) for path in (folder / "items").iterdir()}


# One whole run with trl and lm-eval, shared by what follows.


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
    assert json.loads(done.stdout)["counts"] == {"done": 23, "running": 0, "failed": 0, "interrupted": 0}


# Small runs inside this process, with an executor of the plugin's.


@pytest.fixture
def ask(inside, tmp_path, monkeypatch):
    """Ask the command line inside this process; steps go to runs/ in a folder of the test."""
    from xferbench.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments, env=None):
        return CliRunner().invoke(main, [*arguments], env=env)

    return run


def steps_of(shown):
    assert shown.exit_code == 0, shown.stderr
    return json.loads(shown.stdout)["steps"]


INLINE = (*LIGHT, "--executor", "inline", "--trainer", "nudge", "--seeds", "0,1")


def test_another_target_trains_nothing_new(ask, tmp_path):
    assert ask(*INLINE).exit_code == 0
    before = kept(tmp_path / "runs")
    shown = ask(*INLINE, "--target", "quick,quiz")
    assert shown.exit_code == 0, shown.stderr
    new = set(kept(tmp_path / "runs")) - set(before)
    assert kinds(new) == {"evaluate": 11}
    assert {step: kept(tmp_path / "runs")[step] for step in before} == before


def test_another_source_measures_the_baseline_and_direct_no_second_time(ask, tmp_path):
    assert ask(*INLINE).exit_code == 0
    before = set(kept(tmp_path / "runs"))
    assert ask(*INLINE, "--source", "picks", "--conditions", "transfer,direct").exit_code == 0
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
    assert titles.index("train tiny/letters by nudge, seed 1") < titles.index(
        "train tiny/letters>tiny/picks by nudge, seed 1"
    )


def test_conditions_that_do_not_exist_are_left_out_with_a_note(ask):
    shown = ask(*INLINE, "--source", "picks", "--dry-run")
    notes = json.loads(shown.stdout)["notes"]
    assert notes == ["tiny/picks is what DIRECT trains on for tiny/quick: sequential and joint are left out"]


def test_a_step_that_fails_is_named_the_rest_is_done_and_it_is_done_when_mended(ask, tmp_path, monkeypatch):
    fragile = (*INLINE, "--trainer", "fragile")
    monkeypatch.setenv("TINY_RAISE", "1")
    shown = ask(*fragile)
    assert shown.exit_code == 1
    found = json.loads(shown.stdout)
    jsonschema.validate(found, SCHEMA)
    assert {cell["seed"] for cell in found["cells"]} == {None, 0}
    why = {row["step"]: row["why"] for row in found["not_done"]}
    assert kinds(why) == {"train": 5, "evaluate": 5}
    assert any(text == "RuntimeError: the fragile trainer broke" for text in why.values())
    assert all("the fragile trainer broke" in text for text in why.values())
    assert "not done: train tiny/letters by fragile, seed 1: RuntimeError: the fragile trainer broke" in shown.stderr
    before = kept(tmp_path / "runs")
    monkeypatch.delenv("TINY_RAISE")
    mended = ask(*fragile)
    assert mended.exit_code == 0, mended.stderr
    assert {cell["seed"] for cell in json.loads(mended.stdout)["cells"]} == {None, 0, 1}
    assert {step: kept(tmp_path / "runs")[step] for step in before} == before


def test_status_says_which_step_failed_and_why(ask, monkeypatch):
    monkeypatch.setenv("TINY_RAISE", "0")
    assert ask(*INLINE, "--trainer", "fragile", "--seeds", "0", "--conditions", "transfer").exit_code == 1
    shown = ask("status", "runs")
    assert "1 failed" in shown.stdout
    assert "the fragile trainer broke" in shown.stdout


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
        "source: letters\ntarget: quick\nsuite: tiny\nconditions: transfer\nseeds: [7]\n"
    )

    def trained(*arguments, env=None):
        steps = steps_of(ask("run", "asked.yaml", "--scorer", "", "--dry-run", "--json", *arguments, env=env))
        return [step["title"].rpartition(" ")[2] for step in steps if step["title"].startswith("train")]

    env = {"XFERBENCH_RUN_SEEDS": "4,5"}
    assert trained() == ["7"]
    assert trained(env=env) == ["4", "5"]
    assert trained("--seeds", "1", env=env) == ["1"]
    (tmp_path / "asked.yaml").write_text("source: letters\ntarget: quick\nsuite: tiny\nconditions: transfer\n")
    assert trained() == ["0", "1", "2"]


def test_a_flag_may_mend_what_is_wrong_in_the_yaml_only_if_it_can_be_read(ask, tmp_path):
    (tmp_path / "asked.yaml").write_text("source: letters\ntarget: quick\nsuite: tiny\nseed: [7]\n")
    shown = ask("run", "asked.yaml", "--dry-run")
    assert shown.exit_code == 2
    assert "asked.yaml: unknown key 'seed'; did you mean 'seeds'?" in shown.stderr


# Runs that are disturbed, in processes of their own.

SLOW = (*LIGHT, "--trainer", "slow", "--seeds", "0,1,2", "--conditions", "transfer,sequential", "--jobs", "1")


def start(arguments, env, cwd):
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(env),
        cwd=cwd,
        start_new_session=True,
    )


def wait_for(true, seconds=300):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def living(session):
    """The processes of a session that are alive."""
    found = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getsid(process.pid) == session and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except ProcessLookupError:
            continue
    return found


def disturbed(number, folder, world):
    """Start the slow run; signal it when one more training is done and the next has begun; say what it said."""
    runs = folder / "runs"
    before = len(kept(runs))
    process = start((*SLOW, "--out", "runs"), {**world.env, "TINY_SLOW": "4"}, folder)
    try:
        wait_for(lambda: kinds(set(kept(runs)))["train"] > before or process.poll() is not None)
        wait_for(lambda: len(list(runs.glob("steps/*/step.json"))) > len(kept(runs)) or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        out, err = process.communicate(timeout=200)
        try:
            wait_for(lambda: not living(process.pid), 15)
            left = []
        except AssertionError:
            left = living(process.pid)
        return process.returncode, out, err, left
    finally:
        for pid in living(process.pid):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def story(world, xferbench, tmp_path_factory):
    """Stopped with Ctrl-C, taken up again and killed, taken up again and finished; and the same left in peace."""
    folder, peace = tmp_path_factory.mktemp("story"), tmp_path_factory.mktemp("peace")
    found = {"stopped": disturbed(signal.SIGINT, folder, world)}
    found["kept"] = kept(folder / "runs")
    found["killed"] = disturbed(signal.SIGKILL, folder, world)
    found["kept more"] = kept(folder / "runs")
    found["finished"] = xferbench(*SLOW, "--out", "runs", env=world.env, cwd=folder)
    found["peace"] = xferbench(*SLOW, "--out", "runs", env=world.env, cwd=peace)
    return found | {"folder": folder / "runs", "peaceful": peace / "runs"}


def test_ctrl_c_says_what_is_kept_and_exits_130(story):
    code, out, err, left = story["stopped"]
    assert code == 130
    assert out == ""
    assert f"stopped; {len(story['kept'])} of " in err
    assert "are done and kept in runs. The same command goes on from there." in err
    assert "Traceback" not in err
    assert not left


def test_nothing_lives_on_when_the_run_is_killed(story):
    code, _, _, left = story["killed"]
    assert code == -signal.SIGKILL
    assert not left


def test_the_same_command_goes_on_from_there(story):
    assert story["finished"].returncode == 0, story["finished"].stderr
    after = kept(story["folder"])
    for before in (story["kept"], story["kept more"]):
        assert before
        assert {step: after[step] for step in before} == before
    assert len(story["kept more"]) > len(story["kept"])


def test_a_disturbed_run_ends_with_the_results_of_one_left_in_peace(story):
    assert story["peace"].returncode == 0
    assert rows(story["folder"]) == rows(story["peaceful"])
    assert items(story["folder"]) == items(story["peaceful"])
    for path in story["peaceful"].glob("steps/train-*/model/*.safetensors"):
        other = story["folder"] / path.relative_to(story["peaceful"])
        assert hashlib.sha256(other.read_bytes()).digest() == hashlib.sha256(path.read_bytes()).digest()


def test_nothing_half_written_is_left(story):
    assert not list(story["folder"].rglob("*.part"))
    assert not list(story["folder"].rglob("progress.json"))


@pytest.fixture(scope="module")
def died(world, tmp_path_factory):
    """A trainer that ends its whole process, beside a good one that was at work in another."""
    folder = tmp_path_factory.mktemp("died")
    asked = (*LIGHT, "--trainer", "fragile", "--seeds", "0,1", "--conditions", "transfer,sequential", "--jobs", "2")
    process = start(asked, {**world.env, "TINY_EXIT": "1", "TINY_SLOW": "3"}, folder)
    try:
        out, err = process.communicate(timeout=200)
        return process.returncode, out, err
    except subprocess.TimeoutExpired:
        for pid in living(process.pid):
            os.kill(pid, signal.SIGKILL)
        return None, *process.communicate()


def test_a_step_whose_process_dies_is_reported_and_the_run_ends(died):
    code, out, err = died
    assert code == 1, err
    why = {row["step"]: row["why"] for row in json.loads(out)["not_done"]}
    assert any("the process that ran it died" in text for text in why.values())
    assert "train tiny/letters by fragile, seed 1" in err


def test_a_step_that_died_beside_another_is_not_given_up_with_it(died):
    code, out, err = died
    assert code == 1, err
    assert ("transfer", 0) in {(cell["condition"], cell["seed"]) for cell in json.loads(out)["cells"]}
    assert ("sequential", 0) in {(cell["condition"], cell["seed"]) for cell in json.loads(out)["cells"]}
