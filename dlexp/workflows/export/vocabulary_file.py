"""The vocabulary beside an exported network, by which other programs make token ids of texts."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dlexp.artifacts.files.writing import write_bytes
from dlexp.sequence_specs import TokenSpec
from dlexp.spec_base import InputSpec


def write_vocabulary(path: Path, inputs: InputSpec) -> dict[str, Any]:
    """Write `<name>.vocabulary.json` beside an exported file; the fact that names it, {} for data that are no texts."""
    if not isinstance(inputs, TokenSpec) or inputs.vocabulary is None:
        return {}
    beside = path.with_suffix(".vocabulary.json")
    content = {**asdict(inputs.vocabulary), "max_length": inputs.max_length}
    write_bytes(beside, json.dumps(content, ensure_ascii=False, indent=1).encode())
    return {"vocabulary": str(beside)}
