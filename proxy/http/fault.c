#include "http/fault.h"

static const char *const texts[HTTP_FAULT_COUNT] = {
    [HTTP_FAULT_NONE] = "nothing is wrong",
    [HTTP_FAULT_CONTROL_BYTE] = "the head holds a control byte",
    [HTTP_FAULT_BARE_CR] = "a CR is not followed by LF",
    [HTTP_FAULT_BARE_LF] = "a line ends with a bare LF instead of CR LF",
    [HTTP_FAULT_START_LINE] =
        /* NOLINTNEXTLINE(bugprone-suspicious-missing-comma): there is one text a fault */
    "the first line is not METHOD TARGET HTTP/1.x (requests) or "
    "HTTP/1.x STATUS REASON (responses), with single spaces",
    [HTTP_FAULT_VERSION] = "the HTTP version is not 1.0 or 1.1",
    [HTTP_FAULT_START_LINE_TOO_LONG] =
        "the first line is longer than limits.header_bytes",
    [HTTP_FAULT_HEAD_TOO_LARGE] = "the head is larger than limits.header_bytes",
    [HTTP_FAULT_TOO_MANY_FIELDS] = "there are more fields than limits.headers",
    [HTTP_FAULT_FOLDED_LINE] =
        "a field line begins with white space (folding is obsolete)",
    [HTTP_FAULT_NO_COLON] = "a field line has no colon",
    [HTTP_FAULT_SPACE_BEFORE_COLON] = "white space stands before a field's colon",
    [HTTP_FAULT_FIELD_NAME] = "a field name is not a token",
    [HTTP_FAULT_UNDERSCORE_NAME] =
        "a framing, credential or override field is spelled with an underscore",
    [HTTP_FAULT_CONNECTION_OPTIONS] = "Connection names more than 32 options",
    [HTTP_FAULT_HOST_MISSING] = "the Host field is missing",
    [HTTP_FAULT_HOST_REPEATED] = "there is more than one Host field",
    [HTTP_FAULT_HOST_INVALID] = "the Host field is not HOST or HOST:PORT",
    [HTTP_FAULT_LENGTH_INVALID] = "Content-Length is not one decimal number",
    [HTTP_FAULT_LENGTH_REPEATED] = "there is more than one Content-Length",
    [HTTP_FAULT_LENGTH_AND_CODING] =
        "there are both Content-Length and Transfer-Encoding",
    [HTTP_FAULT_CODING_INVALID] = "Transfer-Encoding is not exactly one chunked",
    [HTTP_FAULT_CODING_UNSUPPORTED] =
        "Transfer-Encoding names a coding other than chunked, which is not supported",
    [HTTP_FAULT_CODING_IN_1_0] = "Transfer-Encoding stands in an HTTP/1.0 message",
    [HTTP_FAULT_CHUNK_SIZE] = "a chunk size is not a hexadecimal number that fits",
    [HTTP_FAULT_CHUNK_EXTENSION] = "a chunk extension is malformed or too long",
    [HTTP_FAULT_CHUNK_END] = "a chunk does not end with CR LF",
    [HTTP_FAULT_TARGET_FORM] = "the request target is not a path that begins with /, an "
                               "http URL, or * with OPTIONS",
    [HTTP_FAULT_TARGET_BYTE] = "the request target holds a byte that must be encoded",
    [HTTP_FAULT_TARGET_AUTHORITY] = "the target's authority is not the Host field's",
    [HTTP_FAULT_PATH_DOT_SEGMENT] = "the path has a . or .. segment",
    [HTTP_FAULT_PATH_EMPTY_SEGMENT] = "the path has an empty segment (//)",
    [HTTP_FAULT_PATH_BACKSLASH] = "the path has a backslash",
    [HTTP_FAULT_PATH_CONTROL_BYTE] = "the path has a control byte",
    [HTTP_FAULT_PATH_PERCENT] = "the path has a % without two hexadecimal digits",
    [HTTP_FAULT_PATH_UTF8] = "the path is not valid UTF-8",
    [HTTP_FAULT_PATH_ENCODED_SLASH] =
        "the path has an encoded slash (upstream.encoded_slashes is \"refuse\")",
    [HTTP_FAULT_PATH_SLASHES_TOO_FAR] =
        "the path has an encoded slash and more than 32 segments",
    [HTTP_FAULT_OVERRIDE_FIELD] =
        "a field that overrides method or target is not accepted",
    [HTTP_FAULT_CUT_SHORT] = "the message ended before it was complete",
    [HTTP_FAULT_NO_MEMORY] = "memory is out",
};

const char *http_fault_text(enum http_fault fault)
{
    return texts[fault];
}
