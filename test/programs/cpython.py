"""Runs tests of CPython: `cpython.py PART OF NAME...` runs those in modules or classes with these names, of which PART of OF
shares (0 1: all). Prints a line for each that fails (FAIL), is skipped (SKIP, with the reason) or passes (PASS), and says
to standard error why one fails."""
import faulthandler
import os
import sys
import tempfile
import unittest

from test import support

# Seconds until a test that hangs ends the run, with a trace of where.
PATIENCE = 25


class Report(unittest.TestResult):
    """Prints one line for each test, and for fixtures of modules and classes that fail."""

    def startTest(self, test):
        super().startTest(test)
        self.outcome, self.reason = 'PASS', ''
        faulthandler.dump_traceback_later(PATIENCE, exit=True)

    def stopTest(self, test):
        super().stopTest(test)
        faulthandler.cancel_dump_traceback_later()
        print(self.outcome, test.id(), self.reason, flush=True)

    def failed(self, test, error):
        self.outcome = 'FAIL'
        print(test.id(), self._exc_info_to_string(error, test), file=sys.stderr, flush=True)
        if not isinstance(test, unittest.TestCase):
            print('FAIL', test.id(), flush=True)

    def addError(self, test, error):
        super().addError(test, error)
        self.failed(test, error)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.failed(test, error)

    def addSubTest(self, test, part, error):
        super().addSubTest(test, part, error)
        if error:
            self.failed(test, error)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.outcome, self.reason = 'SKIP', ' '.join(reason.split())
        if not isinstance(test, unittest.TestCase):
            print('SKIP', test.id(), self.reason, flush=True)


def classes(suite):
    """The innermost suites, which have fixtures in common."""
    inner = [each for each in suite if isinstance(each, unittest.TestSuite)]
    return [found for each in inner for found in classes(each)] if inner else [suite]


def main():
    part, of = int(sys.argv[1]), int(sys.argv[2])
    # What asks for servers in the Internet finds none, and is skipped.
    support.use_resources = ['network', 'cpu']
    support.verbose = 0
    suites = classes(unittest.defaultTestLoader.loadTestsFromNames(sys.argv[3:]))
    suites = [suite for suite in suites if suite.countTestCases() > 0]
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        unittest.TestSuite(suites[part::of]).run(Report())
        os.chdir('/')


main()
