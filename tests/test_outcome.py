"""`xferbench.run` and `xferbench.read`: what the command line does, as an object with tables, a picture and paths."""

import json
import sys

import pytest
from click.testing import CliRunner
from conftest import items, kept, rows

import xferbench
from xferbench.cli import main
from xferbench.outcome import TABLES

ASKED = {"suite": "feather", "source": "f/d0", "target": ["f/t1", "f/t2"], "trainer": "quill", "scorer": "", "jobs": 1}


@pytest.fixture
def outcome(light, tmp_path):
    return xferbench.run(tmp_path / "runs", seeds="0,1", executor="inline", **ASKED)


def test_it_does_what_the_command_does_to_the_byte(light, outcome, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = "run --suite feather --source f/d0 --target f/t1,f/t2 --trainer quill --seeds 0,1 --executor inline --jobs 1"
    done = CliRunner().invoke(main, [*line.split(), "--scorer", "", "--json", "--out", "other"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    for name in TABLES:
        mine, theirs = outcome.table(name), found[name]
        for row in [*mine, *theirs]:
            row.get("cost", {}).pop("seconds", None)
        assert mine == theirs, name
    assert rows(tmp_path / "runs") == rows(tmp_path / "other")
    assert items(tmp_path / "runs") == items(tmp_path / "other")


def test_it_has_paths_and_a_picture(outcome, tmp_path):
    assert outcome.path == tmp_path / "runs"
    assert outcome.figure == tmp_path / "runs" / "findings.png"
    assert outcome.figure.read_bytes().startswith(b"\x89PNG")
    assert (outcome.path / "results.jsonl").is_file()


def test_nothing_is_done_again(outcome, light, tmp_path):
    before = light.logged.read_text()
    again = xferbench.run(tmp_path / "runs", seeds=[0, 1], executor="inline", **ASKED)
    assert light.logged.read_text() == before
    assert again.found == outcome.found


def test_reading_gives_the_same_and_writes_nothing(outcome, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")}
    back = xferbench.read(tmp_path / "runs")
    assert back == outcome
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")} == before
    (tmp_path / "runs" / "findings.png").unlink()
    assert xferbench.read(tmp_path / "runs").figure is None


def test_tables_are_copies_and_an_unknown_one_gets_the_nearest(outcome):
    assert [row["target"] for row in outcome.findings] == ["f/t1", "f/t2"]
    cells = outcome.table("cells")
    assert len(cells) == 2 * (1 + 5 * 2)
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


def test_it_shows_itself_as_text_and_in_a_notebook(outcome, light, tmp_path):
    text = str(outcome)
    assert "source → target" in text
    assert "d0 → t1" in text
    shown = outcome._repr_html_()
    assert shown.startswith("<pre>suite feather")
    assert "data:image/png;base64,iVBOR" in shown
    assert "<" not in shown.partition("<pre>")[2].partition("</pre>")[0]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"source": "f/d9"}, "unknown domain 'f/d9'; did you mean 'f/d"),
        ({"sorce": "f/d0"}, "run: unknown key 'sorce'; did you mean 'source'"),
        ({"seeds": "x"}, "seeds takes whole numbers"),
        ({"train_limit": 0}, "train_limit takes a whole number above 0"),
    ],
)
def test_a_mistake_is_one_error_and_nothing_is_started(light, tmp_path, asked, said):
    with pytest.raises(xferbench.UsageError, match=said):
        xferbench.run(tmp_path / "runs", **{**ASKED, **asked})
    assert not (tmp_path / "runs").exists()


def test_a_step_that_fails_is_told_and_the_rest_is_there(light, tmp_path, monkeypatch):
    monkeypatch.setenv("FEATHER_WRONG", "raises:1")
    seen = []
    out = xferbench.run(tmp_path / "runs", seen.append, seeds="0,1", executor="inline", **ASKED)
    assert {row["why"] for row in out.table("not_done") if "quill" in row["why"]} == {"RuntimeError: the quill broke"}
    assert {cell["seed"] for cell in out.table("cells") if cell["condition"] == "transfer"} == {0}
    assert seen
    assert kept(tmp_path / "runs")


def test_a_folder_that_is_no_run_is_one_error(tmp_path):
    with pytest.raises(xferbench.XferbenchError):
        xferbench.read(tmp_path)
