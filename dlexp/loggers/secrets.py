"""Detection and masking of secrets in tracker addresses and environment variables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_VARIABLES = ("WANDB_API_KEY", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_SHORTEST = 4  # shorter secrets would match parts of ordinary words


def has_password(address: str) -> bool:
    """Return whether an address contains credentials: `scheme://user:password@host`, or a token."""
    return _CREDENTIALS.search(address) is not None


def without_credentials(text: str, environ: Mapping[str, str], others: Iterable[str] = ()) -> str:
    """Return `text` with secrets replaced by ***.

    Args:
        text: Any text.
        environ: Environment variables, of which those of trackers contain secrets.
        others: More addresses whose credentials are secrets.
    """
    text = _CREDENTIALS.sub("***", text)
    secrets = [environ.get(name, "") for name in _VARIABLES]
    for address in (environ.get("MLFLOW_TRACKING_URI", ""), environ.get("WANDB_BASE_URL", ""), *others):
        for found in _CREDENTIALS.findall(address):
            secrets += [found, *found.split(":")[1:]]
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, "***")
    return text
