"""What to sweep: a frozen, typed config, read from YAML with the place of every mistake."""

from wine_sweep.config.dumping import Block, dump_yaml
from wine_sweep.config.evaluation import (
    BootstrapConfig,
    CrossValidation,
    Direction,
    EvaluationConfig,
    HistoryReducer,
    ObjectiveConfig,
)
from wine_sweep.config.execution import Backend, ExecutionConfig, RetriesConfig
from wine_sweep.config.expressions import Expression, ExpressionError
from wine_sweep.config.loader import ParsedConfig, dump_config, dump_tree, parse_config, read_config
from wine_sweep.config.model import EstimatorConfig, FamilyConfig, ModelConfig, ModelForm, StepConfig
from wine_sweep.config.parameters import Choices, Range
from wine_sweep.config.registry import GATE_RESAMPLES, GateConfig, RegistryConfig, Stage, find_stage
from wine_sweep.config.schema import FAMILY, MAX_TABLE, DataConfig, Duplicates, SweepConfig
from wine_sweep.config.search import BudgetConfig, Method, PrunerConfig, PrunerType, RegretConfig, SearchConfig
from wine_sweep.config.selection import Cost, End, PickConfig, PickRule, SelectionConfig, SelectRule

__all__ = [
    "FAMILY",
    "GATE_RESAMPLES",
    "MAX_TABLE",
    "Backend",
    "Block",
    "BootstrapConfig",
    "BudgetConfig",
    "Choices",
    "Cost",
    "CrossValidation",
    "DataConfig",
    "Direction",
    "Duplicates",
    "End",
    "EstimatorConfig",
    "EvaluationConfig",
    "ExecutionConfig",
    "Expression",
    "ExpressionError",
    "FamilyConfig",
    "GateConfig",
    "HistoryReducer",
    "Method",
    "ModelConfig",
    "ModelForm",
    "ObjectiveConfig",
    "ParsedConfig",
    "PickConfig",
    "PickRule",
    "PrunerConfig",
    "PrunerType",
    "Range",
    "RegistryConfig",
    "RegretConfig",
    "RetriesConfig",
    "SearchConfig",
    "SelectRule",
    "SelectionConfig",
    "Stage",
    "StepConfig",
    "SweepConfig",
    "dump_config",
    "dump_tree",
    "dump_yaml",
    "find_stage",
    "parse_config",
    "read_config",
]
