"""What to sweep: a frozen, typed config, read from YAML with the place of every mistake."""

from wine_sweep.config.loader import Draft, dump_config, parse_config, read_config
from wine_sweep.config.parameters import Choices, Range
from wine_sweep.config.schema import (
    Backend,
    CrossValidation,
    DataConfig,
    Direction,
    Duplicates,
    EvaluationConfig,
    ExecutionConfig,
    Method,
    ModelConfig,
    ObjectiveConfig,
    RegistryConfig,
    SearchConfig,
    Stage,
    StepConfig,
    SweepConfig,
)

__all__ = [
    "Backend",
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
