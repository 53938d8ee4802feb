"""What can be wrong with data and models that come from elsewhere: one clear line each, before anything is trained."""

import dataclasses
import os
import time

import hub_rows
import pytest

from xferbench import DataError, UsageError, catalog, hub, models
from xferbench.errors import ModelError
from xferbench.licence import check, refusal

DATA = {"id": "maker/quiz", "config": "main", "split": "train", "revision": "abc123"}


def raised(name, text, cause=None):
    """An error of a given class name, as datasets and huggingface_hub raise them, without a hub."""
    error = type(name, (Exception,), {})(text)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "offline", "said"),
    [
        (
            raised("DatasetNotFoundError", "Dataset 'maker/quiz' is a gated dataset on the Hub. You must be logged in"),
            "0",
            "maker/quiz/main is gated: accept its terms on its hub page, then set HF_TOKEN",
        ),
        (
            raised("DatasetNotFoundError", "cannot be accessed", raised("GatedRepoError", "401")),
            "0",
            "maker/quiz/main is gated: accept its terms on its hub page, then set HF_TOKEN",
        ),
        (
            raised("DatasetNotFoundError", "Revision 'abc123' doesn't exist for dataset 'maker/quiz' on the Hub."),
            "0",
            "maker/quiz/main has no revision abc123 any more: it was moved or deleted on the hub; pin another",
        ),
        (
            raised("ConnectionError", "Couldn't reach 'maker/quiz' on the Hub"),
            "0",
            "maker/quiz/main is not on this machine and the hub cannot be reached: fetch it where there is a network",
        ),
        (
            raised("ConnectionError", "Couldn't reach 'maker/quiz' on the Hub"),
            "1",
            "maker/quiz/main is not on this machine and HF_HUB_OFFLINE is set: fetch it where there is a network",
        ),
        (
            raised("ValueError", "Unknown split \"train\". Should be one of ['test']."),
            "0",
            "maker/quiz/main has no split 'train': Unknown split",
        ),
        (
            raised("ValueError", 'Instruction "train" corresponds to no data!'),
            "0",
            "maker/quiz/main has no rows: its split 'train' is empty",
        ),
    ],
    ids=["gated", "gated-cause", "revision", "network", "offline", "split", "empty"],
)
def test_each_failure_of_the_hub_is_one_line(monkeypatch, error, offline, said):
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    found = hub.explain(error, DATA)
    assert isinstance(found, DataError)
    assert str(found).startswith(said)
    assert "\n" not in str(found)


def test_a_folder_in_the_hubs_layout_stands_in_for_it(tmp_path, monkeypatch):
    (tmp_path / "maker" / "quiz").mkdir(parents=True)
    (tmp_path / "maker" / "quiz" / "train.jsonl").write_text('{"q": 1}\n{"q": 2}\n')
    monkeypatch.setenv(hub.FOLDER, str(tmp_path))
    assert [row["q"] for row in hub.rows("maker/quiz")] == [1, 2]
    with pytest.raises(DataError, match="maker/quiz has no split 'exam'"):
        list(hub.rows("maker/quiz", split="exam"))
    monkeypatch.setenv(hub.FOLDER, str(tmp_path / "gone"))
    with pytest.raises(DataError, match="gone, named by --hub or XFERBENCH_HUB, does not exist"):
        list(hub.rows("maker/quiz"))


CARD = "---\nconfigs:\n- config_name: main\n  data_files:\n  - split: train\n    path: train*\n---\n"


def test_data_that_were_changed_in_their_folder_are_read_anew(tmp_path, monkeypatch):
    """With a card of configurations, as on the hub: `datasets` alone answers from what it read first."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    for place in ("one", "two"):
        folder = tmp_path / place / "maker" / "quiz"
        folder.mkdir(parents=True)
        (folder / "README.md").write_text(CARD)
        (folder / "train.jsonl").write_text(f'{{"q": "{place}"}}\n')
        monkeypatch.setenv(hub.FOLDER, str(tmp_path / place))
        assert [row["q"] for row in hub.rows("maker/quiz", "main")] == [place]
    before = hub.content("maker/quiz")
    (folder / "train.jsonl").write_text('{"q": "new"}\n')
    assert [row["q"] for row in hub.rows("maker/quiz", "main")] == ["new"]
    assert hub.content("maker/quiz") != before
    (folder / "train.jsonl").write_text('{"q": "two"}\n')
    assert hub.content("maker/quiz") == before, "the same files, whenever they were written"
    assert hub.content("maker/other") == hub.content("json") == "", "no folder stands in for it"


def test_a_model_in_the_hubs_layout_is_found_by_its_id(llama, tmp_path, monkeypatch):
    (tmp_path / "maker").mkdir()
    (tmp_path / "maker" / "small").symlink_to(llama)
    monkeypatch.setenv(hub.FOLDER, str(tmp_path))
    assert models.locate("maker/small") == tmp_path / "maker" / "small"
    with pytest.raises(ModelError, match="model maker/other is not a folder here, not in the hub's cache"):
        models.locate("maker/other")


@pytest.mark.parametrize(
    ("licence", "research", "commercial"),
    [
        ("MIT", True, True),
        ("CC-BY-4.0", True, True),
        ("CC-BY-NC-4.0", True, False),
        ("non-commercial", True, False),
        ("research only", True, False),
        ("none stated", True, False),
        ("", True, False),
    ],
)
def test_a_licence_forbids_what_it_says(licence, research, commercial):
    data = {"id": "maker/quiz", "licence": licence}
    assert (refusal("domain quiz", data, "research") is None) is research
    assert (refusal("domain quiz", data, "commercial") is None) is commercial
    assert refusal("domain made", {"licence": licence}, "commercial") is None, "made here, no data set"


def test_all_that_is_forbidden_is_named_at_once():
    used = {"domain a": {"id": "x/a", "licence": "NC"}, "target b": {"id": "x/b"}}
    used["target c"] = {"id": "x/c", "licence": "MIT"}
    with pytest.raises(UsageError) as caught:
        check(used, "commercial")
    assert str(caught.value) == (
        "domain a (x/a) has the licence 'NC', which forbids commercial use; target b (x/b) states no licence, which "
        "allows no commercial use: leave it out, or say --use research"
    )


def test_a_run_for_commercial_use_is_refused_before_anything_is_trained(light, tmp_path, monkeypatch):
    import feather

    assert light(tmp_path / "runs", conditions="transfer", use="commercial").cells, "made here: nothing forbids it"
    closed = dataclasses.replace(feather.Scale("f/t1", None), data={"id": "maker/quiz", "licence": "research only"})
    entries = catalog.load().entries["target"]
    monkeypatch.setitem(entries, "f/t1", dataclasses.replace(entries["f/t1"], value=closed))
    with pytest.raises(UsageError, match=r"target f/t1 \(maker/quiz\) has the licence 'research only', which forbids"):
        light(tmp_path / "more", conditions="transfer", use="commercial")
    assert not list((tmp_path / "more").rglob("step.json"))
    with pytest.raises(UsageError, match="unknown use 'profit'"):
        light(tmp_path / "more", use="profit")


def test_a_targets_own_domain_that_is_not_there_is_named_with_the_way_round_it(light, tmp_path, monkeypatch):
    def gone():
        raise DataError("maker/quiz is not on this machine")

    entries = catalog.load().entries
    own = entries["target"]["f/t1"].value.domain
    there = entries["domain"][own]
    empty = dataclasses.replace(there, value=dataclasses.replace(there.value, examples=gone))
    monkeypatch.setitem(entries["domain"], own, empty)
    said = f"this machine; direct trains on the domain {own} for f/t1: --conditions baseline,transfer does without"
    with pytest.raises(DataError, match=said):
        light(tmp_path / "runs", conditions="baseline,transfer,direct,joint")
    assert light(tmp_path / "runs", conditions="baseline,transfer").cells


SHA, OTHER = "ab" * 20, "cd" * 20


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A function that lays a data set into the hub's cache, at one commit."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(hub, "READ", {})
    rows = [{"q": "2 + 3", "a": "5"}]
    return lambda commit: hub_rows.cache(tmp_path, "maker/quiz", "main", {"train": rows, "test": rows}, commit)


def test_a_pinned_set_is_read_from_the_cache_at_its_commit_alone(cached):
    cached(SHA)
    assert [row["a"] for row in hub.table("maker/quiz", "main", revision=SHA)] == ["5"]
    assert hub.READ == {"maker/quiz": SHA}
    with pytest.raises(DataError) as caught:
        hub.table("maker/quiz", "main", revision=OTHER)
    assert str(caught.value) == (
        f"maker/quiz is pinned at {OTHER[:12]}, and the copy in the hub's cache is of {SHA[:12]}: fetch it where there "
        "is a network (xferbench fetch)"
    )
    assert hub.table("maker/quiz", "main").num_rows == 1, "not pinned: the newest that is there"


def test_where_there_is_a_network_the_pinned_copy_becomes_the_newest(cached, monkeypatch):
    folder = cached(SHA)
    os.utime(folder, (1, 1))
    data = hub.table("maker/quiz", "main", revision=SHA)
    assert folder.stat().st_mtime == 1, "without one nothing is touched"
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    hub.noted("maker/quiz", SHA, data)
    assert time.time() - folder.stat().st_mtime < 60


def test_a_folder_stands_in_for_any_commit_and_has_none(tmp_path, monkeypatch):
    (tmp_path / "maker" / "quiz").mkdir(parents=True)
    (tmp_path / "maker" / "quiz" / "train.jsonl").write_text('{"q": 1}\n')
    monkeypatch.setenv(hub.FOLDER, str(tmp_path))
    monkeypatch.setattr(hub, "READ", {})
    assert hub.table("maker/quiz", revision=SHA).num_rows == 1
    assert hub.READ == {}


def test_a_target_reads_its_data_at_its_pin_and_the_pin_is_part_of_it(cached, tmp_path):
    from xferbench import LmEvalTask

    cached(SHA)
    task = tmp_path / "quiz.yaml"
    task.write_text(
        "task: quiz\ndataset_path: maker/quiz\ndataset_name: main\noutput_type: generate_until\ntest_split: train\n"
        'doc_to_text: "{{q}} ="\ndoc_to_target: "{{a}}"\n'
    )
    made = LmEvalTask("quiz", str(task), data={"id": "maker/quiz", "revision": SHA})
    assert [(one.prompt, one.answer) for one in made.questions()] == [("2 + 3 =", "5")]
    assert hub.READ == {"maker/quiz": SHA}
    moved = dataclasses.replace(made, data={"id": "maker/quiz", "revision": OTHER})
    with pytest.raises(DataError, match="maker/quiz is pinned at cdcdcdcdcdcd, and the copy in the hub's cache is of"):
        moved.texts(None)
    free = dataclasses.replace(made, data={"id": "maker/quiz", "revision": None})
    assert len({one.fingerprint() for one in (made, moved, free)}) == 3
    assert free.fingerprint() == dataclasses.replace(made, data={}).fingerprint()
