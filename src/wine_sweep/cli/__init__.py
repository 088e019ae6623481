"""The command line. Imports nothing heavy: every command imports what it needs when it is called."""
