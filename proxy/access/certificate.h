/*
 * What a client's certificate calls its owner, in one spelling a name, and the same
 * spelling of what stands in the clients file: so that equal bytes mean a match. Whether
 * the certificate is to be believed was decided before, by the handshake.
 *
 *   DN:CN=ci,O=Acme              the subject as RFC 4514 has it, UTF-8 as it is
 *   DNS:ci.acme.test             in lower case
 *   URI:spiffe://acme.test/ci    byte by byte
 *   email:ci@acme.test           the domain in lower case
 *   IP:192.0.2.7  IP:2001:db8::7 as inet_ntop(3) writes it
 *   dirName:CN=ci,O=Acme  RID:1.2.3  UPN:ci@acme.test
 *
 * A name with a control byte (NUL among them) or invalid UTF-8 is none.
 */
#ifndef PSGATE_ACCESS_CERTIFICATE_H
#define PSGATE_ACCESS_CERTIFICATE_H

#include <stdbool.h>

#include <openssl/x509.h>

#include "base/error.h"
#include "base/span.h"
#include "base/text.h"

enum { CERTIFICATE_MOST_NAMES = 64, CERTIFICATE_MOST_NAME_BYTES = 1024 };

/* All-zero is empty. */
struct certificate_names {
    struct text list; /* each with a NUL behind it */
    unsigned count;
    bool is_unusable; /* too many names, a broken extension, no memory: none counts */
    bool was_starved; /* it was memory */
};

/* Reads the names; certificate_names_fini in any case. Empties OpenSSL's queue of errors.
 */
void certificate_read_names(X509 *certificate, struct certificate_names *names);
void certificate_names_fini(struct certificate_names *names);

/* Takes the next name off a list; false at its end. */
bool certificate_next_name(struct span *list, struct span *name);

/*
 * The names that a tls_subject stands for, added to list: one, or for a bare value that
 * is no subject one of each kind of SAN whose value it may be. False with error set: no
 * certificate can have such a name.
 */
bool certificate_parse_subject(struct span value, struct text *list,
                               struct error *error) MUST_CHECK;

#endif
