#!/usr/bin/env bash
# datasets 5.2.0: reading Parquet files that `datasets` wrote gives every file the class names of the first.
#
# Expected  A file written by Dataset.to_parquet keeps its own ClassLabel names. Files whose class lists differ are
#           matched by name or refused, as concatenate_datasets refuses the same two data sets.
# Real      load_dataset("parquet", data_files={"train": A, "test": B}) reads the names from A alone, and the class
#           numbers of B as they are. "light" of B is silently read as "dark". Two files of one split likewise.
# Exit      0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/python -m pip install --quiet datasets==5.2.0
export HF_HOME="$room/cache" HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1
venv/bin/python - <<'PY'
import sys

import datasets
from datasets import ClassLabel, Dataset, Features, concatenate_datasets, load_dataset


def labeled(names, texts):
    features = Features({"label": ClassLabel(names=names)})
    return Dataset.from_dict({"label": texts}, features=features)


def texts(part):
    return [part.features["label"].int2str(number) for number in part["label"][:]]


train = labeled(["dark", "light"], ["dark", "light", "light"])
test = labeled(["light", "dark"], ["light", "light", "dark"])
train.to_parquet("train.parquet")
test.to_parquet("test.parquet")
alone = load_dataset("parquet", data_files={"test": "test.parquet"})["test"]
both = load_dataset("parquet", data_files={"train": "train.parquet", "test": "test.parquet"})
one_split = load_dataset("parquet", data_files=["train.parquet", "test.parquet"], split="train")
try:
    concatenate_datasets([train, test])
    refused = False
except ValueError:
    refused = True
print("datasets", datasets.__version__)
print("written           ", texts(test))
print("read alone        ", texts(alone))
print("read beside train ", texts(both["test"]), both["test"].features["label"].names)
print("both as one split ", texts(one_split)[3:])
print("concatenate_datasets refuses the same two:", refused)
swapped = ["dark", "dark", "light"]
as_described = (
    texts(alone) == texts(test) and texts(both["test"]) == swapped and texts(one_split)[3:] == swapped and refused
)
sys.exit(0 if as_described else 1)
PY
# Seen on 2026-11-29 (Python 3.11):
#   datasets 5.2.0
#   written            ['light', 'light', 'dark']
#   read alone         ['light', 'light', 'dark']
#   read beside train  ['dark', 'dark', 'light'] ['dark', 'light']
#   both as one split  ['dark', 'dark', 'light']
#   concatenate_datasets refuses the same two: True
