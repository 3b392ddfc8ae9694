#!/usr/bin/env python3
"""Makes the golden cases: PyTorch's nn.ConvTranspose3d, its gradients, nn.Conv3d and activations in float64 on float32
inputs. README.md describes the files.

    python3 generate.py          writes them beside itself, but for refused.txt
    python3 generate.py --check  asks PyTorch about every layer of refused.txt and says where it differs from the file

Needs torch and numpy. The same versions give the same bytes: every case has its own seed, made from its name.
"""
import argparse
import pathlib
import zlib

import numpy as np
import torch

HERE = pathlib.Path(__file__).resolve().parent
AXES = ("input", "kernel", "stride", "padding", "output_padding", "dilation")


def triple(value):
    return (value,) * 3 if isinstance(value, int) else tuple(value)


def case(name, channels, size, kernel, stride=1, padding=0, output_padding=0, dilation=1, groups=1, batch=1, bias=True,
         output_size=None, unbatched=False):
    return dict(name=name, batch=batch, channels=channels, groups=groups, input=triple(size), kernel=triple(kernel),
                stride=triple(stride), padding=triple(padding), output_padding=triple(output_padding),
                dilation=triple(dilation), bias=bias, output_size=output_size and triple(output_size), unbatched=unbatched)


def plain_cases():
    yield case("defaults", (2, 3), (4, 5, 6), 3)
    yield case("one_of_everything", (1, 1), 1, 1)
    yield case("one_position_large_kernel", (2, 2), 1, (3, 4, 5))
    yield case("one_position_no_bias", (3, 2), 1, 3, stride=2, padding=1, output_padding=1, bias=False)
    yield case("flat_depth", (2, 2), (1, 6, 7), (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
    yield case("flat_height_and_width", (2, 3), (9, 1, 1), (4, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0))
    yield case("line_along_height", (2, 2), (1, 11, 1), (1, 5, 1), stride=(1, 3, 1), padding=(0, 2, 0))
    yield case("batch_two", (2, 2), (3, 4, 5), 3, stride=2, padding=1, batch=2)
    yield case("batch_three_no_bias", (3, 2), (3, 3, 4), 2, stride=2, batch=3, bias=False)
    yield case("batch_zero", (2, 3), (3, 4, 5), 3, stride=2, padding=1, batch=0)
    yield case("unbatched", (2, 3), (3, 4, 5), 3, stride=2, padding=1, output_padding=1, unbatched=True)
    yield case("unbatched_no_bias", (1, 2), (4, 3, 2), (2, 3, 4), unbatched=True, bias=False)
    yield case("odd_channels", (5, 7), (3, 4, 5), 3, stride=2, padding=1)
    yield case("many_in_one_out", (13, 1), (4, 4, 4), 3, padding=1)
    yield case("one_in_many_out", (1, 17), (3, 3, 4), 3, stride=2, padding=1)
    yield case("three_to_three", (3, 3), (4, 4, 5), (3, 2, 4), stride=(1, 2, 3), padding=(1, 0, 2))


def kernel_and_stride_cases():
    for kernel in range(1, 8):
        stride = 1 + kernel % 5
        yield case(f"kernel_{kernel}_stride_{stride}", (2, 2), (3, 4, 4), kernel, stride=stride, padding=kernel // 2)
    yield case("kernel_1_2_3", (2, 3), (4, 4, 4), (1, 2, 3), stride=(3, 2, 1))
    yield case("kernel_7_5_3", (1, 2), (4, 4, 5), (7, 5, 3), stride=(2, 2, 2), padding=(3, 2, 1))
    yield case("kernel_2_6_4", (2, 1), (3, 3, 5), (2, 6, 4), stride=(1, 3, 2), padding=(0, 4, 1))
    yield case("pointwise", (4, 5), (4, 5, 6), 1)
    yield case("pointwise_stride_2", (3, 4), (3, 4, 5), 1, stride=2)
    yield case("pointwise_stride_5_4_3_output_padding", (2, 3), (2, 3, 4), 1, stride=(5, 4, 3), output_padding=(4, 3, 2))
    yield case("pointwise_stride_and_padding", (2, 2), (4, 5, 6), 1, stride=(2, 3, 2), padding=(1, 2, 3))
    yield case("holes_kernel_2_stride_5", (2, 2), (3, 3, 4), 2, stride=5)
    yield case("holes_kernel_3_stride_4_output_padding", (2, 2), (2, 3, 4), 3, stride=4, output_padding=3, padding=1)
    yield case("holes_in_width_alone", (2, 3), (4, 4, 6), (3, 3, 1), stride=(1, 1, 4), padding=(1, 1, 0))
    yield case("stride_5_4_3", (2, 2), (2, 3, 4), (5, 4, 3), stride=(5, 4, 3))
    yield case("stride_1_1_5", (2, 2), (4, 4, 5), 3, stride=(1, 1, 5), padding=(1, 1, 1), output_padding=(0, 0, 4))


def padding_and_dilation_cases():
    yield case("padding_is_kernel_minus_1", (2, 3), (5, 5, 6), 3, padding=2)
    yield case("padding_past_the_kernel", (2, 2), (7, 8, 9), 3, stride=1, padding=3)
    yield case("padding_4_kernel_2_stride_2", (2, 2), (7, 8, 9), 2, stride=2, padding=4)
    yield case("padding_4_3_2", (2, 2), (6, 6, 6), (5, 4, 3), stride=(2, 2, 2), padding=(4, 3, 2))
    yield case("padding_past_the_pointwise_kernel", (2, 2), (9, 9, 9), 1, padding=(4, 3, 2))
    yield case("cropped_to_one_output", (3, 2), (3, 3, 3), 3, padding=2)
    yield case("output_padding_of_each_axis", (2, 2), (3, 3, 4), 3, stride=(2, 3, 4), padding=1, output_padding=(1, 2, 3))
    yield case("output_padding_by_dilation", (2, 2), (3, 4, 4), 2, stride=1, dilation=(2, 3, 4), output_padding=(1, 2, 3))
    yield case("output_padding_bias_alone_rows", (2, 2), (3, 3, 3), 1, stride=3, output_padding=2)
    yield case("dilation_2", (2, 3), (4, 4, 5), 3, dilation=2, padding=2)
    yield case("dilation_2_3_4", (2, 2), (4, 4, 4), 3, dilation=(2, 3, 4), padding=(1, 2, 3))
    yield case("dilation_2_stride_2", (2, 3), (3, 4, 5), 3, stride=2, dilation=2, padding=2, output_padding=1)
    yield case("dilation_4_stride_2", (2, 2), (3, 3, 4), 3, stride=2, dilation=4, padding=4, output_padding=3)
    yield case("dilation_2_stride_4", (2, 2), (3, 3, 4), 3, stride=4, dilation=2, padding=2, output_padding=3)
    yield case("dilation_4_2_3_stride_2_4_3", (2, 2), (3, 3, 4), 3, stride=(2, 4, 3), dilation=(4, 2, 3), padding=(3, 1, 2))
    yield case("dilation_3_stride_2", (2, 2), (3, 4, 4), 3, stride=2, dilation=3, padding=3)
    yield case("dilation_2_stride_3", (2, 2), (3, 3, 4), 4, stride=3, dilation=2, padding=3)
    yield case("dilation_without_taps_to_spread", (2, 2), (4, 4, 4), (1, 1, 3), dilation=(4, 3, 2), stride=(2, 1, 1))


def group_cases():
    yield case("groups_2", (4, 6), (3, 4, 4), 3, stride=2, padding=1, groups=2)
    yield case("groups_3_no_bias", (6, 3), (3, 3, 4), 2, stride=2, groups=3, bias=False)
    yield case("groups_3_batch_2", (9, 6), (2, 3, 4), 3, padding=1, groups=3, batch=2)
    yield case("depthwise", (6, 6), (3, 4, 5), 3, stride=2, padding=1, groups=6)
    yield case("depthwise_odd", (5, 5), (3, 3, 4), (3, 2, 4), stride=(2, 1, 2), groups=5)
    yield case("depthwise_multiplier_3", (3, 9), (3, 3, 4), 3, stride=2, padding=1, groups=3, output_padding=1)
    yield case("depthwise_multiplier_2_dilated", (4, 8), (3, 3, 3), 3, dilation=2, padding=2, groups=4, batch=2)


def width_cases():
    """Rows around the usual vector widths, where a row's last vector is whole, one short or one over."""
    for width in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 40):
        stride = 1 + width % 2
        yield case(f"width_{width}_stride_{stride}", (2, 2), (2, 2, width), 3, stride=(1, 1, stride), padding=1,
                   output_padding=(0, 0, stride - 1))
    yield case("width_16_stride_3", (2, 3), (2, 2, 16), (2, 2, 4), stride=(1, 1, 3), padding=(0, 0, 1))


def output_size_cases():
    yield case("output_size_least", (2, 2), (3, 4, 5), 3, stride=2, padding=1, output_size=(5, 7, 9))
    yield case("output_size_most", (2, 2), (3, 4, 5), 3, stride=2, padding=1, output_size=(6, 8, 10))
    yield case("output_size_mixed", (2, 2), (3, 3, 3), 3, stride=(2, 3, 4), padding=1, output_size=(6, 9, 11))


def network_cases():
    """Upsampling layers as real networks use them, on tiny inputs."""
    yield case("unet3d_up_2x", (8, 4), (2, 3, 4), 2, stride=2)
    yield case("vnet_up_2x", (6, 3), (3, 3, 3), 2, stride=2, batch=2)
    yield case("segmentation_up_3_2_1_1", (4, 4), (3, 4, 4), 3, stride=2, padding=1, output_padding=1)
    yield case("gan_first_4x4x4", (16, 4), 1, 4)
    yield case("gan_up_4_2_1", (6, 3), (4, 4, 4), 4, stride=2, padding=1, bias=False)
    yield case("anisotropic_up_1_2_2", (4, 2), (3, 5, 5), (1, 2, 2), stride=(1, 2, 2))
    yield case("autoencoder_last_5_3", (3, 1), (3, 4, 4), 5, stride=3, padding=1)
    yield case("trilinear_up_2x_depthwise", (3, 3), (3, 4, 5), 4, stride=2, padding=1, groups=3, bias=False)


def convolution_cases():
    """Of nn.Conv3d: output_padding and output_size play no part."""
    yield case("conv_defaults", (2, 3), (5, 6, 7), 3)
    yield case("conv_one_of_everything", (1, 1), 1, 1)
    yield case("conv_no_bias", (3, 2), (4, 5, 6), 3, padding=1, bias=False)
    yield case("conv_batch_three", (2, 3), (4, 4, 5), 3, stride=2, padding=1, batch=3)
    yield case("conv_batch_zero", (2, 3), (4, 4, 5), 3, stride=2, padding=1, batch=0)
    yield case("conv_stride_2_kernel_4", (3, 4), (6, 7, 9), 4, stride=2, padding=1)
    yield case("conv_stride_5_4_3", (2, 2), (11, 9, 13), (5, 4, 3), stride=(5, 4, 3), padding=(2, 1, 0))
    yield case("conv_stride_leaves_a_rest", (2, 2), (8, 9, 12), 3, stride=(2, 3, 4))
    yield case("conv_stride_past_the_kernel", (2, 3), (9, 10, 14), (1, 2, 3), stride=(4, 5, 6))
    yield case("conv_pointwise_stride_2", (4, 5), (5, 6, 7), 1, stride=2)
    yield case("conv_padding_past_the_kernel", (2, 2), (3, 4, 5), 2, padding=(3, 4, 2))
    yield case("conv_kernel_larger_than_input", (2, 2), (2, 3, 1), (5, 4, 3), padding=(2, 1, 1))
    yield case("conv_dilation_2", (2, 3), (6, 7, 9), 3, dilation=2, padding=2)
    yield case("conv_dilation_3_2_4_stride_2_3_1", (2, 2), (9, 8, 11), 3, stride=(2, 3, 1), padding=(3, 1, 4),
               dilation=(3, 2, 4))
    yield case("conv_groups_3_batch_2", (6, 9), (4, 5, 6), 3, padding=1, groups=3, batch=2)
    yield case("conv_depthwise", (5, 5), (4, 5, 7), 3, stride=2, padding=1, groups=5)
    yield case("conv_depthwise_multiplier_2", (3, 6), (3, 4, 5), (2, 3, 2), groups=3, bias=False)
    yield case("conv_flat_depth", (3, 2), (1, 9, 8), (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
    for width, stride in ((17, 1), (35, 2), (64, 3)):
        yield case(f"conv_width_{width}_stride_{stride}", (2, 3), (2, 3, width), 3, stride=(1, 1, stride), padding=1)
    yield case("conv_odd_channels", (7, 5), (4, 4, 6), 3, stride=(1, 2, 2), padding=1)


def all_cases():
    for family in (plain_cases, kernel_and_stride_cases, padding_and_dilation_cases, group_cases, width_cases,
                   output_size_cases, network_cases):
        yield from family()


def layer_of(c):
    """A case's nn.ConvTranspose3d."""
    c_in, c_out = c["channels"]
    return torch.nn.ConvTranspose3d(c_in, c_out, c["kernel"], stride=c["stride"], padding=c["padding"],
                                    output_padding=c["output_padding"], groups=c["groups"], bias=bool(c["bias"]),
                                    dilation=c["dilation"], dtype=torch.float64)


def compute(c):
    """The case's float32 x, w and b, and PyTorch's float64 y. Its output_padding becomes what output_size asks for."""
    rng = np.random.default_rng(zlib.crc32(c["name"].encode()))
    layer = layer_of(c)
    x = rng.standard_normal((c["batch"], c["channels"][0], *c["input"])).astype(np.float32)
    w = rng.standard_normal(tuple(layer.weight.shape)).astype(np.float32)
    b = rng.standard_normal(c["channels"][1]).astype(np.float32) if c["bias"] else np.empty(0, np.float32)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(w))
        if c["bias"]:
            layer.bias.copy_(torch.from_numpy(b))
        given = torch.from_numpy(x.astype(np.float64))
        if c["unbatched"]:
            given = given[0]
        y = layer(given, output_size=c["output_size"]).numpy()
    return x, w, b, y[None] if c["unbatched"] else y


def gradients(c, x, w, y):
    """The case's float32 gy, and PyTorch's float64 gx, gw and gb; gb without a bias too, as of one that is zero."""
    rng = np.random.default_rng(zlib.crc32((c["name"] + "gy").encode()))
    gy = rng.standard_normal(y.shape).astype(np.float32)
    layer = layer_of({**c, "bias": True})
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(w))
        layer.bias.zero_()
    given = torch.from_numpy(x.astype(np.float64)).requires_grad_()
    layer(given, output_size=c["output_size"]).backward(torch.from_numpy(gy.astype(np.float64)))
    return gy, given.grad.numpy(), layer.weight.grad.numpy(), layer.bias.grad.numpy()


def convolve(c):
    """A convolution case's float32 x, w and b, and nn.Conv3d's float64 y."""
    rng = np.random.default_rng(zlib.crc32(c["name"].encode()))
    c_in, c_out = c["channels"]
    layer = torch.nn.Conv3d(c_in, c_out, c["kernel"], stride=c["stride"], padding=c["padding"], groups=c["groups"],
                            bias=bool(c["bias"]), dilation=c["dilation"], dtype=torch.float64)
    x = rng.standard_normal((c["batch"], c_in, *c["input"])).astype(np.float32)
    w = rng.standard_normal(tuple(layer.weight.shape)).astype(np.float32)
    b = rng.standard_normal(c_out).astype(np.float32) if c["bias"] else np.empty(0, np.float32)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(w))
        if c["bias"]:
            layer.bias.copy_(torch.from_numpy(b))
        return x, w, b, layer(torch.from_numpy(x.astype(np.float64))).numpy()


def line_of(c, y):
    fields = [("name", c["name"]), ("batch", c["batch"]), ("channels", c["channels"]), ("groups", c["groups"])]
    fields += [(axis, c[axis]) for axis in AXES] + [("bias", int(c["bias"]))]
    fields += [("output_size", c["output_size"])] if c["output_size"] else []
    fields += [("output", y.shape[2:])]
    return " ".join(f"{k}={','.join(map(str, v)) if isinstance(v, tuple) else v}" for k, v in fields)


def save(name, arrays, dtype):
    np.save(HERE / name, np.concatenate([array.ravel() for array in arrays]).astype(dtype))


def activation_inputs():
    """float32 numbers: zeros, Inf, NaN, all magnitudes, and closely where the activations bend."""
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0]
    magnitudes = np.logspace(-45, 38, 167)
    bends = np.concatenate([np.linspace(-20, 20, 401), np.linspace(-1, 1, 201), np.linspace(-110, -80, 31)])
    largest = np.finfo(np.float32).max
    return np.concatenate([special, magnitudes, -magnitudes, bends, [largest, -largest]]).astype(np.float32)


def generate_activations():
    """Rows of float64: the inputs, then what each activation makes of them, with the constants of test_epilogue.c."""
    x = activation_inputs()
    given = torch.from_numpy(x.astype(np.float64))
    f = torch.nn.functional
    rows = [f.relu(given), f.leaky_relu(given, 0.0625), f.prelu(given, torch.tensor([0.25], dtype=torch.float64)),
            f.elu(given, 1.5), f.silu(given), f.gelu(given), torch.sigmoid(given), torch.tanh(given),
            torch.clamp(given, -0.5, 2.0)]
    save("activations.npy", [x] + [row.numpy() for row in rows], "<f8")
    print(f"{len(rows)} activations of {x.size} values")


def generate_convolutions():
    lines, inputs, outputs = [], [], []
    for c in convolution_cases():
        x, w, b, y = convolve(c)
        lines.append(line_of(c, y))
        inputs += [x, w, b]
        outputs.append(y)
    (HERE / "convolutions.txt").write_text("\n".join(lines) + "\n")
    save("convolution_inputs.npy", inputs, "<f4")
    save("convolution_outputs.npy", outputs, "<f8")
    print(f"{len(lines)} convolutions")


def generate():
    lines, inputs, outputs, names = [], [], [], set()
    gradient_inputs, gradient_outputs = [], []
    for c in all_cases():
        x, w, b, y = compute(c)
        assert y.size <= 8000 and c["name"] not in names, c["name"]
        names.add(c["name"])
        lines.append(line_of(c, y))
        inputs += [x, w, b]
        outputs.append(y)
        gy, *results = gradients(c, x, w, y)
        gradient_inputs.append(gy)
        gradient_outputs += results
    (HERE / "cases.txt").write_text("\n".join(lines) + "\n")
    save("inputs.npy", inputs, "<f4")
    save("outputs.npy", outputs, "<f8")
    save("gradient_inputs.npy", gradient_inputs, "<f4")
    save("gradient_outputs.npy", gradient_outputs, "<f8")
    print(f"{len(lines)} cases, {sum(x.size for x in inputs)} inputs, {sum(y.size for y in outputs)} outputs, "
          f"torch {torch.__version__}")
    generate_convolutions()
    generate_activations()


def parse(text):
    """A layer line of refused.txt: key=value fields with PyTorch's defaults for what is not given."""
    c = case("", (0, 0), 0, 0)
    for field in text.split():
        key, value = field.split("=")
        numbers = tuple(int(v) for v in value.split(","))
        c[key] = numbers if key in AXES or key in ("channels", "output_size") else numbers[0]
    return c


def pytorch_says(c):
    """None when PyTorch computes the layer, else the first line of its error."""
    try:
        layer = layer_of(c)
        layer(torch.zeros((c["batch"], c["channels"][0], *c["input"]), dtype=torch.float64), output_size=c["output_size"])
    except (RuntimeError, ValueError, ZeroDivisionError) as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None


def check_refused():
    wrong = 0
    for text in (HERE / "refused.txt").read_text().splitlines():
        if not text or text.startswith("#"):
            continue
        layer, _, _, expected = (part.strip() for part in text.split("|"))
        said = pytorch_says(parse(layer))
        agrees = (expected == "refuses") == (said is not None)
        wrong += not agrees
        print("ok   " if agrees else "WRONG", layer, "->", said or "accepted")
    return wrong


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true", help="compare refused.txt with PyTorch; writes nothing")
    torch.set_num_threads(1)
    raise SystemExit(bool(check_refused()) if arguments.parse_args().check else generate())
