# What is done by hand, each in a word. `.ci/run` does all of it in an environment of its own.

# What a commit has to pass, in a minute: style, types, the house's layers and words.
check:
    ruff check .
    ruff format --check .
    mypy
    pytest -q tests/test_house.py

# The product's behaviour. With arguments of pytest's: `just test tests/search -x`, `just test --cov`.
test *arguments:
    pytest {{ arguments }}

# Statistics over many draws, every estimator, long properties.
slow *arguments:
    pytest -m slow {{ arguments }}

# Real processes that are killed, hang, or lose their server.
faults *arguments:
    pytest -m faults {{ arguments }}

# What the claims about speed and quality rest on; see benchmarks/README.md.
bench *arguments:
    python -m benchmarks {{ arguments }}
