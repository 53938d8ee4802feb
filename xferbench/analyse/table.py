"""Findings as a table that a person reads at a glance: points out of 100, one row a finding, what it means below."""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from tabulate import tabulate

CONDITIONS = ("baseline", "transfer", "direct", "sequential", "joint", "placebo")
WIDE = 120
EXPLAINED = 6
HIDDEN = "."
"""Stands for a number that is not defined or was not measured."""


def text(findings: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of findings (fractions, as `transfer.findings` gives them) in points, with its explanation.

    At most 120 columns wide for names of up to about 20 letters together; a prefix that all names share (mini/) is
    cut and given back below. The reasons for the labels are printed for up to EXPLAINED findings.
    """
    if not findings:
        return "no findings: no pair of a source and a target was measured"
    short = short_names(findings)
    rows = [_row(finding, short) for finding in findings]
    heads = ["source → target", *CONDITIONS, "gain [95 %]", "MDE", "label"]
    if len({finding["recipe"] for finding in findings}) > 1:
        rows = [[row[0], finding["recipe"], *row[1:]] for row, finding in zip(rows, findings, strict=True)]
        heads.insert(1, "recipe")
    keep = [i for i, head in enumerate(heads) if head not in CONDITIONS or any(row[i] != HIDDEN for row in rows)]
    align = ["left" if heads[i] in ("source → target", "recipe", "label") else "right" for i in keep]
    return "\n".join([grid([[row[i] for i in keep] for row in [heads, *rows]], align), "", *_notes(findings, short)])


def grid(rows: Sequence[Sequence[str]], align: Sequence[str]) -> str:
    """Lay out rows, the first of them the heads, two spaces apart; `align`: "left" or "right" for each column."""
    rule = ["-" * max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = tabulate([rows[0], rule, *rows[1:]], tablefmt="plain", colalign=align, disable_numparse=True)
    return "\n".join(line.rstrip() for line in lines.splitlines())


def points(value: float | None, sign: bool = False) -> str:
    """A fraction as points out of 100, one decimal; "." for None."""
    if value is None:
        return HIDDEN
    shown = round(100 * value, 1) + 0.0
    return f"{shown:+.1f}" if sign else f"{shown:.1f}"


def _row(finding: Mapping[str, Any], short: Mapping[str, str]) -> list[str]:
    gain = finding["gain"]
    shown = points(gain["value"], sign=True) + ("*" if _sure(finding) else "")
    if gain["low"] is not None:
        shown += f" [{points(gain['low'], sign=True)}, {points(gain['high'], sign=True)}]"
    pair = f"{short[finding['source']]} → {short[finding['target']]}"
    return [pair, *(points(finding[name]) for name in CONDITIONS), shown, points(gain["mde"]), finding["label"]]


def short_names(findings: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Names without the prefix that all of them share (mini/math -> math); the notes give it back."""
    names = list(dict.fromkeys(finding[end] for finding in findings for end in ("source", "target")))
    prefixes = {name.partition("/")[0] for name in names if "/" in name}
    if len(prefixes) == 1 and all("/" in name for name in names):
        return {name: name.partition("/")[2] for name in names}
    return {name: name for name in names}


def _notes(findings: Sequence[Mapping[str, Any]], short: Mapping[str, str]) -> list[str]:
    """What the columns mean, from how much, and why each label."""
    seeds, items = _span(findings, "seeds"), _span(findings, "n")
    recipes = {finding["recipe"] for finding in findings}
    lines = [f"Points out of 100; training seeds: {seeds}; test items: {items}"]
    lines[0] += f"; recipe: {next(iter(recipes))}." if len(recipes) == 1 else "."
    prefix = next((name[: -len(cut)] for name, cut in short.items() if name != cut), None)
    if prefix:
        lines.append(f"Names are short for {', '.join(list(short)[:2])}, ...: all begin with {prefix}")
    lines += [
        "gain = transfer - baseline with its 95 % interval; MDE = the smallest gain found with 80 % power.",
        "baseline: not trained; transfer: trained on the source; direct: on the target's own domain;",
        "sequential: on one after the other; joint: on both mixed; placebo: on as much with nothing to learn.",
    ]
    if any(_sure(finding) for finding in findings):
        tests = max(finding["gain"].get("tests", 1) for finding in findings)
        many = f", Holm's correction for {tests} tests" if tests > 1 else ""
        lines.append(f"* the gain differs from 0 (5 %{many}).")
    if seeds == "1":
        lines.append("One seed: the intervals do not hold the variance between training runs.")
    for finding in findings if len(findings) <= EXPLAINED else []:
        pair = f"{short[finding['source']]} → {short[finding['target']]}"
        pair += f" by {finding['recipe']}" if len(recipes) > 1 else ""
        lines += wrap(f"{pair} is {finding['label']}: {finding['why']}.", WIDE, subsequent_indent="  ")
    return lines


def _sure(finding: Mapping[str, Any]) -> bool:
    p = finding["gain"].get("p_holm")
    return p is not None and p <= 0.05


def _span(findings: Sequence[Mapping[str, Any]], key: str) -> str:
    values = sorted({finding[key] for finding in findings if finding[key]})
    if not values:
        return "not known"
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"
