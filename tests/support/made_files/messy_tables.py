"""Thirty spellings of one made-up table, as programs and people write them."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

ROWS = 60
NAMES = ("age", "price", "share", "city", "bought")
Cells = list[list[str]]

_RNG = np.random.default_rng(0)
_TABLE = [
    (
        None if n % 17 == 3 else int(_RNG.integers(18, 80)),
        round(float(_RNG.uniform(2, 9000)), 2),
        round(float(_RNG.uniform(1, 99)), 1),
        None if n % 19 == 5 else ("K\u00f6ln", "Z\u00fcrich", "Bonn am Rhein")[int(_RNG.integers(3))],
        ("yes", "no")[n % 2],
    )
    for n in range(ROWS)
]


def cells(decimal: str = ".", thousands: str = "", missing: str = "", price: str = "{}", share: str = "{}") -> Cells:
    """The header and the rows as texts."""
    found: Cells = [list(NAMES)]
    for age, cost, part, city, bought in _TABLE:
        number = f"{cost:,.2f}".replace(",", "T").replace(".", decimal).replace("T", thousands)
        percent = f"{part:.1f}".replace(".", decimal)
        texts = [missing if age is None else str(age), price.format(number), share.format(percent)]
        found.append([*texts, missing if city is None else city, bought])
    return found


def text(rows: Cells, separator: str = ",", end: str = "\n", quoting: int = csv.QUOTE_MINIMAL) -> str:
    """The rows as CSV."""
    found = io.StringIO()
    csv.writer(found, delimiter=separator, lineterminator=end, quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    return found.getvalue()


def _frame() -> pd.DataFrame:
    return pd.DataFrame(_TABLE, columns=list(NAMES))


def _with_row_names() -> Cells:
    """The rows with their names, of which the header has none, as R writes them."""
    header, *rows = cells()
    return [header, *([f"r{number}", *row] for number, row in enumerate(rows, 1))]


def _aligned() -> str:
    """Columns aligned with blanks, texts with blanks in quotes."""
    rows = [[f'"{cell}"' if " " in cell else cell or "NA" for cell in row] for row in cells()]
    return "\n".join("  ".join(cell.rjust(9) for cell in row) for row in rows) + "\n"


def _zipped(content: str, *more: str) -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("table.csv", content)
        for name in more:
            archive.writestr(name, "")
    return found.getvalue()


def _zstandard(content: str) -> bytes:
    import zstandard

    packed: bytes = zstandard.ZstdCompressor().compress(content.encode())
    return packed


def _written(write: Callable[[io.BytesIO], object]) -> bytes:
    found = io.BytesIO()
    write(found)
    return found.getvalue()


def _sheets(file: io.BytesIO) -> None:
    with pd.ExcelWriter(file, engine="openpyxl") as writer:
        _frame().to_excel(writer, sheet_name="Data", index=False)
        pd.DataFrame().to_excel(writer, sheet_name="Empty", index=False)


def _whole() -> list[dict[str, object]]:
    return [dict(zip(NAMES, row, strict=True)) for row in _TABLE]


GERMAN = {"decimal": ",", "thousands": "."}

TABLES: dict[str, Callable[[], str | bytes]] = {
    "plain.csv": lambda: text(cells()),
    "semicolons.csv": lambda: text(cells(**GERMAN), ";"),
    "tabs.txt": lambda: text(cells(), "\t"),
    "tabs with commas.tsv": lambda: text(cells(decimal=","), "\t"),
    "pipes.csv": lambda: text(cells(), "|"),
    "aligned.txt": _aligned,
    "bom.csv": lambda: text(cells()).encode("utf-8-sig"),
    "excel unicode.txt": lambda: text(cells(), "\t", "\r\n").encode("utf-16"),
    "utf-16 without a mark.csv": lambda: text(cells()).encode("utf-16-le"),
    "windows.csv": lambda: text(cells(**GERMAN, price="{} \u20ac"), ";", "\r\n").encode("cp1252"),
    "latin.csv": lambda: text(cells()).encode("latin-1"),
    "old mac.csv": lambda: text(cells(), end="\r"),
    "sep line.csv": lambda: "sep=;\r\n" + text(cells(**GERMAN), ";", "\r\n"),
    "comments.csv": lambda: "# shop 7\n# exported in May\n\n" + text(cells()),
    "all quoted.csv": lambda: text(cells(thousands=","), quoting=csv.QUOTE_ALL),
    "quoted decimal commas.csv": lambda: text(cells(decimal=",")),
    "thousands.csv": lambda: text(cells(thousands=",")),
    "swiss.csv": lambda: text(cells(thousands="'", price="CHF {}")),
    "french.csv": lambda: text(cells(decimal=",", thousands="\u202f", price="{} \u20ac", share="{} %"), ";"),
    "dollars.csv": lambda: text(cells(thousands=",", price="${}", share="{}%")),
    "gaps.csv": lambda: text(cells(missing="-")),
    "more gaps.csv": lambda: text(cells(missing="n/a")),
    "trailing.csv": lambda: text(cells(), ";").replace("\n", ";\n").replace(";\n", "\n", 1),
    "row names.txt": lambda: text(_with_row_names(), "\t"),
    "blank lines.csv": lambda: text(cells()).replace("\n", "\n\n"),
    "quoted newlines.csv": lambda: text(cells()).replace("Bonn am Rhein", '"Bonn\nam Rhein"'),
    "packed.csv.gz": lambda: gzip.compress(text(cells()).encode()),
    "packed.csv.bz2": lambda: bz2.compress(text(cells(**GERMAN), ";").encode()),
    "packed.csv.xz": lambda: lzma.compress(text(cells()).encode()),
    "packed.csv.zst": lambda: _zstandard(text(cells())),
    "packed.zip": lambda: _zipped(text(cells()), "__MACOSX/._table.csv"),
    "no suffix": lambda: gzip.compress(text(cells(**GERMAN), ";").encode("cp1252")),
    "lines.jsonl": lambda: "".join(json.dumps(row) + "\n" for row in _whole()),
    "records.json": lambda: json.dumps(_whole(), indent=2),
    "book.xlsx": lambda: _written(lambda file: _frame().to_excel(file, index=False)),
    "sheets.xlsx": lambda: _written(_sheets),
    "table.parquet": lambda: _written(lambda file: _frame().to_parquet(file, index=False)),
    "table.feather": lambda: _written(lambda file: _frame().to_feather(file)),
}


def write(name: str, folder: Path = Path()) -> Path:
    """Write a table of TABLES and return its path."""
    content = TABLES[name]()
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
