from __future__ import annotations

import pickle
from pathlib import Path

import optuna
import pytest

from adiw_tune.divergences import DIVERGENCES
from adiw_tune.errors import UserError
from adiw_tune.search.space import SpaceFile
from adiw_tune.training import TrialConfig

SHIPPED = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.py"))


def write(folder: Path, body: str) -> SpaceFile:
    path = folder / "space.py"
    path.write_text(body)
    return SpaceFile(path, seed=7)


def refusal(space: SpaceFile) -> str:
    with pytest.raises(UserError) as caught:
        space.check()
    assert str(space.path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_two_spaces_are_shipped() -> None:
    assert [path.stem for path in SHIPPED] == ["digits", "fashion_mnist"]


PAPERS_FOUR = {"mmd", "kl", "squared", "wasserstein"}  # few, as the main job has 16 trials


@pytest.mark.parametrize(
    ("path", "divergences"), list(zip(SHIPPED, [PAPERS_FOUR, set(DIVERGENCES)], strict=True))
)
def test_a_shipped_space_gives_valid_configurations_of_every_divergence(
    path: Path, divergences: set[str]
) -> None:
    configs = SpaceFile(path, seed=3).check()
    assert {config.divergence for config in configs} == divergences
    assert {config.warm_start for config in configs} == {"off", "memory", "decay"}
    assert {config.seed for config in configs} == {3}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no space file" in refusal(SpaceFile(tmp_path / "none.py", 0))


def test_a_directory_is_no_space_file(tmp_path: Path) -> None:
    assert "no space file" in refusal(SpaceFile(tmp_path, 0))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("x = 1", "defines no 'space'"),
        ("space = {'epochs': 1}", "defines no 'space'"),
        ("import no_such_module", "does not run: ModuleNotFoundError: No module named"),
        ("def space(trial:", "does not run: SyntaxError"),
        ("1 / 0", "does not run: ZeroDivisionError"),
        ("def space(trial):\n    return ['epochs']", "must return a dict of parameters"),
        ("def space(trial):\n    pass", "it returned NoneType"),
        ("def space(trial):\n    return {}['x']", "failed: KeyError"),
        ("def space():\n    return {}", "failed: TypeError"),
        ("def space(trial):\n    return {'epoch': 3}", "unknown parameter 'epoch'"),
        ("def space(trial):\n    trial.suggest_int('layers', 1, 2); return {}", "'layers'"),
        ("def space(trial):\n    return {'epochs': 0}", "epochs must be at least 1"),
        ("def space(trial):\n    return {'epochs': '3'}", "epochs must be of type int"),
        ("def space(trial):\n    return {'divergence': 'js'}", "'js'"),
        ("def space(trial):\n    return {'divergence': 'js.py'}", "no divergence file"),
        ("def space(trial):\n    return {'task': 'mine.py'}", "no task file"),
        ("def space(trial):\n    return {'network': 'vgg'}", "has no network 'vgg'"),
        (
            "def space(trial):\n"
            "    divergence = trial.suggest_categorical('divergence', ['mmd', 'auto'])\n"
            "    return {'bandwidth': trial.suggest_float('bandwidth', 0.1, 1.0)}\n",
            "divergence auto takes each divergence's own bandwidth: leave it out",
        ),
        ("def space(trial):\n    raise ValueError('first\\nsecond')", "failed: ValueError"),
    ],
)
def test_a_space_that_is_not_right_is_refused(tmp_path: Path, body: str, told: str) -> None:
    assert told in refusal(write(tmp_path, body))


def test_a_value_that_is_wrong_in_one_branch_only_is_found(tmp_path: Path) -> None:
    space = write(
        tmp_path,
        "def space(trial):\n"
        "    divergence = trial.suggest_categorical('divergence', ['mmd', 'kl', 'squared'])\n"
        "    return {'step_size': 7.0 if divergence == 'squared' else 1.0}\n",
    )
    assert "7.0" in refusal(space)


def test_a_point_holds_every_field_and_the_seed(tmp_path: Path) -> None:
    space = write(
        tmp_path,
        "def space(trial):\n"
        "    trial.suggest_int('epochs', 2, 2)\n"
        "    return {'divergence': 'kl'}\n",
    )
    point = space(optuna.create_study().ask())
    assert point == {**TrialConfig().as_dict(), "seed": 7, "epochs": 2, "divergence": "kl"}


def test_a_space_may_set_the_seed_itself(tmp_path: Path) -> None:
    space = write(tmp_path, "def space(trial):\n    return {'seed': 11}\n")
    assert {config.seed for config in space.check()} == {11}


def test_a_used_space_pickles_and_loads_its_file_anew(tmp_path: Path) -> None:
    space = write(tmp_path, "def space(trial):\n    return {'epochs': 2}\n")
    space.check()
    copy = pickle.loads(pickle.dumps(space))
    space.path.write_text("def space(trial):\n    return {'epochs': 5}\n")
    assert {config.epochs for config in copy.check()} == {5}


def test_files_of_ones_own_are_found_from_where_the_space_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "own").mkdir(parents=True)
    (tmp_path / "here" / "own" / "near.py").write_text(
        "from adiw_tune.divergences import Energy\nDIVERGENCE = Energy()\n"
    )
    monkeypatch.chdir(tmp_path / "here")
    space = write(
        tmp_path / "here",
        "def space(trial):\n"
        "    names = ['own/near.py', 'mmd']\n"
        "    return {'divergence': trial.suggest_categorical('divergence', names)}\n",
    )
    space.path = space.path.absolute()
    near = str(tmp_path / "here" / "own" / "near.py")
    monkeypatch.chdir(tmp_path)
    for one in (space, pickle.loads(pickle.dumps(space))):
        assert {config.divergence for config in one.check()} == {near, "mmd"}
        drawn = one(optuna.trial.FixedTrial({"divergence": "own/near.py"}))
        assert drawn["divergence"] == "own/near.py"
    assert {config.task for config in space.check()} == {"digits"}


def test_an_absolute_path_stays(tmp_path: Path) -> None:
    (tmp_path / "near.py").write_text(
        "from adiw_tune.divergences import Energy\nDIVERGENCE = Energy()\n"
    )
    space = write(
        tmp_path, f"def space(trial):\n    return {{'divergence': '{tmp_path}/near.py'}}\n"
    )
    assert {config.divergence for config in space.check()} == {f"{tmp_path}/near.py"}
