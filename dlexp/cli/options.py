"""The options of the command line, each with its help, range and completion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlexp.cli import completion

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[GROUP=OPTION | KEY=VALUE]...",
        help="the configuration, such as model=resnet18 optim.lr=0.01",
        autocompletion=completion.overrides,
    ),
]
ConfigDirs = Annotated[
    list[Path] | None,
    typer.Option("--config-dir", help="directory with your own options, such as my_conf/model/my_net.yaml"),
]
ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="YAML file with a configuration, or - for standard input; words on the line come after it; repeatable",
    ),
]
Trust = Annotated[
    list[str] | None,
    typer.Option("--trust", metavar="PACKAGE", help="Python package that a configuration is allowed to call"),
]
RunDirectory = Annotated[
    Path | None, typer.Option("--run-dir", "-o", help="write to this directory, which must be new or empty")
]
RunId = Annotated[
    str | None,
    typer.Option(
        "--run-id",
        metavar="ID",
        help="use outputs/train/ID: start it, resume it, or do nothing if finished",
        autocompletion=completion.run_ids,
    ),
]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="[RUN]",
        help="resume RUN, or the newest unfinished run, in its own directory",
        autocompletion=completion.runs,
    ),
]
FromRun = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="RUN", help="start a new run with the configuration of RUN", autocompletion=completion.runs
    ),
]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, help="train this many runs that differ only in the seed")]
Stacked = Annotated[
    bool,
    typer.Option("--stacked", help="with --seeds or -m: train runs of the same shapes together, as one network"),
]
StackedTrials = Annotated[
    int, typer.Option("--stacked", min=1, help="train this many trials together, as one network, where shapes allow")
]
Multirun = Annotated[
    bool,
    typer.Option("--multirun", "-m", help="train all combinations, as in model=mlp,simple_cnn seed=range(3)"),
]
SweepJobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="with -m: number of runs in parallel")]
AllowChanges = Annotated[
    bool, typer.Option("--allow-changes", help="resume even if the code, package versions or hardware have changed")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="build everything and make one update without writing files")]
Run = Annotated[str, typer.Argument(help="run directory, or `latest`", autocompletion=completion.runs)]
RunOrGroup = Annotated[
    str, typer.Argument(help="directory of a run or a group of seeds, or `latest`", autocompletion=completion.runs)
]
RunsToEvaluate = Annotated[
    str,
    typer.Argument(
        help="directory of a run, a group of seeds or a sweep, or `latest`",
        autocompletion=completion.runs,
    ),
]
EvaluationOverrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="overrides, such as metrics, trainer.device or data.path",
        autocompletion=completion.overrides,
    ),
]
AdaptationOverrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[data=OPTION | data.KEY=VALUE]...", help="data to adapt to, and trainer.device"),
]
ReplayOverrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="trainer.device")]
Split = Annotated[
    str, typer.Option("--split", help="split of the samples: train, val or test", autocompletion=completion.splits)
]
RowsToExplain = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ROW | KEY=VALUE]...",
        help="numbers of samples, as in predictions.csv, default: the worst mistakes; overrides such as trainer.device",
    ),
]
ExplainMethod = Annotated[
    str,
    typer.Option(
        "--method",
        help="saliency, gradient_x_input, integrated_gradients, smoothgrad, gradcam, occlusion, attention, permutation "
        "or shapley",
        autocompletion=completion.explain_methods,
    ),
]
ExplainTarget = Annotated[
    str, typer.Option("--target", metavar="NAME", help="predicted, true, or the class or value to explain")
]
ExplainBaseline = Annotated[
    str, typer.Option("--baseline", help="what an absent part is: mean of the training data, or zero")
]
ExplainCount = Annotated[
    int, typer.Option("--count", min=1, metavar="N", help="without ROW, explain this many of the worst mistakes")
]
ExplainChecks = Annotated[
    int, typer.Option("--checks", min=0, metavar="N", help="check the method on N samples; 0: no checks")
]
ExplainSteps = Annotated[int, typer.Option("--steps", min=1, help="steps of integrated_gradients")]
ExplainWindow = Annotated[
    int | None,
    typer.Option("--window", min=1, metavar="PIXELS", help="side of the square of occlusion; default: an eighth"),
]
RowsToReconstruct = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ROW | KEY=VALUE]...",
        help="numbers of samples, as in predictions.csv, for --reconstruct and --interpolate; overrides such as "
        "trainer.device",
    ),
]
SampleCount = Annotated[
    int | None,
    typer.Option(
        "--count", "-n", min=1, metavar="N", help="samples, or rows of the picture; default: about 64, or 8 rows"
    ),
]
SampleSeed = Annotated[int, typer.Option("--seed", min=0, help="seed of the noise")]
FirstSample = Annotated[
    int, typer.Option("--first", min=0, metavar="K", help="number of the first sample; sample K is always the same")
]
SampleClasses = Annotated[
    list[str] | None,
    typer.Option("--class", metavar="CLASS", help="name or number of a class, or several; default: all in turn"),
]
Guidance = Annotated[
    float | None, typer.Option("--guidance", help="strength of classifier-free guidance; default: that of the task")
]
SampleSteps = Annotated[
    int | None, typer.Option("--steps", min=1, help="denoising steps of a sample; default: that of the task")
]
Interpolate = Annotated[
    int | None, typer.Option("--interpolate", min=2, metavar="K", help="go from one sample to another in K steps")
]
Between = Annotated[
    list[str] | None,
    typer.Option(
        "--between", metavar="A,B", help="with --interpolate: two classes, or two ROWs of data without; default: noises"
    ),
]
Reconstruct = Annotated[
    bool, typer.Option("--reconstruct", help="show samples of the data beside what is made of them")
]
Traverse = Annotated[
    str | None,
    typer.Option("--traverse", metavar="K", help="vary latent K, counted from 0, or all, from -3 to 3 deviations"),
]
SampleSplit = Annotated[
    str | None,
    typer.Option(
        "--split",
        help="where samples of the data are: train, val or test; default: val",
        autocompletion=completion.splits,
    ),
]
SampleOut = Annotated[
    Path | None, typer.Option("--out", "-o", help="directory of the files; default: samples/ in that of the run")
]
Checkpoint = Annotated[str, typer.Option("--checkpoint", help="best or last", autocompletion=completion.checkpoints)]
Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT... [KEY=VALUE]...",
        help="files, directories, 'patterns/*.png', or - for CSV rows or texts on standard input; overrides",
    ),
]
Texts = Annotated[
    list[str] | None,
    typer.Option("--text", metavar="TEXT", help="a text to predict, for runs trained on texts; repeat it for more"),
]
Beam = Annotated[
    int, typer.Option("--beam", metavar="K", help="follow the K most probable outputs of a sequence; 1 is greedy")
]
LengthPenalty = Annotated[
    float,
    typer.Option("--length-penalty", help="with --beam, the power of the length that scores are divided by; 0: none"),
]
Temperature = Annotated[
    float | None,
    typer.Option("--temperature", help="draw tokens: below 1 the probable ones more often, above 1 less often"),
]
TopK = Annotated[int | None, typer.Option("--top-k", metavar="K", help="draw from the K most probable tokens")]
TopP = Annotated[
    float | None,
    typer.Option("--top-p", metavar="P", help="draw from the fewest tokens whose probabilities add up to P"),
]
RepetitionPenalty = Annotated[
    float, typer.Option("--repetition-penalty", help="above 1, tokens that were put out become less probable")
]
MaxLength = Annotated[
    int | None, typer.Option("--max-length", metavar="N", help="largest number of tokens that are put out")
]
GenerationSeed = Annotated[int, typer.Option("--seed", help="seed of drawn tokens")]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="output file: .csv, .tsv, .json, .jsonl or .parquet; default: standard output"),
]
Format = Annotated[str | None, typer.Option("--format", help="csv, tsv, json, jsonl or parquet; default: by suffix")]
FilesFrom = Annotated[
    str | None,
    typer.Option("--files-from", metavar="FILE", help="read file names from FILE, one per line; - is standard input"),
]
BatchSize = Annotated[int | None, typer.Option("--batch-size", min=1, help="samples per forward pass")]
Probabilities = Annotated[
    bool, typer.Option("--probabilities", "-p", help="add a column with the probability of each class")
]
Top = Annotated[int, typer.Option("--top", min=0, metavar="K", help="add the K most probable classes")]
IgnoreExtra = Annotated[bool, typer.Option("--ignore-extra", help="ignore columns that the training data did not have")]
Separator = Annotated[
    str | None, typer.Option("--separator", help="separator of CSV files, such as tab; default: detected")
]
EvaluateChanged = Annotated[
    bool, typer.Option("--allow-changes", help="evaluate even if the data or config.yaml have changed since training")
]
UseChanged = Annotated[bool, typer.Option("--allow-changes", help="use the run even if its config.yaml was edited")]
Force = Annotated[bool, typer.Option("--force", help="overwrite an existing file")]
To = Annotated[
    str, typer.Option("--to", help="onnx, torch-export or safetensors", autocompletion=completion.export_formats)
]
ExportOut = Annotated[Path | None, typer.Option("--out", "-o", help="output file; default: RUN/export/model.SUFFIX")]
WithPreprocessing = Annotated[
    bool,
    typer.Option("--with-preprocessing", help="include preprocessing and postprocessing: raw input to predictions"),
]
Samples = Annotated[
    list[str] | None,
    typer.Option("--samples", metavar="INPUT", help="check the outputs on these samples instead of random inputs"),
]
Tolerance = Annotated[
    float, typer.Option("--tolerance", min=0, help="maximum difference, relative to 1 + largest output")
]
Resamples = Annotated[
    int, typer.Option("--resamples", min=0, help="bootstrap resamples for confidence intervals; 0: no intervals")
]
Level = Annotated[float, typer.Option("--level", help="confidence level of the intervals")]
MeasuredSamples = Annotated[
    int | None,
    typer.Option(
        "--samples",
        min=0,
        metavar="N",
        help="generative runs: measure this many new samples; 0: none; default: as many as there are training samples, "
        "at most 10,000",
    ),
]
MeasuredSteps = Annotated[
    int | None, typer.Option("--steps", min=1, help="generative runs: denoising steps of the samples")
]
MeasuredGuidance = Annotated[
    float | None, typer.Option("--guidance", help="generative runs: strength of classifier-free guidance")
]
Trials = Annotated[int, typer.Option("--trials", "-n", min=1, help="total number of trials of the study")]
StudyName = Annotated[
    str | None, typer.Option("--name", help="directory of the study under outputs/tune; an existing study is continued")
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="number of trials in parallel")]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage", metavar="URL", help="shared storage of the study: sqlite:///, journal:/// or postgresql://"
    ),
]
Migrate = Annotated[
    str | None, typer.Option("--migrate", metavar="STUDY", help="copy the trials of STUDY that lie in the search space")
]
DryRunOfStudy = Annotated[
    bool, typer.Option("--dry-run", help="print the search space, sampled configurations and the maximum cost")
]
Dashboard = Annotated[
    bool,
    typer.Option("--dashboard", help="serve the study of --name or --storage to a browser, without running trials"),
]
Explain = Annotated[
    str | None,
    typer.Option(
        "--explain",
        metavar="KEY",
        help="print the value, rule, default, help and source of a key",
        autocompletion=completion.keys,
    ),
]
Sources = Annotated[bool, typer.Option("--sources", help="print every key with the source of its value")]
PlotSchedule = Annotated[
    str | None,
    typer.Option(
        "--plot-schedule",
        metavar="[FILE]",
        help="plot the learning rate of every update to FILE; default: schedule.png",
    ),
]
Group = Annotated[
    str | None, typer.Argument(help="configuration group, such as model", autocompletion=completion.groups)
]
MinRate = Annotated[float, typer.Option("--min-lr", help="first learning rate")]
MaxRate = Annotated[float, typer.Option("--max-lr", help="last learning rate, unless the loss diverges before")]
SweepSteps = Annotated[int, typer.Option("--steps", help="number of updates, at least 20")]
SweepSeeds = Annotated[
    int, typer.Option("--seeds", help="number of repetitions with different seeds; the median is used")
]
SweepLoss = Annotated[str, typer.Option("--loss", help="train: loss of each batch; val: loss on validation samples")]
ValBatches = Annotated[int, typer.Option("--val-batches", help="number of validation batches for --loss val")]
Apply = Annotated[
    bool, typer.Option("--apply", help="write the result as an override, and as experiment=lr_found to --config-dir")
]
ProfileSteps = Annotated[
    int | None, typer.Option("--steps", help="updates per measurement; default: as many as take a few seconds")
]
Machine = Annotated[
    bool, typer.Option("--machine", help="print the settings chosen for this machine, with reasons and keys")
]
RunOrOverrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN] [GROUP=OPTION | KEY=VALUE]...",
        help="a run, `latest`, or overrides; trains 3 epochs unless trainer.epochs is given",
        autocompletion=completion.runs_and_overrides,
    ),
]
RunOrConfiguration = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN] [GROUP=OPTION | KEY=VALUE]...",
        help="a run with overrides such as trainer.device, default: the latest run; or the words of a run to train",
        autocompletion=completion.runs_and_overrides,
    ),
]
StopAt = Annotated[
    list[int] | None,
    typer.Option("--at", metavar="UPDATE", help="stop after this update instead of once per kind of stop; repeatable"),
]
Determinism = Annotated[bool, typer.Option("--determinism", help="train twice without stopping and compare the runs")]
Pages = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN | STUDY]...",
        help="a run, a study or several runs; default: the newest run",
        autocompletion=completion.runs_and_studies,
    ),
]
PageFile = Annotated[
    Path | None, typer.Option("--out", help="HTML file to write; default: report.html in the run directory")
]
OpenPage = Annotated[bool, typer.Option("--open", help="open the page in a browser")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="show only the result, no progress")]
MetricsOnly = Annotated[bool, typer.Option("--quiet", "-q", help="show only the metrics")]
Depth = Annotated[
    int | None,
    typer.Option("--depth", min=1, help="combine layers whose names share this many parts"),
]
Json = Annotated[bool, typer.Option("--json", help="print the result as one JSON document")]
Runs = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN...", help="run directories, groups of seeds or sweeps", autocompletion=completion.runs),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where", metavar="KEY=VALUE", help="only runs that meet a condition, such as 'optim.lr<1e-3'; repeatable"
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="do not ask for confirmation")]
