/*
 * What of an audited request's body may go into its record: the members that the
 * operation table lists, and the name of the resource. Nothing else of a body is copied.
 *
 * A body is "read" only if every sane JSON parser reads those members as we do, whatever
 * upstream is written in: no duplicates at any depth, no second spelling of a member, no
 * other character set, no guesses. What is JSON but might be read otherwise is not read.
 */
#ifndef PSGATE_AUDIT_BODY_H
#define PSGATE_AUDIT_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"
#include "base/text.h"

enum {
    AUDIT_BODY_MOST_NAME_BYTES = 1024,
    AUDIT_BODY_MOST_STRING_BYTES = 256, /* of a recorded string; what is longer is cut */
};

enum audit_body_verdict {
    AUDIT_BODY_READ,
    AUDIT_BODY_EMPTY,      /* not one byte */
    AUDIT_BODY_NOT_JSON,   /* nor surely taken for it: other content type or charset */
    AUDIT_BODY_COMPRESSED, /* has a content coding */
    AUDIT_BODY_DUPLICATE,  /* a member twice, or in a spelling that some take for it */
    AUDIT_BODY_MISTYPED,   /* no object; or the name is absent, no string, or too long */
    AUDIT_BODY_TOO_DEEP,
    AUDIT_BODY_NO_MEMORY,
};

/* All borrowed, for the call only. */
struct audit_body_source {
    struct span bytes; /* the whole body, without framing */

    /*
     * The value of Content-Type, at NULL: there was none. Of a repeated field, the values
     * with ", " between, which is no media type and so never read.
     */
    struct span content_type;
    bool is_encoded; /* Content-Encoding names anything but identity */

    const char *const *record; /* members that may be copied: operation->record */
    size_t record_count;
    const char *name_member; /* operation->resource_member; NULL: none is wanted */

    /* Whether a recorded string holds what may not be told; NULL: none does. It is shown
     * each one whole: of what is cut, nobody could tell any more. */
    bool (*is_secret)(const void *owner, struct span value);
    const void *owner;
};

/* What was read. The caller ends it with audit_body_fini. */
struct audit_body {
    char *name; /* of the resource; NULL unless one was wanted and READ */

    /*
     * "proxy.recorded.MEMBER":VALUE of each member that the body has, commas between and
     * none around: to splice into a record. Scalars as they are, but strings longer than
     * MOST_STRING_BYTES are cut at a character and end in an ellipsis; "(object)",
     * "(array)" and "(withheld)" stand for what may hold secrets. Empty unless READ.
     */
    struct text recorded;
};

/*
 * Reads a body; *body is all empty unless READ is returned. Where neither a name nor a
 * member is wanted the answer is READ and the bytes are not looked at. Copies of what is
 * parsed are gone from memory on return, given json_text_init; bytes are the caller's.
 */
enum audit_body_verdict audit_body_read(const struct audit_body_source *source,
                                        struct audit_body *body);

void audit_body_fini(struct audit_body *body);

/* A word for event.reason and messages: "not_json". READ has one too: "read". */
const char *audit_body_verdict_word(enum audit_body_verdict verdict);

#endif
