/* status.h: how a function fails: `return t3_fail(STATUS, "one line", ...)` keeps the message for the thread. */
#ifndef T3_STATUS_H
#define T3_STATUS_H

#include <tconv3d/layer.h>

tconv3d_status t3_fail(tconv3d_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For a call that may succeed after failures inside it: they must not change the thread's message. The saved one, malloc'd, is
 * freed by the restoring; NULL when there was no memory, and then the message stays changed. */
char *t3_message_save(void);
void t3_message_restore(char *saved);

/* Passes a failure on. */
#define T3_TRY(call)                                       \
  do {                                                     \
    tconv3d_status t3_try_status = (call);                 \
    if (t3_try_status != TCONV3D_OK) return t3_try_status; \
  } while (0)

#endif
