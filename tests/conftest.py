"""How tests are dealt to processes, and what they do where the exact solver's package is not."""

import os
import re
import signal
import threading
from collections.abc import Generator
from typing import Any

import pytest

# Ray's workers would have what the machine's other work leaves, which may be next to nothing.
os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.setdefault("RAY_agent_register_timeout_ms", "300000")  # as searches have it
if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes, which share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")
if threading.current_thread() is threading.main_thread():
    # Ignored in what a script starts in the background, and so in the commands that tests stop.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Fixtures that start Ray for many files of tests: these go to one process, which does so once.
_SHARED = re.compile(r"\b(finished: Finished|cluster: Cluster)\b")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """With ``-n 3`` each process takes file after file, in their order: the slow ones are first."""
    from xdist.scheduler import LoadFileScheduling

    class LoadFilesTogether(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            shared = _SHARED.search((config.rootpath / file).read_text())
            return shared[0] if shared else file

    config.option.loadscopereorder = False
    return LoadFilesTogether(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    try:
        return (yield)
    except ModuleNotFoundError as error:
        if error.name != "cvxopt":
            raise
        pytest.skip("no cvxopt, which exact solutions come from")
