"""Plot a check: where each drifted column was and is, and what the rows lose.

Matplotlib looks for a file ``matplotlibrc`` in the working folder first, whoever has put it there, when it is imported. Such a
file may ask for ``text.usetex``, which runs ``latex``; and reading one that is a pipe never ends. Nor can it be imported where
MPLBACKEND names no backend, which nothing here needs. Hence everything of Matplotlib is imported here, without either, and
nothing is drawn outside of `defaults`.

The colours are two of M. Okabe and K. Ito, "Color Universal Design", 2008, which colour-blind readers tell apart.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pandas as pd

from wine_sweep.errors import ConfigError, Problem
from wine_sweep.evaluation.row_losses import RowLoss
from wine_sweep.messages import visible
from wine_sweep.monitoring.check import Checked, predicted_then
from wine_sweep.monitoring.drift import Aspect, Drift, DriftTest
from wine_sweep.monitoring.loss import LossComparison
from wine_sweep.monitoring.reference import Reference

_FILE = "matplotlibrc"
_BACKEND = "backend"
_BACKEND_VARIABLE = "MPLBACKEND"


@contextmanager
def _kept_out() -> Iterator[None]:
    """Have the file of the working folder not be found, and no backend named; nobody else asks for that file by its bare name.

    Raises:
        ConfigError: Matplotlib cannot read the file that MATPLOTLIBRC names, or that of the user's home.
    """
    exists = os.path.exists
    backend = os.environ.pop(_BACKEND_VARIABLE, None)
    os.path.exists = lambda path: path != _FILE and exists(path)
    try:
        yield
    except (OSError, ValueError) as error:
        wrong = f"Matplotlib cannot be imported with the matplotlibrc of the user's home, or of MATPLOTLIBRC: {error}"
        raise ConfigError([Problem(wrong)]) from error
    finally:
        os.path.exists = exists
        if backend is not None:
            os.environ[_BACKEND_VARIABLE] = backend


with _kept_out():
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

if _backend := os.environ.get(_BACKEND_VARIABLE):  # for code of the user's own that draws in this process
    with suppress(ValueError):  # it is none, and nothing of ours needs one
        mpl.rcParams["backend"] = _backend

__all__ = ["Axes", "Figure", "defaults"]


@contextmanager
def defaults() -> Iterator[None]:
    """Draw with Matplotlib's defaults within this context; how pictures are shown on a screen stays as it is."""
    with mpl.rc_context({key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith(_BACKEND)}):
        yield


THEN, NOW = "#0072B2", "#D55E00"
MOST_PLOTS = 12
MOST_BARS = 12
BINS = 30
_WIDTH, _HEIGHT, _DPI = 7.0, 4.0, 150


def check_plots(reference: Reference, checked: Checked) -> Iterator[tuple[str, bytes]]:
    """Draw what has moved, what moved furthest first and `MOST_PLOTS` of them at most, and what the rows lose.

    Yields:
        A file's name, and the picture as PNG.
    """
    for number, drift in enumerate(checked.result.moved[:MOST_PLOTS], start=1):
        with defaults():
            picture = _png(_drift_figure(reference, checked, drift))
        yield f"{number:02d}-{_file_name(drift.name)}.png", picture
    if checked.result.loss is not None and checked.losses is not None:
        with defaults():
            picture = _png(_loss_figure(reference, checked.losses, checked.result.loss))
        yield "losses.png", picture


def _drift_figure(reference: Reference, checked: Checked, drift: Drift) -> Figure:
    if drift.aspect is Aspect.PREDICTION:
        then, now = predicted_then(reference).table.iloc[:, 0], checked.predictions
        before, label = "test rows", f"predicted {reference.target}"
    else:
        then, now = reference.train[drift.column], checked.features[drift.column]
        before, label = "training rows", drift.column
    if drift.aspect is Aspect.GAPS:
        then, now = (series.isna().map({True: "no value", False: "a value"}) for series in (then, now))
    then, now = then.dropna(), now.dropna()
    title = f"{drift.name[:1].upper()}{drift.name[1:]} has moved: {drift.test} effect {drift.effect:.2f}, p {drift.adjusted:.2g}"
    figure, axes = _axes(title, label, "share of rows (%)")
    labels = f"{len(then):,} {before}", f"{len(now):,} new rows"
    (_histograms if drift.test is DriftTest.KS else _bars)(axes, then, now, labels)
    _legend(figure)
    return figure


def _loss_figure(reference: Reference, new: np.ndarray, loss: LossComparison) -> Figure:
    recorded = reference.measured["loss"].to_numpy(dtype=float)
    words = f"{loss.metric}: {loss.recorded:.4g} when it was made, {loss.new:.4g} on the new rows"
    labels = f"{len(recorded):,} unseen rows when it was made", f"{len(new):,} new rows"
    if loss.metric in (RowLoss.ACCURACY, RowLoss.BALANCED_ACCURACY):
        figure, axes = _axes(words, "predicted class", "share of rows (%)")
        then, now = (pd.Series(losses).map({0.0: "right", 1.0: "wrong"}) for losses in (recorded, new))
        _bars(axes, then, now, labels)
    else:
        squared = loss.metric is RowLoss.RMSE
        figure, axes = _axes(
            words,
            f"absolute error, in units of {reference.target}" if squared else f"a row's part of {loss.metric}",
            "share of rows (%)",
        )
        then, now = (pd.Series(np.sqrt(losses) if squared else losses) for losses in (recorded, new))
        _histograms(axes, then, now, labels)
        for value, colour, style in ((loss.recorded, THEN, "--"), (loss.new, NOW, ":")):
            axes.axvline(value, color=colour, linestyle=style, linewidth=1.5, label=f"{loss.metric} {value:.4g}")
    _legend(figure)
    return figure


def _axes(title: str, horizontal: str, vertical: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = figure.subplots()
    axes.set_title(_plain(title), fontsize=11, loc="left")
    axes.set_xlabel(_plain(horizontal))
    axes.set_ylabel(vertical)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _legend(figure: Figure) -> None:
    """Below the axes, where it hides nothing; looking for the best place among the bars can take Matplotlib seconds."""
    figure.legend(loc="outside lower center", ncols=2, frameon=False)


def _histograms(axes: Axes, then: pd.Series, now: pd.Series, labels: tuple[str, str]) -> None:
    edges = np.histogram_bin_edges(np.concatenate([then.to_numpy(dtype=float), now.to_numpy(dtype=float)]), bins=BINS)
    for series, colour, label in ((then, THEN, labels[0]), (now, NOW, labels[1])):
        share = np.full(len(series), 100 / len(series))
        axes.hist(series, bins=edges.tolist(), weights=share, color=colour, alpha=0.25)
        axes.hist(series, bins=edges.tolist(), weights=share, color=colour, histtype="step", linewidth=1.6, label=label)


def _bars(axes: Axes, then: pd.Series, now: pd.Series, labels: tuple[str, str]) -> None:
    shares = pd.DataFrame({"then": then.value_counts(normalize=True), "now": now.value_counts(normalize=True)}).fillna(0) * 100
    shown = shares.loc[shares.max(axis=1).nlargest(MOST_BARS).index].sort_index()
    places = np.arange(len(shown))
    for side, colour, label, offset in (("then", THEN, labels[0], -0.2), ("now", NOW, labels[1], 0.2)):
        axes.bar(places + offset, shown[side], width=0.4, color=colour, label=label)
    axes.set_xticks(places, [_plain(f"{value:g}" if isinstance(value, float) else str(value)[:20]) for value in shown.index])


def _plain(text: str) -> str:
    """Keep Matplotlib from reading a formula into a name."""
    return visible(text).replace("$", r"\$")


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[:60]


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=_DPI)
    return content.getvalue()
