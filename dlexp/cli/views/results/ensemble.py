"""The output of an ensemble, a soup or views: the report of a split, the members, and what they gain together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlexp.cli.console import escape, out, table
from dlexp.cli.style import short_path
from dlexp.cli.views.results.evaluate import evaluation
from dlexp.report.number_format import is_share, number
from dlexp.text.quoting import command

_SHOWN = ("accuracy", "log_loss", "calibrated_log_loss", "calibration_error", "mae", "mse")
_SHORT = {"calibrated_log_loss": "log_loss at T", "calibration_error": "ECE"}
_MOST = 40  # members


def combined(content: Mapping[str, Any], quiet: bool) -> None:
    """Print the metrics of the combined outputs, each member, the gains with their intervals, and the diversity."""
    evaluation(content, quiet)
    found = content["ensemble"]
    out.print()
    _members(content, found)
    out.print()
    _gains(found)
    _diversity(found["diversity"])
    for note in found["notes"]:
        out.print(f"[yellow]note[/]: {escape(note)}")
    if quiet:
        return
    run = short_path(content["run"])
    if "soup" in found:
        out.print(f"\n  run      {escape(run)}")
        return
    out.print(f"\n  predict  {escape(command('predict', run, *_views(found)))} INPUT")
    if "views" not in found:
        out.print(f"  export   {escape(command('export', run))}")


def _views(found: Mapping[str, Any]) -> Sequence[str]:
    return ("--tta", found["views"]) if "views" in found else ()


def _members(content: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """A row for each member and one for all of them."""
    names = [name for name in _SHOWN if name in found["metrics"]]
    has_t = found["temperature"] is not None
    what = "view" if "views" in found else "ingredient" if "soup" in found else "member"
    header = [what, "weight", *(_SHORT.get(name, name) for name in names), *(["T"] if has_t else [])]
    rows = [
        [
            f"{one['label']}{' *' if one['label'] == found['best_on_val'] and 'views' not in found else ''}",
            f"{one['weight']:.3g}",
            *(number(name, one["metrics"].get(name)) for name in names),
            *([f"{one['temperature']:.3g}"] if has_t else []),
        ]
        for one in found["members"][:_MOST]
    ]
    together = {"soup": "soup", "views": "mean of the views"}
    label = next((text for key, text in together.items() if key in found), "vote" if found["vote"] else "ensemble")
    own = [number(name, found["metrics"][name]) for name in names]
    rows.append([label, "", *own, *([f"{found['temperature']:.3g}"] if has_t else [])])
    title = f"{content['split']} split"
    if "views" not in found:
        title += "; * is best on the validation split"
    out.print(table(title, header, rows))
    if len(found["members"]) > _MOST:
        out.print(f"the first {_MOST} of {len(found['members'])}; report.json has all")


def _gains(found: Mapping[str, Any]) -> None:
    """A row for each metric and each side that it is compared with."""
    rows, reasons = [], []
    for name, sides in found["gains"].items():
        for gained in sides.values():
            rows.append([_SHORT.get(name, name), gained["over"], *_gain(name, gained)])
            reasons += [gained["why"]] if "why" in gained else []
    if rows:
        level = next(iter(next(iter(found["gains"].values())).values()))["level"]
        header = ["metric", "over", "gain", f"{100 * level:g} % interval", ""]
        out.print(table("gain on the same samples (above 0: better)", header, rows, numbers_from=2))
    for reason in dict.fromkeys(reasons):
        out.print(f"[yellow]no interval[/]: {escape(reason)}")


def _gain(name: str, gained: Mapping[str, Any]) -> list[str]:
    """Gain, interval and verdict; of shares in points."""
    scale, unit = (100.0, " points") if is_share(name) else (1.0, "")
    shown = ["-" if gained[key] is None else f"{scale * gained[key]:.3g}" for key in ("value", "low", "high")]
    verdict = {True: "better", False: "worse", None: "not distinguishable"}[gained["better"]]
    bounds = "-" if gained["low"] is None else f"{shown[1]} to {shown[2]}{unit}"
    return [f"{shown[0]}{unit}", bounds, verdict]


def _diversity(found: Mapping[str, float | None]) -> None:
    """One line on how much the members differ."""
    shown = {
        "disagreement": "pairs disagree on {}",
        "kappa": "kappa {}",
        "q_statistic": "Q {}",
        "both_wrong": "both wrong {}",
        "ambiguity": "ambiguity {}",
        "member_mse": "of a mean squared error of the members of {} (in deviations of the target)",
        "error_correlation": "errors correlate by {}",
    }
    shares = ("disagreement", "both_wrong")
    texts = [
        text.format(f"{100 * value:.3g} %" if name in shares else f"{value:.3g}")
        for name, text in shown.items()
        if (value := found.get(name)) is not None
    ]
    if texts:
        out.print(f"diversity: {', '.join(texts)}")
