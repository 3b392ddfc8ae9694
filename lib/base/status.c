/* The message of each thread: the library's only global state. It is malloc'd, because a build log has any length, and freed
 * when its thread ends. */
#include "base/status.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static pthread_key_t message_key;
static pthread_once_t message_once = PTHREAD_ONCE_INIT;
static int message_key_error;

static void free_message(void *data) {
  t3_text *text = data;
  t3_text_free(text);
  free(text);
}

static void make_key(void) {
  message_key_error = pthread_key_create(&message_key, free_message);
}

/* The thread's message, made when missing; NULL without memory for it. */
static t3_text *thread_message(void) {
  pthread_once(&message_once, make_key);
  if (message_key_error) return NULL;
  t3_text *text = pthread_getspecific(message_key);
  if (text) return text;
  text = calloc(1, sizeof *text);
  if (text && pthread_setspecific(message_key, text)) {
    free(text);
    return NULL;
  }
  return text;
}

/* The main thread's message has no destructor call at exit; freeing it here keeps leak checkers quiet and unloading clean. */
__attribute__((destructor)) static void free_at_unload(void) {
  pthread_once(&message_once, make_key);
  if (message_key_error) return;
  t3_text *text = pthread_getspecific(message_key);
  if (text) free_message(text);
  pthread_key_delete(message_key);
  message_key_error = 1;
}

tconv3d_status t3_fail(tconv3d_status status, const char *format, ...) {
  t3_text *text = thread_message();
  if (!text) return status;
  t3_text fresh = {0}; /* the arguments may point into the old message */
  va_list args;
  va_start(args, format);
  t3_text_append_v(&fresh, format, args);
  va_end(args);
  t3_text_free(text);
  *text = fresh;
  return status;
}

const char *tconv3d_message(void) {
  t3_text *text = thread_message();
  if (!text || text->failed) return "out of memory";
  return text->data ? text->data : "";
}

const char *tconv3d_status_name(tconv3d_status status) {
  static const char *const names[] = {
      [TCONV3D_OK] = "TCONV3D_OK",
      [TCONV3D_INVALID_ARGUMENT] = "TCONV3D_INVALID_ARGUMENT",
      [TCONV3D_INVALID_PARAMETER] = "TCONV3D_INVALID_PARAMETER",
      [TCONV3D_SIZE_OVERFLOW] = "TCONV3D_SIZE_OVERFLOW",
      [TCONV3D_UNSUPPORTED] = "TCONV3D_UNSUPPORTED",
      [TCONV3D_NO_DEVICE] = "TCONV3D_NO_DEVICE",
      [TCONV3D_OUT_OF_HOST_MEMORY] = "TCONV3D_OUT_OF_HOST_MEMORY",
      [TCONV3D_OUT_OF_DEVICE_MEMORY] = "TCONV3D_OUT_OF_DEVICE_MEMORY",
      [TCONV3D_BUILD_FAILED] = "TCONV3D_BUILD_FAILED",
      [TCONV3D_DEVICE_LOST] = "TCONV3D_DEVICE_LOST",
      [TCONV3D_OPENCL_ERROR] = "TCONV3D_OPENCL_ERROR",
      [TCONV3D_CANCELLED] = "TCONV3D_CANCELLED",
      [TCONV3D_NO_CACHE] = "TCONV3D_NO_CACHE",
      [TCONV3D_WRONG_RESULT] = "TCONV3D_WRONG_RESULT",
      [TCONV3D_NO_BINARY] = "TCONV3D_NO_BINARY",
  };
  size_t index = (size_t)status;
  return index < sizeof names / sizeof *names ? names[index] : "TCONV3D_UNKNOWN_STATUS";
}

const char *tconv3d_version(void) {
  return TCONV3D_VERSION;
}

char *t3_message_save(void) {
  return strdup(tconv3d_message());
}

void t3_message_restore(char *saved) {
  if (saved) t3_fail(TCONV3D_OK, "%s", saved);
  free(saved);
}
