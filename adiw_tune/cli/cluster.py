"""Commands for a cluster: hand a search to it, follow and stop it, and say what it lacks."""

import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from adiw_tune.cli.app import SearchName, app, command_line
from adiw_tune.cli.console import err, out, write
from adiw_tune.cli.searching import search
from adiw_tune.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_RAY_LOST
from adiw_tune.record.record import DEFAULT_STORAGE, check_name

ClusterAddress = Annotated[
    str,
    typer.Option(
        help="Of the cluster: http://HOST:8265 of its dashboard, HOST:PORT, or auto, which is "
        "$RAY_ADDRESS or the cluster of this machine."
    ),
]
OnCluster = Annotated[
    str, typer.Option(metavar="DIRECTORY", help="Of the searches, on the cluster.")
]


Exclude = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Of what not to send of this folder; repeatable."),
]


def _taking_options_of(command: Callable[..., None], besides: str) -> Callable[..., Any]:
    """Give a function with ``**asked`` the parameters of another, where it has none of its own."""

    def extended(function: Callable[..., None]) -> Callable[..., None]:
        theirs, own = (inspect.signature(f, eval_str=True).parameters for f in (command, function))
        named = {n: p for n, p in own.items() if p.kind is not inspect.Parameter.VAR_KEYWORD}
        merged = {**theirs, **named}
        del merged[besides]
        in_any_order = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in merged.values()]
        function.__signature__ = inspect.Signature(in_any_order)  # type: ignore[attr-defined]
        return function

    return extended


@app.command()
@_taking_options_of(search, besides="or_resume")
def submit(
    address: ClusterAddress = "auto",
    storage: OnCluster = "~/adiw-searches",
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            help="MLflow's, as the head reaches it; by default the head's $MLFLOW_TRACKING_URI, or "
            "mlflow.db in the storage."
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where to look for data first, on the cluster.")
    ] = None,
    pip: Annotated[
        list[str] | None,
        typer.Option(help="Package that the cluster lacks, or a .txt file of them; repeatable."),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Variable of here that the search is to have, such as MLFLOW_TRACKING_PASSWORD; "
            "repeatable. Sealed with the cluster's token, and not given to trials.",
        ),
    ] = None,
    exclude: Exclude = None,
    **asked: Any,
) -> None:
    """Hand a search to a Ray cluster, or go on with it there, and follow it; Ctrl-C leaves it.

    This folder is sent along, without what begins with a dot. The exit code is the search's.
    """
    from adiw_tune.cluster.asked import check_submission
    from adiw_tune.cluster.dashboard import connect
    from adiw_tune.cluster.jobs import submit as hand_over
    from adiw_tune.cluster.order import Order
    from adiw_tune.search.request import SearchRequest

    folder, name = Path.cwd(), asked["name"]
    asked |= {"tracking_uri": tracking_uri or "", "data_dir": data_dir}
    request = SearchRequest(**asked, storage=Path(storage), address=address)
    space = check_submission(request, folder, exclude or ())
    order = Order(
        words=("search", space, *_words(search, asked), "--or-resume"),
        storage=storage,
        folder=folder,
        exclude=exclude or (),
        pip=pip or (),
        variables=env or (),
    )
    job = hand_over(connect(address), order, name)
    err.print(f"submitted as job '{job.submission}'; Ctrl-C leaves it running", markup=False)
    _follow(job, name)


@app.command()
def status(name: SearchName, address: ClusterAddress = "auto") -> None:
    """Tell how far a submitted search has come."""
    from adiw_tune.cluster.standing import standing

    out.print(standing(*_found(name, address)), markup=False)


@app.command()
def logs(
    name: SearchName,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until it ends.")] = False,
    address: ClusterAddress = "auto",
) -> None:
    """Print what a submitted search has printed."""
    job, name, _ = _found(name, address)
    if follow:
        _follow(job, name)
    write(job.log())


@app.command()
def stop(name: SearchName, address: ClusterAddress = "auto") -> None:
    """Stop a submitted search as Ctrl-C would; submitted again, it goes on."""
    job, name, _ = _found(name, address)
    if job.ended:
        out.print(f"'{name}' runs no more", markup=False)
        return
    job.stop()
    out.print(f"stopped '{name}'; submitted again it goes on", markup=False)


def _found(name: str, address: str) -> tuple[Any, str, str]:
    from adiw_tune.cluster.dashboard import connect
    from adiw_tune.cluster.jobs import find_job

    check_name(name)
    job, storage = find_job(connect(address), name)
    return job, name, storage


def _follow(job: Any, name: str) -> None:
    """Until it ends, and then with its exit code; Ctrl-C lets go of it."""
    from adiw_tune.cluster.jobs import JobLost

    try:
        code = job.follow(write)
    except KeyboardInterrupt:
        err.print(
            f"'{name}' runs on; follow it by: adiw-tune logs {name} --follow, stop it by: "
            f"adiw-tune stop {name}",
            markup=False,
        )
        sys.exit(EXIT_INTERRUPTED)  # nothing is known of its end, so this is no success
    except JobLost as error:
        err.print(f"error: {error}; submit it again to resume '{name}'", markup=False)
        sys.exit(EXIT_RAY_LOST)
    sys.exit(code)


def _words(command: Callable[..., None], given: dict[str, Any]) -> list[str]:
    """What is given to a command, as its command line has it; defaults are left out."""
    words: list[str] = []
    for option in command_line().commands[command.__name__].params:
        value = given.get(option.name)
        if option.param_type_name == "argument" or value in (None, "", option.default):
            continue
        if option.is_flag:
            words.append((option.opts if value else option.secondary_opts)[0])
        else:
            words += [option.opts[0], str(value)]
    return words


@app.command()
def doctor(
    space: Annotated[Path | None, typer.Argument(help="Python file with space(trial).")] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="auto or HOST:PORT of a Ray cluster, as search takes it, or http://HOST:8265, as "
            "submit does; by default Ray would start on this machine."
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="DIRECTORY", help="Of the searches, by default as theirs."),
    ] = None,
    checkpoints: Annotated[
        str | None, typer.Option(help="Directory or URL, by default in the storage.")
    ] = None,
    tracking_uri: Annotated[
        str | None, typer.Option(help="MLflow's; by default as a search's.")
    ] = None,
    exclude: Exclude = None,
) -> None:
    """Say what a search would lack, and what would help; exit code 2 where it would fail.

    A job server's address is asked by a job, which meets what a submitted search would.
    """
    from adiw_tune.record.addresses import check_no_secrets
    from adiw_tune.tracking.check import default_tracking_uri

    uri = tracking_uri or default_tracking_uri()
    check_no_secrets(uri, checkpoints)
    if address is not None and "://" in address:
        sent = exclude or ()
        sys.exit(_doctor_there(address, space, storage, checkpoints, tracking_uri, sent))
    from adiw_tune.cluster.doctor import Question, diagnose

    where = Path(storage).expanduser() if storage else DEFAULT_STORAGE
    findings = diagnose(Question(address, space, where, checkpoints, uri))
    for finding in findings:
        out.print(str(finding), markup=False)
    if any(finding.level == "problem" for finding in findings):
        sys.exit(EXIT_BAD_INPUT)


def _doctor_there(
    address: str,
    space: Path | None,
    storage: str | None,
    checkpoints: str | None,
    tracking_uri: str | None,
    exclude: Sequence[str],
) -> int:
    from adiw_tune.cluster.dashboard import connect
    from adiw_tune.cluster.jobs import run_there
    from adiw_tune.cluster.order import DEFAULT_STORAGE as THERE
    from adiw_tune.cluster.order import Order
    from adiw_tune.cluster.package import sent_as

    folder = Path.cwd()
    words = ["doctor"]
    for option, value in (("--checkpoints", checkpoints), ("--tracking-uri", tracking_uri)):
        words += [option, value] if value else []
    if space is not None:
        words.append(sent_as(space, "space", folder, exclude))
    printed, code = run_there(connect(address), Order(words, storage or THERE, folder, exclude))
    write(printed)
    return code
