"""Whether a model still does on new rows what it did when it was made: pure functions over rows and losses."""
