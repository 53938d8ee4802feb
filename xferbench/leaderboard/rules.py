"""board.yaml: what a board is about and what every entry on it must keep. An unknown key is refused."""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from xferbench.errors import UsageError, VerificationError
from xferbench.leaderboard.entry import Condition, Count, Digest, Frozen, Name, Text
from xferbench.leaderboard.text import one_line, read_bytes, write, wrong

RULES_BYTES = 5_000_000


class Asked(Frozen, frozen=True):
    """One version of a target, as the board wants it asked."""

    metric: Name
    n: Count
    """All its items."""
    prompts: Digest | Annotated[tuple[Digest, ...], Meta(min_length=1)]
    """itemfile.prompts_digest of its items; a list where models with other chat templates are asked as well."""
    fingerprint: Digest | None = None
    """Of everything that decides how it is scored; None: not held."""
    domain: Name | None = None
    """What `direct` trains on; None: the target has no domain of its own, so nothing is trained on it directly."""
    dataset: Name | None = None
    """Its data set on the Hugging Face hub, with `task` and `revision` there: for exports."""
    task: Name | None = None
    revision: Name | None = None
    least: float = 0.0
    most: float = 1.0
    """least, most: between them lies the score of every item."""

    @property
    def ways(self) -> tuple[Digest, ...]:
        """All digests of `prompts`."""
        return (self.prompts,) if isinstance(self.prompts, str) else self.prompts


class Rules(Frozen, frozen=True, kw_only=True):
    """What board.yaml says."""

    name: Name
    title: Text
    about: Annotated[str, Meta(max_length=4000)] = ""
    """A paragraph that the pages show as text."""
    imported: bool = False
    """True: a board of published tables, whose entries have no items; never mixed with measured ones."""
    targets: dict[Name, dict[Name, Asked]] = msgspec.field(default_factory=dict)
    """{target: {version: how it is asked}}; an imported board has none."""
    models: dict[Name, Digest] = msgspec.field(default_factory=dict)
    """{name: fingerprint} of the only base models allowed; empty: any."""
    sources: tuple[Name, ...] = ()
    """The only sources allowed; empty: any."""
    conditions: tuple[Condition, ...] = ("baseline", "transfer", "direct")
    """What every entry must have measured (direct only where the target has a domain of its own)."""
    seeds: Annotated[int, Meta(ge=1)] = 3
    """Training seeds that every entry must have, at least."""
    examples: Count | None = None
    """The most examples that an entry may draw from a domain, so that sources are compared alike; None: any."""
    resamples: Annotated[int, Meta(ge=0, le=100_000)] = 2000
    seed: Count = 0
    margin: Annotated[float, Meta(gt=0, lt=1)] = 0.03
    """resamples, seed, margin: what findings() is called with."""
    entry_bytes: Annotated[int, Meta(ge=1, le=1_000_000)] = 500_000
    items_bytes: Annotated[int, Meta(ge=1, le=50_000_000)] = 10_000_000


def read_rules(board: Path) -> Rules:
    """Read board.yaml in the folder of a board; UsageError in one line for anything wrong."""
    import yaml

    path = board / "board.yaml"
    try:
        if not path.exists():
            raise FileNotFoundError(path)
        values = yaml.safe_load(read_bytes(path, RULES_BYTES).decode())
        return msgspec.convert(values, Rules)
    except VerificationError as error:
        raise UsageError(f"{path} {error}") from None
    except OSError:
        raise UsageError(f"{board} is no board: it has no board.yaml (xferbench leaderboard init makes one)") from None
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {wrong(error)}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: {one_line(error)}") from None


def write_rules(board: Path, rules: Rules) -> None:
    """Write board.yaml; UsageError, with nothing written, for rules that `read_rules` would refuse."""
    import yaml

    values = msgspec.to_builtins(rules)
    try:
        msgspec.convert(values, Rules)
    except msgspec.ValidationError as error:
        raise UsageError(f"{board}/board.yaml: {wrong(error)}") from None
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)
    write(board, board / "board.yaml", text.encode())
