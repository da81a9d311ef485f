"""From a node's dotted path to the object it names, and no further than the allow-list.

What a configuration file may name is listed here module by module, because a prefix is no boundary: `torch.load` and
`torch.hub.load` sit under `torch`. A user's own package is allowed when the command line or DLEXP_TRUST says so; a file
never can.
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

from dlexp.config.schema.run import Node
from dlexp.errors import ConfigError, DlexpError, Problem, message_of, reading_data

# Packages of dlexp whose modules hold components; a component is named in its module's __all__.
_OWN = ("data", "models", "tasks", "losses", "optim")
# Library modules, and the class that everything taken from them must derive from.
_LIBRARY_CLASSES = {
    "torch.nn": "torch.nn.Module",
    "torch.optim": "torch.optim.Optimizer",
    "torch.optim.lr_scheduler": "torch.optim.lr_scheduler.LRScheduler",
    "torchvision.transforms.v2": "torch.nn.Module",
}
# Library modules, and the exact functions that may be called.
_LIBRARY_FUNCTIONS = {"timm": ("create_model",)}
_SMALLER = {"data": "fewer or smaller samples", "model": "a smaller model"}  # group -> what needs less memory
_PATH = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")


def trusted_packages(named: Sequence[str]) -> tuple[str, ...]:
    """The packages that the command line and DLEXP_TRUST (with commas) name; opens the current folder to them."""
    packages = (*named, *filter(None, os.environ.get("DLEXP_TRUST", "").split(",")))
    if packages and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return packages


def resolve(target: str, trusted: Sequence[str]) -> Callable[..., Any]:
    """The function or class at `target`. Raises ConfigError when it is not allowed or not there."""
    module_name, _, name = target.rpartition(".")
    if not _PATH.match(target) or name.startswith("_"):
        raise ConfigError.one(
            "_target_", target, "is no dotted path of a public function or class", code="invalid-syntax"
        )
    root = target.partition(".")[0]
    if any(module_name == package or module_name.startswith(f"{package}.") for package in trusted):
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
    # Nobody has a network in the standard library: the advice to trust it would only open the door.
    known = root in ("dlexp", "torch", "torchvision", "timm") or root in sys.stdlib_module_names
    remedy = "" if known else f"if you trust that package, add --trust {root}"
    raise ConfigError.one("_target_", target, "is not among what a configuration may call", remedy, code="untrusted")


def check_arguments(
    node: Node, runtime: Sequence[str], trusted: Sequence[str], *, is_complete: bool = True
) -> list[Problem]:
    """Problems of the node's arguments with the signature of its target.

    Args:
        runtime: Names of arguments that are supplied later.
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
            remedy = f"did you mean {node.group}.{near[0]}?" if near else f"it takes {taken}"
            problems.append(
                Problem(
                    f"{node.group}.{name}",
                    str(value),
                    f"{node.target} has no such argument",
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
                    f"{node.target} needs it",
                    f"add +{node.group}.{name}=...",
                    code="missing-value",
                )
            )
    return problems


def build(node: Node, runtime: Mapping[str, Any], trusted: Sequence[str]) -> Any:
    """Call the node's target with its arguments and those values of `runtime` that its signature asks for.

    Raises ConfigError for arguments that do not fit, and for whatever the target itself raises, OutOfMemory where no
    memory holds what it makes. The target's own exception is the cause.
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
        from dlexp.runtime.out_of_memory import out_of_memory  # here, for it loads torch

        if told := out_of_memory(error, f"building {node.group}={node.option}", None, _SMALLER.get(node.group, "")):
            raise told from error
        if node.group == "data" and isinstance(error, OSError):
            with reading_data(node.arguments.get("path")):
                raise
        raise ConfigError.one(
            node.group, node.option, message_of(error), _how_to_see(node), code="invalid-value"
        ) from error


def _how_to_see(node: Node) -> str:
    """How to see where an exception of a user's own component comes from."""
    is_own = node.target.partition(".")[0] == "dlexp"
    return "" if is_own else "set DLEXP_DEBUG=1 to see the traceback"


def _imported(module_name: str, target: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ImportError as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and not module_name.startswith(missing):
            raise ConfigError.one(
                "_target_", target, f"needs the package {missing}", f"pip install {missing}", code="missing-package"
            ) from error
        remedy = "run dlexp in the folder that holds the package, or install it"
        raise ConfigError.one("_target_", target, f"cannot be imported: {error}", remedy, code="not-found") from error


def _attribute(module: Any, module_name: str, name: str) -> Callable[..., Any]:
    found = getattr(module, name, None)
    if not callable(found):
        near = get_close_matches(name, [n for n in dir(module) if not n.startswith("_")], n=1)
        remedy = f"did you mean {module_name}.{near[0]}?" if near else ""
        raise ConfigError.one("_target_", f"{module_name}.{name}", "is not there", remedy, code="not-found")
    result: Callable[..., Any] = found
    return result
