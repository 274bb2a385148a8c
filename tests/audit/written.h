/* What tests of the writing side have in common: entries to write, and the trail that
 * came of them, read back and verified. */
#ifndef PSGATE_TESTS_AUDIT_WRITTEN_H
#define PSGATE_TESTS_AUDIT_WRITTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/entry.h"
#include "audit/verify.h"
#include "support/folder.h"

/* The id of a mutation, made of a number. */
void written_id(unsigned number, char id[AUDIT_ID_HEX + 1]);

/* An entry as the gateway makes it; a refusal's number is in its source. */
struct audit_entry *written_intent(unsigned number);
struct audit_entry *written_result(unsigned number);
struct audit_entry *written_refusal(unsigned number);

/* Verifies the folder, which must be intact. */
struct audit_verdict written_verify(const char *folder);

/* The same, with these counts. */
void written_must_be(const char *folder, uint64_t records, uint64_t mutations,
                     uint64_t unfinished);

/* The lines of one file, or of all of them one file after another in the order of their
 * names; freed by the caller. */
char *written_file(struct folder *folder, const char *name);
char *written_all(const char *folder);

/* How often the word stands in the text; frees it. */
unsigned written_count(char *text, const char *word);

/* Whether the folder has a file of that name. */
bool written_has(struct folder *folder, const char *name);

#endif
