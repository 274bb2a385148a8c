/*
 * The bench's disk: how many records a second it makes durable, with so many of them a
 * sync. Writes as the trail does: room is reserved ahead, a batch is one write at the end
 * of the file and one fdatasync.
 *
 *   disk FOLDER SECONDS RECORDS    prints "figures RECORDS P50 P99 CPU": records written,
 *                                  microseconds of a batch at two percentiles, ns of CPU
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    RECORD_BYTES = 750,
    RESERVE_STEP_BYTES = 256 * 1024,
    MOST_RECORDS = 1024,
    MOST_SECONDS = 9999,
};

static char batch[RECORD_BYTES * MOST_RECORDS];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static double number(const char *text, double most)
{
    char *end;
    double value = strtod(text, &end);

    if (*end != '\0' || !(value > 0 && value <= most)) {
        (void)fprintf(stderr, "not a number above 0 and up to %g: %s\n", most, text);
        exit(64);
    }
    return value;
}

/* A file that is gone with us. */
static int make_file(const char *folder)
{
    char path[4096];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/disk-%ld", folder, (long)getpid());
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || unlink(path) != 0)
        die(path);
    return fd;
}

static void fill_batch(void)
{
    static const char letters[] = "0123456789abcdef";
    uint32_t state = 1;

    for (size_t i = 0; i < sizeof(batch); i++) {
        state = state * 1664525 + 1013904223;
        batch[i] = (i + 1) % RECORD_BYTES == 0 ? '\n' : letters[state >> 28];
    }
}

static void write_batch(int fd, size_t bytes)
{
    static off_t end, reserved_to;

    if (end + (off_t)bytes > reserved_to) {
        reserved_to =
            ((end + (off_t)bytes) / RESERVE_STEP_BYTES + 1) * RESERVE_STEP_BYTES;
        if (fallocate(fd, FALLOC_FL_KEEP_SIZE, end, reserved_to - end) != 0 &&
            errno != EOPNOTSUPP)
            die("fallocate");
    }
    if (write(fd, batch, bytes) != (ssize_t)bytes)
        die("write");
    if (fdatasync(fd) != 0)
        die("fdatasync");
    end += (off_t)bytes;
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

int main(int argc, char **argv)
{
    size_t count = 0, capacity = 0;
    int64_t *taken_ns = NULL;
    int64_t start_ns, until_ns, cpu_ns;
    long records;
    int fd;

    if (argc != 4) {
        (void)fprintf(stderr, "usage: disk FOLDER SECONDS RECORDS\n");
        return 64;
    }
    records = (long)number(argv[3], MOST_RECORDS);
    fill_batch();
    fd = make_file(argv[1]);
    cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    start_ns = now_ns(CLOCK_MONOTONIC);
    until_ns = start_ns + (int64_t)(number(argv[2], MOST_SECONDS) * 1e9);
    while (start_ns < until_ns) {
        int64_t end_ns;

        if (count == capacity) {
            capacity = capacity == 0 ? 4096 : 2 * capacity;
            taken_ns = realloc(taken_ns, capacity * sizeof(*taken_ns));
            if (taken_ns == NULL)
                die("realloc");
        }
        write_batch(fd, (size_t)records * RECORD_BYTES);
        end_ns = now_ns(CLOCK_MONOTONIC);
        taken_ns[count++] = end_ns - start_ns;
        start_ns = end_ns;
    }
    cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
    qsort(taken_ns, count, sizeof(*taken_ns), compare);
    (void)printf("figures %zu %lld %lld %lld\n", count * (size_t)records,
                 (long long)taken_ns[count / 2] / 1000,
                 (long long)taken_ns[count * 99 / 100] / 1000, (long long)cpu_ns);
    free(taken_ns);
    return 0;
}
