"""Snapshots: the weights of some epochs, kept beside the checkpoints for an ensemble or a soup of one run.

With a schedule that restarts, each cycle ends in another minimum, and a snapshot of each end is a member of an ensemble
that costs one training (Huang et al., Snapshot Ensembles: Train 1, Get M for Free, ICLR 2017, arXiv:1704.00109).
"""

from __future__ import annotations

from collections.abc import Sequence

from dlexp.artifacts.checkpoints.checkpoint import CheckpointStore
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.assemble.training import TrainingSetup
from dlexp.engine.loop import EpochRecord, Observer, StepRecord
from dlexp.workflows.run_record.ensemble_record import SNAPSHOT_NAME, SNAPSHOTS, snapshot_epochs


def snapshots(run: RunDir, setup: TrainingSetup) -> Sequence[Observer]:
    """The observer that keeps the weights of every so many-th epoch; none without trainer.snapshot_every.

    Snapshots of epochs that are trained again are deleted.
    """
    every = setup.experiment.config.trainer.snapshot_every
    if every is None:
        return ()
    for epoch, path in snapshot_epochs(run.path).items():
        if epoch > setup.state.epoch:
            path.unlink(missing_ok=True)
    store, state = CheckpointStore(run / SNAPSHOTS, lambda text: None), setup.state

    def observe(record: StepRecord | EpochRecord) -> None:
        if not isinstance(record, EpochRecord) or record.epoch % every:
            return
        with state.eval_weights():
            weights = {name: value.detach().cpu().clone() for name, value in state.networks.state_dict().items()}
        metrics = {name[4:]: value for name, value in record.values.items() if name.startswith("val/")}
        position = {"epoch": record.epoch, "batch": 0, "step": state.step}
        store.save_as(
            f"{SNAPSHOT_NAME}{record.epoch:04d}", {"networks": weights, "position": position, "metrics": metrics}
        )

    return (observe,)
