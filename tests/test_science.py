"""docs/science.md has a row for every number of the source documents, and each command and test in it exists."""

import re
import shlex
from pathlib import Path

import pytest

from xferbench.analyse.menu import ANALYSES
from xferbench.cli import main

ROOT = Path(__file__).parent.parent
NUMBERS = {0: 13, 1: 20, 2: 12, 3: 8, 4: 16}
LINES = [line for line in (ROOT / "docs" / "science.md").read_text().splitlines() if line.startswith("| S")]
ROWS = {(cells := [cell.strip() for cell in line.strip("|").split("|")])[0]: cells for line in LINES}


def parsed(line):
    """Read a command line as the tool does, and do nothing."""
    command, (_, *words) = main, shlex.split(line)
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    return command, command.make_context(command.name, words)


def test_every_number_has_one_row():
    assert [cells[0] for cells in ([c.strip() for c in line.strip("|").split("|")] for line in LINES)] == list(ROWS)
    assert set(ROWS) == {f"S{seed}-{i}" for seed, many in NUMBERS.items() for i in range(1, many + 1)}
    assert all(len(cells) == 6 for cells in ROWS.values())


@pytest.mark.parametrize("number", ROWS)
def test_a_row_names_a_command_that_is_there_and_a_test(number):
    _, what, command, _, test, state = ROWS[number]
    assert what
    assert re.match(r"(works|partly: .+|absent)$", state), state
    line = command.strip("`")
    assert line.startswith("xferbench ")
    if state == "absent":
        return
    found, context = parsed(line)
    assert found is not main
    if found.name == "analyse":
        assert context.params["what"] in ANALYSES
    assert (ROOT / "tests" / test).is_file(), test
