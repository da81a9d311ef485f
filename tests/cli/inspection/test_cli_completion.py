"""Completion in real shells: what stands on the line after TAB."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlexp.cli.completion_scripts import script_of

BIN = str(Path(sys.executable).parent)
_LIMIT = 20.0
_SETUP = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}


class Terminal:
    """An interactive shell in a terminal, with the completion of dlexp."""

    def __init__(self, shell: str, folder: Path) -> None:
        script = folder / "completion"
        script.write_text(script_of(shell))
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        env = {"PATH": path, "HOME": str(folder), "TERM": "dumb", "PS1": "> ", "LC_ALL": "C.UTF-8"}
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(_SETUP[shell][0], _SETUP[shell], env)
        begin = "autoload -U compinit; compinit -u -D; bindkey -e; " if shell == "zsh" else ""
        self.send(f"{begin}source {script}; printf 'rea%s\\n' dy\n")
        self.until("ready\r")

    def send(self, text: str) -> None:
        os.write(self.file, text.encode())

    def until(self, text: str) -> str:
        found, end = "", time.monotonic() + _LIMIT
        while text not in found:
            assert time.monotonic() < end, found
            if select.select([self.file], [], [], 1.0)[0]:
                found += os.read(self.file, 65536).decode(errors="replace")
        return found

    def words(self, typed: str) -> list[str]:
        """The words of the line `typed`, in which a tab completes and after which nothing is run."""
        self.send(f"{typed}\x01printf '<%s>' \x05; printf 'en%s\\n' ded\n")
        shown = self.until("ended\r").rpartition("\n<")[2].partition(">en")[0]
        return shown.split("><")

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.file)
        os.waitpid(self.pid, 0)


@pytest.fixture(scope="module", params=["bash", "zsh"])
def terminal(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    folder = tmp_path_factory.mktemp("shell")
    (folder / "people.csv").write_text("age,Zip Code,outcome\n1,2,3\n4,5,6\n")
    (folder / "zip.csv").write_text("Zip Code\n1\n2\n")
    own = folder / "my_conf" / "model"
    own.mkdir(parents=True)
    (own / "my_net.yaml").write_text("_target_: my_package.net\nwidth: 4\n")
    run = folder / "outputs" / "train" / "20260101-000000-mlp-digits-abcd"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("choices: {}\n")
    found = Terminal(request.param, folder)
    yield found
    found.close()


@pytest.mark.parametrize(
    ("typed", "last"),
    [
        ("dlexp train trainer.ep\t5", "trainer.epochs=5"),  # no space after =
        ("dlexp train model=resnet15\tx", "x"),  # a space after a value
        ("dlexp train optim=sgd optim.mome\t0.9", "optim.momentum=0.9"),
        ("dlexp config --explain trainer.ep\t", "trainer.epochs"),
        ("dlexp train data=csv data.path=people.csv data.target=out\t", "data.target=outcome"),
        ("dlexp train data=csv data.path=people.csv data.target=a\t", "data.target=age"),
        ("dlexp train trainer.te\ttr\t", "trainer.test=true"),
        ("dlexp train trainer.precision=bf\t", "trainer.precision=bf16"),
        ("dlexp train data=image_folder data.resize=st\t", "data.resize=stretch"),
        ("dlexp train --config-dir my_conf model=my\t", "model=my_net"),
        ("dlexp train --config-dir my_conf model=my_net model.wi\t8", "model.width=8"),
        ("dlexp train data=csv data.path=peo\t", "data.path=people.csv"),
        ("dlexp train --run-id 2026\t", "20260101-000000-mlp-digits-abcd"),
        ("dlexp train --from outputs/train/2026\t", "outputs/train/20260101-000000-mlp-digits-abcd"),
        ("dlexp evaluate latest --checkpoint b\t", "best"),
        ("dlexp evaluate latest --split te\t", "test"),
        ("dlexp doctor optim=sgd optim.mome\t0.9", "optim.momentum=0.9"),
        ("dlexp doctor outputs/train/2026\t", "outputs/train/20260101-000000-mlp-digits-abcd"),
        ("dlexp train trainer.doc\ttr\t", "trainer.doctor=true"),
    ],
)
def test_a_tab_completes(terminal: Terminal, typed: str, last: str) -> None:
    assert terminal.words(typed)[-1] == last


def test_a_column_with_a_space_is_quoted_for_the_shell_and_the_grammar(terminal: Terminal) -> None:
    words = terminal.words("dlexp train data=csv data.path=zip.csv data.target=\t")
    assert words[-1] == 'data.target="Zip Code"'


@pytest.mark.parametrize(
    ("line", "heavy"),
    [
        ("dlexp train trainer.ep", {"torch", "numpy", "pandas", "hydra"}),
        ("dlexp train data=csv data.path=people.csv data.target = a", {"torch", "pandas", "hydra", "sklearn"}),
    ],
)
def test_completion_imports_nothing_slow(tmp_path: Path, line: str, heavy: set[str]) -> None:
    (tmp_path / "people.csv").write_text("age,outcome\n1,2\n")
    code = "import sys\nfrom dlexp.cli.app import main\ntry:\n    main([])\nfinally:\n    print(*sys.modules)\n"
    env = {**os.environ, "_DLEXP_COMPLETE": "complete_bash", "COMP_WORDS": line}
    env["COMP_CWORD"] = str(len(line.split()) - 1)
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split("\n")[0] in ("trainer.epochs=", "age")
    assert not heavy & set(done.stdout.split())
