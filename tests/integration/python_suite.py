# SPDX-License-Identifier: Apache-2.0
"""A module of Python's own tests: python_suite.py MODULE FILE.

Run by the Python whose tests they are, in the folder they shall use, which TMPDIR
names, too.  FILE then says in JSON what came of each test."""

import json
import sys
import unittest
from pathlib import Path

from test import support


class Outcomes(unittest.TestResult):
    """{name: "passed", "skipped" or what went wrong}; a part of a test that
    fails is the test."""

    def __init__(self):
        super().__init__()
        self.found = {}

    def startTest(self, test):
        super().startTest(test)
        self.found.setdefault(test.id(), "passed")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.found[test.id()] = f"skipped: {reason}"

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.went_wrong(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.went_wrong(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.went_wrong(test, err)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.found[test.id()] = "failed: unexpected success"

    def went_wrong(self, test, err):
        said = self._exc_info_to_string(err, test).strip()
        self.found[test.id()] = f"failed: {said}"


def main(module, path):
    # As they run by themselves: what takes a network, a screen or long, does not.
    support.use_resources = []
    outcomes = Outcomes()
    unittest.defaultTestLoader.loadTestsFromName(f"test.{module}").run(outcomes)
    Path(path).write_text(json.dumps(outcomes.found))


if __name__ == "__main__":
    main(*sys.argv[1:])
