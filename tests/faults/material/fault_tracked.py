"""A training script that logs to MLflow itself, and goes on for a while once it has ended its run.

It is noted as ended when its run is: in that while MLflow has a FINISHED run of a trial of which nobody knows yet how it ends.
"""

from __future__ import annotations

import os
import sys
import time

import mlflow
from fault_command import metrics_of, note, options, work

LINGER_SECONDS = 0.5


def main() -> None:
    shift, scale, deed, pause = options(sys.argv[1:])
    who = (os.getpid(), shift, scale, deed)
    note("began", *who)
    with mlflow.start_run():
        mlflow.log_params({"shift": shift, "scale": scale, "by": "itself"})
        work(shift, scale, deed, pause)
        mlflow.log_metrics(metrics_of(shift, scale))
    note("ended", *who)
    time.sleep(LINGER_SECONDS)


if __name__ == "__main__":
    main()
