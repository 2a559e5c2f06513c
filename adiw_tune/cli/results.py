"""Commands that tell what a search found, and what follows from it."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from adiw_tune.arms import BASELINES
from adiw_tune.cli.app import (
    DataDir,
    SearchName,
    SearchPolicy,
    Storage,
    TextOrJson,
    app,
    warn_if_not_over,
)
from adiw_tune.cli.console import out, tell_progress, warn, write
from adiw_tune.decide import Decision, parse_policy
from adiw_tune.errors import UserError
from adiw_tune.metrics import ACCURACY, Metric
from adiw_tune.ranges import check_whole
from adiw_tune.record.history import History
from adiw_tune.record.record import DEFAULT_STORAGE, MOST_TRIALS, SearchRecord
from adiw_tune.search.picking import pick
from adiw_tune.terminal import (
    decision_text,
    front_as_data,
    front_table,
    meanings,
    skipped_text,
)
from adiw_tune.tracking.outcome import means_over_seeds, with_pick


@app.command()
def front(
    name: SearchName,
    kind: Annotated[Literal["table", "csv", "json"], typer.Option("--format")] = "table",
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Print the Pareto front of a search, also while it runs."""
    record = SearchRecord.open(storage, name)
    history, decision = record.history(), _decision(record)
    if kind == "table":
        out.print(_front(history, decision))
    else:
        write(front_as_data(history, kind, decision.trial if decision else None))


@app.command()
def best(
    name: SearchName,
    policy: SearchPolicy = None,
    kind: TextOrJson = "text",
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Say whether weighting helps in a search, what to train with, and on what evidence."""
    record = SearchRecord.open(storage, name)
    decision = pick(record, policy)
    warn_if_not_over(record)
    metric = record.settings.main_metric
    if kind == "json":
        beside = {"metrics": record.history().metrics_of(decision.trial)}
        write(json.dumps(decision.as_dict() | beside, indent=2) + "\n")
    else:
        _tell(decision, metric)
        _tell_of_untested(record, decision)
        _tell_what_may_decide(record, decision)
        out.print(f"train it again: {record.train_command(policy)}", markup=False)


@app.command()
def finalize(
    name: SearchName,
    again: Annotated[
        bool, typer.Option("--again", help="Read the test split although it has been read.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="Where to save the network's state_dict.")
    ] = None,
    kind: TextOrJson = "text",
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Read the test split, once, with the network that the search came to."""
    from adiw_tune.search.ending import tell_reading
    from adiw_tune.search.finalize import finalize as read_test
    from adiw_tune.terminal import reading_text

    record = SearchRecord.open(storage, name)
    reading = read_test(record, again, output, warn, tell_progress)
    if kind == "json":
        write(json.dumps(reading.as_dict(), indent=2) + "\n")
    else:
        out.print(reading_text(reading, record.settings.main_metric), markup=False)
    tell_reading(record)


@app.command()
def rerun(
    name: SearchName,
    trial: Annotated[str, typer.Argument(help="Number or name of a trial, such as 7 or t7.")],
    storage: Storage = DEFAULT_STORAGE,
    data_dir: DataDir = None,
) -> None:
    """Repeat a trial from its record: the same numbers, or what differs."""
    from adiw_tune.search.rerun import repeat

    for line in repeat(SearchRecord.open(storage, name), trial, data_dir):
        out.print(line, markup=False)


@app.command()
def replay(
    table: Annotated[
        str,
        typer.Argument(help="A search whose trials ran in full, or the path of its events.jsonl."),
    ],
    seeds: Annotated[int, typer.Option(help="Orders of the trials to go through.")] = 20,
    workers: Annotated[int, typer.Option(help="Trials at once.")] = 4,
    trials: Annotated[
        int | None, typer.Option(help="Of a search; by default all that were recorded.")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Show what early stopping would have saved on recorded trials, and lost."""
    from adiw_tune.search.courses import read_courses
    from adiw_tune.search.replay import replay as replayed
    from adiw_tune.search.replay import replay_table

    options = (("--seeds", seeds, 10_000), ("--workers", workers, 100_000))
    for option, value, most in (*options, ("--trials", trials, MOST_TRIALS)):
        if value is not None:
            check_whole(option, value, 1, most)
    path, metric = Path(table), ACCURACY
    if not table.endswith(".jsonl"):
        record = SearchRecord.open(storage, table)
        path, metric = record.log.path, record.settings.main_metric
    results = replayed(read_courses(path, metric), seeds, workers, trials, metric)
    out.print(replay_table(results))


@app.command()
def ui(
    name: SearchName,
    port: Annotated[int | None, typer.Option(help="By default a free one.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the address in a browser.")] = True,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Serve MLflow's pages on this machine only, and open the search's saved view."""
    from adiw_tune.search.preflight import check_record
    from adiw_tune.tracking.runs import SearchRuns
    from adiw_tune.tracking.sent import Sent
    from adiw_tune.tracking.ui import serve_ui

    record = SearchRecord.open(storage, name)
    if port is not None:
        check_whole("--port", port, 0, 65535)
    check_record(record)
    settings = record.settings
    runs = SearchRuns.find(settings.tracking_uri, settings.search_id)
    if runs is None:
        Sent().write(record.folder / "sent.json")  # nothing is, whatever it said
        raise UserError(
            f"search '{name}' is not in MLflow yet: '{record.resume_command()}' sends it"
        )
    with serve_ui(
        settings.tracking_uri, runs.experiment_id, runs.view_key, port, open_browser=browser
    ) as served:
        out.print(f"{served.address}\nCtrl-C stops it", markup=False)
        served.wait()


def show_result(record: SearchRecord) -> None:
    """Print the front, the pick, and the commands that go on from there."""
    history, metric = record.history(), record.settings.main_metric
    trials = history.trials()
    if trials.empty:
        raise UserError(f"'{record.log.path}' tells of no trial: has it been removed?")
    if not trials[metric.name].notna().any():
        reasons = trials["reason"].dropna()
        raise UserError(
            f"none of the {len(trials)} trials of '{record.settings.name}' finished; the first: "
            f"{reasons.iloc[0] if len(reasons) else 'the budget was spent before'}"
        )
    name = record.settings.name
    out.print(f"front of '{name}': {metric.name} against seconds of work", markup=False)
    decision = pick(record)
    out.print(_front(history, decision))
    if history.skipped:
        out.print("\n" + skipped_text(history), markup=False)
    out.print()
    _tell(decision, metric, seconds=False)
    _tell_of_untested(record, decision)
    _tell_what_may_decide(record, decision)
    out.print(f"train it again: {record.train_command()}", markup=False)
    out.print(f"look at it: {record.ui_command()}", markup=False)
    if _tells_of_rows(record):
        out.print(f"which rows look wrong: {record.rows_command()}", markup=False)
    if not history.readings:
        out.print(f"read the test split, once: {record.finalize_command()}", markup=False)


def _tells_of_rows(record: SearchRecord) -> bool:
    from adiw_tune.search.rows import telling_run

    return telling_run(record) is not None


def _decision(record: SearchRecord) -> Decision | None:
    """What a search came to; None while it runs, and if there is nothing to pick from."""
    if not record.finished:
        return None
    try:
        return pick(record)
    except UserError:
        return None


def _front(history: History, decision: Decision | None) -> Table:
    """The front and, if something is decided, the pick."""
    metric = history.metric
    if decision is None:
        return front_table(history.front(), history.varied(), metric)
    rows = with_pick(history.marked(), decision.trial)
    means = means_over_seeds(history.reruns(), decision.as_dict(), metric)
    return front_table(rows, history.varied(), metric, decision.trial, means)


def _tell(decision: Decision, metric: Metric, seconds: bool = True) -> None:
    """Print the answer, and what its words mean."""
    out.print(decision_text(decision, metric), markup=False)
    out.print(meanings(decision, metric, seconds), style="dim", markup=False)


def _tell_of_untested(record: SearchRecord, decision: Decision) -> None:
    """Say so if weighting was not compared with plain training, or not with every baseline."""
    untested = "whether weighting helps was not tested"
    untried = [name for name in BASELINES if name not in decision.baselines]
    if not (record.settings.baselines or decision.baselines):
        out.print(f"{untested}: the search has no baselines")
    elif decision.verdict is None:
        missing = "weighted trial" if decision.divergence in BASELINES else "baseline"
        arms = {row["divergence"] in BASELINES for row in decision.best_per_divergence}
        may = f" that policy {decision.rule} may take" if len(arms) == 2 else ""
        ended = "ran its full course" if decision.provisional else "has finished"
        out.print(f"{untested}: no {missing}{may} {ended}", markup=False)
    elif record.settings.baselines and untried:
        out.print(f"not compared with {', '.join(untried)}: no finished trial")


def _tell_what_may_decide(record: SearchRecord, decision: Decision) -> None:
    """Print the command for more budget or seeds, if it is not known whether weighting helps."""
    settings = record.settings
    reruns_are_for_it = decision.rule == parse_policy(settings.policy, settings.main_metric).text
    asked = settings.baselines or decision.baselines
    known = decision.worth_it in ("yes", "no")
    if known or not (asked and reruns_are_for_it and record.finished):
        return
    seeds = {row["divergence"]: row["seeds"] for row in decision.best_per_divergence}
    if record.spent and min(seeds.get(arm, 0) for arm in _compared(decision)) < settings.seeds:
        out.print(f"a larger budget may tell: {record.more_budget_command()}", markup=False)
        return
    may_narrow = decision.gain_interval and not decision.not_compared
    if may_narrow and (command := record.more_seeds_command()):
        out.print(f"more seeds may tell: {command}", markup=False)


def _compared(decision: Decision) -> list[str | None]:
    return [decision.gain_of, decision.gain_over, *decision.not_compared]
