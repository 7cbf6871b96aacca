/* Ends a process with SIGKILL at its n-th system call that somebody outside could notice: LD_PRELOAD this and
 * call arm(n, HALF or 0). Nothing else of a process is left when it is killed, so that these are all the moments
 * there are. HALF counts only what writes, and lets it write the first half. The pipe to the test, 1 and 2, is
 * left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long left = 0;
static int halves = 0;

void arm(long n, int half) {
    halves = half;
    left = n;
}

static void die(void) { kill(getpid(), SIGKILL); }

static void cross(int fd) {
    if (fd == 1 || fd == 2 || halves || left <= 0) return;
    if (atomic_fetch_sub(&left, 1) == 1) die();
}

/* Say how much is to be written: all of it, or the half after which to die. */
static size_t some(int fd, size_t count) {
    cross(fd);
    if (fd == 1 || fd == 2 || !halves || left <= 0) return count;
    return atomic_fetch_sub(&left, 1) == 1 ? count / 2 : count;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define WRITES(call_of_some) \
    size_t some_of_it = some(fd, count); \
    ssize_t done = call_of_some; \
    if (some_of_it != count) die(); \
    return done

ssize_t write(int fd, const void *data, size_t count) {
    REAL(write);
    WRITES(real(fd, data, some_of_it));
}

ssize_t pwrite64(int fd, const void *data, size_t count, off64_t at) {
    REAL(pwrite64);
    WRITES(real(fd, data, some_of_it, at));
}

ssize_t send(int fd, const void *data, size_t count, int flags) {
    REAL(send);
    WRITES(real(fd, data, some_of_it, flags));
}

ssize_t recv(int fd, void *data, size_t count, int flags) { REAL(recv); cross(fd); return real(fd, data, count, flags); }
int connect(int fd, const struct sockaddr *to, socklen_t size) { REAL(connect); cross(fd); return real(fd, to, size); }
int shutdown(int fd, int how) { REAL(shutdown); cross(fd); return real(fd, how); }
int close(int fd) { REAL(close); cross(fd); return real(fd); }
int fsync(int fd) { REAL(fsync); cross(fd); return real(fd); }
int fdatasync(int fd) { REAL(fdatasync); cross(fd); return real(fd); }
int ftruncate64(int fd, off64_t size) { REAL(ftruncate64); cross(fd); return real(fd, size); }
int fchmod(int fd, mode_t mode) { REAL(fchmod); cross(fd); return real(fd, mode); }
int rename(const char *from, const char *to) { REAL(rename); cross(-1); return real(from, to); }
int unlink(const char *path) { REAL(unlink); cross(-1); return real(path); }

int open64(const char *path, int flags, ...) {
    REAL(open64);
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (flags & O_CREAT) cross(-1);
    return real(path, flags, mode);
}
