"""Detection of encodings of bytes that are not UTF-8."""

from __future__ import annotations

import codecs
import re

_UNDEFINED = bytes((0x81, 0x8D, 0x8F, 0x90, 0x9D))  # in cp1252
_JAPANESE = re.compile("[\u3040-\u30ff\u3005\u4e00-\u9fff]+")
_IN_RUNS = 0.8  # share of Japanese letters that have another one next to them
# In cp1252 most bytes from 80 to 9F are signs and capitals, which no small letter follows; in Mac Roman all
# are letters. Dashes, quotes and the small letters of cp1252 are left out.
_MAC = re.compile(rb"[A-Za-z][\x80-\x84\x86-\x91\x93-\x95\x98\x99\x9b\x9d\x9f][a-z]")
_WINDOWS = re.compile(rb"[A-Za-z][\x9a\x9c\x9e\xdf-\xff][a-z]")


def of_bytes_beyond_ascii(head: bytes) -> str:
    """cp932 (Shift-JIS) for valid Japanese words, mac-roman for its small letters, else cp1252 or latin-1.

    head  the beginning of a text, of which a last letter may be cut off
    """
    if _is_japanese(head):
        return "cp932"
    if len(_MAC.findall(head)) > len(_WINDOWS.findall(head)):
        return "mac-roman"
    return "latin-1" if any(byte in head for byte in _UNDEFINED) else "cp1252"


def _is_japanese(head: bytes) -> bool:
    """Return whether a text is valid cp932 whose Japanese letters stand together, as chance hardly makes them."""
    try:
        text = codecs.getincrementaldecoder("cp932")().decode(head)
    except UnicodeDecodeError:
        return False
    runs = [len(run) for run in _JAPANESE.findall(text)]
    return bool(runs) and sum(run for run in runs if run > 1) >= _IN_RUNS * sum(runs)
