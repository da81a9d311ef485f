"""Text formats of times and durations."""

from __future__ import annotations

from datetime import UTC, datetime


def now_utc() -> str:
    """The current time as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def readable(moment: object) -> str | None:
    """A time of `now_utc` for people, such as 2026-01-02 03:04:05 UTC; another text unchanged, None without one."""
    return None if moment is None else str(moment).replace("T", " ").replace("+00:00", " UTC")


def stamp() -> str:
    """The local time for directory names: YYYYmmdd-HHMMSS."""
    return datetime.now().strftime("%Y%m%d-%H%M%S")


def spoken(seconds: float) -> str:
    """A duration as text: 0.4 s, 12 s, 3:05, 1:02:03."""
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def ago(seconds: float) -> str:
    """An age as text: 40 s, 12 min, 3 h, 5 d; 0 s for a time in the future."""
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
