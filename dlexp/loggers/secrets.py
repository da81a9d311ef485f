"""What of a tracker's address and environment must be in no file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_VARIABLES = ("WANDB_API_KEY", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_SHORTEST = 4  # a secret of fewer characters would take letters out of ordinary words


def has_password(address: str) -> bool:
    """Whether an address holds what only its owner should know: `scheme://user:password@host`, or a token alone."""
    return _CREDENTIALS.search(address) is not None


def masked(text: str, environ: Mapping[str, str], others: Iterable[str] = ()) -> str:
    """`text` without credentials in addresses, without the values of the trackers' variables, and without `others`."""
    text = _CREDENTIALS.sub("***", text)
    secrets = [environ.get(name, "") for name in _VARIABLES]
    for address in (environ.get("MLFLOW_TRACKING_URI", ""), environ.get("WANDB_BASE_URL", ""), *others):
        for found in _CREDENTIALS.findall(address):
            secrets += [found, *found.split(":")[1:]]
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, "***")
    return text
