/* rig.h: what every test with a device needs: the device, a context and a queue. TCONV3D_TEST_DEVICE selects the device, by the
 * library's own selectors. */
#ifndef RIG_H
#define RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <tconv3d/tconv3d.h>

struct rig {
  tconv3d_device_info device;
  cl_context cl;            /* the caller's own */
  cl_command_queue queue;   /* out-of-order where the device can */
  tconv3d_context *context; /* adopted from cl */
};

/* Both report what fails through cmocka. */
void rig_open(struct rig *rig);
void rig_close(struct rig *rig);

/* The same as set-up and tear-down of a group that shares one rig, which is its state. */
int rig_set_up(void **state);
int rig_tear_down(void **state);

/* Whether an algorithm is made for devices of another kind than CPUs. It is right on these too, but each of its kernels takes a
 * second to compile, so suites that try many layers give it a part of them; NULL is the automatic choice. */
bool rig_is_foreign(const char *algorithm);

/* How far apart the cases of a list are that are tried: 1, or as told where TCONV3D_TEST_LAYERS asks for few layers. */
size_t rig_step(size_t where_few);

/* The number in an environment variable, or this one where there is none. */
uint64_t rig_number(const char *variable, uint64_t otherwise);
/* TCONV3D_TEST_SEED, or this one; printed, so that whoever sees a failure can run it again. */
uint64_t rig_seed(uint64_t otherwise);

/* An out-of-order queue where the device can, else an in-order one. */
cl_command_queue rig_queue(const struct rig *rig);

/* Fails the test with the library's message when a call did not succeed. */
#define assert_ok(call)                                                                        \
  do {                                                                                         \
    tconv3d_status assert_ok_status = (call);                                                  \
    if (assert_ok_status != TCONV3D_OK)                                                        \
      fail_msg("%s: %s: %s", #call, tconv3d_status_name(assert_ok_status), tconv3d_message()); \
  } while (0)
#define assert_cl(call) assert_int_equal((call), CL_SUCCESS)

/* Fails the test unless the call gave this status and each of the words, separated by spaces, is in the message. */
void rig_assert_refused(tconv3d_status got, tconv3d_status expected, const char *words, const char *what);

#endif
