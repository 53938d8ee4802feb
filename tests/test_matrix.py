"""A matrix trains no more than it must: each curriculum once a seed, however many pairs it serves."""

from collections import Counter

import pytest

from xferbench.catalog import load
from xferbench.experiment import from_mapping
from xferbench.plan import make


@pytest.fixture
def plan(light, monkeypatch):
    monkeypatch.setenv("FEATHER_COUNT", "5")
    names = {"source": [f"f/d{n}" for n in range(5)], "target": [f"f/t{n}" for n in range(5)]}

    def go(**asked):
        values = {"suite": "feather", "trainer": "quill", "scorer": [], "seeds": "0", **names}
        return {step.id: step for step in make(from_mapping({**values, **asked}), load()).steps}

    return go


def test_five_by_five_takes_at_most_45_trainings_a_seed(plan):
    """5 sources, 5 placebos, 20 in turn and 10 mixed: 40. A script that does each pair alone trains 135 times."""
    assert Counter(step.kind for step in plan().values()) == {"train": 40, "evaluate": 25 + 5 + 25 + 20 + 20}


def test_a_second_seed_or_target_adds_only_its_own(plan):
    once = plan()
    more = plan(seeds="0,1")
    assert set(once) < set(more)
    assert {step.train.seed if step.kind == "evaluate" else step.seed for i, step in more.items() if i not in once} == {
        1
    }
    narrow = plan(target=["f/t0"])
    assert set(narrow) < set(once)
    wider = plan(target=["f/t0", "f/t1"])
    for step in (step for name, step in wider.items() if name not in narrow and step.kind == "evaluate"):
        assert step.target.name == "f/t1"
