# Makes the C file OUTPUT from TEMPLATE and from files, which become part of the program.
# ENTRIES is NAME=FILE|NAME=FILE… In the template stands @ARRAYS@ for the arrays content_0,
# content_1, … (each with a NUL behind it), and @ROWS@ for an initializer an entry:
#   {"NAME", TYPE_JS, content_0, LENGTH, DIGEST("SHA-256 in hex")},   TYPE_ and the file's ending
string(REPLACE "|" ";" ENTRIES "${ENTRIES}")
set(index 0)
foreach(entry IN LISTS ENTRIES)
    string(REGEX MATCH "^([^=]*)=(.*)$" matched "${entry}")
    set(name "${CMAKE_MATCH_1}")
    set(file "${CMAKE_MATCH_2}")
    file(READ "${file}" hex HEX)
    file(SHA256 "${file}" digest)
    get_filename_component(ending "${file}" LAST_EXT)
    string(REPLACE "." "TYPE_" type "${ending}")
    string(TOUPPER "${type}" type)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(APPEND ARRAYS "static const char content_${index}[] = {${bytes}0};\n")
    string(APPEND ROWS
        "    {\"${name}\", ${type}, content_${index}, sizeof(content_${index}) - 1, DIGEST(\"${digest}\")},\n")
    math(EXPR index "${index} + 1")
endforeach()
configure_file("${TEMPLATE}" "${OUTPUT}" @ONLY)
