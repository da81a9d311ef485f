#!/usr/bin/env bash
# typer 0.29.2: a completion is dropped unless it begins with the text that was typed.
#
# Expected  The values that an `autocompletion` function returns reach the shell, as with `shell_complete` of click,
#           which leaves the choice to the function. So `a b` can be completed to `'a b'`, and Mun to München.
# Real      typer keeps only the values of which the typed text is the beginning, letter by letter, after the function has
#           returned, and says nothing. A completion that quotes what was typed, or corrects it, never arrives.
# Exit      0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/python -m pip install --quiet typer==0.29.2 click==8.1.8
cat >app.py <<'PY'
import typer

app = typer.Typer()


def towns(incomplete: str) -> list[str]:
    return ["Ulm", "'Bad Ulm'", "ulm"]


@app.command()
def main(town: str = typer.Argument(autocompletion=towns)) -> None:
    print(town)


app(prog_name="app")
PY
cat >plain.py <<'PY'
import click


def towns(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    return ["Ulm", "'Bad Ulm'", "ulm"]


@click.command()
@click.argument("town", shell_complete=towns)
def main(town: str) -> None:
    print(town)


main(prog_name="app")
PY
venv/bin/python - <<'PY'
import os
import subprocess
import sys
from importlib.metadata import version

print("typer", version("typer"), "click", version("click"))


def offered(script: str, mode: str) -> list[str]:
    env = {**os.environ, "_APP_COMPLETE": mode, "COMP_WORDS": "app U", "COMP_CWORD": "1"}
    return subprocess.run([sys.executable, script], env=env, capture_output=True, text=True).stdout.split("\n")[:-1]


of_typer = offered("app.py", "complete_bash")
of_click = [line.partition(",")[2] for line in offered("plain.py", "bash_complete")]
print("typed: U   returned by the function: Ulm, 'Bad Ulm', ulm")
print("typer offers", of_typer)
print("click offers", of_click)
sys.exit(0 if of_typer == ["Ulm"] and of_click == ["Ulm", "'Bad Ulm'", "ulm"] else 1)
PY
# Seen on 2026-11-30 (Python 3.11):
#   typer 0.29.2 click 8.1.8
#   typed: U   returned by the function: Ulm, 'Bad Ulm', ulm
#   typer offers ['Ulm']
#   click offers ['Ulm', "'Bad Ulm'", 'ulm']
