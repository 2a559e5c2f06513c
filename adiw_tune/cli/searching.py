"""Commands that search: begin, go on, ask for more, and say beforehand what it will take."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from adiw_tune.addresses import LOCAL
from adiw_tune.cli.app import DataDir, MetricName, SearchName, Storage, app
from adiw_tune.cli.console import err, out
from adiw_tune.cli.results import show_result
from adiw_tune.errors import SearchInterrupted, UnsentError, UserError
from adiw_tune.record.record import DEFAULT_STORAGE, SearchRecord

SpaceArgument = Annotated[Path, typer.Argument(help="Python file with space(trial).")]
Trials = Annotated[int, typer.Option(help="How many trials to run, before the finale.")]
Seed = Annotated[int, typer.Option(help="Of the trials and of the sampler.")]
Seeds = Annotated[
    int,
    typer.Option(
        help="Number of seeds for the reruns of each divergence's and baseline's pick: at least 3, "
        "or 0 for none."
    ),
]
Baselines = Annotated[
    bool,
    typer.Option(
        help="Also search the baselines: erm, pooled (with the reference rows) and clean-only."
    ),
]
Concurrency = Annotated[
    int | None,
    typer.Option(help="Trials at once, at most; by default as many as there is room for."),
]
CrossFit = Annotated[
    int | None,
    typer.Option(help="For few clean rows: cut them into this many folds, which take turns."),
]


Address = Annotated[
    str | None,
    typer.Option(
        help="auto or HOST:PORT of a running Ray cluster; by default Ray starts on this machine."
    ),
]
AddressAgain = Annotated[
    str | None,
    typer.Option(
        help="auto or HOST:PORT of a running Ray cluster, or local for this machine; by default "
        "where the search was begun."
    ),
]


@app.command()
def search(
    space: SpaceArgument,
    name: Annotated[str, typer.Option(help="What to call the search.")],
    trials: Trials = 16,
    seed: Seed = 0,
    metric: MetricName = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="knee, best-under=20 or fastest-within=0.01; fastest-within=1% is the default for "
            "a metric that does not lie in [0, 1]."
        ),
    ] = None,
    seeds: Seeds = 5,
    baselines: Baselines = True,
    budget: Annotated[
        str | None,
        typer.Option(help="10m or 1.5h of time, 2gpu-h, or $5 with --price: the finale included."),
    ] = None,
    price: Annotated[
        float | None, typer.Option(help="Of one device for one hour, for a budget in $.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Stop once this many trials have finished without a better front."),
    ] = None,
    early_stopping: Annotated[
        bool,
        typer.Option(help="Cut trials that fall behind others of their divergence or baseline."),
    ] = True,
    cross_fit: CrossFit = None,
    concurrency: Concurrency = None,
    cpus_per_trial: Annotated[int, typer.Option(help="Cores of each worker of a trial.")] = 1,
    gpus_per_trial: Annotated[
        float | None,
        typer.Option(help="A share such as 0.25, or whole ones; by default by memory needed."),
    ] = None,
    workers_per_trial: Annotated[
        int, typer.Option(help="That share each mini-batch of a trial, by Ray Train.")
    ] = 1,
    storage: Storage = DEFAULT_STORAGE,
    tracking_uri: Annotated[
        str | None,
        typer.Option(help="MLflow's; by default $MLFLOW_TRACKING_URI, or ./mlflow.db."),
    ] = None,
    data_dir: DataDir = None,
    checkpoints: Annotated[
        str | None,
        typer.Option(help="Directory or URL (s3://...) that every node reaches; for clusters."),
    ] = None,
    address: Address = None,
    or_resume: Annotated[
        bool,
        typer.Option("--or-resume", help="Go on with the search if it exists, as it was begun."),
    ] = False,
) -> None:
    """Search a space for a metric against work: whether weighting helps, and which divergence."""
    from adiw_tune.search.request import SearchRequest, check_without_space
    from adiw_tune.search.run import start_search
    from adiw_tune.tracking.check import default_tracking_uri

    request = SearchRequest(
        space=space,
        name=name,
        trials=trials,
        seed=seed,
        metric=metric,
        policy=policy,
        seeds=seeds,
        baselines=baselines,
        early_stopping=early_stopping,
        patience=patience,
        budget=budget,
        price=price,
        cross_fit=cross_fit,
        concurrency=concurrency,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        workers_per_trial=workers_per_trial,
        storage=storage,
        tracking_uri=tracking_uri or default_tracking_uri(),
        data_dir=data_dir,
        checkpoints=checkpoints,
        address=None if address == LOCAL else address,
    )
    if or_resume and os.path.isfile(storage / name / "search.json"):
        check_without_space(request)  # what means nothing is no less wrong the second time
        # A cluster's job has the files that its space names in a new directory each time.
        _go_on(SearchRecord.open(storage, name), address, Path.cwd())
        return
    with _showing_result(name, storage):
        start_search(request, err)


@app.command()
def resume(
    name: SearchName,
    checkpoints: Annotated[
        str | None,
        typer.Option(help="Where its checkpoints are, if its record is not on this machine."),
    ] = None,
    address: AddressAgain = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Go on with a search that was killed or stopped."""
    from adiw_tune.record.checkpoints import CheckpointStore
    from adiw_tune.record.mirror import fetch
    from adiw_tune.tracking.check import default_tracking_uri

    if checkpoints is not None:
        CheckpointStore(checkpoints, name)  # refuses what is no place for any
    if checkpoints is not None and not os.path.exists(storage / name):
        fetch(storage, name, checkpoints, default_tracking_uri())
    _go_on(SearchRecord.open(storage, name), address)


def _go_on(record: SearchRecord, address: str | None, folder: Path | None = None) -> None:
    from adiw_tune.search.run import resume_search

    with _showing_result(record.settings.name, record.folder.parent):
        resume_search(record, address, err, folder)


@app.command()
def extend(
    name: SearchName,
    trials: Annotated[int | None, typer.Option(help="How many more trials to run.")] = None,
    seeds: Annotated[
        int | None,
        typer.Option(help="Total number of seeds for the reruns; above the present one."),
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="New total, in place of the present budget.")
    ] = None,
    address: AddressAgain = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Add trials, or seeds of the finale, to a search, and decide anew."""
    from adiw_tune.search.run import extend_search

    record = SearchRecord.open(storage, name)
    with _showing_result(name, storage):
        extend_search(record, trials, seeds, budget, address, err)


@app.command()
def plan(
    space: SpaceArgument,
    trials: Trials = 16,
    seed: Seed = 0,
    seeds: Seeds = 5,
    baselines: Baselines = True,
    cross_fit: CrossFit = None,
    concurrency: Concurrency = None,
    data_dir: DataDir = None,
) -> None:
    """Say what a search will take before it begins: one calibration per divergence and baseline."""
    from adiw_tune.search.plan import make_plan
    from adiw_tune.terminal import plan_text

    made = make_plan(space, trials, seed, seeds, baselines, cross_fit, concurrency, data_dir)
    out.print(plan_text(made), markup=False)


@contextmanager
def _showing_result(name: str, storage: Path) -> Iterator[None]:
    """Print what the search came to, whatever MLflow does; or how to go on with it."""
    try:
        yield
    except (KeyboardInterrupt, SearchInterrupted):
        try:
            command = SearchRecord.open(storage, name).resume_command()
            err.print(f"stopped; go on by: {command}", markup=False)
        except UserError:  # there is no such record
            err.print("stopped before a trial had run: nothing of it is kept", markup=False)
        raise
    except UnsentError:
        try:
            show_result(SearchRecord.open(storage, name))
        except UserError as error:  # there is no answer either
            err.print(f"error: {error}", markup=False)
        raise
    show_result(SearchRecord.open(storage, name))
