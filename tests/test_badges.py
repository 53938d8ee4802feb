"""Entries side by side on a board: what was merged stays, who reproduces whom, which is a copy."""

import hashlib
import json
import subprocess

import pytest
from click.testing import CliRunner

from xferbench.cli import main
from xferbench.leaderboard.entry import beneath, plain, render, seal, stem
from xferbench.leaderboard.record import badges, read_record, repeated, write_record
from xferbench.leaderboard.synthetic import World, make, put
from xferbench.leaderboard.verify import verify

WORLD = World(sources=2, targets=2, items=30, resamples=50)


def ask(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def board(tmp_path):
    return make(tmp_path / "board", WORLD)


def git(folder, *arguments):
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def test_what_was_merged_is_neither_edited_nor_removed(board, tmp_path):
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "merged")
    git(tmp_path, "checkout", "-qb", "submission")
    assert ask("leaderboard", "verify", board.root, "--against", "main").exit_code == 0
    edited, removed, *_ = board.paths()
    row = seal({**json.loads(edited.read_text()), "notes": ["nicer words"]})
    edited.write_text(render(row))  # holds in itself: its id is not the hash of its notes
    removed_entry = json.loads(removed.read_text())
    removed.unlink()
    board_file = board.root / "board.yaml"
    board_file.write_text(board_file.read_text().replace("margin: 0.03", "margin: 0.2"))
    (board.root / "board.html").write_text("<script>")
    (board.root / "verified.json").write_text("{}")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "quiet changes")
    shown = ask("leaderboard", "verify", board.root, "--against", "main")
    assert shown.exit_code == 3
    lines = shown.stdout.splitlines()
    assert f"{edited.relative_to(board.root)}: notes[0]: it was merged in main and is edited" in lines
    assert f"{removed.relative_to(board.root)}: it was merged in main and is removed" in lines
    for name in ("board.yaml", "board.html", "verified.json"):
        assert any(line.startswith(f"{name}: only the host of a board changes it") for line in lines)
    assert removed_entry["id"] in removed.name
    unknown = ask("leaderboard", "verify", board.root, "--against", "nowhere")
    assert unknown.exit_code == 2
    assert ask("leaderboard", "verify", board.root, "--against", "--output=x").exit_code == 2


def test_new_entries_may_come_beside_merged_ones(tmp_path):
    board = make(tmp_path / "board", WORLD)
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "merged")
    make(tmp_path / "board", World(**{**vars(WORLD), "submitters": ("alice", "bob")}))
    faults, count = verify(board.root, "main")
    assert (faults, count) == ([], 8)


def test_badges_follow_their_rules(tmp_path):
    board = make(tmp_path / "board", World(**{**vars(WORLD), "submitters": ("alice", "bob")}))
    entries = list(board.entries())
    assert set(badges(entries, read_record(board))) == {"self-reported"}
    assert ask("leaderboard", "verify", board.root, "--record").exit_code == 0
    found = dict(zip([(e.source, e.target, e.submitter.name) for e in entries], badges(entries, read_record(board))))
    for entry in entries:
        other = next(
            e for e in entries
            if (e.source, e.target) == (entry.source, entry.target) and e.submitter != entry.submitter
        )  # fmt: skip
        a, b = entry.finding.gain, other.finding.gain
        agree = b.low <= a.value <= b.high and a.low <= b.value <= a.high
        badge = found[entry.source, entry.target, entry.submitter.name]
        assert badge == ("reproduced" if agree else "recomputed")
    assert "reproduced" in found.values()
    path = board.paths()[0]
    path.write_text(render(seal({**json.loads(path.read_text()), "notes": ["changed since"]})))
    assert badges(list(board.entries()), read_record(board))[0] == "self-reported"


def test_a_copy_under_another_name_reproduces_nothing(board):
    for entry in list(board.entries()):
        row = plain(entry) | {"submitter": {"name": "mallory", "url": None}}
        put(board, seal(row), board.items(entry).read_bytes())
    write_record(board)
    assert set(badges(list(board.entries()), read_record(board))) == {"recomputed"}
    sound, note = ask("leaderboard", "verify", board.root).stdout.splitlines()
    assert sound.startswith(f"{board.root}: 8 entries hold: ")
    assert note.startswith("note: alice and mallory have the same scores from the same kind of machine, 4 entries each")
    told = json.loads(ask("leaderboard", "verify", board.root, "--json").stdout)
    assert told == {"entries": 8, "faults": [], "notes": [note.removeprefix("note: ")]}


SIX = ("baseline", "transfer", "direct", "sequential", "joint", "placebo")


def lacking(entry, *kept):
    """The entry's row with the cells of these conditions only, and the steps beneath them."""
    row = plain(entry)
    row["cells"] = [cell for cell in row["cells"] if cell["condition"] in kept]
    steps = [one for cell in row["cells"] for one in beneath(entry, cell["step"])]
    row["steps"] = {name: step for name, step in row["steps"].items() if step["content"] in steps}
    return row


def test_an_entry_that_lacks_conditions_of_another_reproduces_it_and_a_copy_that_lacks_some_is_a_copy(tmp_path):
    whole = World(**{**vars(WORLD), "conditions": SIX, "submitters": ("alice", "bob")})
    wide = list(make(tmp_path / "wide", whole).entries())
    all_six = dict(zip([entry.id for entry in wide], badges(wide, {stem(entry): sha(entry) for entry in wide})))
    mixed = make(tmp_path / "mixed", World(**{**vars(WORLD), "sources": 0}))
    for entry in wide:
        kept = SIX if entry.submitter.name == "alice" else SIX[:3]
        put(mixed, seal(lacking(entry, *kept)), None)
    write_record(mixed)
    found = list(mixed.entries())
    assert len({len(entry.steps) for entry in found}) > 1
    names = [(entry.submitter.name, entry.source, entry.target) for entry in found]
    same = [(entry.submitter.name, entry.source, entry.target) for entry in wide]
    right = dict(zip(same, all_six.values()))
    assert dict(zip(names, badges(found, read_record(mixed)))) == right
    assert "reproduced" in right.values()
    copies = make(tmp_path / "copies", World(**{**vars(WORLD), "sources": 0}))
    for entry in [one for one in wide if one.submitter.name == "alice"]:
        put(copies, plain(entry), None)
        put(copies, seal(lacking(entry, *SIX[:3]) | {"submitter": {"name": "mallory", "url": None}}), None)
    write_record(copies)
    assert set(badges(list(copies.entries()), read_record(copies))) == {"recomputed"}
    assert repeated(copies)[0].startswith("alice and mallory have the same scores from the same kind of machine, 4")


def sha(entry):
    return hashlib.sha256(render(plain(entry)).encode()).hexdigest()


def test_the_same_scores_by_the_same_submitter_are_a_duplicate(board):
    entry = next(board.entries())
    row = plain(entry)
    row["hardware"] = [{**row["hardware"][0], "cores": 96}]
    put(board, seal(row), board.items(entry).read_bytes())
    faults, _ = verify(board.root)
    assert [fault.field for fault in faults] == ["items"]
    assert "says the same, by the same submitter" in str(faults[0])
