"""Runs one workload in this process: python -m benchmarks.harness.child FD MODULE:FUNCTION JSON, by the driver."""

from __future__ import annotations

import importlib
import json
import socket
import sys

from benchmarks.harness.turns import Missing, Turns, die_with_parent


def main() -> None:
    """Run until the driver closes the channel."""
    die_with_parent()
    descriptor, target, text = sys.argv[1:]
    module, _, function = target.partition(":")
    options = json.loads(text)
    with socket.socket(fileno=int(descriptor)) as connection, connection.makefile("rw") as channel:
        try:
            workload = getattr(importlib.import_module(module), function)
            workload(Turns(channel, options.pop("warm_up")), **options)
        except Missing as error:
            channel.write(json.dumps({"missing": str(error)}) + "\n")


if __name__ == "__main__":
    main()
