"""`make gallery`: runs dlexp and keeps the pictures that the README shows, in docs/gallery/.

Every picture is what a command writes or shows; nothing is drawn for the gallery. Seeds are fixed, so that the curves
come out the same on one machine; times and speeds on the terminals do not. The picture of a page needs a browser:
GALLERY_BROWSER names one that understands --headless and --screenshot; without it that picture stays as it is.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent
GALLERY = HERE / "gallery"
MAX_BYTES = 1_500_000  # of all pictures together
WIDTH, HEIGHT = 88, 50  # characters of the terminal
PAGE = (1280, 1500)  # pixels of the page's picture
DLEXP = [sys.executable, "-m", "dlexp"]
# rich's own format names fonts on other hosts; a picture loads nothing.
SVG = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def main() -> None:
    """Make every picture, in a separate folder, and check their size."""
    GALLERY.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        terminal("train", "train --run-id cnn model=simple_cnn trainer.epochs=10")
        terminal("evaluate", "evaluate cnn")
        run("train -q --run-id with_sgd --seeds 3 optim=sgd trainer.epochs=6 trainer.test=true")
        run("train -q --run-id with_adamw --seeds 3 optim=adamw trainer.epochs=6 trainer.test=true")
        terminal("compare", "compare with_sgd with_adamw --plot compare.png")
        run("lr-find -q optim=sgd --run-dir sweep")
        run("tune -q -n 24 --name study search.pruner=none data=iris trainer.epochs=6 search.confirm_seeds=2")
        run("data preview data=synthetic_images data.augment=strong --count 16 --out preview.png")
        run("report cnn")
        keep("curves.png", "outputs/train/cnn/plots/curves.png")
        keep("confusion.png", "outputs/train/cnn/eval/test/confusion.png")
        keep("compare.png", "compare.png")
        keep("lr-find.png", "sweep/lr_find.png")
        keep("study.png", "outputs/tune/study/plots/history.png")
        keep("importances.png", "outputs/tune/study/plots/importances.png")
        keep("preview.png", "preview.png")
        screenshot("report.png", Path("outputs/train/cnn/report.html"))
    sizes = {path.name: path.stat().st_size for path in sorted(GALLERY.iterdir())}
    print("\n".join(f"  {size:>9,}  {name}" for name, size in sizes.items()))
    total = sum(sizes.values())
    if total > MAX_BYTES:
        raise SystemExit(f"the pictures are {total:,} bytes, more than {MAX_BYTES:,}")


def run(words: str) -> None:
    """A command whose files are wanted."""
    print(f"dlexp {words}", flush=True)
    subprocess.run([*DLEXP, *words.split()], check=True, stdout=subprocess.DEVNULL)


def keep(name: str, path: str) -> None:
    """Put a picture that a command wrote into the gallery."""
    shutil.copyfile(path, GALLERY / name)


def terminal(name: str, words: str) -> None:
    """A command on a real terminal, and what stands there at its end as an SVG."""
    print(f"dlexp {words}", flush=True)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False)
    shown = "\n".join(screen(typed(words)))
    console.print(Text.assemble((f"$ dlexp {words}\n", "bold"), Text.from_ansi(shown)))
    svg = console.export_svg(title="dlexp", code_format=SVG, unique_id=f"gallery-{name}")
    (GALLERY / f"{name}.svg").write_text(svg, encoding="utf-8")


def typed(words: str) -> str:
    """Everything that a command writes to a terminal of WIDTH by HEIGHT characters. Raises where it fails."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": ""}
    process = subprocess.Popen([*DLEXP, *words.split()], stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    written = bytearray()
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not piece:
            break
        written += piece
    os.close(ours)
    if process.wait():
        raise SystemExit(f"dlexp {words} ended with exit code {process.returncode}:\n{written.decode()}")
    return written.decode()


def screen(written: str) -> list[str]:
    """The lines that are left when rich's moves of the cursor are obeyed; colors stay."""
    lines, row = [""], 0
    for part in re.split(r"(\r?\n|\r|\x1b\[\d*A|\x1b\[2K|\x1b\[\?25[lh])", written):
        if part.endswith("\n"):
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part.startswith("\x1b[") and part.endswith("A"):
            row -= int(part[2:-1] or 1)
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part and part != "\r" and not part.startswith("\x1b[?25"):
            lines[row] += part
    return lines


def screenshot(name: str, page: Path) -> None:
    """A page as a browser shows it, where there is one."""
    browser = os.environ.get("GALLERY_BROWSER")
    if not browser:
        print(f"GALLERY_BROWSER is not set: {name} stays as it is")
        return
    size = ",".join(map(str, PAGE))
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={size}"]
    target = f"--screenshot={GALLERY / name}"
    subprocess.run([browser, *options, target, page.absolute().as_uri()], check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
