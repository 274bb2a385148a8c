/*
 * A trail as psgate writes it, made by hand: lines are put one after another into the
 * current file of a folder, with all that the chain asks for.
 */
#ifndef PSGATE_TESTS_AUDIT_SAMPLE_H
#define PSGATE_TESTS_AUDIT_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "audit/checkpoint.h"
#include "support/folder.h"

struct sample {
    struct folder folder; /* the trail, and a key pair beside it */
    struct audit_key key; /* whole */
    struct audit_hasher *hasher;
    FILE *file;                /* the current one */
    const char *name;          /* its name */
    bool is_fresh;             /* nothing was written to it yet */
    uint64_t next;             /* sequence of the next line */
    char hash[AUDIT_HASH_HEX]; /* of the line before */
    int64_t wall_ms;           /* goes on by a second a line */
    uint64_t oldest_open;      /* for the next file's first line; 0: next */
};

#define SAMPLE_CHAIN "00112233445566778899aabbccddeeff"

/* An empty folder with a new key pair. Asserts with Check that all goes well. */
void sample_init(struct sample *sample);

/* Removes the folder with everything in it. */
void sample_fini(struct sample *sample);

/* Begins a file; the one before stays under its name. */
void sample_begin_file(struct sample *sample, const char *name);

/* Adds a line with that body ("{" and members); its sequence. */
uint64_t sample_add(struct sample *sample, const char *body);

/* Adds a mutation's line, its id made of a number; a refusal; a checkpoint. */
uint64_t sample_intent(struct sample *sample, unsigned id);
uint64_t sample_result(struct sample *sample, unsigned id);
uint64_t sample_refused(struct sample *sample);
uint64_t sample_checkpoint(struct sample *sample);

/* Bytes as they are, outside the chain: a torn line. */
void sample_add_raw(struct sample *sample, const char *bytes);

/*
 * The present end of the chain, and going back to it: lines after it become superseded
 * once sample_resume has begun another file.
 */
struct sample_mark {
    uint64_t next;
    char hash[AUDIT_HASH_HEX];
};
struct sample_mark sample_mark(const struct sample *sample);

/* Begins a file with trail.resumed: suspect is the present file's name, and mark its end.
 */
void sample_resume(struct sample *sample, const char *name,
                   const struct sample_mark *mark, unsigned repeated);

/* The line about sequence next - 1 as a held checkpoint, signed. */
void sample_hold(const struct sample *sample, struct audit_checkpoint *checkpoint);

/* Flushes the current file, so that others see all of it. */
void sample_flush(struct sample *sample);

/*
 * The whole sample: 51 records over five files, 19 mutations of which 2 are unfinished,
 * four checkpoints; audit-b.jsonl is a suspect with four superseded lines and a torn one,
 * which audit-c.jsonl repeats.
 */
enum { SAMPLE_RECORDS = 51, SAMPLE_MUTATIONS = 19, SAMPLE_UNFINISHED = 2 };
void sample_make(struct sample *sample);

#endif
