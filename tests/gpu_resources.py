#!/usr/bin/env python3
"""gpu_resources.py GPU_PROGRAMS [--clang CLANG] [--ptxas PTXAS] [--ocloc OCLOC] [--kind KIND] [--all | --quick]: what GPUs' compilers make of the
kernels for GPUs, on a machine without one. GPU_PROGRAMS (tests/gpu_programs of a build) writes their specialised sources; clang
compiles them for AMD's GPUs and, where ptxas is given, for NVIDIA's; ocloc, of Debian's intel-opencl-icd, for Intel's.
One line for each tile, by types, layouts and multiplier; with --all for each tile of each layer; with --quick for what would be
chosen alone, without vendors' features and on one GPU:

  flops a byte that a tile takes from memory and from local memory, bytes of local memory, and for each GPU registers of a
  work-item (AMD: vector + scalar; Intel: registers x work-items of a sub-group), bytes that are spilled or kept in memory, on AMD
  waves at a time of a SIMD, and of tiles with matrices how many instructions multiply them

Ends with 1 when anything is spilled or fails to compile.
"""
import argparse
import glob
import os
import re
import subprocess
import sys
import tempfile

# By the names of gpu_programs: whose compiler makes code for which GPUs.
GPUS = [
    ("any", "amd", ["gfx906", "gfx90a", "gfx1030"]),
    ("any", "nvidia", ["sm_80", "sm_90"]),
    ("lanes-64", "amd", ["gfx906", "gfx90a"]),
    ("lanes-32", "amd", ["gfx1030"]),
    ("mma", "nvidia", ["sm_80", "sm_90"]),
    ("xe-lp", "intel", ["tgllp"]),
    ("xe-hpg", "intel", ["acm-g10"]),
    ("xe-hpc", "intel", ["pvc"]),
]
# The table of multipliers in lib/algo/multiplier.c, and T3_MULTIPLIER_STEP beside which an algorithm's own number stands.
STEP = 256
MULTIPLIERS = ["", "broadcast 8", "broadcast 16", "broadcast 32", "broadcast 64", "mma", "mma tf32", "dpas 8", "dpas 16", "half"]

# The few functions of OpenCL C that the kernels call, so that no library is needed.
PRELUDE = """
#define T3_OVERLOAD __attribute__((overloadable, always_inline))
T3_OVERLOAD size_t get_group_id(uint d) { return GROUP_ID; }
T3_OVERLOAD size_t get_local_id(uint d) { return LOCAL_ID; }
T3_OVERLOAD size_t get_global_id(uint d) { return GROUP_ID * (size_t)LOCAL_SIZE + LOCAL_ID; }
T3_OVERLOAD void barrier(cl_mem_fence_flags flags) { BARRIER; }
T3_OVERLOAD float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
T3_OVERLOAD float vload_half(size_t i, const __global half *p) { return __builtin_load_halff(p + i); }
T3_OVERLOAD void vstore_half_rte(float a, size_t i, __global half *p) { __builtin_store_halff(a, p + i); }
T3_OVERLOAD float fabs(float a) { return __builtin_fabsf(a); }
T3_OVERLOAD double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
#ifdef BROADCAST_LANE
T3_OVERLOAD float sub_group_broadcast(float a, uint lane) { return as_float(BROADCAST_LANE(as_int(a), lane)); }
T3_OVERLOAD double sub_group_broadcast(double a, uint lane) {
  int2 parts = as_int2(a);
  return as_double((int2)(BROADCAST_LANE(parts.x, lane), BROADCAST_LANE(parts.y, lane)));
}
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
T3_OVERLOAD half fma(half a, half b, half c) { return __builtin_fmaf16(a, b, c); }
#endif
#define T3_LEAST(T)                                     \\
  T3_OVERLOAD T min(T a, T b) { return a < b ? a : b; } \\
  T3_OVERLOAD T max(T a, T b) { return a > b ? a : b; }
T3_LEAST(int)
T3_LEAST(uint)
T3_LEAST(long)
T3_LEAST(ulong)
"""
AMD_PRELUDE = """
#define GROUP_ID __builtin_amdgcn_workgroup_id_x()
#define LOCAL_ID __builtin_amdgcn_workitem_id_x()
#define BARRIER __builtin_amdgcn_fence(__ATOMIC_SEQ_CST, "workgroup"), __builtin_amdgcn_s_barrier()
#define BROADCAST_LANE(value, lane) __builtin_amdgcn_readlane(value, lane)
"""
NVIDIA_PRELUDE = """
#define GROUP_ID __nvvm_read_ptx_sreg_ctaid_x()
#define LOCAL_ID __nvvm_read_ptx_sreg_tid_x()
#define BARRIER __nvvm_bar_sync(0)
"""


def run(command, environment=None):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    if done.returncode:
        sys.exit("%s\n%s" % (" ".join(command), done.stdout[-2000:]))
    return done.stdout


class Program:
    def __init__(self, line):
        words = line.split()
        self.layer, self.operation, self.algorithm, numbers = words[:4]
        self.numbers = [int(n) for n in numbers.split(",")]
        self.multiplier = MULTIPLIERS[int(words[5])]
        self.options = words[6].replace(",", " ")
        self.kernel, self.local, self.path = words[7], int(words[8]), words[9]

    def tile(self):
        n = self.numbers
        if self.algorithm == "points":
            return "%d channels x %d positions" % (n[0], n[1])
        more = " merged" * (n[5] % STEP) if self.algorithm == "tiled" else " / %d" % (n[5] % STEP)
        return "%dx%dx%d %dx%d%s" % (n[0], n[1], n[4], n[2], n[3], more) + (self.multiplier and " " + self.multiplier)

    def intensity(self):
        """Flops a byte from memory and from local memory: of float32, or of two short terms a word where matrices take those."""
        if self.algorithm == "points":
            return None
        m, n, block_m, block_n = self.numbers[:4]
        terms = 2 if self.multiplier == "mma" or self.multiplier.startswith("dpas") else 1
        stored = (m + n) / (m * n / (block_m * block_n))  # a value is stored once, by one of the work-items
        return terms * m * n / (2 * (m + n)), terms * block_m * block_n / (2 * (block_m + block_n + stored))

    def source(self, prelude, folder):
        path = os.path.join(folder, "program.cl")
        with open(self.path) as text, open(path, "w") as file:
            file.write(prelude and "#define LOCAL_SIZE %d\n%s%s" % (self.local, prelude, PRELUDE))
            file.write(text.read())
        return path


def compile_to(clang, target, source, out):
    run([clang, "-x", "cl", "-cl-std=CL1.2", "-Xclang", "-finclude-default-header", "-nogpulib", "-O3", "-S", "-o", out, source]
        + target)


def result(registers, spilled, matrices=0, more=""):
    return {"spilled": spilled, "text": "%s %d%s%s" % (registers, spilled, more, " m%d" % matrices if matrices else "")}


def on_amd(tools, program, gpu, folder):
    out = os.path.join(folder, "program.s")
    compile_to(tools.clang, ["-target", "amdgcn-amd-amdhsa", "-mcpu=" + gpu], program.source(AMD_PRELUDE, folder), out)
    with open(out) as file:
        text = file.read()
    kernel = text[text.index("\n%s:" % program.kernel):]  # clang's own figures stand behind the code

    def figure(name):
        return int(re.search(r"; %s: (\d+)" % name, kernel).group(1))
    metadata = text[text.index("amdhsa.kernels"):]
    metadata = metadata[metadata.index(".name:           %s\n" % program.kernel):]
    spilled = sum(int(re.search(r"\.%s_spill_count: +(\d+)" % kind, metadata).group(1)) for kind in ("vgpr", "sgpr"))
    spilled += figure("ScratchSize")
    found = result("%d+%d" % (figure("NumVgprs"), figure("NumSgprs")), spilled, 0, " w%d" % figure("Occupancy"))
    found["local"] = figure("LDSByteSize")
    return found


def on_nvidia(tools, program, gpu, folder):
    out = os.path.join(folder, "program.ptx")
    target = ["-target", "nvptx64-nvidia-nvcl"]
    for option in ["-target-cpu", "sm_80", "-target-feature", "+ptx71"]:
        target += ["-Xclang", option]
    compile_to(tools.clang, target, program.source(NVIDIA_PRELUDE, folder), out)
    said = run([tools.ptxas, "-v", "-arch=" + gpu, "-o", os.devnull, out])
    said = said[said.index("'%s'" % program.kernel):]
    registers = int(re.search(r"Used (\d+) registers", said).group(1))
    spilled = sum(int(n) for n in re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores", said).groups())
    with open(out) as file:
        found = result(registers, spilled, file.read().count("mma.sync"))
    local = re.search(r"(\d+) bytes smem", said)
    found["local"] = int(local.group(1)) if local else 0
    return found


def on_intel(tools, program, gpu, folder):
    """The compiler leaves a listing for each try at a kernel, and tries again, worse, after a spill: the worst one counts."""
    options = program.options
    if program.multiplier.startswith("dpas"):  # the driver defines it, the offline compiler does not
        options += " -Dcl_intel_subgroup_matrix_multiply_accumulate"
    with tempfile.TemporaryDirectory(dir=folder) as listings:
        run([tools.ocloc, "compile", "-q", "-file", program.source("", folder), "-device", gpu, "-out_dir", listings, "-options",
             options], dict(os.environ, IGC_ShaderDumpEnable="1", IGC_DumpToCustomDir=listings))
        found = []
        for path in glob.glob(os.path.join(listings, "*.asm")):
            with open(path) as file:
                text = file.read()
            if text.startswith("//.kernel %s\n" % program.kernel):
                simd = int(re.search(r"simd(\d+)", path).group(1))
                grf = int(re.search(r"numGRF=(\d+)", text).group(1))
                kept = [int(n) for n in re.findall(r"^//\.(?:spill size|private memory size) (\d+)", text, re.M)]
                found.append(result("%dx%d" % (grf, simd), sum(kept), text.count("dpas.")))
    if not found:
        sys.exit("%s: no listing of %s for %s" % (tools.ocloc, program.kernel, gpu))
    worst = max(found, key=lambda one: one["spilled"])
    worst["local"] = 0
    return worst


COMPILERS = {"amd": ("clang", on_amd), "nvidia": ("ptxas", on_nvidia), "intel": ("ocloc", on_intel)}


def wanted(programs, options):
    """The programs that are to be compiled, each tile once for a vendor's GPUs unless all are asked for."""
    seen, layers = set(), set()
    for program in programs:
        tile = (program.algorithm, tuple(program.numbers), program.layer.partition("-")[2])
        layer = (program.layer, program.operation, program.algorithm)
        if (options.all or tile not in seen) and not (options.quick and layer in layers):
            yield program
        seen.add(tile)
        layers.add(layer)


def show(kind, vendor, gpus, options):
    """Compiles the programs of a kind of GPU; how many were, and how many are spilled on some GPU."""
    compiler = COMPILERS[vendor][1]
    count = spilled = 0
    print("layer op algorithm | tile | items | flops/B memory local | local B | " + " | ".join(gpus))
    with tempfile.TemporaryDirectory() as folder:
        listed = run([options.programs, folder, kind]).splitlines()
        for program in wanted(map(Program, listed), options):
            results = [compiler(options, program, gpu, folder) for gpu in gpus]
            count += 1
            spilled += any(one["spilled"] for one in results)
            flops = program.intensity()
            print("%s %s %s | %s | %d | %s | %s | %s" % (
                program.layer, program.operation, program.algorithm, program.tile(), program.local,
                "%.1f %.2f" % flops if flops else "-", results[0]["local"] or "-", " | ".join(one["text"] for one in results)),
                flush=True)
    return count, spilled


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs")
    parser.add_argument("--clang", default="clang")
    parser.add_argument("--ptxas")
    parser.add_argument("--ocloc")
    parser.add_argument("--kind", choices=sorted({row[0] for row in GPUS}), help="of GPU, as gpu_programs names them; else all")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.kind and (options.quick or not any(getattr(options, COMPILERS[row[1]][0]) for row in GPUS if row[0] == options.kind)):
        parser.error("--kind %s needs its compiler, and goes without --quick" % options.kind)
    count = spilled = 0
    for kind, vendor, gpus in GPUS[:1] if options.quick else GPUS:
        if options.kind not in (None, kind):
            continue
        if not getattr(options, COMPILERS[vendor][0]):
            print("%s: not compiled, without --%s" % (", ".join(gpus), COMPILERS[vendor][0]))
            continue
        more = show(kind, vendor, gpus[:1] if options.quick else gpus, options)
        count, spilled = count + more[0], spilled + more[1]
    print("%d tiles, %d with spills" % (count, spilled))
    return spilled > 0


if __name__ == "__main__":
    sys.exit(main())
