#!/usr/bin/env python3
"""compare.py COMMAND [--op OP] [--shapes FILE] [--rounds R] [--seconds S] [--json FILE] [NAME ...]: this library beside PyTorch (both memory
layouts), ONNX Runtime and OpenVINO on the CPU, gradients (OP grad-input or grad-weight) beside PyTorch, as a Markdown table of useful GFLOP/s, 2*N*Cin*(Cout/groups)*D*H*W*kD*kH*kW over the time.

Needs: pip install torch onnxruntime openvino onnx numpy

All of them take turns, so that a machine that is slow for a while is slow for all; a figure is the median of its rounds' medians. The
peers prepare their weights once where they can, and reuse their memory from call to call: the allocator is told to keep freed
memory, since fresh pages at every call would halve them. COMMAND is `tconv3d`; it chooses its algorithm by itself.

FILE gets a JSON object a line for each layer, for plot.py: its name, roof_gflops, and gflops with a number for each contender."""
import argparse
import copy
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 33), "MALLOC_TOP_PAD_": str(1 << 28)}
if any(name not in os.environ for name in KEEP_MEMORY):
    os.execve(sys.executable, [sys.executable] + sys.argv, {**os.environ, **KEEP_MEMORY})

import numpy
import onnx
import onnxruntime
import openvino
import torch

HERE = os.path.dirname(os.path.abspath(__file__))


def triple(text):
    numbers = [int(n) for n in text.split(",")]
    return numbers * 3 if len(numbers) == 1 else numbers


def read_shapes(path, names):
    for line in open(path, encoding="ascii"):
        words = line.split("#")[0].split()
        if words and (not names or words[0] in names):
            yield words


def make_layer(words):
    """The layer as PyTorch has it, with its input."""
    n, c_in, c_out = map(int, words[1:4])
    kernel, stride, padding, output_padding, dilation = map(triple, words[5:10])
    layer = torch.nn.ConvTranspose3d(c_in, c_out, kernel, stride, padding, output_padding, int(words[10]), True, dilation)
    return layer.requires_grad_(False), torch.randn(n, c_in, *triple(words[4]))


def as_onnx(layer, x):
    node = onnx.helper.make_node(
        "ConvTranspose", ["x", "w", "b"], ["y"], kernel_shape=layer.kernel_size, strides=layer.stride, pads=layer.padding * 2,
        output_padding=layer.output_padding, dilations=layer.dilation, group=layer.groups)
    value = lambda name, shape: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(shape))
    weights = [onnx.numpy_helper.from_array(layer.weight.numpy(), "w"), onnx.numpy_helper.from_array(layer.bias.numpy(), "b")]
    graph = onnx.helper.make_graph([node], "layer", [value("x", x.shape)], [value("y", layer(x).shape)], weights)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


def peers(layer, x):
    """Each peer's name and a call without arguments."""
    last = copy.deepcopy(layer).to(memory_format=torch.channels_last_3d)
    x_last = x.to(memory_format=torch.channels_last_3d)
    yield "PyTorch", lambda: layer(x)
    yield "PyTorch, channels last", lambda: last(x_last)
    model, y = as_onnx(layer, x), layer(x)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_cpu_input("x", x.numpy())
    binding.bind_ortvalue_output("y", onnxruntime.OrtValue.ortvalue_from_shape_and_type(list(y.shape), numpy.float32, "cpu"))
    yield "ONNX Runtime", lambda: session.run_with_iobinding(binding)
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(core.read_model(model), "CPU", settings).create_infer_request()
    request.set_input_tensor(openvino.Tensor(x.numpy(), shared_memory=True))
    yield "OpenVINO", request.infer


def gradients(layer, x, operation):
    """The same for a gradient, which the others do not have."""
    for name, memory_format in (("PyTorch", torch.contiguous_format), ("PyTorch, channels last", torch.channels_last_3d)):
        own = copy.deepcopy(layer).to(memory_format=memory_format).requires_grad_(True)
        x_own = x.to(memory_format=memory_format).requires_grad_(True)
        y = own(x_own)
        gy, target = torch.randn_like(y), x_own if operation == "grad-input" else own.weight
        yield name, lambda y=y, gy=gy, target=target: torch.autograd.grad(y, target, gy, retain_graph=True)


def median_time(call, seconds):
    call()
    times, end = [], time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def own_row(command, operation, words, seconds):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        print(*words, file=file, flush=True)
        argv = [command, "bench", "--op", operation, "--shapes", file.name, "--seconds", str(seconds), "--json"]
        environment = {name: value for name, value in os.environ.items() if name not in KEEP_MEMORY}
        return json.loads(subprocess.run(argv, env=environment, check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("command")
    parser.add_argument("--op", default="forward", choices=["forward", "grad-input", "grad-weight"])
    parser.add_argument("--shapes", default=os.path.join(HERE, "data", "shapes.txt"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("names", nargs="*")
    args = parser.parse_intermixed_args()
    ratios, peaks, heading = [], [], False
    record = open(args.json, "w", encoding="utf-8") if args.json else None
    for words in read_shapes(args.shapes, args.names):
        layer, x = make_layer(words)
        calls = dict(peers(layer, x) if args.op == "forward" else gradients(layer, x, args.op))
        times, mine, roofs = {name: [] for name in calls}, [], []
        for _ in range(args.rounds):
            for name, call in calls.items():
                times[name].append(median_time(call, args.seconds))
            row = own_row(args.command, args.op, words, args.seconds)
            mine.append(row["median_s"])
            peaks.append(row["peak_gflops"])
            roofs.append(row["roof_gflops"])
        flop = 2e-9 * x.numel() * (layer.out_channels // layer.groups) * math.prod(layer.kernel_size)
        figures = [flop / statistics.median(t) for t in times.values()]
        own = flop / statistics.median(mine)
        ratios.append(own / max(figures))
        if record:
            row = {"name": words[0], "roof_gflops": statistics.median(roofs)}
            row["gflops"] = {**dict(zip(calls, figures)), "tconv3d": own}
            print(json.dumps(row), file=record, flush=True)
        if not heading:
            print("| layer | %s | tconv3d | beside the best |\n|---%s|" % (" | ".join(calls), "|---" * (len(calls) + 2)))
            heading = True
        print("| %s | %s | **%.0f** | %.2f |" % (words[0], " | ".join("%.0f" % f for f in figures), own, ratios[-1]), flush=True)
    print("\nGeometric mean beside the best peer of each layer: %.2f; multiply-adds alone run at %.0f GFLOP/s here."
          % (math.exp(statistics.fmean(map(math.log, ratios))), statistics.median(peaks)))


main()
