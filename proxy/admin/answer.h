/* An answer of the admin endpoint before it is handed to libevhtp. */
#ifndef PSGATE_ADMIN_ANSWER_H
#define PSGATE_ADMIN_ANSWER_H

#include <evhtp/evhtp.h>
#include <jansson.h>

#include "base/text.h"

struct admin_answer {
    unsigned status;
    const char *type;  /* of the body; NULL: there is none */
    struct text body;  /* made for this answer; or */
    struct span fixed; /* bytes that live as long as the program */
    const char *etag;  /* with its quotes; NULL: none, and nobody may store the answer */
    const char *allow; /* for 405; or NULL */
};

void admin_answer_fini(struct admin_answer *answer);

/* Sets a body of JSON, and takes the reference of value; NULL: memory was out, 500. */
void admin_answer_json(struct admin_answer *answer, unsigned status, json_t *value);

/* {"status":…,"message":"psgate: …"} */
void admin_answer_problem(struct admin_answer *answer, unsigned status,
                          const char *message);

/* Hands it to libevhtp, which finishes the request once it is written. */
void admin_answer_send(evhtp_request_t *request, const struct admin_answer *answer,
                       bool is_head);

/* The same problem as a whole HTTP/1.1 message, after which the connection closes. */
void admin_answer_format_problem(struct text *out, unsigned status, const char *message);

#endif
