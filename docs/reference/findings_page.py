"""`make reference`: writes docs/reference/findings.md from the rules of the doctor.

A test compares the page with the text that this program makes.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, get_args

from dlexp.diagnosis.rules.all_rules import RULES
from dlexp.diagnosis.rules.while_training import WHILE_TRAINING
from dlexp.diagnosis.verdict import Fault
from dlexp.findings import SEVERITIES

Part = tuple[ModuleType, ast.FunctionDef]
PAGE = Path(__file__).with_name("findings.md")
_HEAD = """# Findings of the doctor

Every code that [`dlexp doctor`](../guides/doctor.md) can give, with the rule that gives it. `make reference` writes
this page from the rules; do not edit it by hand. A code is stable: it is `findings[].code` of `--json` and of
`doctor.json`.

The limits are those of the rule, as they are named in the code. A finding has the numbers that crossed them, and says
which were found by a trial: a short training with one thing changed.
"""


def findings_page() -> str:
    """The text of docs/reference/findings.md."""
    trained = _by_code(RULES)
    parts = [_HEAD, "## After a run, and before it\n"]
    parts += [_section(code, trained[code]) for code in get_args(Fault) if code in trained]
    parts.append("## While a run trains\n")
    parts.append(
        "With `trainer.doctor=true`, from the metrics of the epochs and the gradients of one update of each.\n"
    )
    watched = _by_code(WHILE_TRAINING)
    parts += [_section(code, watched[code], " while a run trains") for code in get_args(Fault) if code in watched]
    without = [code for code in get_args(Fault) if code not in trained and code not in watched]
    if without:
        parts.append(f"## Without a rule\n\n{', '.join(f'`{code}`' for code in without)}\n")
    return "\n".join(parts)


def _section(code: str, rules: Sequence[Callable[..., Any]], suffix: str = "") -> str:
    lines = [f"### {code}{suffix}\n"]
    for rule in rules:
        functions = list(_reachable(rule))
        severities = _severities(functions)
        limits = _limits(functions)
        sources = _keyword(functions, "source")
        lines.append(f"{(inspect.getdoc(rule) or '').partition(chr(10) * 2)[0].replace(chr(10), ' ')}\n")
        facts = [
            ("severity", ", ".join(severities)),
            ("limits", " · ".join(f"{name} {value:g}" for name, value in limits)),
            ("source", "; ".join(sources)),
            ("rule", f"`{rule.__module__}.{rule.__name__}`"),
        ]
        lines += [f"- {label}: {text}" for label, text in facts if text]
        lines.append("")
    return "\n".join(lines)


def _by_code(rules: Sequence[Callable[..., Any]]) -> dict[str, list[Callable[..., Any]]]:
    found: dict[str, list[Callable[..., Any]]] = {}
    for rule in rules:
        for code in _codes(list(_reachable(rule))):
            found.setdefault(code, []).append(rule)
    return found


def _reachable(rule: Callable[..., Any]) -> Iterator[Part]:
    """The rule and the private functions of its module that it calls."""
    module = inspect.getmodule(rule)
    assert module is not None
    defined = {
        node.name: node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.FunctionDef)
    }
    waiting, seen = [rule.__name__], set[str]()
    while waiting:
        name = waiting.pop(0)
        if name in seen or name not in defined:
            continue
        seen.add(name)
        yield module, defined[name]
        waiting += [
            node.id
            for node in ast.walk(defined[name])
            if isinstance(node, ast.Name) and isinstance(getattr(module, node.id, None), FunctionType)
        ]


def _texts(functions: Sequence[Part]) -> Iterator[str]:
    for _, function in functions:
        for node in ast.walk(function):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def _codes(functions: Sequence[Part]) -> list[str]:
    texts = set(_texts(functions))
    return [code for code in get_args(Fault) if code in texts]


def _severities(functions: Sequence[Part]) -> list[str]:
    texts = set(_texts(functions))
    return [severity for severity in SEVERITIES if severity in texts]


def _limits(functions: Sequence[Part]) -> list[tuple[str, float]]:
    """(name, number) of each constant of the module that the functions use."""
    found: dict[str, float] = {}
    for module, function in functions:
        for node in ast.walk(function):
            value = getattr(module, node.id, None) if isinstance(node, ast.Name) else None
            if isinstance(node, ast.Name) and isinstance(value, int | float) and node.id.isupper():
                found[node.id.strip("_").lower().replace("_", " ")] = float(value)
    return list(found.items())


def _keyword(functions: Sequence[Part], name: str) -> list[str]:
    found = dict.fromkeys(
        node.value.value
        for _, function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.keyword) and node.arg == name and isinstance(node.value, ast.Constant)
    )
    return [str(text) for text in found if text]


if __name__ == "__main__":
    PAGE.write_text(findings_page())
