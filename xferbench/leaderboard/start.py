"""A board begins: its rules, the targets of a run registered, and what a host on GitHub needs to run it."""

from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path

import msgspec

from xferbench.errors import UsageError
from xferbench.leaderboard.entry import Name, Text
from xferbench.leaderboard.itemfile import prompts_digest
from xferbench.leaderboard.rules import Asked, Rules, read_rules, write_rules
from xferbench.leaderboard.text import many, typed
from xferbench.results import Results, read

HOST = {"workflow.yml": ".github/workflows/leaderboard.yml", "pull_request.md": ".github/pull_request_template.md"}


@dataclass
class Found:
    """A target as a run asked it, gathered from its cells."""

    asked: Asked
    version: str


def init(root: Path, run: Path | None, title: str | None, host: bool) -> str:
    """Write board.yaml into `root`, with the targets that the run in folder `run` measured; say what was done.

    A board that is there keeps its rules and its targets; only what it lacks is added: targets, versions, and the
    prompts of a model with another chat template.
    """
    if title is not None:
        typed("--title", title, Text)
    fresh = not (root / "board.yaml").exists()
    rules = _fresh(root.resolve().name, title) if fresh else read_rules(root)
    added, fewer = [], ""
    if run is not None:
        targets = {name: dict(versions) for name, versions in rules.targets.items()}
        results = read(run)
        seeds = len({cell.seed for cell in results.cells if cell.seed is not None})
        if seeds < rules.seeds:
            fewer = f"note: the board asks for {rules.seeds} training seeds (seeds in board.yaml); this run has {seeds}"
        for name, found in _targets(results).items():
            known = targets.setdefault(name, {}).get(found.version)
            asked = found.asked if known is None else _both(known, found.asked, f"{root}: {name} {found.version}")
            if asked != known:
                targets[name][found.version] = asked
                added.append(name)
        rules = msgspec.structs.replace(rules, targets=dict(sorted(targets.items())))
    if fresh or added:
        root.mkdir(parents=True, exist_ok=True)
        write_rules(root, rules)
    lines = [f"{root}/board.yaml: {'written' if fresh else 'there already'}; {many(len(added), 'target')} registered"]
    lines += [fewer] if fewer else []
    if host:
        lines += [_template(Path.cwd(), root, name, where) for name, where in HOST.items()]
    return "\n".join(lines)


def _fresh(folder: str, title: str | None) -> Rules:
    """The rules of a board that begins; it goes by the name of its folder."""
    name = typed("a board goes by the name of its folder, and", folder, Name)
    return Rules(name=name, title=title or name)


def _both(known: Asked, asked: Asked, where: str) -> Asked:
    """What is registered, and the prompts of `asked` beside it; UsageError where more than the prompts differs."""
    for key in ("metric", "n", "fingerprint", "domain"):
        one, other = getattr(known, key), getattr(asked, key)
        if None not in (one, other) and one != other:
            raise UsageError(f"{where} is registered already with {key} {one}, and the run has {other}")
    new = tuple(way for way in asked.ways if way not in known.ways)
    return msgspec.structs.replace(known, prompts=(*known.ways, *new)) if new else known


def _targets(results: Results) -> dict[str, Found]:
    """How each target of a run was asked; UsageError where it was asked in part, or in two ways."""
    known = {row["id"]: row["recipe"] for row in results.steps}
    domains = {cell.target: cell.curriculum for cell in results.cells if cell.condition == "direct"}
    found: dict[str, Found] = {}
    for cell in results.cells:
        recipe = known.get(cell.step)
        if recipe is None:
            raise UsageError("the run's rows have no recipes; repeat its command, which does no step again")
        if cell.target in found:
            continue
        target = recipe["target"]
        keys = list(results.items(cell.step))
        asked = Asked(
            metric=cell.metric,
            n=len(keys),
            prompts=prompts_digest(keys),
            fingerprint=target["settings"].get("fingerprint"),
            domain=domains.get(cell.target),
        )
        found[cell.target] = Found(asked, target["version"].rpartition(", ")[2])
        if recipe["limit"] is not None:
            raise UsageError(f"{cell.target} was measured in part (--eval-limit): register a target from a full run")
    return found


def _template(top: Path, root: Path, name: str, where: str) -> str:
    """Write a file for the host of the board `root` in the repository `top`, made out to that board."""
    path = top / where
    if path.exists():
        return f"{where}: there already, left as it is"
    text = (resources.files("xferbench.leaderboard") / "host" / name).read_text(encoding="utf-8")
    board = root.resolve().relative_to(top.resolve()) if root.resolve().is_relative_to(top.resolve()) else root
    text = text.replace("leaderboards/mine", board.as_posix()).replace(
        'VERSION: "0"', f'VERSION: "{version("xferbench")}"'
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace("BOARD", board.as_posix()) if name.endswith(".md") else text, encoding="utf-8")
    return f"{where}: written"
