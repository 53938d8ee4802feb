"""`xferbench leaderboard ...`: each command calls one function; everything heavy is imported inside it."""

from datetime import date as calendar
from pathlib import Path
from typing import Any

import click

BOARD = click.argument("board", type=click.Path(path_type=Path))


@click.group()
def leaderboard() -> None:
    """Publish findings that others can check: start a board, add a run, verify, build, show, export.

    \b
    xferbench leaderboard init leaderboards/mine --from runs
    xferbench leaderboard add leaderboards/mine runs --by alice
    xferbench leaderboard verify leaderboards/mine
    xferbench leaderboard build leaderboards/mine
    """


@leaderboard.command()
@BOARD
@click.option("--from", "run", type=click.Path(path_type=Path), help="A run whose targets are registered.")
@click.option("--title", help="What readers see first.")
@click.option("--host", is_flag=True, help="Also write a GitHub Actions workflow and a pull-request template.")
def init(board: Path, run: Path | None, title: str | None, host: bool) -> None:
    """Write board.yaml, the rules of a board; on a board that is there, add the targets of another run.

    \b
    xferbench leaderboard init leaderboards/mine --from runs --host
    """
    from xferbench.leaderboard.start import init as start

    click.echo(start(board, run, title, host))


@leaderboard.command()
@BOARD
@click.argument("run", metavar="RUN_DIR", type=click.Path(path_type=Path))
@click.option("--by", required=True, metavar="NAME", help="Who vouches for the entries.")
@click.option("--url", help="Where to find them: https://...")
@click.option("--date", default=None, metavar="YYYY-MM-DD", help="Default: today.")
@click.option("--price", type=click.FloatRange(0), help="Dollars an hour of the hardware costs.")
@click.option("--price-basis", help="By which price list.")
@click.option("--model-name", help="How the base model is called, where the run has a folder's path.")
@click.option("--note", multiple=True, help="A line that readers should know.")
def add(board: Path, run: Path, date: str | None, **about: Any) -> None:
    """Make entries of a run's findings: all of them, or none and one line a fault.

    \b
    xferbench leaderboard add leaderboards/mine runs --by alice --price 2.5 --price-basis "on demand, region x"
    """
    from xferbench.leaderboard.add import add as put

    click.echo(put(board, run, {"date": date or calendar.today().isoformat(), **about}))


@leaderboard.command()
@BOARD
@click.option("--against", metavar="GIT_REF", help="Nothing that was merged there may be edited or removed.")
@click.option("--record", is_flag=True, help="Write verified.json, from which pages show the badge `recomputed`.")
@click.option("--json", is_flag=True, help="Print as JSON.")
def verify(board: Path, against: str | None, record: bool, json: bool) -> None:
    """Recompute every number of every entry from its items; exit 3 with one line a fault.

    \b
    xferbench leaderboard verify leaderboards/mini
    xferbench leaderboard verify leaderboards/mini --against origin/main
    """
    from xferbench.leaderboard.verify import verify_command

    text, clean = verify_command(board, against, record, json)
    click.echo(text)
    click.get_current_context().exit(0 if clean else 3)


@leaderboard.command("import")
@BOARD
@click.argument("reading", metavar="READING.yaml", type=click.Path(path_type=Path))
def import_(board: Path, reading: Path) -> None:
    """Make entries of a published table, marked as imported, on a board that says `imported: true`.

    \b
    xferbench leaderboard import leaderboards/published leaderboards/published/latent_traits.yaml
    """
    from xferbench.leaderboard.published import publish

    click.echo(publish(board, reading))


@leaderboard.command()
@BOARD
def build(board: Path) -> None:
    """Render README.md, leaderboard.csv, board.html and figures of a board from its entries alone.

    \b
    xferbench leaderboard build leaderboards/mini
    """
    from xferbench.leaderboard.build import build as render

    for path in render(board):
        click.echo(path)


@leaderboard.command()
@BOARD
@click.option("--source", metavar="NAME", help="Only entries of sources with this in their name.")
@click.option("--target", metavar="NAME", help="Of targets.")
@click.option("--recipe", metavar="NAME", help="Of recipes.")
@click.option("--model", metavar="NAME", help="Of models.")
@click.option("--by", metavar="NAME", help="Of submitters.")
@click.option("--sort", type=click.Choice(["gain", "name", "date", "dollars"]), default="gain", show_default=True)
@click.option("--json", is_flag=True, help="Print as JSON.")
def show(board: Path, sort: str, json: bool, **wanted: str | None) -> None:
    """Print the entries of a board with intervals; ranks are ties where the intervals do not separate.

    \b
    xferbench leaderboard show leaderboards/mini --target gpqa
    """
    from xferbench.leaderboard.show import show as table

    click.echo(table(board, wanted, sort, json))


@leaderboard.command()
@BOARD
@click.option("--format", "form", type=click.Choice(["csv", "every_eval_ever", "hf"]), required=True)
@click.option("--out", type=click.Path(path_type=Path), help="A file (csv) or a folder; csv goes to stdout without it.")
def export(board: Path, form: str, out: Path | None) -> None:
    """Write a board in the form of others: CSV, every_eval_ever JSON, Hugging Face .eval_results YAML.

    \b
    xferbench leaderboard export leaderboards/mini --format csv
    xferbench leaderboard export leaderboards/mini --format every_eval_ever --out eee
    """
    from xferbench.leaderboard.export import export as write

    text = write(board, form, out)
    click.echo(text, nl=not text.endswith("\n"))
