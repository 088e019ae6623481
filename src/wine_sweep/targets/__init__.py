"""What is tuned: an estimator, a function or a command, each held against its config and made ready to run."""
