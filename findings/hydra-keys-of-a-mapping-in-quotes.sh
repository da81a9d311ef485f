#!/usr/bin/env bash
# hydra-core 1.3.8: the keys of a mapping on the command line have no quotes, and no letters beyond ASCII.
#
# Expected  'key={"a, b": 1}' and 'key={Größe: 1}' are read, as the values 'key="a, b"' and 'key=["Größe"]' are.
# Real      Both are syntax errors: in keys, the grammar has no quoted text, and no é, ', " # or &; a backslash
#           escapes only \ ( ) [ ] { } : = , blank and tab. So some names cannot be written at all.
# Exit      0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/python -m pip install --quiet hydra-core==1.3.8
venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

print("hydra-core", version("hydra-core"))
read, refused = [], []
for word in ('k=["Größe"]', r"k={a\, b: 1}", 'k={"a, b": 1}', "k={Größe: 1}", "k={it's: 1}"):
    try:
        print(word, "->", OverridesParser.create().parse_override(word).value())
        read.append(word)
    except HydraException:
        print(word, "-> a syntax error")
        refused.append(word)
sys.exit(0 if (len(read), len(refused)) == (2, 3) else 1)
PY
