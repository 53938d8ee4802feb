"""The same as the command line, for a notebook or a script: `xferbench.run(source="math", target="gpqa")`."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xferbench import execute
from xferbench.analyse import document
from xferbench.catalog import load
from xferbench.errors import UsageError, unknown
from xferbench.execute import Watch
from xferbench.experiment import from_mapping
from xferbench.results import read as read_results
from xferbench.watching import watching

TABLES = ("cells", "findings", "attribution", "agreement", "not_done")


@dataclass(frozen=True)
class Outcome:
    """What a run found. All scores are fractions; printed, it is the table that the command line prints."""

    found: dict[str, Any]
    """The object that `xferbench run --json` prints (`xferbench schema` is its form)."""
    path: Path
    """The folder with rows, items and steps."""
    figure: Path | None
    """The picture of the findings; None where there is nothing to draw."""

    @property
    def findings(self) -> list[dict[str, Any]]:
        """One for each source, target and recipe: the conditions' scores, the gain with its interval, the label."""
        return self.table("findings")

    def table(self, name: str) -> list[dict[str, Any]]:
        """Return one table as a list of rows: cells, findings, attribution, agreement or not_done."""
        if name not in TABLES:
            raise unknown("table", name, TABLES)
        return list(self.found[name])

    def frame(self, name: str = "findings") -> Any:
        """Return one table as a pandas DataFrame, nested keys joined by a dot: gain.value, gain.low, ..."""
        try:
            import pandas
        except ImportError:
            raise UsageError("a frame needs pandas: pip install pandas; .table(name) needs nothing") from None
        return pandas.json_normalize(self.table(name))

    def analyse(self, what: str, plot: str | Path | None = None) -> Any:
        """Return what `xferbench analyse WHAT` finds in this run, as its `--json` has it; `plot`: draw it too.

        `plot`: a file, .png or .svg. Raises UsageError where the run does not hold what the analysis reads.
        """
        from xferbench.analyse import menu

        if what not in menu.ANALYSES:
            raise unknown("analysis", what, menu.ANALYSES)
        analysis = menu.ANALYSES[what](menu.read(self.path, "points", {}))
        if plot is not None:
            analysis.draw(Path(plot))
        return analysis.found

    def __str__(self) -> str:
        """Render what the command line prints."""
        return document.text(self.found, self.figure)

    def _repr_html_(self) -> str:
        """Render it for a notebook: the table, and the picture below it."""
        from base64 import b64encode
        from html import escape

        picture = ""
        if self.figure is not None:
            data = b64encode(self.figure.read_bytes()).decode()
            picture = f'<img alt="the scores of all conditions" src="data:image/png;base64,{data}">'
        return f"<pre>{escape(str(self))}</pre>{picture}"


def run(out: str | Path = "runs", watch: Watch | None = None, **asked: Any) -> Outcome:
    """Do what `xferbench run` does with the flags of the same names, and return what was found.

    `asked`: the keys of an experiment: source, target, suite, model, trainer, conditions, scorer, seeds, train_limit,
    eval_limit, ...; a text with commas or a list. What is stored in `out` is not done again. `watch` is called with
    the progress; without one, stderr shows it, as for the command. Raises UsageError for anything wrong, with nothing
    started; a step that fails is in `not_done`.

    >>> outcome = xferbench.run(source="math", target="gpqa")
    >>> outcome.findings[0]["gain"]["low"]
    """
    catalog = load()
    plan, store = execute.ask(from_mapping(asked, "run"), catalog, Path(out))
    with nullcontext(watch) if watch else watching() as shown:
        results = execute.execute(plan, store, catalog, shown)
    found = document.document(results)
    figure = document.draw(found, Path(out) / "findings.png") if found["findings"] else None
    return Outcome(found, Path(out), figure)


def read(path: str | Path) -> Outcome:
    """Read the outcome of an earlier run from its folder, where nothing is written."""
    drawn = Path(path) / "findings.png"
    return Outcome(document.document(read_results(Path(path))), Path(path), drawn if drawn.is_file() else None)
