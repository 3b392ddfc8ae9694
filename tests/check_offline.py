#!/usr/bin/env python3
"""check_offline.py COMMAND: programs as files, from `tconv3d program` to a run that builds nothing, on whatever OpenCL runtime
the environment shows first: dump, build, an empty cache, TCONV3D_NO_BUILD, results equal to those of `direct`; then binaries
that are missing, damaged or another program's. Inputs are small whole numbers, so results must be equal to the last bit."""
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

COMMAND = os.path.abspath(sys.argv[1])
LAYER = "--stride 2 --padding 1 --output-padding 1 --groups 2".split()
SIZES = "--input 2,6,3,4,13 --channels 10 --kernel 3".split()
X, W, B, Y = (2, 6, 3, 4, 13), (6, 5, 3, 3, 3), (10,), (2, 10, 6, 8, 26)


def write_npy(path, shape, seed):
    """A float32 array of whole numbers from -3 to 3, format version 1."""
    count = 1
    for size in shape:
        count *= size
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s,), }" % ", ".join(map(str, shape))
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    numbers = random.Random(seed)
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        file.write(struct.pack("<%df" % count, *(numbers.randint(-3, 3) for _ in range(count))))


def read(path):
    with open(path, "rb") as file:
        return file.read()


def call(arguments, **variables):
    environment = dict(os.environ, TCONV3D_CACHE_DIR="cache", **variables)
    for name in ("TCONV3D_NO_BUILD", "TCONV3D_BINARY_DIR"):
        if name not in variables:
            environment.pop(name, None)
    return subprocess.run([COMMAND] + arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def done(arguments, **variables):
    result = call(arguments, **variables)
    assert result.returncode == 0 and not result.stderr, (arguments, result)
    return result.stdout


def empty_cache():
    shutil.rmtree("cache", ignore_errors=True)


def refused(arguments, target, *words):
    """With nothing to build: one line, exit status 1, no file."""
    if os.path.exists(target):
        os.remove(target)
    empty_cache()
    result = call(arguments, TCONV3D_NO_BUILD="1", TCONV3D_BINARY_DIR="binaries")
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and not os.path.exists(target), result
    for word in words + ("TCONV3D_NO_BUILD", "tconv3d program dump"):
        assert word in result.stderr, (word, result.stderr)


def check(operation, run, target):
    """One operation from its dump to its run, and everything that can be wrong with the files."""
    sizes = SIZES + LAYER + ["--algo", "pipeline", "--op", operation]
    done(run + LAYER + ["--algo", "direct"])
    expected = read(target)
    empty_cache()

    dumped = done(["program", "dump", "--out", "dumped"] + sizes).split()
    built = done(["program", "build", "--out", "binaries"] + sizes).split()
    name = os.path.splitext(os.path.basename(built[0]))[0]
    assert sorted(os.path.splitext(p)[1] for p in dumped) == [".cl", ".key", ".options", ".txt"], dumped
    assert sorted(os.path.splitext(p)[1] for p in built) == [".bin", ".cl", ".key", ".options", ".sum", ".txt"], built
    for path in dumped:
        assert read(path) == read(path.replace("dumped", "binaries")), path
    source, key = read("dumped/%s.cl" % name), read("dumped/%s.key" % name)
    assert key.endswith(source) and b"#include" not in source and b"#define KERNEL_W 3" in source
    assert b"pipeline" in read("dumped/%s.txt" % name)

    run = run + LAYER + ["--algo", "pipeline"]
    binary, beside, total = ("binaries/%s.%s" % (name, ending) for ending in ("bin", "key", "sum"))
    for found in (dict(TCONV3D_BINARY_DIR="binaries"), {}):  # in the directory, then in the cache alone
        if found:
            empty_cache()
        else:
            done(run)
        os.remove(target) if os.path.exists(target) else None
        done(run, TCONV3D_NO_BUILD="1", **found)
        assert read(target) == expected, (operation, found)

    whole = read(binary)
    spoilt = bytearray(whole)
    spoilt[len(spoilt) // 2] ^= 1
    cases = ((binary, None, "no such file"), (binary, bytes(spoilt), "damaged"), (binary, whole[: len(whole) // 3], "damaged"),
             (beside, None, ".key"), (beside, key + b" ", "another program"), (total, b"", "damaged"))
    for path, content, words in cases:
        kept = read(path)
        os.remove(path)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content)
        refused(run, target, name + ".bin", "binaries/", words)
        done(run, TCONV3D_BINARY_DIR="binaries")  # where it may be built it is
        assert read(target) == expected, (operation, path, words)
        with open(path, "wb") as file:
            file.write(kept)
    os.remove(total)  # need not be there
    empty_cache()
    done(run, TCONV3D_NO_BUILD="1", TCONV3D_BINARY_DIR="binaries")
    assert read(target) == expected


def check_bench():
    """Without the roofline's program: a line says so, and the layer is measured all the same."""
    empty_cache()
    with open("layer.txt", "w", encoding="utf-8") as file:
        file.write("layer 1 6 10 3,4,13 3 2 1 1 1 2\n")
    done(["program", "build", "--out", "bench", "--input", "1,6,3,4,13"] + SIZES[2:] + LAYER)
    run = ["bench", "--shapes", "layer.txt", "--seconds", "0.01"]
    for options in [], ["--json"]:
        empty_cache()
        result = call(run + options, TCONV3D_NO_BUILD="1", TCONV3D_BINARY_DIR="bench")
        assert result.returncode == 0 and result.stderr.count("\n") == 1 and "roofline" in result.stderr, result
        assert "TCONV3D_NO_BUILD" in result.stderr and "layer" in result.stdout, result
    figures = json.loads(result.stdout)
    assert figures["peak_gflops"] is None and figures["roof_gflops"] is None and figures["gflops"] > 0, figures


def main():
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    try:
        write_npy("x.npy", X, 1)
        write_npy("w.npy", W, 2)
        write_npy("b.npy", B, 3)
        write_npy("gy.npy", Y, 4)
        check("forward", ["run", "x.npy", "w.npy", "y.npy", "--bias", "b.npy"], "y.npy")
        check("grad-input", ["grad-input", "gy.npy", "w.npy", "gx.npy"], "gx.npy")
        check_bench()
        for arguments in (["program"], ["program", "show"], ["program", "dump", "build"], ["program", "dump"] + SIZES[:2],
                          ["program", "dump", "--out", "x.npy/below"] + SIZES):
            result = call(arguments)
            assert result.returncode == 2 and result.stderr.count("\n") == 1 and not result.stdout, (arguments, result)
        print("programs as files: ok")
    finally:
        os.chdir("/")
        shutil.rmtree(folder)


main()
