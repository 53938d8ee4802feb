"""The command line: a mistake gets one line and the right exit code, and nothing heavy is loaded before its time."""

import errno
import json
import os
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner
from conftest import command, environment, install

from xferbench import __version__
from xferbench.cli import main
from xferbench.errors import FULL

RUN = ("run", "--suite", "tiny", "--source", "letters", "--target", "quick", "--trainer", "nudge", "--scorer", "random")
HEAVY = {"torch", "transformers", "trl", "peft", "lm_eval", "datasets", "accelerate"}


@pytest.fixture
def ask(inside, tmp_path, monkeypatch):
    """Ask the command line inside this process, from a folder of the test."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, **more):
        return CliRunner().invoke(main, [str(argument) for argument in arguments], **more)

    return run


def refused(shown, said, folder):
    """One line on stderr, exit 2, nothing on stdout, nothing trained, no traceback."""
    assert shown.exit_code == 2, (shown.stdout, shown.stderr)
    # What libraries print goes to a log by its file descriptor, which the runner's stderr inside this process has not.
    known = ("suite ", "note: ", "NOTE: ")
    lines = [line for line in shown.stderr.split("\n") if line and "it/s]" not in line and not line.startswith(known)]
    assert len(lines) == 1, shown.stderr
    assert said in lines[0]
    assert shown.stdout == ""
    assert not (folder / "runs").exists()
    assert not list(folder.rglob("step.json"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rnu",), "No such command 'rnu'. Did you mean 'run'? ("),
        (("--bogus",), "No such option '--bogus'. ("),
        (("leaderboard", "init", "b", "--form", "x"), "Did you mean '--from'? ("),
    ],
)
def test_a_word_that_is_none_gets_one_line(words, said, ask, tmp_path):
    refused(ask(*words), said, tmp_path)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--source", "leters"), "unknown domain 'leters'; did you mean 'letters'?"),
        (("--source", "letters:n=3"), "domain letters takes no settings"),
        (("--target", "quik"), "unknown target 'quik'; did you mean 'quick'?"),
        (("--target", "lmeval:gsm8kk"), "unknown lm-eval task 'gsm8kk'; did you mean 'gsm8k'?"),
        (("--target", "pick:num_fewshots=1"), "has no setting 'num_fewshots'; did you mean 'num_fewshot'?"),
        (("--suite", "tny"), "unknown suite 'tny'; did you mean 'tiny'?"),
        (("--trainer", "nudg"), "unknown trainer 'nudg'; did you mean 'nudge'?"),
        (("--trainer", "nudge:sise=1"), "trainer nudge has no setting 'sise'; did you mean 'size'? (it has: size)"),
        (("--trainer", "nudge:size=big"), "trainer nudge: size takes a number, not 'big'"),
        (("--trainer", "sft:rank=0"), "trainer sft: rank must be above 0"),
        (("--trainer", "nudge>"), "a trainer is missing beside >"),
        (("--trainer", "sft:lr=1e-3"), "trainer sft has no setting 'lr'; did you mean 'learning_rate'?"),
        (("--executor", "local:memory=lots"), "executor local: memory takes a number, not 'lots'"),
        (("--executor", "broken"), "executor broken cannot open its pool: OSError: no workers"),
        (("--scorer", "randm"), "unknown scorer 'randm'; did you mean 'random'?"),
        (("--executor", "locl"), "unknown executor 'locl'; did you mean 'local'?"),
        (("--conditions", "transfr"), "unknown condition 'transfr'; did you mean 'transfer'?"),
        (("--seeds", "a"), "seeds takes whole numbers"),
        (("--source", "letters,,picks"), "a name lacks in 'letters,,picks': a comma stands at an end"),
        (("--train-limit", "many"), "Invalid value for '--train-limit': 'many' is not a whole number. ("),
        (("--targets", "quick"), "No such option '--targets'. Did you mean '--target'? ("),
        (("--jobs",), "Option '--jobs' requires an argument. ("),
        (("--seeds", "0,0"), "seeds names something twice"),
        (("--source", ""), "source is empty"),
        (("--train-limit", "99"), "25 examples at most; 99 were asked for (--train-limit 25 takes them all)"),
        (("--model", "/no/such/model"), "model folder /no/such/model does not exist"),
        (("--model", "nobody/nothing"), "HF_HUB_OFFLINE is set"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_name_or_value_gets_one_line_and_the_nearest_right_one(ask, tmp_path, flags, said):
    refused(ask(*RUN, *flags), said, tmp_path)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--train-limit", "0"), "--train-limit"),
        (("--jobs", "two"), "--jobs"),
        (("--sorce", "letters"), "--source"),
    ],
)
def test_a_wrong_flag_is_refused_by_name(ask, tmp_path, flags, said):
    shown = ask(*RUN, *flags)
    assert shown.exit_code == 2
    assert said in shown.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sorce: letters", "asked.yaml: unknown key 'sorce'; did you mean 'source'?"),
        ("seeds: [", "asked.yaml is not YAML"),
        ("train_limit: ten", "asked.yaml: train_limit takes a whole number above 0, not 'ten'"),
        ("target: quick", "a source (--source math) is missing"),
        ("source: letters", "a target (--target gpqa) is missing"),
    ],
)
def test_a_wrong_yaml_gets_one_line(ask, tmp_path, text, said):
    (tmp_path / "asked.yaml").write_text(text)
    refused(ask("run", "asked.yaml", "--suite", "tiny"), said, tmp_path)


def test_a_yaml_that_is_not_there_gets_one_line(ask, tmp_path):
    refused(ask("run", "none.yaml"), "none.yaml cannot be read: No such file or directory", tmp_path)


def test_a_training_of_one_step_is_told_as_the_cause(ask):
    asked = ("--trainer", "sft:max_steps=1", "--target", "pick", "--conditions", "transfer", "--scorer", "")
    shown = ask(*RUN, *asked, "--seeds", "0", "--train-limit", "4", "--eval-limit", "2", "--executor", "inline")
    assert shown.exit_code == 1
    assert "its training had no effect; it was one optimiser step" in shown.stderr


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_nothing_more_is_told_without_a_traceback(ask, monkeypatch, number):
    def full(*_):
        raise OSError(number, "no", "runs/fingerprints.json")

    monkeypatch.setattr("xferbench.face.ask", full)
    shown = ask(*RUN, "--target", "pick", "--conditions", "transfer", "--scorer", "", "--executor", "inline")
    assert shown.exit_code == 1
    assert f"xferbench: {FULL[number]}: runs/fingerprints.json; what was done is kept" in shown.stderr


def test_an_option_without_its_value_gets_one_line(ask, tmp_path):
    told = "--source lacks its value: --target stands in its place"
    refused(ask("run", "--source", "--target", "quick", "--suite", "tiny"), told, tmp_path)


def test_of_a_list_given_twice_a_line_says_that_the_last_counts(ask):
    twice = ("--curriculum", "letters>picks", "--curriculum", "picks>letters")
    shown = ask(*RUN, *twice, "--source=letters", "--dry-run")
    assert shown.exit_code == 0
    assert "note: of --source, given more than once, the last counts" in shown.stderr
    assert "--curriculum" not in shown.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "math", "gpqa"), "run [OPTIONS] [EXPERIMENT]; what to learn from follows --source"),
        (("list", "domains", "math"), "list [OPTIONS] [KIND] ("),
        (("analyse", ".", "transfer"), "the analysis comes first: xferbench analyse transfer ."),
    ],
)
def test_a_word_too_many_or_in_the_wrong_place_gets_one_line(ask, tmp_path, words, said):
    refused(ask(*words), said, tmp_path)


def test_neither_source_nor_target_gets_one_line(ask, tmp_path):
    refused(ask("run", "--suite", "tiny"), "say what to learn from and what to measure", tmp_path)


@pytest.mark.parametrize(
    ("gone", "said"), [("model.safetensors", "has no weights"), ("tokenizer*", "has no tokenizer")]
)
def test_a_model_with_something_missing_gets_one_line(ask, tmp_path, llama, gone, said):
    folder = shutil.copytree(llama, tmp_path / "m")
    for path in folder.glob(gone):
        path.unlink()
    refused(ask(*RUN, "--model", "m"), said, tmp_path)


@pytest.mark.parametrize("target", ["quick", "pick"])
def test_a_model_that_cannot_be_loaded_is_found_before_anything_is_trained(ask, tmp_path, llama, target):
    folder = shutil.copytree(llama, tmp_path / "m")
    (folder / "model.safetensors").write_bytes(b"no tensors")
    shown = ask(*RUN, "--model", "m", "--target", target, "--executor", "inline")
    refused(shown, "m cannot be loaded", tmp_path)


def test_items_that_do_not_fit_the_model_are_found_before_anything_is_trained(ask, tmp_path, llama):
    folder = shutil.copytree(llama, tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 8}))
    shown = ask(*RUN, "--model", "m", "--target", "pick", "--executor", "inline")
    refused(shown, "the model takes 8: choose a model with a longer context", tmp_path)


def test_an_output_folder_that_cannot_be_written_is_found_before_anything_is_trained(ask, tmp_path):
    (tmp_path / "taken").write_text("")
    refused(ask(*RUN, "--out", "taken"), "the output folder taken cannot be written", tmp_path)
    refused(ask(*RUN, "--out", "taken/deeper"), "the output folder taken/deeper cannot be written", tmp_path)


DOMAINS = """
from xferbench import Domain, Example, hookimpl, rows

def raising():
    yield Example("a", "p", "a")
    raise KeyError("no such column")

def hub():
    for row in rows("nobody/none_such", "main"):
        yield Example(row["id"], row["q"], row["a"])

@hookimpl
def provide_domains():
    yield Domain("odd/empty", lambda: [])
    yield Domain("odd/raising", raising)
    yield Domain("odd/hub", hub)
    yield Domain("odd/endless", lambda: (Example(str(i), "p", "a") for i in range(10**9)), stream=True)
"""


@pytest.fixture
def odd(world, tmp_path, monkeypatch):
    """A plugin with domains that have something wrong, beside the world."""
    install(tmp_path / "odd", "odd", ("odd", "odd_domains"), {"odd_domains.py": DOMAINS})
    path = os.pathsep.join([str(world.folder), str(tmp_path / "odd")])
    return {**world.env, "PYTHONPATH": path, "XFERBENCH_PLUGINS": world.env["XFERBENCH_PLUGINS"] + ",odd"}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("odd/empty", "domain odd/empty has no examples"),
        ("odd/raising", "domain odd/raising: examples() failed: KeyError: 'no such column'"),
        ("odd/hub", "nobody/none_such/main is not on this machine and HF_HUB_OFFLINE is set"),
    ],
)
def test_a_domain_without_usable_data_gets_one_line(odd, xferbench, tmp_path, source, said):
    done = xferbench(*RUN[:4], source, *RUN[5:], env=odd, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert not (tmp_path / "runs").exists()


def test_an_endless_domain_asks_for_a_limit(odd, xferbench, tmp_path, llama):
    other = shutil.copytree(llama, tmp_path / "other")  # the suite's limit is for the suite's own model
    done = xferbench(*RUN, "--source", "odd/endless", "--model", other, env=odd, cwd=tmp_path)
    assert done.returncode == 2
    assert "domain odd/endless is an endless stream: say how many examples with --train-limit" in done.stderr


def test_debug_shows_where(world, xferbench, tmp_path):
    done = xferbench("--debug", *RUN, "--source", "leters", env=world.env, cwd=tmp_path)
    assert "Traceback" in done.stderr
    assert "unknown domain 'leters'" in done.stderr
    assert done.returncode != 0


def test_a_broken_plugin_is_told_of_and_harms_nothing(world, xferbench, tmp_path):
    install(tmp_path / "bad", "bad", ("bad", "bad_plugin"), {"bad_plugin.py": "import no_such_module"}, "7.1")
    path = os.pathsep.join([str(world.folder), str(tmp_path / "bad")])
    env = {**world.env, "PYTHONPATH": path, "XFERBENCH_PLUGINS": ""}
    done = xferbench(*RUN, "--dry-run", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "plugin bad (bad 7.1) is broken: ModuleNotFoundError: No module named 'no_such_module'" in done.stderr


# Every command that only looks.


@pytest.mark.parametrize("kind", ["domains", "trainers", "scorers", "targets", "suites", "executors"])
def test_list_shows_each_kind_for_people_and_for_programs(ask, kind):
    shown, found = ask("list", kind), json.loads(ask("list", kind, "--json").stdout)
    assert shown.exit_code == 0
    assert found
    for row in found:
        assert {"name", "summary", "plugin", "fields"} <= set(row)
        assert row["name"] in shown.stdout
        assert row["summary"]


def test_list_says_the_fields_with_their_defaults(ask):
    found = {row["name"]: row["fields"] for row in json.loads(ask("list", "trainers", "--json").stdout)}
    assert found["nudge"] == {"size": 0.05}
    assert "rank=16" in ask("list", "trainers").stdout


def test_list_of_what_is_no_kind_gets_the_nearest(ask, tmp_path):
    refused(ask("list"), "say what to list: domains, trainers, ", tmp_path)
    refused(ask("list", "domain_s"), "unknown kind 'domain_s'; did you mean 'domains'?", tmp_path)


@pytest.mark.parametrize(
    ("kind", "name", "key", "value"),
    [
        ("domain", "letters", "name", "tiny/letters"),
        ("domain", "tiny/letters", "reward", "verifiable"),
        ("target", "tiny/pick", "group", "tiny"),
        ("target", "pick", "domain", "tiny/picks"),
        ("target", "lmeval:gsm8k", "task", "gsm8k"),
        ("trainer", "sft", "plugin", f"xferbench {__version__}"),
        ("suite", "tiny", "train_limit", 8),
        ("executor", "inline", "plugin", "tiny-world 0.1"),
        ("scorer", "random", "kind", "scorer"),
    ],
)
def test_show_tells_everything_about_one(ask, kind, name, key, value):
    shown = ask("show", kind, name, "--json")
    assert json.loads(shown.stdout)[key] == value
    assert f"{key}: {value}" in ask("show", kind, name).stdout


def test_show_of_an_unknown_name_gets_the_nearest(ask, tmp_path):
    refused(ask("show", "trainer", "sfft"), "unknown trainer 'sfft'; did you mean 'sft'?", tmp_path)
    refused(ask("show", "trainr", "sft"), "unknown kind 'trainr'; did you mean 'trainers'?", tmp_path)


def test_plugins_names_each_with_version_hooks_and_time(ask):
    found = {row["name"]: row for row in json.loads(ask("plugins", "--json").stdout)}
    assert set(found) == {"baselines", "local", "sft", "tiny"}
    assert found["tiny"]["package"] == "tiny-world"
    assert found["tiny"]["broken"] is None
    assert "provide_domains" in found["tiny"]["hooks"]
    assert found["tiny"]["seconds"] > 0
    assert "tiny-world 0.1" in ask("plugins").stdout


def test_status_of_what_is_no_run_gets_one_line(ask, tmp_path):
    refused(ask("status", "nowhere"), "nowhere holds no steps: is it the --out folder of a run?", tmp_path)


def test_doctor_looks_at_versions_devices_hub_and_plugins(ask):
    shown = ask("doctor", "--json")
    found = {row["what"]: row for row in json.loads(shown.stdout)["checks"]}
    assert {"xferbench", "python", "torch", "trl", "lm_eval", "device", "hub", "plugins"} <= set(found)
    assert shown.exit_code == 0
    assert "offline (HF_HUB_OFFLINE)" in ask("doctor").stdout


def test_doctor_says_how_to_mend_a_broken_plugin(world, xferbench, tmp_path):
    install(tmp_path / "bad", "bad", ("bad", "bad_plugin"), {"bad_plugin.py": "import no_such_module"})
    env = {**world.env, "PYTHONPATH": str(tmp_path / "bad"), "XFERBENCH_PLUGINS": "bad,sft"}
    done = xferbench("doctor", env=env)
    assert done.returncode == 1
    assert "FAIL  plugin bad" in done.stdout
    assert "XFERBENCH_DISABLE_PLUGINS" in done.stdout


def test_schema_is_that_of_the_house(ask):
    from xferbench.analyse.schema import SCHEMA

    assert json.loads(ask("schema").stdout) == SCHEMA


def test_the_version_is_that_of_the_package(ask):
    assert ask("--version").stdout == f"xferbench {__version__}\n"


def test_every_flag_is_also_a_variable_of_its_name(ask):
    assert json.loads(ask("list", "trainers", env={"XFERBENCH_LIST_JSON": "1"}).stdout)


def test_a_reader_that_goes_away_is_no_error():
    line = f"{sys.executable} -m xferbench.cli list scorers | head -c 1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, text=True, env=environment())
    assert done.returncode == 0
    assert done.stderr == ""


# What is loaded.


def loaded(*arguments):
    """Return the packages that a process of this command line imports."""
    line = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, env=environment(), check=True)
    names = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {name.split(".")[0] for name in names}


def test_importing_the_command_line_loads_nothing_heavy():
    assert not loaded("-c", "import xferbench.cli") & (HEAVY | {"numpy", "scipy", "matplotlib", "pluggy", "yaml"})


def test_importing_the_door_loads_nothing_at_all():
    assert "click" not in loaded("-c", "import xferbench")


@pytest.mark.parametrize("arguments", [("--help",), ("list", "domains"), ("list", "targets"), ("plugins",)])
def test_what_only_looks_loads_no_torch(arguments):
    assert not loaded(*command(*arguments)[1:]) & HEAVY
