"""What a stranger writes into the tags of a registered model stops nobody from moving its stages, nor from writing that down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from wine_sweep.config import Stage
from wine_sweep.registry import Action, Entry, ModelRegistry, Progress
from wine_sweep.registry.audit_log import PREFIX

NAME = "wine"
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # MLflow's, of stages


def entry(before, after, **more):
    return Entry(more.pop("action", Action.PROMOTED), "Staging", "ann", before, after, ("It is better.",), **more)


@pytest.fixture
def registry(store):
    """A registered model with three versions, the first of them in Staging."""
    registry = ModelRegistry(store.client)
    for _ in range(3):
        run_id = store.client.create_run("0").info.run_id
        logged = store.client.create_logged_model("0", source_run_id=run_id).model_id
        registry.register(NAME, model_uri=f"models:/{logged}", run_id=run_id)
    registry.move(registry.find(NAME, "1"), Stage.STAGING, entry(None, "1"))
    return registry


def write(store, version, strange, moment=None):
    key = strange.key if moment is None else f"{PREFIX}{moment}-aaaaaaaa"
    store.client.set_model_version_tag(NAME, version, key, strange.text())


def moves(registry):
    return [(each.before, each.after) for each in registry.ledger(NAME) if each.moves]


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    ("moment", "action"), [(None, Action.PROMOTED), (None, Action.KEPT), ("99970101T000000.000000Z", Action.PROMOTED)]
)
def test_an_entry_about_a_version_that_is_not_there_settles_nothing(store, registry, moment, action):
    store.client.transition_model_version_stage(NAME, "2", "Staging", archive_existing_versions=False)
    write(store, "1", entry(None, "1", action=action, progress=Progress.BEGUN))
    write(store, "1", entry("1", "99", action=action, progress=Progress.BEGUN), moment)
    registry.settle(NAME)
    registry.move(registry.find(NAME, "3"), Stage.STAGING, entry(registry.in_stage(NAME, Stage.STAGING).version, "3"))
    assert [each.version for each in registry.all_in_stage(NAME, Stage.STAGING)] == ["3"]
    assert moves(registry)[-1][1] == "3"
    assert registry.settle(NAME) == []


def test_an_entry_on_another_version_does_not_begin_anew_each_time(store, registry):
    write(store, "2", entry("3", "1", action=Action.ROLLED_BACK, progress=Progress.BEGUN))
    assert registry.settle(NAME) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ahead", "progress"),
    [
        ("+20h", Progress.DONE),
        ("+5y", Progress.FAILED),
        ("+5y", Progress.BEGUN),
        ("99971231T235959.999999Z", Progress.BEGUN),
        ("99981231T235959.999999Z", Progress.DONE),
    ],
)
def test_the_ledger_goes_on_after_an_entry_of_the_future(store, registry, ahead, progress):
    spans = {"+20h": timedelta(hours=20), "+5y": timedelta(days=1800)}
    when = datetime.now(UTC) + spans.get(ahead, timedelta())
    write(store, "1", entry(None, "1", progress=progress, when=when), None if ahead in spans else ahead)
    for before, after in (("1", "2"), ("2", "3")):
        registry.move(registry.find(NAME, after), Stage.STAGING, entry(before, after))
    assert [each for each in moves(registry) if each[0] is not None] == [("1", "2"), ("2", "3")]
