/*
 * The parts of audit/verify.h that its files share: verify.c goes through the files,
 * verify_line.c says whether a line is in its place, verify_meaning.c whether what it
 * says can be, verify_held.c whether it is what held checkpoints say, and verify_record.c
 * takes a line apart and names where an error is.
 */
#ifndef PSGATE_AUDIT_VERIFY_INTERNAL_H
#define PSGATE_AUDIT_VERIFY_INTERNAL_H

#include "audit/folder.h"
#include "audit/hash.h"
#include "audit/line.h"
#include "audit/open_set.h"
#include "audit/reader.h"
#include "audit/repeats.h"
#include "audit/verify.h"

/* A chain as far as it was read: what the next line must be and carry. */
struct verify_head {
    uint64_t next;
    char hash[AUDIT_HASH_HEX]; /* of the line before */
    const char *path;          /* where that one stands; NULL: there is none */
    uint64_t line;
};

/*
 * A line did not carry the hash of the one before it. Which of the two was changed, the
 * line after them tells: it carries the hash of a line that was not.
 */
struct verify_doubt {
    bool is_raised;
    struct verify_head after; /* what follows, if the second line is as it was written */
    char before[sizeof(((struct audit_verdict *)0)->place)];
    char second[sizeof(((struct audit_verdict *)0)->place)];
};

struct verify_walk {
    const struct audit_verify_request *request;
    struct audit_verdict *verdict;
    struct error *error;
    bool is_moved; /* a file is not the one that was listed: all must be read anew */

    struct audit_folder folder;
    struct audit_hasher *hasher;
    struct audit_open_set open;
    struct audit_repeats repeats;
    uint64_t repeats_left;                /* how many of the next lines may be repeats */
    const struct audit_checkpoint **held; /* of this chain, by sequence */
    size_t held_count, held_next;

    struct verify_head head;
    struct verify_head branch; /* the same for the superseded lines of the present file */
    struct verify_doubt doubt;

    const struct audit_file *file; /* where the line that is looked at stands */
    uint64_t line;

    struct audit_progress progress;
    uint64_t bytes_before; /* of the files before the present one */
};

/* The members that the chain's rules need. */
enum verify_member {
    VERIFY_PHASE,
    VERIFY_ACTION,
    VERIFY_EVENT_ID,
    VERIFY_STATEMENT,
    VERIFY_SIGNATURE,
    VERIFY_KEY,
    VERIFY_SUSPECT,
    VERIFY_LAST_HASH,
    VERIFY_REPEATED,
    VERIFY_MEMBERS
};

/* A line taken apart. */
struct verify_record {
    struct span text;
    struct audit_line cut;
    struct span
        members[VERIFY_MEMBERS]; /* strings without their quotes; at NULL: not there */
    uint64_t repeated;
    char hash[AUDIT_HASH_HEX];
    unsigned char body[AUDIT_HASH_BYTES]; /* digest, where repeats are looked for */
};

#define verify_broken(walk, ...)                                                         \
    (error_set((walk)->error, __VA_ARGS__), verify_blame(walk))

/* FILE:LINE, or FILE alone when line is 0, into a verdict's or a doubt's place. */
void verify_set_place(char *place, const char *path, uint64_t line);

/* The line that is looked at is where the error is. Returns false. */
bool verify_blame(struct verify_walk *walk);

/* A number for "%llu". */
unsigned long long verify_shown(uint64_t number);

/* Whether a member is there and is that string. */
bool verify_is_member(const struct verify_record *record, enum verify_member member,
                      struct span value);

/*
 * Fills a record from a line, from which it borrows; and its hash, with that of its body
 * where it may be a repeat or be repeated. False with the walk's error and place.
 */
bool verify_take_apart(struct verify_walk *walk, struct span text,
                       struct verify_record *record);
bool verify_hash_record(struct verify_walk *walk, struct verify_record *record,
                        bool wants_body);

/* Takes the next line of the file. False with error and place when the trail is broken.
 */
bool verify_take_line(struct verify_walk *walk, const struct audit_read_line *line);

/* Ends a doubt, with the next line or (NULL) with none. Returns false. */
bool verify_settle_doubt(struct verify_walk *walk, const struct audit_line *next);

/* What a line says; whether its place in the chain is right is known already. */
bool verify_take_meaning(struct verify_walk *walk, const struct verify_record *record,
                         bool is_repeat);

/* Whether a file's first line says truly where the oldest open intent is. */
bool verify_check_oldest_open(struct verify_walk *walk, const struct audit_line *cut);

/* All that had to be repeated was: else false. */
bool verify_end_repeats(struct verify_walk *walk);

/* Whether one of the given keys signed it; true when none was given. */
bool verify_is_signature_good(const struct verify_walk *walk,
                              const struct audit_checkpoint *checkpoint);

/* Of the held checkpoints those of this chain, once it is known which it is. */
bool verify_select_held(struct verify_walk *walk);

/* Whether the record is the one that held checkpoints of its sequence are about. */
bool verify_compare_with_held(struct verify_walk *walk,
                              const struct verify_record *record);

/* The same for the end of a copy. */
bool verify_compare_with_copy(struct verify_walk *walk,
                              const struct verify_record *record);

#endif
