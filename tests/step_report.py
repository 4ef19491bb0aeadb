"""The report of a check that takes minutes: a line for each step."""

import sys


class Report:
    """Collects the steps of a check, and prints each when it has finished.

    Args:
        system: name of the system that is checked, for each line.
    """

    def __init__(self, system: str) -> None:
        self.rows: list[str] = []
        self.failed: list[str] = []
        self._system = system

    def add(self, step: str, seconds: float, failure: str = "") -> None:
        """Record a finished step.

        Args:
            step: the command, or what was checked.
            seconds: its duration.
            failure: what was wrong; empty if it succeeded.
        """
        self.rows.append(f"{self._system:9} {'FAILED' if failure else 'OK':6} {seconds:6.1f} s  {step}")
        print(self.rows[-1], failure, sep="\n" if failure else "", file=sys.stderr, flush=True)
        if failure:
            self.failed.append(f"{self._system}: {step}")
