"""Does one configuration cost the same on unlike devices, as a search tells it?

    python benchmarks/unlike.py            # 5 minutes

A cluster of two nodes on this machine, of which the second is held to the instructions that every
x86-64 has (``ATEN_CPU_CAPABILITY=default``, ``ONEDNN_MAX_CPU_ISA=SSE41``): for torch a processor of
another kind, and a slower one. A search runs three configurations over and over on both. The first
run is on one of the two, whichever is there first: its seconds are those of the table.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from provenance import commit, machine

from tests.cli.helpers import Event, Running, of_kind, read_events, searched
from tests.ray_nodes import ray_nodes

RESULTS = Path(__file__).with_suffix(".json")
OLD = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
SPACE = """
def space(trial):
    names = ["mmd", "kl", "wasserstein"]
    fixed = {"epochs": 40, "batch_size": 64, "representation": "%s"}
    return {"divergence": trial.suggest_categorical("divergence", names), **fixed}
"""
TRIALS = 18


def measured(representation: str) -> list[dict[str, Any]]:
    """For each divergence and device: speeds, and medians of ratio, work and wall time."""
    with ray_nodes() as nodes, tempfile.TemporaryDirectory(prefix="unlike-") as path:
        folder = Path(path)
        (folder / "space.py").write_text(SPACE % representation)
        nodes.start_head(0)
        nodes.start(1)
        nodes.start(1, **OLD)
        command = ("search", "space.py", "--name", "s", "--trials", str(TRIALS), "--seeds", "0")
        command = (*command, "--no-early-stopping", "--address", nodes.address)
        with Running(folder, *command, cluster=nodes.environment) as search:
            assert search.ended() == 0, search.stderr()
        return by_device(read_events(folder))


def by_device(events: list[Event]) -> list[dict[str, Any]]:
    """Of the search trials."""
    setups = {event["trial"]: event for event in of_kind(events, "setup")}
    ends = {event["trial"]: event for event in of_kind(events, "end")}
    alike = defaultdict(list)
    for begun in searched(events):
        trial = begun["trial"]
        alike[begun["config"]["divergence"], setups[trial]["device"]].append(trial)
    return [
        {
            "divergence": divergence,
            "device": device,
            "trials": len(some),
            "speed": round(setups[some[0]]["speed"], 3),
            "extra_speed": round(setups[some[0]]["extra_speed"], 3),
            "ratio": round(median(setups[trial]["ratio"] for trial in some), 3),
            "work_s": round(median(ends[trial]["work_s"] for trial in some), 3),
            "wall_s": round(median(ends[trial]["wall_s"] for trial in some), 3),
        }
        for (divergence, device), some in sorted(alike.items())
    ]


if __name__ == "__main__":
    rows = {name: measured(name) for name in ("loss", "feature")}
    found = {"commit": commit(), "machine": machine(), "result": rows}
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    print("| on | divergence | device | trials | speed | extra | ratio | work, s | wall, s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, some in rows.items():
        for row in some:
            print(f"| {name} | {' | '.join(str(value) for value in row.values())} |")
