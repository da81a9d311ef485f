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
    from dlexp.workflows.sample.request import SampleRequest, check_request

    run, rows, overrides = _words(run, tuple(words or ()))
    from dlexp.artifacts.runs.run_dir import RunDir, named_run
    from dlexp.config.nodes import trusted_packages
    from dlexp.workflows.finished_run import evaluation_changes

    ends = tuple(between or ())
    request = SampleRequest(
        *(count, seed, first, tuple(classes or ()), guidance, steps, interpolate),
        *(tuple(ends[0].split(",")) if len(ends) == 1 else ends, reconstruct, traverse, rows, split, checkpoint, out),
        changes=evaluation_changes(overrides),
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


def _words(run: str, words: tuple[str, ...]) -> tuple[str, tuple[int, ...], list[str]]:
    """The run, numbers of samples, and overrides. Raises ConfigError for words that are none of them."""
    if "=" in run or run.isdecimal():
        run, words = "latest", (run, *words)
    wrong = [word for word in words if "=" not in word and not word.isdecimal()]
    if wrong:
        rule = "must be the number of a sample, as in the column `row` of predictions.csv"
        remedy = "Use a whole number, or KEY=VALUE for an override."
        raise ConfigError([Problem("ROW", word, rule, remedy, code="invalid-type") for word in wrong])
    return run, tuple(int(word) for word in words if "=" not in word), [word for word in words if "=" in word]
