/* fault.c: see fault.h. Texts hold file names and option values as the user wrote them, so control characters are replaced: a
 * fault stays one line whatever the names are. */
#include "files/fault.h"

#include <stdarg.h>
#include <stdio.h>

static void replace_controls(char *text) {
  for (char *c = text; *c; c++)
    if ((unsigned char)*c < ' ' || *c == 127) *c = *c == '\n' || *c == '\t' ? ' ' : '?';
}

bool fault_set(struct fault *fault, int exit_code, const char *format, ...) {
  va_list values;
  va_start(values, format);
  vsnprintf(fault->text, sizeof fault->text, format, values);
  va_end(values);
  fault->exit_code = exit_code;
  replace_controls(fault->text);
  return false;
}

/* The statuses that the user can mend by other parameters or another algorithm. */
static bool is_wrong_use(tconv3d_status status) {
  return status == TCONV3D_INVALID_PARAMETER || status == TCONV3D_SIZE_OVERFLOW || status == TCONV3D_UNSUPPORTED;
}

bool fault_from_status(struct fault *fault, tconv3d_status status) {
  const char *message = tconv3d_message();
  fault->exit_code = is_wrong_use(status) ? EXIT_WRONG_USE : EXIT_OTHER;
  snprintf(fault->text, sizeof fault->text, "%s", *message ? message : tconv3d_status_name(status));
  replace_controls(fault->text); /* a build log stays on the line too */
  return false;
}
