"""The loops of docs/integrations.md run as they stand there, with the libraries they are for."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adiw_tune import ImportanceWeighter

torch.set_num_threads(1)  # the tests share their machine

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "integrations.md").read_text()
SHARED, *LOOPS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
LOOP = dict(zip(re.findall(r"^## (.*)", PAGE, flags=re.MULTILINE), LOOPS, strict=True))

Names = dict[str, Any]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # some write checkpoints


def names_after(section: str) -> Names:
    """What a reader has who has run this section."""
    names: Names = {"__name__": "integration"}
    exec(SHARED + LOOP[section], names)
    return names


def assert_told_apart(weights: Tensor, wrong: Tensor) -> None:
    """As by a network trained with its weights: by one trained without, it is 0.6 at most."""
    assert weights[wrong].mean() < weights[~wrong].mean() - 0.8


def assert_weighed(weighter: ImportanceWeighter, names: Names) -> None:
    assert weighter.memory.written.all()
    assert int(weighter.unweighed) == 0
    assert_told_apart(weighter.memory.weights, names["wrong"])


def assert_right(logits: Tensor, labels: Tensor) -> None:
    assert (logits.argmax(1) == labels).float().mean() > 0.8


def assert_learned(network: nn.Module, names: Names) -> None:
    inputs, labels = names["draw"](1000)
    assert_right(network(inputs), labels)


@pytest.mark.parametrize("section", ["Plain PyTorch", "Mixed precision and gradient accumulation"])
def test_loop_in_torch(section: str) -> None:
    names = names_after(section)
    assert_weighed(names["weighter"], names)
    assert_learned(names["network"], names)


def test_several_processes(tmp_path: Path) -> None:
    """Both have the same memory, network, and all rows weighed."""
    end = (
        "torch.save((weighter.memory.weights, network.state_dict()), f'{epoch}-{sampler.rank}.pt')"
    )
    script = tmp_path / "script.py"
    script.write_text(SHARED + LOOP["Several processes"] + end)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [sys.executable, *launch, str(script)],
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (weights, network), other = (torch.load(f"9-{rank}.pt", weights_only=True) for rank in (0, 1))
    torch.testing.assert_close(other, (weights, network), rtol=0, atol=0)
    names: Names = {}
    exec(SHARED, names)
    assert (weights != 1).sum() > 990
    assert_told_apart(weights, names["wrong"])
    names["network"].load_state_dict(network)
    assert_learned(names["network"], names)


@pytest.mark.filterwarnings(
    "ignore:.*LeafSpec.* is deprecated:FutureWarning",
    "ignore:The number of training batches:UserWarning",  # advice for longer runs
    "ignore:The 'train_dataloader' does not have many workers:UserWarning",
)
def test_lightning() -> None:
    pytest.importorskip("lightning")
    names = names_after("Lightning")
    assert_weighed(names["module"].weighter, names)
    assert_learned(names["network"], names)
    saved = torch.load(names["trainer"].checkpoint_callback.best_model_path, weights_only=True)
    remembered = saved["state_dict"]["weighter.memory.weights"]
    assert torch.equal(remembered, names["module"].weighter.memory.weights)


@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set:UserWarning")  # without a GPU
def test_transformers() -> None:
    pytest.importorskip("transformers")
    names = names_after("Hugging Face Trainer")
    assert_weighed(names["weighter"], names)
    inputs, labels = names["draw"](1000)
    tokens = inputs.clamp(-3, 6).mul(2).long() + 6
    assert_right(names["network"].eval()(tokens).logits, labels)


def test_skorch() -> None:
    pytest.importorskip("skorch")
    names = names_after("skorch")
    assert_weighed(names["net"].weighter_, names)
    inputs, labels = names["draw"](1000)
    assert_right(names["net"].forward({"x": inputs}), labels)


def test_accelerate() -> None:
    pytest.importorskip("accelerate")
    names = names_after("Accelerate")
    assert_weighed(names["weighter"], names)
    assert_learned(names["network"], names)
