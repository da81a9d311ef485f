"""The words of the command line: each option once, with its help, its range and what completes it."""

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
    typer.Option("--config-dir", help="a folder with groups of your own, such as my_conf/model/my_net.yaml"),
]
Trust = Annotated[
    list[str] | None,
    typer.Option("--trust", metavar="PACKAGE", help="a package of your own that a configuration may call"),
]
RunDirectory = Annotated[
    Path | None, typer.Option("--run-dir", "-o", help="use exactly this directory, which must be new or empty")
]
RunId = Annotated[
    str | None,
    typer.Option("--run-id", metavar="ID", help="start outputs/train/ID, continue it, or leave it finished"),
]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="[RUN]",
        help="continue the newest unfinished run, or RUN, in its own directory",
        autocompletion=completion.runs,
    ),
]
FromRun = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="RUN", help="repeat a past run, with the changes given", autocompletion=completion.runs
    ),
]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, help="train this many runs that differ in the seed alone")]
Multirun = Annotated[
    bool,
    typer.Option("--multirun", "-m", help="train every combination, as in model=mlp,simple_cnn seed=range(3)"),
]
CellJobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="with -m: runs side by side on this machine")]
AllowChanges = Annotated[
    bool, typer.Option("--allow-changes", help="go on although code, versions or machine are others than before")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="build everything, make one update in memory, write nothing")]
Run = Annotated[str, typer.Argument(help="a run directory, or `latest`", autocompletion=completion.runs)]
EvaluationWords = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...", help="trainer.device, trainer.precision, data.eval_batch_size or data.path"
    ),
]
AdaptationWords = Annotated[
    list[str] | None,
    typer.Argument(metavar="[data=OPTION | data.KEY=VALUE]...", help="the data to adapt to, and trainer.device"),
]
ReplayWords = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="trainer.device")]
Split = Annotated[str, typer.Option("--split", help="train, val or test", autocompletion=completion.splits)]
Checkpoint = Annotated[str, typer.Option("--checkpoint", help="best or last")]
Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT... [KEY=VALUE]...",
        help="files, folders, 'patterns/*.png', or - for CSV rows on standard input; and trainer.device and the like",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="write to this file: .csv, .json, .jsonl or .parquet; standard output otherwise"),
]
Format = Annotated[str | None, typer.Option("--format", help="csv, json, jsonl or parquet, whatever the suffix")]
FilesFrom = Annotated[
    str | None,
    typer.Option("--files-from", metavar="FILE", help="also the files named in FILE, a line each; - is stdin"),
]
BatchSize = Annotated[int | None, typer.Option("--batch-size", min=1, help="samples of a forward pass")]
Probabilities = Annotated[bool, typer.Option("--probabilities", "-p", help="a column for each class")]
Top = Annotated[int, typer.Option("--top", min=0, metavar="K", help="the K most probable classes")]
IgnoreExtra = Annotated[bool, typer.Option("--ignore-extra", help="pass over columns that training did not have")]
Separator = Annotated[str | None, typer.Option("--separator", help="between two cells of a CSV file")]
UseChanged = Annotated[bool, typer.Option("--allow-changes", help="go on although config.yaml was edited by hand")]
Force = Annotated[bool, typer.Option("--force", help="replace a file that is there")]
To = Annotated[
    str, typer.Option("--to", help="onnx, torch-export or safetensors", autocompletion=completion.export_formats)
]
ExportOut = Annotated[Path | None, typer.Option("--out", "-o", help="this file; RUN/export/model.SUFFIX otherwise")]
WithPreprocessing = Annotated[
    bool, typer.Option("--with-preprocessing", help="raw input in, probabilities or values out: both in the file")
]
Samples = Annotated[
    list[str] | None,
    typer.Option("--samples", metavar="INPUT", help="compare on these samples, not on random ones"),
]
Tolerance = Annotated[float, typer.Option("--tolerance", min=0, help="largest difference, over 1 + the largest output")]
Resamples = Annotated[
    int, typer.Option("--resamples", min=0, help="bootstrap resamples of the intervals; 0 makes none")
]
Level = Annotated[float, typer.Option("--level", help="share of the resamples that an interval holds")]
Trials = Annotated[int, typer.Option("--trials", "-n", min=1, help="how many trials the study has in all")]
StudyName = Annotated[
    str | None, typer.Option("--name", help="the study's directory under outputs/tune; an old name goes on with it")
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="trials side by side on this machine")]
Storage = Annotated[
    str | None,
    typer.Option("--storage", metavar="URL", help="sqlite:///, journal:/// or postgresql://: what machines can share"),
]
Migrate = Annotated[
    str | None, typer.Option("--migrate", metavar="STUDY", help="begin with the trials of STUDY that lie in this space")
]
DryRunOfStudy = Annotated[
    bool, typer.Option("--dry-run", help="the space, sampled configurations and a bound on the cost; nothing is run")
]
Dashboard = Annotated[
    bool, typer.Option("--dashboard", help="show the study of --name or --storage in a browser; nothing is run")
]
Explain = Annotated[
    str | None,
    typer.Option("--explain", metavar="KEY", help="value, rule, default, help and origin of one key"),
]
Sources = Annotated[bool, typer.Option("--sources", help="every key with where its value comes from")]
PlotSchedule = Annotated[
    str | None,
    typer.Option(
        "--plot-schedule",
        metavar="[FILE]",
        help="draw the learning rate of every update into FILE, schedule.png unless another is named",
    ),
]
Group = Annotated[str | None, typer.Argument(help="model, optim, scheduler, ...", autocompletion=completion.groups)]
MinRate = Annotated[float, typer.Option("--min-lr", help="where the sweep begins")]
MaxRate = Annotated[float, typer.Option("--max-lr", help="where it ends, unless the loss diverges before")]
SweepSteps = Annotated[int, typer.Option("--steps", help="updates of a sweep, 20 or more")]
SweepSeeds = Annotated[int, typer.Option("--seeds", help="sweeps with other weights and order; their median counts")]
SweepLoss = Annotated[str, typer.Option("--loss", help="train: of each update's samples; val: of validation samples")]
ValBatches = Annotated[int, typer.Option("--val-batches", help="batches of validation samples, for --loss val")]
Apply = Annotated[
    bool, typer.Option("--apply", help="write the override, also as experiment=lr_found into the first --config-dir")
]
ProfileSteps = Annotated[
    int | None, typer.Option("--steps", help="updates of each measurement; as many as some seconds hold otherwise")
]
Machine = Annotated[
    bool, typer.Option("--machine", help="show what is decided for this machine, why, and which key decides otherwise")
]
VerifyWords = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN] [GROUP=OPTION | KEY=VALUE]...",
        help="a run, `latest`, or a configuration; three epochs unless trainer.epochs says otherwise",
        autocompletion=completion.runs_and_overrides,
    ),
]
StopAt = Annotated[
    list[int] | None,
    typer.Option("--at", metavar="UPDATE", help="stop after this update, in place of one stop of each kind"),
]
Determinism = Annotated[bool, typer.Option("--determinism", help="train twice without a stop, and compare the two")]
Pages = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN | STUDY]...",
        help="a run, a study, or several runs; the newest run otherwise",
        autocompletion=completion.runs_and_studies,
    ),
]
PageFile = Annotated[
    Path | None, typer.Option("--out", help="the page's file, report.html in the directory of the run otherwise")
]
OpenPage = Annotated[bool, typer.Option("--open", help="show the page in a browser")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress, only the result")]
Depth = Annotated[
    int | None,
    typer.Option("--depth", min=1, help="add up layers whose names agree in so many parts; the table alone"),
]
Json = Annotated[bool, typer.Option("--json", help="the result as one JSON document on standard output")]
