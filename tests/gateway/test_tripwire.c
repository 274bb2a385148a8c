/*
 * The tripwire against texts that have the key and texts that nearly have it, whole and
 * byte by byte, and against a plain search.
 */
#include "gateway/tripwire.h"

#include <openssl/evp.h>

#include "base/text.h"
#include "support/suite.h"

static uint64_t seed = 88172645463325252u;

static unsigned draw(unsigned below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed % below);
}

static struct tripwire *make(struct span key)
{
    struct error error;
    struct tripwire *tripwire = tripwire_new(key, &error);

    ck_assert_msg(tripwire != NULL, "%s", error.text);
    return tripwire;
}

/* Whole, byte by byte and in random pieces: always the same. */
static bool finds(const struct tripwire *tripwire, struct span text)
{
    struct tripwire_scan whole = {0}, bytes = {0}, pieces = {0};
    struct span copy = exact_span(text);
    bool found = tripwire_read(tripwire, &whole, copy), again = false;

    for (size_t i = 0; i < copy.len && !again; i++)
        again = tripwire_read(tripwire, &bytes, span_make(copy.at + i, 1));
    ck_assert_msg(found == again, "bytes: %s", shown(text));
    again = false;
    for (size_t i = 0; i < copy.len && !again;) {
        size_t len = draw(draw(2) == 0 ? 40 : 400);

        if (len > copy.len - i)
            len = copy.len - i;
        again = tripwire_read(tripwire, &pieces, span_make(copy.at + i, len));
        i += len;
    }
    ck_assert_msg(found == again, "pieces: %s", shown(text));
    free((char *)(uintptr_t)copy.at);
    return found;
}

static const char *const keys[] = {
    "0123456789abcdef",
    "ps-key_0123456789-ABCDEF_xyz",
    "aaaaaaaaaaaaaaaa",
    "abababababababababab",
    "aaaaaaaaaaaaaaab",
    "6fbe3d7c8a0142e59d1b20c4f3a7e865",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "~!@#$^&*()[]{}<>?:;,.|=+/\\'\"`",
};

/* The key after some bytes and before others, so that it stands at each alignment. */
static void add_base64(struct text *out, const char *key, unsigned before, unsigned after,
                       bool is_url)
{
    unsigned char input[256], output[400];
    size_t len = 0;
    int written;

    for (unsigned i = 0; i < before; i++)
        input[len++] = (unsigned char)draw(256);
    memcpy(input + len, key, strlen(key));
    len += strlen(key);
    for (unsigned i = 0; i < after; i++)
        input[len++] = (unsigned char)draw(256);
    written = EVP_EncodeBlock(output, input, (int)len);
    for (int i = 0; i < written; i++) {
        if (is_url)
            output[i] = output[i] == '+' ? '-' : output[i] == '/' ? '_' : output[i];
        if (!is_url || output[i] != '=')
            text_add_byte(out, (char)output[i]);
    }
}

/* Percent-encodes some bytes: those that a coin chooses out of so many. */
static void add_encoded(struct text *out, struct span text, unsigned one_in)
{
    static const char digits[2][17] = {"0123456789abcdef", "0123456789ABCDEF"};

    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.at[i];

        if (draw(one_in) != 0) {
            text_add_byte(out, (char)byte);
            continue;
        }
        text_add_byte(out, '%');
        text_add_byte(out, digits[draw(2)][byte >> 4]);
        text_add_byte(out, digits[draw(2)][byte & 15]);
    }
}

static void add_noise(struct text *out)
{
    static const char noise[] = "%%%2%25%a5 aAbB01=-_+/\r\n\"{}:,";
    unsigned len = draw(60);

    for (unsigned i = 0; i < len; i++)
        text_add_byte(out,
                      draw(3) == 0 ? (char)draw(256) : noise[draw(sizeof(noise) - 1)]);
    text_add_byte(out, ' '); /* no half escape swallows what follows */
}

static struct span span_in(const struct text *text)
{
    return span_make(text->bytes, text->len);
}

START_TEST(the_key_is_found_as_it_is)
{
    struct span key = span_of(keys[_i]);
    struct tripwire *tripwire = make(key);
    struct text text = {0};

    ck_assert(finds(tripwire, key));
    for (int i = 0; i < 200; i++) {
        text_clear(&text);
        add_noise(&text);
        text_add(&text, key);
        add_noise(&text);
        ck_assert(finds(tripwire, span_in(&text)));
    }
    text_fini(&text);
    tripwire_free(tripwire);
}
END_TEST

/* Most of a long text is not looked at: wherever the key stands, it is. */
START_TEST(the_key_is_found_wherever_it_stands)
{
    struct span key = span_of(keys[_i]);
    struct tripwire *tripwire = make(key);
    struct text needle = {0};
    char text[700];

    for (size_t at = 0; at < 500; at++) {
        text_clear(&needle);
        if (at % 4 < 3)
            add_base64(&needle, keys[_i], at % 4, 0, false);
        else
            text_add(&needle, key);
        for (int filler = 0; filler < 3; filler++) {
            for (size_t i = 0; i < sizeof(text); i++)
                text[i] = filler == 0   ? ' '
                          : filler == 1 ? key.at[draw((unsigned)key.len)]
                                        : (char)('a' + draw(26));
            memcpy(text + at, needle.bytes, needle.len);
            ck_assert(finds(tripwire, span_make(text, sizeof(text))));
        }
    }
    text_fini(&needle);
    tripwire_free(tripwire);
}
END_TEST

START_TEST(the_key_is_found_in_base64)
{
    struct tripwire *tripwire = make(span_of(keys[_i]));
    struct text text = {0};

    for (unsigned before = 0; before < 7; before++) {
        for (unsigned after = 0; after < 4; after++) {
            for (unsigned is_url = 0; is_url < 2; is_url++) {
                text_clear(&text);
                add_noise(&text);
                add_base64(&text, keys[_i], before, after, is_url != 0);
                ck_assert_msg(finds(tripwire, span_in(&text)), "%u %u %u", before, after,
                              is_url);
            }
        }
    }
    text_fini(&text);
    tripwire_free(tripwire);
}
END_TEST

START_TEST(the_key_is_found_percent_encoded)
{
    struct span key = span_of(keys[_i]);
    struct tripwire *tripwire = make(key);
    struct text text = {0}, inner = {0};

    for (int i = 0; i < 400; i++) {
        text_clear(&text);
        text_clear(&inner);
        add_noise(&text);
        if (i % 2 == 0)
            text_add(&inner, key);
        else
            add_base64(&inner, keys[_i], draw(3), draw(3), draw(2) == 0);
        add_encoded(&text, span_in(&inner), 1 + draw(6));
        add_noise(&text);
        ck_assert(finds(tripwire, span_in(&text)));
    }
    text_fini(&text);
    text_fini(&inner);
    tripwire_free(tripwire);
}
END_TEST

/* Of a key, all but one byte of the part that is sought. */
START_TEST(what_nearly_is_the_key_is_not)
{
    size_t len = strlen(keys[_i]);
    size_t first = len > TRIPWIRE_BYTES ? len - TRIPWIRE_BYTES : 0;
    struct tripwire *tripwire = make(span_of(keys[_i]));
    char *text = strdup(keys[_i]);

    for (size_t i = first; i < len; i++) {
        char was = text[i];

        text[i] = '\x01';
        ck_assert_msg(!finds(tripwire, span_of(text)), "without byte %zu", i);
        text[i] = was;
    }
    ck_assert(!finds(tripwire, span_make(text, len - 1)));
    free(text);
    tripwire_free(tripwire);
}
END_TEST

/* A beginning of the key before the key: what has been read counts. */
START_TEST(the_key_is_found_after_its_own_beginnings)
{
    struct span key = span_of(keys[_i]);
    struct tripwire *tripwire = make(key);
    struct text text = {0};

    for (size_t len = 0; len < key.len; len++) {
        text_clear(&text);
        text_add(&text, span_make(key.at, len));
        add_encoded(&text, span_make(key.at, len), 2);
        text_add(&text, key);
        ck_assert(finds(tripwire, span_in(&text)));
        text_clear(&text);
        text_add(&text, span_make(key.at, len));
        text_add(&text, SPAN("%4"));
        add_encoded(&text, key, 2);
        if (text.bytes[len + 2] == '%') /* no digit follows the half escape */
            ck_assert(finds(tripwire, span_in(&text)));
    }
    text_fini(&text);
    tripwire_free(tripwire);
}
END_TEST

START_TEST(a_short_key_is_not_sought)
{
    struct tripwire *tripwire = make(SPAN("0123456789abcde"));

    ck_assert(!finds(tripwire, SPAN("0123456789abcde")));
    tripwire_free(tripwire);
    tripwire_free(NULL);
}
END_TEST

START_TEST(of_a_long_key_the_end_is_sought)
{
    struct span key = span_of(keys[6]);
    struct tripwire *tripwire = make(key);
    struct span end =
        span_make(key.at + key.len - TRIPWIRE_BYTES, (size_t)TRIPWIRE_BYTES);

    ck_assert(finds(tripwire, end));
    ck_assert(!finds(tripwire, span_make(key.at, key.len - 1)));
    tripwire_free(tripwire);
}
END_TEST

/* The whole of visible ASCII in one key: as many classes and states as there can be. */
START_TEST(the_longest_key_fits)
{
    char key[4097];
    struct tripwire *tripwire;

    for (size_t i = 0; i < sizeof(key) - 1; i++)
        key[i] = (char)(0x21 + draw(94));
    key[sizeof(key) - 1] = '\0';
    tripwire = make(span_of(key));
    ck_assert(finds(tripwire, span_of(key)));
    tripwire_free(tripwire);
}
END_TEST

static bool contains(struct span text, struct span part)
{
    return memmem(text.at, text.len, part.at, part.len) != NULL;
}

/* Few letters, a key of them, texts of them: where suffixes go wrong, they do here. */
START_TEST(it_finds_what_a_plain_search_finds)
{
    char key[TRIPWIRE_SHORTEST + 1] = "", *text = malloc(4000);
    unsigned found = 0;

    for (int round = 0; round < 300; round++) {
        struct tripwire *tripwire;
        struct tripwire_scan scan = {0};
        bool wanted;
        unsigned letters = 1 + draw(2), len = 200 + draw(3800);

        for (size_t i = 0; i < TRIPWIRE_SHORTEST; i++)
            key[i] = (char)('~' - draw(letters));
        tripwire = make(span_of(key));
        for (unsigned i = 0; i < len; i++)
            text[i] = (char)('~' - draw(letters));
        if (draw(2) == 0) /* not by chance alone */
            memcpy(text + draw(len - 32), key, 8 + draw(9));
        wanted = contains(span_make(text, len), span_of(key));
        ck_assert(tripwire_read(tripwire, &scan, span_make(text, len)) == wanted);
        found += wanted;
        tripwire_free(tripwire);
    }
    ck_assert_uint_gt(found, 20);
    ck_assert_uint_lt(found, 280);
    free(text);
}
END_TEST

/* A megabyte without the key, of bytes that base64 and escapes are made of. */
START_TEST(honest_texts_raise_no_alarm)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=%";
    struct tripwire *tripwire = make(span_of(keys[_i]));
    struct tripwire_scan scan = {0};
    char text[1024];

    for (int round = 0; round < 1024; round++) {
        for (size_t i = 0; i < sizeof(text); i++)
            text[i] = alphabet[draw(sizeof(alphabet) - 1)];
        ck_assert(!tripwire_read(tripwire, &scan, span_make(text, sizeof(text))));
    }
    tripwire_free(tripwire);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway/tripwire");
    TCase *found = suite_case(suite, "found");
    TCase *not_found = suite_case(suite, "not found");

    tcase_add_loop_test(found, the_key_is_found_as_it_is, 0, ROWS(keys));
    tcase_add_loop_test(found, the_key_is_found_wherever_it_stands, 0, ROWS(keys));
    tcase_add_loop_test(found, the_key_is_found_in_base64, 0, ROWS(keys));
    tcase_add_loop_test(found, the_key_is_found_percent_encoded, 0, ROWS(keys));
    tcase_add_loop_test(found, the_key_is_found_after_its_own_beginnings, 0, ROWS(keys));
    tcase_add_test(found, of_a_long_key_the_end_is_sought);
    tcase_add_test(found, the_longest_key_fits);
    tcase_add_test(found, it_finds_what_a_plain_search_finds);
    tcase_add_loop_test(not_found, what_nearly_is_the_key_is_not, 0, ROWS(keys));
    tcase_add_test(not_found, a_short_key_is_not_sought);
    tcase_add_loop_test(not_found, honest_texts_raise_no_alarm, 0, ROWS(keys));
    return run_suite(suite);
}
