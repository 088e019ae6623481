"""Other ways to do the same work, each a script as one who takes care writes it; run in a folder that `Work.write` filled."""
