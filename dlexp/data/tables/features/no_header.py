"""Recognition of files whose first line is data. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dlexp.data.tables.spelling import number_in
from dlexp.text.quoting import shell_word

_TEXTS = (".csv", ".tsv", ".txt", ".dat", ".data", "")  # endings of files to which a line can be added


def no_header(path: Path | str, names: Sequence[str]) -> tuple[str, str] | None:
    """(what is wrong, a line that adds a header) for names that are cells of data, None for others.

    Whole numbers, such as years, may be the names of half of the columns; a number with a fraction is no name.
    """
    numbers = [name for name in names if number_in(name) is not None]
    has_fraction = any(not name.strip().lstrip("+-").isdigit() for name in numbers)
    years = all(name.isdigit() and len(name) == 4 for name in numbers)
    is_file = Path(path).is_file() and Path(path).suffix.lower() in _TEXTS
    if not is_file or not numbers or (not has_fraction and (years or 2 * len(numbers) <= len(names))):
        return None
    header = ",".join(f"c{place}" for place in range(1, len(names) + 1))
    target = shell_word(f"with_header_{Path(path).name}")
    remedy = f"Add one with the names of the columns: (echo {header}; cat {shell_word(str(path))}) > {target}"
    return f"line 1 looks like data ({', '.join(names[:3])}, ...), not like a header", remedy
