#include "access/token.h"
#include "support/suite.h"

static struct token_hasher *hasher;

static void make_hasher(void)
{
    struct error error = {{0}};

    hasher = token_hasher_new(&error);
    ck_assert_msg(hasher != NULL, "%s", error.text);
}

static void free_hasher(void)
{
    token_hasher_free(hasher);
    hasher = NULL;
}

static const char alphabet[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

/* INTERFACES: psgate_, 43 characters of [A-Za-z0-9_-], _, 6 characters of checksum. */
START_TEST(a_token_has_the_shape_of_the_interfaces)
{
    for (int i = 0; i < 500; i++) {
        struct error error = {{0}};
        char *token = malloc(TOKEN_BYTES + 1);

        ck_assert_msg(token_generate(hasher, token, &error), "%s", error.text);
        ck_assert_uint_eq(strlen(token), TOKEN_BYTES);
        ck_assert_uint_eq(TOKEN_BYTES, 7 + 43 + 1 + 6);
        ck_assert_int_eq(strncmp(token, "psgate_", 7), 0);
        ck_assert_int_eq(token[50], '_');
        ck_assert_uint_eq(strspn(token, alphabet), TOKEN_BYTES);
        ck_assert(token_has_prefix(span_of(token)));
        ck_assert(token_is_well_formed(hasher, span_make(token, TOKEN_BYTES)));
        free(token);
    }
}
END_TEST

/* 256 random bits: no two alike, and every character varies in every place. */
START_TEST(tokens_differ_everywhere)
{
    enum { TOKENS = 400, FIRST = 7, LAST = 49 };
    static char tokens[TOKENS][TOKEN_BYTES + 1];
    struct error error;

    for (int i = 0; i < TOKENS; i++) {
        ck_assert(token_generate(hasher, tokens[i], &error));
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(tokens[i], tokens[j]);
    }
    for (int at = FIRST; at <= LAST; at++) {
        bool seen[256] = {false};
        int distinct = 0;

        for (int i = 0; i < TOKENS; i++) {
            unsigned char c = (unsigned char)tokens[i][at];

            distinct += !seen[c];
            seen[c] = true;
        }
        /* The last character holds 4 of the 256 bits, the others 6. */
        ck_assert_int_ge(distinct, at == LAST ? 10 : 40);
    }
}
END_TEST

/* Tokens are kept for years: what was one stays one. */
static const char *const known[] = {
    "psgate_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_Uu23aQ",
    "psgate_abcdefghijklmnopqrstuvwxyz0123456789-_ABCDE_7AtNK8",
};

START_TEST(a_known_token_is_well_formed)
{
    struct span token = exact_span(span_of(known[_i]));

    ck_assert(token_is_well_formed(hasher, token));
    free((char *)(uintptr_t)token.at);
}
END_TEST

START_TEST(a_token_with_one_wrong_character_is_not_well_formed)
{
    char token[TOKEN_BYTES + 1];
    struct error error;

    ck_assert(token_generate(hasher, token, &error));
    for (size_t at = 0; at < TOKEN_BYTES; at++) {
        char right = token[at];

        for (const char *c = alphabet; *c != '\0'; c++) {
            token[at] = *c;
            if (*c != right)
                ck_assert(!token_is_well_formed(hasher, span_make(token, TOKEN_BYTES)));
        }
        token[at] = right;
    }
}
END_TEST

START_TEST(a_cut_or_longer_token_is_not_well_formed)
{
    char token[TOKEN_BYTES + 1];
    struct error error;

    ck_assert(token_generate(hasher, token, &error));
    for (size_t len = 0; len < TOKEN_BYTES; len++) {
        struct span cut = exact_span(span_make(token, len));

        ck_assert(!token_is_well_formed(hasher, cut));
        ck_assert_int_eq(token_has_prefix(cut), len >= 7);
        free((char *)(uintptr_t)cut.at);
    }
    ck_assert(!token_is_well_formed(hasher, span_make(token, TOKEN_BYTES + 1)));
}
END_TEST

static const struct span malformed[] = {
    SPAN(""),
    SPAN("psgate_"),
    SPAN("PSGATE_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_Uu23aQ"),
    SPAN(" psgate_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_Uu23aQ"),
    SPAN("psgate_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_Uu23aQ "),
    SPAN("psgate_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_Uu23aQ\0"),
    SPAN("psgate-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_Uu23aQ"),
    SPAN("psgate_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-Uu23aQ"),
    SPAN("psgate_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAUu23aQ"),
    SPAN("psgate_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_uU23Aq"),
    SPAN("ghp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_Uu23aQ"),
    SPAN("psgate_\0AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_Uu23aQ"),
    /* The checksums are right, the characters are not of the alphabet. */
    SPAN("psgate_!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!_-ZqLYQ"),
    SPAN("psgate_AAAAAAAAAAAAAAAAAAAA\nAAAAAAAAAAAAAAAAAAAAAA_-bxn-U"),
    SPAN("psgate_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\xff_iMiItT"),
    SPAN("psgate_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\0_HxpKEW"),
    SPAN("psgate_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=_JAG-u7"),
};

START_TEST(what_only_resembles_a_token_is_not_well_formed)
{
    struct span text = exact_span(malformed[_i]);

    ck_assert_msg(!token_is_well_formed(hasher, text), "'%s'", shown(text));
    free((char *)(uintptr_t)text.at);
}
END_TEST

START_TEST(the_prefix_is_exact)
{
    ck_assert(token_has_prefix(SPAN("psgate_")));
    ck_assert(token_has_prefix(SPAN("psgate_x")));
    ck_assert(!token_has_prefix(SPAN("psgate")));
    ck_assert(!token_has_prefix(SPAN("Psgate_x")));
    ck_assert(!token_has_prefix(SPAN("xpsgate_")));
    ck_assert(!token_has_prefix(SPAN("")));
}
END_TEST

/* FIPS 180-4's examples, and the digest of a known token. */
static const struct {
    const char *text, *digest;
} vectors[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"psgate_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_Uu23aQ",
     "bbe2b511fabad281a9164e3a9681adafeeb2fdcbc6ede5b48655b5e43391b3ee"},
};

START_TEST(the_digest_is_sha_256)
{
    unsigned char digest[TOKEN_DIGEST_BYTES];
    char hex[2 * TOKEN_DIGEST_BYTES + 1];

    for (int again = 0; again < 2; again++) {
        ck_assert(token_digest(hasher, span_of(vectors[_i].text), digest));
        for (size_t i = 0; i < sizeof(digest); i++)
            (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
        ck_assert_str_eq(hex, vectors[_i].digest);
    }
}
END_TEST

static void assert_digest_is_computed(struct token_hasher *remembering, struct span text)
{
    unsigned char remembered[TOKEN_DIGEST_BYTES], computed[TOKEN_DIGEST_BYTES];

    ck_assert(token_digest(remembering, text, remembered));
    ck_assert(token_digest(hasher, text, computed));
    ck_assert_mem_eq(remembered, computed, TOKEN_DIGEST_BYTES);
}

/* More tokens than places, again and again, and each with one character changed. */
START_TEST(a_remembered_digest_is_the_token_s_own)
{
    enum { TOKENS = 200 };
    static char tokens[TOKENS][TOKEN_BYTES + 1];
    struct error error = {{0}};
    struct token_hasher *remembering = token_hasher_new(&error);

    ck_assert(remembering != NULL && token_hasher_remember(remembering, &error));
    for (int i = 0; i < TOKENS; i++)
        ck_assert(token_generate(hasher, tokens[i], &error));
    for (int i = 0; i < 10 * TOKENS; i++) {
        char *token = tokens[i * 7 % TOKENS];
        size_t at = (size_t)i % TOKEN_BYTES;

        assert_digest_is_computed(remembering, span_make(token, TOKEN_BYTES));
        assert_digest_is_computed(remembering, span_make(token, TOKEN_BYTES));
        token[at] ^= 1;
        assert_digest_is_computed(remembering, span_make(token, TOKEN_BYTES));
        token[at] ^= 1;
        assert_digest_is_computed(remembering, span_make(token, TOKEN_BYTES));
        assert_digest_is_computed(remembering, span_make(token, TOKEN_BYTES - 1));
    }
    token_hasher_free(remembering);
}
END_TEST

/* What no place has ever held is all zero bytes: no text is taken for that. */
START_TEST(nothing_is_remembered_at_first)
{
    struct error error = {{0}};
    struct token_hasher *remembering = token_hasher_new(&error);
    char zeros[TOKEN_BYTES] = {0};

    ck_assert(remembering != NULL && token_hasher_remember(remembering, &error));
    assert_digest_is_computed(remembering, span_make(zeros, sizeof(zeros)));
    assert_digest_is_computed(remembering, SPAN(""));
    memcpy(zeros, "psgate_", 7);
    assert_digest_is_computed(remembering, span_make(zeros, sizeof(zeros)));
    token_hasher_free(remembering);
}
END_TEST

START_TEST(freeing_no_hasher_is_fine)
{
    token_hasher_free(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access/token");
    TCase *made = suite_case(suite, "made");
    TCase *judged = suite_case(suite, "judged");
    TCase *digest = suite_case(suite, "digest");
    TCase *cases[] = {made, judged, digest};

    for (int i = 0; i < ROWS(cases); i++)
        tcase_add_checked_fixture(cases[i], make_hasher, free_hasher);
    tcase_add_test(made, a_token_has_the_shape_of_the_interfaces);
    tcase_add_test(made, tokens_differ_everywhere);
    tcase_add_loop_test(judged, a_known_token_is_well_formed, 0, ROWS(known));
    tcase_add_test(judged, a_token_with_one_wrong_character_is_not_well_formed);
    tcase_add_test(judged, a_cut_or_longer_token_is_not_well_formed);
    tcase_add_loop_test(judged, what_only_resembles_a_token_is_not_well_formed, 0,
                        ROWS(malformed));
    tcase_add_test(judged, the_prefix_is_exact);
    tcase_add_loop_test(digest, the_digest_is_sha_256, 0, ROWS(vectors));
    tcase_add_test(digest, a_remembered_digest_is_the_token_s_own);
    tcase_add_test(digest, nothing_is_remembered_at_first);
    tcase_add_test(digest, freeing_no_hasher_is_fine);
    return run_suite(suite);
}
