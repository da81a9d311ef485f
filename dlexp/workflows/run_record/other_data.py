"""Other data for a trained run: classes matched by name, inputs and targets preprocessed as in training.

The statistics of the training rows of a run (means, deviations, medians, categories) belong to its weights. New data
would be encoded with its own statistics.

Symbols: N rows, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlexp.artifacts.files.reading import is_there
from dlexp.artifacts.runs.run_dir import RunDir
from dlexp.artifacts.runs.run_files import read_run_file
from dlexp.assemble.experiment import build_data, check_nodes
from dlexp.config.schema.run import RunConfig
from dlexp.data.bundle import DataBundle, Split
from dlexp.data.class_order import with_classes
from dlexp.data.columns import Dense, tensor_of
from dlexp.data.images.float_precision import Narrowing, conversion_between
from dlexp.data.inference.tables import TableInput
from dlexp.data.memory.handed_over import PLACE
from dlexp.data.preprocess import Affine, Preprocess
from dlexp.data.tables.features.encodings import encoded_columns as fits_of
from dlexp.data.tables.original_units import original_columns
from dlexp.data.texts.encoding import encoded_texts
from dlexp.errors import DataError
from dlexp.findings import dropping
from dlexp.sequence_specs import TokenSpec
from dlexp.specs import ClassSpec, DataSpec
from dlexp.workflows.run_record.data import preprocess_of, spec_of
from dlexp.workflows.run_record.restore import in_trained_units

_TABLE_FILE = "dlexp.data.sources.table_file.table_file"
_FRAME = "dlexp.data.memory.dataframe.dataframe"
_HAS_NO_VALUE = "every cell is empty"  # of a row that training ignores


def data_in_classes_of(run: RunDir, config: RunConfig, trusted: Sequence[str], lacking: bool = True) -> DataBundle:
    """The data of `config`, with classes in the order of `run`, matched by name.

    Args:
        run: The trained run.
        config: The configuration of the data.
        trusted: Trusted packages.
        lacking: Whether data without some of the classes is matched too; otherwise it is returned unchanged.

    Raises:
        DataError: Samples of a class that the run does not know.
        ConfigError: Invalid arguments.
    """
    check_nodes(config, trusted)
    bundle, names = build_data(config, trusted), _of(run, "meta.json").get("outputs")
    if not names or not isinstance(bundle.spec.targets, ClassSpec):
        return bundle
    if not lacking and set(names) != set(bundle.spec.targets.names):
        return bundle
    return with_classes(bundle, [str(name) for name in names], str(run.path))


def data_as_in(run: RunDir, config: RunConfig, trusted: Sequence[str]) -> DataBundle:
    """The data of `config` with the classes, encoding and normalization of `run`.

    The training data of the run is returned unchanged. Raises DataError for data with other columns, for a row that
    cannot be encoded, and as `data_in_classes_of` does.
    """
    bundle = data_in_classes_of(run, config, trusted)
    meta, found = _of(run, "meta.json"), _of(run, "preprocessing.json")
    is_same = (bundle.fingerprint, bundle.split_hash) == (meta.get("data_fingerprint"), meta.get("split_hash"))
    if is_same or not {"spec", "preprocess"} <= found.keys():
        return in_trained_units(run, bundle)  # of a run that was adapted they are those of the run before
    spec = spec_of(found["spec"], config, trusted)
    if _kinds(spec) != _kinds(bundle.spec):
        return bundle  # refused where the run's weights are put in
    preprocessing = {key: value for key, value in found.items() if key not in ("spec", "preprocess")}
    if fits_of(found) and fits_of(found) != fits_of(bundle.preprocessing):
        bundle = _encoded(bundle, config, preprocessing)
    if isinstance(spec.inputs, TokenSpec) and spec.inputs.vocabulary is not None:
        bundle = _tokenized(bundle, spec.inputs)
    if bundle.spec.inputs.shape != spec.inputs.shape and not fits_of(found):
        return bundle
    preprocess = _composed(preprocess_of(found["preprocess"]), bundle.preprocessing, preprocessing)
    return replace(bundle, spec=spec, preprocess=preprocess, preprocessing=preprocessing)


def _tokenized(bundle: DataBundle, inputs: TokenSpec) -> DataBundle:
    """The texts of a bundle as tokens of a trained vocabulary; other token ids as they are."""
    texts = bundle.texts
    if texts is None:
        return bundle
    splits = {
        name: replace(split, inputs=encoded_texts(texts(split.indices.numpy()), inputs))
        for name, split in bundle.splits.items()
    }
    return replace(bundle, splits=splits)


def _kinds(spec: DataSpec) -> tuple[str, str, int]:
    return spec.inputs.kind, spec.target_kind, spec.num_outputs


def _composed(trained: Preprocess, read: Mapping[str, Any], wanted: Mapping[str, Any]) -> Preprocess:
    """`trained` for images that were narrowed as `read` says and not as `wanted` says, composed in float64."""
    narrowings = Narrowing.of_plain(read), Narrowing.of_plain(wanted)
    if narrowings[0] == narrowings[1] or not isinstance(trained, Affine):
        return trained
    scale, shift = map(torch.from_numpy, conversion_between(*narrowings))
    own = trained.scale.double()
    return Affine((own * scale).float(), (own * shift + trained.shift.double()).float())


def _encoded(bundle: DataBundle, config: RunConfig, preprocessing: Mapping[str, Any]) -> DataBundle:
    """The table with features encoded by `preprocessing`. Raises DataError for columns that the run does not have."""
    known = {fit.name for fit in fits_of(preprocessing)}
    extra = [fit.name for fit in fits_of(bundle.preprocessing) if fit.name not in known]
    if extra:
        setting = dropping(extra, config.data.arguments.get("columns"))
        remedy = f"Drop them with {setting}" if setting else "Remove them from the file."
        rule = f"unknown column {', '.join(map(repr, extra))}: the run was trained without it"
        raise DataError(rule, file=config.data.arguments.get("path"), remedy=remedy, code="incompatible-data")
    if config.data.target in (_TABLE_FILE, _FRAME):
        features = _from_file(config.data.arguments, preprocessing)
        inputs = {name: features[split.indices.numpy()] for name, split in bundle.splits.items()}
    else:
        inputs = {name: _from_features(split, bundle, preprocessing) for name, split in bundle.splits.items()}
    splits = {
        name: replace(split, inputs=Dense(torch.from_numpy(inputs[name]))) for name, split in bundle.splits.items()
    }
    return replace(bundle, splits=splits)


def _from_file(arguments: Mapping[str, Any], preprocessing: Mapping[str, Any]) -> NDArray[np.float32]:
    """Features (N, F) of all rows of the files or of the DataFrame, encoded as in `dlexp predict`. Raises DataError."""
    from dlexp.data.memory.dataframe import given_frame  # pandas, which other data do not need

    reader = TableInput.of(preprocessing, arguments, lenient=True)
    blocks = []
    paths = [str(arguments[key]) for key in ("path", "val_path", "test_path") if arguments.get(key)]
    for path in paths or [str(PLACE)]:  # a DataFrame has none
        for items in reader.read(path) if paths else reader.read_frame(given_frame()):
            problem = next((text for text in items.problems if text and not text.endswith(_HAS_NO_VALUE)), "")
            if problem:
                raise DataError(problem, file=path, code="invalid-data")
            blocks.append(items.tensor.numpy())
    return np.concatenate(blocks)


def _from_features(split: Split, bundle: DataBundle, preprocessing: Mapping[str, Any]) -> NDArray[np.float32]:
    """Features (N, F) of a split, re-encoded from features with other statistics. Raises DataError."""
    fits = fits_of(preprocessing)
    cells = original_columns(tensor_of(split.inputs).numpy(), bundle.preprocessing)
    lacking = [fit.name for fit in fits if fit.name not in cells]
    if lacking:
        raise DataError(
            f"column {', '.join(map(repr, lacking))} not found, which the run requires", code="incompatible-data"
        )
    blocks = [fit.encode(np.asarray(cells[fit.name])) for fit in fits]
    return np.concatenate(blocks, axis=1).astype(np.float32)


def _of(run: RunDir, name: str) -> dict[str, Any]:
    """A JSON file of a run; {} if it does not exist."""
    found: dict[str, Any] = read_run_file(run / name) if is_there(run / name) else {}
    return found
