#!/usr/bin/env python3
"""runtimes.py [RUNTIME...]: the tests of a build on other OpenCL implementations, none of which needs a GPU.

Sets each up below the build folder, runs tests on it, and ends with tables and with the count of all tests. What cannot be had is
counted as skipped, with the reason; what was set up and fails, as failed. Logs: BUILD/runtimes/logs."""
import argparse
import concurrent.futures
import datetime
import glob
import os
import re
import shutil
import subprocess
import sys
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BEGIN, END = "<!-- runtimes: written by tests/runtimes.py -->", "<!-- end of runtimes -->"
WHOLE = """matrix api misuse bad_input width in_flight gradient_misuse kernels edges goldens gradients gradient_goldens views
  layouts layouts_stores layouts_refused layouts_misuse types epilogue epilogue_goldens variants large tiled vendor pipeline self_test
  recovery split rounds offline gemm""".split()
# They look at every result themselves: a self-test of each program would only add to their time.
BELIEVED = """matrix kernels edges goldens gradients gradient_goldens gradient_misuse layouts layouts_stores layouts_refused
  layouts_misuse types epilogue epilogue_goldens variants large tiled vendor pipeline""".split()
BASIC_DEADLOCK = "PoCL 3.1's basic device waits for itself in clSetUserEventStatus where commands follow the event in a chain"
FEW_ROUNDS = "llvmpipe ends a work-item's loops after 65535 rounds, and one work-item would do all: refused but for tiny layers"


class Missing(Exception):
    """Why a runtime cannot be had."""


def ask(command, what):
    """Runs a command of the set-up; its last line of words is the reason where it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        lines = done.stdout.strip().splitlines()
        raise Missing("%s: %s" % (what, lines[-1] if lines else "exit status %d" % done.returncode))


PACKAGES = threading.Lock()


def debian(*packages):
    with PACKAGES:
        ask([os.path.join(ROOT, "demos/packages.sh"), *packages], "installing " + " ".join(packages))


def vendors(folder, library):
    """A folder of OpenCL drivers that holds this one alone."""
    os.makedirs(os.path.join(folder, "vendors"), exist_ok=True)
    with open(os.path.join(folder, "vendors", "one.icd"), "w", encoding="utf-8") as icd:
        icd.write(library + "\n")
    return {"OCL_ICD_VENDORS": os.path.join(folder, "vendors")}


def from_pypi(library, *packages):
    def set_up(folder):
        place = os.path.join(folder, "python", "lib", library)
        if not os.path.exists(place):
            debian("python3-venv")
            shutil.rmtree(os.path.join(folder, "python"), ignore_errors=True)
            ask([sys.executable, "-m", "venv", os.path.join(folder, "python")], "a virtual environment")
            pip = os.path.join(folder, "python", "bin", "pip")
            ask([pip, "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check", *packages], "pip install")
        return dict(vendors(folder, place), LD_LIBRARY_PATH=os.path.dirname(place))

    return set_up


def rusticl(folder):
    """Unpacked, not installed: else every OpenCL program of this machine would load Mesa's drivers."""
    debian("libclc-15", "libllvmspirvlib15", "libclang-cpp15", "libdrm-amdgpu1", "libdrm-nouveau2", "libdrm-radeon1", "libelf1",
           "libsensors5")  # fmt: skip
    pattern = os.path.join(folder, "usr/lib/*/libRusticlOpenCL.so.1")
    if not glob.glob(pattern):
        os.makedirs(folder, exist_ok=True)
        ask(["sh", "-c", 'cd "$0" && apt-get download -q mesa-opencl-icd && dpkg -x mesa-opencl-icd_*.deb .', folder],
            "apt-get download mesa-opencl-icd")  # fmt: skip
    return dict(vendors(folder, glob.glob(pattern)[0]), RUSTICL_ENABLE="llvmpipe")


def oclgrind(folder):
    debian("oclgrind")
    os.makedirs(folder, exist_ok=True)
    # Host memory used in place it takes for uninitialised. Of a fresh workspace a vector with one such lane, which is then not
    # stored, would count as a whole: calls on buffers and self-tests fill the workspace with NaN, and results are judged.
    return {"TCONV3D_TEST_HOST_MEMORY": "0"}


class Runtime:
    def __init__(self, title, set_up, quick, whole=None, prefix=None, limits=None, skipped=None):
        self.title, self.set_up, self.quick, self.whole = title, set_up, quick, whole or WHOLE
        self.prefix = prefix or (lambda log: [])
        self.limits = {"TCONV3D_TEST_LAYERS": "1", "TCONV3D_TEST_PRODUCTS": "8192"}
        self.limits.update(limits or {})
        self.skipped = skipped or {}  # suites with the reason


# -O0, because its check of uninitialised values does not know an instruction that its own optimiser makes.
def simulated(log):
    return ["oclgrind", "--build-options", "-O0", "--uninitialized", "--data-races", "--check-api", "--log", log]


POCL_TESTS = ["api", "misuse"]  # kernels on one of the devices are what the plain suite tried
RUNTIMES = {
    "pocl": Runtime("PoCL", lambda folder: {}, ["matrix"]),
    "intel-cpu": Runtime("Intel CPU",
                         from_pypi("libintelocl.so", "intel-opencl-rt==2026.2.0", "intel-cmplr-lib-rt==2026.2.0"),
                         ["matrix", "api"]),
    "intel-fpga": Runtime("Intel FPGA emulator",
                          from_pypi("libintelocl_emu.so", "intel-opencl-fpga-emu-rt==2025.0.5", "intel-opencl-rt==2025.0.5",
                                    "intel-cmplr-lib-rt==2025.0.5"),
                          ["matrix", "api"]),
    "rusticl": Runtime("rusticl on llvmpipe", rusticl, ["matrix", "api", "layouts_stores", "types"], skipped={"pipeline": FEW_ROUNDS}),
    "oclgrind": Runtime("Oclgrind", oclgrind, ["matrix"], ["matrix"], simulated, {"TCONV3D_TEST_PRODUCTS": "2048"}),
    "pocl-two-devices": Runtime("PoCL, two devices", lambda folder: {"POCL_DEVICES": "pthread basic"}, POCL_TESTS,
                                skipped={"in_flight": BASIC_DEADLOCK}),
    "pocl-small": Runtime("PoCL, 1 GiB", lambda folder: {"POCL_MEMORY_LIMIT": "1"}, POCL_TESTS + ["kernels"]),
}  # fmt: skip


def reports_of(path):
    """How many faults Oclgrind reported."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return sum(1 for report in re.split(r"\n(?=\S)", file.read()) if report.strip())


class Outcome:
    """What a suite said: cases of each pair of operation and algorithm, cmocka's counts, and why it failed or was not run."""

    def __init__(self, reason=""):
        self.cases, self.device = {}, ""
        self.passed = self.failed = self.skipped = 0
        self.reason = reason

    def read(self, text):
        for operation, algorithm, cases in re.findall(r"^# matrix (\S+) (\S+) (\d+|refused)", text, re.M):
            self.cases[operation, algorithm] = cases
        for pair in re.findall(r"^\[  FAILED  \] (\S+ \S+)$", text, re.M):
            self.cases.setdefault(tuple(pair.split()), "failed")
        for device in re.findall(r"^# device (.*)$", text, re.M):
            self.device = device
        for word in ("passed", "failed", "skipped"):
            counts = re.findall(r"\[  %s ? ?\] (\d+) test\(s\)" % word.upper(), text)
            setattr(self, word, sum(map(int, counts)))


def fail(outcome, reason):
    outcome.reason = reason
    outcome.failed = max(outcome.failed, 1)


def run_suite(runtime, name, suite, settings, options):
    if suite in runtime.skipped:
        outcome = Outcome(runtime.skipped[suite])
        outcome.skipped = 1
        return outcome
    log = os.path.join(options.build, "runtimes", "logs", "%s-%s" % (name, suite))
    reports = log + ".reports"
    if os.path.exists(reports):
        os.unlink(reports)
    if suite in BELIEVED:
        settings = dict(settings, TCONV3D_SELF_TEST="0")
    command = runtime.prefix(reports) + [os.path.join(options.build, "tests", "test_" + suite)]
    outcome = Outcome()
    with open(log + ".txt", "w+", encoding="utf-8", errors="replace") as output:
        try:
            status = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=settings, timeout=options.timeout,
                                    check=False).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            status = None
        output.seek(0)
        outcome.read(output.read())
    if status is None:
        fail(outcome, "not done after %d s" % options.timeout)
    elif status < 0:
        fail(outcome, "ended by signal %d" % -status)
    elif status or not outcome.passed + outcome.skipped:
        fail(outcome, "exit status %d" % status)
    if os.path.exists(reports):
        errors = reports_of(reports)
        if errors:
            fail(outcome, "%d errors reported in %s" % (errors, reports))
    return outcome


def run_runtime(name, options):
    """The outcomes of a runtime by suite; a string where it cannot be had."""
    runtime, folder = RUNTIMES[name], os.path.join(options.build, "runtimes", name)
    try:
        added = runtime.set_up(folder)
    except (Missing, OSError) as why:
        return str(why)
    tests = os.path.join(options.build, "tests")
    settings = {"TCONV3D_CACHE_DIR": "/dev/null", "POCL_CACHE_DIR": os.path.join(tests, "pocl"),
                "TCONV3D_GOLDENS": os.path.join(ROOT, "tests/goldens"),
                "TCONV3D_SHAPES": os.path.join(ROOT, "demos/data")}  # fmt: skip
    settings.update(runtime.limits)
    if options.cases:
        settings["TCONV3D_TEST_LAYERS"] = str(options.cases)
    settings.update(added)
    outcomes = {}
    for suite in options.suites or (runtime.whole if options.whole else runtime.quick):
        outcomes[suite] = run_suite(runtime, name, suite, dict(os.environ, **settings), options)
        say(runtime.title, suite, outcomes[suite])
    return outcomes


def say(title, suite, outcome):
    counts = "%d passed, %d failed, %d skipped" % (outcome.passed, outcome.failed, outcome.skipped)
    print("%s, %s: %s%s" % (title, suite, counts, ": " + outcome.reason if outcome.reason else ""), flush=True)


def table(heads, rows):
    lines = ["| %s |" % " | ".join(heads), "|%s" % ("---|" * len(heads))]
    return "\n".join(lines + ["| %s |" % " | ".join(row) for row in rows])


def cell(outcomes, pair):
    if isinstance(outcomes, str):
        return "skipped"
    if "matrix" not in outcomes:
        return ""
    cases = outcomes["matrix"].cases.get(pair, "failed" if outcomes["matrix"].failed else "")
    return {"refused": "–", "failed": "**failed**"}.get(cases, cases)


def suite_cell(outcomes, suite):
    if isinstance(outcomes, str):
        return "skipped"
    if suite not in outcomes:
        return ""
    outcome = outcomes[suite]
    if outcome.failed:
        return "**%d failed**, %d passed" % (outcome.failed, outcome.passed)
    return "%d%s" % (outcome.passed, ", %d skipped" % outcome.skipped if outcome.skipped else "")


def markdown(results):
    titles = [RUNTIMES[name].title for name in results]
    had = [outcomes for outcomes in results.values() if not isinstance(outcomes, str)]
    pairs = list(dict.fromkeys(pair for outcomes in had if "matrix" in outcomes for pair in outcomes["matrix"].cases))
    parts = [table(["operation", "algorithm"] + titles,
                   [list(pair) + [cell(outcomes, pair) for outcomes in results.values()] for pair in pairs])]  # fmt: skip
    suites = list(dict.fromkeys(suite for outcomes in had for suite in outcomes if suite != "matrix"))
    if suites:
        parts.append(table(["suite"] + titles,
                           [[s] + [suite_cell(outcomes, s) for outcomes in results.values()] for s in suites]))  # fmt: skip
    notes = []
    for name, outcomes in results.items():
        title = RUNTIMES[name].title
        if isinstance(outcomes, str):
            notes.append("%s: skipped: %s." % (title, outcomes))
            continue
        notes += ["%s: %s." % (title, o.device) for o in outcomes.values() if o.device]
        notes += ["%s, %s: %s." % (title, suite, o.reason) for suite, o in outcomes.items() if o.reason]
    notes.append(datetime.date.today().isoformat() + ".")
    return "\n\n".join(parts + ["\n".join(notes)])


def write_between_marks(path, text):
    with open(path, encoding="utf-8") as file:
        whole = file.read()
    begin, end = whole.index(BEGIN) + len(BEGIN), whole.index(END)
    with open(path, "w", encoding="utf-8") as file:
        file.write(whole[:begin] + "\n" + text + "\n" + whole[end:])


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runtime", nargs="*", help="some of: %s; else the first five" % ", ".join(RUNTIMES))
    parser.add_argument("--build", default="build", help="a folder where the tests are built (build)")
    parser.add_argument("--whole", action="store_true", help="every suite of kernels and calls, not the chosen part")
    parser.add_argument("--suites", type=lambda words: words.split(","), help="these suites: matrix,api")
    parser.add_argument("--cases", type=int, help="random layers of each pair, and of the suites that draw them")
    parser.add_argument("--timeout", type=int, default=600, help="seconds of a suite (600)")
    parser.add_argument("--jobs", type=int, default=2, help="runtimes at a time (2)")
    parser.add_argument("--markdown", action="store_true", help="print the tables")
    parser.add_argument("--readme", metavar="FILE", help="write the tables between the marks in FILE")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    options.runtime = options.runtime or list(RUNTIMES)[:5]
    for name in options.runtime:
        if name not in RUNTIMES:
            parser.error("%s is no runtime of %s" % (name, ", ".join(RUNTIMES)))
    return options


def main():
    options = parse()
    os.makedirs(os.path.join(options.build, "runtimes", "logs"), exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = {name: pool.submit(run_runtime, name, options) for name in options.runtime}
    results = {name: run.result() for name, run in runs.items()}
    passed = failed = skipped = 0
    for name, outcomes in results.items():
        if isinstance(outcomes, str):
            skipped += 1
            print("%s: skipped: %s" % (RUNTIMES[name].title, outcomes))
            continue
        passed += sum(o.passed for o in outcomes.values())
        failed += sum(o.failed for o in outcomes.values())
        skipped += sum(o.skipped for o in outcomes.values())
    if options.markdown:
        print(markdown(results))
    if options.readme:
        write_between_marks(options.readme, markdown(results))
    print("other runtimes: %d passed, %d failed, %d skipped" % (passed, failed, skipped))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
