"""Problems of the columns of a table, reported all at once, with one setting that solves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from dlexp.data.tables.features.kinds import KINDS
from dlexp.data.tables.features.no_header import no_header
from dlexp.errors import DataError
from dlexp.findings import counted, declaring
from dlexp.text.quoting import listed, setting

_NAMED = 30  # columns listed in an error
_SHOWN = 20  # problems listed in an error


@dataclass(frozen=True)
class ColumnProblem:
    """The problem of a column.

    error      the error, if it were the only one
    column     the name of the column
    suggested  the kind of data.columns that solves the problem, "" if none does
    meant      of a name in data.columns that the file does not have: the nearest one, "" for none
    """

    error: DataError
    column: str
    suggested: str = ""
    meant: str | None = None


def raise_all(problems: Sequence[ColumnProblem], file: Path, declared: Mapping[str, str]) -> None:
    """Raise one DataError for all problems, and none for no problems.

    declared  data.columns, to which the suggested kinds are added
    """
    if not problems:
        return
    if len(problems) == 1:
        only = problems[0]
        raise _with_setting(only.error, {only.column: only.suggested} if only.suggested else {}, declared)
    lines = [f"{counted(len(problems), 'problem')} in the columns"]
    for problem in problems[:_SHOWN]:
        error = problem.error
        row = f", {error.unit} {error.row}" if error.row is not None else ""
        remedy = "" if not error.remedy else f". {error.remedy.rstrip('.')}"
        lines.append(f"  {error.column or problem.column!s}{row}: {error.rule}{remedy}")
    if len(problems) > _SHOWN:
        lines.append(f"  ... and {len(problems) - _SHOWN:,} more")
    solved = {problem.column: problem.suggested for problem in problems if problem.suggested}
    unknown = {problem.column: problem.meant for problem in problems if problem.meant is not None}
    kept = {unknown.get(name) or name: kind for name, kind in declared.items() if unknown.get(name) != ""}
    remedy = ""
    if solved or unknown:
        others = len(problems) - len(solved) - len(unknown)
        what = f"Solve {len(problems) - others} of them" if others else "Solve all of them"
        remedy = f"{what} with {declaring(solved, kept)}"
        lines.append(remedy)
    error = DataError("\n".join(lines), file=file, code=problems[0].error.code)
    error.remedy = remedy
    raise error


def _with_setting(error: DataError, solved: Mapping[str, str], declared: Mapping[str, str]) -> DataError:
    """The error with the setting of data.columns behind its remedy."""
    if not solved:
        return error
    todo = error.remedy.rstrip(".")
    if "drop" in solved.values() and "drop" not in todo.lower():
        todo = f"{todo}, or drop the column" if todo else "Drop the column"
    todo = todo or ("Read it as categories" if "category" in solved.values() else "Set its kind")
    remedy = f"{todo}: {declaring(solved, declared)}"
    return DataError(
        error.rule,
        file=error.file,
        column=error.column,
        row=error.row,
        remedy=remedy,
        unit=error.unit,
        code=error.code,
    )


def unknown_columns(
    file: Path, there: Sequence[str], targets: Sequence[str], declared: Mapping[str, str]
) -> list[ColumnProblem]:
    """The problems of names in data.target and data.columns that the file does not have, and of kinds of targets."""
    found = []
    for names, kinds in ((targets, None), (list(declared), declared)):
        for name in names:
            error = not_found(file, there, names, name, kinds)
            if error is not None:
                meant = None if kinds is None else _nearest(name, there) or ""
                found.append(ColumnProblem(error, name, meant=meant))
    for name in targets:
        kind = declared.get(name, "drop")
        if kind != "drop":
            rule = f"is the target, whose kind data.columns={{{name}: {kind}}} does not set"
            remedy = "Set data.target_kind=class or data.target_kind=value instead"
            found.append(ColumnProblem(DataError(rule, file=file, column=name, remedy=remedy, code="no-effect"), name))
    for name, kind in declared.items():
        if kind not in KINDS:
            rule = f"unknown kind {kind!r} (data.columns)"
            near = get_close_matches(str(kind), KINDS, n=1, cutoff=0.5)
            remedy = f"Use one of {', '.join(KINDS)}"
            if near:
                remedy = f"Did you mean {declaring({name: near[0]}, declared)}?"
            found.append(ColumnProblem(DataError(rule, column=name, remedy=remedy, code="unknown-value"), name))
    return found


def check_names(file: Path, there: Sequence[str], names: Sequence[str]) -> None:
    """Raise DataError for a column of data.target that is not among `there`."""
    for name in names:
        error = not_found(file, there, names, name)
        if error is not None:
            raise error


def not_found(
    file: Path,
    there: Sequence[str],
    names: Sequence[str],
    name: str,
    declared: Mapping[str, str] | None = None,
    key: str = "data.target",
) -> DataError | None:
    """The error for the column `name` of `names`; None if it is among `there`.

    declared  data.columns, if it gives the names; otherwise `key` does
    """
    if name in there:
        return None
    key = key if declared is None else "data.columns"
    if missing := no_header(file, there):
        what, remedy = missing
        return DataError(f"column {name!r} ({key}) not found; {what}", file=file, remedy=remedy, code="not-found")
    near = _nearest(name, there)
    more = f", ... ({len(there):,} in all)" if len(there) > _NAMED else ""
    remedy = f"Available: {listed(there[:_NAMED])}{more}"
    if near and declared is None:
        meant = [near if one == name else one for one in names]
        remedy = f"Did you mean {setting(key, meant if len(meant) > 1 else meant[0])}?"
    elif near and declared is not None:
        remedy = f"Did you mean {setting(key, {near if one == name else one: kind for one, kind in declared.items()})}?"
    return DataError(f"column {name!r} ({key}) not found", file=file, remedy=remedy, code="not-found")


def _nearest(name: str, there: Sequence[str]) -> str | None:
    """The column with the nearest name, None if there is none."""
    return next(iter(get_close_matches(name, there, n=1, cutoff=0.5)), None)
