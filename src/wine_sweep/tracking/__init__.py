"""MLflow runs: what a sweep writes and what is read back. Only this package and `registry` import MLflow.

The package itself imports nothing, so that `names` and `writer` can be had without MLflow's import time.
"""
