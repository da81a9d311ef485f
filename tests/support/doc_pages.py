"""The pages of the documentation as the tests read them: code blocks, commands, saved files, links, anchors."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/**/*.md", "tests/**/*.md")
    for path in ROOT.glob(pattern)
    if path.is_file()
)
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]
_SAVED = re.compile(r"^Save this as `([^`]+)`(?:.*\n)*?.*:\n\n```\w+\n((?:.*\n)*?)```$", re.M)
_PLACEHOLDER = re.compile(r"\b[A-Z]{2,}\b|\$|\.\.\.|^[A-Z]$")
_ASSIGNED = re.compile(r"^[+~]?[\w.@/]+=")


@dataclass(frozen=True)
class Command:
    """A line of a code block that begins with `dlexp`.

    words    what follows `dlexp`, as a shell splits it, without placeholders such as RUN where they stand alone
    output   the lines that the page shows below it
    without  names of environment variables that `env -u NAME` removes
    edits    (file, text): the lines of the file that the page says are missing, see `saved_files`
    """

    page: str
    line: int
    words: tuple[str, ...]
    output: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    edits: tuple[tuple[str, str], ...] = ()

    @property
    def overrides(self) -> list[str]:
        """The words that belong to the configuration; without those that take a placeholder such as RUN."""
        words = [word for word in self.words if _ASSIGNED.match(word)]
        taken = [word for word in words if not _PLACEHOLDER.search(word.partition("=")[2])]
        return taken if "init_from" in {word.partition("=")[0] for word in taken} else _without_init(taken)

    @property
    def is_refusal(self) -> bool:
        """True where the page shows that the command fails before anything runs."""
        return any(re.match(r"\d+ problems?; nothing was run|DataError", line) for line in self.output[:1])

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: dlexp {shlex.join(self.words)}"


def _without_init(words: list[str]) -> list[str]:
    return [word for word in words if not word.startswith("init_")]


@cache
def text_of(page: str) -> str:
    """The text of a page, by its path below the repository."""
    return (ROOT / page).read_text(encoding="utf-8")


def saved_files(page: str) -> dict[str, str]:
    """Path -> content of each block that "Save this as `PATH`" introduces."""
    return dict(_SAVED.findall(text_of(page)))


def blocks(page: str) -> Iterator[tuple[str, int, list[str], str]]:
    """(language, first line, lines, comment above) of every code block, fenced or indented; a comment is `<!-- -->`."""
    lines = text_of(page).splitlines()
    comment, number = "", 0
    while number < len(lines):
        line, blank_before = lines[number], number == 0 or not lines[number - 1].strip()
        if line.startswith("```"):
            end = next(n for n in range(number + 1, len(lines)) if lines[n].startswith("```"))
            yield line[3:].strip(), number + 2, lines[number + 1 : end], comment
            comment, number = "", end
        elif line.startswith("    ") and blank_before:
            end = next((n for n in range(number, len(lines)) if lines[n].strip() and lines[n][:4].strip()), len(lines))
            yield "", number + 1, [inside[4:] for inside in lines[number:end]], comment
            comment, number = "", end - 1
        elif line.startswith("<!--"):
            comment = line.removeprefix("<!--").removesuffix("-->").strip()
        number += 1


def commands(page: str) -> Iterator[Command]:
    """Every `dlexp` line of the code blocks of a page, joined where it ends in a backslash."""
    for _, first, lines, comment in blocks(page):
        edits = tuple(re.findall(r"without (\S+): (.+)", comment))
        number = 0
        while number < len(lines):
            start, text = number, lines[number]
            while text.endswith("\\"):
                number += 1
                text = f"{text[:-1]} {lines[number].strip()}"
            number += 1
            found = _command_in(text)
            if found is None:
                continue
            output = []
            for following in lines[number:]:
                if following.startswith("$ ") or not text.startswith("$ "):
                    break
                output.append(following)
            yield Command(page, first + start, found[1], tuple(output), found[0], edits)


def _command_in(line: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """(variables that are removed, words after `dlexp`) of a line, None for one that is no such command."""
    match = re.match(r"(?:\$ |.*[;|&] *(?:do )?| *)(?:env ((?:-u \w+ )+))?(?:\.venv/bin/)?dlexp(?: |$)(.*)", line)
    if match is None:
        return None
    try:
        words = shlex.split(_up_to_the_end(match[2]), comments=True)
    except ValueError as error:
        raise AssertionError(f"a shell cannot read {line!r}") from error
    kept = tuple(word for word in words if word not in ("...", "WORDS", "[RUN]"))
    return tuple((match[1] or "").replace("-u", "").split()), kept


def _up_to_the_end(line: str) -> str:
    """A command without what the shell does with it: redirections, pipes, a background job, a loop's end."""
    outside = re.sub(r"'[^']*'|\"[^\"]*\"", lambda quoted: "q" * len(quoted[0]), line)
    end = re.search(r" (?:\d?>>?|<|\||&|#)|;", outside)
    return line[: end.start()] if end else line


def anchors(page: str) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    fenced = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.+)$", fenced, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: str) -> Iterator[tuple[str, str]]:
    """(path or "", anchor or "") of each relative link and picture of a page."""
    prose = re.sub(r"^```.*?^```$|^    [^\n]*$", "", text_of(page), flags=re.M | re.S)
    prose = re.sub(r"`[^`\n]*`", "``", prose)
    targets = re.findall(r"\]\(([^)\s]+)\)", prose) + re.findall(r'<img src="([^"]+)"', prose)
    for target in targets:
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield path, anchor
