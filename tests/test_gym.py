"""reasoning-gym as a provider of domains: its own families, its own verifiers."""

from importlib.util import find_spec
from itertools import islice

import pytest

from xferbench import catalog
from xferbench_gym.families import GROUPS, LEFT_OUT, TESTED, TOO_KIND

HERE = find_spec("reasoning_gym")


def domain(name):
    return catalog.load().entry("domain", f"reasoning_gym/{name}").value


def test_about_a_hundred_families_and_their_groups_are_listed_without_the_library():
    families = [name for names in GROUPS.values() for name in names]
    assert len(set(families)) == len(families) > 95
    assert not set(families) & set(GROUPS)
    known = set(catalog.load().names("domain"))
    assert {f"reasoning_gym/{name}" for name in (*families, *GROUPS)} <= known


@pytest.mark.skipif(not HERE, reason="reasoning-gym is not installed")
def test_the_families_are_those_that_the_library_registers_in_these_groups():
    import re
    from pathlib import Path

    folder = Path(HERE.origin).parent
    found = {}
    for path in folder.glob("*/**/*.py"):
        for name in re.findall(r'^register_dataset\(\s*"?(\w+)"?', path.read_text(encoding="utf-8"), re.M):
            if name == "DATASET_NAME":
                name = re.search(r'^DATASET_NAME = "(\w+)"', path.read_text(encoding="utf-8"), re.M)[1]
            found[name] = path.relative_to(folder).parts[0]
    from importlib.metadata import version

    if version("reasoning-gym") != TESTED:
        pytest.skip(f"the list is of version {TESTED}")
    ours = {name: group for group, names in GROUPS.items() for name in names}
    assert {name: group for name, group in found.items() if name not in LEFT_OUT + TOO_KIND} == ours


@pytest.mark.skipif(not HERE, reason="reasoning-gym is not installed")
@pytest.mark.parametrize("name", ["chain_sum", "knights_knaves", "countdown", "logic"])
def test_its_own_answer_is_right_another_is_not_and_the_same_come_again(name):
    pytest.importorskip("reasoning_gym")
    one = domain(name)
    found = list(islice(one.examples(), 8))
    assert found == list(islice(one.examples(), 8))
    assert len({example.id for example in found}) == 8
    assert len({example.prompt for example in found}) == 8
    if name == "logic":
        assert {example.source for example in found} == set(GROUPS["logic"])
    for example, other in zip(found, [*found[1:], found[0]]):
        assert one.reward(example, f"Let me see. {example.answer}") == 1.0
        assert one.reward(example, "no answer") == 0.0
        if other.answer != example.answer:
            assert one.reward(example, other.answer) < 0.1  # countdown gives a twentieth for a wrong formula
