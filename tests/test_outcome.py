"""`xferbench.run` and `xferbench.read`: what the command line does, as an object with tables, a picture and paths."""

import json
import re
import sys

import pytest
from click.testing import CliRunner
from conftest import items, kept, lightly, rows

import xferbench
from xferbench import watching
from xferbench.cli import main
from xferbench.outcome import TABLES
from xferbench.schedule import Progress
from xferbench.store import folders, read_step

ASKED = {
    "suite": "feather", "source": "f/d0", "target": ["f/t1", "f/t2"], "trainer": "quill", "conditions": "transfer",
    "scorer": "", "executor": "inline", "jobs": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def shelf(feather, world, tmp_path_factory):
    """A folder for runs of milliseconds, and the file that tells which steps were done."""
    folder = tmp_path_factory.mktemp("outcome")
    with lightly(feather, world, feather.env["XFERBENCH_PLUGINS"], FEATHER_LOG=str(folder / "log")) as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def outcome(shelf):
    return xferbench.run(shelf / "runs", seeds="0,1", **ASKED)


def test_it_does_what_the_command_does_to_the_byte(outcome, shelf):
    line = "run --suite feather --source f/d0 --target f/t1,f/t2 --trainer quill --seeds 0,1 --conditions transfer"
    done = CliRunner().invoke(
        main, [*line.split(), *["--executor", "inline", "--jobs", "1", "--json", "--out", "other"], "--scorer", ""]
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    for name in TABLES:
        mine, theirs = json.loads(json.dumps(outcome.table(name))), found[name]
        for row in [*mine, *theirs]:
            row.get("cost", {}).pop("seconds", None)
        assert mine == theirs, name
    assert rows(shelf / "runs") == rows(shelf / "other")
    assert items(shelf / "runs") == items(shelf / "other")


def test_it_has_paths_and_a_picture(outcome, shelf):
    assert outcome.path == shelf / "runs"
    assert outcome.figure == shelf / "runs" / "findings.png"
    assert outcome.figure.read_bytes().startswith(b"\x89PNG")
    assert (outcome.path / "results.jsonl").is_file()


def test_a_log_has_a_line_of_progress_now_and_then(shelf, monkeypatch, capsys):
    monkeypatch.setattr(watching, "EVERY", 0.0)
    xferbench.run(shelf / "logged", seeds=0, **ASKED)
    said = capsys.readouterr().err.splitlines()
    form = re.compile(r"(\d+)/(\d+) steps done(?:, about \d+ s left)?; now (.+)")
    found = [form.fullmatch(line).groups() for line in said]
    steps = len(kept(shelf / "logged"))
    assert {int(total) for _, total, _ in found} == {steps}
    counts = [int(done) for done, _, _ in found]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] == steps
    monkeypatch.undo()
    xferbench.run(shelf / "quiet", seeds=0, **ASKED)
    assert capsys.readouterr().err == ""  # of so short a run there is nothing to say


def test_a_line_names_a_few_of_many_steps(outcome, capsys):
    step = read_step(folders(outcome.path)[0])
    watching.logging(0.0)(Progress(40, 2, 1, {str(n): (step, 8.0, n / 10) for n in range(5)}, 200.0))
    title = re.escape(step.title)
    assert re.fullmatch(
        rf"2/40 steps done, 1 failed, about 3 min 20 s left; now {title} 0 %; {title} 10 %; {title} 20 %; 2 more\n",
        capsys.readouterr().err,
    )


def test_nothing_is_done_again(outcome, shelf):
    before = (shelf / "log").read_text()
    again = xferbench.run(shelf / "runs", seeds=[0, 1], **ASKED)
    assert (shelf / "log").read_text() == before
    assert again.found == outcome.found


def test_reading_gives_the_same_and_writes_nothing(outcome, shelf):
    before = {path: path.stat().st_mtime_ns for path in (shelf / "runs").rglob("*")}
    back = xferbench.read(shelf / "runs")
    assert back == outcome
    assert {path: path.stat().st_mtime_ns for path in (shelf / "runs").rglob("*")} == before
    (shelf / "runs" / "findings.png").rename(shelf / "findings.png")
    assert xferbench.read(shelf / "runs").figure is None
    (shelf / "findings.png").rename(shelf / "runs" / "findings.png")


def test_tables_are_copies_and_an_unknown_one_gets_the_nearest(outcome):
    assert [row["target"] for row in outcome.findings] == ["f/t1", "f/t2"]
    cells = outcome.table("cells")
    assert len(cells) == 2 * (1 + 2)
    cells.clear()
    assert outcome.table("cells")
    assert outcome.table("not_done") == []
    with pytest.raises(xferbench.UsageError, match="unknown table 'cell'; did you mean 'cells'"):
        outcome.table("cell")


def test_a_frame_holds_the_numbers_of_the_table(outcome):
    pandas = pytest.importorskip("pandas")
    frame = outcome.frame()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["gain.value"]) == [row["gain"]["value"] for row in outcome.findings]
    assert list(frame["label"]) == [row["label"] for row in outcome.findings]
    assert len(outcome.frame("cells")) == len(outcome.table("cells"))


def test_without_pandas_all_but_the_frame_works(outcome, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(xferbench.UsageError, match=r"pip install pandas; \.table\(name\) needs nothing"):
        outcome.frame()
    assert outcome.table("findings")


def test_it_shows_itself_as_text_and_in_a_notebook(outcome):
    text = str(outcome)
    assert "source → target" in text
    assert "d0 → t1" in text
    shown = outcome._repr_html_()
    assert shown.startswith("<pre>suite feather")
    assert "data:image/png;base64,iVBOR" in shown
    assert "<" not in shown.partition("<pre>")[2].partition("</pre>")[0]


def test_an_analysis_is_what_the_command_prints_and_is_drawn(outcome, shelf):
    found = outcome.analyse("errors", plot=shelf / "errors.png")
    assert (shelf / "errors.png").read_bytes().startswith(b"\x89PNG")
    printed = CliRunner().invoke(main, ["analyse", "errors", str(shelf / "runs"), "--json"])
    assert json.loads(json.dumps(found)) == json.loads(printed.stdout)
    assert outcome.analyse("transfer")["findings"] == outcome.findings
    with pytest.raises(xferbench.UsageError, match="unknown analysis 'eror'; did you mean 'errors'"):
        outcome.analyse("eror")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"source": "f/d9"}, "unknown domain 'f/d9'; did you mean 'f/d"),
        ({"sorce": "f/d0"}, "run: unknown key 'sorce'; did you mean 'source'"),
        ({"seeds": "x"}, "seeds takes whole numbers"),
        ({"train_limit": 0}, "train_limit takes a whole number above 0"),
    ],
)
def test_a_mistake_is_one_error_and_nothing_is_started(shelf, tmp_path, asked, said):
    with pytest.raises(xferbench.UsageError, match=said):
        xferbench.run(tmp_path / "runs", **{**ASKED, **asked})
    assert not (tmp_path / "runs").exists()


def test_a_step_that_fails_is_told_and_the_rest_is_there(shelf, tmp_path, monkeypatch):
    monkeypatch.setenv("FEATHER_WRONG", "raises:1")
    seen = []
    out = xferbench.run(tmp_path / "runs", seen.append, seeds="0,1", **ASKED)
    assert {row["why"].rpartition("failed: ")[2] for row in out.table("not_done")} == {"RuntimeError: the quill broke"}
    assert {cell["seed"] for cell in out.table("cells") if cell["condition"] == "transfer"} == {0}
    assert seen
    assert kept(tmp_path / "runs")


def test_a_folder_that_is_no_run_is_one_error(tmp_path):
    with pytest.raises(xferbench.XferbenchError):
        xferbench.read(tmp_path)
