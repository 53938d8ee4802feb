"""The group of all commands: whatever a user can do wrong is one line and an exit code."""

import os
from itertools import pairwise
from typing import Any, NoReturn

import click


class Commands(click.Group):
    """Turns every error that a user can cause into one line and its exit code; a traceback only with --debug."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; refuse `--source --target x`, where click takes an option for the value that lacks.

        Of an option that takes a list and is given twice the last counts, as everywhere; here a line says so.
        """
        from xferbench.errors import UsageError

        name, command, rest = super().resolve_command(ctx, args)
        options = {text: one for one in (command.params if command else ()) for text in one.opts if text[:2] == "--"}
        for text, after in pairwise(rest):
            one = options.get(text)
            if after in options and isinstance(one, click.Option) and not (one.is_flag or one._flag_needs_value):
                raise UsageError(f"{text} lacks its value: {after} stands in its place")
        given = [text.partition("=")[0] for text in rest]
        for text, one in options.items():
            if ",..." in str(one.metavar) and given.count(text) > 1:
                click.echo(
                    f"note: of {text}, given more than once, the last counts: several follow one, with commas", err=True
                )
        return name, command, rest

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the words before the command."""
        try:
            return super().make_context(*args, **extra)
        except click.UsageError as error:
            _wrong(error)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        from xferbench.errors import FULL, XferbenchError

        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            _wrong(error)
        except XferbenchError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"xferbench: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("xferbench: stopped", err=True)
            ctx.exit(130)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            ctx.exit(0)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            if isinstance(error, OSError) and error.errno in FULL:
                where = f": {error.filename}" if error.filename else ""
                click.echo(f"xferbench: {FULL[error.errno]}{where}; what was done is kept", err=True)
                ctx.exit(1)
            click.echo(
                f"xferbench: unexpected {type(error).__name__}: {error} (xferbench --debug ... shows where)", err=True
            )
            ctx.exit(1)


def _wrong(error: click.UsageError) -> NoReturn:
    """Tell in one line what click found wrong with the command line; no command at all gets the help."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        raise error
    said = error.format_message().replace("a valid integer range", "a whole number")
    path = error.ctx.command_path if error.ctx else "xferbench"
    if error.ctx and "unexpected extra argument" in said:
        said += f": it reads {' '.join([path, *error.ctx.command.collect_usage_pieces(error.ctx)])}"
        if {"source", "target", "scorer"} <= {one.name for one in error.ctx.command.params}:
            said += "; what to learn from follows --source, what to measure --target"
    click.echo(f"xferbench: {said} ({path} --help)", err=True)
    raise click.exceptions.Exit(error.exit_code)
