// Stands between a program and the system (LD_PRELOAD): fails the calls by which it writes, and turns
// its clock. What to fail is in a file that everybody maps, see src/faults.rs.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

// In the order of src/faults.rs.
struct control {
    uint32_t at;    // which call fails, from 1; 0: none, and none is counted
    uint32_t error; // with which errno
    uint32_t full;  // 1: a full disk. This write is cut short, and all that come later fail
    uint32_t seen;  // how many calls there were
    int64_t ahead;  // how many seconds the clock is ahead
};

static struct control *control;
static struct stat own;

__attribute__((constructor)) static void map(void)
{
    const char *path = getenv("STRONGROOM_TESTS_FAULTS");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0 || fstat(file, &own) != 0)
        return;
    void *page = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (page != MAP_FAILED)
        control = page;
    close(file);
}

enum what { WRITES, OTHER };
enum fate { PASSES, SHORTENED, FAILS };

static enum fate fate(enum what what)
{
    if (!control || control->at == 0 || (control->full && what != WRITES))
        return PASSES;
    uint32_t number = __sync_add_and_fetch(&control->seen, 1);
    if (number < control->at || (number > control->at && !control->full))
        return PASSES;
    errno = (int)control->error;
    return number == control->at && control->full ? SHORTENED : FAILS;
}

// Files and directories count; the standard streams, pipes, sockets and the control do not.
static enum fate fate_of(int file, enum what what)
{
    struct stat about;
    int before = errno;
    int counts = control && control->at != 0 && file > 2 && fstat(file, &about) == 0 &&
                 (S_ISREG(about.st_mode) || S_ISDIR(about.st_mode)) &&
                 !(about.st_dev == own.st_dev && about.st_ino == own.st_ino);
    errno = before;
    return counts ? fate(what) : PASSES;
}

#define REAL(type, name, ...)                                     \
    static type (*real)(__VA_ARGS__);                             \
    if (!real)                                                    \
        real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

#define WRITE(name, offset)                                                     \
    ssize_t name(int file, const void *bytes, size_t count, offset at)          \
    {                                                                           \
        REAL(ssize_t, name, int, const void *, size_t, offset);                 \
        enum fate what = fate_of(file, WRITES);                                 \
        if (what == FAILS || (what == SHORTENED && count < 2))                  \
            return -1;                                                          \
        return real(file, bytes, what == SHORTENED ? count / 2 : count, at);    \
    }
WRITE(pwrite, off_t)
WRITE(pwrite64, off64_t)

ssize_t write(int file, const void *bytes, size_t count)
{
    REAL(ssize_t, write, int, const void *, size_t);
    enum fate what = fate_of(file, WRITES);
    if (what == FAILS || (what == SHORTENED && count < 2))
        return -1;
    return real(file, bytes, what == SHORTENED ? count / 2 : count);
}

// The library of C writes by calls of its own, which nobody gets between.
size_t fwrite(const void *bytes, size_t size, size_t count, FILE *stream)
{
    REAL(size_t, fwrite, const void *, size_t, size_t, FILE *);
    return fate_of(fileno(stream), WRITES) == PASSES ? real(bytes, size, count, stream) : 0;
}

int fflush(FILE *stream)
{
    REAL(int, fflush, FILE *);
    return !stream || fate_of(fileno(stream), WRITES) == PASSES ? real(stream) : EOF;
}

#define ON_FILE(name)                                                  \
    int name(int file)                                                 \
    {                                                                  \
        REAL(int, name, int);                                          \
        return fate_of(file, OTHER) == PASSES ? real(file) : -1;       \
    }
ON_FILE(fsync)
ON_FILE(fdatasync)

#define CUT(name, offset)                                                        \
    int name(int file, offset length)                                            \
    {                                                                            \
        REAL(int, name, int, offset);                                            \
        return fate_of(file, OTHER) == PASSES ? real(file, length) : -1;         \
    }
CUT(ftruncate, off_t)
CUT(ftruncate64, off64_t)

int rename(const char *from, const char *to)
{
    REAL(int, rename, const char *, const char *);
    return fate(OTHER) == PASSES ? real(from, to) : -1;
}

int link(const char *from, const char *to)
{
    REAL(int, link, const char *, const char *);
    return fate(WRITES) == PASSES ? real(from, to) : -1;
}

int linkat(int in, const char *from, int out, const char *to, int flags)
{
    REAL(int, linkat, int, const char *, int, const char *, int);
    return fate(WRITES) == PASSES ? real(in, from, out, to, flags) : -1;
}

int unlink(const char *path)
{
    REAL(int, unlink, const char *);
    return fate(OTHER) == PASSES ? real(path) : -1;
}

int mkdir(const char *path, mode_t mode)
{
    REAL(int, mkdir, const char *, mode_t);
    return fate(WRITES) == PASSES ? real(path, mode) : -1;
}

// Of what opens files, only what makes new ones.
static enum fate fate_of_new(const char *path, int flags)
{
    int before = errno;
    int new = (flags & O_CREAT) && faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
    errno = before;
    return new ? fate(WRITES) : PASSES;
}

#define OPEN(name)                                                               \
    int name(const char *path, int flags, ...)                                   \
    {                                                                            \
        REAL(int, name, const char *, int, ...);                                 \
        va_list rest;                                                            \
        va_start(rest, flags);                                                   \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;  \
        va_end(rest);                                                            \
        return fate_of_new(path, flags) == PASSES ? real(path, flags, mode) : -1;\
    }
OPEN(open)
OPEN(open64)

int clock_gettime(clockid_t clock, struct timespec *now)
{
    REAL(int, clock_gettime, clockid_t, struct timespec *);
    int outcome = real(clock, now);
    if (outcome == 0 && control && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += control->ahead;
    return outcome;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    REAL(int, gettimeofday, struct timeval *, void *);
    int outcome = real(now, zone);
    if (outcome == 0 && control)
        now->tv_sec += control->ahead;
    return outcome;
}

time_t time(time_t *place)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    if (place)
        *place = now.tv_sec;
    return now.tv_sec;
}
