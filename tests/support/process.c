/* process.c: see process.h. The output goes through files without names rather than pipes: no reader has to keep up with it. */
#define _GNU_SOURCE
#include "support/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void change_environment(const char *const *changes) {
  for (; changes && *changes; changes++) {
    const char *equals = strchr(*changes, '=');
    if (!equals) {
      unsetenv(*changes);
      continue;
    }
    char *name = strndup(*changes, (size_t)(equals - *changes));
    if (!name || setenv(name, equals + 1, 1)) _exit(126);
    free(name);
  }
}

/* In the child: never returns. */
static void become(const struct process *process, int out, int err) {
  int nothing = open("/dev/null", O_RDONLY);
  if (process->output) out = open(process->output, O_WRONLY | O_CREAT, 0666);
  setpgid(0, 0); /* so that what it starts dies with it */
  if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0)
    _exit(126);
  if (process->folder && chdir(process->folder)) _exit(126);
  change_environment(process->environment);
  execv(process->arguments[0], (char *const *)process->arguments);
  _exit(127);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Waits for the end, killing the child's group when its time is over. */
static int wait_for(pid_t child, double seconds, bool *timed_out) {
  const struct timespec pause = {0, 2000000};
  double end = now() + seconds;
  int status;
  pid_t ended;
  while ((ended = waitpid(child, &status, WNOHANG)) == 0) {
    if (now() > end && !*timed_out) {
      *timed_out = true;
      kill(-child, SIGKILL);
      kill(child, SIGKILL);
    }
    nanosleep(&pause, NULL);
  }
  return ended == child ? status : -1;
}

static char *read_back(FILE *file, size_t *bytes) {
  long length = fseek(file, 0, SEEK_END) ? -1 : ftell(file);
  char *text = length < 0 ? NULL : malloc((size_t)length + 1);
  if (!text) return NULL;
  rewind(file);
  *bytes = fread(text, 1, (size_t)length, file);
  text[*bytes] = 0;
  return text;
}

bool process_run(const struct process *process, struct process_result *result) {
  memset(result, 0, sizeof *result);
  FILE *out = tmpfile(), *err = tmpfile();
  bool done = false;
  pid_t child = out && err ? fork() : -1;
  if (child == 0) become(process, fileno(out), fileno(err));
  if (child > 0) {
    int status = wait_for(child, process->seconds, &result->timed_out);
    result->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    result->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    result->out = read_back(out, &result->out_bytes);
    result->err = read_back(err, &result->err_bytes);
    done = result->out && result->err;
  }
  if (!done) process_free(result);
  if (out) fclose(out);
  if (err) fclose(err);
  return done;
}

void process_free(struct process_result *result) {
  free(result->out);
  free(result->err);
  memset(result, 0, sizeof *result);
}
