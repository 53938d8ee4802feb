"""Unknown code against tests, in processes of their own behind the walls of confine.py.

Code is run only where the user said so with HF_ALLOW_CODE_EVAL=1, the word that lm-eval and evaluate ask for too.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from xferbench import StepError, UsageError
from xferbench_rewards.values import dumps, loads

ALLOWED = "HF_ALLOW_CODE_EVAL"
SLACK = 3.0
"""Seconds for two processes to start."""


@dataclass(frozen=True)
class Verdict:
    """What became of a program: only "passed" is good."""

    status: str
    """passed; failed (a test did), error (the program itself raised), ended (its process did, or it broke the
    protocol), timeout."""
    detail: str = ""

    @property
    def passed(self) -> bool:
        """True when all tests ran and passed."""
        return self.status == "passed"


def check_allowed() -> None:
    """Raise UsageError unless the user allowed that code be run."""
    if os.environ.get(ALLOWED) != "1":
        raise UsageError(
            f"this runs code that a model wrote: set {ALLOWED}=1 to allow it, or give run --allow-code-execution (read "
            "the page on rewards first: what the sandbox protects from, and what not)"
        )


def run_tests(program: str, tests: str, *, seconds: float = 5.0, megabytes: int = 512, weak: bool = False) -> Verdict:
    """Run `program`, then `tests`, which may call what it defines with plain values; return the verdict.

    seconds: of processor time for the program; the clock allows SLACK more. megabytes: the program's address space.
    Raises UsageError when running code is not allowed, StepError when the walls cannot be put up and not `weak`.
    """
    check_allowed()
    if sys.platform != "linux":
        raise UsageError("code is run behind walls that only Linux has: use a Linux machine or container")
    with tempfile.TemporaryDirectory(prefix="xferbench-") as folder:
        job = {"program": program, "tests": tests, "folder": folder, "seconds": seconds, "megabytes": megabytes}
        command = [sys.executable, "-s", "-S", "-B", str(Path(__file__).parent / "judge.py")]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={"PYTHONHASHSEED": "0"}, cwd=folder, start_new_session=True,
        )  # fmt: skip
        try:
            out, _ = process.communicate(dumps({**job, "weak": weak}) + "\n", timeout=seconds + SLACK)
        except subprocess.TimeoutExpired:
            return Verdict("timeout", f"not done after {seconds + SLACK:g} s")
        finally:
            _end(process)
    try:
        found = loads(out)
    except ValueError:
        return Verdict("ended", f"the tests ended with exit code {process.returncode}")
    if found["status"] == "refused":
        raise StepError(f"no sandbox, so no code is run: {found['detail']}")
    return Verdict(found["status"], found["detail"])


def _end(process: "subprocess.Popen[str]") -> None:
    """Kill the judge and all that is in its session; the code cannot leave it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()
