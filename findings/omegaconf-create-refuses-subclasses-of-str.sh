#!/usr/bin/env bash
# omegaconf 2.3.1: values whose class is a subclass of str or int are refused.
#
# Expected  A value that is a str is stored as one, as json and yaml's other users take it: a text that remembers its file
#           and line, a numpy.str_ taken from an array of names. Keys that are such texts are accepted.
# Real      UnsupportedValueType: "Value 'Marked' is not a supported primitive type", in a mapping, in a list and when
#           assigned, for subclasses of int too. The class is compared, not isinstance; str(value) before is needed.
# Exit      0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/python -m pip install --quiet omegaconf==2.3.1 numpy==2.4.6
venv/bin/python - <<'PY'
import json
import sys
from importlib.metadata import version

import numpy as np
from omegaconf import OmegaConf


class Marked(str):
    """A text with its place."""


class Whole(int):
    """A number with its unit."""


print("omegaconf", version("omegaconf"))
contents = {
    "value": {"a": Marked("x")},
    "item of a list": [Marked("x")],
    "numpy.str_": {"a": np.array(["x"])[0]},
    "key": {Marked("x"): 1},
    "subclass of int": {"a": Whole(3)},
}
taken = {}
for name, content in contents.items():
    try:
        found = OmegaConf.create(content)
        taken[name] = True
        print(f"{name:24} {found}")
    except Exception as error:
        taken[name] = False
        print(f"{name:24} {type(error).__name__}: {str(error).splitlines()[0]}")
config = OmegaConf.create({"a": "x"})
try:
    config.a = Marked("y")
    taken["assigned"] = True
except Exception as error:
    taken["assigned"] = False
    print(f"{'assigned':24} {type(error).__name__}: {str(error).splitlines()[0]}")
print(f"{'json of the value':24} {json.dumps(contents['value'])}")
refused = [name for name, is_taken in taken.items() if not is_taken]
print("refused:", refused)
sys.exit(0 if refused == ["value", "item of a list", "numpy.str_", "subclass of int", "assigned"] else 1)
PY
# Seen on 2026-11-30 (Python 3.11):
#   omegaconf 2.3.1
#   value                    UnsupportedValueType: Value 'Marked' is not a supported primitive type
#   item of a list           UnsupportedValueType: Value 'Marked' is not a supported primitive type
#   numpy.str_               UnsupportedValueType: Value 'str_' is not a supported primitive type
#   key                      {'x': 1}
#   subclass of int          UnsupportedValueType: Value 'Whole' is not a supported primitive type
#   assigned                 UnsupportedValueType: Value 'Marked' is not a supported primitive type
#   json of the value        {"a": "x"}
#   refused: ['value', 'item of a list', 'numpy.str_', 'subclass of int', 'assigned']
