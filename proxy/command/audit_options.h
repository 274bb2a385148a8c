/* The options that `psgate audit search` and `psgate audit tail` share. */
#ifndef PSGATE_COMMAND_AUDIT_OPTIONS_H
#define PSGATE_COMMAND_AUDIT_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/search.h"

struct audit_options {
    const char *const *folders; /* in argv; tail: one */
    size_t folder_count;
    struct search_filter filter; /* borrows from argv, and from source below */
    char source[INET6_ADDRSTRLEN];
    bool is_json;
    bool is_following; /* tail only, as the next */
    uint64_t count;
};

enum audit_verb { AUDIT_VERB_SEARCH, AUDIT_VERB_TAIL };

/*
 * Reads the arguments after the verb, which is argv[0]. False when there is no more to do
 * but to end with *status: help was shown, or what is wrong with the usage was said.
 * *options must stay where it is.
 */
bool audit_options_read(struct audit_options *options, enum audit_verb verb, int argc,
                        char **argv, int *status);

#endif
