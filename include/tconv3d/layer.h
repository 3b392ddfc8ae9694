/* tconv3d/layer.h: the layer as numbers. Status codes, the descriptor of a 3D transposed convolution, its shapes and a
 * plain-C reference. Needs no OpenCL header and no OpenCL device.
 *
 * Axes are always in the order D, H, W. All sizes count elements. Every function here is pure and may be called by any
 * number of threads at once. SPDX-License-Identifier: MIT */
#ifndef TCONV3D_LAYER_H
#define TCONV3D_LAYER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TCONV3D_API __attribute__((visibility("default")))
#else
#define TCONV3D_API
#endif

#define TCONV3D_VERSION_MAJOR 0
#define TCONV3D_VERSION_MINOR 1
#define TCONV3D_VERSION_PATCH 0

/* The version of the library in use, as "0.1.0". Static storage. */
TCONV3D_API const char *tconv3d_version(void);

/* What every call returns. The details of a failure are in tconv3d_message(). */
typedef enum tconv3d_status {
  TCONV3D_OK = 0,
  TCONV3D_INVALID_ARGUMENT = 1,  /* a NULL handle, a wrong struct_size, a buffer of another context, overlapping x and y */
  TCONV3D_INVALID_PARAMETER = 2, /* the layer or its shape breaks a rule: stride 0, channels not divisible by groups */
  TCONV3D_SIZE_OVERFLOW = 3,     /* a size does not fit in 63 bits */
  TCONV3D_UNSUPPORTED = 4,       /* a data type or a named algorithm that cannot serve this layer or device */
  TCONV3D_NO_DEVICE = 5,         /* no OpenCL platform, or no device that the selector names */
  TCONV3D_OUT_OF_HOST_MEMORY = 6,
  TCONV3D_OUT_OF_DEVICE_MEMORY = 7, /* also: the layer would need more than the device has */
  TCONV3D_BUILD_FAILED = 8,         /* the device's compiler refused a kernel; the message holds its full log */
  TCONV3D_DEVICE_LOST = 9,          /* the device stopped answering; destroy every object of its context */
  TCONV3D_OPENCL_ERROR = 10,        /* any other failed OpenCL call; the message names the call and the error */
  TCONV3D_CANCELLED = 11,           /* a callback of the caller's asked for the end */
  TCONV3D_NO_CACHE = 12,            /* no cache can be used, where something was to be kept for good */
  TCONV3D_WRONG_RESULT = 13,        /* a kernel failed its self-test: the device, or its driver, computes wrong values */
  TCONV3D_NO_BINARY = 14            /* $TCONV3D_NO_BUILD forbids to build a program, and there is no binary of it */
} tconv3d_status;

/* The status's name, as "TCONV3D_INVALID_PARAMETER"; "TCONV3D_UNKNOWN_STATUS" for a number that is none. Static storage. */
TCONV3D_API const char *tconv3d_status_name(tconv3d_status status);

/* The calling thread's message: what its last failed call said, one line and, for a failed build, the log after it.
 * "" when no call of this thread has failed. Valid until the thread's next failing call or its end. Successful calls keep it.
 */
TCONV3D_API const char *tconv3d_message(void);

/* Element types, as tensors lie in memory. Sums are float32, and float64 for TCONV3D_F64, which needs a device with doubles and
 * goes with itself alone: x, y, w and b are then all of it. The others can be mixed; a result is rounded once, to nearest, ties
 * to even. */
typedef enum tconv3d_dtype { TCONV3D_F32 = 0, TCONV3D_F64 = 1, TCONV3D_F16 = 2, TCONV3D_BF16 = 3 } tconv3d_dtype;

/* Where a tensor's elements lie: index (i0, ..., i4) is at i0*strides[0] + ... + i4*strides[4] elements from the place that a
 * call is given. The axes are (N, C, D, H, W) of x and y, those of w as below. */
typedef enum tconv3d_layout {
  TCONV3D_DENSE = 0,         /* C order: NCDHW */
  TCONV3D_CHANNELS_LAST = 1, /* the second axis last, NDHWC: PyTorch's channels_last_3d */
  TCONV3D_STRIDED = 2 /* any strides: a crop, a padded or flipped volume, windows that overlap, 0 to repeat. What is written
                         must not hold two elements in one place: with axes of size 1 left out and the others sorted by the
                         size of their strides, each stride must be greater than all that lie before it reach together. */
} tconv3d_layout;

/* The strides of a dense or channels-last tensor. Errors: INVALID_ARGUMENT (NULL), INVALID_PARAMETER (another layout, a size
 * below 0), SIZE_OVERFLOW. */
TCONV3D_API tconv3d_status tconv3d_strides(tconv3d_layout layout, const int64_t shape[5], int64_t strides[5]);

/* One layer applied to one input shape; arguments as in PyTorch's nn.ConvTranspose3d.
 *   x (batch, in_channels, D, H, W), w (in_channels, out_channels/groups, kD, kH, kW), b (out_channels), y (batch,
 * out_channels, D', H', W'), where their layouts say; b is dense. Per axis D' = (D-1)*stride - 2*padding +
 * dilation*(kernel_size-1) + output_padding + 1. Rules: in_channels, out_channels, groups >= 1, groups divides both; every
 * input_size and kernel_size >= 1; stride, dilation
 * >= 1; padding >= 0; 0 <= output_padding < max(stride, dilation); every output size >= 1; batch >= 0 (0: an empty result).
 * An unbatched (C, D, H, W) input is batch 1. */
typedef struct tconv3d_desc {
  size_t struct_size; /* sizeof(tconv3d_desc), as TCONV3D_DESC_INIT sets it */
  int64_t batch, in_channels, out_channels, groups;
  int64_t input_size[3];
  int64_t kernel_size[3];
  int64_t stride[3];
  int64_t padding[3];
  int64_t output_padding[3];
  int64_t dilation[3];
  int32_t has_bias;           /* 1: y starts from b; 0: from zero */
  tconv3d_dtype dtype;        /* of x and y, gx and gy */
  tconv3d_dtype weight_dtype; /* of w and b, gw and gb */
  int64_t padding_end[3];     /* at the far end of each axis, as ONNX has it; -1: the same as padding. 2*padding above and below
                                 stands for the sum of both */
  tconv3d_layout x_layout, y_layout, w_layout;      /* of gx, gy and gw too */
  int64_t x_strides[5], y_strides[5], w_strides[5]; /* in elements; for TCONV3D_STRIDED, else not looked at */
} tconv3d_desc;

/* PyTorch's defaults: batch 1, stride 1, padding 0, output_padding 0, dilation 1, groups 1, with bias, float32. Channels,
 * input_size and kernel_size have no default and stay 0, which validation refuses. Layouts are dense. */
#define TCONV3D_DESC_INIT                                                                                               \
  {                                                                                                                     \
    sizeof(tconv3d_desc), 1, 0, 0, 1, {0, 0, 0}, {0, 0, 0}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, {1, 1, 1}, 1, TCONV3D_F32, \
        TCONV3D_F32, {-1, -1, -1}, TCONV3D_DENSE, TCONV3D_DENSE, TCONV3D_DENSE, {0}, {0}, {                             \
      0                                                                                                                 \
    }                                                                                                                   \
  }

/* What is computed for a layer. Each operation reads some of x, w, b, gy and writes one target; gy, gx, gw and gb have the
 * shapes of y, x, w and b and are the gradients of some number with respect to them. */
typedef enum tconv3d_operation {
  TCONV3D_FORWARD = 0,     /* y from x, w and b */
  TCONV3D_GRAD_INPUT = 1,  /* gx from gy and w; the descriptor's bias plays no part */
  TCONV3D_GRAD_WEIGHT = 2, /* gw from x and gy */
  TCONV3D_GRAD_BIAS = 3,   /* gb from gy: the sum over images and positions */
  TCONV3D_CONVOLUTION = 4  /* y from x, w and b as PyTorch's nn.Conv3d with padding by zeros has it: w (out_channels,
                              in_channels/groups, kD, kH, kW), D' = floor((D + 2*padding - dilation*(kernel_size-1) - 1) /
                              stride) + 1, output_padding 0 */
} tconv3d_operation;

/* The operation's name as the command spells it: "forward", "grad-input", ...; NULL for a number that is none. */
TCONV3D_API const char *tconv3d_operation_name(tconv3d_operation operation);

/* Sets one parameter of all three axes, as PyTorch does with a single number: TCONV3D_ALL_AXES(desc.stride, 2). */
#define TCONV3D_ALL_AXES(member, value) ((void)((member)[0] = (member)[1] = (member)[2] = (value)))
/* The same for a layer of two axes, H and W, or of one, W. */
#define TCONV3D_2D_AXES(member, value) ((void)((member)[1] = (member)[2] = (value)))
#define TCONV3D_1D_AXES(member, value) ((void)((member)[2] = (value)))

/* Layers of fewer axes are layers of three whose other axes have size 1 and kernel_size 1: nn.ConvTranspose2d over images
 * (batch, in_channels, H, W), nn.ConvTranspose1d over (batch, in_channels, W). All else is PyTorch's default, to be set
 * afterwards. */
TCONV3D_API tconv3d_desc tconv3d_desc_2d(int64_t batch, int64_t in_channels, int64_t out_channels, const int64_t input_size[2],
                                         const int64_t kernel_size[2]);
TCONV3D_API tconv3d_desc tconv3d_desc_1d(int64_t batch, int64_t in_channels, int64_t out_channels, int64_t input_size,
                                         int64_t kernel_size);

/* Checks the descriptor by the rules above, but for elements in one place, and writes y's shape (batch, out_channels, D', H',
 * W') to shape. Errors: INVALID_ARGUMENT (NULL, struct_size), INVALID_PARAMETER (which, axis, value, rule), SIZE_OVERFLOW. */
TCONV3D_API tconv3d_status tconv3d_output_shape(const tconv3d_desc *desc, int64_t shape[5]);

/* The shape of what an operation writes: y's as above, x's, w's, or (out_channels, 1, 1, 1, 1). Its strides are checked too: no
 * two elements may share a place (tconv3d_output_shape serves where y's strides are yet to be found). Errors: as above;
 * INVALID_PARAMETER for a number that is no operation. */
TCONV3D_API tconv3d_status tconv3d_target_shape(const tconv3d_desc *desc, tconv3d_operation operation, int64_t shape[5]);

/* Finds the output_padding that makes y's spatial size output_size, as PyTorch's forward(x, output_size) does; desc's own
 * output_padding is ignored. Valid per axis: from the size with output_padding 0 to that plus stride - 1.
 * Errors: as above; INVALID_PARAMETER names the axis and its valid range. */
TCONV3D_API tconv3d_status tconv3d_resolve_output_size(const tconv3d_desc *desc, const int64_t output_size[3],
                                                       int64_t output_padding[3]);

/* The layer in plain C, on the host, with fp64 sums, straight from the definition; slow, for checking. x, w, b and y are
 * float32 host arrays of desc's shapes, each given by its element (0, 0, 0, 0, 0); b may be NULL when has_bias is 0. y must not
 * overlap the others. Errors: as tconv3d_output_shape; UNSUPPORTED for a type other than TCONV3D_F32; OUT_OF_HOST_MEMORY. */
TCONV3D_API tconv3d_status tconv3d_reference_forward(const tconv3d_desc *desc, const float *x, const float *w, const float *b,
                                                     float *y);

/* The other operations in the same way. gx = Conv3d(gy, w) cropped to x's size, gw[c][m][k] = the sum over
 * images and positions i of x[c][i] * gy[m][i*stride - padding + k*dilation], gb[m] = the sum of gy[m]. Each writes its last
 * argument. tconv3d_reference_convolution reads desc as TCONV3D_CONVOLUTION does. */
TCONV3D_API tconv3d_status tconv3d_reference_grad_input(const tconv3d_desc *desc, const float *gy, const float *w, float *gx);
TCONV3D_API tconv3d_status tconv3d_reference_grad_weight(const tconv3d_desc *desc, const float *x, const float *gy, float *gw);
TCONV3D_API tconv3d_status tconv3d_reference_grad_bias(const tconv3d_desc *desc, const float *gy, float *gb);
TCONV3D_API tconv3d_status tconv3d_reference_convolution(const tconv3d_desc *desc, const float *x, const float *w,
                                                         const float *b, float *y);

#ifdef __cplusplus
}
#endif
#endif
