"""What to try next: spaces, grids, and Optuna's samplers behind one small interface."""
