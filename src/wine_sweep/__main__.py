"""``python -m wine_sweep``. Imports nothing before the working folder is off ``sys.path``, and so does the package itself."""

import os
import sys


def _leave_working_folder() -> None:
    """Take the working folder off ``sys.path``, where ``-m`` has put it first: a config is data, whatever lies beside it.

    What PYTHONPATH names stays. If the package itself is imported from the working folder, that becomes the last entry.
    """
    try:
        folder = os.getcwd()
    except FileNotFoundError:  # it was deleted, and is not on the path either
        return
    if sys.flags.safe_path or sys.path[:1] != [folder]:
        return
    del sys.path[0]
    if os.path.dirname(os.path.dirname(os.path.abspath(__file__))) == folder and folder not in sys.path:
        sys.path.append(folder)


if __name__ == "__main__":
    _leave_working_folder()
    from wine_sweep.cli.app import main

    main()
