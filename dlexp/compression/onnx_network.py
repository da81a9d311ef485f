"""An ONNX file as a network: it is run by ONNX Runtime, and its bytes are its only weights.

Symbols: B samples of a batch, O outputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dlexp.errors import ConfigError, DlexpError


class OnnxNetwork(nn.Module):
    """Inputs (B, ...), or values (B, T, ...) and lengths (B,), -> (B, O) float32.

    The bytes of the file are a buffer, so that a checkpoint contains them, is read like any other, and runs nothing.
    Until they are loaded, all outputs are 0. It has no gradients and cannot be trained.

    Args:
        num_bytes: Size of the file.
        num_outputs: O.
    """

    content: Tensor

    def __init__(self, num_bytes: int, num_outputs: int) -> None:
        super().__init__()
        self.register_buffer("content", torch.zeros(num_bytes, dtype=torch.uint8))
        self.num_outputs = num_outputs
        self._session: Any = None

    def load_file(self, content: bytes) -> None:
        """Become the network in the bytes of a file of this size."""
        self.content.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        self._session = None

    @property
    def file(self) -> bytes:
        """The bytes of the file."""
        return self.content.cpu().numpy().tobytes()

    def forward(self, *inputs: Tensor) -> Tensor:
        """(B, ...) -> (B, O). Raises DlexpError if gradients of the inputs are asked for."""
        if torch.is_grad_enabled() and any(each.requires_grad for each in inputs):
            raise DlexpError("an ONNX file has no gradients. Use the run that it was made of", code="not-supported")
        if not int(self.content[0]):  # the first byte of an ONNX file is 8
            return torch.zeros(len(inputs[0]), self.num_outputs, device=inputs[0].device)
        threads = torch.get_num_threads()
        if self._session is None or self._session[0] != threads:
            self._session = threads, onnx_session(self.file, threads)
        session = self._session[1]
        names = [one.name for one in session.get_inputs()]
        given = {
            name: np.ascontiguousarray(each.detach().cpu().numpy()) for name, each in zip(names, inputs, strict=False)
        }
        return torch.from_numpy(session.run(None, given)[0]).to(inputs[0].device)

    def _load_from_state_dict(self, *given: Any, **named: Any) -> None:
        super()._load_from_state_dict(*given, **named)
        self._session = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_session": None}  # a session can be neither copied nor pickled


def onnx_session(content: bytes, threads: int) -> Any:
    """ONNX Runtime's session of a file, on the CPU. Raises ConfigError without the package, DlexpError otherwise."""
    try:
        import onnxruntime
    except ImportError as error:
        remedy = "Install it: pip install 'dlexp[onnx]'"
        rule = f"requires onnxruntime ({error})"
        raise ConfigError.one("compression.onnx_bytes", "", rule, remedy, code="missing-package") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common class
        raise DlexpError(f"the ONNX file of the run cannot be read: {error}", code="corrupted") from error
