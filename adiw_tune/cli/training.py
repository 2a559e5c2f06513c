"""Commands that train once, and that check what a user would train with."""

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from adiw_tune.arms import BASELINES
from adiw_tune.cli.app import (
    DataDir,
    MetricNameWithFrom,
    ReferenceSize,
    SearchPolicy,
    SearchStorage,
    SelectSize,
    TextOrJson,
    app,
)
from adiw_tune.cli.console import err, out, write
from adiw_tune.cli.rows import check_csv
from adiw_tune.cores import usable_cores
from adiw_tune.errors import EXIT_BAD_INPUT, UserError
from adiw_tune.metrics import find_metric
from adiw_tune.output_file import OutputFile
from adiw_tune.ranges import check_whole
from adiw_tune.record.record import DEFAULT_STORAGE

if TYPE_CHECKING:
    from adiw_tune.metrics import Metric
    from adiw_tune.record.record import SearchRecord
    from adiw_tune.training import TrainingRun, TrialConfig

# Written out, since importing the choices would import torch for every command.
_TASK_HELP = "A task's name, such as digits or fashion-mnist, or the Python file of your own."
_SHIFT_HELP = (
    "none, symmetric:R, pair:R, class-prior:RHO, group-prior:RHO or labels:FILE#COLUMN; several "
    "joined by +, such as group-prior:inf+pair:0.3. By default the task's own: none for your rows "
    "and image-folder, group-prior:inf for color-fashion, labels:#worst for cifar10n, "
    "symmetric:0.4 for the others."
)
_METHOD_HELP = "adiw, giw, diw, diw-published, l2rw, static, random, erm, pooled or clean-only."
_RECIPE_HELP = "Named training settings: diw, giw or resnet; other options override them."
_DIVERGENCE_HELP = (
    "mmd, kl, squared, wasserstein, energy or pearson; auto, which mixes several by what helps; "
    "or the Python file of your own."
)


@app.command()
def train(
    from_search: Annotated[
        str | None, typer.Option("--from", help="Start from the pick of this search.")
    ] = None,
    policy: SearchPolicy = None,
    metric: MetricNameWithFrom = None,
    task: Annotated[str | None, typer.Option(help=_TASK_HELP)] = None,
    network: Annotated[
        str | None, typer.Option(help="One of the task's; by default its first.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Setting of a task file's model(), such as width=128; repeatable."),
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
    ridge: Annotated[
        float | None, typer.Option(help="Ridge of method diw, at least 0: pulls weights to 1.")
    ] = None,
    warm_start: Annotated[str | None, typer.Option(help="off, memory or decay.")] = None,
    decay: Annotated[float | None, typer.Option(help="In (0, 1), of warm start decay.")] = None,
    warmup_epochs: Annotated[
        int | None, typer.Option(help="First epochs with all weights 1.")
    ] = None,
    representation: Annotated[str | None, typer.Option(help="loss or feature.")] = None,
    cap: Annotated[float | None, typer.Option(help="Largest weight.")] = None,
    slack: Annotated[float | None, typer.Option(help="Of the mean weight, in [0, 1).")] = None,
    reference_batch_size: Annotated[int | None, typer.Option()] = None,
    reference_weight: Annotated[
        float | None,
        typer.Option(
            help="Factor of the reference rows' loss, which is added to the training loss; 0 "
            "leaves it out. Default: 0.1; 0 for erm. clean-only and diw-published train on these "
            "rows in their own way, and take only 0."
        ),
    ] = None,
    recipe: Annotated[str | None, typer.Option(help=_RECIPE_HELP)] = None,
    epochs: Annotated[int | None, typer.Option()] = None,
    batch_size: Annotated[int | None, typer.Option()] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="adam, adamw or sgd; own for the task file's.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="The highest, where a schedule changes it.")
    ] = None,
    momentum: Annotated[float | None, typer.Option(help="Of sgd, in [0, 1).")] = None,
    nesterov: Annotated[bool | None, typer.Option(help="Nesterov momentum of sgd.")] = None,
    weight_decay: Annotated[
        float | None, typer.Option(help="By default 0.01 for adamw, else 0.")
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(help="constant, cosine, step or onecycle; own for the task file's."),
    ] = None,
    lr_end: Annotated[
        float | None, typer.Option(help="Of cosine: last rate over --learning-rate; default 0.")
    ] = None,
    lr_step_epochs: Annotated[
        int | None,
        typer.Option(help="Of step: epochs between two drops; default a third of --lr-epochs."),
    ] = None,
    lr_gamma: Annotated[
        float | None, typer.Option(help="Of step: factor of each drop; default 0.1.")
    ] = None,
    lr_rise: Annotated[
        float | None, typer.Option(help="Of onecycle: share of updates that rise; default 0.3.")
    ] = None,
    lr_warmup_epochs: Annotated[
        int | None, typer.Option(help="Linear warm-up of the rate, before the schedule.")
    ] = None,
    lr_epochs: Annotated[
        int | None, typer.Option(help="Epochs of the schedule, at least --epochs, the default.")
    ] = None,
    clip_norm: Annotated[float | None, typer.Option(help="Largest norm of the gradient.")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="In [0, 1).")] = None,
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
    threads: Annotated[
        int, typer.Option(help="CPU threads, at most the usable cores; trials use one.")
    ] = 1,
    output: Annotated[
        Path | None, typer.Option(help="Where to save the network's state_dict.")
    ] = None,
    rows: Annotated[
        Path | None, typer.Option(help="CSV file for the training rows, the most suspicious first.")
    ] = None,
    data_dir: DataDir = None,
    kind: TextOrJson = "text",
    storage: SearchStorage = None,
) -> None:
    """Train once, from flags or from a search's pick, and print its metric and seconds."""
    import torch

    from adiw_tune.record.record import SearchRecord
    from adiw_tune.search.picking import picked_config
    from adiw_tune.search.rows import ranks_rows
    from adiw_tune.tasks import check_has_metric, find_task, main_metric
    from adiw_tune.training import TrainingRun, TrialConfig, load_splits
    from adiw_tune.training.config import with_changes
    from adiw_tune.training.config.weights import WITHOUT_DIVERGENCE
    from adiw_tune.training.saving import check_output, save_network

    flags = locals()
    for option, value in (("--policy", policy), ("--storage", storage)):
        if value is not None and from_search is None:
            raise UserError(f"{option} is for the pick of a search: name the search by --from")
    check_whole("--threads", threads, 1, usable_cores())
    if metric is not None:
        find_metric(metric)  # refused before data is loaded
    found = _device(device)
    if output is not None:
        check_output(output)
    rows_file = _rows_file(rows, output)
    names = ["recipe", *(field.name for field in fields(TrialConfig))]
    given = {name: flags[name] for name in names if flags.get(name) is not None}
    if model:
        given["model"] = _settings(model)
    search = SearchRecord.open(storage or DEFAULT_STORAGE, from_search) if from_search else None
    base = {}
    if search is not None:
        picked, folder = picked_config(search, policy), search.settings.files_from
        base = TrialConfig.from_mapping(picked, folder).as_dict()
        metric = metric or search.settings.metric
    config = TrialConfig.from_mapping(with_changes(base, given))
    if divergence is not None and config.method in WITHOUT_DIVERGENCE:
        raise UserError(
            f"method {config.method} minimises no divergence: leave --divergence out, or choose "
            "another --method"
        )
    if rows_file is not None and not ranks_rows(config.as_dict()):
        is_pick = method is None and config.method in BASELINES
        _refuse_rows(config.method, search if is_pick else None)
    torch.set_num_threads(threads)
    splits = load_splits(config, data_dir)
    check_has_metric(find_task(config.task), splits)
    run = TrainingRun(config, found, data_dir, splits=splits, scored=rows is not None)
    judged_by = main_metric(metric, find_task(config.task), splits)
    _train(run, judged_by)
    if output is not None:
        save_network(run.network, output)
    # The pick of a search meets the test split in finalize only, where readings are counted.
    roles = ("reference", "select") if from_search else ("reference", "select", "test")
    _print_training(run, judged_by, kind, roles)
    if rows_file is not None:
        _save_rows(run, rows_file)


@app.command()
def check_task(
    file: Annotated[str, typer.Argument(help="Python file of your task, or a task's name.")],
    data_dir: DataDir = None,
    reference_size: ReferenceSize = None,
    select_size: SelectSize = None,
) -> None:
    """Check a task file: what training cannot work with, and what is probably a mistake."""
    from adiw_tune.tasks import find_task
    from adiw_tune.tasks.contract import inspect_task
    from adiw_tune.training import inspect_recipe

    inspection = inspect_task(find_task(file), data_dir, reference_size, select_size)
    if not inspection.problems:
        recipe = inspect_recipe(file, data_dir, reference_size, select_size)
        inspection.problems.extend(recipe.problems)
        inspection.remarks.extend(recipe.remarks)
    for line in inspection.summary:
        out.print(line, markup=False)
    for remark in inspection.remarks:
        err.print(f"remark: {remark}", markup=False)
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


def _settings(given: list[str]) -> dict[str, Any]:
    """Of NAME=VALUE: a number, true, false or null as JSON has them, else a text."""
    settings: dict[str, Any] = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not equals:
            raise UserError(f"--model is '{one}': write a setting and its value, like width=128")
        if name in settings:
            raise UserError(f"--model gives {name} twice: leave one out")
        try:
            settings[name] = json.loads(text)
        except ValueError:
            settings[name] = text
    return settings


def _tell_problems(problems: list[str]) -> None:
    for problem in problems:
        err.print(f"problem: {problem}", markup=False)
    if problems:
        raise typer.Exit(EXIT_BAD_INPUT)
    out.print("ok")


def _device(name: str | None) -> str:
    import torch

    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise UserError(f"unknown device '{name}': choose cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda is not available here: choose cpu")
    return name


def _train(run: "TrainingRun", metric: "Metric") -> None:
    from adiw_tune.terminal import epoch_line
    from adiw_tune.training import TrainingDivergedError

    config = run.config
    for remark in run.remarks:
        err.print(f"warning: {remark}", markup=False)
    begun = f"{config.task}, shift {config.shift}, method {config.method}"
    err.print(begun, style="dim", markup=False)
    while not run.finished:
        try:
            report = run.run_epoch()
        except TrainingDivergedError as error:
            raise UserError(f"{error}: {_remedy(config)}") from error
        err.print(epoch_line(report, config.epochs, metric), style="dim", markup=False)


def _remedy(config: "TrialConfig") -> str:
    """What may keep such a run from diverging."""
    names = {"optimizer": config.optimizer, "scheduler": config.schedule}
    own = [f"{function}()" for function, choice in names.items() if choice == "own"]
    rate = f"smaller rates in {' and '.join(own)} of '{config.task}'" if own else ""
    return f"try {rate or 'a smaller --learning-rate'}, or a smaller --step-size"


def _rows_file(rows: Path | None, output: Path | None) -> OutputFile | None:
    if rows is None:
        return None
    if output is not None and rows.resolve() == output.resolve():
        raise UserError(f"--rows and --output are both '{rows}': name two files")
    return check_csv("--rows", rows)


def _refuse_rows(method: str, picked_by: "SearchRecord | None") -> NoReturn:
    """For a method by which the training rows are not ranked.

    Args:
        method: that of the run.
        picked_by: the search whose pick has it, if that ranks rows by a weighted trial instead.
    """
    way = "choose another --method"
    if picked_by is not None:
        way = f"'{picked_by.rows_command()}' ranks the training rows by a weighted trial; or {way}"
    what = "trains on the reference rows alone"
    if method != "clean-only":
        what = "merges the reference rows with the training rows"
    raise UserError(f"--rows is not available for method {method}, which {what}: {way}")


def _save_rows(run: "TrainingRun", file: OutputFile) -> None:
    from adiw_tune.search.row_tables import csv_pieces
    from adiw_tune.search.rows import ranked

    scored = run.scored_rows()
    assert scored is not None
    file.write(csv_pieces(ranked("train", scored)))


def _print_training(
    run: "TrainingRun", metric: "Metric", kind: str, roles: tuple[str, ...]
) -> None:
    splits = run.splits
    metrics = {role: run.metrics(getattr(splits, role)) for role in roles}
    if kind == "json":
        accuracy = {r: values["accuracy"] for r, values in metrics.items() if "accuracy" in values}
        result = {
            "metric": metric.name,
            "metrics": metrics,
            **({"accuracy": accuracy} if accuracy else {}),
            "train_seconds": run.train_seconds,
            "config": run.config.as_dict(),
        }
        write(json.dumps(result, indent=2) + "\n")
        return
    for role, values in metrics.items():
        value = metric.text(values.get(metric.name))
        out.print(f"{role:>9} {metric.name} {value} ({len(getattr(splits, role))} rows)")
    out.print(f"trained in {run.train_seconds:.2f} s")
