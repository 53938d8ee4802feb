"""The JSON schemas that third parties check a board against; the reader holds the very same types."""

import json

import msgspec

from xferbench.leaderboard.entry import VERSION, Entry
from xferbench.leaderboard.rules import Rules


def schema_text(what: str) -> str:
    """Return the JSON schema of an "entry" or of a "board" (board.yaml)."""
    kind, title = {
        "entry": (Entry, f"xferbench leaderboard entry, version {VERSION}"),
        "board": (Rules, "xferbench leaderboard board.yaml"),
    }[what]
    found = msgspec.json.schema(kind)
    if what == "entry":
        found["$defs"]["Entry"]["properties"]["schema"] = {"const": VERSION}
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **found}, indent=1)
