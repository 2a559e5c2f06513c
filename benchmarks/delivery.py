"""How fast a search's events are taken by MLflow: a real server, and a real SQLite store.

    python benchmarks/delivery.py run FOLDER  # of benchmarks/simulate.py; writes delivery.json
    python benchmarks/delivery.py table

A log is sent as the search would send it, in the batches that there are when it comes to them by
the times in the log; what sending takes advances that clock.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from provenance import commit, machine

from adiw_tune.record.log import EventLog
from adiw_tune.tracking import outbox
from adiw_tune.tracking.runs import SearchRuns
from adiw_tune.tracking.ui import serve_ui

RESULTS = Path(__file__).with_suffix(".json")


def delivered(log: Path, at_most: float) -> dict[str, Any]:
    """By store: events a second, and how far behind; sending for at most so many real seconds."""
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    outbox.one_quick_attempt_each()
    folder = Path(tempfile.mkdtemp())
    try:
        uri = f"sqlite:///{folder}/mlflow.db"
        SearchRuns.open(uri, "made", {}, "0")  # the tables, which take long
        own = _sent(list(EventLog(log)), uri, "own", at_most, psutil.Process())
        served = serve_ui(uri)
        try:
            process = psutil.Process(served.server.pid)
            by_server = _sent(list(EventLog(log)), served.base_url, "served", at_most, process)
        finally:
            served.stop()
    finally:
        shutil.rmtree(folder)
    return {"SQLite": own, "server": by_server}


def _cpu_s(process: psutil.Process) -> float:
    """Seconds of a process and of those that it began."""
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def _sent(
    events: list[dict[str, Any]], uri: str, search: str, at_most: float, store: psutil.Process
) -> dict[str, float]:
    runs = SearchRuns.open(uri, search, {}, search)
    now = busy = used = 0.0
    sent, batches = 0, 0
    lines, most = outbox._EVENTS_PER_BATCH
    begun_s = _cpu_s(store)
    while sent < len(events) and busy < at_most:
        due = [event for event in events[sent : sent + lines] if event["time"] <= now]
        if not due:
            now += outbox._POLL_SECONDS
            continue
        start, cpu = time.perf_counter(), time.thread_time()
        runs.record(due)
        took = time.perf_counter() - start
        used += time.thread_time() - cpu
        now, busy = now + took, busy + took
        sent, batches = sent + len(due), batches + 1
        if len(due) == lines:
            lines = min(2 * lines, most)
    return {
        "events": sent,
        "batches": batches,
        "busy": busy / now,
        "behind, s": now - events[sent - 1]["time"],
        "events per second at most": sent / busy,
        "ms per event": 1000 * busy / sent,
        "CPU of the sending thread, ms per event": 1000 * used / sent,
        "CPU of the store, ms per event": 1000 * (_cpu_s(store) - begun_s) / sent,
    }


def run(folder: Path, workers: list[int], at_most: float, results: Path) -> None:
    found = {}
    for many in workers:
        found[many] = delivered(folder / f"workers-{many}" / "events.jsonl", at_most)
        print(many, json.dumps(found[many], indent=1), flush=True)
    about = {"commit": commit(), "machine": machine(), "at most, s": at_most}
    results.write_text(json.dumps({**about, "workers": found}, indent=1) + "\n")


def table(results: Path) -> None:
    print(
        "| workers | store | events/s, at most | behind, s | CPU of an event, ms: sender, store |"
    )
    print("|---|---|---|---|---|")
    for many, stores in json.loads(results.read_text())["workers"].items():
        for store, one in stores.items():
            cpu = [one[f"CPU of the {who}, ms per event"] for who in ("sending thread", "store")]
            print(
                f"| {many} | {store} | {one['events per second at most']:.0f} "
                f"| {one['behind, s']:.0f} | {cpu[0]:.1f}, {cpu[1]:.1f} |"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--workers", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--at-most", type=float, default=60.0)
    asked = parser.parse_args()
    if asked.what == "run":
        run(asked.folder, asked.workers, asked.at_most, asked.results)
    else:
        table(asked.results)
