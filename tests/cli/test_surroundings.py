"""What no command could work with is said in a line: a working folder that is gone, variables that MLflow cannot take."""

import subprocess

import pytest


def started(wine_sweep, *arguments, before="true", settings=None):
    return subprocess.run(
        ["/bin/sh", "-c", f'{before}; exec "$@"', "sh", *wine_sweep.command(*arguments)],
        cwd=wine_sweep.folder,
        env=wine_sweep.environment() | (settings or {}),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["list"], ["run", "../x.yaml"], ["plan", "../x.yaml"], ["history", "wine"]])
def test_a_working_folder_that_was_deleted(arguments, wine_sweep):
    done = started(wine_sweep, *arguments, before="mkdir gone; cd gone; rmdir ../gone")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: the working folder was deleted; go to another one, as by `cd`\n"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MLFLOW_LOGGING_LEVEL", "xyz", "no level of Python's logging; allowed: CRITICAL, "),
        ("MLFLOW_LOGGING_LEVEL", "dbug", "no level of Python's logging; did you mean 'DEBUG'?"),
        ("MLFLOW_CONFIGURE_LOGGING", "xyz", "MLflow takes true, false, 1 or 0 in this environment variable; got 'xyz' (text)"),
    ],
)
def test_a_variable_that_mlflow_cannot_be_imported_with(name, value, said, wine_sweep):
    done = started(wine_sweep, "list", settings={name: value})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{name}: {said}")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("level", ["", "debug", "WARNING"])
def test_what_mlflow_takes_is_taken(level, wine_sweep):
    done = started(wine_sweep, "list", settings={"MLFLOW_LOGGING_LEVEL": level, "MLFLOW_CONFIGURE_LOGGING": "True"})
    assert done.returncode == 0, done.stderr
