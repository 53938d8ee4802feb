"""An entry: what one submitter measured of one (model, source, target, recipe), as one JSON file of frozen values.

    board.yaml                                                the board's rules (rules.py)
    entries/<model>/<source>--<target>--<recipe>--<id>.json    an entry
    items/<model>/<source>--<target>--<recipe>--<id>.jsonl.gz  its scores item by item (itemfile.py)

Both paths follow from the content (`stem`), so an entry names no path. `steps` holds the content that the id of each
step is the hash of: trainers with all settings, data fingerprints, seeds, limits, library versions. `finding` is what
analyse.transfer.findings says of these cells alone; p_holm is missing in it, because it depends on the board's other
entries (`board.findings` adds it). `checksums` has a digest for each other section. All scores are fractions.

Reading is strict (text.py): the types below and nothing else. These types are the JSON schema as well.
"""

import datetime
import hashlib
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from xferbench.leaderboard.allowed import (
    CONDITION,
    CURRICULUM,
    DIGEST,
    NAME,
    PERSON,
    RECIPE,
    SAID,
    SHORT,
    TEXT,
    URL,
    WORD,
)

VERSION = 1
"""Of the form of an entry. An entry of another version is refused."""

Name = Annotated[str, Meta(pattern=NAME, max_length=160)]
Person = Annotated[str, Meta(pattern=PERSON, max_length=160)]
Recipe = Annotated[str, Meta(pattern=RECIPE, max_length=200)]
Curriculum = Annotated[str, Meta(pattern=CURRICULUM, max_length=300)]
Text = Annotated[str, Meta(pattern=TEXT, max_length=300)]
Said = Annotated[str, Meta(pattern=SAID, max_length=300)]
"""A line that findings() wrote: it may hold an interval [low, high]."""
Url = Annotated[str, Meta(pattern=URL, max_length=200)]
Digest = Annotated[str, Meta(pattern=DIGEST)]
Short = Annotated[str, Meta(pattern=SHORT)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Amount = Annotated[float, Meta(ge=0)]
Word = Annotated[str, Meta(pattern=WORD)]
Condition = Annotated[str, Meta(pattern=CONDITION)]
# What `verify` compares with a digest that it makes itself needs no pattern of its own: a board has millions of these.
Id = Annotated[str, Meta(max_length=160, extra_json_schema={"pattern": NAME})]
Sum = Annotated[str, Meta(max_length=16, extra_json_schema={"pattern": SHORT})]


class Frozen(Struct, frozen=True, forbid_unknown_fields=True):
    """A value of an entry: its fields are all there is, and none may be left out unless it has a default."""


class Model(Frozen, frozen=True):
    """The base model; the fingerprint is the digest of its weights, tokenizer and template."""

    name: Name
    fingerprint: Digest | None


class Submitter(Frozen, frozen=True):
    """Who vouches for the entry."""

    name: Person
    """In Unicode's composed form (NFC)."""
    url: Url | None = None


class Origin(Frozen, frozen=True):
    """Where the numbers of an entry without items were published."""

    title: Text
    url: Url | None
    sha256: Digest
    """Of the table that was read."""


class Machine(Frozen, frozen=True):
    """What steps ran on."""

    system: Name
    cpu: Text
    cores: Count
    memory_gib: Amount | None
    gpu: Text | None
    python: Name


class Price(Frozen, frozen=True):
    """What an hour of the hardware costs, and by which price list."""

    dollars_per_hour: Amount
    basis: Text


class Cost(Frozen, frozen=True):
    """Seconds on the hardware, tokens learnt from, floating-point operations; dollars where a price was stated."""

    seconds: Amount | None
    tokens: Count | None
    flops: Amount | None
    dollars: Amount | None = None


class Step(Frozen, frozen=True):
    """One training, evaluation or attribution: the content that its id is the hash of, and what it took."""

    content: dict[str, Any]
    cost: Cost
    machine: Count | None
    """The place in Entry.hardware."""


class Measure(Frozen, frozen=True):
    """How the target was asked: the same for every cell of an entry."""

    metric: Name
    version: Name | None
    fingerprint: Digest | None
    n: Count
    """Items; 0 where a published table does not say."""
    prompts: Digest | None
    """Digest of all item ids and prompt hashes (itemfile.prompts_digest)."""


class Score(Frozen, frozen=True):
    """The mean over all items of one condition and training seed."""

    condition: Condition
    curriculum: Curriculum
    seed: Count | None
    value: float
    stderr: Amount
    step: Id


class Items(Frozen, frozen=True):
    """The file of scores that belongs to the entry."""

    sha256: Digest
    bytes: Count


class Method(Frozen, frozen=True):
    """What findings() was called with, besides the items."""

    resamples: Annotated[int, Meta(ge=0, le=100_000)]
    seed: Count
    margin: Annotated[float, Meta(gt=0, lt=1)]


class Bootstrap(Frozen, frozen=True):
    """The percentile interval of the gain, a second opinion."""

    low: float | None
    high: float | None
    resamples: Count


class Contrast(Frozen, frozen=True):
    """A difference of two conditions with its 95 % interval; None where undefined, for the reason given."""

    value: float | None
    low: float | None
    high: float | None
    p: float | None
    mde: float | None
    method: Said
    reason: Said | None


class Gain(Contrast, frozen=True):
    """Transfer - baseline."""

    bootstrap: Bootstrap | None


class Ratio(Frozen, frozen=True):
    """A ratio of two means with its 95 % interval."""

    value: float | None
    low: float | None
    high: float | None
    reason: Said | None


class Efficiency(Ratio, frozen=True):
    """Transfer / direct; `floor` is baseline / direct."""

    floor: float | None


Fraction = float | None


class Finding(Frozen, frozen=True):
    """What analyse.transfer.findings says of the entry's cells."""

    seeds: Count
    n: Count
    baseline: Fraction
    transfer: Fraction
    direct: Fraction
    sequential: Fraction
    joint: Fraction
    placebo: Fraction
    gain: Gain
    efficiency: Efficiency
    relative_transfer: Ratio
    direct_gap: Contrast
    sequential_gain: Contrast
    joint_gain: Contrast
    placebo_gain: Contrast
    label: Word
    why: Said


class Attribution(Frozen, frozen=True):
    """What one scorer said of the source's examples toward the target; reported, not recomputed."""

    scorer: Name
    mean: float | None
    n: Count
    null: Count
    queries: Count
    top_share: float | None
    reason: Said | None
    step: Id


class Entry(Frozen, frozen=True):
    """One row of a board, with all it takes to run it again and to check it."""

    schema: int
    id: Short
    suite: Name | None
    model: Model
    source: Name
    target: Name
    recipe: Recipe
    submitter: Submitter
    date: datetime.date
    origin: Origin | None
    """None: measured by a run of xferbench, with items. Else: imported from a published table."""
    packages: dict[Name, Name]
    hardware: tuple[Machine, ...]
    price: Price | None
    measure: Measure
    seeds: tuple[Count, ...]
    cells: tuple[Score, ...]
    steps: dict[Id, Step]
    items: Items | None
    method: Method
    finding: Finding
    cost: Cost
    """The sum over all trainings and evaluations, each once."""
    attribution: tuple[Attribution, ...]
    notes: tuple[Text, ...]
    checksums: dict[str, Sum]


ORDER = ("baseline", "transfer", "direct", "sequential", "joint", "placebo")


def plain(value: Any) -> Any:
    """Return an entry, or a part of it, as plain JSON values."""
    return msgspec.to_builtins(value)


def canonical(value: Any) -> str:
    """Return the one text that a value is hashed as."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any, size: int = 64) -> str:
    """Return the first `size` hex digits of the SHA-256 of a plain value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:size]


def render(row: dict[str, Any]) -> str:
    """Return the text of an entry's file: the same row gives the same bytes."""
    return json.dumps(row, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def claim(row: dict[str, Any]) -> str:
    """Return the id of an entry: the hash of who says, on which hardware, that which steps were done for which pair."""
    keys = ("source", "target", "recipe", "submitter", "hardware", "model", "origin")
    steps = sorted({cell["step"] for cell in row["cells"]})
    return digest([*(row[key] for key in keys), steps], 16)


def checksums(row: dict[str, Any]) -> dict[str, str]:
    """Return the digest of each section."""
    return {key: digest(value, 16) for key, value in row.items() if key != "checksums"}


def seal(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its id and checksums: the last thing done to an entry."""
    row = {**row, "id": claim(row)}
    return {**row, "checksums": checksums(row)}


def stem(entry: Entry) -> str:
    """Return the path of an entry below entries/ (and of its items below items/) without the ending."""
    parts = (entry.source, entry.target, entry.recipe, entry.id)
    return f"{slug(entry.model.name)}/{'--'.join(slug(part) for part in parts)}"


@cache
def slug(name: str) -> str:
    """Return a name as part of a path: lower case, letters, digits and . = + _ only, at most 48."""
    return re.sub(r"[^a-z0-9.=+]+", "_", name.lower()).strip("._")[:48] or "_"


def step_id(content: dict[str, Any]) -> str:
    """Return the id of a step from its content, as xferbench.steps makes it."""
    return f"{content.get('kind')}-{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]}"


def beneath(entry: Entry, step: str) -> Iterator[dict[str, Any]]:
    """Yield the contents of a step and of the trainings beneath it, the last one first."""
    name: str | None = step
    seen = set()
    while name in entry.steps and name not in seen:
        seen.add(name)
        content = entry.steps[name].content
        yield content
        name = content.get("train") if content.get("kind") != "train" else content.get("start")
