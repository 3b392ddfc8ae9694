/* output.c: see output.h. Where the file system can (O_TMPFILE), the data lie in a file without a name until the commit, so
 * that even a killed process leaves nothing behind; elsewhere they lie in a named file beside the place. */
#define _GNU_SOURCE
#include "files/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a path that the user can choose better fails with; a full disk or a read error is not of that kind. */
static int exit_code_of(int error) {
  static const int wrong_path[] = {ENOENT, ENOTDIR, EISDIR, EACCES, EPERM, EROFS, ELOOP, ENAMETOOLONG, ENXIO, EINVAL};
  for (size_t i = 0; i < sizeof wrong_path / sizeof *wrong_path; i++)
    if (error == wrong_path[i]) return EXIT_WRONG_USE;
  return EXIT_OTHER;
}

static bool cannot(struct fault *fault, const char *what, const char *path, int error) {
  return fault_set(fault, exit_code_of(error), "%s: cannot %s: %s", path, what, strerror(error));
}

/* The folder part of a path, "." when it has none; to be freed. */
static char *folder_of(const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash) return strdup(".");
  return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* A name in path's folder that no other process and no other open output uses; short, so that a long file name stays possible.
 */
static char *temporary_name(const struct output *output) {
  char *name = NULL, *folder = folder_of(output->path);
  if (folder && asprintf(&name, "%s/.tconv3d-%ld-%jx.part", folder, (long)getpid(), (uintmax_t)(uintptr_t)output) < 0)
    name = NULL;
  free(folder);
  return name;
}

/* A file without a name in path's folder, for whoever can name it later; -1 with errno otherwise. */
static int open_nameless(const struct output *output) {
  char *folder = folder_of(output->path);
  int file = -1;
  if (!folder)
    errno = ENOMEM;
  else if (access("/proc/self/fd", X_OK))
    errno = EOPNOTSUPP;
  else
    file = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
  free(folder);
  return file;
}

/* Opens the file that will become path, with the permissions of the file it replaces or those of a new file. */
static int open_temporary(const struct output *output, const struct stat *replaced) {
  int file = open_nameless(output);
  if (file < 0 && errno != ENOENT && errno != EACCES && errno != EROFS && errno != ENOSPC) {
    unlink(output->temporary); /* of an earlier process with this number that was killed */
    file = open(output->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  }
  /* Another owner's mode that cannot be set is no reason to fail: the data are what counts. */
  if (file >= 0 && replaced && fchmod(file, replaced->st_mode & 0777)) errno = 0;
  return file;
}

static bool has_no_name(int file) {
  struct stat status;
  return !fstat(file, &status) && status.st_nlink == 0;
}

/* Gives the file without a name its temporary one: a link cannot replace a file, a rename can. */
static bool give_name(int file, const char *temporary) {
  char descriptor[64];
  snprintf(descriptor, sizeof descriptor, "/proc/self/fd/%d", file);
  unlink(temporary);
  return !linkat(AT_FDCWD, descriptor, AT_FDCWD, temporary, AT_SYMLINK_FOLLOW);
}

static bool open_beside(struct output *output, const struct stat *replaced, struct fault *fault) {
  if (replaced && access(output->path, W_OK)) return cannot(fault, "write", output->path, errno);
  output->temporary = temporary_name(output);
  if (!output->temporary) return fault_set(fault, EXIT_OTHER, "out of memory");
  int file = open_temporary(output, replaced);
  if (file < 0) return cannot(fault, "create", output->path, errno);
  output->stream = fdopen(file, "wb");
  if (output->stream) return true;
  close(file);
  return fault_set(fault, EXIT_OTHER, "out of memory");
}

/* Names of something that is open already, whatever it is: there is no place of that name to put another file. */
static bool is_open_file_name(const char *path) {
  static const char *const beginnings[] = {"/dev/std", "/dev/fd/", "/proc/"};
  for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
    if (strncmp(path, beginnings[i], strlen(beginnings[i])) == 0) return true;
  return false;
}

/* Without waiting for a reader of a pipe that has none. */
static bool open_directly(struct output *output, struct fault *fault) {
  int file = open(output->path, O_WRONLY | O_TRUNC | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return cannot(fault, "write", output->path, errno);
  int flags = fcntl(file, F_GETFL);
  if (flags >= 0) fcntl(file, F_SETFL, flags & ~O_NONBLOCK);
  output->stream = fdopen(file, "wb");
  if (output->stream) return true;
  close(file);
  return fault_set(fault, EXIT_OTHER, "out of memory");
}

/* What stands at path: 0 or the reason why nothing can be put there. ENOENT alone means a free place, and a link that leads
 * nowhere is none. */
static int look_at(const char *path, struct stat *status, bool *exists) {
  struct stat link;
  *exists = !stat(path, status);
  if (*exists) return S_ISDIR(status->st_mode) ? EISDIR : 0;
  if (errno != ENOENT) return errno;
  return !lstat(path, &link) ? ENOENT : 0;
}

bool output_open(struct output *output, const char *path, struct fault *fault) {
  memset(output, 0, sizeof *output);
  struct stat status;
  bool exists;
  if (!*path) return fault_set(fault, EXIT_WRONG_USE, "the output's path is empty");
  if (path[strlen(path) - 1] == '/') return cannot(fault, "create", path, EISDIR);
  int error = look_at(path, &status, &exists);
  if (error) return cannot(fault, "write", path, error);
  bool direct = is_open_file_name(path) || (exists && !S_ISREG(status.st_mode));
  /* A link stays a link: the file it leads to is what is replaced. */
  output->path = exists && !direct ? realpath(path, NULL) : strdup(path);
  if (!output->path) return fault_set(fault, EXIT_OTHER, "%s: cannot create: %s", path, strerror(errno));
  bool opened = direct ? open_directly(output, fault) : open_beside(output, exists ? &status : NULL, fault);
  if (!opened) output_abandon(output);
  return opened;
}

/* Everything up to the rename; the error's number, 0 when done. */
static int finish(struct output *output) {
  if (fflush(output->stream) || ferror(output->stream)) return errno ? errno : EIO;
  int file = fileno(output->stream);
  if (output->temporary && has_no_name(file) && !give_name(file, output->temporary)) return errno;
  FILE *stream = output->stream;
  output->stream = NULL;
  if (fclose(stream)) return errno;
  return output->temporary && rename(output->temporary, output->path) ? errno : 0;
}

bool output_commit(struct output *output, struct fault *fault) {
  errno = 0;
  int error = finish(output);
  if (error) {
    cannot(fault, "write", output->path, error);
  } else {
    free(output->temporary); /* renamed: nothing is left to remove */
    output->temporary = NULL;
  }
  output_abandon(output);
  return !error;
}

void output_abandon(struct output *output) {
  if (output->stream) fclose(output->stream);
  if (output->temporary) unlink(output->temporary);
  free(output->temporary);
  free(output->path);
  memset(output, 0, sizeof *output);
}
