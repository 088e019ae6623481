"""A W&B sweep file, read as typed objects or refused with all that is wrong with it, and translated into a config of ours."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from wine_sweep.config import Block, dump_yaml
from wine_sweep.config.model import WHOLE_WORDS, placeholders
from wine_sweep.config.search import Number
from wine_sweep.config.validation import Count, Location, Text, config_error, explain
from wine_sweep.config.yaml_io import read_yaml
from wine_sweep.errors import ConfigError, Problem
from wine_sweep.messages import did_you_mean, show
from wine_sweep.wandb.parameters import (
    Note,
    NoteKind,
    ParameterConfig,
    approximated,
    carried,
    check_names,
    convert_leaves,
    leaves,
    left_out,
    notes_on_groups,
)


class Strategy(StrEnum):
    """How W&B chooses runs: its `method`."""

    GRID = "grid"
    RANDOM = "random"
    BAYES = "bayes"
    CUSTOM = "custom"


class WandbGoal(StrEnum):
    """Which way a metric is better."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


def _word(value: Any) -> str:
    if isinstance(value, str | int | float) and "\0" not in str(value):
        return str(value)
    raise config_error(f"a word of a command is text or a number, got {show(value)}")


class _Open(BaseModel):
    """What all sections share: frozen; keys that they do not know are kept aside, since W&B passes over them too."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @property
    def unknown(self) -> list[str]:
        """The keys that are kept aside, in the order of the file."""
        return list(self.model_extra or {})


class WandbMetric(_Open):
    """What is optimized."""

    name: Text
    goal: WandbGoal = WandbGoal.MINIMIZE
    target: Number | None = None
    impute: Any = None
    impute_while_running: Any = None


class EarlyTermination(_Open):
    """When poor runs are ended: rungs at `min_iter` times powers of `eta`, or down from `max_iter` by `s` such powers."""

    type: Annotated[str, Field(strict=True)]
    min_iter: Count | None = None
    max_iter: Count | None = None
    s: Annotated[Number, Field(ge=0)] | None = None
    eta: Annotated[Number, Field(gt=1)] | None = None
    strict: Any = None

    @model_validator(mode="after")
    def _has_rungs(self) -> Self:
        if self.type != "hyperband":
            raise config_error(f"W&B knows `hyperband` alone, got '{self.type[:60]}'", "type")
        if self.min_iter is None and (self.max_iter is None or self.s is None):
            raise config_error("hyperband needs `min_iter`, or `max_iter` with `s`")
        if self.min_iter is not None and self.max_iter is not None and self.min_iter > self.max_iter:
            raise config_error(f"`min_iter` must not be above `max_iter` {self.max_iter}; got {self.min_iter}", "min_iter")
        return self


class WandbSweep(_Open):
    """A sweep as W&B's file has it; the keys that wine_sweep has no use for are not looked into.

    Args:
        method: How runs are chosen.
        parameters: What is searched.
        name: The sweep's name.
        project: Where W&B keeps it.
        description: What it is for.
        program: The training script.
        command: The words that start it, macros among them.
        metric: What is optimized; a grid or random search may have none.
        metrics: Several of them, in place of `metric`.
        early_terminate: When poor runs are ended.
        run_cap: How many runs at most.
    """

    method: Strategy
    parameters: Annotated[dict[Text, ParameterConfig], Field(min_length=1)]
    name: Text | None = None
    project: Text | None = None
    description: Annotated[str, Field(strict=True)] | None = None
    program: Annotated[Location, AfterValidator(_word)] | None = None
    command: list[Annotated[Any, AfterValidator(_word)]] | None = None
    metric: WandbMetric | None = None
    metrics: Annotated[list[WandbMetric], Field(min_length=1, max_length=6)] | None = None
    early_terminate: EarlyTermination | None = None
    run_cap: Count | None = None

    @property
    def objectives(self) -> list[WandbMetric]:
        """The metrics that decide; none where the file names none."""
        return [self.metric] if self.metric is not None else list(self.metrics or ())

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.metric is not None and self.metrics is not None:
            raise config_error("give `metric` or `metrics`, not both", "metrics")
        names = [each.name for each in self.objectives]
        if len(set(names)) < len(names):
            raise config_error("the same metric is given twice", "metrics")
        if self.early_terminate is not None and not names:
            raise config_error("ending runs early needs a `metric` to go by", "early_terminate")
        return self


UNUSED = {
    "apiVersion": "says of what kind the file is",
    "kind": "says of what kind the file is",
    "entity": "MLflow's stores have no teams; who may write where is the tracking server's to say",
    "controller": "the sweep is controlled by the process that runs it",
    "parallel": "execution.workers says how many trials run at once",
    "job": "there are no launch jobs here; the program runs on this machine, or on a Dask cluster (execution.backend: dask)",
    "image_uri": "no container is started; put `docker run` into model.command where one is needed",
    "imageuri": "no container is started; put `docker run` into model.command where one is needed",
    "scheduler": "there is no scheduler to choose; search.method says who suggests trials",
    "launch": "there are no launch queues here; the sweep runs where it is started, or on a Dask cluster",
    "queue": "there are no launch queues here; the sweep runs where it is started, or on a Dask cluster",
    "resource": "there are no launch queues here; execution says where trials run and what they may take",
    "resource_args": "there are no launch queues here; execution says where trials run and what they may take",
    "template_variables": "there are no launch queues here, and so no templates of theirs",
    "settings": "they are settings of W&B's own client",
    "prior_runs": "runs of W&B's are not in MLflow; search.initial takes parameters to try first, search.from an older sweep",
}
"""The keys of W&B's that have no counterpart, and why."""

KEYS = (*WandbSweep.model_fields, *UNUSED)
"""All keys at the top of a W&B sweep."""


def read_sweep(content: bytes, source: str) -> WandbSweep:
    """Read a W&B sweep file.

    Args:
        content: The file.
        source: The name to show in errors.

    Raises:
        ConfigError: It is not YAML, or not a sweep that W&B would take.
    """
    document = read_yaml(content, source)
    if not isinstance(document.value, dict):
        problem = Problem("a W&B sweep is a mapping of keys such as `program`, `method` and `parameters`")
        raise ConfigError(document.locate([problem]))
    try:
        sweep = WandbSweep.model_validate(document.value)
    except ValidationError as error:
        problems = [*explain(error, WandbSweep, union_tags=()), *_typos(document.value)]
        raise ConfigError(document.locate(problems)) from error
    if clashes := list(check_names(leaves(sweep.parameters))):
        raise ConfigError(document.locate(clashes))
    return sweep


def _typos(keys: Iterable[Any]) -> Iterator[Problem]:
    """Name keys at the top that look like a key of W&B's; one may be what another problem misses."""
    for key in keys:
        if key not in KEYS and (near := did_you_mean(key, KEYS)):
            yield Problem(f"unknown key{near}", (str(key),), at_key=True)


DEFAULT = ("${env}", "${interpreter}", "${program}", "${args}")
"""What W&B runs where the file has no `command`."""

PROGRAM = "train.py"
"""Stands in for a program where the file names none."""

ENV = "/usr/bin/env"
_COMMAND = ("model", "command")

_AS_WORD = {
    "args": "{args}",
    "args_no_hyphens": "{args_no_hyphens}",
    "args_no_boolean_flags": "{args_no_boolean_flags}",
    "args_json": "{params_json}",
    "args_json_file": "{params_file}",
}
_FOR_EACH = {
    "args_no_equals": ("--{name}", "{{{name}}}"),
    "args_append_hydra": ("+{name}={{{name}}}",),
    "args_override_hydra": ("++{name}={{{name}}}",),
}
"""Macros that have no placeholder of ours: the words for each parameter."""

MACROS = ("env", "interpreter", "program", *_AS_WORD, *_FOR_EACH, "envvar:NAME")
_MACRO = re.compile(r"\$\{([^{}]*)\}")
_VARIABLE = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")
_ASSIGNMENT = re.compile(r"-.*|[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)


@dataclass
class _Command:
    """The words so far, and what there is to say of them."""

    program: str | None
    names: Sequence[str]
    words: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def read(self, words: Sequence[str]) -> None:
        """Put in W&B's words one by one."""
        for word, following in zip(words, [*words[1:], ""], strict=True):
            found = _MACRO.fullmatch(word)
            if found is not None and not _VARIABLE.fullmatch(word):
                self.macro(found[1], following)
            else:
                self.text(word)

    def macro(self, name: str, following: str) -> None:
        """Put in what stands for a word that is one macro."""
        self.used.add(name)
        if name == "env":
            self.words += [ENV] if _ASSIGNMENT.fullmatch(following) else []
        elif name == "interpreter":
            self.words.append("python")
        elif name == "program":
            self.words.append(_literal(self.program or PROGRAM))
        elif name in _AS_WORD:
            self.words.append(_AS_WORD[name])
        elif name in _FOR_EACH:
            self.for_each(name)
        else:
            near = did_you_mean(name, MACROS)
            self.notes.append(left_out("command", f"${{{name}}} is no macro of W&B's, which drops it too{near}", _COMMAND))

    def for_each(self, name: str) -> None:
        """Put in the words for each parameter, where its name can be a placeholder."""
        for each in self.names:
            if _is_placeholder(each):
                self.words += [word.format(name=each) for word in _FOR_EACH[name]]
            else:
                self.notes.append(left_out("command", f"'{each}' is not handed on: such a name is no placeholder", _COMMAND))
        self.notes.append(carried("command", f"${{{name}}} as words for each parameter; add to them where you add one", _COMMAND))

    def text(self, word: str) -> None:
        """Put in a word that is no macro; environment variables are replaced within it, as W&B does."""
        pieces = _VARIABLE.split(word)
        kept = [_literal(piece) if index % 2 == 0 else f"{{env:{piece}}}" for index, piece in enumerate(pieces)]
        self.words.append("".join(kept))
        if any(_MACRO.search(piece) for piece in pieces[::2]):
            message = f"'{word}' stays as it is: W&B replaces a macro only where it is a word of its own"
            self.notes.append(carried("command", message, _COMMAND))


def convert_command(
    command: Sequence[str] | None, program: str | None, names: Sequence[str], values: Iterable[Any] = ()
) -> tuple[list[str], list[Note]]:
    """Return the words of `model.command`.

    Args:
        command: W&B's words; None or none for its default.
        program: W&B's `program`.
        names: The parameters' names.
        values: Their values, as far as the file lists them.
    """
    result = _Command(program, names)
    result.read(command or DEFAULT)
    if not result.words:
        result.notes.append(approximated("command", "has no words; what W&B runs by default stands in for it", _COMMAND))
        result.read(DEFAULT)
    result.notes += _program_notes(result, is_default=not command)
    result.notes += _about_parameters(result, values)
    return result.words, result.notes


def _about_parameters(command: _Command, values: Iterable[Any]) -> Iterator[Note]:
    """Describe how the program gets its parameters, where that is not as at W&B."""
    if not command.used & {*_AS_WORD, *_FOR_EACH}:
        message = "hands on no parameters; add {args}, or have the program read $WINE_SWEEP_PARAMS, or all trials are the same"
        yield approximated("command", message, _COMMAND)
    spelled = command.used & {"args", "args_no_hyphens", *_FOR_EACH}
    odd = (bool, type(None), list, dict) if spelled else (type(None), list, dict)
    if (spelled or "args_no_boolean_flags" in command.used) and any(isinstance(value, odd) for value in values):
        message = "true, null and lists are spelled as in JSON; W&B spells them as Python does, True, None and ['a']"
        yield approximated("command", message, _COMMAND)


def _program_notes(command: _Command, *, is_default: bool) -> list[Note]:
    if command.program is None and "program" in command.used:
        message = f"the file names none, so that {PROGRAM} stands in for it; write yours here"
        return [approximated("program", message, _COMMAND)]
    if command.program is not None and "program" not in command.used:
        return [left_out("program", "the command does not use it", _COMMAND)]
    if is_default and command.program is not None:
        return [carried("program", f"as model.command, {' '.join(command.words)}, which is what W&B runs by default")]
    return []


def _is_placeholder(name: str) -> bool:
    try:
        return name not in WHOLE_WORDS and list(placeholders(f"{{{name}}}")) == [name]
    except ValueError:
        return False


def _literal(text: str) -> str:
    """Double the braces of text that is meant as it stands."""
    return text.replace("{", "{{").replace("}", "}}")


_STOPPING = ("search", "pruner")
_KEY = "early_terminate"
_DEFAULT_FACTOR = 3


def convert_stopping(stopping: EarlyTermination) -> tuple[dict[str, Any], list[Note]]:
    """Return `search.pruner`, and notes on what is not as W&B has it."""
    factor, notes = _factor(stopping)
    lowest = _lowest(stopping)
    pruner: dict[str, Any] = {"type": "hyperband", "min_resource": lowest}
    if stopping.max_iter is None:
        pruner["type"] = "successive_halving"
        message = "as successive_halving: without max_iter, W&B compares runs at min_iter times powers of eta, which is just that"
        notes.append(approximated(f"{_KEY}.type", message, _STOPPING))
    else:
        pruner["max_resource"] = stopping.max_iter
        message = "Optuna's hyperband deals the trials out to brackets, some of which begin later; W&B has one bracket"
        notes.append(approximated(f"{_KEY}.type", message, _STOPPING))
    pruner["reduction_factor"] = factor
    if stopping.s is not None:
        notes.append(_about_s(stopping, lowest))
    if stopping.strict is not None:
        message = "Optuna has one rule: of those at a rung, the best 1/reduction_factor go on"
        notes.append(left_out(f"{_KEY}.strict", message, _STOPPING))
    known = EarlyTermination.model_fields
    notes += [left_out(f"{_KEY}.{key}", f"unknown to W&B{did_you_mean(key, known)}") for key in stopping.unknown]
    message = "counts the steps that the program reports: the step of mlflow.log_metric, or of its metrics file"
    return pruner, [carried(_KEY, message, _STOPPING), *notes]


def _factor(stopping: EarlyTermination) -> tuple[int, list[Note]]:
    if stopping.eta is None:
        return _DEFAULT_FACTOR, []
    factor = max(round(stopping.eta), 2)
    if factor == stopping.eta:
        return factor, [carried(f"{_KEY}.eta", "as reduction_factor")]
    return factor, [approximated(f"{_KEY}.eta", f"as reduction_factor {factor}: Optuna takes whole numbers", _STOPPING)]


def _lowest(stopping: EarlyTermination) -> int:
    """Return the first rung: `min_iter`, or `max_iter` divided by `eta` as often as `s` says, 1 at least."""
    if stopping.min_iter is not None:
        return stopping.min_iter
    assert stopping.max_iter is not None  # the file has been checked: one of the two, the second with `s`
    assert stopping.s is not None
    logarithm = math.log(stopping.max_iter) - int(stopping.s) * math.log(stopping.eta or _DEFAULT_FACTOR)
    return max(int(math.exp(logarithm) + 1e-9), 1) if logarithm > 0 else 1


def _about_s(stopping: EarlyTermination, lowest: int) -> Note:
    if stopping.min_iter is not None:
        return left_out(
            f"{_KEY}.s", "the number of rungs follows from min_resource, max_resource and reduction_factor", _STOPPING
        )
    message = f"as min_resource {lowest}: max_iter divided by eta, {int(stopping.s or 0)} times"
    return approximated(f"{_KEY}.s", message, _STOPPING)


TRIALS = 100
"""As many trials where W&B would go on until somebody stops it."""

METRIC = "loss"
"""Stands in for a metric where the file names none."""

_METHODS = {Strategy.GRID: "grid", Strategy.RANDOM: "random", Strategy.BAYES: "tpe", Strategy.CUSTOM: "random"}


@dataclass(frozen=True)
class Translation:
    """What a W&B sweep is as a config of ours.

    Args:
        tree: The config as plain values, its sections in the order of the documentation.
        notes: What became of the keys; what the program itself has to do differently comes first.
        description: What W&B's file says that the sweep is for; empty where it says nothing.
    """

    tree: dict[str, Any]
    notes: tuple[Note, ...]
    description: str = ""


def translate(sweep: WandbSweep, *, folder: str | None = None) -> Translation:
    """Say a W&B sweep in our terms.

    Args:
        sweep: The sweep.
        folder: Where its command runs, relative to the config; None for the config's own folder.
    """
    found = leaves(sweep.parameters)
    names = [leaf.name for leaf in found]
    values = [value for leaf in found for value in leaf.values]
    words, about_command = convert_command(sweep.command, sweep.program, names, values)
    parameters, about_parameters = convert_leaves(found, in_grid=sweep.method is Strategy.GRID)
    search, about_search = _search(sweep, parameters)
    objective, about_metric = _objective(sweep.objectives)
    tree = {
        **({"name": sweep.name} if sweep.name is not None else {}),
        **({"experiment": sweep.project} if sweep.project is not None else {}),
        "model": {"command": words, **({"folder": folder} if folder is not None else {})},
        "search": search,
        "objective": objective,
        "execution": {"workers": 1},
    }
    about_top = list(_about_top(sweep))
    groups = list(notes_on_groups(sweep.parameters))
    notes = (*_about_program(sweep), *about_top, *about_command, *about_metric, *about_search, *groups, *about_parameters)
    return Translation(tree, notes, sweep.description or "")


def _about_program(sweep: WandbSweep) -> list[Note]:
    """Describe what no config can carry over, since the program itself has to change."""
    metric = sweep.objectives[0].name if sweep.objectives else METRIC
    how = f'log it to MLflow (mlflow.log_metric("{metric}", …)), or write it as JSON to the file $WINE_SWEEP_METRICS'
    words = "the program has its parameters from its arguments, or as JSON from $WINE_SWEEP_PARAMS"
    quiet = "it would still begin a run at W&B for each trial; WANDB_MODE=disabled keeps it from that"
    alone = "W&B's agents run one trial at a time, and so does this config; more workers for more at once"
    return [
        left_out("wandb.log", f"what the program gives to wandb.log is not seen here: {how}"),
        left_out("wandb.config", f"it is not filled here: {words}"),
        left_out("wandb.init", quiet),
        approximated("wandb agent", alone, ("execution", "workers")),
    ]


def _about_top(sweep: WandbSweep) -> Iterator[Note]:
    if sweep.project is not None:
        yield carried("project", "as experiment, which is MLflow's word for it")
    if sweep.description:
        yield carried("description", "as a comment at the top")
    for key in sweep.unknown:
        yield left_out(key, UNUSED.get(key) or f"unknown to W&B{did_you_mean(key, KEYS)}")


def _search(sweep: WandbSweep, parameters: dict[str, Any]) -> tuple[dict[str, Any], list[Note]]:
    """Return the section `search`, but for what its parameters say of themselves."""
    search: dict[str, Any] = {"method": _METHODS[sweep.method]}
    notes = list(_about_method(sweep))
    if sweep.run_cap is not None:
        search["trials"] = sweep.run_cap
        notes.append(carried("run_cap", "as search.trials"))
    elif sweep.method is not Strategy.GRID:
        search["trials"] = TRIALS
        message = f"without it W&B goes on until it is stopped; here after {TRIALS} trials"
        notes.append(approximated("run_cap", message, ("search", "trials")))
    objectives = sweep.objectives
    if len(objectives) == 1 and objectives[0].target is not None:
        search["target"] = objectives[0].target
        notes.append(carried("metric.target", "as search.target"))
    search["parameters"] = parameters
    if sweep.early_terminate is not None:
        search["pruner"], about_pruner = convert_stopping(sweep.early_terminate)
        notes += about_pruner
    return search, notes


def _about_method(sweep: WandbSweep) -> Iterator[Note]:
    at = ("search", "method")
    if sweep.method is Strategy.BAYES:
        message = "as tpe; W&B's is a Gaussian process, which is gp here and needs torch (pip install 'wine-sweep[gp]')"
        yield approximated("method", message, at)
    elif sweep.method is Strategy.CUSTOM:
        yield left_out("method", "custom is a scheduler of the user's own; random stands in for it", at)


def _objective(metrics: Sequence[WandbMetric]) -> tuple[Any, list[Note]]:
    """Return the section `objective`: one metric, or a list of several."""
    at = ("objective",)
    if not metrics:
        message = f"the file names none, so that {METRIC} stands in for it; write here which metric decides, and which way"
        return {"metric": METRIC, "direction": WandbGoal.MINIMIZE.value}, [approximated("metric", message, at)]
    notes: list[Note] = []
    for index, metric in enumerate(metrics):
        key = "metric" if len(metrics) == 1 else f"metrics.{index}"
        notes += _about_metric(metric, key, alone=len(metrics) == 1)
    objectives = [{"metric": metric.name, "direction": metric.goal.value} for metric in metrics]
    return objectives[0] if len(objectives) == 1 else objectives, notes


def _about_metric(metric: WandbMetric, key: str, *, alone: bool) -> Iterator[Note]:
    best = "min" if metric.goal is WandbGoal.MINIMIZE else "max"
    message = f"the last value that a trial logs counts; W&B's search goes by the best of them, which is `of: {best}` here"
    yield Note(f"{key}.name", NoteKind.CARRIED, message, ("objective",))
    if "goal" not in metric.model_fields_set:
        yield carried(f"{key}.goal", "minimize, which is W&B's default")
    if metric.target is not None and not alone:
        yield left_out(f"{key}.target", "search.target goes with one objective")
    if metric.impute is not None:
        yield left_out(f"{key}.impute", "a trial that failed has no value; the search learns from the others")
    if metric.impute_while_running is not None:
        yield left_out(f"{key}.impute_while_running", "the search learns from trials once they have ended")
    for name in metric.unknown:
        yield left_out(f"{key}.{name}", f"unknown to W&B{did_you_mean(name, WandbMetric.model_fields)}")


WIDTH = 110
"""Columns of a comment, its indentation among them."""


def write_config(translation: Translation, source: str) -> str:
    """Write a config, with a comment at the top, and one above each key of which there is something to say.

    Args:
        translation: The config and the notes.
        source: The name of W&B's file.
    """
    body = dump_yaml(_in_blocks(translation.tree), flow=True)
    keys = read_yaml(body.encode(), "the new config").keys
    placed: dict[int, list[Note]] = {}
    for note in translation.notes:
        if note.at:
            placed.setdefault(keys[note.at].line, []).append(note)
    text = list(_top(translation, source))
    for row, line in enumerate(body.split("\n"), start=1):
        indent = line[: len(line) - len(line.lstrip(" "))]
        for note in placed.get(row, []):
            text += _comment(_said(note), indent)
        text.append(line)
    return "\n".join(text)


def _in_blocks(tree: dict[str, Any]) -> Block:
    """Write each key of a section, and each parameter, on a line of its own."""
    search = Block({**tree["search"], "parameters": Block(tree["search"]["parameters"])})
    return Block({**tree, "model": Block(tree["model"]), "search": search, "execution": Block(tree["execution"])})


def _top(translation: Translation, source: str) -> Iterator[str]:
    yield from _comment(f"Imported from {source}, a sweep of W&B's, by wine-sweep import-wandb.", "")
    for line in translation.description.splitlines():
        yield from _comment(line, "")
    unplaced = [note for note in translation.notes if not note.at and note.kind is not NoteKind.CARRIED]
    if unplaced:
        yield "#"
        yield "# Not carried over:"
    for note in unplaced:
        yield from _comment(f"- {_said(note)}", "", hanging="  ")


def _said(note: Note) -> str:
    lost = "not carried over: " if note.at and note.kind is NoteKind.LEFT_OUT else ""
    return f"{note.key}: {lost}{note.message}"


def _comment(text: str, indent: str, *, hanging: str = "") -> Iterable[str]:
    """Write one line of text as lines of comment; what YAML does not allow even there is shown as a question mark."""
    plain = "".join(each if each.isprintable() else "?" for each in text.replace("\t", " "))
    wrapped = textwrap.wrap(
        plain, WIDTH - len(indent) - 2, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
    )
    return [f"{indent}# {line}".rstrip() for line in wrapped or [""]]
