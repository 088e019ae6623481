"""`parameters` as `search.parameters`: names, and every key accounted for."""

from wine_sweep.wandb.parameters import NoteKind, Parameter, check_names, convert_leaves, leaves, notes_on_groups


def parameters(**given):
    return {name: Parameter.model_validate(each) for name, each in given.items()}


NESTED = parameters(
    lr={"min": 0.1, "max": 1.0},
    optimizer={"parameters": {"name": {"value": "sgd"}, "inner": {"parameters": {"beta": {"values": [1, 2]}}}}},
)


def test_nested_names_are_joined_with_dots_in_the_order_of_the_file():
    specs, _ = convert_leaves(leaves(NESTED), in_grid=False)
    assert list(specs) == ["lr", "optimizer.name", "optimizer.inner.beta"]
    assert specs["optimizer.inner.beta"] == [1, 2]


def test_a_group_is_said_to_be_handed_on_one_by_one():
    (note,) = notes_on_groups(NESTED)
    assert note.kind is NoteKind.CARRIED
    assert note.key == "parameters.optimizer.parameters"
    assert note.message.startswith("as optimizer.name, optimizer.inner.beta: each by itself")
    assert note.at == ("search", "parameters", "optimizer.name")


def test_values_beside_nested_parameters_are_left_out():
    group = parameters(a={"parameters": {"b": {"value": 1}}, "value": 3, "vaule": 3})
    notes = {note.key: note for note in notes_on_groups(group)}
    assert notes["parameters.a.value"].kind is NoteKind.LEFT_OUT
    assert notes["parameters.a.vaule"].message == "unknown to W&B; did you mean 'value'?"


def test_two_that_come_to_one_name_are_found():
    clash = parameters(**{"a.b": {"value": 1}}, a={"parameters": {"b": {"value": 2}}})
    (problem,) = check_names(leaves(clash))
    assert problem.path == ("parameters", "a", "parameters", "b")


def notes_of(**given):
    return {note.key: note for note in convert_leaves(leaves(parameters(**given)), in_grid=False)[1]}


def test_probabilities_are_left_out():
    note = notes_of(a={"values": [1, 2], "probabilities": [0.5, 0.5]})["parameters.a.probabilities"]
    assert note.kind is NoteKind.LEFT_OUT
    assert note.at == ("search", "parameters", "a")


def test_keys_that_a_distribution_has_no_use_for_are_named():
    notes = notes_of(a={"min": 1, "max": 2, "q": 3, "mu": 0})
    assert notes["parameters.a.q"].message == "int_uniform has no use for it, at W&B neither"
    assert notes["parameters.a.mu"].kind is NoteKind.LEFT_OUT


def test_keys_that_w_and_b_does_not_have_are_named():
    assert notes_of(a={"value": 1, "vale": 2})["parameters.a.vale"].message == "unknown to W&B; did you mean 'value'?"


def test_text_that_pyyaml_reads_otherwise_is_named():
    assert notes_of(a={"values": ["no", "x"]})["parameters.a"].message.startswith("'no' is text here; W&B reads it as a boolean")
    assert notes_of(a={"value": "1_000"})["parameters.a"].message.startswith("'1_000' is text here; W&B reads it as a number")
    assert notes_of(a={"values": ["north", "a_1"]}) == {}
