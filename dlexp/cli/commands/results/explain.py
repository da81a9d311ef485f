"""The command `dlexp explain`: explains outputs of a run, and checks the explanations."""

from __future__ import annotations

from collections.abc import Sequence

from dlexp.cli import options as given
from dlexp.cli.style import print_json
from dlexp.errors import ConfigError, Problem


def explain_run(
    run: given.Run = "latest",
    words: given.RowsToExplain = None,
    method: given.ExplainMethod = "occlusion",
    split: given.Split = "val",
    checkpoint: given.Checkpoint = "best",
    target: given.ExplainTarget = "predicted",
    baseline: given.ExplainBaseline = "mean",
    count: given.ExplainCount = 8,
    checks: given.ExplainChecks = 100,
    steps: given.ExplainSteps = 64,
    window: given.ExplainWindow = None,
    allow_changes: given.UseChanged = False,
    trust: given.Trust = None,
    json: given.Json = False,
) -> None:
    """Explain outputs of a run: which pixels, columns or steps they depend on. Without ROW, the worst mistakes."""
    from dlexp.workflows.explain.request import ExplainRequest, check_request
    from dlexp.workflows.finished_run import evaluation_changes

    typed = tuple(words or ())
    if "=" in run or run.isdecimal():
        run, typed = "latest", (run, *typed)
    changes = evaluation_changes([word for word in typed if "=" in word])
    rows = _rows([word for word in typed if "=" not in word])
    from dlexp.artifacts.runs.run_dir import RunDir, named_run
    from dlexp.config.nodes import trusted_packages

    request = ExplainRequest(
        method=method,
        rows=rows,
        split=split,
        checkpoint=checkpoint,
        target=target,
        baseline=baseline,
        count=count,
        checks=checks,
        steps=steps,
        window=window,
        changes=changes,
        trusted=trusted_packages(tuple(trust or ())),
        allow_changes=allow_changes,
    )
    check_request(request)
    folder = named_run(run)
    RunDir.find(folder)  # raises an error before torch is imported
    from dlexp.workflows.explain import explain as workflow

    content = workflow.explain_run(folder, request)
    if json:
        print_json(content)
        return
    from dlexp.cli.views.results.explain import show

    show(content)


def _rows(words: Sequence[str]) -> tuple[int, ...]:
    """Numbers of samples. Raises ConfigError for all words that are none."""
    wrong = [word for word in words if not word.isdecimal()]
    if wrong:
        rule = "must be the number of a sample, as in the column `row` of predictions.csv"
        remedy = "Use a whole number, or KEY=VALUE for an override."
        raise ConfigError([Problem("ROW", word, rule, remedy, code="invalid-type") for word in wrong])
    return tuple(int(word) for word in words)
