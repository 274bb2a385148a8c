/*
 * Bodies of audited requests: one that counts as read is JSON without duplicates for a
 * common parser, which finds the same name in it; and what is copied from it is sound
 * JSON, without what is secret. A first line "Content-Type: ..." is not the body's: what
 * it says must be JSON in UTF-8, or the body is not read.
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

/* Without what is quoted or a comment in other readers' eyes, all must be as expected. */
static void check_type(struct span type)
{
    struct text lower = {0};
    const char *charset;

    for (size_t i = 0; i < type.len; i++)
        text_add_byte(&lower, ascii_lower(type.at[i]));
    text_add_byte(&lower, '\0');
    charset = strstr(lower.bytes, "charset=");
    fuzz_require(memchr(type.at, '\0', type.len) == NULL &&
                     strstr(lower.bytes, "application/") != NULL &&
                     strstr(lower.bytes, "json") != NULL,
                 "'%s' counts as JSON", fuzz_shown(type));
    for (; charset != NULL; charset = strstr(charset + 1, "charset="))
        fuzz_require(strncmp(charset + 8, "utf-8", 5) == 0 ||
                         strncmp(charset + 8, "\"utf-8\"", 7) == 0 ||
                         (charset > lower.bytes && charset[-1] != ';' &&
                          charset[-1] != ' ' && charset[-1] != '\t'),
                     "'%s' counts as UTF-8", fuzz_shown(type));
    text_fini(&lower);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_span(data, size), type = SPAN("application/json");
    const struct span prefix = SPAN("Content-Type:");
    struct span bytes;
    struct audit_body_source source = {.content_type = type,
                                       .record = record,
                                       .record_count = 3,
                                       .name_member = "name",
                                       .is_secret = is_secret};
    struct audit_body body;
    enum audit_body_verdict verdict;

    if (span_starts_with(input, prefix)) {
        (void)fuzz_take(&input, prefix.len);
        type = source.content_type = fuzz_take_until(&input, '\n');
    }
    source.bytes = bytes = fuzz_copy(input);
    verdict = audit_body_read(&source, &body);
    if (verdict == AUDIT_BODY_READ) {
        check_type(type);
        check_name(&body, bytes);
        check_recorded(&body);
    } else {
        fuzz_require(body.name == NULL && body.recorded.len == 0,
                     "something is taken from a body that was not read");
    }
    fuzz_require((verdict == AUDIT_BODY_EMPTY) == (bytes.len == 0), "empty, or not");
    audit_body_fini(&body);
    fuzz_free(bytes);
    return 0;
}
