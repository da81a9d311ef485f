"""The command `dlexp sample`: samples of a generative run, reconstructions, and paths between them."""

from __future__ import annotations

from dlexp.cli import options as given
from dlexp.cli.style import print_json
from dlexp.errors import ConfigError, Problem


def sample(
    run: given.Run = "latest",
    words: given.RowsToReconstruct = None,
    count: given.SampleCount = None,
    seed: given.SampleSeed = 0,
    first: given.FirstSample = 0,
    classes: given.SampleClasses = None,
    guidance: given.Guidance = None,
    steps: given.SampleSteps = None,
    interpolate: given.Interpolate = None,
    between: given.Between = None,
    reconstruct: given.Reconstruct = False,
    traverse: given.Traverse = None,
    split: given.SampleSplit = None,
    checkpoint: given.Checkpoint = "best",
    out: given.SampleOut = None,
    allow_changes: given.UseChanged = False,
    trust: given.Trust = None,
    quiet: given.Quiet = False,
    json: given.Json = False,
) -> None:
    """Make samples with a generative run, reconstruct data, or go from one sample to another."""
    from dlexp.workflows.finished_run import evaluation_changes
    from dlexp.workflows.sample.request import SampleRequest, check_request

    typed = tuple(words or ())
    if "=" in run or run.isdecimal():
        run, typed = "latest", (run, *typed)
    wrong = [word for word in typed if "=" not in word and not word.isdecimal()]
    if wrong:
        rule = "must be the number of a sample, as in the column `row` of predictions.csv"
        remedy = "Use a whole number, or KEY=VALUE for an override."
        raise ConfigError([Problem("ROW", word, rule, remedy, code="invalid-type") for word in wrong])
    from dlexp.artifacts.runs.run_dir import RunDir, named_run
    from dlexp.config.nodes import trusted_packages

    ends = tuple(between or ())
    request = SampleRequest(
        count=count,
        seed=seed,
        first=first,
        classes=tuple(classes or ()),
        guidance=guidance,
        steps=steps,
        interpolate=interpolate,
        between=tuple(ends[0].split(",")) if len(ends) == 1 else ends,
        reconstruct=reconstruct,
        traverse=traverse,
        rows=tuple(int(word) for word in typed if "=" not in word),
        split=split,
        checkpoint=checkpoint,
        out=out,
        changes=evaluation_changes([word for word in typed if "=" in word]),
        trusted=trusted_packages(tuple(trust or ())),
        allow_changes=allow_changes,
    )
    check_request(request)
    folder = named_run(run)
    RunDir.find(folder)  # raises an error before torch is imported
    from dlexp.cli.views.results.sample import progress_bar, show
    from dlexp.workflows.sample import sample as workflow

    with progress_bar(quiet or json) as progress:
        content = workflow.sample_run(folder, request, progress)
    if json:
        print_json(content)
    else:
        show(content, quiet)
