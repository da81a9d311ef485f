"""A language model from the command line: trained, resumed to the bit, evaluated beside simple models, exported."""

import json
from pathlib import Path

import pytest
from outside_package import OWN, dlexp, installed, report_of, rows_of

PACKAGE = """
import torch
class Net(torch.nn.Module):
    def __init__(self, vocabulary_size, num_outputs):
        super().__init__()
        self.embed, self.read = torch.nn.Embedding(vocabulary_size, 8), torch.nn.GRU(8, 16, batch_first=True)
        self.score = torch.nn.Linear(16, num_outputs)
    def forward(self, values, lengths): return self.score(self.read(self.embed(values))[0])
"""
OPTIONS = {"model/net": "{_target_: outside.Net, _inputs_: tokens}"}
WORDS = ("data=corpus", "data.path=book.txt", "data.window=16", "data.batch_size=4", "model=net", "trainer.device=cpu")


def test_a_language_model_trains_resumes_and_is_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "book.txt").write_text("\n".join(f"line {n:03d} of the text" for n in range(60)))
    with installed(tmp_path, PACKAGE, OPTIONS):
        dlexp("train", *OWN, *WORDS, "trainer.epochs=2", "-o", "whole")
        assert all(0 < row["val/bits_per_byte"] < 8 for row in rows_of("whole"))
        capsys.readouterr()
        dlexp("evaluate", "whole", *OWN[2:])
        shown = capsys.readouterr().out
        dlexp("report", "whole")
        dlexp("verify", *OWN, *WORDS, "trainer.epochs=2")
        dlexp("lr-find", *OWN, *WORDS)
    found = report_of("whole")
    assert found["metrics"]["bits_per_byte"] == pytest.approx(found["metrics"]["bits_per_token"])  # ASCII letters
    assert set(found["baselines"]) == {"5-gram (Witten-Bell)", "xz"}
    assert "5-gram (Witten-Bell)" in shown
    page = Path("whole/report.html").read_text()
    assert "5-gram (Witten-Bell)" in page
    assert (Path("whole") / "eval/test/token_losses.png").is_file()
    assert json.loads(Path("whole/eval/test/report.json").read_text())["vocabulary_size"] > 10
