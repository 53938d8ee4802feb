"""A store over time: damage is found and mended alone, what nobody refers to can go, and a small disk is foreseen."""

import shutil
from collections import namedtuple

import pytest
from click.testing import CliRunner
from conftest import items, kept, rows

from xferbench.cli import main
from xferbench.errors import UsageError


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return tmp_path_factory.mktemp("first") / "runs"


@pytest.fixture
def done(light, first, tmp_path):
    """A run of the feather world that is done: its folder."""
    if not first.exists():
        light(first)
    shutil.copytree(first, tmp_path / "runs")
    return tmp_path / "runs"


def test_a_training_says_which_examples_it_drew(done):
    import gzip
    import json

    for recipe in done.glob("steps/train-*/step.json"):
        step = json.loads(recipe.read_text())
        lines = gzip.decompress((recipe.parent / "examples.jsonl.gz").read_bytes()).decode().splitlines()
        drawn = [json.loads(line) for line in lines]
        assert [len(drawn)] == [sum(data["n"] for data in step["data"])]
        assert {one["domain"] for one in drawn} == {data["domain"] for data in step["data"]}
        assert set(drawn[0]) == {"id", "domain"}


@pytest.fixture
def command(done, monkeypatch):
    """The command line in this process, beside the run."""
    monkeypatch.chdir(done.parent)
    return lambda *arguments, **more: CliRunner().invoke(main, arguments, **more)


@pytest.mark.parametrize("kind", ["train", "evaluate"])
def test_a_flipped_bit_is_named_and_that_step_alone_is_done_again(light, done, command, kind):
    before, found, scores = kept(done), rows(done), items(done)
    victim = min(done.glob(f"steps/{kind}-*"))
    path = victim / ("adapter/weights.bin" if kind == "train" else "items.jsonl.gz")
    whole = path.read_bytes()
    flip(path)
    said = command("verify-store", "runs")
    assert said.exit_code == 3
    assert f"damaged  {victim.name}" in said.output
    assert str(path.relative_to(victim)) in said.output
    assert f"{len(before)} steps checked, 1 damaged" in said.output
    assert victim.name in command("status", "runs").output
    light(done)
    after = kept(done)
    assert {step for step in after if after[step] != before[step]} <= {victim.name}
    assert path.read_bytes() == whole
    assert (rows(done), items(done)) == (found, scores)
    assert command("verify-store", "runs").exit_code == 0


def test_the_log_shows_that_nothing_else_was_done_again(light, done, command):
    victim = min(done.glob("steps/train-*"))
    flip(victim / "adapter" / "weights.bin")
    command("verify-store", "runs")
    light.logged.unlink(missing_ok=True)
    light(done)
    assert [line.rsplit(" ", 1)[0] for line in light.logged.read_text().splitlines()] == [f"train {victim.name}"]


@pytest.mark.parametrize("name", ["step.json", "result.json"])
def test_a_damaged_recipe_or_result_is_mended_too(light, done, command, name):
    before = rows(done)
    path = min(done.glob(f"steps/train-*/{name}"))
    path.write_bytes(path.read_bytes()[:-40])
    said = command("verify-store", "runs")
    assert said.exit_code == 3
    assert name in said.output
    light(done)
    assert rows(done) == before
    assert command("verify-store", "runs").exit_code == 0


def test_a_damaged_copy_of_items_is_taken_away_and_copied_again(light, done, command):
    before = items(done)
    flip(min(done.glob("items/*.jsonl.gz")))
    assert command("verify-store", "runs").exit_code == 3
    light(done)
    assert items(done) == before


def test_an_adapter_that_was_damaged_since_is_not_measured(light, done):
    for path in done.glob("steps/train-*/adapter/weights.bin"):
        flip(path)
    results = light(done, target="f/t1,f/t2,f/t3")
    assert any("was damaged after it was trained" in row["why"] for row in results.not_done)
    assert not light(done, target="f/t1,f/t2,f/t3").not_done


def test_gc_removes_what_no_experiment_refers_to_and_asks_first(light, done, command):
    before = kept(done)
    light(done, seeds="0,1")
    assert "0 others take 0 B" in command("gc", "runs").output
    (note,) = [path for path in done.glob("experiments/*.json") if "- 1" in path.read_text()]
    note.unlink()
    said = command("gc", "runs", input="n\n")
    assert "Remove them? [y/N]" in said.output
    assert "seed 1" in said.output
    assert "kB" in said.output
    assert len(kept(done)) > len(before)
    assert "--yes removes without asking" in command("gc", "runs", input="").output
    assert len(kept(done)) > len(before)
    assert "removed" in command("gc", "runs", "--yes").output
    assert kept(done) == before
    assert {path.name.split(".")[0] for path in done.glob("items/*")} <= set(before)


def test_gc_keeps_what_a_run_refers_to_since_it_asked(light, done, command, monkeypatch):
    light(done, seeds="0,1")
    before = kept(done)
    (note,) = [path for path in done.glob("experiments/*.json") if "- 1" in path.read_text()]
    content = note.read_text()
    note.unlink()
    monkeypatch.setattr("click.confirm", lambda text: bool(note.write_text(content)))
    assert "removed 0 B" in command("gc", "runs").output
    assert kept(done) == before


def test_gc_removes_nothing_where_no_experiment_is_noted(done, command):
    shutil.rmtree(done / "experiments")
    said = command("gc", "runs", "--yes")
    assert said.exit_code == 2
    assert "no note of any experiment" in said.output
    assert kept(done)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_trained(light, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 10**6 - 5000, 5000))
    with pytest.raises(UsageError, match=r"5 trainings will leave about 1e-05 GB in .*, where 5e-06 GB are free"):
        light(tmp_path / "runs")
    assert not kept(tmp_path / "runs")
    assert light(tmp_path / "runs", conditions="transfer").cells  # one training, 2000 bytes


def test_a_folder_that_is_no_store_is_one_line(command):
    for name in ("verify-store", "gc", "status"):
        said = command(name, "nowhere")
        assert said.exit_code == 2
        assert "holds no steps" in said.output
