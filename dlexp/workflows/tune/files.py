"""The files of a study: best.yaml, trials.csv and study.json after every trial; plots and report.html at the end."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dlexp
from dlexp.artifacts.files.format_number import FORMAT, KEY
from dlexp.artifacts.files.reading import is_file, read_text
from dlexp.artifacts.files.writing import write_csv, write_json, write_text
from dlexp.config.saved import to_yaml
from dlexp.config.schema.run import RunConfig
from dlexp.config.schema.tree import shown
from dlexp.config.search import Search
from dlexp.metrics.intervals.student_t import two_sided_point
from dlexp.runtime.machine import git_state, machine_facts
from dlexp.tune.importance import LEAST_TRIALS
from dlexp.tune.study import REQUEUED, Study
from dlexp.workflows.pictures import Pictures

_WRONG = 0.05  # significance level of the verdict, two-sided
_STATES = {"FAIL": "failed"}  # as shown on the terminal


@dataclass(frozen=True)
class Confirmation:
    """The comparison of the best trials with the baseline, on seeds that the search did not use.

    Attributes:
        rows: Configuration -> its values, mean, standard deviation (n - 1) and n.
    """

    rows: dict[str, dict[str, Any]]
    winner: str
    text: str

    @classmethod
    def of(cls, values: Mapping[str, list[float]], maximize: bool) -> Confirmation:
        """Compare the best of the candidates with the baseline by Welch's t interval.

        The best candidate was selected by the values that it is judged by, so its interval is one of simultaneous 95 %
        intervals of all candidates (Bonferroni).
        """
        rows = {
            name: {
                "values": found,
                "mean": statistics.fmean(found) if found else None,
                "std": statistics.stdev(found) if len(found) > 1 else None,
                "n": len(found),
            }
            for name, found in values.items()
        }
        sign = 1 if maximize else -1
        candidates = [name for name in values if name != "baseline" and values[name]]
        if not candidates or len(values["baseline"]) < 2:
            return cls(rows, "baseline", "too few finished runs to compare")
        winner = max(candidates, key=lambda name: sign * statistics.fmean(values[name]))
        wrong = _WRONG / len(candidates)
        gain, margin = _welch(values[winner], values["baseline"], sign, wrong)
        if math.isinf(margin):
            text = f"no significant improvement over the baseline: {gain:+.4g}; the spread over the seeds is unknown"
            return cls(rows, "baseline", text)
        interval = f"{100 * (1 - wrong):.4g} % interval"
        if gain > margin:
            text = f"{winner} is better than the baseline by {gain:.4g} ({interval} +- {margin:.4g})"
        elif gain < -margin:
            text = f"not better than the baseline: {winner} is worse by {-gain:.4g} ({interval} +- {margin:.4g})"
        else:
            text = f"no significant improvement over the baseline: {gain:+.4g} ({interval} +- {margin:.4g})"
        if len(candidates) > 1:
            text += f"; the intervals of all {len(candidates)} candidates are simultaneous at 95 %"
        return cls(rows, winner if gain > margin else "baseline", text)


def write_progress(folder: Path, search: Search, study: Study) -> dict[str, Any]:
    """Write best.yaml, trials.csv and study.json; returns the content of the last."""
    best = study.best()
    trials = [trial for trial in study.trials() if trial.state.name != "WAITING"]
    columns, rows = _table(trials)
    write_csv(folder / "trials.csv", columns, rows)
    states = [str(row[1]) for row in rows]
    epochs = search.base.trainer.epochs
    pruned = [len(t.intermediate_values) for t in trials if t.state.name == "PRUNED"]
    content: dict[str, Any] = {
        KEY: FORMAT,
        "study": folder.name,
        "metric": search.base.monitor,
        "direction": "maximize" if search.base.maximize else "minimize",
        "settings": asdict(search.settings),
        "space": search.space.described(),
        "trials": {state: states.count(state) for state in sorted(set(states))},
        "epochs_saved_by_pruning": sum(epochs - count for count in pruned),
        "baseline": next((t.value for t in trials if t.user_attrs.get("baseline") and t.value is not None), None),
        "best": None,
    }
    if best is not None:
        trial_folder = str(best.user_attrs.get("folder"))
        content["best"] = {"trial": best.number, "value": best.value, "params": best.params, "folder": trial_folder}
        own = folder / trial_folder / "config.yaml"  # does not exist if another machine ran the trial
        saved = read_text(own) if is_file(own) else to_yaml(_config_of(best, search, study))
        write_text(
            folder / "best.yaml",
            f"# trial {best.number} of {folder.name}: {search.base.monitor} {best.value!r}, in {trial_folder}\n{saved}",
        )
    write_json(folder / "study.json", content)
    return content


def _config_of(trial: Any, search: Search, study: Study) -> RunConfig:
    """The configuration of a trial, from its parameters."""
    return search.base if trial.user_attrs.get("baseline") else search.config_of(*study.decode(trial))


def write_end(
    folder: Path, search: Search, study: Study, verdict: Confirmation | None, reason: str, command: str
) -> dict[str, Any]:
    """Write all files of a finished study, with importances, plots and report.html; returns study.json.

    Args:
        folder: The directory of the study.
        search: The search.
        study: The study.
        verdict: The confirmation, None without one.
        reason: Why the search ended.
        command: The command line, "" if unknown.
    """
    from dlexp.report.pages.study import StudyContext, study_page

    content = write_progress(folder, search, study)
    importances, made_with = study.importances(), _versions()
    content |= {"reason": reason, "importances": importances, "confirmation": asdict(verdict) if verdict else None}
    content |= {"without_importances": without_importances(content["trials"].get("complete", 0), importances)}
    content |= {"command": command, "made_with": made_with}
    write_json(folder / "study.json", content)
    write_json(folder / "importance.json", importances)
    write_text(folder / "base.yaml", to_yaml(search.base))
    histories = [
        {
            "number": trial.number,
            "state": trial.state.name.lower(),
            "value": trial.value,
            "params": dict(trial.params),
            "epochs": dict(trial.intermediate_values),
        }
        for trial in study.trials()
        if trial.state.name in ("COMPLETE", "PRUNED")
    ]
    log_names = {dimension.name for dimension in search.space.dimensions if dimension.log}
    drawn, base = Pictures(), search.base
    arguments = (histories, importances, base.monitor, base.maximize, log_names)
    pictures = drawn.draw("the study's plots", lambda: _figures(*arguments)) or {}
    for name, picture in pictures.items():
        drawn.write(folder / "plots" / f"{name}.png", partial(bytes, picture))
    content |= drawn.facts()
    columns, rows = _table([trial for trial in study.trials() if trial.state.name != "WAITING"])
    about = StudyContext(str(folder), command, made_with)
    write_text(folder / "report.html", study_page(content, columns, rows, pictures, about))
    return content


def _figures(
    trials: Sequence[Mapping[str, Any]],
    importances: Mapping[str, float],
    metric: str,
    maximize: bool,
    log_names: set[str],
) -> dict[str, bytes]:
    from dlexp.report.figures.study import figures  # matplotlib loads when the search is over

    return figures(trials, importances, metric, maximize, log_names)


def without_importances(complete: int, importances: Mapping[str, float]) -> str:
    """Why there is no figure of the importances; "" if there is one."""
    if importances:
        return ""
    if complete < LEAST_TRIALS:
        return f"Parameter importances require {LEAST_TRIALS} complete trials, got {complete}."
    return "No parameter distinguishes the best tenth of the complete trials from the others."


def log_reference(folder: Path, attributes: Mapping[str, Any]) -> str:
    """The file with the traceback of a failed trial, in brackets; "" if there is none."""
    log = folder / str(attributes.get("folder", "")) / "output.log"
    return f" ({log})" if log.is_file() and log.stat().st_size else ""


def _table(trials: Sequence[Any]) -> tuple[list[str], list[list[Any]]]:
    """(columns, one row per trial) of trials.csv; a parameter that a trial does not have is None."""
    parameters = list(dict.fromkeys(key for trial in trials for key in trial.params))
    rows = [
        [
            trial.number,
            "requeued" if trial.user_attrs.get(REQUEUED) else _STATES.get(trial.state.name, trial.state.name.lower()),
            trial.value,
            len(trial.intermediate_values),
            trial.duration.total_seconds() if trial.duration else None,
            trial.user_attrs.get("folder"),
            trial.user_attrs.get("reason"),
            *(_cell(trial.params[key]) if key in trial.params else None for key in parameters),
        ]
        for trial in trials
    ]
    return ["trial", "state", "value", "epochs", "seconds", "folder", "reason", *parameters], rows


def _cell(value: Any) -> Any:
    """A parameter value in YAML notation."""
    return shown(value) if value is None or isinstance(value, bool) else value


def _versions() -> dict[str, str]:
    """Versions of the software and the machine."""
    commit, _ = git_state(Path.cwd())
    machine = machine_facts()
    found = {"dlexp": dlexp.__version__, **{name: str(machine[name]) for name in ("python", "torch")}}
    found |= {name: version(name) for name in ("optuna", "numpy")}
    found |= {name: str(machine[name]) for name in ("system", "gpu") if machine[name]}
    changed = " with changes" if commit and commit["dirty"] else ""
    return found | ({"git": f"{commit['commit']}{changed}"} if commit else {})


def _welch(one: list[float], other: list[float], sign: int, wrong: float) -> tuple[float, float]:
    """(mean gain of `one`, half width of its interval of 1 - `wrong`) by Welch's t.

    The degrees of freedom are rounded down, since they are estimated from few seeds.
    """
    gain = sign * (statistics.fmean(one) - statistics.fmean(other))
    if len(one) < 2:
        return gain, math.inf
    a, b = statistics.variance(one) / len(one), statistics.variance(other) / len(other)
    if a + b == 0:  # all seeds have the same value, such as an accuracy on few samples: the spread is unknown
        return gain, math.inf if gain else 0.0
    freedom = (a + b) ** 2 / (a**2 / (len(one) - 1) + b**2 / (len(other) - 1))
    return gain, two_sided_point(wrong, max(1, int(freedom))) * math.sqrt(a + b)
