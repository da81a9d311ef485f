"""The metrics that a run names with `metrics=[...]`: read, completed from option files, and checked. Imports no torch.

An item is a name (`f1_macro`, `recall[yes]`, `top_7_accuracy`), a name with parameters (`fbeta: {beta: 2}`), the dotted
path of a function (`my_package.metrics.profit`), or the name of a file in `metrics/` of a --config-dir. A checked tree
holds names and mappings of a name to its parameters, with `_target_` for a function, so that it needs no other file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dlexp.config.files.catalog import Catalog
from dlexp.config.habits.values import metric_meant
from dlexp.config.schema.fields import Field
from dlexp.config.schema.names import METRICS
from dlexp.config.schema.tree import shown
from dlexp.errors import Code, Problem
from dlexp.metrics.selection.catalog import CATALOG, MetricEntry, entry_of
from dlexp.metrics.selection.request import DOTTED, MetricRequest
from dlexp.text.nearest import misspelled_name, nearest_name
from dlexp.text.quoting import command, setting

MODES = ("max", "min")
_OF_ONE = re.compile(r"([A-Za-z_]\w*)\[(.+)\]", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][\w@.-]*")
_OWN = ("_target_", "mode", "name")  # keys of a function's item that are no arguments
_SECOND = {"scores": "class", "values": "target"}  # the parameter that names a class or a target


class _Wrong(Exception):
    """The problem of an item."""

    def __init__(self, given: str, rule: str, remedy: str = "", code: Code = "invalid-value") -> None:
        self.given, self.rule, self.remedy, self.code = given, rule, remedy, code


def settle_metrics(tree: dict[str, Any], catalog: Catalog) -> Iterator[Problem]:
    """Replace the items of `metrics` by their complete form; yield the problems of those that have none."""
    given = tree.get(METRICS)
    items = given if isinstance(given, list | tuple) else [] if given is None else [given]
    found: list[Any] = []
    names: dict[str, None] = {}
    for item in items:
        try:
            request, complete = _read(item, tree, catalog)
            if request.name in names:
                rule = "is named twice"
                remedy = "Give one of them another name, as in {fbeta: {beta: 2, name: f2}}."
                raise _Wrong(request.name, rule, remedy)
            names[request.name] = None
            found.append(complete)
        except _Wrong as wrong:
            yield Problem(METRICS, wrong.given, wrong.rule, wrong.remedy, code=wrong.code)
    tree[METRICS] = found


def requests_of(tree: Mapping[str, Any]) -> tuple[MetricRequest, ...]:
    """Return the metrics of a checked tree, with the monitored one if it is a built-in metric beside those named."""
    found = [_read(item, tree, None)[0] for item in tree.get(METRICS) or ()]
    for key in ("trainer", "task"):
        monitor = tree[key].get("monitor")
        if monitor is None:
            continue
        if (own := _monitored(str(monitor), tree, key)) and own.name not in [request.name for request in found]:
            found.append(own)
        break
    return tuple(found)


def directions(tree: Mapping[str, Any]) -> dict[str, str]:
    """Return metric name -> min or max, for every metric that can be monitored."""
    task = tree["task"]
    metrics = {**(task.get("_metrics_") or {"loss": "min"}), **(task.get("_extra_metrics_") or {})}
    metrics |= {request.name: request.direction for request in requests_of(tree) if request.direction}
    found = {f"val/{name}": str(direction) for name, direction in metrics.items()}
    phases = task.get("_phases_")  # several have a loss each, of which none falls alone
    return found if isinstance(phases, list) and len(phases) > 1 else found | {"train/loss": "min"}


def unknown_monitor(path: str, monitor: str, tree: Mapping[str, Any], origin: str) -> Problem:
    """Return the problem of a monitored metric that is none of `directions`."""
    own = {f"val/{request.name}": request for request in requests_of(tree)}
    if monitor in own:  # a function without a direction
        request = own[monitor]
        item = {request.target: {**_named(request), "mode": "max", **request.arguments}}
        rule = "its direction is unknown"
        remedy = f"Add mode: max, or min if smaller is better: {setting(METRICS, [item])}"
        return Problem(path, monitor, rule, remedy, origin, code="missing-value")
    try:
        _request(monitor.removeprefix("val/"), {}, tree)
    except _Wrong as wrong:
        base = monitor.removeprefix("val/")
        entry = entry_of(base, str(tree["task"].get("_outputs_")))
        if entry is not None and entry.of_one == "only":
            remedy = f"Did you mean {setting(path, f'val/{base}_macro')}, or {setting(path, f'val/{base}[CLASS]')}?"
            return Problem(path, monitor, "unknown metric", remedy, origin, code="unknown-value")
        if wrong.code == "missing-value":  # a parameter
            return Problem(path, monitor, wrong.rule, wrong.remedy, origin, code=wrong.code)
    names = directions(tree)
    meant, every = f"val/{metric_meant(monitor)}", f"Available: {', '.join(names)}"
    near = meant if meant in names else misspelled_name(monitor, names)
    remedy = f"Did you mean {setting(path, near)}? {every}" if near else every
    instead = (f"{path}={near}",) if near and not origin else None
    return Problem(path, monitor, "unknown metric", remedy, origin, code="unknown-value", instead=instead)


def _monitored(monitor: str, tree: Mapping[str, Any], key: str) -> MetricRequest | None:
    """The request of a monitored metric that the task does not compute itself; None for others."""
    name, task = monitor.removeprefix("val/"), tree["task"]
    usual = {**(task.get("_metrics_") or {"loss": "min"}), **(task.get("_extra_metrics_") or {})}
    if name in usual or not monitor.startswith("val/"):
        return None
    try:
        return _request(name, {}, tree, f"{key}.monitor")
    except _Wrong:
        return None


def _read(item: Any, tree: Mapping[str, Any], catalog: Catalog | None) -> tuple[MetricRequest, Any]:
    """(request, complete form) of an item; `catalog` is None for an item that is complete. Raises _Wrong."""
    name, arguments = _split(item)
    own = catalog.options(METRICS) if catalog is not None else {}
    if "_target_" not in arguments and DOTTED.fullmatch(name):
        arguments = {"_target_": name, **arguments}
        name = name.rpartition(".")[2]
    elif "_target_" not in arguments and name in own:
        arguments = {**_file(own[name].path, name), **arguments}
    if "_target_" in arguments:
        request = _function(name, arguments, tree)
        mode = {"mode": request.direction} if request.direction else {}
        return request, {request.name: {"_target_": request.target, **mode, **request.arguments}}
    request = _request(name, arguments, tree)
    plain = f"{request.base}[{request.output}]" if request.output else request.base
    complete = {**_named(request, plain), **request.arguments}
    return request, {plain: complete} if complete else plain


def _split(item: Any) -> tuple[str, dict[str, Any]]:
    """(name, parameters) of an item. Raises _Wrong."""
    if isinstance(item, str):
        return item, {}
    if isinstance(item, Mapping) and len(item) == 1:
        (name, values), *_ = item.items()
        if values is None or isinstance(values, Mapping):
            return str(name), {str(key): value for key, value in (values or {}).items()}
    rule = "must be a name, or one name with its parameters"
    raise _Wrong(shown(item), rule, "Write an item such as {fbeta: {beta: 2}}.", "invalid-type")


def _file(path: Any, name: str) -> dict[str, Any]:
    """The content of an option file. Raises _Wrong."""
    from dlexp.config.files.yaml_files import values_of

    content = values_of(path)
    if not isinstance(content, dict) or not isinstance(content.get("_target_"), str):
        remedy = "Write `_target_: my_package.metrics.FUNCTION` and `mode: max` there."
        raise _Wrong(name, f"{path} must name a function with _target_", remedy, "missing-value")
    return {str(key): value for key, value in content.items()}


def _function(name: str, arguments: Mapping[str, Any], tree: Mapping[str, Any]) -> MetricRequest:
    """The request of a function of the user. Raises _Wrong."""
    target, mode = arguments["_target_"], arguments.get("mode")
    shown_name = str(arguments.get("name") or name)
    if not isinstance(target, str) or not DOTTED.fullmatch(target):
        raise _Wrong(name, f"_target_ must be the dotted path of a function, got {shown(target)}", code="invalid-type")
    if mode is not None and mode not in MODES:
        raise _Wrong(name, f"mode must be max or min, got {shown(mode)}", code="unknown-value")
    if not _NAME.fullmatch(shown_name):
        rule = "its name must consist of letters, digits and _ - . @"
        raise _Wrong(shown_name, rule, "Add name: NAME to its parameters.", "invalid-syntax")
    task = tree["task"]
    usual = {**(task.get("_metrics_") or {"loss": "min"}), **(task.get("_extra_metrics_") or {})}
    if shown_name in usual or entry_of(shown_name, str(task.get("_outputs_"))) is not None:
        rule = f"is the name of a built-in metric, and {target} needs another one"
        remedy = f"Write {setting(METRICS, [{target: {'name': f'my_{shown_name}', 'mode': 'max'}}])}"
        raise _Wrong(shown_name, rule, remedy, "already-exists")
    values = {key: value for key, value in arguments.items() if key not in _OWN}
    return MetricRequest(shown_name, target=target, direction=mode or "", arguments=values)


def _request(name: str, arguments: Mapping[str, Any], tree: Mapping[str, Any], where: str = METRICS) -> MetricRequest:
    """The request of a built-in metric. Raises _Wrong."""
    task = tree["task"]
    outputs = str(task.get("_outputs_"))
    values, second = dict(arguments), _SECOND.get(outputs, "class")
    base, output = _parts(name)
    if second in values:
        output = str(values.pop(second))
    usual = {**(task.get("_metrics_") or {"loss": "min"}), **(task.get("_extra_metrics_") or {})}
    entry = entry_of(base, outputs)
    if entry is None and base in usual and not output:
        entry = MetricEntry(base, str(usual[base]), "")
    if entry is None:
        raise _unknown(name, outputs, usual)
    if output and not entry.of_one:
        rule = f"{base} is not a metric of one {second}"
        ones = [known.name for known in CATALOG[outputs].values() if known.of_one] if outputs in CATALOG else []
        raise _Wrong(name, rule, f"Those of one {second}: {', '.join(ones)}")
    if entry.of_one == "only" and not output:
        rule = "requires a class"
        remedy = f"Name it, as in {setting(METRICS, [f'{base}[NAME]'])}, or use {base}_macro."
        raise _Wrong(name, rule, remedy, "missing-value")
    label = str(values.pop("name", "") or (f"{base}[{output}]" if output else base))
    _check(entry, name, values, output)
    return MetricRequest(label, base, output, "", entry.direction, values, where)


def _parts(name: str) -> tuple[str, str]:
    """(metric, class) of `recall[yes]`; (name, "") of any other."""
    found = _OF_ONE.fullmatch(name)
    return (found[1], found[2]) if found else (name, "")


def _check(entry: MetricEntry, name: str, values: Mapping[str, Any], output: str) -> None:
    """Raise _Wrong for parameters that a metric does not have, lacks, or does not accept."""
    example = {key: _example(rule) for key, rule in entry.parameters.items() if "default" not in rule}
    for key, value in values.items():
        if key not in entry.parameters:
            near = nearest_name(key, entry.parameters)
            remedy = f"Did you mean {near}?" if near else f"Available: {', '.join((*entry.parameters, 'name'))}"
            raise _Wrong(name, f"unknown parameter {key}", remedy, "unknown-key")
        rule = entry.parameters[key]
        refusal = _matrix_refusal(value) if rule["type"] == "matrix" else _field(rule).refusal(value)
        if refusal:
            raise _Wrong(name, f"{key} {refusal}, got {shown(value)}")
    for key in example:
        if key not in values:
            item = {entry.name: {**({"class": output} if output else {}), **example}}
            remedy = f"Write, for example, {setting(METRICS, [item])}"
            raise _Wrong(name, f"requires {key}: {entry.parameters[key]['help']}", remedy, "missing-value")


def _field(rule: Mapping[str, Any]) -> Field:
    return Field.from_mapping({key: value for key, value in rule.items() if key != "default"})


def _example(rule: Mapping[str, Any]) -> Any:
    if rule["type"] == "matrix":
        return [[0, 1], [5, 0]]
    return 0.9 if rule.get("below") == 1 else 2


def _matrix_refusal(value: Any) -> str:
    rows = value if isinstance(value, list | tuple) else []
    numbers = [cell for row in rows if isinstance(row, list | tuple) for cell in row]
    is_square = len(rows) > 1 and all(isinstance(row, list | tuple) and len(row) == len(rows) for row in rows)
    if is_square and all(Field("float").accepts(number) for number in numbers):
        return ""
    return "must be a list of as many rows as it has columns, of numbers"


def _unknown(name: str, outputs: str, usual: Mapping[str, str]) -> _Wrong:
    known = {**dict.fromkeys(usual), **dict.fromkeys(CATALOG.get(outputs, ()))}
    other = next((kind for kind in CATALOG if kind != outputs and entry_of(_parts(name)[0], kind)), None)
    every = f"List all: {command('list', METRICS)}"
    base, _, rest = name.partition("_")
    if other is not None:
        rule = f"is a metric of {'values' if other == 'values' else 'classes'}"
        own = f"Metrics of the task: {', '.join(usual)}."
        return _Wrong(name, rule, every if outputs in CATALOG else own, "incompatible-data")
    entry = entry_of(base, outputs)
    meant = metric_meant(_parts(name)[0])
    near = meant if meant in known else misspelled_name(_parts(name)[0], known)
    if entry is not None and entry.of_one and rest and not meant:  # recall_yes
        near = f"{base}[{rest}]"
    elif near is not None and _parts(name)[1]:
        near = f"{near}[{_parts(name)[1]}]"
    own = "A function of your own is named by its path, as in my_package.metrics.profit."
    return _Wrong(
        name, "unknown metric", f"Did you mean {near}? {every}" if near else f"{every}. {own}", "unknown-value"
    )


def _named(request: MetricRequest, plain: str = "") -> dict[str, str]:
    """The key `name`, where it is not that of the metric itself."""
    usual = plain or request.target.rpartition(".")[2]
    return {} if request.name == usual else {"name": request.name}
