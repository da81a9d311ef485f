"""dlexp: train, evaluate and compare neural networks, from one command line or in Python.

    run = dlexp.train("model=mlp", "optim.lr=0.01", data=frame, target="y")

Everything but the version is loaded when it is first used, so that `import dlexp` takes no time; `__init__.pyi` has the
types.
"""

__version__ = "0.1.0"

_PLACES = {
    "dlexp.api.results": (
        *("ComparisonResult", "CompressionResult", "DoctorResult", "EvaluationResult", "ExplainResult", "LrFindResult"),
        "StudyResult",
    ),
    "dlexp.api.run": ("Run",),
    "dlexp.api.run_group": ("RunGroup",),
    "dlexp.api.studies": ("compare", "doctor", "lr_find", "study"),
    "dlexp.api.training": ("load", "load_group", "resume", "train"),
    "dlexp.errors": (
        *("ConfigError", "DataError", "Diverged", "DlexpError", "Interrupted", "NoResult", "OutOfMemory", "Problem"),
    ),
}
__all__ = ["__version__", *(name for names in _PLACES.values() for name in names)]


def __getattr__(name: str) -> object:
    from importlib import import_module

    for place, names in _PLACES.items():
        if name in names:
            found = globals()[name] = getattr(import_module(place), name)
            return found
    raise AttributeError(f"module 'dlexp' has no attribute {name!r}", name=name, obj=None)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
