from __future__ import annotations

import pickle
import re
from pathlib import Path

import optuna
import pytest

from adiw_tune.divergences import DIVERGENCES
from adiw_tune.errors import UserError
from adiw_tune.search import space as space_module
from adiw_tune.search.space import SpaceFile
from adiw_tune.search.starting_points import check_space
from adiw_tune.training import TrialConfig

from .made_up import ODD

SHIPPED = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.py"))


def write(folder: Path, body: str) -> SpaceFile:
    path = folder / "space.py"
    path.write_text(body)
    return SpaceFile(path, seed=7)


def refusal(space: SpaceFile) -> str:
    with pytest.raises(UserError) as caught:
        check_space(space)
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
    configs = check_space(SpaceFile(path, seed=3))
    assert {config.divergence for config in configs} == divergences
    assert {config.warm_start for config in configs} == {"off", "memory", "decay"}
    assert {config.seed for config in configs} == {3}


def test_a_string_of_a_class_of_its_own_is_recorded_as_a_string(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(
        "class Name(str):\n    def __str__(self):\n        raise ValueError\n\n\n"
        "def space(trial):\n    return {'divergence': Name('kl')}\n"
    )
    configs = check_space(SpaceFile(tmp_path / "space.py", 0))
    assert {type(config.divergence) for config in configs} == {str}


def test_what_optuna_warns_of_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(
        "def space(trial):\n"
        "    return {'steps': trial.suggest_int('n', 1, 9) + trial.suggest_int('n', 1, 3)}\n"
    )
    with pytest.warns(RuntimeWarning, match=r"space\(\) in '.*': Inconsistent parameter") as told:
        check_space(SpaceFile(tmp_path / "space.py", 0))
    assert len(told) == 1


def test_thousands_of_choices_are_not_all_met(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(
        "def space(trial):\n"
        "    return {'steps': trial.suggest_categorical('steps', list(range(1, 10_000)))}\n"
    )
    assert len(check_space(SpaceFile(tmp_path / "space.py", 0))) < 300


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
        (
            "def space(trial):\n    trial.suggest_int('epochs', 1, 2); return {}",
            "suggests 'epochs' and does not return it",
        ),
        ("def space(trial):\n    return {'epochs': 0}", "epochs must be at least 1"),
        ("def space(trial):\n    return {'epochs': '3'}", "epochs must be of type int"),
        ("def space(trial):\n    return {'divergence': 'js'}", "'js'"),
        ("def space(trial):\n    return {'divergence': 'js.py'}", "no divergence file"),
        ("def space(trial):\n    return {'task': 'mine.py'}", "no task file"),
        ("def space(trial):\n    return {'network': 'vgg'}", "has no network 'vgg'"),
        (
            "def space(trial):\n"
            "    divergence = trial.suggest_categorical('divergence', ['mmd', 'auto'])\n"
            "    bandwidth = trial.suggest_float('bandwidth', 0.1, 1.0)\n"
            "    return {'divergence': divergence, 'bandwidth': bandwidth}\n",
            "divergence auto takes each divergence's own bandwidth: leave it out",
        ),
        ("def space(trial):\n    raise ValueError('first\\nsecond')", "failed: ValueError"),
        ("def space(trial):\n    raise SystemExit(0)", "failed: SystemExit: 0 (line 2)"),
        ("def space(trial):\n    raise KeyboardInterrupt", "failed: KeyboardInterrupt"),
        ("raise KeyboardInterrupt", "does not run: KeyboardInterrupt"),
        ("raise SystemExit(0)", "does not run: SystemExit"),
        (
            "import optuna\ndef space(trial):\n    raise optuna.TrialPruned('no')",
            "raised TrialPruned at each of 100 points",
        ),
        (
            "def space(trial):\n"
            "    names = ['mmd', 'kl']\n"
            "    divergence = trial.suggest_categorical('divergence', names)\n"
            "    steps = trial.suggest_int('steps', 1, 999)\n"
            "    return {'divergence': divergence, 'steps': 1 // (steps - 5) + 2}",
            "failed: ZeroDivisionError",
        ),
        (
            "def space(trial):\n    return {'steps': [5]}",
            "returns 'steps': [5] of type list, which a record cannot give back",
        ),
        (
            "class Odd:\n    __repr__ = None\ndef space(trial):\n    return {'steps': Odd()}",
            "returns 'steps': a value of type Odd, which",
        ),
        ("def space(trial):\n    return {5: 5}", "unknown parameter '5'"),
        (
            "class Odd(dict):\n    def items(self):\n        raise KeyError('no')\n"
            "    keys = __iter__ = items\n"
            "def space(trial):\n    return Odd(steps=5)",
            "failed: KeyError: 'no'",
        ),
        (
            "def space(trial):\n    trial.suggest_categorical('x', [(1, 2), (3, 4)]); return {}",
            "suggests 'x' with choice (1, 2) of type tuple, which a record cannot give back",
        ),
        ("def space(trial):\n    trial.suggest_float(5, 0, 1); return {}", "use plain str names"),
    ],
)
def test_a_space_that_is_not_right_is_refused(tmp_path: Path, body: str, told: str) -> None:
    assert told in refusal(write(tmp_path, body))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("'a\\udcff'", "'a\\udcff' of type str"),
        ("float('nan')", "nan of type float"),
        ("np.float32('nan')", "nan of type float"),
        ("10**5000", "a number of more than 4,000 digits of type int"),
        ("1j", "1j of type complex"),
        ("b'kl'", "b'kl' of type bytes"),
        ("decimal.Decimal(1)", "Decimal('1') of type Decimal"),
        ("np.longdouble(1)", "of type longdouble"),
        ("np.timedelta64(1)", "of type timedelta64"),
        ("np.array(1)", "array(1) of type ndarray"),
    ],
)
def test_what_a_record_cannot_give_back_is_refused_by_name_and_value(
    tmp_path: Path, value: str, told: str
) -> None:
    drawn = f"def space(trial):\n    trial.suggest_categorical('x', ['a', {value}]); return {{}}"
    refused = refusal(write(tmp_path, ODD + drawn))
    assert "suggests 'x' with choice " in refused
    assert f"{told}, which a record cannot give back" in refused
    returned = f"def space(trial):\n    return {{'network': {value}}}"
    refused = refusal(write(tmp_path, ODD + returned))
    assert "returns 'network': " in refused
    assert f"{told}, which a record cannot give back" in refused


@pytest.mark.parametrize("name", ["'a\\udcff'", "Name.KL", "Word('x')"])
def test_a_name_that_a_record_cannot_give_back_is_refused(tmp_path: Path, name: str) -> None:
    body = f"def space(trial):\n    trial.suggest_int({name}, 1, 2); return {{}}"
    assert "use plain str names that UTF-8 can encode" in refusal(write(tmp_path, ODD + body))


@pytest.mark.parametrize(
    "choices", ["1, True", "False, 0.0", "2, 2.0", "0.0, -0.0", "Size.FEW, 3.0"]
)
def test_choices_that_optuna_takes_for_one_are_refused(tmp_path: Path, choices: str) -> None:
    body = f"def space(trial):\n    trial.suggest_categorical('x', [{choices}]); return {{}}"
    refused = refusal(write(tmp_path, ODD + body))
    assert "suggests 'x' with choices " in refused
    assert "which Optuna cannot tell apart" in refused


def test_a_value_that_is_wrong_in_one_branch_only_is_found(tmp_path: Path) -> None:
    space = write(
        tmp_path,
        "def space(trial):\n"
        "    divergence = trial.suggest_categorical('divergence', ['mmd', 'kl', 'squared'])\n"
        "    step_size = 7.0 if divergence == 'squared' else 1.0\n"
        "    return {'divergence': divergence, 'step_size': step_size}\n",
    )
    assert "7.0" in refusal(space)


def test_a_point_holds_every_field_and_the_seed(tmp_path: Path) -> None:
    space = write(
        tmp_path,
        "def space(trial):\n"
        "    return {'divergence': 'kl', 'epochs': trial.suggest_int('epochs', 2, 2)}\n",
    )
    point = space(optuna.create_study().ask())
    assert point == {**TrialConfig().as_dict(), "seed": 7, "epochs": 2, "divergence": "kl"}


def test_a_space_may_set_the_seed_itself(tmp_path: Path) -> None:
    space = write(tmp_path, "def space(trial):\n    return {'seed': 11}\n")
    assert {config.seed for config in check_space(space)} == {11}


def test_a_used_space_pickles_and_loads_its_file_anew(tmp_path: Path) -> None:
    space = write(tmp_path, "def space(trial):\n    return {'epochs': 2}\n")
    check_space(space)
    copy = pickle.loads(pickle.dumps(space))
    space.path.write_text("def space(trial):\n    return {'epochs': 5}\n")
    assert {config.epochs for config in check_space(copy)} == {5}


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
        assert {config.divergence for config in check_space(one)} == {near, "mmd"}
        drawn = one(optuna.trial.FixedTrial({"divergence": "own/near.py"}))
        assert drawn["divergence"] == "own/near.py"
    assert {config.task for config in check_space(space)} == {"digits"}


def test_an_absolute_path_stays(tmp_path: Path) -> None:
    (tmp_path / "near.py").write_text(
        "from adiw_tune.divergences import Energy\nDIVERGENCE = Energy()\n"
    )
    space = write(
        tmp_path, f"def space(trial):\n    return {{'divergence': '{tmp_path}/near.py'}}\n"
    )
    assert {config.divergence for config in check_space(space)} == {f"{tmp_path}/near.py"}


def test_numbers_of_numpy_are_taken_as_plain_ones(tmp_path: Path) -> None:
    space = write(
        tmp_path,
        "import numpy as np\n"
        "def space(trial):\n"
        "    steps = trial.suggest_categorical('steps', np.array([3, 4]))\n"
        "    wide = trial.suggest_categorical('wide', [np.bool_(True), np.bool_(False)])\n"
        "    return {'steps': steps, 'step_size': np.float32(0.5), 'compiled': np.bool_(False)}\n",
    )
    assert {config.steps for config in check_space(space)} == {3, 4}  # and pytest saw no warning
    point = space(optuna.create_study().ask())
    told = {type(point[name]) for name in ("steps", "step_size", "compiled")}
    assert told == {int, float, bool}


def test_an_odd_dict_whose_items_can_be_read_is_taken(tmp_path: Path) -> None:
    space = write(
        tmp_path,
        "class Odd(dict):\n    def keys(self):\n        raise KeyError('no')\n"
        "def space(trial):\n    return Odd(steps=3)\n",
    )
    assert {config.steps for config in check_space(space)} == {3}


@pytest.mark.parametrize("body", ["def space(trial):\n    wait()", "wait()"])
def test_a_space_that_does_not_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    monkeypatch.setattr(space_module, "LONGEST_S", 0.05)
    stop = tmp_path / "stop"  # for the thread that is left to itself
    waits = (
        "import pathlib, time\n"
        "def wait():\n"
        f"    while not pathlib.Path({str(stop)!r}).exists():\n"
        "        time.sleep(0.01)\n"
    )
    try:
        assert "longer than 0 s, and was given up" in refusal(write(tmp_path, waits + body))
    finally:
        stop.touch()


def test_points_that_the_space_calls_infeasible_are_passed_over(tmp_path: Path) -> None:
    space = write(
        tmp_path,
        "import optuna\n"
        "def space(trial):\n"
        "    steps = trial.suggest_int('steps', 1, 9)\n"
        "    if steps != 2:\n"
        "        raise optuna.TrialPruned\n"
        "    return {'steps': steps}\n",
    )
    assert {config.steps for config in check_space(space)} == {2}


def test_each_choice_is_met_however_many_there_are(tmp_path: Path) -> None:
    space = write(
        tmp_path,
        "def space(trial):\n"
        "    rate = trial.suggest_categorical('rate', [n / 100 for n in range(1, 90)])\n"
        "    return {'learning_rate': rate, 'epochs': 1 if rate < 0.89 else 0}\n",
    )
    assert "epochs must be at least 1" in refusal(space)


@pytest.mark.parametrize(
    ("suggested", "told"),
    [
        ("suggest_int('a', -(10**30), 10**30)", "use whole numbers in [-2^44, 2^44]"),
        ("suggest_int('a', 1, 2**54, log=True)", "use whole numbers in [-2^44, 2^44]"),
        (
            "suggest_float('a', 0, 5e-324)",
            "each end must be 0, or in [1e-300, 1e+300] in absolute value",
        ),
        (
            "suggest_float('a', 1, 1e305, log=True)",
            "each end must be 0, or in [1e-300, 1e+300] in absolute value",
        ),
        ("suggest_float('a', 0, 1, step=1e-9)", "use 10,000,000 steps at most, or no step"),
    ],
)
def test_a_range_that_a_sampler_would_fail_on_is_refused(
    tmp_path: Path, suggested: str, told: str
) -> None:
    code = f"def space(trial):\n    trial.{suggested}\n    return {{'epochs': 2}}\n"
    (tmp_path / "space.py").write_text(code)
    with pytest.raises(UserError, match=re.escape(told)) as caught:
        check_space(SpaceFile(tmp_path / "space.py", 0))
    assert " suggests 'a' from " in str(caught.value)


@pytest.mark.parametrize(
    "suggested",
    [
        "suggest_int('a', -(2**44), 2**44)",
        "suggest_int('a', 1, 2**44, log=True)",
        "suggest_float('a', 0, 1, step=1e-6)",
        "suggest_float('a', 1e-300, 1e300, log=True)",
        "suggest_float('a', -1e300, 1e300)",
    ],
)
def test_a_range_that_is_accepted_is_sampled_and_recorded(tmp_path: Path, suggested: str) -> None:
    code = f"def space(trial):\n    trial.{suggested}\n    return {{'epochs': 2}}\n"
    (tmp_path / "space.py").write_text(code)
    space = SpaceFile(tmp_path / "space.py", 0)
    check_space(space)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=5))
    for number in range(20):
        trial = study.ask()
        space(trial)
        study.tell(trial, number % 7)
    optuna.create_study().add_trials(study.trials)
