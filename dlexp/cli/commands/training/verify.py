"""The command `dlexp verify`: verifies that resuming a run is bit-exact."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from dlexp.cli import options as given
from dlexp.cli.argv import common_options
from dlexp.cli.style import print_json
from dlexp.errors import ConfigError

_EPOCHS = "trainer.epochs=3"  # training before and after the stop, and an epoch boundary on either side
_TRACKERS = ("logger.tensorboard=false", "logger.mlflow=false", "logger.wandb=false")
_FORCED = ("trainer.test=false", *_TRACKERS)  # no use of the test split, and only what is compared
_DIFFERENT = 1


def verify(
    run_or_overrides: given.RunOrOverrides = None,
    at: given.StopAt = None,
    determinism: given.Determinism = False,
    config_file: given.ConfigFiles = None,
    config_dir: given.ConfigDirs = None,
    trust: given.Trust = None,
    quiet: given.Quiet = False,
    json: given.Json = False,
) -> None:
    """Verify that resuming a run is bit-exact. A run is stopped, resumed and compared with an uninterrupted one."""
    if at and determinism:
        raise ConfigError.one(
            "--at",
            at[0],
            "cannot be combined with --determinism, which does not stop the run",
            "Remove one of the two options.",
            code="cannot-combine",
        )
    from dlexp.cli.commands.configuration import catalog_of, configuration, refuse_file, trusted_of, words_of

    common = common_options(config_dir, trust)
    catalog = catalog_of(common)
    run, typed_words = _split(run_or_overrides or ())
    if run is not None:
        refuse_file(run, "RUN", "verify")
    overrides = words_of(typed_words, config_file, catalog, run or "")
    forced = (*(() if _says_epochs(overrides) else (_EPOCHS,)), *_FORCED)
    config, typed, _ = configuration((*overrides, *forced), run, catalog)
    trusted = trusted_of(common)
    from dlexp.cli.views.training.display import reporter
    from dlexp.cli.views.training.verify import show
    from dlexp.workflows.verify import verify as workflow

    request = workflow.VerifyRequest(typed, (common.command,), trusted, tuple(at or ()), determinism)
    content = workflow.verify(config, request, reporter(quiet or json))
    if json:
        print_json(content)
    else:
        show(content, common.command)
    if not content["equal"]:
        raise typer.Exit(_DIFFERENT)


def _split(arguments: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """(the run, None if the first argument is an override; the overrides)."""
    is_run = bool(arguments) and "=" not in arguments[0]
    return (arguments[0], tuple(arguments[1:])) if is_run else (None, tuple(arguments))


def _says_epochs(overrides: Sequence[str]) -> bool:
    return any(word.lstrip("+").startswith("trainer.epochs=") for word in overrides)
