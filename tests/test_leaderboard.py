"""A board: entries from a run, verified from their items, shown with ties, exported; what was merged stays."""

import gzip
import json
import shutil
from pathlib import Path

import jsonschema
import msgspec
import numpy as np
import pytest
import yaml
from click.testing import CliRunner

import xferbench
from xferbench.cli import main
from xferbench.errors import VerificationError
from xferbench.leaderboard.board import findings, read_board
from xferbench.leaderboard.entry import plain, seal
from xferbench.leaderboard.itemfile import unpack
from xferbench.leaderboard.rules import read_rules, write_rules
from xferbench.leaderboard.show import ranked
from xferbench.leaderboard.synthetic import World, make, put
from xferbench.leaderboard.text import gunzip
from xferbench.leaderboard.verify import verify

TYPED = "Ju\u0308rgen O'Brien (ETH)"
"""A name as some keyboards give it, letter and accent apart."""
WORLD = World(sources=2, targets=2, items=30, resamples=50)
RUN = (
    "run", "--source", "letters,picks", "--target", "quick", "--suite", "tiny", "--trainer", "nudge", "--executor",
    "inline", "--seeds", "0,1", "--conditions", "baseline,transfer,direct", "--scorer", "random",
)  # fmt: skip


def ask(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def board(tmp_path):
    return make(tmp_path / "board", WORLD)


def files(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(Path(root).rglob("*")) if p.is_file()}


def test_the_same_world_gives_the_same_bytes_and_verifies(board, tmp_path):
    make(tmp_path / "again", WORLD)
    assert files(board.root) == files(tmp_path / "again")
    assert verify(board.root) == ([], 4)


def test_the_published_schemas_hold_for_every_entry_and_board(board):
    found = json.loads(ask("schema", "entry").stdout)
    jsonschema.Draft202012Validator.check_schema(found)
    rows = [json.loads(path.read_text()) for path in board.paths()]
    checker = jsonschema.Draft202012Validator(found)
    for row in rows:
        checker.validate(row)
    for wrong in ({"schema": 2}, {"source": "<b>"}, {"seeds": ["0"]}, {"more": 1}):
        with pytest.raises(jsonschema.ValidationError):
            checker.validate({**rows[0], **wrong})
    rules = json.loads(ask("schema", "board").stdout)
    jsonschema.Draft202012Validator.check_schema(rules)
    jsonschema.validate(yaml.safe_load((board.root / "board.yaml").read_text()), rules)


def test_people_have_names_of_any_script_and_what_is_none_is_refused_in_words_before_anything_is_read(tmp_path):
    names = ("J\u00fcrgen M\u00fcller", "Miles O'Brien", "Ann (ETH)", "\u738b\u5c0f\u660e", "\U00020bb7\u91ce",
             "\u0906\u0926\u093f\u0924\u094d\u092f", "R&D, a/b")  # fmt: skip
    made = make(tmp_path / "board", World(**{**vars(WORLD), "targets": 1, "sources": 1, "submitters": names}))
    assert verify(made.root) == ([], len(names))
    checker = jsonschema.Draft202012Validator(json.loads(ask("schema", "entry").stdout))
    rows = [json.loads(path.read_text()) for path in made.paths()]
    assert {row["submitter"]["name"] for row in rows} == set(names)
    assert all(checker.is_valid(row) for row in rows)
    refused = ("", " a", "<b>", "a|b", "a`b", "[a](b)", "a\u202eb", "a\u200db", "a\u3164b", "a\n", "\x1b[31m", "a\\b",
               "www.x", "x//y", "..", "=1", "-x", "a" + 5 * "\u0301", "x" * 161)  # fmt: skip
    for name in refused:
        shown = ask("leaderboard", "add", made.root, tmp_path / "no-run", "--by", name)
        assert shown.exit_code == 2
        (line,) = shown.stderr.splitlines()
        assert "--by" in line
        assert "allowed" in line
        assert "regex" not in line
        assert name == "a\n" or not checker.is_valid({**rows[0], "submitter": {"name": name, "url": None}}), name
    for option, value in (("--url", "http://x"), ("--note", "[x]"), ("--date", "soon"), ("--model-name", "\u00fc")):
        shown = ask("leaderboard", "add", made.root, tmp_path / "no-run", "--by", "alice", option, value)
        assert shown.exit_code == 2
        assert f"{option} {value!r}: " in shown.stderr
        assert "regex" not in shown.stderr
    apart = seal(rows[0] | {"submitter": {"name": TYPED, "url": None}})
    put(made, apart, made.items(next(made.entries())).read_bytes())
    assert "submitter.name: it is not in Unicode's composed form" in ask("leaderboard", "verify", made.root).stdout


def test_a_board_whose_title_or_folder_could_not_be_read_again_is_not_begun(tmp_path):
    for folder, title in (("x", "Gr\u00f6\u00dfe & <b>"), ("x", "a\nb"), ("\u00fc", "plain")):
        shown = ask("leaderboard", "init", tmp_path / folder, "--title", title)
        assert shown.exit_code == 2
        assert len(shown.stderr.splitlines()) == 1
        assert "regex" not in shown.stderr
        assert not list(tmp_path.iterdir())
    assert ask("leaderboard", "init", tmp_path / "x", "--title", "Gr\u00f6\u00dfe & more").exit_code == 0
    assert ask("leaderboard", "build", tmp_path / "x").exit_code == 0
    assert "# Gr\u00f6\u00dfe &amp; more" in (tmp_path / "x" / "README.md").read_text(encoding="utf-8")
    rules = (tmp_path / "x" / "board.yaml").read_text()
    (tmp_path / "x" / "board.yaml").write_text(rules.replace("name: x", "name: <x>"))
    assert "name: allowed are a-z" in ask("leaderboard", "verify", tmp_path / "x").stderr


def test_every_number_follows_from_the_items_by_an_independent_computation(board):
    """Means by hand from the file; the interval against a long bootstrap of the same items in numpy."""
    rng = np.random.default_rng(1)
    for entry in board.entries():
        lines = gzip.decompress(board.items(entry).read_bytes()).decode().splitlines()
        scores = [json.loads(line)["scores"] for line in lines]
        gains = np.array([[row[f"transfer/{seed}"] - row["baseline"] for row in scores] for seed in entry.seeds])
        gain = entry.finding.gain
        assert gain.value == pytest.approx(gains.mean(), abs=1e-9)
        assert entry.finding.baseline == pytest.approx(np.mean([row["baseline"] for row in scores]), abs=1e-9)
        for cell in entry.cells:
            name = cell.condition if cell.seed is None else f"{cell.condition}/{cell.seed}"
            column = np.array([row[name] for row in scores])
            assert cell.value == pytest.approx(column.mean(), abs=1e-9)
            assert cell.stderr == pytest.approx(column.std(ddof=1) / len(column) ** 0.5, abs=1e-9)
        drawn = gains[:, rng.integers(0, len(scores), (4000, len(scores)))].mean(axis=2)
        spread = drawn[rng.integers(0, 2, (2, 4000)), np.arange(4000)].mean(axis=0).std()
        assert gain.high - gain.value > 1.5 * spread  # t on few seeds is wider than the normal interval, never narrower


def test_holms_correction_is_over_the_whole_board(board):
    entries = list(board.entries())
    found = findings(entries)
    tested = [row for row, entry in zip(found, entries, strict=True) if entry.source != entry.target]
    ps = sorted(row["gain"]["p"] for row in tested)
    assert {row["gain"]["tests"] for row in found} == {2}
    assert min(row["gain"]["p_holm"] for row in tested) == pytest.approx(min(1.0, 2 * ps[0]))
    assert all(row["gain"]["p_holm"] is None for row in found if row["source"] == row["target"])


def test_a_real_run_becomes_entries_that_say_what_its_analysis_says(inside, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ask(*RUN, "--json").exit_code == 0
    made = ask("leaderboard", "init", "board", "--from", "runs", "--host")
    assert made.exit_code == 0, made.stderr
    assert made.stdout.startswith(
        "board/board.yaml: written; 1 target registered\nnote: the board asks for 3 training "
    )
    refused = ask("leaderboard", "add", "board", "runs", "--by", TYPED)
    assert refused.exit_code == 3
    assert "seeds: transfer has 2; the board asks for 3" in refused.stderr
    assert not (tmp_path / "board" / "entries").exists()
    rules = yaml.safe_load(Path("board/board.yaml").read_text()) | {"seeds": 2, "resamples": 10_000}
    Path("board/board.yaml").write_text(yaml.safe_dump(rules, sort_keys=False))
    add = ("leaderboard", "add", "board", "runs", "--by", TYPED, "--price", "2", "--price-basis", "a list")
    assert "2 entries added" in ask(*add).stdout
    before = files("board")
    again = ask(*add, "--date", "2020-01-01")
    assert "0 entries added, 2 there already" in again.stdout
    assert files("board") == before
    checked = ask("leaderboard", "verify", "board")
    assert checked.exit_code == 0, checked.stdout
    analysed = {
        row["source"]: row for row in json.loads(ask("analyse", "transfer", "runs", "--json").stdout)["findings"]
    }
    for row in findings(list(read_board(Path("board")).entries())):
        whole = analysed[row["source"]]
        for key in ("baseline", "transfer", "direct", "efficiency", "relative_transfer", "direct_gap", "label", "why"):
            assert row[key] == whole[key], key
        assert row["gain"] == whole["gain"]
        assert row["cost"]["dollars"] == pytest.approx(row["cost"]["seconds"] / 3600 * 2)
    entry = next(read_board(Path("board")).entries())
    assert entry.submitter.name == "J\u00fcrgen O'Brien (ETH)"
    assert entry.hardware[0].cores >= 1
    assert entry.packages["xferbench"] == "0.1.0"
    assert str(tmp_path) not in "".join(p.read_text() for p in Path("board").rglob("*.json"))
    shown = ask("leaderboard", "show", "board", "--source", "letters")
    assert "1 of 2 entries" in shown.stdout
    other = ask("leaderboard", "add", "board", tamper(tmp_path), "--by", TYPED)
    assert other.exit_code == 3
    assert "items: the entry is there already, with other scores" in other.stderr
    assert files("board") == before


def tamper(folder):
    """A copy of the run in which one item of a transfer cell scores otherwise, and its row agrees."""
    shutil.copytree(folder / "runs", folder / "other")
    rows = [json.loads(line) for line in (folder / "other" / "results.jsonl").read_text().splitlines()]
    cell = next(row for row in rows if row["kind"] == "cell" and row["condition"] == "transfer")
    path = folder / "other" / "items" / f"{cell['step']}.jsonl.gz"
    items = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    items[0]["score"] += 0.25
    path.write_bytes(gzip.compress("".join(json.dumps(item) + "\n" for item in items).encode()))
    for row in rows:
        if row.get("step") == cell["step"]:
            row["value"] = float(np.mean([item["score"] for item in items]))
    (folder / "other" / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "other"


def test_prompts_of_another_chat_template_are_registered_beside_the_first(inside, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = (*RUN, "--seeds", "0", "--conditions", "transfer", "--scorer", "")
    assert ask(*asked).exit_code == 0
    assert ask("leaderboard", "init", "board", "--from", "runs").exit_code == 0
    shutil.copytree("runs", "other")
    for path in Path("other/items").iterdir():
        items = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        lines = (json.dumps({**item, "prompt": item["prompt"][::-1]}) for item in items)
        path.write_bytes(gzip.compress("\n".join(lines).encode()))

    def registered(run):
        made = ask("leaderboard", "init", "board", "--from", run)
        assert made.exit_code == 0, made.stderr
        (versions,) = read_rules(Path("board")).targets.values()
        (asked,) = versions.values()
        return made.stdout.splitlines()[0].rpartition("; ")[2], asked

    none, first = registered("runs")
    one, both = registered("other")
    assert (none, one) == ("0 targets registered", "1 target registered")
    assert both == msgspec.structs.replace(first, prompts=both.prompts)
    assert both.ways == (*first.ways, both.prompts[1])
    assert registered("other") == registered("runs") == (none, both)
    for run in ("runs", "other"):
        assert "measure.prompts" not in ask("leaderboard", "add", "board", run, "--by", "alice").stderr
    text = Path("board/board.yaml").read_text()
    Path("board/board.yaml").write_text(text.replace(both.prompts[1], "a" * 64))
    assert (
        "measure.prompts: the board has registered" in ask("leaderboard", "add", "board", "other", "--by", "a").stderr
    )
    Path("board/board.yaml").write_text(text.replace(f"n: {first.n}\n", "n: 7\n"))
    assert f"with n 7, and the run has {first.n}" in ask("leaderboard", "init", "board", "--from", "runs").stderr


def test_a_target_measured_in_part_is_not_registered(inside, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ask(*RUN, "--eval-limit", "3", "--seeds", "0", "--conditions", "transfer", "--scorer", "").exit_code == 0
    refused = ask("leaderboard", "init", "boards/mine", "--from", "runs")
    assert refused.exit_code == 2
    assert "measured in part" in refused.stderr
    assert ask("leaderboard", "init", "boards/mine", "--from", "no-run").exit_code == 2
    assert not Path("boards").exists(), "nothing half-written"


def test_ranks_are_ties_where_the_difference_is_not_significant():
    """By the normal interval of each difference, each at Holm's level, worked out by hand."""
    gains, noise = [0.30, 0.26, 0.10, None, -0.2], (0.0, 0.0004)
    assert ranked(gains, [noise] * 5, 10**7, 10**7) == [(1, 2), (1, 2), (3, 3), None, (4, 4)]
    # 0.04 is 1.41 standard errors of a difference; with a tenth of the variance it is 4.5, and separates.
    sure = [(0.0, 0.00004)] * 5
    assert ranked(gains, sure, 10**7, 10**7) == [(1, 1), (2, 2), (3, 3), None, (4, 4)]
    unknown = [*sure[:4], (float("nan"), float("nan"))]
    assert ranked(gains, unknown, 10**7, 10**7)[4] == (1, 4)
    assert ranked([0.1] * 501, [noise] * 501, 2, 99) == [None] * 501


def test_show_filters_and_sorts(board):
    shown = ask("leaderboard", "show", board.root, "--target", "domain1", "--sort", "name")
    assert shown.exit_code == 0
    assert "2 of 4 entries" in shown.stdout
    rows = json.loads(ask("leaderboard", "show", board.root, "--json").stdout)["entries"]
    values = [row["gain"]["value"] for row in rows]
    assert values == sorted(values, reverse=True)
    assert all(row["rank"] and row["badge"] == "self-reported" for row in rows)
    both = ("--source", "domain0", "--target", "domain1", "--recipe", "sft")
    assert "1 of 4 entries" in ask("leaderboard", "show", board.root, *both).stdout
    for option, wrong, right in (("--target", "domian1", "toy/domain1"), ("--by", "alise", "alice")):
        refused = ask("leaderboard", "show", board.root, option, wrong)
        assert refused.exit_code == 2
        assert f"{wrong!r}; did you mean {right!r}?" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_the_exports_are_what_others_read(board, tmp_path):
    from huggingface_hub._eval_results import parse_eval_result_entries

    rules = read_rules(board.root)
    targets = plain(rules.targets)
    targets["toy/domain1"]["1"] |= {"dataset": "toy/domain1-data", "task": "main", "revision": "abc"}
    changed = {**plain(rules), "targets": targets}
    (board.root / "board.yaml").write_text(yaml.safe_dump(changed))
    done = ask("leaderboard", "export", board.root, "--format", "hf", "--out", tmp_path / "hub")
    assert done.exit_code == 0, done.stderr
    found = sorted((tmp_path / "hub").rglob("*.yaml"))
    assert len(found) == 2
    by_source = {entry.source: entry for entry in board.entries() if entry.target == "toy/domain1"}
    for path in found:
        (row,) = parse_eval_result_entries(yaml.safe_load(path.read_text()))
        source = "toy/domain0" if "domain0" in path.parts[-3] else "toy/domain1"
        assert (row.dataset_id, row.task_id, row.dataset_revision) == ("toy/domain1-data", "main", "abc")
        assert row.value == by_source[source].finding.transfer
    done = ask("leaderboard", "export", board.root, "--format", "every_eval_ever", "--out", tmp_path / "eee")
    assert done.exit_code == 0, done.stderr
    whole = [json.loads(path.read_text()) for path in (tmp_path / "eee").rglob("*.json")]
    assert len(whole) == 3 * 4
    for row in whole:
        details = row["source_metadata"]["additional_details"]
        assert all(isinstance(value, str) for value in details.values())
        for result in row["evaluation_results"]:
            config, score = result["metric_config"], result["score_details"]["score"]
            assert config["min_score"] <= score <= config["max_score"]
    assert ask("leaderboard", "export", board.root, "--format", "hf").exit_code == 2


def test_the_hosts_workflow_runs_commands_that_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ask("leaderboard", "init", "boards/mine", "--host").exit_code == 0
    flow = yaml.safe_load(Path(".github/workflows/leaderboard.yml").read_text())
    assert flow["env"]["BOARD"] == "boards/mine"
    assert flow["env"]["VERSION"] == xferbench.__version__
    runs = [step["run"] for job in flow["jobs"].values() for step in job["steps"] if "run" in step]
    asked = [line.split() for run in runs for line in run.splitlines() if line.startswith("xferbench")]
    assert {words[2] for words in asked} >= {"verify"}
    for words in asked:
        options = [word for word in words if word.startswith("--")]
        helped = ask(*words[1:3], "--help")
        if words[2] in ("verify", "add", "init"):
            assert helped.exit_code == 0
            assert all(option in helped.stdout for option in options)
    told = Path(".github/pull_request_template.md").read_text()
    assert told.startswith("## What I submit")
    assert "leaderboard verify boards/mine --against" in told
    kept = ask("leaderboard", "init", "boards/mine", "--host")
    assert kept.stdout.count("there already") == 3


def test_a_board_that_is_none_or_has_wrong_rules_is_one_line(tmp_path, board):
    assert ask("leaderboard", "verify", tmp_path).exit_code == 2
    rules = read_rules(board.root)
    write_rules(board.root, rules)
    text = (board.root / "board.yaml").read_text()
    for wrong in (text + "colour: red\n", text.replace("seeds: 2", "seeds: none"), "- 1\n", "\x00", "{"):
        (board.root / "board.yaml").write_text(wrong)
        shown = ask("leaderboard", "verify", board.root)
        assert shown.exit_code == 2
        assert len(shown.stderr.strip().splitlines()) == 1


BOARDS = sorted(path.parent for path in (Path(__file__).parent.parent / "leaderboards").glob("*/entries"))


@pytest.mark.parametrize("root", BOARDS, ids=lambda path: path.name)
def test_every_board_that_we_publish_holds(root):
    faults, count = verify(root)
    assert [str(fault) for fault in faults] == []
    assert count > 0


def test_a_gzip_bomb_stops_at_the_limit_and_other_packings_are_refused():
    data = gzip.compress(b"0" * 70_000_000, 9)
    assert len(data) < 100_000
    with pytest.raises(VerificationError, match="unpacks to more than 64000000 bytes"):
        unpack(data)
    line = b'{"id": "a", "prompt": "0123456789abcdef", "scores": {"baseline": 1.0}}\n'
    whole_file = gzip.compress(line, mtime=0)
    assert unpack(whole_file).scores.shape == (1, 1)
    for wrong in (b"", b"x", line, whole_file + whole_file, whole_file + b"tail", whole_file[:-3]):
        with pytest.raises(VerificationError):
            gunzip(wrong, 1000)
    for text in (
        b"", b"[]\n", line + line, line.replace(b"1.0", b"NaN"), line.replace(b"1.0", b'"1"'),
        line.replace(b"a", b"../a"),
        line.replace(b'"id"', b'"text": "a whole question", "id"'),
        line + line.replace(b'"a"', b'"b"').replace(b"baseline", b"x"),
        line.replace(b"0123456789abcdef", b"What is two and two?"), b"{" * 5000,
    ):  # fmt: skip
        with pytest.raises(VerificationError):
            unpack(gzip.compress(text))
