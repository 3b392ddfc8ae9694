/* tconv3d/tconv3d.h: 3D transposed convolution (PyTorch's nn.ConvTranspose3d) on any OpenCL device.
 *
 *   device -> context -> plan -> weights -> run or enqueue
 *
 * A context holds one cl_context and what was built for it. A plan is one layer on one input shape on one device, with every
 * kernel compiled. Weights are a layer's w and b, packed for one plan. All handles are opaque.
 *
 * Ownership: every *_create/_adopt is undone by the matching *_destroy, in any order: each object keeps alive what it stands
 * on, and commands in flight keep alive what they use. *_destroy(NULL) does nothing. OpenCL objects passed in are retained
 * where they are kept, never taken over.
 * Threads: contexts and plans may be used by any number of threads at once. Weights too, but for tconv3d_weights_update.
 * Each thread may destroy its own handle once; a handle must not be destroyed while another thread is inside a call with it.
 * Errors: every call returns a status and sets the thread's tconv3d_message() when it fails; a failed call leaves its
 * out-parameters NULL or untouched, and the objects usable. The library prints nothing and never exits.
 * SPDX-License-Identifier: MIT */
#ifndef TCONV3D_TCONV3D_H
#define TCONV3D_TCONV3D_H

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>

#include <tconv3d/layer.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- devices ---- */

typedef struct tconv3d_device_info {
  cl_platform_id platform;
  cl_device_id device;
  unsigned platform_index, device_index; /* as in the selector "PLATFORM:DEVICE" */
  cl_device_type type;
  unsigned compute_units;
  unsigned vector_width;  /* float vector width, in elements, at least 1: on a CPU $TCONV3D_VECTOR_WIDTH (4, 8 or 16) where
                             that is set, else what the runtime reports. Another value makes CPUs unusable. */
  size_t work_group_size; /* most work-items in a work-group */
  uint64_t memory_bytes, max_buffer_bytes, local_bytes, cache_bytes;
  char platform_name[96], platform_version[128], name[128], version[128], driver[96];
  int usable;         /* 1: a context can be made on it */
  char rejected[160]; /* why not, when usable is 0; "" otherwise */
  unsigned fma_width; /* floats that one multiply-add unit takes at once: vector_width, or half of it where the widest vectors
                         are known to be computed in halves (AMD Zen 4) */
  int float64;        /* 1: computes TCONV3D_F64 */
  /* Facts that the runtime tells; 0 where it does not. */
  unsigned address_bits, clock_mhz, cache_line_bytes;
  unsigned preferred_multiple; /* of work-items in a work-group */
  unsigned sub_group_sizes;    /* the sizes, each a power of two, added up: 8 + 16 + 32 */
  int float16, int_dot, sub_groups, host_memory,
      dedicated_local; /* 1: arithmetic in float16; the integer dot product; sub-group
              functions; memory shared with the host; local memory of its own */
  int watchdog; /* 1: a launch that takes seconds may be killed: as NVIDIA's driver says; any other GPU, which may drive a
                   display and whose runtime has no word for it, counts as one that has. 0: CPUs and accelerators. */
  double max_launch_seconds; /* no launch is predicted to take longer, longer ones are split; 0: no limit. 0.25 with a watchdog;
                                $TCONV3D_MAX_LAUNCH_US, whole microseconds from 1 on, sets it for every device, and another
                                value makes all of them unusable. */
  unsigned quirks;           /* the library's own bits; tconv3d_device_quirk has the words */
  unsigned registers;        /* of 32 bits, that a work-item of a GPU is taken to have: 128 on Intel's GPUs without a matrix
                                extension under Intel's runtime, 256 on others, as no query tells; 0 on other devices */
} tconv3d_device_info;

/* What the library does differently on a device, and why, one line; NULL past the last. Static storage. */
TCONV3D_API const char *tconv3d_device_quirk(const tconv3d_device_info *info, size_t index);

/* Lists every device of every platform, the unusable ones too. list may be NULL with capacity 0; *count is how many there are,
 * even past capacity. No platform at all is OK with *count 0. */
TCONV3D_API tconv3d_status tconv3d_devices(tconv3d_device_info *list, size_t capacity, size_t *count);

/* Finds a usable device. selector: "cpu", "gpu" or "accelerator" for the first of that type; "P:D" for device D of platform P,
 * counted from 0; else a part of a platform's or device's name, letter case ignored. NULL or "" for the one that
 * $TCONV3D_DEVICE, a selector, names, and where that is not set or empty for the first GPU, else accelerator, else CPU. Errors:
 * NO_DEVICE, saying what was found instead, and the variable where it was the selector. */
TCONV3D_API tconv3d_status tconv3d_device_select(const char *selector, tconv3d_device_info *info);

/* ---- contexts ---- */

typedef struct tconv3d_context tconv3d_context;

/* Makes a cl_context of the library's own on devices of one platform. */
TCONV3D_API tconv3d_status tconv3d_context_create(const cl_device_id *devices, size_t num_devices, tconv3d_context **context);

/* Works inside the caller's cl_context (retained). devices: which of its devices to use; NULL and 0 for all of them. Make one
 * library context per cl_context: programs and workspaces are shared through it. */
TCONV3D_API tconv3d_status tconv3d_context_adopt(cl_context cl, const cl_device_id *devices, size_t num_devices,
                                                 tconv3d_context **context);

/* The last destroy of a context, its plans and their weights stores the programs built since in the cache, which may take as
 * long as building them did; a process that ends without it leaves them to be built again. */
TCONV3D_API void tconv3d_context_destroy(tconv3d_context *context);

/* The cl_context inside; not retained for the caller. */
TCONV3D_API cl_context tconv3d_context_cl(const tconv3d_context *context);

/* What some devices can do beyond OpenCL 1.2, and some algorithms use for their GPU kernels: sub-groups, matrix instructions,
 * arithmetic in float16. None of it is needed. Each is found out by a small kernel that is built and run once in a context,
 * when a plan first might use it: on GPUs, and by $TCONV3D_FEATURES, "none", "all" or names with commas between
 * ("subgroups,mma"; a name's beginning stands for all that begin so), those alone, on devices of any type. */
enum { TCONV3D_FEATURE_REASON = 200 };
typedef struct tconv3d_feature {
  const char *name; /* "mma-f16"; static storage; NULL past the last */
  int there;
  char reason[TCONV3D_FEATURE_REASON]; /* why not; "" where it is there */
} tconv3d_feature;
/* The feature of this index, asked on a device of any type unless the variable switches it off. Blocks while its kernel is
 * built and run. device: NULL for the context's first. Errors: INVALID_ARGUMENT, INVALID_PARAMETER (the variable). */
TCONV3D_API tconv3d_status tconv3d_feature_query(tconv3d_context *context, cl_device_id device, size_t index,
                                                 tconv3d_feature *feature);

/* ---- plans ---- */

typedef struct tconv3d_plan tconv3d_plan;

/* What happens to a result before it is stored, instead of in passes of its own, with v = sum + bias:
 *   affine 1: v = scale[m]*v + shift[m]; v = activation(v); v += residual * r; affine 2: v = scale[m]*v + shift[m]
 * scale, shift and PReLU's slope have a number for each output channel m (tconv3d_weights_set_channels); r is a tensor of y's
 * shape and type (tconv3d_enqueue_residual). Of the forward operation and the convolution. A NaN passes every activation. */
typedef enum tconv3d_activation {
  TCONV3D_NO_ACTIVATION = 0,
  TCONV3D_RELU = 1,
  TCONV3D_LEAKY_RELU = 2, /* v < 0: low*v */
  TCONV3D_PRELU = 3,      /* v < 0: slope[m]*v */
  TCONV3D_ELU = 4,        /* v < 0: low*(exp(v) - 1) */
  TCONV3D_SILU = 5,       /* v / (1 + exp(-v)) */
  TCONV3D_GELU = 6,       /* v/2 * (1 + erf(v/sqrt(2))) */
  TCONV3D_SIGMOID = 7,
  TCONV3D_TANH = 8,
  TCONV3D_CLAMP = 9 /* from low to high */
} tconv3d_activation;
typedef struct tconv3d_epilogue {
  tconv3d_activation activation;
  int affine;       /* 0: none; 1: before the activation; 2: at last */
  double low, high; /* the activation's constants, finite; others ignore them */
  double residual;  /* what r is multiplied by; 0: no residual */
} tconv3d_epilogue;

/* Permissions to compute float32 layers, and those of short types, with less than float32: faster on devices that have units
 * for it; others are as exact as ever. Of an output let S be the sum of |x*w| over its products, of which it has K. Of the
 * gradient with respect to the weight the factors are x and gy, and it is gy that is meant by w here.
 *
 * TCONV3D_ALLOW_TF32: x and w are rounded to 11 significant bits before they are multiplied (values within 2^-12 of the largest
 * float32 become infinite). The error grows by at most (2^-10 + 2^-22) * S.
 *
 * TCONV3D_ALLOW_HALF: x and w are rounded to float16, and at most 8 products summed in it before float32 takes them. The error
 * grows by at most 12 * 2^-11 * S + 2^-13 * (K + S'), S' the sum of |x| + |w|. A value, product or such sum that float16 cannot
 * hold (65504) becomes infinite.
 *
 * TCONV3D_ALLOW_MATRICES: a layer of float16 or bfloat16, both factors, is multiplied by a device's matrix units. Products are
 * exact; sums are float32, but may be rounded towards 0 and not to nearest, so that their part of the error doubles. */
enum { TCONV3D_ALLOW_TF32 = 1, TCONV3D_ALLOW_HALF = 2, TCONV3D_ALLOW_MATRICES = 4 };

typedef struct tconv3d_plan_options {
  size_t struct_size;    /* sizeof(tconv3d_plan_options), as TCONV3D_PLAN_OPTIONS_INIT sets it */
  const char *algorithm; /* NULL: the automatic choice; else a name: used, or refused with the reason */
  cl_device_id device;   /* NULL: the context's first device */
  tconv3d_operation operation;
  double beta; /* what is written is the result + beta * what the target held; with 0 it is not read. Finite. */
  tconv3d_epilogue epilogue;
  int self_test; /* 1: each kernel is tested on known values before the plan uses it, once in a context and for what the cache
                    has of it; -1: not; 0: as the variable TCONV3D_SELF_TEST says, 0 or 1, and where it is not set, tested */
  /* 1: algorithms that call CLBlast may be chosen by prediction, and serve an adopted context too. CLBlast compiles all that it
   * has for a product, tens of seconds on a CPU, in the first plan that uses it in a process; it keeps caches and parameters
   * for the whole process and retains a cl_context from its first use until the last tconv3d context that used it is destroyed,
   * which empties its caches; it is not safe if the process calls it by other ways at the same time. One call is inside CLBlast
   * at a time: others wait, for its compiler too. 0: they serve only contexts that tconv3d_context_create made, and only where
   * they are named or were found the fastest by tuning. */
  int allow_clblast;
  int reduced_precision; /* what may be less exact than the types are: TCONV3D_ALLOW_TF32 and so on, added up; 0: nothing */
} tconv3d_plan_options;
#define TCONV3D_PLAN_OPTIONS_INIT \
  { sizeof(tconv3d_plan_options), NULL, NULL, TCONV3D_FORWARD, 0.0, {TCONV3D_NO_ACTIVATION, 0, 0.0, 0.0, 0.0}, 0, 0, 0 }

/* Validates desc, chooses an algorithm and compiles every kernel for it: nothing is left to compile at the first call. Blocks
 * while it builds (seconds at worst, milliseconds from the cache, under one when this context has the program already), and
 * while another thread builds in the same context. options
 * may be NULL. What cannot be built, launched or allocated, or fails its self-test, is dropped, and the next best serves:
 * another variant, one that needs less memory, another algorithm unless one is named; explain says what was dropped and why.
 * The context's later plans for the layer avoid it, as they do what an asynchronous call failed with. Errors: as
 * tconv3d_output_shape; UNSUPPORTED (type; named algorithm, with its reason); INVALID_PARAMETER (options, the variables
 * TCONV3D_SELF_TEST and TCONV3D_FEATURES); and when all that may be tried has failed, with a line for each, the last one's:
 * OUT_OF_DEVICE_MEMORY (bytes needed and available), BUILD_FAILED (with the log), WRONG_RESULT (the element), NO_BINARY
 * (below), OPENCL_ERROR. */
TCONV3D_API tconv3d_status tconv3d_plan_create(tconv3d_context *context, const tconv3d_desc *desc,
                                               const tconv3d_plan_options *options, tconv3d_plan **plan);
TCONV3D_API void tconv3d_plan_destroy(tconv3d_plan *plan);

typedef struct tconv3d_plan_info {
  const char *algorithm;              /* static storage */
  int64_t output_shape[5];            /* of what the plan writes, as tconv3d_target_shape has it */
  uint64_t x_bytes, w_bytes, y_bytes; /* of the descriptor's tensors, or their gradients, from the lowest element to the
                                         highest, both included; 0 of those that play no part in the bias' gradient */
  uint64_t workspace_bytes;           /* device memory that each call in flight needs beside x, y and the weights */
  uint64_t packed_weight_bytes;       /* device memory of one tconv3d_weights */
  int deterministic;                  /* 1: the same input gives the same bits at every call */
} tconv3d_plan_info;
TCONV3D_API tconv3d_status tconv3d_plan_query(const tconv3d_plan *plan, tconv3d_plan_info *info);

/* What the plan chose and why: a line an algorithm ("phase: chosen, ..." or "direct: ..."), then the plan's own figures.
 * Owned by the plan. */
TCONV3D_API const char *tconv3d_plan_explain(const tconv3d_plan *plan);

/* The algorithms' names, the order of preference when costs are equal; NULL past the last. Static storage. */
TCONV3D_API const char *tconv3d_algorithm_name(size_t index);

/* ---- tensors, weights, calls ---- */

/* Device memory: a buffer and where the tensor's element (0, 0, 0, 0, 0) is in it, in bytes (a multiple of the element's size).
 * With negative strides others lie before it. */
typedef struct tconv3d_buffer {
  cl_mem mem;
  size_t offset;
} tconv3d_buffer;

typedef struct tconv3d_weights tconv3d_weights;

/* Packs w and b for the plan by kernels on queue, after wait_list, without blocking; later calls with these weights wait for it
 * by themselves, but flush queue before using them on another queue or in tconv3d_run. bias is NULL exactly when desc.has_bias
 * is 0. w's and b's buffers are read until the packing has ended; event (may be NULL) tells when, and is the caller's to
 * release. */
TCONV3D_API tconv3d_status tconv3d_weights_create(const tconv3d_plan *plan, cl_command_queue queue, tconv3d_buffer weight,
                                                  const tconv3d_buffer *bias, cl_uint num_events, const cl_event *wait_list,
                                                  cl_event *event, tconv3d_weights **weights);

/* The same from host arrays, weight given by its element (0, 0, 0, 0, 0); blocks until done, the arrays are the caller's again
 * afterwards. */
TCONV3D_API tconv3d_status tconv3d_weights_create_host(const tconv3d_plan *plan, const void *weight, const void *bias,
                                                       tconv3d_weights **weights);

/* Packs new values into the same weights, for a training step. wait_list must cover every call in flight that uses them, and no
 * other thread may use them during this call. If it fails, the weights' values are undefined until an update succeeds. */
TCONV3D_API tconv3d_status tconv3d_weights_update(tconv3d_weights *weights, cl_command_queue queue, tconv3d_buffer weight,
                                                  const tconv3d_buffer *bias, cl_uint num_events, const cl_event *wait_list,
                                                  cl_event *event);
/* Packs what the plan's epilogue has for each output channel, out_channels numbers of weight_dtype each, with the same rules;
 * the weights cannot be used before. slope is for PReLU, scale and shift for the affine part; those that the epilogue does not
 * take must be NULL, those that it takes must not. May be called again for new values. */
TCONV3D_API tconv3d_status tconv3d_weights_set_channels(tconv3d_weights *weights, cl_command_queue queue,
                                                        const tconv3d_buffer *slope, const tconv3d_buffer *scale,
                                                        const tconv3d_buffer *shift, cl_uint num_events,
                                                        const cl_event *wait_list, cl_event *event);
/* The same from host arrays; blocks until done. */
TCONV3D_API tconv3d_status tconv3d_weights_set_channels_host(tconv3d_weights *weights, const void *slope, const void *scale,
                                                             const void *shift);
TCONV3D_API void tconv3d_weights_destroy(tconv3d_weights *weights);

/* Enqueues y = layer(x) on queue (in-order or out-of-order, of the plan's context and device), after wait_list and the weights'
 * packing. Never blocks, flushes or finishes the queue. event (may be NULL) completes when y is whole; it is the caller's to
 * release. workspace: NULL for the library's own pool, else at least workspace_bytes that no other call in flight uses.
 * x and y must not overlap, from the lowest element to the highest of each. An empty batch enqueues a marker.
 * If a later kernel of the call cannot be enqueued, the call fails, no event is returned, y is undefined.
 * A failure on the device is the event's status; later plans of the context for the layer avoid what failed.
 * Errors: INVALID_ARGUMENT (buffer too small, misaligned offset, wrong context, flags, overlap), OUT_OF_*_MEMORY, OPENCL_ERROR.
 */
TCONV3D_API tconv3d_status tconv3d_enqueue(const tconv3d_plan *plan, const tconv3d_weights *weights, cl_command_queue queue,
                                           tconv3d_buffer x, tconv3d_buffer y, const tconv3d_buffer *workspace,
                                           cl_uint num_events, const cl_event *wait_list, cl_event *event);

/* The same for a plan whose epilogue adds a residual of y's shape, type and layout. It may be y's own memory, exactly, else
 * nothing of it. */
TCONV3D_API tconv3d_status tconv3d_enqueue_residual(const tconv3d_plan *plan, const tconv3d_weights *weights,
                                                    cl_command_queue queue, tconv3d_buffer x, tconv3d_buffer residual,
                                                    tconv3d_buffer y, const tconv3d_buffer *workspace, cl_uint num_events,
                                                    const cl_event *wait_list, cl_event *event);

/* Enqueues a gradient with respect to the weight or the bias, by a plan for TCONV3D_GRAD_WEIGHT or TCONV3D_GRAD_BIAS, with the
 * same rules. x is not looked at for the bias. (The gradient with respect to the input needs the weights as a forward call
 * does: make a plan for TCONV3D_GRAD_INPUT, weights for it with bias NULL, and hand gy and gx to tconv3d_enqueue as x and y.)
 */
TCONV3D_API tconv3d_status tconv3d_enqueue_gradient(const tconv3d_plan *plan, cl_command_queue queue, tconv3d_buffer x,
                                                    tconv3d_buffer gy, tconv3d_buffer gradient, const tconv3d_buffer *workspace,
                                                    cl_uint num_events, const cl_event *wait_list, cl_event *event);

/* y = layer(x) with host arrays, each given by its element (0, 0, 0, 0, 0), blocking; what lies between y's elements stays as
 * it is, but may be read and written back. What fails for lack of memory or resources is tried again in smaller portions:
 * launches in parts, then fewer images at a time; the message of the last failure says how far that went. Runs one at a time on
 * each device of a context. CPU devices work in the arrays themselves where the lowest element of each is aligned to the
 * device's base address alignment (clGetDeviceInfo CL_DEVICE_MEM_BASE_ADDR_ALIGN, in bits; 128 bytes on PoCL); otherwise they
 * are copied. */
TCONV3D_API tconv3d_status tconv3d_run(const tconv3d_plan *plan, const tconv3d_weights *weights, const void *x, void *y);

/* tconv3d_enqueue_residual in the same way. */
TCONV3D_API tconv3d_status tconv3d_run_residual(const tconv3d_plan *plan, const tconv3d_weights *weights, const void *x,
                                                const void *residual, void *y);

/* tconv3d_enqueue_gradient in the same way; x may be NULL for the bias. */
TCONV3D_API tconv3d_status tconv3d_run_gradient(const tconv3d_plan *plan, const void *x, const void *gy, void *gradient);

/* ---- the device's limits, measured ---- */

typedef struct tconv3d_roofline {
  double flops_per_second; /* fp32 multiply-adds in registers on all compute units, counted as 2 */
  double bytes_per_second; /* a large copy in device memory, bytes read plus bytes written */
} tconv3d_roofline;

/* Runs two small kernels of the library, the best of several runs each; blocks for about a second. device: NULL for the
 * context's first. */
TCONV3D_API tconv3d_status tconv3d_measure_roofline(tconv3d_context *context, cl_device_id device, tconv3d_roofline *roofline);

/* ---- programs and offline binaries ----
 * A plan's kernels are one program. Where it cannot or must not be built on the device (an FPGA, whose compiler takes hours on
 * another machine), its binary comes from a directory, $TCONV3D_BINARY_DIR, which is searched before anything is built: of a
 * program NAME there lie NAME.bin, for clCreateProgramWithBinary, and NAME.key, with exactly the key below; a binary beside
 * another key, or one that the device refuses, is not used, nor one whose hash is not the first word of NAME.sum, where that
 * lies there too (what `xxh128sum NAME.bin` prints; some runtimes end the process at a damaged binary). The directory is
 * trusted as one in a library path is. With $TCONV3D_NO_BUILD set (to anything but "" and "0") nothing is built from source: a
 * plan takes the best candidate that has a binary, there or in the cache; without any it fails with NO_BINARY and says which
 * file was looked for first and where. */

/* A program's parts, each the caller's until tconv3d_program_free. */
typedef struct tconv3d_program {
  char name[33];         /* 32 hexadecimal digits: the XXH3 128-bit hash of key in its canonical order of bytes */
  char *key;             /* everything that decides the code: library version, options, platform, device, driver, variables that
                            steer its compiler, source; key_bytes long, without its NUL */
  char *source;          /* OpenCL C with every define at its top and no include left */
  char *options;         /* of the build */
  char *description;     /* for people: the layer, the device, what was chosen and why, each kernel and its grid */
  unsigned char *binary; /* NULL where it was not asked for */
  size_t key_bytes, binary_bytes;
  char binary_hash[33]; /* the hash of binary in the same way; "" without one */
} tconv3d_program;

/* What tconv3d_plan_create would build for the same arguments; with build 1 it is built, run once, and its binary is there
 * too. Without, the device needs no compiler. Errors: as tconv3d_plan_create; BUILD_FAILED where the runtime gives no binary.
 * On failure *program is all zeros. */
TCONV3D_API tconv3d_status tconv3d_program_create(tconv3d_context *context, const tconv3d_desc *desc,
                                                  const tconv3d_plan_options *options, int build, tconv3d_program *program);
/* Frees the parts and zeroes the struct; NULL and a zeroed one pass. */
TCONV3D_API void tconv3d_program_free(tconv3d_program *program);

/* ---- tuning ----
 * What the prediction chooses for a layer is a guess; tuning measures. A tuning is kept in the cache for its layer and its
 * device, driver and library version, and every later plan of that layer uses it, in every process. */

/* Called on the tuning thread, often; done of total steps, in any unit. Another number than 0 cancels. */
typedef int (*tconv3d_progress)(size_t done, size_t total, void *user);

typedef struct tconv3d_tune_options {
  size_t struct_size;        /* sizeof(tconv3d_tune_options), as TCONV3D_TUNE_OPTIONS_INIT sets it */
  cl_device_id device;       /* NULL: the context's first device */
  double seconds;            /* how long to measure, for each candidate on average; above 0, at most 3600 */
  size_t max_candidates;     /* at least 1: the prediction's own choice */
  tconv3d_progress progress; /* may be NULL */
  void *user;                /* for progress */
  tconv3d_operation operation;
} tconv3d_tune_options;
#define TCONV3D_TUNE_OPTIONS_INIT \
  { sizeof(tconv3d_tune_options), NULL, 0.1, 12, NULL, NULL, TCONV3D_FORWARD }

typedef struct tconv3d_tune_result {
  const char *algorithm;    /* the winner's; static storage */
  char winner[192];         /* algorithm and variant, whose numbers are the algorithm's own: "phase 16 6 2 1 0 0" */
  char predicted[192];      /* the same of what the prediction would have chosen; it stays unless another is 1 % faster */
  double seconds;           /* the winner's median time of a call, enqueue to completion, on device buffers */
  double predicted_seconds; /* the median time of the prediction's choice; 0: it did not run */
  size_t measured, skipped; /* candidates that ran, and that failed to build or to run */
  int stored;               /* 1: in the cache; 0: no cache can be used, so that plans go on by prediction */
} tconv3d_tune_result;

/* Measures the layer's best predicted candidates, every algorithm's, by turns and with pseudo-random values, and stores the
 * fastest. Blocks for seconds times candidates, or three calls of each if those take longer, plus the building. Needs device
 * memory for x, w, y, the largest workspace and every candidate's packed weights. Plans that exist stay as they are. Other work
 * on the device or the processors meanwhile spoils the measurement. options and result may be NULL.
 * Errors: as tconv3d_plan_create, when no candidate builds and runs; INVALID_ARGUMENT (NULL, struct_size, device, seconds,
 * max_candidates), INVALID_PARAMETER (batch 0: nothing to measure), CANCELLED; nothing is stored then. */
TCONV3D_API tconv3d_status tconv3d_tune(tconv3d_context *context, const tconv3d_desc *desc, const tconv3d_tune_options *options,
                                        tconv3d_tune_result *result);

/* ---- CLBlast's parameters ----
 * CLBlast makes its kernels by parameters, and knows good ones for the devices that somebody tuned it on; on others it may
 * reach a tenth of what it could. They are looked for only where this is called. What is found is kept in the cache for the
 * device, its driver and CLBlast's version, and is CLBlast's own for the rest of the process, and of every later one from the
 * first plan on that multiplies by it: they are checked before, and damaged ones are passed over. tconv3d_tunings_export
 * carries them too. */
typedef struct tconv3d_clblast_options {
  size_t struct_size;  /* sizeof(tconv3d_clblast_options), as TCONV3D_CLBLAST_OPTIONS_INIT sets it */
  cl_device_id device; /* NULL: the context's first device */
  double seconds;      /* how long to search, above 0, at most 86400. A candidate that was begun is finished, at least one is
                          measured, and CLBlast may take a minute to compile one. */
  tconv3d_dtype dtype; /* of the sums: TCONV3D_F32 (for float16 and bfloat16 too) or TCONV3D_F64 */
  tconv3d_progress progress; /* may be NULL; another number than 0 cancels before the next candidate */
  void *user;
} tconv3d_clblast_options;
#define TCONV3D_CLBLAST_OPTIONS_INIT \
  { sizeof(tconv3d_clblast_options), NULL, 150.0, TCONV3D_F32, NULL, NULL }

typedef struct tconv3d_clblast_result {
  double before, after; /* FLOP/s of a product 512 x 512 x 512, with what served until now (0: it failed) and with the best */
  size_t measured, skipped; /* candidates that ran right, and that are not for the device, were refused or wrong */
  int better, stored;   /* 1: at least 1 % faster; 1: and in the cache. What is no better is not kept, though CLBlast goes on
                           with it in this process where it had been told nothing: it does not give its own ones back. */
  char parameters[256]; /* the best, as in the text of tconv3d_tunings_export */
} tconv3d_clblast_result;

/* Searches a table of parameters in its order, as far as the time goes; each candidate must multiply right. Blocks. Works in a
 * cl_context of its own, but CLBlast's parameters are the process's: other threads' products stay right meanwhile, and compile
 * again. options and result may be NULL. Errors: UNSUPPORTED (built without CLBlast, no doubles, no candidate for the device),
 * INVALID_ARGUMENT, INVALID_PARAMETER (options), CANCELLED; what the last candidate failed with, where none ran. */
TCONV3D_API tconv3d_status tconv3d_tune_clblast(tconv3d_context *context, const tconv3d_clblast_options *options,
                                                tconv3d_clblast_result *result);

typedef struct tconv3d_clblast_info {
  char version[32];   /* of CLBlast; "" where the library was built without it */
  int tuned, damaged; /* 1: the cache has parameters for the device and this version; 1: it has what is none, and is ignored */
  double flops_per_second; /* that were measured with them; 0 if not tuned */
  char parameters[256];    /* "" if not tuned */
} tconv3d_clblast_info;
/* Asks the cache; nothing is built. device NULL: for the version alone. */
TCONV3D_API tconv3d_status tconv3d_clblast_query(cl_device_id device, tconv3d_dtype dtype, tconv3d_clblast_info *info);

/* All tunings in the cache, of every device, as a text for people and for tconv3d_tunings_import: a line "tconv3d tunings 1",
 * then for each device a line "device", what identifies it after two blanks, and its layers, a line each, and CLBlast's
 * parameters. text is the caller's
 * to free(); without any cache or tuning it is the first line. count (may be NULL): how many tunings. */
TCONV3D_API tconv3d_status tconv3d_tunings_export(char **text, size_t *count);

/* Stores the tunings of such a text, those of other devices too: they are used where they belong. A layer's earlier tuning is
 * replaced. Nothing is stored unless all of the text is right. count (may be NULL): how many.
 * Errors: INVALID_PARAMETER (line and rule), NO_CACHE (reason). */
TCONV3D_API tconv3d_status tconv3d_tunings_import(const char *text, size_t *count);

/* ---- the cache of programs and tunings ----
 * One SQLite file, shared by all processes of a user: $TCONV3D_CACHE_DIR/cache.db, else $XDG_CACHE_HOME/tconv3d/cache.db, else
 * $HOME/.cache/tconv3d/cache.db; none when neither is set. A missing, damaged, foreign-owned or read-only cache costs time,
 * never an error. */
typedef struct tconv3d_cache_info {
  char path[1024];                         /* "" when no cache can be used */
  char reason[192];                        /* why not; "" when it can */
  uint64_t entries, bytes, capacity_bytes; /* beyond the capacity the programs unused for longest go, tunings last of all */
  uint64_t tunings;                        /* of the entries */
} tconv3d_cache_info;
TCONV3D_API tconv3d_status tconv3d_cache_query(tconv3d_cache_info *info);

/* Empties the cache, of tunings too: tconv3d_tunings_export is how to keep those. Programs already loaded stay in their
 * contexts. OK when there is none. */
TCONV3D_API tconv3d_status tconv3d_cache_clear(void);

#ifdef __cplusplus
}
#endif
#endif
