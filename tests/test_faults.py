"""Whatever goes wrong around a step: it is tried again, told, or stopped; what is done is kept, and done once."""

import json
import signal
import subprocess
import sys
from collections import Counter

import pytest
from conftest import ROOT, environment, items, kept, rows
from test_interrupted import living, start, wait_for

from xferbench.face import _stoppable
from xferbench.store import Store

ASKED = ("run", "--suite", "feather", "--source", "f/d0", "--target", "f/t1", "--trainer", "quill", "--scorer", "")
ONLY = ("--conditions", "transfer")
SMALL = """
import resource, sys
from xferbench.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000_000, 10_000_000))
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def wrongs(feather, tmp_path_factory):
    """One run in which each seed's training goes wrong in its own way, and no file may grow beyond 10 MB."""
    folder = tmp_path_factory.mktemp("wrongs")
    wrong = "raises:0,leaves:1,dies:2,hang:3,once:4,fills:5"
    env = {
        **feather.env,
        "FEATHER_WRONG": wrong,
        "FEATHER_LOG": str(folder / "log"),
        "XFERBENCH_PLUGINS": "feather,local",
    }
    line = [
        sys.executable,
        "-c",
        SMALL,
        *ASKED,
        *ONLY,
        "--seeds",
        "0,1,2,3,4,5,6",
        "--jobs",
        "4",
        "--step-timeout",
        "5",
    ]
    done = subprocess.run(
        [*line, "--json"], env=environment(env), cwd=folder, capture_output=True, text=True, timeout=400
    )
    why = {}
    for row in json.loads(done.stdout)["not_done"]:
        if row["step"].startswith("train-"):
            why[json.loads((folder / "runs" / "steps" / row["step"] / "step.json").read_text())["seed"]] = row["why"]
    return folder, done, why


def test_a_run_with_failures_ends_with_1_and_measures_the_rest(wrongs):
    _, done, why = wrongs
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    seeds = {cell["seed"] for cell in json.loads(done.stdout)["cells"] if cell["condition"] == "transfer"}
    assert seeds == {4, 6}
    assert set(why) == {0, 1, 2, 3, 5}


def test_each_failure_is_told_in_its_own_line(wrongs):
    _, _, why = wrongs
    assert why[0] == "RuntimeError: the quill broke"
    assert why[1] == "SystemExit: 5"
    assert why[2].startswith("the process that ran it died (killed, or out of memory; its process ended with 7)")
    assert why[3] == "took longer than 5 s, 2 times; its log.txt says where it was"
    assert why[5].startswith("a file grew beyond what this process may write")


def test_what_died_or_hung_was_tried_twice_and_what_raised_once(wrongs):
    folder, _, _ = wrongs
    tries = Counter(line.split()[1] for line in (folder / "log").read_text().splitlines() if line.startswith("train"))
    recipes = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("runs/steps/train-*/step.json")}
    assert {recipes[name]["seed"]: count for name, count in tries.items()} == {0: 1, 1: 1, 2: 2, 3: 2, 4: 2, 5: 1, 6: 1}


def test_the_log_of_a_step_that_hung_says_where(wrongs):
    folder, _, _ = wrongs
    logs = [path.read_text() for path in folder.glob("runs/steps/train-*/log.txt")]
    assert any("Timeout (0:00:05)!" in text and "in hang" in text for text in logs)


@pytest.fixture(scope="module")
def preempted(feather, tmp_path_factory):
    """A run that is sent SIGTERM amid its steps, and its folder."""
    folder = tmp_path_factory.mktemp("preempted")
    env = {**feather.env, "FEATHER_SECONDS": "1", "FEATHER_LOG": str(folder / "log")}
    process = start((*ASKED, "--seeds", "0,1", "--jobs", "1"), env, folder)
    wait_for(lambda: kept(folder / "runs") or process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=200)
    wait_for(lambda: not living(process.pid), 30)
    return folder, process.returncode, out, err


def test_sigterm_stops_a_run_cleanly(preempted):
    folder, code, out, err = preempted
    assert (code, out) == (143, "")
    assert f"stopped; {len(kept(folder / 'runs'))} of " in err
    assert "The same command goes on from there." in err
    assert "Traceback" not in err
    assert "leaked" not in err
    left = [path.name for name in ("*.part", "lock", ".lock", "progress.*") for path in (folder / "runs").rglob(name)]
    assert not left


def test_every_command_that_does_steps_stops_so(tmp_path, capsys):
    with pytest.raises(SystemExit, match="143"), _stoppable(Store(tmp_path)):
        signal.raise_signal(signal.SIGTERM)
    assert f"stopped; what is done is kept in {tmp_path}. The same command" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_two_runs_of_one_experiment_share_the_work_after_it(preempted, feather, xferbench, tmp_path):
    """Both end well, no step is done twice, and the results are those of a run left in peace."""
    folder = preempted[0]
    before = kept(folder / "runs")
    (folder / "log").unlink()
    env = {**feather.env, "FEATHER_SECONDS": "0.2", "FEATHER_LOG": str(folder / "log")}
    both = [start((*ASKED, "--seeds", "0,1", "--jobs", "1"), env, folder) for _ in range(2)]
    assert [process.communicate(timeout=300)[1] and process.returncode for process in both] == [0, 0]
    after = kept(folder / "runs")
    assert {step: after[step] for step in before} == before
    done = Counter(line.rsplit(" ", 1)[0] for line in (folder / "log").read_text().splitlines())
    assert set(done.values()) == {1}
    assert len(done) == len(after) - len(before)
    assert xferbench(*ASKED, "--seeds", "0,1", env=feather.env, cwd=tmp_path).returncode == 0
    assert rows(folder / "runs") == rows(tmp_path / "runs")
    assert items(folder / "runs") == items(tmp_path / "runs")
    left = [path.name for name in ("*.part", "lock", ".lock", "progress.*") for path in (folder / "runs").rglob(name)]
    assert not left


def test_a_process_in_which_a_plugin_keeps_memory_is_replaced(light, feather, tmp_path, monkeypatch):
    """Each training keeps 300 MB, so each has a process of its own; the measurements, which keep nothing, share one."""
    monkeypatch.setenv("PYTHONPATH", str(feather.folder))
    monkeypatch.setenv("FEATHER_WRONG", "leaks")
    done = light(tmp_path / "runs", seeds="0,1", conditions="transfer", executor="local:memory=0.28", jobs=1)
    assert not done.not_done
    lines = [line.split() for line in light.logged.read_text().splitlines()]
    pids = {what: [pid for kind, _, pid in lines if kind == what] for what in ("train", "measure")}
    assert len(set(pids["train"])) == len(pids["train"]) == 2
    assert (len(pids["measure"]), len(set(pids["measure"]))) == (3, 1)


def test_random_kills_leave_no_trace():
    """The long form is benchmarks/faults.py itself."""
    line = [sys.executable, str(ROOT / "benchmarks" / "faults.py"), "--kills", "3", "--seed", "1"]
    env = {**environment(), "FEATHER_SECONDS": "0.1"}
    done = subprocess.run(line, capture_output=True, text=True, env=env, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "as in the undisturbed run: True" in done.stdout


def test_a_step_is_done_from_its_recipe_alone_and_once(preempted, feather, xferbench):
    folder = preempted[0]
    recipe = min((folder / "runs").glob("steps/train-*/step.json"))
    whole = kept(folder / "runs")
    (recipe.parent / "result.json").unlink()
    first = xferbench("step", recipe, env=feather.env, cwd="/")
    second = xferbench("step", recipe, env=feather.env, cwd="/")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert first.stdout == second.stdout == f"done {recipe.parent.name}\n"
    assert set(kept(folder / "runs")) == set(whole)


def test_a_step_whose_need_is_not_done_fails_with_one_line(feather, xferbench, tmp_path, preempted):
    recipe = min(
        (preempted[0] / "runs").glob("steps/evaluate-*/step.json"), key=lambda path: '"train": null' in path.read_text()
    )
    copy = tmp_path / "steps" / recipe.parent.name / "step.json"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(recipe.read_bytes())
    said = xferbench("step", copy, env=feather.env)
    assert said.returncode == 1
    assert "needs train-" in said.stdout
    elsewhere = tmp_path / "step.json"
    elsewhere.write_bytes(recipe.read_bytes())
    said = xferbench("step", elsewhere, env=feather.env)
    assert said.returncode == 2
    assert "does not lie in a store" in said.stderr
