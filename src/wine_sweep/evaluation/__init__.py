"""How a trial is measured. Runs inside workers: imports neither MLflow nor Optuna, and pickles."""
