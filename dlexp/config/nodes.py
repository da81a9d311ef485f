"""Resolution of a node's dotted path to a callable, restricted to an allow-list.

The allow-list names modules one by one, because a prefix is no boundary: `torch.load` and `torch.hub.load` are below
`torch`. A user's own package is allowed by the command line or DLEXP_TRUST, never by a file.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dlexp.config.own_code import told_with_line
from dlexp.config.schema.names import COMPONENTS, METRICS
from dlexp.config.schema.run import Node
from dlexp.errors import ConfigError, DlexpError, Problem, message_of, reading_data
from dlexp.metrics.selection.request import user_targets
from dlexp.tasks.decoding.options import option_of_predict
from dlexp.text.nearest import misspelled_name

# Packages of dlexp with components, which are listed in __all__ of their modules.
_OWN = ("data", "models", "tasks", "losses", "optim")
# Library modules, and the base class of the classes allowed from each.
_LIBRARY_CLASSES = {
    "torch.nn": "torch.nn.Module",
    "torch.optim": "torch.optim.Optimizer",
    "torch.optim.lr_scheduler": "torch.optim.lr_scheduler.LRScheduler",
    "torchvision.transforms.v2": "torch.nn.Module",
}
# Library modules, and the functions allowed from each.
_LIBRARY_FUNCTIONS = {"timm": ("create_model",)}
_SMALLER = {"data": "fewer or smaller samples", "model": "a smaller model"}  # group -> remedy when memory runs out
_PATH = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")


def trusted_packages(named: Sequence[str]) -> tuple[str, ...]:
    """Return the packages trusted by the command line and DLEXP_TRUST; adds the current directory to sys.path.

    Args:
        named: Packages named on the command line. DLEXP_TRUST lists more, separated by commas.
    """
    packages = trusted_names(named)
    if packages and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return packages


def trusted_names(named: Sequence[str]) -> tuple[str, ...]:
    """Return the packages named on the command line, then those in DLEXP_TRUST."""
    return (*named, *_of_variable())


def _of_variable() -> list[str]:
    return [name.strip() for name in os.environ.get("DLEXP_TRUST", "").split(",") if name.strip()]


def untrusted(tree: Mapping[str, Any], choices: Mapping[str, str], trusted: Sequence[str] | None) -> list[Problem]:
    """Return a problem for each component in a package that is not trusted, found without importing it.

    Args:
        tree: The configuration.
        choices: Group -> option.
        trusted: Trusted packages; None if no component is going to be called.
    """
    if trusted is None:
        return []
    found = []
    for group in COMPONENTS:
        node = tree.get(group)
        target = node.get("_target_") if isinstance(node, Mapping) else None
        if isinstance(target, str) and _PATH.match(target) and not _is_known(target) and not _is_in(target, trusted):
            problem = _untrusted(target, trusted)
            where = f"{group}={choices.get(group)}"
            found.append(Problem(where, "", f"{target} {problem.rule}", problem.remedy, code=problem.code))
    for name, target in user_targets(tree.get(METRICS)):
        if _PATH.match(target) and not _is_known(target) and not _is_in(target, trusted):
            problem = _untrusted(target, trusted)
            rule = problem.rule if name == target else f"{target} {problem.rule}"
            found.append(Problem(METRICS, name, rule, problem.remedy, code=problem.code))
    return found


def _is_in(target: str, trusted: Sequence[str]) -> bool:
    module = target.rpartition(".")[0]
    return any(module == package or module.startswith(f"{package}.") for package in trusted)


def _is_known(target: str) -> bool:
    """Return whether trust does not decide: components of dlexp and of libraries, and the standard library.

    The standard library contains no networks, so trusting it would only weaken the allow-list.
    """
    root = target.partition(".")[0]
    return root in ("dlexp", "torch", "torchvision", "timm") or root in sys.stdlib_module_names


def _untrusted(target: str, trusted: Sequence[str]) -> Problem:
    """Return the problem of a target that `resolve` does not allow; a misspelled name of its package is named."""
    if _is_known(target):
        rule = "must be a component of dlexp, torch, torchvision or timm"
        return Problem("_target_", target, rule, code="untrusted")
    root, variable = target.partition(".")[0], _of_variable()
    rule, remedy = "must be in a trusted package", f"If you trust this package, add --trust {root}"
    near = misspelled_name(root, trusted)
    if trusted:
        rule += "; trusted: " + ", ".join(f"{name} (DLEXP_TRUST)" if name in variable else name for name in trusted)
    if near in variable:
        remedy = f"Did you mean DLEXP_TRUST={','.join(root if name == near else name for name in variable)}?"
    elif near is not None:
        remedy = f"Did you mean --trust {root}?"
    return Problem("_target_", target, rule, remedy, code="untrusted")


def resolve(target: str, trusted: Sequence[str]) -> Callable[..., Any]:
    """Return the function or class at `target`. Raises ConfigError if it is not allowed or not found."""
    module_name, _, name = target.rpartition(".")
    if not _PATH.match(target) or name.startswith("_"):
        raise ConfigError.one(
            "_target_", target, "must be the dotted path of a public function or class", code="invalid-syntax"
        )
    root = target.partition(".")[0]
    if _is_in(target, trusted):
        return _attribute(_imported(module_name, target), module_name, name)
    if root == "dlexp" and module_name.split(".")[1:2] and module_name.split(".")[1] in _OWN:
        module = _imported(module_name, target)
        if name in getattr(module, "__all__", ()):
            return _attribute(module, module_name, name)
    elif module_name in _LIBRARY_CLASSES:
        found = _attribute(_imported(module_name, target), module_name, name)
        base_module, _, base = _LIBRARY_CLASSES[module_name].rpartition(".")
        if inspect.isclass(found) and issubclass(found, getattr(importlib.import_module(base_module), base)):
            return found
    elif name in _LIBRARY_FUNCTIONS.get(module_name, ()):
        return _attribute(_imported(module_name, target), module_name, name)
    elif module_name == "torchvision.models":
        module = _imported(module_name, target)
        if name in module.list_models(module=module):
            return _attribute(module, module_name, name)
    raise ConfigError([_untrusted(target, trusted)])


def check_arguments(
    node: Node, runtime: Sequence[str], trusted: Sequence[str], *, is_complete: bool = True
) -> list[Problem]:
    """Return the problems of a node's arguments with the signature of its target.

    Args:
        node: The component.
        runtime: Names of the arguments that are supplied when the component is built.
        trusted: Trusted packages.
        is_complete: Whether no others can be supplied later, so that an argument that is missing here is a problem.
    """
    signature = inspect.signature(resolve(node.target, trusted))
    parameters = signature.parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return []
    problems = []
    for name, value in node.arguments.items():
        if name not in parameters:
            near = get_close_matches(name, parameters, n=1)
            taken = ", ".join(key for key in parameters if key not in runtime)
            remedy = (
                f"Did you mean {node.group}.{near[0]}?" if near else f"Available: {taken}." if taken else "Remove it."
            )
            remedy = option_of_predict(node.option, f"{node.group}.{name}", value) or remedy
            problems.append(
                Problem(
                    f"{node.group}.{name}",
                    str(value),
                    f"unknown argument of {node.target}",
                    remedy,
                    code="unknown-key",
                )
            )
    for name, parameter in parameters.items():
        needed = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL
        if is_complete and needed and name not in node.arguments and name not in runtime:
            problems.append(
                Problem(
                    f"{node.group}.{name}",
                    "",
                    f"required by {node.target}",
                    f"Add +{node.group}.{name}=...",
                    code="missing-value",
                )
            )
    return problems


def build(node: Node, runtime: Mapping[str, Any], trusted: Sequence[str]) -> Any:
    """Call a node's target with its arguments and the runtime values in its signature, and return the result.

    Args:
        node: The component.
        runtime: Name -> value of the arguments that exist only at run time.
        trusted: Trusted packages.

    Raises ConfigError for invalid arguments and for exceptions of the target, which are the cause; OutOfMemory.
    """
    target = resolve(node.target, trusted)
    problems = check_arguments(node, tuple(runtime), trusted)
    if problems:
        raise ConfigError(problems)
    wanted = inspect.signature(target).parameters
    supplied = {name: value for name, value in runtime.items() if name in wanted and name not in node.arguments}
    try:
        return target(**supplied, **node.arguments)
    except DlexpError:
        raise
    except Exception as error:
        from dlexp.runtime.out_of_memory import out_of_memory  # imports torch

        if shortage := out_of_memory(error, f"building {node.group}={node.option}", None, _SMALLER.get(node.group, "")):
            raise shortage from error
        if node.group == "data" and isinstance(error, OSError):
            with reading_data(node.arguments.get("path")):
                raise
        rule = told_with_line(message_of(error), error, node.target)
        raise ConfigError.one(node.group, node.option, rule, _how_to_see(node), code="invalid-value") from error


def _how_to_see(node: Node) -> str:
    """Return how to see the traceback of an exception of a user's own component."""
    is_own = node.target.partition(".")[0] == "dlexp"
    return "" if is_own else "Set DLEXP_DEBUG=1 to see the traceback."


def _imported(module_name: str, target: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ImportError as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and not module_name.startswith(missing):
            raise ConfigError.one(
                "_target_",
                target,
                f"requires the package {missing}",
                f"Install it: pip install {missing}",
                code="missing-package",
            ) from error
        remedy = "Run dlexp in the directory that contains the package, or install it."
        raise ConfigError.one("_target_", target, f"cannot be imported: {error}", remedy, code="not-found") from error


def _attribute(module: Any, module_name: str, name: str) -> Callable[..., Any]:
    found = getattr(module, name, None)
    if not callable(found):
        near = get_close_matches(name, [n for n in dir(module) if not n.startswith("_")], n=1)
        remedy = f"Did you mean {module_name}.{near[0]}?" if near else ""
        raise ConfigError.one("_target_", f"{module_name}.{name}", "not found", remedy, code="not-found")
    result: Callable[..., Any] = found
    return result
