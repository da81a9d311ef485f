#!/usr/bin/env bash
# hydra-core 1.3.8 with omegaconf 2.3.1: the same text is another value on the command line than in a YAML file.
#
# Expected  `key=TEXT` on the command line and `key: TEXT` in a file of the same program give the same value.
# Real      Hydra's own grammar reads the words, and OmegaConf's YAML 1.1 the files. 017, 1:30, 0x1F and `no` are text
#           on the line, and 15, 90, 31 and False in the file; inf and nan are numbers on the line and text in the
#           file; 1e-5_0 is the number 1e-50 on the line. Codes with leading zeros (017, 0777) lose them in files
#           unless they are quoted, but only when all digits are below 8: 018 stays as it is.
# Exit      0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/python -m pip install --quiet hydra-core==1.3.8 omegaconf==2.3.1
venv/bin/python - <<'PY'
import math
import sys
from importlib.metadata import version

from hydra import compose, initialize_config_dir

from pathlib import Path

expected = {
    "017": ("017", 15), "018": ("018", "018"), "1:30": ("1:30", 90), "0x1F": ("0x1F", 31), "no": ("no", False),
    "inf": (math.inf, "inf"), ".inf": (".inf", math.inf), "1e-5_0": (1e-50, "1e-5_0"), "1e3": (1000.0, 1000.0),
}
Path("conf").mkdir()
print("hydra-core", version("hydra-core"), "omegaconf", version("omegaconf"))
print(f"{'text':8} {'key=TEXT':12} key: TEXT")
same = True
for text, values in expected.items():
    Path("conf/config.yaml").write_text(f"key: {text}\nword: null\n")
    with initialize_config_dir(str(Path("conf").resolve()), version_base="1.3"):
        config = compose("config", overrides=[f"word={text}"])
    found = (config.word, config.key)
    print(f"{text:8} {found[0]!r:12} {found[1]!r}")
    same = same and found == values and list(map(type, found)) == list(map(type, values))
sys.exit(0 if same else 1)
PY
# Seen on 2026-11-29 (Python 3.11):
#   hydra-core 1.3.8 omegaconf 2.3.1
#   text     key=TEXT     key: TEXT
#   017      '017'        15
#   018      '018'        '018'
#   1:30     '1:30'       90
#   0x1F     '0x1F'       31
#   no       'no'         False
#   inf      inf          'inf'
#   .inf     '.inf'       inf
#   1e-5_0   1e-50        '1e-5_0'
#   1e3      1000.0       1000.0
