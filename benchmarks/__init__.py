"""What wine_sweep claims about itself, measured: each module is a command, ``python -m benchmarks.pruning``."""
