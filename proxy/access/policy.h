/*
 * What a client may do: by operation (allow and deny, which wins) and by team. Patterns
 * are resolved once, when the clients file is read, so that a request costs one look at a
 * bit and, where teams are limited, one comparison each.
 */
#ifndef PSGATE_ACCESS_POLICY_H
#define PSGATE_ACCESS_POLICY_H

#include "access/client.h"
#include "config/document.h"

/*
 * Sets client->allowed from its allow and deny: a bit an operation of the table, and one
 * more for other. A pattern that names nothing is a problem of the document.
 */
void policy_resolve(struct document *document, const struct place *place,
                    const struct operation_table *table, struct client *client);

enum client_verdict {
    CLIENT_MAY,
    CLIENT_MAY_NOT_DO, /* allow and deny say no to the operation */
    CLIENT_MAY_NOT_TEAM,
};

/* Why client_judge decides as it does. */
enum client_cause {
    CLIENT_CAUSE_ALLOWED,     /* by pattern, and no team stands against it */
    CLIENT_CAUSE_DENIED,      /* by pattern, whatever allow says */
    CLIENT_CAUSE_NAMED_ONLY,  /* pattern matches, but is a glob: it needs the id */
    CLIENT_CAUSE_NOT_ALLOWED, /* no pattern of allow names it */
    CLIENT_CAUSE_NO_TEAM,     /* the request names none, and teams has no "*" */
    CLIENT_CAUSE_TEAM,        /* the team is not in teams */
};

struct client_explanation {
    enum client_verdict verdict; /* client_judge's */
    enum client_cause cause;
    const char *pattern; /* that decides, or NULL: none does */
    bool is_default;     /* it is the "*" of an absent allow */
    const char *allowed; /* when denied: the pattern that would allow it, or NULL */
    struct span team;    /* that the path names; at is NULL when it names none */
};

/* Judges an operation (NULL: other) on the path that was matched. */
enum client_verdict client_judge(const struct client_set *set,
                                 const struct client *client,
                                 const struct operation *operation,
                                 const struct http_path *path);

/* Judges the same, and says which of the client's patterns and teams decide. */
void client_explain(const struct client_set *set, const struct client *client,
                    const struct operation *operation, const struct http_path *path,
                    struct client_explanation *explanation);

#endif
