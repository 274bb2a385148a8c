#include "audit/checkpoint.h"

#include "support/folder.h"

#define CHAIN "0123456789abcdef0123456789abcdef"
#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define STATEMENT "psgate-checkpoint v1 " CHAIN " 42 " HASH " 2026-11-23T17:04:05.123Z"

/* RFC 8032 7.1, test 1: the private key, and its public one. */
#define PRIVATE_PEM                                                                      \
    "-----BEGIN PRIVATE KEY-----\n"                                                      \
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"                 \
    "-----END PRIVATE KEY-----\n"

static struct folder folder;

static void make_folder(void)
{
    folder_make(&folder);
}

static void remove_folder(void)
{
    folder_remove(&folder);
}

static const char *key_path(const char *name)
{
    return folder_entry(&folder, name);
}

static mode_t mode_of(const char *path)
{
    struct stat status;

    ck_assert_int_eq(stat(path, &status), 0);
    return status.st_mode & 07777;
}

START_TEST(a_key_pair_is_made_and_loaded)
{
    struct audit_key key, public;
    char id[AUDIT_KEY_ID_HEX + 1];
    struct error error;

    ck_assert_msg(audit_key_generate(folder.path, id, &error), "%s", error.text);
    ck_assert_int_eq(mode_of(key_path(AUDIT_PRIVATE_KEY_NAME)), 0600);
    ck_assert_int_eq(mode_of(key_path(AUDIT_PUBLIC_KEY_NAME)), 0644);
    ck_assert(audit_key_load_private(key_path(AUDIT_PRIVATE_KEY_NAME), &key, &error));
    ck_assert(audit_key_load_public(key_path(AUDIT_PUBLIC_KEY_NAME), &public, &error));
    ck_assert_str_eq(key.id, id);
    ck_assert_str_eq(public.id, id);
    ck_assert_int_eq(EVP_PKEY_eq(key.pkey, public.pkey), 1);
    audit_key_fini(&key);
    audit_key_fini(&public);
}
END_TEST

static const char *const key_names[] = {AUDIT_PRIVATE_KEY_NAME, AUDIT_PUBLIC_KEY_NAME};

START_TEST(a_key_is_never_overwritten)
{
    const char *path = folder_write(&folder, key_names[_i], SPAN("mine"), 0600);
    char id[AUDIT_KEY_ID_HEX + 1];
    struct error error;
    struct stat status;

    ck_assert(!audit_key_generate(folder.path, id, &error));
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(status.st_size, 4);
    ck_assert_int_ne(stat(key_path(key_names[1 - _i]), &status), 0);
}
END_TEST

/* SHA-256 over d75a9801…f707511a begins 21fe31dfa154a261 (sha256sum says). */
START_TEST(a_known_key_has_its_known_name_and_signature)
{
    /* RFC 8032 7.1, test 1 signs the empty message. */
    static const unsigned char wanted[] = {0xe5, 0x56, 0x43, 0x00,
                                           0xc3, 0x60, 0xac, 0x72};
    struct audit_key key;
    char signature[AUDIT_SIGNATURE_TEXT];
    unsigned char bytes[AUDIT_SIGNATURE_TEXT];
    struct error error;

    ck_assert_msg(
        audit_key_load_private(folder_write(&folder, "key", SPAN(PRIVATE_PEM), 0600),
                               &key, &error),
        "%s", error.text);
    ck_assert_str_eq(key.id, "21fe31dfa154a261");
    ck_assert(audit_checkpoint_sign(&key, SPAN(""), signature, &error));
    ck_assert_int_gt(EVP_DecodeBlock(bytes, (unsigned char *)signature, 88), 0);
    ck_assert_mem_eq(bytes, wanted, sizeof(wanted));
    audit_key_fini(&key);
}
END_TEST

static const struct {
    struct span content;
    mode_t mode;
} bad_keys[] = {
    {SPAN(PRIVATE_PEM), 0644},
    {SPAN(PRIVATE_PEM), 0640},
    {SPAN(""), 0600},
    {SPAN("-----BEGIN PRIVATE KEY-----\n"), 0600},
    {SPAN("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"), 0600},
    {SPAN("-----BEGIN PRIVATE KEY-----\n"
          "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9\n"
          "-----END PRIVATE KEY-----\n"),
     0600},
    {SPAN("-----BEGIN PRIVATE KEY-----\n" /* X25519 */
          "MC4CAQAwBQYDK2VuBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
          "-----END PRIVATE KEY-----\n"),
     0600},
    {SPAN("-----BEGIN PRIVATE KEY-----\n"
          "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9!\n"
          "-----END PRIVATE KEY-----\n"),
     0600},
};

START_TEST(what_is_no_private_key_of_ours_alone_is_refused)
{
    const char *path =
        folder_write(&folder, "key", bad_keys[_i].content, bad_keys[_i].mode);
    struct audit_key key;
    struct error error;

    if (bad_keys[_i].mode == 0640 && geteuid() == 0)
        return; /* root's own may be read by its group */
    ck_assert(!audit_key_load_private(path, &key, &error));
    ck_assert_ptr_null(key.pkey);
    ck_assert_ptr_nonnull(strstr(error.text, path));
    ck_assert_ptr_null(strstr(error.text, "MC4CAQ"));
}
END_TEST

START_TEST(a_checkpoint_is_signed_and_verified)
{
    struct audit_key key, public, other;
    char id[AUDIT_KEY_ID_HEX + 1], statement[AUDIT_STATEMENT_BYTES];
    char signature[AUDIT_SIGNATURE_TEXT];
    struct audit_checkpoint checkpoint;
    struct error error;
    size_t len;

    ck_assert(audit_key_generate(folder.path, id, &error));
    ck_assert(audit_key_load_private(key_path(AUDIT_PRIVATE_KEY_NAME), &key, &error));
    ck_assert(audit_key_load_public(key_path(AUDIT_PUBLIC_KEY_NAME), &public, &error));
    ck_assert(audit_key_load_private(
        folder_write(&folder, "key", SPAN(PRIVATE_PEM), 0600), &other, &error));
    len = audit_checkpoint_state(SPAN(CHAIN), 42, SPAN(HASH), INT64_C(1795453445123),
                                 statement);
    assert_span_is(span_make(statement, len), SPAN(STATEMENT), "the statement");
    ck_assert(audit_checkpoint_sign(&key, span_make(statement, len), signature, &error));
    ck_assert(audit_checkpoint_read(SPAN(STATEMENT), span_of(signature), span_of(id),
                                    &checkpoint, &error));
    ck_assert(audit_checkpoint_verify(&checkpoint, &public));
    ck_assert(audit_checkpoint_verify(&checkpoint, &key));
    ck_assert(!audit_checkpoint_verify(&checkpoint, &other));
    checkpoint.statement[60]++;
    ck_assert(!audit_checkpoint_verify(&checkpoint, &public));
    audit_key_fini(&key);
    audit_key_fini(&public);
    audit_key_fini(&other);
}
END_TEST

#define SIGNATURE                                                                        \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" \
    "AA"                                                                                 \
    "AA=="
#define MEMBERS(statement, signature, key)                                               \
    "\"proxy.checkpoint.statement\":\"" statement                                        \
    "\",\"proxy.checkpoint.signature\":\"" signature                                     \
    "\",\"proxy.checkpoint.key\":\"" key "\""

static const struct span found[] = {
    SPAN("{" MEMBERS(STATEMENT, SIGNATURE, "0123456789abcdef") "}"),
    SPAN("{ \"message\": \"x\", \"n\": {\"a\": []},\n " MEMBERS(STATEMENT, SIGNATURE,
                                                                "0123456789abcdef") " }"),
    SPAN(
        "{" MEMBERS("psgate-checkpoint v1 \\u0030123456789abcdef0123456789abcdef 42 " HASH
                    " 2026-11-23T17:04:05.123Z",
                    SIGNATURE, "0123456789abcdef") "}"),
};

START_TEST(a_checkpoint_is_found_in_a_line)
{
    struct audit_checkpoint checkpoint;
    struct error error;

    ck_assert_int_eq(audit_checkpoint_find(found[_i], &checkpoint, &error),
                     AUDIT_CHECKPOINT_FOUND);
    ck_assert_str_eq(checkpoint.statement, STATEMENT);
    ck_assert_str_eq(checkpoint.chain_id, CHAIN);
    ck_assert_uint_eq(checkpoint.sequence, 42);
    ck_assert_str_eq(checkpoint.hash, HASH);
    ck_assert_int_eq(checkpoint.wall_ms, INT64_C(1795453445123));
    ck_assert_str_eq(checkpoint.key_id, "0123456789abcdef");
}
END_TEST

static const struct span nothing[] = {
    SPAN(""),
    SPAN("Nov 23 17:04:05 host psgate: checkpoint"),
    SPAN("[]"),
    SPAN("{\"message\":\"" STATEMENT "\"}"),
    SPAN("{\"proxy.checkpoint.statement\":\"" STATEMENT "\"}"),
    SPAN("{\"proxy.checkpoint.statement\":1,\"proxy.checkpoint.signature\":2}"),
};

START_TEST(a_line_without_one_has_none)
{
    struct audit_checkpoint checkpoint;
    struct error error;

    ck_assert_int_eq(audit_checkpoint_find(nothing[_i], &checkpoint, &error),
                     AUDIT_CHECKPOINT_NONE);
}
END_TEST

static const struct span bad[] = {
    SPAN("{" MEMBERS("", SIGNATURE, "0123456789abcdef") "}"),
    SPAN("{" MEMBERS(STATEMENT, "", "0123456789abcdef") "}"),
    SPAN("{" MEMBERS(STATEMENT, SIGNATURE, "0123456789abcde") "}"),
    SPAN("{" MEMBERS(STATEMENT, SIGNATURE, "0123456789abcdeF") "}"),
    SPAN("{" MEMBERS(STATEMENT " ", SIGNATURE, "0123456789abcdef") "}"),
    SPAN("{" MEMBERS(STATEMENT " x", SIGNATURE, "0123456789abcdef") "}"),
    SPAN("{" MEMBERS(STATEMENT "\\u0000", SIGNATURE, "0123456789abcdef") "}"),
    SPAN("{" MEMBERS("psgate-checkpoint v2 " CHAIN " 42 " HASH " 2026-11-23T17:04:05Z",
                     SIGNATURE, "0123456789abcdef") "}"),
    SPAN("{" MEMBERS("psgate-checkpoint v1 " CHAIN " 042 " HASH " 2026-11-23T17:04:05Z",
                     SIGNATURE, "0123456789abcdef") "}"),
    SPAN("{" MEMBERS("psgate-checkpoint v1 " CHAIN "  42 " HASH " 2026-11-23T17:04:05Z",
                     SIGNATURE, "0123456789abcdef") "}"),
    SPAN("{" MEMBERS("psgate-checkpoint v1 " CHAIN "0 42 " HASH " 2026-11-23T17:04:05Z",
                     SIGNATURE, "0123456789abcdef") "}"),
    SPAN("{" MEMBERS("psgate-checkpoint v1 " CHAIN " 42 " HASH " yesterday", SIGNATURE,
                     "0123456789abcdef") "}"),
    SPAN("{" MEMBERS("psgate-checkpoint v1 " CHAIN " 42 " HASH, SIGNATURE,
                     "0123456789abcdef") "}"),
};

START_TEST(one_of_another_form_is_bad)
{
    struct audit_checkpoint checkpoint;
    struct error error = {{0}};
    enum audit_checkpoint_found answer =
        audit_checkpoint_find(bad[_i], &checkpoint, &error);

    /* jansson does not read NUL: then it is no JSON object at all. */
    ck_assert_int_ne(answer, AUDIT_CHECKPOINT_FOUND);
    ck_assert(answer == AUDIT_CHECKPOINT_BAD || strstr(bad[_i].at, "u0000") != NULL);
}
END_TEST

START_TEST(a_signature_has_one_spelling)
{
    struct audit_checkpoint checkpoint;
    char signature[AUDIT_SIGNATURE_TEXT] = SIGNATURE;
    struct error error;

    ck_assert(audit_checkpoint_read(SPAN(STATEMENT), span_of(signature), (struct span){0},
                                    &checkpoint, &error));
    ck_assert_str_eq(checkpoint.key_id, "");
    signature[85] = 'B'; /* sets bits that the 64 bytes do not have */
    ck_assert(!audit_checkpoint_read(SPAN(STATEMENT), span_of(signature),
                                     (struct span){0}, &checkpoint, &error));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit/checkpoint");
    TCase *keys = suite_case(suite, "keys");
    TCase *lines = suite_case(suite, "lines");

    tcase_add_checked_fixture(keys, make_folder, remove_folder);
    tcase_add_test(keys, a_key_pair_is_made_and_loaded);
    tcase_add_loop_test(keys, a_key_is_never_overwritten, 0, ROWS(key_names));
    tcase_add_test(keys, a_known_key_has_its_known_name_and_signature);
    tcase_add_loop_test(keys, what_is_no_private_key_of_ours_alone_is_refused, 0,
                        ROWS(bad_keys));
    tcase_add_test(keys, a_checkpoint_is_signed_and_verified);
    tcase_add_loop_test(lines, a_checkpoint_is_found_in_a_line, 0, ROWS(found));
    tcase_add_loop_test(lines, a_line_without_one_has_none, 0, ROWS(nothing));
    tcase_add_loop_test(lines, one_of_another_form_is_bad, 0, ROWS(bad));
    tcase_add_test(lines, a_signature_has_one_spelling);
    return run_suite_in_folder(suite);
}
