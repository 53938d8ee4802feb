"""A run that is disturbed: Ctrl-C, SIGKILL, a worker that dies; it ends as one left in peace.

Its steps are those of tests/feather, since what is disturbed is the harness around them; a training with trl that is
killed and taken up again stands in test_resume.py.
"""

import hashlib
import json
import os
import signal
import subprocess
import time

import psutil
import pytest
from conftest import command, environment, items, kept, kinds, rows

LIGHT = ("run", "--suite", "feather", "--source", "f/d0", "--target", "f/t1", "--trainer", "quill", "--scorer", "")
LIGHT += ("--conditions", "transfer,sequential", "--json")
SLOW = (*LIGHT, "--seeds", "0,1,2", "--jobs", "1")


def start(arguments, env, cwd):
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(env),
        cwd=cwd,
        start_new_session=True,
        # A shell gives its background jobs an ignored SIGINT, which would be handed down to here.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
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


def disturbed(number, folder, feather):
    """Start the slow run; signal it when one more training is done and the next has begun; say what it said."""
    runs = folder / "runs"
    before = kinds(set(kept(runs)))["train"]
    process = start((*SLOW, "--out", "runs"), {**feather.env, "FEATHER_SECONDS": "1"}, folder)
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
def story(feather, xferbench, tmp_path_factory):
    """Stopped with Ctrl-C, taken up again and killed, taken up again and finished; and the same left in peace."""
    folder, peace = tmp_path_factory.mktemp("story"), tmp_path_factory.mktemp("peace")
    found = {"stopped": disturbed(signal.SIGINT, folder, feather)}
    found["kept"] = kept(folder / "runs")
    found["killed"] = disturbed(signal.SIGKILL, folder, feather)
    found["kept more"] = kept(folder / "runs")
    found["finished"] = xferbench(*SLOW, "--out", "runs", env=feather.env, cwd=folder)
    found["peace"] = xferbench(*SLOW, "--out", "runs", env=feather.env, cwd=peace)
    return found | {"folder": folder / "runs", "peaceful": peace / "runs"}


def test_ctrl_c_says_what_is_kept_and_exits_130(story):
    code, out, err, left = story["stopped"]
    assert code == 130
    assert out == ""
    assert f"stopped; {len(story['kept'])} of " in err
    assert "are done and kept in runs. The same command goes on from there." in err
    assert "Traceback" not in err
    assert "leaked" not in err
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
    trained = list(story["peaceful"].glob("steps/train-*/adapter/weights.bin"))
    assert len(trained) == 6
    for path in trained:
        other = story["folder"] / path.relative_to(story["peaceful"])
        assert hashlib.sha256(other.read_bytes()).digest() == hashlib.sha256(path.read_bytes()).digest()


def test_nothing_half_written_is_left(story):
    assert not list(story["folder"].rglob("*.part"))
    assert not list(story["folder"].rglob("progress.json"))


@pytest.fixture(scope="module")
def died(feather, tmp_path_factory):
    """A trainer that ends its whole process, beside a good one that was at work in another."""
    folder = tmp_path_factory.mktemp("died")
    asked = (*LIGHT, "--seeds", "0,1", "--jobs", "2")
    process = start(asked, {**feather.env, "FEATHER_WRONG": "dies:1", "FEATHER_SECONDS": "1"}, folder)
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
    assert "train f/d0 by quill, seed 1" in err


def test_a_step_that_died_beside_another_is_not_given_up_with_it(died):
    code, out, err = died
    assert code == 1, err
    assert ("transfer", 0) in {(cell["condition"], cell["seed"]) for cell in json.loads(out)["cells"]}
    assert ("sequential", 0) in {(cell["condition"], cell["seed"]) for cell in json.loads(out)["cells"]}
