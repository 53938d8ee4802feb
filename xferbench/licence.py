"""What a licence forbids, judged before anything starts: research is open to all data, commercial use is not."""

import re
from collections.abc import Mapping
from typing import Any

from xferbench.errors import UsageError

USES = ("research", "commercial")
CLOSED = re.compile(r"non[- ]?commercial|research[- ]only|only for research|academic|\bNC\b", re.I)
SILENT = re.compile(r"\s*|none( stated)?|unknown|unclear|not stated", re.I)


def refusal(what: str, data: Mapping[str, Any], use: str) -> str | None:
    """Return why the licence in `data` (as a domain or target states it) forbids `use`; None when it does not.

    Made data and programs (no `id`) need no licence. One that states none grants nothing beyond research.
    """
    if use == "research" or not data.get("id"):
        return None
    licence = str(data.get("licence") or "")
    if SILENT.fullmatch(licence):
        return f"{what} ({data['id']}) states no licence, which allows no {use} use"
    if CLOSED.search(licence):
        return f"{what} ({data['id']}) has the licence {licence!r}, which forbids {use} use"
    return None


def check(used: Mapping[str, Mapping[str, Any]], use: str) -> None:
    """Raise UsageError, naming all, when the licence of something used ({what: its data}) forbids the use."""
    found = [why for what, data in used.items() if (why := refusal(what, data, use))]
    if found:
        raise UsageError(f"{'; '.join(found)}: leave it out, or say --use research")
