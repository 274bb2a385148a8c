/*
 * Names of clients' certificates: each name that is read is one that the clients file can
 * have, spelled like that; and what the clients file says comes out the same when it is
 * read again. Byte 0 chooses a certificate in DER or a tls_subject.
 */
#include <openssl/err.h>

#include "access/certificate.h"
#include "fuzz/support.h"

static void require_plain(struct span name)
{
    struct span rest = name;

    fuzz_require(memchr(name.at, ':', name.len) != NULL, "a name of no kind: '%s'",
                 fuzz_shown(name));
    while (rest.len > 0) {
        size_t len = text_utf8_length(rest);

        fuzz_require(len > 0, "a name is no UTF-8: '%s'", fuzz_shown(name));
        fuzz_require((unsigned char)rest.at[0] >= 0x20 && rest.at[0] != 0x7f,
                     "a control byte in a name: '%s'", fuzz_shown(name));
        (void)fuzz_take(&rest, len);
    }
}

/* Each name stands for itself and nothing else. How many they are. */
static unsigned check_names(struct span list)
{
    struct span name, again, rest;
    unsigned count = 0;

    while (certificate_next_name(&list, &name)) {
        struct text names = {0};
        struct error error;

        require_plain(name);
        /* A subject stands in the clients file without the word for its kind. */
        again = span_starts_with(name, SPAN("DN:")) ? span_make(name.at + 3, name.len - 3)
                                                    : name;
        fuzz_require(certificate_parse_subject(again, &names, &error),
                     "the clients file cannot have '%s': %s", fuzz_shown(name),
                     error.text);
        rest = fuzz_text(&names);
        fuzz_require(certificate_next_name(&rest, &again) && span_equal(again, name) &&
                         !certificate_next_name(&rest, &again),
                     "'%s' becomes '%s'", fuzz_shown(name),
                     fuzz_shown(fuzz_text(&names)));
        text_fini(&names);
        count++;
    }
    return count;
}

static void check_certificate(struct span bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.at;
    X509 *certificate = d2i_X509(NULL, &at, (long)bytes.len);
    struct certificate_names names = {.count = 0};

    if (certificate != NULL) {
        certificate_read_names(certificate, &names);
        if (!names.is_unusable)
            fuzz_require(check_names(fuzz_text(&names.list)) == names.count,
                         "not %u names", names.count);
        certificate_names_fini(&names);
    }
    X509_free(certificate);
    ERR_clear_error(); /* d2i's */
}

static void check_subject(struct span value)
{
    struct text names = {0};
    struct error error;

    if (certificate_parse_subject(value, &names, &error))
        (void)check_names(fuzz_text(&names));
    text_fini(&names);
    fuzz_require(ERR_peek_error() == 0, "something is left in OpenSSL's queue");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_span(data, size);
    bool is_subject = (fuzz_byte(&input) & 1) != 0;
    struct span copy = fuzz_copy(input);

    if (is_subject)
        check_subject(copy);
    else
        check_certificate(copy);
    fuzz_free(copy);
    return 0;
}
