"""What surrounds a call of dlexp in another program: the program finds its process as it was.

A command line ends with its process. A notebook goes on: its random numbers, threads and signals are its own.
Messages name options of the command line; here they are given as arguments.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from dlexp.config.files.catalog import Catalog
from dlexp.config.files.own_folders import own_folders
from dlexp.config.nodes import trusted_packages
from dlexp.data.memory.handed_over import hand_over
from dlexp.errors import ConfigError, DlexpError, refusal_of, refuse_without_folder
from dlexp.runtime.process import prepare_process
from dlexp.runtime.signals import in_another_program

# Options in messages -> the arguments of the same meaning.
_RESUME = re.compile(r"dlexp train --resume (\S+)((?: [\w.]+=\S+)*)")
_REPEAT = re.compile(r"dlexp train --from (\S+)((?: [\w.]+=\S+)*)")
_EVALUATE = re.compile(r"dlexp evaluate (\S*[\w/])")
_ROWS = re.compile(r"\bROW\b")
_FLAGS = re.compile(r"--(allow-changes|ignore-extra|reconstruct|vote|calibrate|snapshots)\b")
_VALUES = re.compile(
    r"--(run-id|run-dir|seeds|min-lr|max-lr|steps|loss|checkpoint|split|trust|method|baseline|count|checks|target|seed"
    r"|first|guidance|interpolate|traverse|between|samples|weights|tta)(?:[ =]([\w.+-]*\w))?(?![,\w])"
)
_TEXTS = (
    *("run-id", "run-dir", "loss", "checkpoint", "split", "trust", "method", "baseline", "target", "traverse"),
    *("weights", "tta"),
)
_NAMES = {"target": "output"}  # of arguments that are called otherwise: target is a column of the data
_BETWEEN = re.compile(r"--between[ =]([^\s,]+),([^\s,.]+)")


def catalog_of(config_dirs: Sequence[str | Path]) -> Catalog:
    """The options of dlexp, of `config_dirs` and of DLEXP_CONFIG_DIR."""
    return Catalog(own_folders(config_dirs))


def trusted_of_call(trust: Sequence[str]) -> tuple[str, ...]:
    """The packages that a call and DLEXP_TRUST trust."""
    return trusted_packages((trust,) if isinstance(trust, str) else tuple(trust))


@contextmanager
def session(given: object | None = None) -> Iterator[None]:
    """Run the body as a guest of the calling program.

    Random generators, threads and precision of torch are restored, signal handlers too, and what is `given` is found by
    the data sources. Raises DlexpError for errors of the operating system, and with arguments of Python in place of
    options of the command line.
    """
    refuse_without_folder()
    prepare_process()  # before torch is loaded, where it is not
    with in_another_program(), hand_over(given):
        from dlexp.runtime.seed import kept_randomness

        with kept_randomness(), _kept_settings():
            try:
                yield
            except DlexpError as error:
                raise _translated(error) from error.__cause__
            except OSError as error:
                raise refusal_of(error) from error


def in_python(text: str) -> str:
    """A message with the arguments of Python in place of the options of the command line."""
    text = _RESUME.sub(lambda found: f"dlexp.resume({_listed(found[1], *found[2].split())})", text)
    text = _REPEAT.sub(lambda found: f"dlexp.load({_listed(found[1])}).repeat({_listed(*found[2].split())})", text)
    text = _EVALUATE.sub(lambda found: f"dlexp.load({_listed(found[1])}).evaluate()", text)
    text = _BETWEEN.sub(r'between=("\1", "\2")', text.replace("--class", "classes"))
    text = _ROWS.sub("rows", text)
    text = _FLAGS.sub(lambda found: f"{_argument(found[1])}=True", text)
    return _VALUES.sub(_assigned, text)


def _translated(error: DlexpError) -> DlexpError:
    """`error`, with its message translated in place, so that its type and attributes remain."""
    if isinstance(error, ConfigError):
        error.problems = tuple(
            replace(p, where=in_python(p.where), rule=in_python(p.rule), remedy=in_python(p.remedy))
            for p in error.problems
        )
        error.args = ("\n".join(map(str, error.problems)),)
    else:
        error.args = (in_python(str(error)),)
    return error


def _argument(option: str) -> str:
    """`run_dir` for `run-dir`."""
    return _NAMES.get(option, option.replace("-", "_"))


def _assigned(found: re.Match[str]) -> str:
    name, given = found[1], found[2]
    content = "" if given is None else f'="{given}"' if name in _TEXTS else f"={given}"
    return _argument(name) + content


def _listed(*words: str) -> str:
    """Words of a command line as the texts of a call."""
    return ", ".join(f'"{text}"' for word in words for text in shlex.split(word))


@contextmanager
def _kept_settings() -> Iterator[None]:
    """Restore the settings of torch that a run changes for its process."""
    import torch

    cudnn: Any = torch.backends.cudnn  # torch's type annotations lack these attributes
    products = (torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn)
    threads, benchmark = torch.get_num_threads(), cudnn.benchmark
    precisions = [part.fp32_precision for part in products]
    is_deterministic = torch.are_deterministic_algorithms_enabled()
    workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        cudnn.benchmark = benchmark
        for part, value in zip(products, precisions, strict=True):
            part.fp32_precision = value
        if is_deterministic != torch.are_deterministic_algorithms_enabled():
            torch.use_deterministic_algorithms(is_deterministic)
        if workspace is None:
            os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
