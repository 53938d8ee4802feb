"""A board in the form of others. Exports hold what those forms can say; the entries themselves hold all of it.

every_eval_ever   one JSON an entry and condition (evaleval/every_eval_ever, eval.schema.json 0.3.0): a trained model is
                  a model of its own. Items are named by digest only: that form's rows for items need benchmark text.
hf                one YAML a trained model and target, for the folder .eval_results of its repository on the Hugging
                  Face hub (huggingface.co/docs/hub/eval-results); only for targets whose data set the board has named.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any
from uuid import UUID

from xferbench.errors import UsageError
from xferbench.leaderboard.board import Board, read_board
from xferbench.leaderboard.entry import Entry, Score, digest, slug, stem
from xferbench.leaderboard.record import badges, read_record
from xferbench.leaderboard.text import counted, write

FORM = "0.3.0"


def export(root: Path, form: str, out: Path | None) -> str:
    """Write the board in `root` in another form into `out`; return the CSV, or a line that says what was done."""
    board = read_board(root)
    if form == "csv":
        return _csv(board, out)
    if out is None:
        raise UsageError(f"--format {form} writes many files: say where with --out FOLDER")
    made = dict(_every_eval_ever(board) if form == "every_eval_ever" else _hub(board))
    out.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        write(out, out / name, text.encode())
    note = "; only targets with a dataset in board.yaml have a place on the hub" if form == "hf" else ""
    return f"{out}: {len(made)} files{note}"


def _csv(board: Board, out: Path | None) -> str:
    from xferbench.leaderboard.rankings import standings
    from xferbench.leaderboard.sheet import sheet
    from xferbench.leaderboard.view import view

    rows = view(board)
    text = sheet(rows, standings(rows))
    if out is None:
        return text
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8", newline="\n")
    return f"{out}: {counted(len(rows))}"


def _conditions(entry: Entry) -> dict[str, list[Score]]:
    found: dict[str, list[Score]] = {}
    for cell in entry.cells:
        found.setdefault(cell.condition, []).append(cell)
    return found


def _model(entry: Entry, condition: str, curriculum: str) -> dict[str, Any]:
    """A model is its base and what it was trained on."""
    name = (
        entry.model.name if condition == "baseline" else f"{entry.model.name}+{slug(curriculum)}-{slug(entry.recipe)}"
    )
    about = {"deployment_type": "self_deployed", "model_availability": "unknown"}
    if condition != "baseline":
        about |= {
            "base": entry.model.name, "base_sha256": entry.model.fingerprint or "unknown", "curriculum": curriculum,
            "recipe": entry.recipe, "seeds": " ".join(map(str, entry.seeds)),
        }  # fmt: skip
    return {"name": name, "id": name, "additional_details": about}


def _every_eval_ever(board: Board) -> Iterator[tuple[str, str]]:
    """Yield (file, text) of each entry and condition. Its time is the entry's date: equal boards, equal bytes."""
    entries = list(board.entries())
    for entry, badge in zip(entries, badges(entries, read_record(board)), strict=True):
        moment = str(datetime.combine(entry.date, time(), UTC).timestamp())
        for condition, cells in _conditions(entry).items():
            model = _model(entry, condition, cells[0].curriculum)
            row: dict[str, Any] = {
                "schema_version": FORM,
                "evaluation_id": f"{entry.target}/{model['id']}/{moment}/{entry.id}",
                "retrieved_timestamp": moment,
                "source_metadata": _source(board, entry, badge),
                "model_info": model,
                "eval_library": {
                    "name": "lm_eval" if "lm_eval" in entry.packages else "unknown",
                    "version": entry.packages.get("lm_eval", "unknown"),
                    "additional_details": dict(entry.packages),
                },
                "evaluation_results": [_result(entry, condition, cells)],
            }
            if condition == "transfer" and entry.finding.gain.value is not None:
                row["evaluation_results"].append(_gain(entry))
            developer, _, short = model["id"].rpartition("/")
            name = UUID(digest([entry.id, condition], 32), version=4)
            place = f"data/{slug(board.rules.name)}/{slug(developer or 'unknown')}/{slug(short)}/{name}.json"
            yield place, json.dumps(row, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _source(board: Board, entry: Entry, badge: str) -> dict[str, Any]:
    source: dict[str, Any] = {
        "source_name": board.rules.title,
        "source_type": "documentation" if entry.origin else "evaluation_run",
        "source_organization_name": entry.submitter.name,
        "evaluator_relationship": "third_party",
        "additional_details": {"badge": badge, "entry": entry.id, "board": board.rules.name},
    }
    if entry.items is not None:
        source["additional_details"] |= {"items": f"items/{stem(entry)}.jsonl.gz", "items_sha256": entry.items.sha256}
    if entry.submitter.url:
        source["source_organization_url"] = entry.submitter.url
    return source


def _data(entry: Entry) -> dict[str, Any]:
    about = {"version": entry.measure.version, "fingerprint": entry.measure.fingerprint,
             "prompts_sha256": entry.measure.prompts}  # fmt: skip
    known = {key: value for key, value in about.items() if value is not None}
    return {"dataset_name": entry.target, "source_type": "other", "additional_details": known}


def _result(entry: Entry, condition: str, cells: list[Score]) -> dict[str, Any]:
    """The mean over seeds; its standard error is that of one seed's items where there is one seed."""
    score: dict[str, Any] = {"score": sum(cell.value for cell in cells) / len(cells)}
    score["details"] = {f"seed {cell.seed}": repr(cell.value) for cell in cells if cell.seed is not None}
    uncertainty: dict[str, Any] = {"num_samples": entry.measure.n}
    if len(cells) == 1:
        uncertainty["standard_error"] = {"value": cells[0].stderr, "method": "analytic"}
    score["uncertainty"] = uncertainty
    return {
        "evaluation_result_id": f"{entry.id}/{condition}", "evaluation_name": f"{entry.target}: {condition}",
        "source_data": _data(entry), "metric_config": _metric(entry.measure.metric, 0.0), "score_details": score,
    }  # fmt: skip


def _gain(entry: Entry) -> dict[str, Any]:
    gain = entry.finding.gain
    score: dict[str, Any] = {"score": gain.value, "details": {"label": entry.finding.label, "p": repr(gain.p)}}
    if gain.low is not None and gain.high is not None:
        interval = {"lower": gain.low, "upper": gain.high, "confidence_level": 0.95, "method": gain.method}
        score["uncertainty"] = {"confidence_interval": interval, "num_samples": entry.measure.n}
    return {
        "evaluation_result_id": f"{entry.id}/gain", "evaluation_name": f"{entry.target}: gain over the base model",
        "source_data": _data(entry), "metric_config": _metric("transfer_gain", -1.0), "score_details": score,
    }  # fmt: skip


def _metric(name: str, least: float) -> dict[str, Any]:
    return {
        "metric_id": f"xferbench.{name}" if name == "transfer_gain" else name, "metric_name": name,
        "metric_unit": "proportion", "lower_is_better": False, "score_type": "continuous", "min_score": least,
        "max_score": 1.0,
    }  # fmt: skip


def _hub(board: Board) -> Iterator[tuple[str, str]]:
    """Yield (file, YAML) of what the model trained on each source says on targets that are data sets of the hub."""
    import yaml

    for entry in board.entries():
        asked = board.rules.targets.get(entry.target, {}).get(entry.measure.version or "")
        if asked is None or asked.dataset is None or entry.finding.transfer is None:
            continue
        model = _model(entry, "transfer", entry.source)["name"]
        row: dict[str, Any] = {
            "dataset": {"id": asked.dataset, "task_id": asked.task or "default"},
            "value": entry.finding.transfer,
            "date": entry.date.isoformat(),
            "notes": _note(entry),
        }
        if asked.revision:
            row["dataset"]["revision"] = asked.revision
        if entry.submitter.url:
            row["source"] = {"url": entry.submitter.url, "name": entry.submitter.name}
        name = f"{slug(model)}/.eval_results/{slug(entry.target)}-{entry.id}.yaml"
        yield name, yaml.safe_dump([row], sort_keys=False)


def _note(entry: Entry) -> str:
    gain = entry.finding.gain
    shown = f"{entry.measure.metric}, mean of {len(entry.seeds)} seeds, trained on {entry.source} by {entry.recipe}"
    if gain.value is None or gain.low is None or gain.high is None:
        return shown
    return f"{shown}; gain over the base model {gain.value:+.3f}, 95 % interval {gain.low:+.3f} to {gain.high:+.3f}"
