"""The types of what `import dlexp` exports."""

from dlexp.api.results import ComparisonResult as ComparisonResult
from dlexp.api.results import CompressionResult as CompressionResult
from dlexp.api.results import DoctorResult as DoctorResult
from dlexp.api.results import EvaluationResult as EvaluationResult
from dlexp.api.results import ExplainResult as ExplainResult
from dlexp.api.results import LrFindResult as LrFindResult
from dlexp.api.results import StudyResult as StudyResult
from dlexp.api.run import Run as Run
from dlexp.api.run_group import RunGroup as RunGroup
from dlexp.api.studies import compare as compare
from dlexp.api.studies import doctor as doctor
from dlexp.api.studies import lr_find as lr_find
from dlexp.api.studies import study as study
from dlexp.api.training import load as load
from dlexp.api.training import load_group as load_group
from dlexp.api.training import resume as resume
from dlexp.api.training import train as train
from dlexp.errors import ConfigError as ConfigError
from dlexp.errors import DataError as DataError
from dlexp.errors import Diverged as Diverged
from dlexp.errors import DlexpError as DlexpError
from dlexp.errors import Interrupted as Interrupted
from dlexp.errors import NoResult as NoResult
from dlexp.errors import OutOfMemory as OutOfMemory
from dlexp.errors import Problem as Problem

__all__: list[str]
__version__: str
