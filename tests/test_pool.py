"""The local pool: a worker that dies is replaced alone, one that holds too much memory too, and each has its GPU."""

import os
import subprocess
import sys

import pytest
from conftest import environment

from xferbench import UsageError
from xferbench.catalog import load
from xferbench.ready import Ready
from xferbench.steps import Base, Data, Evaluate, Named, Train
from xferbench_local import Local
from xferbench_local.pool import WorkerDied, open_pool, surroundings


def test_a_worker_that_dies_is_told_and_replaced():
    with open_pool(1, 1, None) as pool:
        first = pool.submit(os.getpid).result(120)
        assert pool.submit(os.getpid).result(120) == first
        with pytest.raises(WorkerDied, match="its process ended with 3"):
            pool.submit(os._exit, 3).result(120)
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 1, 0).result(120)
        assert pool.submit(os.getpid).result(120) != first
        assert pool.submit(os.getenv, "OMP_NUM_THREADS").result(120) == "1"


def test_a_worker_that_holds_more_than_its_share_is_replaced():
    with open_pool(1, 1, 1e-3) as pool:
        assert pool.submit(os.getpid).result(120) != pool.submit(os.getpid).result(120)


def test_a_script_without_a_guard_does_not_run_again_in_its_workers(tmp_path):
    script = tmp_path / "plain.py"
    script.write_text(
        "import os\nfrom xferbench_local.pool import open_pool\nprint('begun')\n"
        "with open_pool(2, 1, None) as pool:\n    print(pool.submit(os.getpid).result(120) != os.getpid())\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment(), timeout=300)
    assert (done.stdout, done.returncode) == ("begun\nTrue\n", 0), done.stderr[-2000:]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"memory": "lots"}, "executor local: memory takes a number, not 'lots'"),
        ({"memory": "-1"}, "executor local: memory must be above 0, not -1"),
        ({"threads": "1.5"}, "executor local: threads takes a whole number, not 1.5"),
        ({"threads": "0"}, "executor local: threads must be above 0, not 0"),
    ],
)
def test_settings_that_may_be_left_out_have_a_kind_as_well(settings, said):
    with pytest.raises(UsageError, match=said):
        load().make("executor", "local", settings)


def test_settings_that_may_be_left_out_keep_their_values():
    assert load().make("executor", "local", {"memory": "2", "threads": "none"}) == Local(None, 2)


def test_a_worker_has_one_gpu_of_those_that_are_visible():
    given = [
        surroundings(slot, 3, 1, {"CUDA_VISIBLE_DEVICES": "4,6"}, True)["CUDA_VISIBLE_DEVICES"] for slot in range(3)
    ]
    assert given == ["4", "6", "4"]
    assert [surroundings(slot, 2, 1, {}, True)["CUDA_VISIBLE_DEVICES"] for slot in range(2)] == ["0", "1"]
    assert "CUDA_VISIBLE_DEVICES" not in surroundings(0, 1, 1, {}, True)  # a single process has all of them
    assert "CUDA_VISIBLE_DEVICES" not in surroundings(0, 2, 1, {}, False)


BASE = Base("m", "/m", "f")
TARGETS = [Named(f"t{n}", {}, "1") for n in range(4)]


def train(name, start=None):
    return Train(BASE, start, Named("sft", {}, "1"), (Data(name, 1, name, "1"),), 0)


def world():
    a, b = train("a"), train("b")
    c, d = train("c", b), train("d", b)
    measured = [Evaluate(BASE, step, target, None) for step in (None, a) for target in TARGETS]
    return a, b, c, d, measured


def test_the_training_that_most_waits_for_comes_first():
    a, b, c, d, _ = world()
    ready = Ready([a, b, c, d])
    assert ready.take(1, whole=False) == [[b]]
    ready.done(b)
    assert {jobs[0].id for jobs in ready.take(9, whole=False)} == {a.id, c.id, d.id}


def test_evaluations_of_one_checkpoint_go_together():
    a, _, _, _, measured = world()
    ready = Ready([a, *measured])
    assert ready.take(3, whole=True) == [[a], measured[:4]]  # the base's, since a is not there yet
    ready.done(a)
    assert ready.take(3, whole=True) == [measured[4:]]


def test_they_are_spread_over_workers_that_have_nothing_else_to_do():
    _, _, _, _, measured = world()
    assert [len(job) for job in Ready(measured[:4]).take(2, whole=False)] == [2, 2]
    assert [len(job) for job in Ready(measured[:4]).take(1, whole=False)] == [4]


def test_what_needs_a_failed_step_goes_down_with_it():
    _, b, c, d, _ = world()
    evaluation = Evaluate(BASE, c, TARGETS[0], None)
    ready = Ready([b, c, d, evaluation])
    assert {step.id for step in ready.failed(b)} == {c.id, d.id, evaluation.id}
    assert not ready.todo
