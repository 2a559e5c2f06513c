"""A trial repeated from its record: the same numbers, or what differs."""

from collections.abc import Iterator
from pathlib import Path

import torch

from adiw_tune.errors import UserError
from adiw_tune.metrics import Metric
from adiw_tune.record.events import Event
from adiw_tune.record.history import History
from adiw_tune.record.provenance import provenance
from adiw_tune.record.record import SearchRecord
from adiw_tune.record.runs import Run
from adiw_tune.search.on_ray.trainable import device_name
from adiw_tune.training import TrainingRun, TrialConfig
from adiw_tune.user_file import is_file


def repeat(record: SearchRecord, trial: str, data_dir: Path | None) -> Iterator[str]:
    """Train a trial again as far as it went, and tell each epoch beside the recorded one.

    On the CPU the numbers are the same to the last digit. On CUDA the order of atomic additions
    is not fixed, and differences are told, not refused.

    Raises:
        UserError: what the numbers depend on is not as it was; or, on the CPU, they differ.
    """
    history, metric = record.history(), record.settings.main_metric
    run = named_run(history, trial)
    device = "cuda" if run.setup and run.setup.get("device_bytes") else "cpu"  # only GPUs tell it
    _refuse_other_conditions(run, history, device)
    torch.set_num_threads(1)  # as in a trial
    config = TrialConfig.from_mapping(run.config, record.settings.files_from)
    again = TrainingRun(config, device, data_dir or record.settings.data_dir)
    _refuse_other_rows(run, again)
    differs = False
    for recorded in run.epochs:
        report = again.run_epoch()
        same = report.loss == recorded["loss"] and all(
            report.metrics.get(name) == value for name, value in recorded["metrics"].items()
        )
        differs |= not same
        yield (
            f"epoch {recorded['epoch']}/{config.epochs}: {_told(metric, report.as_dict())}; "
            + ("as recorded" if same else f"recorded {_told(metric, recorded)}")
        )
        if differs and device == "cpu":
            raise UserError(_other_numbers(run, history, recorded["epoch"]))
    end = "with other last digits, as CUDA has them" if differs else "to the last digit"
    yield f"trial {run.trial} repeated, {end}: {len(run.epochs)} epochs"


def named_run(history: History, trial: str) -> Run:
    """The run that a user calls ``trial``, such as 7, t7 or t7-seed3.

    Raises:
        UserError: there is none, or it ran no epoch.
    """
    run = history.runs.get(trial) or history.runs.get(f"t{trial}")
    if run is None:
        last = len(history.of_kind("search")) - 1
        raise UserError(f"no trial '{trial}' in this search: there are 0 to {last}")
    if not run.epochs:
        raise UserError(f"trial '{trial}' ran no epoch that could be repeated: {run.reason}")
    return run


def _refuse_other_conditions(run: Run, history: History, device: str) -> None:
    then, now = history.session_of(run), provenance()
    differences = [
        f"{name} was {version}, is {now['packages'].get(name)}"
        for name, version in then["packages"].items()
        if version != now["packages"].get(name)
    ]
    if then["code"] != now["code"]:
        differences.append(f"adiw-tune's code was that of commit {then['commit']}, is another")
    if then["python"] != now["python"]:
        differences.append(f"python was {then['python']}, is {now['python']}")
    if device == "cuda" and (here := device_name(torch.device("cuda"))) != run.setup["device"]:  # type: ignore[index]
        differences.append(f"device was {run.setup['device']}, is {here}")  # type: ignore[index]
    if differences:
        raise UserError(f"trial {run.trial} cannot be repeated here: {'; '.join(differences)}")


def _refuse_other_rows(run: Run, again: TrainingRun) -> None:
    recorded: dict[str, str] = run.setup["splits"] if run.setup else {}
    now = again.splits.digests()
    other = [role for role, digest in recorded.items() if now[role] != digest]
    if other:
        raise UserError(
            f"trial {run.trial} cannot be repeated here: its {', '.join(other)} rows were others"
        )


def _told(metric: Metric, epoch: Event) -> str:
    value = metric.text(epoch["metrics"].get(metric.name))
    return f"{metric.name} {value}, loss {epoch['loss']:.6f}"


def _other_numbers(run: Run, history: History, epoch: int) -> str:
    then, now = history.session_of(run)["machine"], provenance()["machine"]
    machine = "on the same machine" if then == now else f"the machine was {then}, is {now}"
    if any(is_file(run.config[name]) for name in ("task", "divergence")):
        machine += "; its own task or divergence file may have changed"
    return f"trial {run.trial} gives other numbers from epoch {epoch} on: {machine}"
