"""Fonts for all characters in figures; characters without an installed font are shown as Unicode numbers.

Matplotlib includes DejaVu Sans, which has Latin, Greek and Cyrillic, but no Chinese, Japanese, Korean or most Indian
scripts, which may occur in class names.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

_FIRST = "DejaVu Sans"
# Fonts of many scripts, in order of preference.
_MORE = (
    *("Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK TC", "Noto Sans CJK KR", "Noto Sans SC"),
    *("Noto Sans JP", "Noto Sans KR", "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil"),
    *("Noto Sans Thai", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Ethiopic", "Noto Sans Symbols 2"),
    *("WenQuanYi Zen Hei", "Droid Sans Fallback", "Source Han Sans SC", "IPAexGothic", "TakaoGothic", "NanumGothic"),
    *("Microsoft YaHei", "SimHei", "Yu Gothic", "Meiryo", "Malgun Gothic", "Nirmala UI", "Leelawadee UI"),
    *("PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Arial Unicode MS", "Unifont"),
)
_NO_LETTERS = "\n\t\r"
_NOTE = "<...>: Unicode number of a character without an installed font"


def make_readable(figure: Figure, texts: Sequence[Text]) -> None:
    """Set fonts that have all characters of a figure; replace characters without a font by their Unicode numbers.

    texts  those of the figure
    """
    lacking = _foreign(texts)
    if not lacking:
        return
    families = (_FIRST, *(name for name in _MORE if name in _installed()))
    covered = set().union(*map(_letters, families))
    is_noted = False
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        labels = [label.get_text() for label in axis.get_ticklabels()]
        if any(_numbered(text, covered) != text for text in labels):  # an axis rewrites its labels when it is drawn
            axis.set_ticks(axis.get_majorticklocs(), labels=[_numbered(text, covered) for text in labels])
            is_noted = True
    for text in lacking:
        text.set_fontfamily(list(families))
        readable = _numbered(text.get_text(), covered)
        is_noted = is_noted or readable != text.get_text()
        text.set_text(readable)
    if is_noted:
        figure.supxlabel(_NOTE, fontsize="x-small")


def font_file(texts: Sequence[str]) -> tuple[str, list[str]]:
    """A font for a picture of pixels, and the texts that it can show: the first font that has all their characters,
    else the usual one, with Unicode numbers for those that it lacks."""
    needed = {ord(c) for text in texts for c in text if c not in _NO_LETTERS}
    families = (_FIRST, *(name for name in _MORE if name in _installed())) if needed - _letters(_FIRST) else (_FIRST,)
    whole = next((name for name in families if needed <= _letters(name)), _FIRST)
    return findfont(FontProperties(family=[whole])), [_numbered(text, _letters(whole)) for text in texts]


def _foreign(texts: Sequence[Text]) -> list[Text]:
    """The texts with characters that the default font lacks."""
    usual = _letters(_FIRST)
    return [text for text in texts if _numbered(text.get_text(), usual) != text.get_text()]


def _numbered(text: str, covered: Collection[int]) -> str:
    """`text` with uncovered characters as <Unicode number>; line breaks and tabs unchanged."""
    return "".join(c if ord(c) in covered or c in _NO_LETTERS else f"<{ord(c):04X}>" for c in text)


@lru_cache
def _installed() -> frozenset[str]:
    return frozenset(entry.name for entry in fontManager.ttflist)


@lru_cache
def _letters(family: str) -> frozenset[int]:
    """Unicode numbers of the characters of a font."""
    return frozenset(get_font(findfont(FontProperties(family=[family]))).get_charmap())
