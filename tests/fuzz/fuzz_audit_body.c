/*
 * Bodies of audited requests: one that counts as read is JSON without duplicates for a
 * common parser, which finds the same name in it; and what is copied from it is sound
 * JSON, without what is secret.
 */
#include <jansson.h>

#include "audit/body.h"
#include "fuzz/support.h"

#define SECRET "hush"

static const char *const record[] = {"name", "isAdmin", "note"};

static bool is_secret(const void *owner, struct span value)
{
    (void)owner;
    return value.len >= 4 && memmem(value.at, value.len, SECRET, 4) != NULL;
}

static void check_recorded(const struct audit_body *body)
{
    struct text object = {0};
    json_t *root;

    text_add(&object, SPAN("{"));
    text_add(&object, fuzz_text(&body->recorded));
    text_add(&object, SPAN("}"));
    root = json_loadb(object.bytes, object.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL,
                      NULL);
    fuzz_require(root != NULL, "what is recorded is no JSON: %s",
                 fuzz_shown(fuzz_text(&object)));
    fuzz_require(!is_secret(NULL, fuzz_text(&body->recorded)), "a secret is recorded");
    fuzz_require(json_object_size(root) <= 3, "something else is recorded");
    json_decref(root);
    text_fini(&object);
}

static void check_name(const struct audit_body *body, struct span bytes)
{
    json_error_t why;
    json_t *root =
        json_loadb(bytes.at, bytes.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    const json_t *name = json_object_get(root, "name");

    fuzz_require(root != NULL, "a body is read that others do not read: %s", why.text);
    fuzz_require(json_is_string(name) && body->name != NULL &&
                     strcmp(json_string_value(name), body->name) == 0,
                 "the name is '%s' for us", body->name != NULL ? body->name : "(none)");
    json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = fuzz_copy(fuzz_span(data, size));
    const struct audit_body_source source = {.bytes = bytes,
                                             .content_type = SPAN("application/json"),
                                             .record = record,
                                             .record_count = 3,
                                             .name_member = "name",
                                             .is_secret = is_secret};
    struct audit_body body;
    enum audit_body_verdict verdict = audit_body_read(&source, &body);

    if (verdict == AUDIT_BODY_READ) {
        check_name(&body, bytes);
        check_recorded(&body);
    } else {
        fuzz_require(body.name == NULL && body.recorded.len == 0,
                     "something is taken from a body that was not read");
    }
    fuzz_require((verdict == AUDIT_BODY_EMPTY) == (size == 0), "empty, or not");
    audit_body_fini(&body);
    fuzz_free(bytes);
    return 0;
}
