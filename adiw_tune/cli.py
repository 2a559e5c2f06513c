"""The command line: one thin command for each thing a user does."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from adiw_tune.decide import DEFAULT_POLICY
from adiw_tune.errors import SearchInterrupted, UserError
from adiw_tune.search.record import DEFAULT_STORAGE

if TYPE_CHECKING:
    from adiw_tune.search.record import SearchRecord
    from adiw_tune.training import TrainingRun

app = typer.Typer(
    help="Find the divergence that importance-weights your shifted training data best.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
_err = Console(stderr=True, highlight=False, soft_wrap=True)

_EXIT_BAD_INPUT = 2
_EXIT_INTERRUPTED = 130

Storage = Annotated[Path, typer.Option(help="Directory of the searches.")]
DataDir = Annotated[Path | None, typer.Option(help="Where to look for data first.")]
ReferenceSize = Annotated[int | None, typer.Option(help="Rows that set weights.")]
SelectSize = Annotated[int | None, typer.Option(help="Rows that a search chooses by.")]
SearchName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the search.")]
PolicyText = Annotated[str, typer.Option(help="knee, fastest-within=0.01 or best-under=20.")]
# Written out, since importing the choices would import torch for every command.
_TASK_HELP = "A task's name, such as digits or fashion-mnist, or the Python file of your own."
_SHIFT_HELP = (
    "none, symmetric:R, pair:R, class-prior:RHO or group-prior:RHO; several joined by +, such as "
    "group-prior:inf+pair:0.3. By default the task's own: none for your rows and image-folder, "
    "group-prior:inf for color-fashion, symmetric:0.4 for the others."
)
_METHOD_HELP = "adiw, giw, diw, diw-published, l2rw, static, random, erm or clean-only."
_DIVERGENCE_HELP = (
    "mmd, kl, squared, wasserstein, energy or pearson; auto, which mixes several by what helps; "
    "or the Python file of your own."
)
TextOrJson = Annotated[Literal["text", "json"], typer.Option("--format")]


def main() -> None:
    """Run the command line; bad input becomes one line and exit code 2."""
    # MLflow tells about each table it makes, between our lines.
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    try:
        app()
    except UserError as error:
        _err.print(f"error: {error}", markup=False)
        sys.exit(_EXIT_BAD_INPUT)
    except (SearchInterrupted, KeyboardInterrupt):
        sys.exit(_EXIT_INTERRUPTED)


@app.command()
def search(
    space: Annotated[Path, typer.Argument(help="Python file with space(trial).")],
    name: Annotated[str, typer.Option(help="What to call the search.")],
    trials: Annotated[int, typer.Option(help="How many trials to run.")] = 16,
    seed: Annotated[int, typer.Option(help="Of the trials and of the sampler.")] = 0,
    concurrency: Annotated[
        int | None,
        typer.Option(help="Trials at once; by default one per GPU, or all cores but one."),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: Annotated[
        str | None,
        typer.Option(help="MLflow's; by default $MLFLOW_TRACKING_URI, or ./mlflow.db."),
    ] = None,
    data_dir: DataDir = None,
    address: Annotated[
        str | None, typer.Option(help="Of a running Ray cluster; by default Ray starts here.")
    ] = None,
) -> None:
    """Search a space for accuracy against training time, and pick a divergence."""
    from adiw_tune.search.run import SearchRequest, start_search
    from adiw_tune.tracking.check import default_tracking_uri

    request = SearchRequest(
        space=space,
        name=name,
        trials=trials,
        seed=seed,
        concurrency=concurrency,
        storage=storage,
        tracking_uri=tracking_uri or default_tracking_uri(),
        data_dir=data_dir,
        address=address,
    )
    with _telling_how_to_resume(name, storage):
        record = start_search(request, _err)
    _show_result(record)


@app.command()
def resume(name: SearchName, storage: Storage = DEFAULT_STORAGE) -> None:
    """Go on with a search that was killed or stopped."""
    from adiw_tune.search.record import SearchRecord
    from adiw_tune.search.run import resume_search

    record = SearchRecord.open(storage, name)
    if not record.finished:
        with _telling_how_to_resume(name, storage):
            resume_search(record, _err)
    _show_result(record)


@app.command()
def front(
    name: SearchName,
    kind: Annotated[Literal["table", "csv", "json"], typer.Option("--format")] = "table",
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Print the Pareto front of a search, also while it runs."""
    from adiw_tune.search.record import SearchRecord
    from adiw_tune.terminal import front_as, front_table

    rows = SearchRecord.open(storage, name).front()
    if kind == "table":
        _out.print(front_table(rows))
    else:
        sys.stdout.write(front_as(rows, kind))


@app.command()
def best(
    name: SearchName,
    policy: PolicyText = DEFAULT_POLICY,
    kind: TextOrJson = "text",
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Name the best divergence of a search, and why."""
    from adiw_tune.decide import decide, parse_policy
    from adiw_tune.search.record import SearchRecord
    from adiw_tune.terminal import decision_text

    rule = parse_policy(policy)
    record = SearchRecord.open(storage, name)
    decision = decide(record.trials(), rule)
    if kind == "json":
        sys.stdout.write(json.dumps(decision.as_dict(), indent=2) + "\n")
    else:
        _out.print(decision_text(decision, record.train_command(policy)), markup=False)


@app.command()
def train(
    from_search: Annotated[
        str | None, typer.Option("--from", help="Start from the pick of this search.")
    ] = None,
    policy: PolicyText = DEFAULT_POLICY,
    task: Annotated[str | None, typer.Option(help=_TASK_HELP)] = None,
    network: Annotated[
        str | None, typer.Option(help="One of the task's; by default its first.")
    ] = None,
    shift: Annotated[str | None, typer.Option(help=_SHIFT_HELP)] = None,
    method: Annotated[str | None, typer.Option(help=_METHOD_HELP)] = None,
    divergence: Annotated[str | None, typer.Option(help=_DIVERGENCE_HELP)] = None,
    steps: Annotated[int | None, typer.Option(help="Gradient steps a mini-batch.")] = None,
    step_size: Annotated[
        float | None, typer.Option(help="Dimensionless, in (0, 2); 1 is 1/L.")
    ] = None,
    bandwidth: Annotated[
        float | None, typer.Option(help="Kernel width, in median distances.")
    ] = None,
    warm_start: Annotated[str | None, typer.Option(help="off, memory or decay.")] = None,
    decay: Annotated[float | None, typer.Option(help="In (0, 1), of warm start decay.")] = None,
    warmup_epochs: Annotated[
        int | None, typer.Option(help="First epochs with all weights 1.")
    ] = None,
    representation: Annotated[str | None, typer.Option(help="loss or feature.")] = None,
    cap: Annotated[float | None, typer.Option(help="Largest weight.")] = None,
    slack: Annotated[float | None, typer.Option(help="Of the mean weight, in [0, 1).")] = None,
    epochs: Annotated[int | None, typer.Option()] = None,
    batch_size: Annotated[int | None, typer.Option()] = None,
    reference_batch_size: Annotated[int | None, typer.Option()] = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    precision: Annotated[
        str | None, typer.Option(help="Of the network's passes: float32 or bfloat16.")
    ] = None,
    compiled: Annotated[
        bool | None, typer.Option(help="Compile the weight step: for long runs.")
    ] = None,
    reference_size: ReferenceSize = None,
    select_size: SelectSize = None,
    seed: Annotated[int | None, typer.Option()] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; by default cuda where there is one.")
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads; a trial has one.")] = 1,
    output: Annotated[
        Path | None, typer.Option(help="Where to save the network's state_dict.")
    ] = None,
    data_dir: DataDir = None,
    kind: TextOrJson = "text",
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Train once, from flags or from a search's pick, and print accuracy and seconds."""
    import torch

    from adiw_tune.training import TrainingRun, TrialConfig
    from adiw_tune.training.saving import saved_at_the_end

    flags = locals()
    given = {f.name: flags[f.name] for f in fields(TrialConfig) if flags[f.name] is not None}
    base = _pick(from_search, policy, storage) if from_search else {}
    config = TrialConfig.from_mapping({**base, **given})
    torch.set_num_threads(max(1, threads))
    run = TrainingRun(config, _device(device), data_dir)
    with saved_at_the_end(run.network, output) if output else nullcontext():
        _train(run)
    _print_training(run, kind)


@app.command()
def check_task(
    file: Annotated[str, typer.Argument(help="Python file of your task, or a task's name.")],
    data_dir: DataDir = None,
    reference_size: ReferenceSize = None,
    select_size: SelectSize = None,
) -> None:
    """Say what training could not work with in a task of your own."""
    from adiw_tune.tasks import find_task
    from adiw_tune.tasks.contract import inspect_task

    inspection = inspect_task(find_task(file), data_dir, reference_size, select_size)
    for line in inspection.summary:
        _out.print(line, markup=False)
    _tell_problems(inspection.problems)


@app.command()
def check_divergence(
    file: Annotated[
        str, typer.Argument(help="Python file of your divergence, or a divergence's name.")
    ],
) -> None:
    """Say what the solver could not work with in a divergence of your own."""
    from adiw_tune.divergences import check_divergence as problems_of
    from adiw_tune.divergences import make_divergence

    _tell_problems(problems_of(make_divergence(file)))


def _tell_problems(problems: list[str]) -> None:
    for problem in problems:
        _err.print(f"problem: {problem}", markup=False)
    if problems:
        raise typer.Exit(_EXIT_BAD_INPUT)
    _out.print("ok")


@app.command()
def ui(
    name: SearchName,
    port: Annotated[int | None, typer.Option(help="By default a free one.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the address in a browser.")] = True,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Serve MLflow's pages on this machine only, and open the search's saved view."""
    from adiw_tune.search.record import SearchRecord
    from adiw_tune.tracking.runs import SearchRuns
    from adiw_tune.tracking.ui import serve_ui

    settings = SearchRecord.open(storage, name).settings
    runs = SearchRuns.find(settings.tracking_uri, settings.search_id)
    if runs is None:
        raise UserError(f"search '{name}' is not in MLflow yet: 'adiw-tune resume {name}' sends it")
    with serve_ui(
        settings.tracking_uri, runs.experiment_id, runs.view_key, port, open_browser=browser
    ) as served:
        _out.print(f"{served.address}\nCtrl-C stops it", markup=False)
        served.wait()


@contextmanager
def _telling_how_to_resume(name: str, storage: Path) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SearchInterrupted):
        from adiw_tune.search.record import SearchRecord

        with suppress(UserError):  # it may have been stopped before anything was written
            record = SearchRecord.open(storage, name)
            _err.print(f"stopped; go on by: {record.resume_command()}", markup=False)
        raise


def _show_result(record: "SearchRecord") -> None:
    from adiw_tune.decide import decide, parse_policy
    from adiw_tune.terminal import decision_text, front_table

    trials = record.trials()
    if not (trials["status"] == "finished").any():
        raise UserError(
            f"none of the {len(trials)} trials of '{record.settings.name}' finished; the first: "
            f"{trials['reason'].iloc[0]}"
        )
    _out.print(f"front of '{record.settings.name}': accuracy against training seconds")
    _out.print(front_table(record.front()))
    decision = decide(trials, parse_policy(DEFAULT_POLICY))
    _out.print("\n" + decision_text(decision, record.train_command()), markup=False)
    _out.print(f"look at it: {record.ui_command()}", markup=False)


def _pick(name: str, policy: str, storage: Path) -> dict[str, Any]:
    from adiw_tune.decide import decide, parse_policy
    from adiw_tune.search.record import SearchRecord

    rule = parse_policy(policy)
    trials = SearchRecord.open(storage, name).trials()
    decision = decide(trials, rule)
    configs: dict[str, dict[str, Any]] = dict(zip(trials["trial"], trials["config"], strict=True))
    return configs[decision.trial]


def _device(name: str | None) -> str:
    import torch

    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise UserError(f"unknown device '{name}': choose cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda is not available here: choose cpu")
    return name


def _train(run: "TrainingRun") -> None:
    from adiw_tune.terminal import epoch_line
    from adiw_tune.training import TrainingDivergedError

    config = run.config
    _err.print(f"{config.task}, shift {config.shift}, method {config.method}", style="dim")
    while not run.finished:
        try:
            report = run.run_epoch()
        except TrainingDivergedError as error:
            raise UserError(f"{error}: try a smaller --learning-rate or --step-size") from error
        _err.print(epoch_line(report, config.epochs), style="dim")


def _print_training(run: "TrainingRun", kind: str) -> None:
    splits = run.splits
    accuracy = {
        role: run.accuracy(getattr(splits, role)) for role in ("reference", "select", "test")
    }
    if kind == "json":
        result = {
            "accuracy": accuracy,
            "train_seconds": run.train_seconds,
            "config": run.config.as_dict(),
        }
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
        return
    for role, value in accuracy.items():
        _out.print(f"{role:>9} accuracy {value:.4f} ({len(getattr(splits, role))} rows)")
    _out.print(f"trained in {run.train_seconds:.2f} s")


if __name__ == "__main__":
    main()
