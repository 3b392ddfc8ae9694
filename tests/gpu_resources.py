#!/usr/bin/env python3
"""gpu_resources.py GPU_PROGRAMS [--clang CLANG] [--ptxas PTXAS] [--all | --quick]: what GPUs' compilers make of the kernels for GPUs, on a
machine without one. GPU_PROGRAMS (tests/gpu_programs of a build) writes their specialised sources; clang compiles them for AMD's
GPUs and, where ptxas is there, for NVIDIA's. One line for each tile, by types and layouts; with --all for each tile of each layer;
with --quick for what would be chosen alone, and on one GPU:

  flops a byte that a tile takes from memory and from local memory, bytes of local memory, and for each GPU registers of a
  work-item (AMD: vector + scalar), bytes that are spilled, and on AMD waves at a time of a SIMD

Ends with 1 when anything is spilled or not compiled.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

AMD = ["gfx906", "gfx90a", "gfx1030"]
NVIDIA = ["sm_80", "sm_90"]

# The few functions of OpenCL C that the kernels call, so that no library is needed.
PRELUDE = """
#define T3_OVERLOAD __attribute__((overloadable, always_inline))
T3_OVERLOAD size_t get_group_id(uint d) { return GROUP_ID; }
T3_OVERLOAD size_t get_local_id(uint d) { return LOCAL_ID; }
T3_OVERLOAD size_t get_global_id(uint d) { return GROUP_ID * (size_t)LOCAL_SIZE + LOCAL_ID; }
T3_OVERLOAD void barrier(cl_mem_fence_flags flags) { BARRIER; }
T3_OVERLOAD float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
T3_OVERLOAD float fabs(float a) { return __builtin_fabsf(a); }
T3_OVERLOAD double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
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
"""
NVIDIA_PRELUDE = """
#define GROUP_ID __nvvm_read_ptx_sreg_ctaid_x()
#define LOCAL_ID __nvvm_read_ptx_sreg_tid_x()
#define BARRIER __nvvm_bar_sync(0)
"""


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit("%s\n%s" % (" ".join(command), done.stdout[-2000:]))
    return done.stdout


class Program:
    def __init__(self, line):
        words = line.split()
        self.layer, self.operation, self.algorithm, numbers = words[:4]
        self.numbers = [int(n) for n in numbers.split(",")]
        self.kernel, self.local, self.path = words[5], int(words[6]), words[7]

    def tile(self):
        n = self.numbers
        if self.algorithm == "points":
            return "%d channels x %d positions" % (n[0], n[1])
        more = (" merged" if n[5] else "") if self.algorithm == "tiled" else " / %d" % n[5]
        return "%dx%dx%d %dx%d%s" % (n[0], n[1], n[4], n[2], n[3], more)

    def intensity(self):
        """Flops a byte from memory and from local memory, of float32."""
        if self.algorithm == "points":
            return None
        m, n, block_m, block_n = self.numbers[:4]
        stored = (m + n) / (m * n / (block_m * block_n))  # a value is stored once, by one of the work-items
        return m * n / (2 * (m + n)), block_m * block_n / (2 * (block_m + block_n + stored))

    def source(self, prelude, folder):
        path = os.path.join(folder, "program.cl")
        with open(self.path) as text, open(path, "w") as file:
            file.write("#define LOCAL_SIZE %d\n%s%s%s" % (self.local, prelude, PRELUDE, text.read()))
        return path


def compile_to(clang, target, source, out):
    run([clang, "-x", "cl", "-cl-std=CL1.2", "-Xclang", "-finclude-default-header", "-nogpulib", "-O3", "-S", "-o", out, source]
        + target)


def on_amd(clang, program, gpu, folder):
    out = os.path.join(folder, "program.s")
    compile_to(clang, ["-target", "amdgcn-amd-amdhsa", "-mcpu=" + gpu], program.source(AMD_PRELUDE, folder), out)
    with open(out) as file:
        text = file.read()
    kernel = text[text.index("\n%s:" % program.kernel):]  # clang's own figures stand behind the code

    def figure(name):
        return int(re.search(r"; %s: (\d+)" % name, kernel).group(1))
    metadata = text[text.index("amdhsa.kernels"):]
    metadata = metadata[metadata.index(".name:           %s\n" % program.kernel):]
    spilled = sum(int(re.search(r"\.%s_spill_count: +(\d+)" % kind, metadata).group(1)) for kind in ("vgpr", "sgpr"))
    spilled += figure("ScratchSize")
    return {"local": figure("LDSByteSize"), "spilled": spilled,
            "text": "%d+%d %d w%d" % (figure("NumVgprs"), figure("NumSgprs"), spilled, figure("Occupancy"))}


def on_nvidia(clang, ptxas, program, gpu, folder):
    out = os.path.join(folder, "program.ptx")
    compile_to(clang, ["-target", "nvptx64-nvidia-nvcl", "-Xclang", "-target-cpu", "-Xclang", "sm_70"],
               program.source(NVIDIA_PRELUDE, folder), out)
    said = run([ptxas, "-v", "-arch=" + gpu, "-o", os.devnull, out])
    said = said[said.index("'%s'" % program.kernel):]
    registers = int(re.search(r"Used (\d+) registers", said).group(1))
    spilled = sum(int(n) for n in re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores", said).groups())
    return {"spilled": spilled, "text": "%d %d" % (registers, spilled)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs")
    parser.add_argument("--clang", default="clang")
    parser.add_argument("--ptxas")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    spilled, seen = 0, set()
    amd_gpus, nvidia = AMD[:1] if options.quick else AMD, NVIDIA if options.ptxas else []
    layers = set()
    with tempfile.TemporaryDirectory() as folder:
        listed = run([options.programs, folder]).splitlines()
        print("layer op algorithm | tile | items | flops/B memory local | local B | " + " | ".join(amd_gpus + nvidia))
        for program in map(Program, listed):
            key = (program.algorithm, tuple(program.numbers), program.layer.partition("-")[2])
            layer = (program.layer, program.operation, program.algorithm)
            if (not options.all and key in seen) or (options.quick and layer in layers):
                continue
            seen.add(key)
            layers.add(layer)
            amd = [on_amd(options.clang, program, gpu, folder) for gpu in amd_gpus]
            others = [on_nvidia(options.clang, options.ptxas, program, gpu, folder) for gpu in nvidia]
            spilled += sum(result["spilled"] > 0 for result in amd + others)
            flops = program.intensity()
            print("%s %s %s | %s | %d | %s | %d | %s" % (
                program.layer, program.operation, program.algorithm, program.tile(), program.local,
                "%.1f %.2f" % flops if flops else "-", amd[0]["local"],
                " | ".join(result["text"] for result in amd + others)), flush=True)
    print("%d tiles, %d with spills" % (len(seen), spilled))
    return spilled > 0


if __name__ == "__main__":
    sys.exit(main())
