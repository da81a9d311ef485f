"""The names that every run has, without the rules that go with them: help and TAB need no more."""

from __future__ import annotations

GROUPS = ("model", "optim", "scheduler", "regularization", "data", "task", "loss", "trainer", "logger", "experiment")
SEARCH = "search"  # a folder of options too, that only `dlexp tune` reads
ALIASES = {"optimizer": "optim"}
# Groups whose node names what to call, and groups whose keys are fields of a dataclass.
COMPONENTS = ("data", "model", "task", "loss", "optim", "scheduler")
SECTION_NAMES = ("trainer", "regularization", "logger")
TOP_LEVEL_NAMES = ("seed", "deterministic", "init_from", "init_head", "init_strict", "name")
