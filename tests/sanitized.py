#!/usr/bin/env python3
"""sanitized.py BUILD: the suite of a build with sanitizers. The leak checker stops the process to look at it, and gives up ("has
encountered a fatal error") when a thread of the OpenCL runtime ends at that moment: a test that failed of this alone is run again,
at most four times. Every other failure stands."""
import json
import os
import subprocess
import sys

GIVEN_UP = "LeakSanitizer has encountered a fatal error"
build = sys.argv[1]
here = os.path.dirname(os.path.abspath(__file__))
environment = dict(
    os.environ,
    ASAN_OPTIONS="detect_leaks=1",
    UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1",
    # It is the library that is looked at here, not the kernels, which the plain suite tries on more layers.
    TCONV3D_TEST_LAYERS="2",
    # The runtime's own leaks are not ours: leaks.supp lists them.
    LSAN_OPTIONS="suppressions=%s/leaks.supp:print_suppressions=0" % here,
)


def run(names, log):
    command = ["meson", "test", "-C", build, "--timeout-multiplier", "4", "--print-errorlogs", "--logbase", log]
    status = subprocess.run(command + names, env=environment).returncode
    with open(os.path.join(build, "meson-logs", log + ".json"), encoding="utf-8") as lines:
        failed = [row for row in map(json.loads, lines) if row["result"] not in ("OK", "SKIP")]
    given_up = [row["name"] for row in failed if GIVEN_UP in row.get("stderr", "") + row.get("stdout", "")]
    return status, given_up if len(given_up) == len(failed) else []


status, again = run([], "testlog")
for attempt in range(4):
    if status and again:
        status, again = run(again, "testlog-again")
sys.exit(1 if status else 0)
