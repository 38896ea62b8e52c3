"""Runs the tests of a package, all in one process, and writes down what came of each.

    own_tests.py DIRECTORY OUTCOMES

DIRECTORY holds the package of tests, called `tests`. A line of OUTCOMES is the name of a test, its
outcome (`pass`, `fail` or `skip`), and the reason; the last line is for having come to it.
"""

import sys
import unittest


class Outcomes(unittest.TestResult):
    """Writes each outcome when it is known."""

    def __init__(self, path):
        super().__init__()
        self.file = open(path, "w", encoding="utf-8", buffering=1)
        self.outcome = None

    def startTest(self, test):
        super().startTest(test)
        self.outcome = ("pass", "")

    def stopTest(self, test):
        super().stopTest(test)
        self.write(test, *self.outcome)

    def write(self, test, outcome, reason):
        name = test.id().removeprefix("tests.")
        words = " ".join(str(reason).split())
        self.file.write(f"{name}\t{outcome}\t{words}\n")

    def failed(self, test, error):
        self.outcome = ("fail", f"{error[0].__name__}: {error[1]}")
        if not isinstance(test, unittest.TestCase):
            # What is done once for a class failed, so no test of it is begun.
            self.write(test, *self.outcome)

    def addError(self, test, err):
        self.failed(test, err)

    def addFailure(self, test, err):
        self.failed(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.failed(test, err)

    def addSkip(self, test, reason):
        self.outcome = ("skip", reason)

    def addUnexpectedSuccess(self, test):
        self.outcome = ("fail", "passes, though its package expects a failure")


def main():
    directory, outcomes = sys.argv[1:]
    suite = unittest.defaultTestLoader.discover(f"{directory}/tests", top_level_dir=directory)
    assert suite.countTestCases() > 0, f"{directory} has no tests"
    written = Outcomes(outcomes)
    suite.run(written)
    written.file.write("to the end\tpass\t\n")


main()
