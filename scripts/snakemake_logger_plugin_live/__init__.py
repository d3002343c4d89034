"""Snakemake's log for people (`--logger live`): what is made, how far it is, what comes next."""

import sys
import threading
import time
from logging import LogRecord
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase

from snakemake_logger_plugin_live.course import Course
from snakemake_logger_plugin_live.screen import Screen

REDRAW_S = 0.5  # on a terminal
REPORT_S = 15.0  # elsewhere: between two lines about one job
BAR = 24


class LogHandler(LogHandlerBase):
    """What Snakemake looks for in a plugin; a thread of its own keeps the live lines fresh."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self._screen = Screen(sys.stdout if self.common_settings.stdout else sys.stderr)
        self._course = Course(
            origin=Path.cwd(),
            starts=not self._screen.live,
            dry=self.common_settings.dryrun,
            commands=self.common_settings.printshellcmds,
        )
        self._reported: dict[str, float] = {}
        self._stop = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._ticker.start()

    def emit(self, record: LogRecord) -> None:
        """Print what an event is worth; `logging` calls this with the handler locked."""
        lasting = self._course.follow(record, time.monotonic())
        if lasting or self._screen.live:
            self._screen.show(lasting, self._block())

    def close(self) -> None:
        """Say how the run ended; Snakemake may call this twice."""
        self._stop.set()
        self.acquire()
        try:
            lasting = self._course.end(time.monotonic())
            self._screen.show(lasting, [])
        finally:
            self.release()
        super().close()

    def _tick(self) -> None:
        while not self._stop.wait(REDRAW_S):
            self.acquire()
            try:
                self._course.now = time.monotonic()
                restarts = self._course.restarts()
                if restarts or self._screen.live:
                    self._screen.show(restarts, self._block())
                if not self._screen.live:
                    self._report()
            finally:
                self.release()

    def _block(self) -> list[str]:
        course = self._course
        if not self._screen.live or course.done == course.total:
            return []
        columns, rows = self._screen.size()
        filled = BAR * course.done // course.total
        status = course.status()[: max(1, rows - 5)]
        width = min(columns // 2, max((len(work) for work, _ in status), default=0))
        lines = ["", f"{'█' * filled}{'░' * (BAR - filled)} {course.overview()}"]
        lines += [f"  {work:<{width}}  {progress}" for work, progress in status]
        upcoming = course.upcoming()
        return [*lines, f"  {upcoming}"] if upcoming else lines

    def _report(self) -> None:
        now = self._course.now
        due = []
        for work, progress in self._course.status():
            if now - self._reported.setdefault(work, now) >= REPORT_S:
                self._reported[work] = now
                due.append(f"  {work}: {progress} ({self._course.overview()})")
        if due:
            self._screen.show(due, [])
