"""Letters in pictures: fonts that have them where there are any, and their Unicode numbers where there are none.

Matplotlib brings DejaVu Sans, which has Latin, Greek, Cyrillic and more, and neither Chinese, Japanese, Korean nor most
scripts of India. A class is named in any of them.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

_FIRST = "DejaVu Sans"
# Fonts of many scripts, in the order in which a letter is looked for in those that are installed.
_MORE = (
    *("Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK TC", "Noto Sans CJK KR", "Noto Sans SC"),
    *("Noto Sans JP", "Noto Sans KR", "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil"),
    *("Noto Sans Thai", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Ethiopic", "Noto Sans Symbols 2"),
    *("WenQuanYi Zen Hei", "Droid Sans Fallback", "Source Han Sans SC", "IPAexGothic", "TakaoGothic", "NanumGothic"),
    *("Microsoft YaHei", "SimHei", "Yu Gothic", "Meiryo", "Malgun Gothic", "Nirmala UI", "Leelawadee UI"),
    *("PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Arial Unicode MS", "Unifont"),
)
_NO_LETTERS = "\n\t\r"
_NOTE = "<...>: a letter for which no font is installed here, by its Unicode number"


def make_readable(figure: Figure) -> None:
    """Give every text of a figure fonts that have its letters; a letter that none has is written as its number."""
    lacking = _foreign(figure)
    if not lacking:
        return
    families = (_FIRST, *(name for name in _MORE if name in _installed()))
    covered = set().union(*map(_letters, families))
    is_noted = False
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        labels = [label.get_text() for label in axis.get_ticklabels()]
        if any(_numbered(text, covered) != text for text in labels):  # an axis writes its labels anew when it is drawn
            axis.set_ticks(axis.get_majorticklocs(), labels=[_numbered(text, covered) for text in labels])
            is_noted = True
    for text in lacking:
        text.set_fontfamily(list(families))
        readable = _numbered(text.get_text(), covered)
        is_noted = is_noted or readable != text.get_text()
        text.set_text(readable)
    if is_noted:
        figure.supxlabel(_NOTE, fontsize="x-small")


def _foreign(figure: Figure) -> list[Text]:
    """The texts with a letter that the usual font does not have."""
    usual = _letters(_FIRST)
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    return [text for text in texts if _numbered(text.get_text(), usual) != text.get_text()]


def _numbered(text: str, covered: Collection[int]) -> str:
    """`text` with the letters that are not covered as <Unicode number>; what controls the line stays as it is."""
    return "".join(c if ord(c) in covered or c in _NO_LETTERS else f"<{ord(c):04X}>" for c in text)


@lru_cache
def _installed() -> frozenset[str]:
    return frozenset(entry.name for entry in fontManager.ttflist)


@lru_cache
def _letters(family: str) -> frozenset[int]:
    """Unicode numbers of the letters that a font has."""
    return frozenset(get_font(findfont(FontProperties(family=[family]))).get_charmap())
