#!/usr/bin/env bash
# pandas 3.1.1: read_csv(dtype="category") makes one category of 01 and 1.
#
# Expected  The user guide says that with dtype="category" the categories are always texts, to be converted afterwards.
#           So postal codes, part numbers and versions keep their zeros: 01 and 1, 1.10 and 1.1 are two categories.
# Real      A column all of whose cells look like numbers is read as numbers first: 01 and 1 become the integer 1, 1.10
#           and 1.1 the number 1.1. One cell that is no number, somewhere in the file, keeps every spelling apart. So
#           the same code is one category in one file and another in the next. All three engines do it.
# Exit      0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/python -m pip install --quiet pandas==3.1.1 pyarrow==26.0.1
venv/bin/python - <<'PY'
import io
import sys

import pandas as pd

cases = {
    "01, 1": ("code\n01\n1\n", [1]),
    "1.10, 1.1": ("code\n1.10\n1.1\n", [1.1]),
    "01, 1, A": ("code\n01\n1\nA\n", ["01", "1", "A"]),
}
print("pandas", pd.__version__)
same = True
for name, (text, expected) in cases.items():
    for engine in ("c", "python", "pyarrow"):
        column = pd.read_csv(io.StringIO(text), dtype="category", engine=engine)["code"]
        found = column.cat.categories.tolist()
        same = same and found == expected
        print(f"{name:10} engine={engine:8} categories {found}")
as_text = pd.read_csv(io.StringIO("code\n01\n1\n"), dtype=str)["code"].astype("category").cat.categories.tolist()
print("dtype=str, then astype('category'):", as_text)
sys.exit(0 if same and as_text == ["01", "1"] else 1)
PY
# Seen on 2026-11-29 (Python 3.11):
#   pandas 3.1.1
#   01, 1      engine=c        categories [1]
#   01, 1      engine=python   categories [1]
#   01, 1      engine=pyarrow  categories [1]
#   1.10, 1.1  engine=c        categories [1.1]
#   1.10, 1.1  engine=python   categories [1.1]
#   1.10, 1.1  engine=pyarrow  categories [1.1]
#   01, 1, A   engine=c        categories ['01', '1', 'A']
#   01, 1, A   engine=python   categories ['01', '1', 'A']
#   01, 1, A   engine=pyarrow  categories ['01', '1', 'A']
#   dtype=str, then astype('category'): ['01', '1']
