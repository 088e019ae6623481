"""Where the objects of a skops file may stand, and in which form.

What is harmless as such is not so everywhere. skops calls what stands among the key types of a dict while it loads; and
scikit-learn calls methods whose names are text of a model's state (`stack_method_`), and hands attributes on to whatever stands
where an estimator is expected, an array with its `tofile` included. So a node is allowed only in the form that skops itself
writes; functions, scorers and types only in the attributes that hold such in real models; only estimators, or text, where
estimators are expected; and only the names of methods that predict where text names a method.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wine_sweep.evaluation.functions import PARAMETERS

_JSON = "JsonNode"
_DISTANCE_BY_FUNCTION = re.compile(r"sklearn\.metrics\._dist_metrics\.PyFuncDistance(32|64)?")
"""It holds the function that is a metric, in a tree of neighbors."""

_FUNCTION_NODES = frozenset({"FunctionNode", "OperatorFuncNode", "PartialNode"})
_LONGEST = 200

METHODS = frozenset({"auto", "decision_function", "predict", "predict_log_proba", "predict_proba", "score_samples", "transform"})
"""Methods that a model's state may name: they predict, and write nothing."""

NAMING_METHODS = frozenset(
    {"_response_method", "chain_method", "chain_method_", "response_method", "stack_method", "stack_method_"}
)
"""Attributes of scikit-learn's whose text is given to `getattr`, and what comes of it is called."""

NAMING_ATTRIBUTES = frozenset({"importance_getter"})
"""Attributes of scikit-learn's whose text is given to `operator.attrgetter`."""

_IMPORTANCES = re.compile(r"auto|([A-Za-z]\w*\.)*(coef_|feature_importances_)")

_KINDS = "estimator|regressor|classifier|transformer|imputer|encoder|binarizer|calibrator"
_ONE_ESTIMATOR = re.compile(
    rf"_?(\w+_)?({_KINDS})_?|_?(scaler|centerer|tfidf)_?|init_|kernel_pca_|nbrs_|_?le_?|_?pipeline_?|_Booster"
)
_ESTIMATORS = re.compile(rf"_?(\w+_)?({_KINDS})s_?|transformer_list|_?steps|named_\w+")
_TRANSFORMERS = re.compile(r"_?transformers_?")
"""Each of them has its columns at its end."""

COLUMN_SELECTOR = "sklearn.compose._column_transformer.make_column_selector"
"""It picks columns by their dtypes and names, which are data, and does so while a ColumnTransformer is fitted."""

HOLDING_FUNCTIONS = PARAMETERS | {"_asarray", "_kmeans_single", "_score_func", "effective_metric_", "predicate"}
_TAKING_COLUMNS = frozenset({"func", "inverse_func"})
"""Of a FunctionTransformer: these may be an `operator.itemgetter`, or a `methodcaller` that changes types."""

_COLUMN_TYPES = re.compile(r"boolean|category|Float64|float64|object|str|datetime64\[(s|ms|us|ns)(, \w[\w/+:-]*)?\]")

_HOLDING_SCORERS = frozenset({"_curve_scorer", "_scorer", "_scorers", "owner", "scorer_", "scoring"})
_HOLDING_TYPES = frozenset({"_dtype", "dtype"})

_KEY_TYPES = frozenset(
    {"builtins.bool", "builtins.float", "builtins.int", "builtins.str", "numpy.bool", "numpy.bool_", "numpy.str_"}
)
_NUMBERS = re.compile(r"numpy\.u?int(8|16|32|64)|numpy\.float(16|32|64)")
_FACTORIES = frozenset(f"builtins.{name}" for name in ("bool", "dict", "float", "int", "list", "set", "str", "tuple")) | {
    "collections.OrderedDict"
}
_MADE = frozenset({"ConstructorFromReduceNode", "BytesNode", "BytearrayNode", "SliceNode", "DTypeNode", _JSON})


def misplaced(schema: Any, is_estimator: Callable[[str], bool]) -> Iterator[str]:
    """Describe what stands where it may not, or in a form that skops does not write; the names of types are not judged here.

    Args:
        schema: The text of a skops file, with what skops makes of each node: JSON.
        is_estimator: Whether a class may stand where an estimator is expected.
    """
    yield from _ambiguous(schema)
    rest: list[_Place] = [(schema, "", False)]
    while rest:
        found, attribute, is_value = rest.pop()
        if isinstance(found, list):
            rest.extend((each, attribute, False) for each in found)
        elif isinstance(found, dict) and "__loader__" not in found:
            rest.extend((each, attribute, False) for each in found.values())
        elif isinstance(found, dict):
            why = _malformed(found) or _displaced(found, attribute, is_value)
            wrong = [why] if why else []
            if not why:
                rest.extend(_within(found, attribute))
                wrong = [why for name, value in _attributes(found).items() if (why := _wrong(found, name, value, is_estimator))]
            yield from wrong


_Place = tuple[Any, str, bool]
"""What stands there, the nearest attribute that holds it, and whether it is that attribute's whole value."""


def _attributes(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of an object of the right form, by name."""
    state = node.get("content")
    is_named = node["__loader__"] == "ObjectNode" and isinstance(state, dict) and state["__loader__"] == "DictNode"
    return state["content"] if is_named and isinstance(state, dict) else {}


def _within(node: Mapping[str, Any], attribute: str) -> list[_Place]:
    """List what stands in a node of the right form, but for the functions and types that belong to its form."""
    if named := _attributes(node):
        return [(value, name, True) for name, value in named.items()]
    content, loader = node.get("content"), node["__loader__"]
    is_distance = loader == "ObjectNode" and _DISTANCE_BY_FUNCTION.fullmatch(dotted(node)) is not None
    if is_distance and isinstance(content, dict) and _loader(content) == "TupleNode" and _malformed(content) is None:
        return [(value, "metric", True) for value in content["content"]]
    if loader == "PartialNode" and isinstance(content, dict):
        others = [value for key, value in content.items() if key not in ("func", "kwds")]
        return [(value, attribute, False) for value in (*others, *_plain_arguments(content).values())]
    if loader == "DefaultDictNode" and isinstance(content, dict):
        return [(value, attribute, False) for key, value in content.items() if key != "default_factory"]
    return [(value, attribute, False) for key, value in node.items() if (loader, key) != ("DictNode", "key_types")]


def dotted(node: Mapping[str, Any]) -> str:
    """Name what a node makes."""
    return f"{node.get('__module__')}.{node.get('__class__')}"


def _shown(node: Any) -> str:
    return repr(dotted(node)[:_LONGEST]) if isinstance(node, dict) else "what is no object"


def _loader(node: Any) -> str | None:
    found = node.get("__loader__") if isinstance(node, dict) else None
    return found if isinstance(found, str) else None


def _ambiguous(schema: Any) -> Iterator[str]:
    """Find ids that several objects have: skops takes the first that it meets for all of them.

    The same object is written once more wherever it is used, and then with other ids and files in it.
    """
    numbers: dict[Any, int] = {}
    known: dict[int, int] = {}
    wrong: list[str] = []

    def number(value: Any) -> int:
        if isinstance(value, dict):
            is_node = isinstance(value.get("__loader__"), str)
            own = {"__id__"} | ({"file"} if isinstance(value.get("file"), str) else set()) if is_node else set()
            rest = ((key, number(each)) for key, each in value.items() if key not in own)
            found = numbers.setdefault(("{", *rest), len(numbers))
            if is_node and "__id__" in value:
                identity = value["__id__"]
                if type(identity) is not int or identity <= 0:
                    wrong.append(f"an id that is no number ({str(identity)[:20]})")
                elif known.setdefault(identity, found) != found:
                    wrong.append(f"several objects with one id ({_shown(value)})")
            return found
        if isinstance(value, list):
            return numbers.setdefault(("[", *map(number, value)), len(numbers))
        return numbers.setdefault((type(value), value), len(numbers))

    number(schema)
    yield from wrong


def _malformed(node: Mapping[str, Any]) -> str | None:
    """Return in what a node differs from what skops writes, where that counts on loading."""
    loader, content = node["__loader__"], node.get("content")
    if not isinstance(loader, str):
        return f"{_shown(node)} without the name of a loader"
    judge = _FORMS.get(loader)
    return None if judge is None or judge(node, content) else f"{_shown(node)} in a form that skops does not write ({loader!r})"


def _is_dict(node: Any, *, keys: str | None = None) -> bool:
    """Return whether a node is a dict whose keys are made by plain types alone; by no other than `keys` if that is given."""
    if _loader(node) != "DictNode" or not isinstance(node.get("content"), dict):
        return False
    types = node.get("key_types")
    if _loader(types) != "ListNode" or dotted(types) != "builtins.list" or not isinstance(types.get("content"), list):
        return False
    made = [dotted(each) if _loader(each) == "TypeNode" else "" for each in types["content"]]
    if len(made) != len(node["content"]):
        return False
    return all(each == keys if keys else each in _KEY_TYPES or _NUMBERS.fullmatch(each) is not None for each in made)


def _is_state(node: Mapping[str, Any], content: Any) -> bool:
    """Return whether an object's state is nothing, its attributes by name, or, for what is written in Cython, a tuple."""
    if content is None or (_loader(content) == _JSON and _text(content) is None):
        return True
    if _loader(content) == "TupleNode":
        return re.match(r"sklearn\.(metrics\._dist_metrics|neighbors\._(kd|ball)_tree)\.", dotted(node)) is not None
    return isinstance(content, dict) and dotted(content) == "builtins.dict" and _is_dict(content, keys="builtins.str")


def _is_plain(node: Any) -> bool:
    """Return whether a node is data with nothing in it that could be called; what is in it is judged on its own."""
    loader = _loader(node)
    if loader in ("ListNode", "TupleNode", "SetNode"):
        return isinstance(node.get("content"), list) and all(map(_is_plain, node["content"]))
    if loader == "DictNode":
        return _is_dict(node) and all(map(_is_plain, node["content"].values()))
    return loader in _MADE or _is_array(node)


def _is_array(node: Any) -> bool:
    return isinstance(node, dict) and node.get("__loader__") == "NdArrayNode" and node.get("type") == "numpy"


def _is_empty_array(node: Any) -> bool:
    """Return whether a node is the array that skops writes for a dtype: of numbers by numpy, of objects by JSON."""
    if not isinstance(node, dict) or _loader(node) != "NdArrayNode" or dotted(node) != "numpy.ndarray":
        return False
    return _is_array(node) or (node.get("type") == "json" and node.get("content") == [] and _is_plain(node.get("shape")))


def _is_made(node: Mapping[str, Any], content: Any) -> bool:
    """Return whether it is made of plain arguments; a set of a list, since a range in its place fills the memory."""
    if not isinstance(content, dict) or _loader(content) != "TupleNode" or not _is_plain(content):
        return False
    return dotted(node) != "builtins.frozenset" or all(_loader(each) == "ListNode" for each in content["content"])


def _is_nothing(node: Any) -> bool:
    return (_loader(node) == _JSON and _text(node) is None) or (_is_dict(node) and not node["content"])


def _is_partial(_node: Mapping[str, Any], content: Any) -> bool:
    """Return whether it is a function with plain arguments: no object or method that is called, no attributes of its own."""
    return (
        isinstance(content, dict)
        and _loader(content.get("func")) == "FunctionNode"
        and _loader(content.get("args")) == "TupleNode"
        and _is_plain(content["args"])
        and _is_dict(content.get("kwds"), keys="builtins.str")
        and _malformed(content["kwds"]) is None
        and all(map(_is_plain, _plain_arguments(content).values()))
        and _is_nothing(content.get("namespace"))
    )


def _plain_arguments(partial: Mapping[str, Any]) -> dict[str, Any]:
    """Return the named arguments of a partial that are plain data: all but the numpy type that histogram boosting converts to."""
    named: dict[str, Any] = partial["kwds"]["content"]
    asked = named.get("dtype")
    is_converter = dotted(partial["func"]) == "sklearn.utils.validation.check_array" and _loader(asked) == "ListNode"
    if not is_converter or not isinstance(asked, dict) or not isinstance(asked.get("content"), list):
        return named
    is_number = all(_loader(each) == "TypeNode" and _NUMBERS.fullmatch(dotted(each)) for each in asked["content"])
    return {name: value for name, value in named.items() if name != "dtype"} if is_number else named


def _takes_columns_or_types(node: Mapping[str, Any], _content: Any) -> bool:
    return _changes_types(node) if dotted(node) == "operator.methodcaller" else _takes_columns(node)


def _changes_types(node: Mapping[str, Any]) -> bool:
    """Return whether a `methodcaller` calls `convert_dtypes`, or `astype` with the types of columns by their names."""
    arguments = node.get("attrs")
    if not isinstance(arguments, dict) or _loader(arguments) != "TupleNode" or not isinstance(arguments.get("content"), list):
        return False
    called = [_text(each) if _loader(each) == _JSON else None for each in arguments["content"][:1]]
    types = arguments["content"][1:]
    if called == ["convert_dtypes"]:
        return not types
    if called != ["astype"] or len(types) != 1 or not _is_dict(types[0], keys="builtins.str"):
        return False
    kinds = [_text(each) if _loader(each) == _JSON else None for each in types[0]["content"].values()]
    return all(isinstance(kind, str) and _COLUMN_TYPES.fullmatch(kind) is not None for kind in kinds)


def _takes_columns(node: Mapping[str, Any]) -> bool:
    """Return whether an `itemgetter` takes columns by their names."""
    names = node.get("attrs")
    if not isinstance(names, dict) or _loader(names) != "TupleNode" or not _is_plain(names) or not names["content"]:
        return False
    each = [part for name in names["content"] for part in (name["content"] if _loader(name) == "ListNode" else [name])]
    return all(_loader(part) == _JSON and isinstance(_text(part), str) for part in each)


def _is_default(_node: Mapping[str, Any], content: Any) -> bool:
    if not isinstance(content, dict) or not _is_dict(content.get("main"), keys="builtins.str"):
        return False
    factory = content.get("default_factory")
    if not isinstance(factory, dict):
        return False
    return _is_nothing(factory) or (_loader(factory) == "TypeNode" and dotted(factory) in _FACTORIES)


def _is_ndarray(node: Mapping[str, Any], content: Any) -> bool:
    if node.get("type") == "json":
        return dotted(node) == "numpy.ndarray" and isinstance(content, list) and _is_plain(node.get("shape"))
    return node.get("type") == "numpy" and isinstance(node.get("file"), str)


def _is_masked(_node: Mapping[str, Any], content: Any) -> bool:
    """Return whether it is an array, of numbers or of objects as skops writes both, with the mask that numpy itself has read."""
    if not isinstance(content, dict) or set(content) != {"data", "mask"} or not _is_array(content["mask"]):
        return False
    data = content["data"]
    return _loader(data) == "NdArrayNode" and _is_ndarray(data, data.get("content"))


def _is_generator(_node: Mapping[str, Any], content: Any) -> bool:
    return isinstance(content, dict) and all(_is_dict(each, keys="builtins.str") and _is_plain(each) for each in content.values())


def _is_reduced(node: Mapping[str, Any], content: Any) -> bool:
    reduced = node.get("__reduce__")
    args = reduced.get("args") if isinstance(reduced, dict) else None
    return _loader(args) == "TupleNode" and _is_plain(args) and _is_plain(content)


_FORMS: Mapping[str, Callable[[Mapping[str, Any], Any], bool]] = {
    "BytearrayNode": lambda node, _: isinstance(node.get("file"), str),
    "BytesNode": lambda node, _: isinstance(node.get("file"), str),
    "ConstructorFromReduceNode": _is_made,
    "DTypeNode": lambda _, content: _is_empty_array(content),
    "DefaultDictNode": _is_default,
    "DictNode": lambda node, _: _is_dict(node),
    _JSON: lambda node, _: isinstance(_text(node), str | int | float | None),
    "ListNode": lambda node, content: dotted(node) == "builtins.list" and isinstance(content, list),
    "LossNode": _is_reduced,
    "MaskedArrayNode": _is_masked,
    "NdArrayNode": _is_ndarray,
    "ObjectNode": _is_state,
    "OperatorFuncNode": _takes_columns_or_types,
    "PartialNode": _is_partial,
    "RandomGeneratorNode": _is_generator,
    "RandomStateNode": lambda _, content: _is_dict(content, keys="builtins.str") and _is_plain(content),
    "SetNode": lambda node, content: dotted(node) == "builtins.set" and isinstance(content, list),
    "SparseMatrixNode": lambda node, _: isinstance(node.get("file"), str),
    "TreeNode": _is_reduced,
    "TupleNode": lambda node, content: dotted(node) == "builtins.tuple" and isinstance(content, list),
}


def _text(node: Mapping[str, Any]) -> Any:
    """Return the value of a `JsonNode`; what is no such value is given as a list."""
    content = node.get("content")
    try:
        return json.loads(content) if isinstance(content, str) else []
    except (ValueError, RecursionError):
        return []


def _displaced(node: Mapping[str, Any], attribute: str, is_value: bool) -> str | None:
    """Describe what may not stand where it does, of what others may call."""
    loader = node["__loader__"]
    if loader in _FUNCTION_NODES:
        allowed = is_value and attribute in (_TAKING_COLUMNS if loader == "OperatorFuncNode" else HOLDING_FUNCTIONS)
    elif loader == "TypeNode":
        allowed = is_value and attribute in _HOLDING_TYPES
    elif loader == "ObjectNode" and dotted(node).startswith("sklearn.metrics._scorer."):
        allowed = attribute in _HOLDING_SCORERS
    else:
        allowed = True
    return None if allowed else f"{_shown(node)} {f'as {attribute[:_LONGEST]!r}' if attribute else 'where no attribute holds it'}"


def _wrong(owner: Mapping[str, Any], name: str, value: Any, is_estimator: Callable[[str], bool]) -> str | None:
    """Describe what is wrong with the value of an attribute."""
    within = f"{name[:_LONGEST]!r} of {_shown(owner)}"
    why = None
    if name.startswith("__") and name.endswith("__"):
        why = "that no model has"
    elif name in NAMING_METHODS and not _names_methods(value):
        why = f"that is none of {', '.join(sorted(METHODS))}"
    elif name in NAMING_ATTRIBUTES and not (_loader(value) == _JSON and _IMPORTANCES.fullmatch(str(_text(value)))):
        why = "that is neither 'auto' nor the way to coef_ or feature_importances_"
    elif dotted(owner).startswith("sklearn.utils._metadata_requests."):
        why = None
    elif _ONE_ESTIMATOR.fullmatch(name) and not _is_one(value, is_estimator):
        why = f"that is no estimator ({_shown(value)})"
    elif _ESTIMATORS.fullmatch(name) and not _are_estimators(value, is_estimator, _TRANSFORMERS.fullmatch(name) is not None):
        why = "with something in it that is no estimator"
    return why and f"{within} {why}"


def _names_methods(value: Any) -> bool:
    if _loader(value) in ("ListNode", "TupleNode"):
        return isinstance(value.get("content"), list) and all(map(_names_methods, value["content"]))
    if _loader(value) != _JSON:
        return False
    text = _text(value)
    return text is None or (isinstance(text, str) and text in METHODS)


def _is_one(value: Any, is_estimator: Callable[[str], bool]) -> bool:
    """Return whether a value is an estimator, or text, a number or None, which have no methods that matter."""
    return _loader(value) == _JSON or (_loader(value) == "ObjectNode" and is_estimator(dotted(value)))


def _are_estimators(value: Any, is_estimator: Callable[[str], bool], with_columns: bool) -> bool:
    """Return whether a value is made of estimators, with or without their names."""
    if _is_one(value, is_estimator):
        return True
    loader, content = _loader(value), value.get("content") if isinstance(value, dict) else None
    if with_columns and loader == "TupleNode" and isinstance(content, list) and len(content) == 3:
        *content, columns = content
        if not (_is_plain(columns) or _selects_columns(columns)):
            return False
    if loader == "DictNode" and isinstance(content, dict):
        content = list(content.values())
    is_list = loader in ("ListNode", "TupleNode", "DictNode") or (loader == "NdArrayNode" and value.get("type") == "json")
    return is_list and isinstance(content, list) and all(_are_estimators(each, is_estimator, with_columns) for each in content)


def _selects_columns(node: Any) -> bool:
    """Return whether a node is scikit-learn's own selector of columns, with nothing in it that could be called."""
    return _loader(node) == "ObjectNode" and dotted(node) == COLUMN_SELECTOR and all(map(_is_plain, _attributes(node).values()))
