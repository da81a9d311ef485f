"""Self-contained HTML pages without network access or other files, readable without JavaScript.

Functions take plain text, which is escaped, or `Html` made by other functions of this module. A content security policy
allows only the page's own script, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from dlexp.text.printable import printable_lines

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #57606a; --paper: #fff; --soft: #f4f6f8; --line: #d0d7de;
  --mark: #b34700; --link: #0058a3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --dim: #a0a8b0; --paper: #14171a; --soft: #1f2428;
  --line: #3a4148; --mark: #ff9a52; --link: #7cc0ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line); }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, [tabindex]:focus-visible { outline: 2px solid var(--link);
  outline-offset: 2px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: .5rem; padding: .3rem .6rem; background: var(--paper); }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; margin: .5rem 0; list-style: none; }
nav a { display: inline-block; padding: .2rem 0; }
.lead { font-size: 1.1rem; }
ul.notes { padding-left: 1.2rem; }
details { margin: .8rem 0; }
summary { cursor: pointer; padding: .2rem 0; }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .2rem 1rem; margin: .5rem 0; }
dt { color: var(--dim); }
dd { margin: 0; overflow-wrap: anywhere; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: .3rem; padding: .6rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.wide { overflow-x: auto; container-type: inline-size; }
.wide + .wide, p + .wide { margin-top: 1rem; }
table { min-width: min(100%, 24rem); border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--dim); padding: .2rem 0; }
caption span { display: inline-block; max-width: calc(100vw - 2rem); max-width: 100cqi; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; }
td.number, td.number span, th span { white-space: nowrap; }
thead th { background: var(--soft); }
th button { all: unset; cursor: pointer; font: inherit; }
th button:focus-visible { outline: 2px solid var(--link); }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
tr.marked > * { color: var(--mark); font-weight: 600; }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line); border-radius: .3rem; }
figure img.broad { max-width: 200%; }
figcaption, footer { color: var(--dim); font-size: .9rem; }
@media (max-width: 40rem) { figure img { max-width: 250%; } figure picture img { max-width: 100%; } }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; }
  th, td { padding: .25rem .35rem; } td.number { white-space: normal; } tbody th { overflow-wrap: anywhere; } }
@media print { :root { color-scheme: light; --ink: #000; --dim: #444; --paper: #fff; --soft: #f4f6f8; --line: #999;
  --mark: #8a3600; --link: #000; }
  body { max-width: none; padding: 0; font-size: 10pt; } nav, .skip { display: none; }
  .wide { overflow: visible; }
  figure img, figure img.broad { max-width: 100%; }
  h2, summary, caption { break-after: avoid; } figure, tr { break-inside: avoid; } }
"""

# A click on a heading sorts by it, a second click reverses the order; empty cells stay at the end. Folded sections are
# printed unfolded.
_SCRIPT = """
for (const table of document.querySelectorAll('table.sortable')) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = head.textContent;
    head.replaceChildren(button);
    const of = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    button.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const compare = (one, two) => {
        const a = of(one), b = of(two);
        if (a === '' || b === '') return (a === '') - (b === '');
        const order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
        return down ? -order : order;
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}
addEventListener('beforeprint', () => { for (const part of document.querySelectorAll('details')) part.open = true; });
"""


_WORD = re.compile(r"[A-Za-z0-9_/]{10,20}")  # one that is not broken
_WORDS = re.compile(r"[A-Za-z0-9_/]{15,}")  # the name of a metric that is long
_GIF = b"GIF8"
_PNG, _BROAD = b"\x89PNG", 1800  # pixels; wider figures are not shrunk to the width of the page
_COLUMN, _ROW, _MARKED = 'scope="col"', 'scope="row"', 'class="marked"'


class Html(str):
    """Text that is already HTML."""

    __slots__ = ()


@dataclass(frozen=True)
class Cell:
    """A table cell with a separate value for sorting."""

    shown: str
    value: object


@dataclass(frozen=True)
class Section:
    """A heading and its contents."""

    title: str
    parts: tuple[Html, ...]


def page(title: str, lead: str | Html, sections: Iterable[Section], footer: str | Html) -> str:
    """A complete HTML5 document."""
    rules = "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src '{_hash(_STYLE)}'",
            f"script-src '{_hash(_SCRIPT)}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    shown = [(f"part-{number}", section) for number, section in enumerate(sections, start=1) if section.parts]
    body = "\n".join(
        f'<section aria-labelledby="{name}">\n<h2 id="{name}">{_html(section.title)}</h2>\n'
        + "\n".join(section.parts)
        + "\n</section>"
        for name, section in shown
    )
    links = "".join(f'<li><a href="#{name}">{_html(section.title)}</a></li>' for name, section in shown)
    contents = f'<nav aria-label="Contents"><ul>{links}</ul></nav>\n' if links else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{rules}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_html(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#content">Skip to the content</a>\n'
        f'<header>\n<h1>{_html(title)}</h1>\n<p class="lead">{_html(lead)}</p>\n{contents}</header>\n'
        f'<main id="content">\n{body}\n</main>\n<footer>\n<p>{_html(footer)}</p>\n</footer>\n'
        f"<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


def paragraph(text: str | Html) -> Html:
    """A paragraph."""
    return Html(f"<p>{_html(text)}</p>")


def definition_list(pairs: Mapping[str, object]) -> Html:
    """A list of labels and values."""
    rows = "\n".join(f"<dt>{_html(label)}</dt><dd>{_html(value)}</dd>" for label, value in pairs.items())
    return Html(f"<dl>\n{rows}\n</dl>")


def bullet_list(texts: Iterable[str | Html]) -> Html:
    """A list with one item per text."""
    return Html('<ul class="notes">\n' + "\n".join(f"<li>{_html(text)}</li>" for text in texts) + "\n</ul>")


def code(text: str) -> Html:
    """A block of code to copy; long lines wrap."""
    return Html(f"<pre><code>{_html(text)}</code></pre>")


def inline_code(text: str) -> Html:
    """Code within a sentence."""
    return Html(f"<code>{_html(text)}</code>")


def sentence(*texts: str | Html) -> Html:
    """Concatenated texts."""
    return Html("".join(_html(text) for text in texts))


def folded(summary: str, *parts: Html) -> Html:
    """Contents that are shown on a click, and when printing."""
    return Html(f"<details>\n<summary>{_html(summary)}</summary>\n" + "\n".join(parts) + "\n</details>")


def html_table(
    caption: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    numbers: frozenset[str] = frozenset(),
    sortable: bool = False,
    marked: int | None = None,
) -> Html:
    """A table whose first column is the row header.

    Args:
        caption: Above the table.
        columns: The headings.
        rows: The cells.
        numbers: Right-aligned columns.
        sortable: Whether a click on a heading sorts the rows.
        marked: The row to highlight, counted from 0.
    """
    kinds = ['class="number"' if column in numbers else "" for column in columns]
    head = "".join(
        f"<{_with('th', kind, _COLUMN)}>{_html(name)}</th>" for name, kind in zip(columns, kinds, strict=True)
    )
    lines = []
    for place, row in enumerate(rows):
        cells = [_cell(value, kind, is_name=at == 0) for at, (value, kind) in enumerate(zip(row, kinds, strict=True))]
        lines.append(f"<{_with('tr', _MARKED if place == marked else '')}>{''.join(cells)}</tr>")
    opening = _with("table", 'class="sortable"' if sortable else "")
    region = f'role="region" aria-label="{_html(caption)}" tabindex="0"'  # scrollable with the keyboard
    return Html(
        f'<div class="wide" {region}>\n<{opening}>\n<caption><span>{_html(caption)}</span></caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(lines) + "\n</tbody>\n</table>\n</div>"
    )


def picture(png: bytes, alt: str, caption: str, narrow: bytes | None = None) -> Html:
    """A PNG or GIF figure with alternative text `alt`; on a narrow screen `narrow`, or else it can be scrolled."""
    data, form = base64.b64encode(png).decode("ascii"), "gif" if png.startswith(_GIF) else "png"
    region = f'role="region" aria-label="{_html(caption)}" tabindex="0"'
    is_broad = png.startswith(_PNG) and int.from_bytes(png[16:20], "big") > _BROAD
    kind = ' class="broad"' if is_broad else ""
    image = f'<img{kind} src="data:image/{form};base64,{data}" alt="{_html(alt)}">'
    if narrow is not None:
        source = f"data:image/png;base64,{base64.b64encode(narrow).decode('ascii')}"
        image = f'<picture><source media="(max-width: 40rem)" srcset="{source}">{image}</picture>'
    return Html(
        f'<figure>\n<div class="wide" {region}>{image}</div>\n<figcaption>{_html(caption)}</figcaption>\n</figure>'
    )


def _cell(value: object, kind: str, is_name: bool) -> str:
    tag, attributes = ("th", _with(_ROW, kind)) if is_name else ("td", kind)
    if isinstance(value, Cell):
        sort_key = _html("" if value.value is None else value.value)
        attributes, value = _with(attributes, f'data-value="{sort_key}"'), value.shown
    shown = "" if value is None else value
    if isinstance(shown, str) and not isinstance(shown, Html):
        text = _breakable(shown) if is_name else _parted(shown) if kind else _html(shown)
    else:
        text = _html(shown)
    return f"<{_with(tag, attributes)}>{text}</{tag}>"


def _breakable(text: str) -> str:
    """A name as HTML; a long one of several words, such as average_precision_weighted, breaks between them."""
    parts = re.split(r"(?<=[_/])(?=\w)", text) if _WORDS.fullmatch(text) else [text]
    return "<wbr>".join(f"<span>{_html(part)}</span>" if _WORD.fullmatch(part) else _html(part) for part in parts)


def _parted(text: str) -> str:
    """A number as HTML; of an interval or a spread, a line may break before its second number only."""
    for between in (" to ", " ± "):
        first, found, second = text.partition(between)
        if found:
            return f"<span>{_html(first)}</span>{between.rstrip()} <span>{_html(second)}</span>"
    return _html(text)


def _with(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _html(value: object) -> str:
    """`value` as HTML, escaped for text and attributes unless it is already HTML."""
    return value if isinstance(value, Html) else escape(printable_lines(str(value)), quote=True)


def _hash(content: str) -> str:
    """The hash of an inline style or script for the content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode("ascii")
