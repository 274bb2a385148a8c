/*
 * What the fuzzers have in common: how a broken property is told, taking an input apart,
 * and blocks of exactly their size, so that a sanitizer sees the first byte that is read
 * too far.
 */
#ifndef PSGATE_TESTS_FUZZ_SUPPORT_H
#define PSGATE_TESTS_FUZZ_SUPPORT_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/span.h"
#include "base/text.h"

/* libFuzzer's; the second is called once, before the first input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Ends the process, with the property that does not hold, if it does not. */
static inline void PRINTF_LIKE(2, 3) fuzz_require(bool holds, const char *format, ...)
{
    va_list args;

    if (holds)
        return;
    (void)fputs("property broken: ", stderr);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    abort();
}

/* Takes the input's next byte; 0 when there is none. */
static inline unsigned fuzz_byte(struct span *input)
{
    unsigned byte = 0;

    if (input->len > 0) {
        byte = (unsigned char)input->at[0];
        input->at++;
        input->len--;
    }
    return byte;
}

/* Takes at most that many bytes. */
static inline struct span fuzz_take(struct span *input, size_t len)
{
    struct span taken = span_make(input->at, len < input->len ? len : input->len);

    input->at += taken.len;
    input->len -= taken.len;
    return taken;
}

/* Takes what stands before the next such byte, and the byte; or all that is left. */
static inline struct span fuzz_take_until(struct span *input, char end)
{
    const char *at = input->len > 0 ? memchr(input->at, end, input->len) : NULL;
    struct span taken =
        fuzz_take(input, at != NULL ? (size_t)(at - input->at) : SIZE_MAX);

    (void)fuzz_take(input, at != NULL ? 1 : 0);
    return taken;
}

static inline struct span fuzz_span(const uint8_t *data, size_t size)
{
    return span_make((const char *)data, size);
}

static inline struct span fuzz_text(const struct text *text)
{
    return span_make(text->bytes, text->len);
}

/* The bytes in a block of exactly their size; fuzz_free frees it. */
static inline struct span fuzz_copy(struct span bytes)
{
    char *copy = malloc(bytes.len);

    fuzz_require(copy != NULL || bytes.len == 0, "out of memory");
    if (bytes.len > 0)
        memcpy(copy, bytes.at, bytes.len);
    return span_make(copy, bytes.len);
}

static inline void fuzz_free(struct span copy)
{
    free((char *)(uintptr_t)copy.at);
}

/* Bytes made readable for a message; good until the next call but one. */
static inline const char *fuzz_shown(struct span bytes)
{
    static struct text texts[2];
    static unsigned calls;
    struct text *text = &texts[calls++ % 2];

    text_clear(text);
    text_add_escaped(text, bytes);
    return text->len > 0 ? text->bytes : "";
}

/* A file in memory that only its owner may read, with this content; where it is. */
static inline int fuzz_new_file(struct span content, char path[32])
{
    int fd = memfd_create("input", MFD_CLOEXEC);

    fuzz_require(fd >= 0 && fchmod(fd, 0600) == 0 &&
                     pwrite(fd, content.at, content.len, 0) == (ssize_t)content.len,
                 "no file in memory");
    (void)snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

/* The path of one such file, for loaders that read files; it changes with each call. */
static inline const char *fuzz_file(struct span content)
{
    static int fd = -1;
    static char path[32];

    if (fd < 0)
        fd = fuzz_new_file(SPAN(""), path);
    fuzz_require(ftruncate(fd, 0) == 0 &&
                     pwrite(fd, content.at, content.len, 0) == (ssize_t)content.len,
                 "the file in memory takes no more");
    return path;
}

#endif
