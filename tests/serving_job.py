"""A job with a server of its own, which ends as it is told: a program for tests.

python serving_job.py --server JSON --log FILE --how return | error | wait
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from refine_af.errors import InputError
from refine_af.jobs.command_line import run
from refine_af.jobs.serving import ToServe, serving
from refine_af.settings.servers import Server


def job(*, server: Server, log: Path, how: str) -> None:
    with serving(server, ToServe(Path("checkpoint"), {}, 0), log) as asked:
        print(asked.url, flush=True)
        if how == "error":
            raise InputError("something is wrong")
        if how == "wait":
            time.sleep(600)


if __name__ == "__main__":
    run(job)
