"""The command that turns one configuration's dial."""

from typing import Annotated, Literal

import pandas as pd
import typer

from adiw_tune.cli.app import DataDir, SearchPolicy, Storage, app
from adiw_tune.cli.console import err, out, write
from adiw_tune.record.record import DEFAULT_STORAGE, SearchRecord
from adiw_tune.terminal import scale_table, table_as


@app.command()
def scale(
    dial: Annotated[str, typer.Option(help="workers, batch, reference, steps or n-train.")],
    from_search: Annotated[
        str, typer.Option("--from", help="Turn the pick of this search.", metavar="NAME")
    ],
    values: Annotated[
        str | None,
        typer.Option(help="Its points, such as 1,2,4; of n-train shares of the training rows."),
    ] = None,
    policy: SearchPolicy = None,
    trial: Annotated[
        str | None, typer.Option(help="Turn this one instead of the pick, such as 7 or t7.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Over how many each point runs.")] = 1,
    kind: Annotated[Literal["table", "csv", "json"], typer.Option("--format")] = "table",
    storage: Storage = DEFAULT_STORAGE,
    data_dir: DataDir = None,
) -> None:
    """Run one configuration along a dial on this machine: throughput, memory and its metric."""
    from adiw_tune.scaling.run import ScaleRequest
    from adiw_tune.scaling.run import scale as turn

    def show(curve: pd.DataFrame) -> None:
        if kind == "table":
            out.print(scale_table(dial, curve, record.settings.main_metric))
        else:
            write(table_as(curve, kind))

    record = SearchRecord.open(storage, from_search)
    run = turn(record, ScaleRequest(dial, values, policy, trial, seeds, data_dir), err, show)
    if kind == "table":
        out.print(f"in MLflow as {run}, beside the trials: {record.ui_command()}", markup=False)
