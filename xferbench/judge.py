"""`judge:TARGET`: a language model behind an OpenAI-compatible endpoint says whether each written answer is right.

    xferbench run --source math --target "math,judge:math:model=NAME,url=http://localhost:8000/v1"

The items, the prompts and the answers are those of TARGET; only the scoring differs. Any server with
POST URL/chat/completions will do; a key, where it asks for one, is read from OPENAI_API_KEY. Verdicts are kept on disk
by the hash of all that they depend on, so no question is asked twice. `analyse judge` holds them against TARGET's own.
"""

import dataclasses
import hashlib
import json
import math
import os
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from xferbench.api import Example, Item, Measurement, Target
from xferbench.errors import DataError, StepError, UsageError

PREFIX = "judge:"
"""Before the name of a target."""
VERSION = "1"
"""Of the prompt and of how its answer is read; part of every identity."""
PROMPT = """You grade answers. Compare the response with the reference answer to the question. It is right when its
final answer means the same, however it is worded; its reasoning does not count. Reply with one word: yes if it is
right, no if it is wrong or gives no answer.

Question:
{question}

Reference answer:
{reference}

Response:
{response}

Is the response right, yes or no?"""
TRIES, WAIT = 4, 2.0
"""Attempts at one question, and the seconds before the second (doubled before each further one)."""


@dataclass(frozen=True)
class Judged:
    """A target whose written answers are graded by a judge: the share of its votes that say yes."""

    settable: ClassVar[tuple[str, ...]] = ("model", "url", "votes", "max_tokens", "timeout")
    of: Target
    model: str = ""
    """The judge's name at the endpoint."""
    url: str = "http://localhost:8000/v1"
    """The endpoint, up to but without /chat/completions."""
    votes: int = 1
    """How often each answer is judged: once at temperature 0, else at temperature 1 with seeds 0, 1, ..."""
    max_tokens: int = 8
    """Tokens that the judge may write."""
    timeout: float = 120.0
    """Seconds to wait for one reply."""
    domain: str | None = field(default=None, kw_only=True)

    @property
    def name(self) -> str:
        """judge:TARGET."""
        return f"{PREFIX}{self.of.name}"

    @property
    def group(self) -> str:
        """That of the target."""
        return self.of.group

    @property
    def version(self) -> str:
        """The target's, and that of the prompt."""
        return f"{self.of.version}, judge {VERSION}"

    @property
    def summary(self) -> str:
        """One line."""
        return f"the answers to {self.of.name}, graded by a language model"

    @property
    def data(self) -> Mapping[str, Any]:
        """Those of the target."""
        return self.of.data

    def fingerprint(self) -> str:
        """Hash the target's own, the prompt, and the settings that decide on a verdict."""
        about = [self.of.fingerprint(), PROMPT, VERSION, self.model, self.votes, self.max_tokens]
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()

    def check(self, tokenizer: Any, context: int, limit: int | None) -> None:
        """Look for what would make measuring fail: in the target, in the settings, and at the endpoint."""
        if not self.model:
            raise UsageError(f"say who judges: {self.name}:model=NAME,url={self.url}")
        if self.votes < 1 or self.max_tokens < 1:
            raise UsageError(f"{self.name} takes votes and max_tokens of 1 or more")
        if not hasattr(self.of, "answers"):
            raise UsageError(f"target {self.of.name} gives no written answers to judge")
        if hasattr(self.of, "check"):
            self.of.check(tokenizer, context, limit)
        self._reply("Reply with the word yes.", 0)

    def queries(self, limit: int | None) -> Sequence[Example]:
        """Return the target's own."""
        return self.of.queries(limit)

    def measure(self, model: Any, limit: int | None) -> Measurement:
        """Grade what the model writes; an item whose verdict is neither yes nor no counts as wrong, and is told."""
        items, unread = [], 0
        for item, question, response in self.of.answers(model, limit):  # type: ignore[attr-defined]
            prompt = PROMPT.format(question=question.prompt, reference=question.answer, response=response)
            votes = [verdict(self._said(prompt, number)) for number in range(self.votes)]
            unread += votes.count(None)
            items.append(dataclasses.replace(item, score=sum(vote is True for vote in votes) / self.votes))
        n = len(items)
        if 2 * unread > n * self.votes:
            many = f"{unread} of {n * self.votes} verdicts"
            raise DataError(f"{self.name}: {self.model} said neither yes nor no in {many}")
        if unread:
            many = f"{unread} of {n * self.votes} verdicts are neither yes nor no and count as no"
            warnings.warn(f"{self.name}: {many}", stacklevel=2)
        mean = math.fsum(item.score for item in items) / n
        spread = math.fsum((item.score - mean) ** 2 for item in items)
        return Measurement("judge", mean, math.sqrt(spread / max(1, n - 1) / n), n, tuple(_plain(items)))

    def _said(self, prompt: str, number: int) -> str:
        """The judge's words, from the cache where they are there."""
        key = [VERSION, self.model, prompt, self.max_tokens, number if self.votes > 1 else None]
        path = _cache() / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()}.json"
        if path.is_file():
            return str(json.loads(path.read_text(encoding="utf-8"))["said"])
        said = self._reply(prompt, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps({"said": said}), encoding="utf-8")
        part.replace(path)
        return said

    def _reply(self, prompt: str, number: int) -> str:
        """Ask the endpoint; StepError in one line when it does not answer as it should after a few tries."""
        asked: dict[str, Any] = {"model": self.model, "messages": [{"role": "user", "content": prompt}]}
        asked |= {"max_tokens": self.max_tokens, "temperature": 0.0}
        if self.votes > 1:
            asked |= {"temperature": 1.0, "seed": number}
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get("OPENAI_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        where = f"{self.url.rstrip('/')}/chat/completions"
        if not where.startswith(("http://", "https://")):
            raise UsageError(f"{self.name}: {self.url!r} is no address; it begins with http:// or https://")
        request = urllib.request.Request(where, json.dumps(asked).encode(), headers)
        for attempt in range(TRIES):
            if attempt:
                time.sleep(WAIT * 2 ** (attempt - 1))
            try:
                with urllib.request.urlopen(request, timeout=self.timeout) as reply:
                    return str(json.load(reply)["choices"][0]["message"]["content"] or "")
            except urllib.error.HTTPError as error:
                why = f"{error.code} {error.reason}: {error.read(300).decode(errors='replace')}"
                if error.code != 429 and error.code < 500:
                    break
            except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
                why = f"{type(error).__name__}: {error}"
        raise StepError(f"{self.name}: no verdict from {where}: {' '.join(why.split())[:200]}")


def verdict(said: str) -> bool | None:
    """Read a verdict: its first word that is yes or no, before any further words; None where there is none."""
    words = said.replace("*", " ").lower().split()
    first = next((word.strip(".,;:!\"'()") for word in words), "")
    return {"yes": True, "no": False}.get(first)


def _plain(items: Sequence[Item]) -> list[Item]:
    return [Item(item.id, item.prompt, item.score) for item in items]


def _cache() -> Path:
    """Where verdicts are kept: XFERBENCH_JUDGE_CACHE, else the user's cache folder."""
    given = os.environ.get("XFERBENCH_JUDGE_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else home / "xferbench" / "judge"
