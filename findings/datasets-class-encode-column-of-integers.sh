#!/usr/bin/env bash
# datasets 5.2.0: class_encode_column numbers integer labels by the order of their texts.
#
# Expected  Integer labels 0..10 that become classes keep their numbers (0 -> 0, 2 -> 2, 10 -> 10), or at least
#           their order.
# Real      The labels are turned into text and sorted as text: 0, 1, 10, 2, 3, ... So 10 becomes class 2 and 2
#           becomes class 3. A target that was numbered already is renumbered without a word, and predictions of a
#           network trained on the numbers before are compared with other classes.
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
from datasets import Dataset

encoded = Dataset.from_dict({"label": list(range(11))}).class_encode_column("label")
numbers, names = encoded["label"][:], encoded.features["label"].names
print("datasets", datasets.__version__)
print("label before", list(range(11)))
print("label after ", numbers)
print("names       ", names)
sys.exit(0 if numbers == [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 2] and names[2] == "10" else 1)
PY
# Seen on 2026-11-29 (Python 3.11):
#   datasets 5.2.0
#   label before [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
#   label after  [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 2]
#   names        ['0', '1', '10', '2', '3', '4', '5', '6', '7', '8', '9']
