"""Names of configuration groups, sections and top-level keys, without their rules, for help and completion."""

from __future__ import annotations

GROUPS = (
    *("model", "optim", "scheduler", "regularization", "compression", "data", "task", "loss", "trainer", "logger"),
    "experiment",
)
# Group -> an option of it in a sentence; the name of the group where none is given.
NOUNS = {
    "optim": "optimizer",
    "scheduler": "learning-rate schedule",
    "regularization": "regularization preset",
    "compression": "compression preset",
    "data": "data set",
    "trainer": "trainer preset",
}
METRICS = "metrics"  # a list, whose items may be files of a folder of that name in a --config-dir
SWEEP = "sweep"  # axes in an experiment or a file of --config, which only `dlexp train` reads
CASES = "cases"  # of a sweep: named sets of overrides, of which each job has one
SEARCH = "search"  # a group that only `dlexp tune` reads
# Groups whose node names a callable (`_target_`), and groups whose keys are the fields of a dataclass.
COMPONENTS = ("data", "model", "task", "loss", "optim", "scheduler")
SECTION_NAMES = ("trainer", "regularization", "compression", "logger")
TOP_LEVEL_NAMES = ("seed", "deterministic", "init_from", "init_head", "init_strict", "name", "metrics")
PREFERS = "_prefers_"  # of a model's file: options and values of other groups, unless the user or an experiment decides
