"""What to sweep: a frozen, typed config, read from YAML with the place of every mistake."""

from wine_sweep.config.evaluation import BootstrapConfig, CrossValidation, Direction, EvaluationConfig, ObjectiveConfig
from wine_sweep.config.loader import Draft, dump_config, parse_config, read_config
from wine_sweep.config.model import ModelConfig, StepConfig
from wine_sweep.config.parameters import Choices, Range
from wine_sweep.config.schema import Backend, DataConfig, Duplicates, ExecutionConfig, RegistryConfig, Stage, SweepConfig
from wine_sweep.config.search import Method, SearchConfig

__all__ = [
    "Backend",
    "BootstrapConfig",
    "Choices",
    "CrossValidation",
    "DataConfig",
    "Direction",
    "Draft",
    "Duplicates",
    "EvaluationConfig",
    "ExecutionConfig",
    "Method",
    "ModelConfig",
    "ObjectiveConfig",
    "Range",
    "RegistryConfig",
    "SearchConfig",
    "Stage",
    "StepConfig",
    "SweepConfig",
    "dump_config",
    "parse_config",
    "read_config",
]
