"""``python -m wine_sweep``."""

from wine_sweep.cli.app import main

if __name__ == "__main__":
    main()
