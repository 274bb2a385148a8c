#include "audit/key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/hash.h"
#include "base/file.h"
#include "base/random.h"
#include "base/secret.h"

enum {
    RAW_BYTES = 32,
    PRIVATE_PREFIX = 16,
    PUBLIC_PREFIX = 12,
    LONGEST_DER = PRIVATE_PREFIX + RAW_BYTES,
    LONGEST_FILE = 4096,
    LONGEST_PATH = 4096,
};

/* RFC 8410 7 and 4: all that a DER form has before the 32 bytes of its key. */
struct form {
    const char *label;
    size_t prefix_len;
    unsigned char prefix[PRIVATE_PREFIX];
};

static const struct form private_form = {
    "PRIVATE KEY",
    PRIVATE_PREFIX,
    {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22,
     0x04, 0x20},
};

static const struct form public_form = {
    "PUBLIC KEY",
    PUBLIC_PREFIX,
    {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00},
};

static bool find(struct span *text, const char *mark, struct span *before)
{
    const char *at = memmem(text->at, text->len, mark, strlen(mark));

    if (at == NULL)
        return false;
    *before = span_make(text->at, (size_t)(at - text->at));
    text->len -= before->len + strlen(mark);
    text->at = at + strlen(mark);
    return true;
}

/* What is between a form's BEGIN and END. */
static bool find_body(struct span text, const struct form *form, struct span *body)
{
    char mark[48];

    (void)snprintf(mark, sizeof(mark), "-----BEGIN %s-----", form->label);
    if (!find(&text, mark, body))
        return false;
    (void)snprintf(mark, sizeof(mark), "-----END %s-----", form->label);
    return find(&text, mark, body);
}

/* Without line ends; how many are left, or 0 when there are more than capacity. */
static size_t join_lines(struct span body, char *joined, size_t capacity)
{
    size_t len = 0;

    for (size_t i = 0; i < body.len; i++) {
        if (body.at[i] == '\n' || body.at[i] == '\r')
            continue;
        if (len == capacity)
            return 0;
        joined[len++] = body.at[i];
    }
    return len;
}

/* Where the DER form is worked on: at most one block of base64 is ever in it. */
struct work {
    char base64[LONGEST_DER / 3 * 4 + 1];
    unsigned char der[LONGEST_DER + 1];
};

/* The key's raw bytes, in work->der, or NULL. */
static const unsigned char *decode(struct span text, const struct form *form,
                                   struct work *work)
{
    size_t der_len = form->prefix_len + RAW_BYTES;
    size_t wanted = (der_len + 2) / 3 * 4;
    struct span body;

    if (!find_body(text, form, &body) ||
        join_lines(body, work->base64, sizeof(work->base64) - 1) != wanted ||
        EVP_DecodeBlock(work->der, (const unsigned char *)work->base64, (int)wanted) <
            0 ||
        memcmp(work->der, form->prefix, form->prefix_len) != 0)
        return NULL;
    return work->der + form->prefix_len;
}

static bool name_key(struct audit_key *key)
{
    unsigned char raw[RAW_BYTES], digest[AUDIT_HASH_BYTES];
    size_t len = sizeof(raw);

    if (EVP_PKEY_get_raw_public_key(key->pkey, raw, &len) != 1 || len != sizeof(raw) ||
        EVP_Digest(raw, len, digest, NULL, EVP_sha256(), NULL) != 1)
        return false;
    audit_hex(digest, AUDIT_KEY_ID_HEX / 2, key->id);
    key->id[AUDIT_KEY_ID_HEX] = '\0';
    return true;
}

/* Takes a key over from OpenSSL; false when it gave none. */
static bool adopt(struct audit_key *key, EVP_PKEY *take_pkey)
{
    *key = (struct audit_key){.pkey = take_pkey};
    if (take_pkey != NULL && name_key(key))
        return true;
    audit_key_fini(key);
    return false;
}

static bool read_private(const char *path, struct secret *file, struct work *work,
                         struct audit_key *key, struct error *error)
{
    const unsigned char *raw;
    size_t len;

    if (!file_read_private(path, secret_bytes(file), LONGEST_FILE, &len, error))
        return false;
    raw = decode(span_make(secret_bytes(file), len), &private_form, work);
    if (raw == NULL)
        return error_set(error,
                         "%s holds no Ed25519 private key in PEM without a passphrase "
                         "(psgate audit keygen makes one)",
                         path);
    return adopt(key,
                 EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, RAW_BYTES)) ||
           error_set(error, "%s: OpenSSL does not take the key", path);
}

bool audit_key_load_private(const char *path, struct audit_key *key, struct error *error)
{
    struct secret *file = secret_new(LONGEST_FILE, error);
    struct secret *work = file != NULL ? secret_new(sizeof(struct work), error) : NULL;
    bool is_read =
        work != NULL && read_private(path, file, (void *)secret_bytes(work), key, error);

    if (!is_read)
        *key = (struct audit_key){0};
    secret_free(work);
    secret_free(file);
    return is_read;
}

bool audit_key_load_public(const char *path, struct audit_key *key, struct error *error)
{
    const unsigned char *raw = NULL;
    struct text content = {0};
    struct work work;

    *key = (struct audit_key){0};
    if (!file_read(path, FILE_PUBLIC, &content, error)) {
        text_fini(&content);
        return false;
    }
    if (content.len > 0)
        raw = decode(span_make(content.bytes, content.len), &public_form, &work);
    text_fini(&content);
    if (raw == NULL)
        return error_set(error, "%s holds no Ed25519 public key in PEM", path);
    return adopt(key,
                 EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, RAW_BYTES)) ||
           error_set(error, "%s: OpenSSL does not take the key", path);
}

void audit_key_fini(struct audit_key *key)
{
    EVP_PKEY_free(key->pkey);
    *key = (struct audit_key){0};
}

/* The PEM form of raw bytes into out; its length. */
static size_t encode(const struct form *form, const unsigned char *raw, struct work *work,
                     char *out, size_t capacity)
{
    int len;

    memcpy(work->der, form->prefix, form->prefix_len);
    memcpy(work->der + form->prefix_len, raw, RAW_BYTES);
    (void)EVP_EncodeBlock((unsigned char *)work->base64, work->der,
                          (int)form->prefix_len + RAW_BYTES);
    len = snprintf(out, capacity, "-----BEGIN %s-----\n%s\n-----END %s-----\n",
                   form->label, work->base64, form->label);
    return (size_t)len;
}

/* A new file with exactly that mode. */
static bool create_file(const char *path, mode_t mode, struct span content,
                        struct error *error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    ssize_t put;
    int errnum;

    if (fd < 0 && errno == EEXIST)
        return error_set(error, "%s is there already (a key is never overwritten)", path);
    if (fd < 0)
        return error_set_errno(error, errno, "cannot create %s", path);
    errno = ENOSPC; /* what a short write means */
    put = write(fd, content.at, content.len);
    if (put == (ssize_t)content.len && fchmod(fd, mode) == 0 && fsync(fd) == 0) {
        (void)close(fd);
        return true;
    }
    errnum = errno;
    (void)close(fd);
    (void)unlink(path);
    return error_set_errno(error, errnum, "cannot write %s", path);
}

static void sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

/* Both files, or none. */
static bool write_pair(const char *folder, struct span private_pem,
                       struct span public_pem, struct error *error)
{
    char private_path[LONGEST_PATH], public_path[LONGEST_PATH];

    if (snprintf(private_path, LONGEST_PATH, "%s/%s", folder, AUDIT_PRIVATE_KEY_NAME) >=
            LONGEST_PATH ||
        snprintf(public_path, LONGEST_PATH, "%s/%s", folder, AUDIT_PUBLIC_KEY_NAME) >=
            LONGEST_PATH)
        return error_set(error, "%s: the name is too long", folder);
    if (!create_file(private_path, 0600, private_pem, error))
        return false;
    if (!create_file(public_path, 0644, public_pem, error)) {
        (void)unlink(private_path);
        return false;
    }
    sync_folder(folder);
    return true;
}

/* All that a generation holds of the private key. */
struct generation {
    unsigned char raw[RAW_BYTES];
    struct work work;
    char pem[256];
};

static bool generate(const char *folder, struct generation *made, struct audit_key *key,
                     struct error *error)
{
    unsigned char raw[RAW_BYTES];
    size_t raw_len = sizeof(raw), private_len, public_len;
    struct work work;
    char pem[256];

    if (!random_fill(made->raw, RAW_BYTES, error))
        return false;
    if (!adopt(key, EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, made->raw,
                                                 RAW_BYTES)) ||
        EVP_PKEY_get_raw_public_key(key->pkey, raw, &raw_len) != 1)
        return error_set(error, "OpenSSL cannot make an Ed25519 key");
    private_len =
        encode(&private_form, made->raw, &made->work, made->pem, sizeof(made->pem));
    public_len = encode(&public_form, raw, &work, pem, sizeof(pem));
    return write_pair(folder, span_make(made->pem, private_len),
                      span_make(pem, public_len), error);
}

bool audit_key_generate(const char *folder, char id[AUDIT_KEY_ID_HEX + 1],
                        struct error *error)
{
    struct secret *made = secret_new(sizeof(struct generation), error);
    struct audit_key key = {0};
    bool is_made =
        made != NULL && generate(folder, (void *)secret_bytes(made), &key, error);

    if (is_made)
        memcpy(id, key.id, sizeof(key.id));
    audit_key_fini(&key);
    secret_free(made);
    return is_made;
}
