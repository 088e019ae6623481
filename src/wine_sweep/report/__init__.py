"""What people are shown of a sweep: leaderboards and summaries, as data and as text."""
